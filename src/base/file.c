/* SPDX-License-Identifier: MIT
 * Files and paths, over POSIX. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/hash.h"

#define CHUNK ((size_t)1 << 20)

struct brume_atomic {
    int fd;
    int failed;
    char *path;  /* the target */
    char *temp;  /* NULL: the target is written directly */
    unsigned char *buffer;
    size_t used;
};

int brume_is_folder(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

int brume_is_file(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISREG(st.st_mode);
}

brume_status brume_file_read(const char *path, size_t limit, void **out, size_t *bytes)
{
    *out = NULL;
    *bytes = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return brume_fail(BRUME_E_IO, "%s: cannot open: %s", path, strerror(errno));
    struct stat st;
    unsigned char *data = NULL;
    brume_status s = BRUME_OK;
    if (fstat(fd, &st)) {
        s = brume_fail(BRUME_E_IO, "%s: cannot stat: %s", path, strerror(errno));
        goto done;
    }
    if (S_ISDIR(st.st_mode)) {
        s = brume_fail(BRUME_E_IO, "%s: is a folder, expected a file", path);
        goto done;
    }
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > limit) {
        s = brume_fail(BRUME_E_FORMAT, "%s: %llu bytes, expected at most %zu", path, (unsigned long long)st.st_size, limit);
        goto done;
    }
    /* The size is a hint only: the file may be a pipe or may change while it is read. */
    size_t cap = S_ISREG(st.st_mode) ? (size_t)st.st_size + 1 : 4096, n = 0;
    for (;;) {
        unsigned char *more = realloc(data, cap + 1);
        if (!more) {
            s = brume_fail(BRUME_E_MEMORY, "%s: no memory for %zu bytes", path, cap + 1);
            goto done;
        }
        data = more;
        ssize_t got = 1;
        while (n < cap && (got = read(fd, data + n, cap - n)) != 0) {
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) {
                s = brume_fail(BRUME_E_IO, "%s: cannot read: %s", path, strerror(errno));
                goto done;
            }
            n += (size_t)got;
        }
        if (n > limit) {
            s = brume_fail(BRUME_E_FORMAT, "%s: more than %zu bytes", path, limit);
            goto done;
        }
        if (got == 0) break;
        cap *= 2;
    }
    data[n] = 0;
    *out = data;
    *bytes = n;
    data = NULL;
done:
    free(data);
    close(fd);
    return s;
}

#ifdef _WIN32
static int is_slash(char c) { return c == '/' || c == '\\'; }
static int is_drive(const char *path, size_t n) { return n == 2 && path[1] == ':'; } /* the first n characters: "C:" */
#else
static int is_slash(char c) { return c == '/'; }
static int is_drive(const char *path, size_t n) { return (void)path, (void)n, 0; }
#endif

char *brume_path_slash(const char *path)
{
    const char *found = NULL;
    for (const char *c = path; *c; c++)
        if (is_slash(*c)) found = c;
    return (char *)(uintptr_t)found;
}

brume_status brume_make_folders(const char *path)
{
    char *p = strdup(path);
    if (!p) return brume_fail(BRUME_E_MEMORY, "%s: no memory for a path", path);
    brume_status s = BRUME_OK;
    for (size_t i = 1, n = strlen(p); i <= n && s == BRUME_OK; i++) {
        if ((!is_slash(p[i]) && p[i] != 0) || is_drive(p, i)) continue;
        const char keep = p[i];
        p[i] = 0;
        if (mkdir(p, 0777)) {
            const int why = errno;
            if (!brume_is_folder(p))
                s = brume_fail(BRUME_E_IO, "%s: cannot make the folder: %s", p,
                               why == EEXIST ? "a file of that name exists" : strerror(why));
        }
        p[i] = keep;
    }
    free(p);
    return s;
}

char *brume_path_join(const char *a, const char *b)
{
    if (!*a || is_slash(*b) || (*b && is_drive(b, 2))) return strdup(b);
    const size_t na = strlen(a), nb = strlen(b);
    char *p = malloc(na + nb + 2);
    if (!p) return NULL;
    memcpy(p, a, na);
    size_t n = na;
    if (!is_slash(p[n - 1])) p[n++] = '/';
    memcpy(p + n, b, nb + 1);
    return p;
}

