/* SPDX-License-Identifier: MIT
 * The table of harnesses, and the folder that they write the input's files to. */
#include "fuzz.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct fuzz_harness rows[] = {
#define HARNESS(name, what) { #name, what, fuzz_##name },
#include "harnesses.def"
#undef HARNESS
};

const struct fuzz_harness *fuzz_row(int i) { return i >= 0 && i < (int)(sizeof rows / sizeof *rows) ? &rows[i] : NULL; }

const struct fuzz_harness *fuzz_find(const char *name)
{
    int i = 0;
    while (fuzz_row(i) && strcmp(fuzz_row(i)->name, name)) i++;
    return fuzz_row(i);
}

static char base[48], folder[64]; /* all of this process, and what is emptied between two inputs */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    return at->level ? remove(path) : 0;
}

static void empty(const char *path) { nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS); }

static void remove_all(void)
{
    empty(base);
    rmdir(base);
}

const char *fuzz_folder(void)
{
    if (folder[0]) return folder;
    strcpy(base, access("/dev/shm", W_OK) ? "/tmp/brume-fuzz-XXXXXX" : "/dev/shm/brume-fuzz-XXXXXX");
    if (mkdtemp(base)) snprintf(folder, sizeof folder, "%s/input", base);
    if (!folder[0] || mkdir(folder, 0777)) {
        perror(base);
        abort();
    }
    atexit(remove_all);
    return folder;
}

static int used; /* something was written since the folder was empty */

void fuzz_run(const struct fuzz_harness *h, const uint8_t *data, size_t n)
{
    h->run(data, n);
    if (used) empty(folder);
    used = 0;
}

static const char *path_in(const char *where, const char *name)
{
    static char paths[4][512];
    static int next;
    char *p = paths[next++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", where, name);
    return p;
}

const char *fuzz_path(const char *name)
{
    used = 1; /* whatever the caller does there */
    return path_in(fuzz_folder(), name);
}

const char *fuzz_kept(const char *name)
{
    fuzz_folder();
    return path_in(base, name);
}

static void make_folders(char *path)
{
    for (char *slash = strchr(path + strlen(folder) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0777);
        *slash = '/';
    }
}

const char *fuzz_put(const char *name, const void *data, size_t n)
{
    const char *path = fuzz_path(name);
    FILE *f = fopen(path, "wb");
    if (!f && errno == ENOENT) {
        make_folders((char *)path);
        f = fopen(path, "wb");
    }
    if (!f) return NULL;
    setvbuf(f, NULL, _IONBF, 0);
    if (n) fwrite(data, 1, n, f);
    fclose(f);
    return path;
}

static const uint8_t *begin_of_entry(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *hit = at;
    while (hit && hit < end && (hit = memmem(hit, (size_t)(end - hit), "@@ ", 3)) && hit != at && hit[-1] != '\n') hit += 3;
    return hit && hit < end ? hit : NULL;
}

/* The next file at or behind *at, which moves on. */
static int next_entry(const uint8_t **at, const uint8_t *end, char name[128], const uint8_t **data, size_t *n)
{
    const uint8_t *begin = begin_of_entry(*at, end);
    if (!begin) return 0;
    const uint8_t *line = memchr(begin, '\n', (size_t)(end - begin));
    const size_t length = (size_t)((line ? line : end) - begin) - 3;
    snprintf(name, 128, "%.*s", (int)(length < 120 ? length : 120), (const char *)begin + 3);
    *data = line ? line + 1 : end;
    const uint8_t *next = *data < end ? begin_of_entry(*data, end) : NULL;
    *n = (size_t)((next ? next : end) - *data) - (next && next > *data);
    *at = next ? next : end;
    return 1;
}

/* Stays within the folder, with few levels. */
static int harmless(const char *name)
{
    int levels = 0;
    for (const char *c = name; *c; c++) levels += *c == '/';
    return name[0] && name[0] != '/' && !strstr(name, "..") && name[strlen(name) - 1] != '/' && levels < 4;
}

void fuzz_unpack(const uint8_t *data, size_t n)
{
    const uint8_t *end = data + n, *bytes;
    char name[128];
    size_t length;
    int files = 0;
    while (data < end && files++ < 64 && next_entry(&data, end, name, &bytes, &length))
        if (harmless(name)) fuzz_put(name, bytes, length);
}

const uint8_t *fuzz_entry(const uint8_t *data, size_t n, const char *name, size_t *bytes)
{
    const uint8_t *end = data + n, *at;
    char own[128];
    while (data < end && next_entry(&data, end, own, &at, bytes))
        if (!strcmp(own, name)) return at;
    return NULL;
}

void fuzz_use(const void *data, size_t n)
{
    static volatile uint8_t sink;
    uint8_t x = 0;
    for (size_t i = 0; i < n; i++) x ^= ((const uint8_t *)data)[i];
    sink = sink ^ x;
}

void fuzz_use_text(const char *text)
{
    if (text) fuzz_use(text, strlen(text));
}

void fuzz_broken(const char *what)
{
    fprintf(stderr, "broken: %s\n", what);
    abort();
}