brume_status brume_file_in(const char *folder, const char *name, char **path)
{
    *path = brume_path_join(folder, name);
    if (!*path) return brume_fail(BRUME_E_MEMORY, "%s: no memory for a path", folder);
    if (brume_is_file(*path)) return BRUME_OK;
    free(*path);
    *path = NULL;
    return BRUME_OK;
}

brume_status brume_name_check(const char *name, const char *where)
{
    int bad = !*name || !strcmp(name, ".") || !strcmp(name, "..");
    for (const unsigned char *c = (const unsigned char *)name; *c && !bad; c++)
        bad = *c < 32 || *c == 127 || *c == '/' || *c == '\\';
    if (bad) return brume_fail(BRUME_E_FORMAT, "%s: '%s' is not a plain file name in the same folder", where, name);
    return BRUME_OK;
}

static void atomic_free(brume_atomic *a)
{
    if (!a) return;
    if (a->fd >= 0) close(a->fd);
    free(a->path);
    free(a->temp);
    free(a->buffer);
    free(a);
}

brume_status brume_atomic_open(const char *path, brume_atomic **out)
{
    static atomic_uint serial;
    *out = NULL;
    brume_atomic *a = calloc(1, sizeof *a);
    if (!a) return brume_fail(BRUME_E_MEMORY, "%s: no memory to write", path);
    a->fd = -1;
    struct stat st;
    const int exists = !stat(path, &st);
    if (exists && S_ISDIR(st.st_mode)) {
        atomic_free(a);
        return brume_fail(BRUME_E_IO, "%s: is a folder, expected the name of a file to write", path);
    }
    /* A link stays a link: what it points to is replaced. */
    a->path = exists ? realpath(path, NULL) : strdup(path);
    a->buffer = malloc(CHUNK);
    if (a->path && (!exists || S_ISREG(st.st_mode))) {
        const char *slash = brume_path_slash(a->path);
        const int folder = slash ? (int)(slash - a->path) + 1 : 0;
        const size_t n = strlen(a->path) + 64;
        if ((a->temp = malloc(n)))
            snprintf(a->temp, n, "%.*s.%s.%ld-%u.tmp", folder, a->path, a->path + folder, (long)getpid(),
                     atomic_fetch_add(&serial, 1u));
    }
    if (!a->path || !a->buffer || (!a->temp && (!exists || S_ISREG(st.st_mode)))) {
        atomic_free(a);
        return brume_fail(BRUME_E_MEMORY, "%s: no memory to write", path);
    }
    a->fd = a->temp ? open(a->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : open(a->path, O_WRONLY | O_CLOEXEC);
    if (a->fd >= 0 && a->temp) flock(a->fd, LOCK_EX | LOCK_NB); /* as long as it is written: see brume_remove_unfinished() */
    if (a->fd < 0) {
        const int why = errno;
        atomic_free(a);
        return brume_fail(BRUME_E_IO, "%s: cannot write: %s%s", path, strerror(why),
                          why == ENOENT ? "; does its folder exist?" : "");
    }
    *out = a;
    return BRUME_OK;
}

static brume_status write_all(brume_atomic *a, const unsigned char *p, size_t n)
{
    while (n) {
        const ssize_t put = write(a->fd, p, n < ((size_t)1 << 30) ? n : ((size_t)1 << 30));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) {
            a->failed = 1;
            return brume_fail(BRUME_E_IO, "%s: cannot write: %s", a->path, strerror(errno));
        }
        p += put;
        n -= (size_t)put;
    }
    return BRUME_OK;
}

static brume_status flush(brume_atomic *a)
{
    const size_t n = a->used;
    a->used = 0;
    return write_all(a, a->buffer, n);
}

brume_status brume_atomic_write(brume_atomic *a, const void *data, size_t bytes)
{
    if (a->failed) return BRUME_E_IO;
    if (bytes > CHUNK - a->used) {
        const brume_status s = flush(a);
        if (s != BRUME_OK) return s;
        if (bytes >= CHUNK) return write_all(a, data, bytes);
    }
    if (bytes) memcpy(a->buffer + a->used, data, bytes);
    a->used += bytes;
    return BRUME_OK;
}

/* The folder that a file lies in, allocated; NULL without memory. */
static char *folder_of(const char *path)
{
    const char *slash = brume_path_slash(path);
    return slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
}

brume_status brume_make_parents(const char *path)
{
    char *folder = folder_of(path);
    const brume_status s = folder ? brume_make_folders(folder) : brume_fail(BRUME_E_MEMORY, "%s: no memory for a path", path);
    free(folder);
    return s;
}

/* The name itself must reach the disk too. A file system that cannot flush folders is no reason to fail. */
static void flush_folder(const char *path)
{
    char *folder = folder_of(path);
    const int fd = folder ? open(folder, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

brume_status brume_file_replace(const char *fresh, const char *path, const char *keep)
{
    if (keep && brume_is_file(path)) {
        /* A second name first, so that the first is never gone; file systems without links have a moment of the second alone. */
        char *second = malloc(strlen(keep) + 8);
        if (!second) return brume_fail(BRUME_E_MEMORY, "%s: no memory for a path", keep);
        sprintf(second, "%s.tmp", keep);
        unlink(second);
        const int failed = (link(path, second) || rename(second, keep)) && rename(path, keep);
        const int why = errno;
        unlink(second); /* still there if both names were the same file */
        free(second);
        if (failed) return brume_fail(BRUME_E_IO, "%s: cannot keep it as %s: %s", path, keep, strerror(why));
    }
    if (rename(fresh, path)) return brume_fail(BRUME_E_IO, "%s: cannot put the new file in place: %s", path, strerror(errno));
    flush_folder(path);
    return BRUME_OK;
}

brume_status brume_atomic_commit(brume_atomic *a)
{
    brume_status s = a->failed ? BRUME_E_IO : flush(a);
    if (s == BRUME_OK && a->temp && fsync(a->fd))
        s = brume_fail(BRUME_E_IO, "%s: cannot flush to the disk: %s", a->path, strerror(errno));
    const int fd = a->fd;
    a->fd = -1;
    if (close(fd) && s == BRUME_OK) s = brume_fail(BRUME_E_IO, "%s: cannot close: %s", a->path, strerror(errno));
    if (s == BRUME_OK && a->temp && rename(a->temp, a->path))
        s = brume_fail(BRUME_E_IO, "%s: cannot put the new file in place: %s", a->path, strerror(errno));
    if (s != BRUME_OK) {
        brume_atomic_abort(a);
        return s;
    }
    if (a->temp) flush_folder(a->path);
    atomic_free(a);
    return BRUME_OK;
}

void brume_atomic_abort(brume_atomic *a)
{
    if (a && a->temp) unlink(a->temp);
    atomic_free(a);
}

brume_status brume_file_write(const char *path, const void *data, size_t bytes)
{
    brume_atomic *a;
    brume_status s = brume_atomic_open(path, &a);
    if (s != BRUME_OK) return s;
    s = brume_atomic_write(a, data, bytes);
    if (s == BRUME_OK) return brume_atomic_commit(a);
    brume_atomic_abort(a);
    return s;
}

brume_status brume_file_fingerprint(const char *path, uint64_t *out)
{
    unsigned char block[1 << 15];
    uint64_t h = 0, total = 0;
    FILE *f = fopen(path, "rb");
    *out = 0;
    if (!f) return brume_fail(BRUME_E_IO, "%s: cannot open: %s", path, strerror(errno));
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0; total += n) h = brume_hash_values(h, block, n, 1);
    const int failed = ferror(f);
    fclose(f);
    if (failed) return brume_fail(BRUME_E_IO, "%s: cannot read: %s", path, strerror(errno));
    *out = brume_hash_values(h, &total, 1, sizeof total);
    return BRUME_OK;
}
