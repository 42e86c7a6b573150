/* SPDX-License-Identifier: MIT
 * Runs the corpus through the harnesses without a fuzzer: for the ordinary tests, and to look at one input.
 *   replay CORPUS [HARNESS ...]      CORPUS/HARNESS/FILE of all harnesses, or of those named
 *   replay --cut CORPUS [HARNESS ...]  the same, each input cut off at every length (from 4096 bytes on: at some 4096 lengths);
 *                                      archives file by file
 *   replay --input HARNESS FILE ...  these files
 *   replay --pack FOLDER             writes the folder as an archive to the standard output: how seeds are made
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

static int failed;

static uint8_t *read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    uint8_t *data = NULL;
    if (f && !fstat(fileno(f), &st) && S_ISREG(st.st_mode) && (data = malloc((size_t)st.st_size + 1)))
        *n = fread(data, 1, (size_t)st.st_size, f);
    if (f) fclose(f);
    if (!data) {
        perror(path);
        failed = 1;
    }
    return data;
}

/* Without what lies from `from` to `to`. */
static void run_bytes(const struct fuzz_harness *h, const uint8_t *data, size_t n, size_t from, size_t to)
{
    uint8_t *exact = malloc(n - (to - from) + !n); /* of its very size, so that a sanitizer sees a read behind it */
    if (!exact) abort();
    memcpy(exact, data, from);
    memcpy(exact + from, data + to, n - to);
    fuzz_run(h, exact, n - (to - from));
    free(exact);
}

static int cut;
static long cuts;

static void run_file(const struct fuzz_harness *h, const char *path)
{
    size_t n = 0;
    uint8_t *data = read_file(path, &n);
    const int archive = n > 3 && !memcmp(data, "@@ ", 3);
    for (size_t at = 0; cut && at < n; at += n / 4096 + 1, cuts++) {
        const uint8_t *next = archive ? memmem(data + at, n - at, "\n@@ ", 4) : NULL;
        run_bytes(h, data, n, at, next ? (size_t)(next - data) : n);
    }
    if (data && !cut) run_bytes(h, data, n, n, n);
    free(data);
}

static int visible(const struct dirent *e) { return e->d_name[0] != '.'; }

/* Calls with folder/NAME for each name, sorted. Returns how many there are. */
static int each(const char *folder, void (*call)(void *ctx, const char *path, const char *name), void *ctx)
{
    struct dirent **list;
    const int n = scandir(folder, &list, visible, alphasort);
    for (int i = 0; i < n; i++) {
        char *path = NULL;
        if (asprintf(&path, "%s/%s", folder, list[i]->d_name) > 0) call(ctx, path, list[i]->d_name);
        free(path);
        free(list[i]);
    }
    if (n >= 0) free(list);
    return n;
}

static void run_one(void *ctx, const char *path, const char *name)
{
    const char *verbose = getenv("BRUME_FUZZ_VERBOSE");
    if (verbose) fprintf(stderr, "%s\n", name);
    run_file(ctx, path);
}

static void pack(void *prefix, const char *path, const char *name)
{
    char inner[512];
    struct stat st;
    size_t n = 0;
    snprintf(inner, sizeof inner, "%s%s%s", (const char *)prefix, *(const char *)prefix ? "/" : "", name);
    if (!stat(path, &st) && S_ISDIR(st.st_mode)) {
        each(path, pack, inner);
        return;
    }
    uint8_t *data = read_file(path, &n);
    printf("@@ %s\n", inner);
    if (data) fwrite(data, 1, n, stdout);
    putchar('\n');
    free(data);
}

/* What programs under test print is of no interest; what the sanitizers print, is. */
static void silence(int *out, int *err)
{
    const int null = open("/dev/null", O_WRONLY);
    fflush(stdout);
    *out = dup(1);
    *err = dup(2);
    if (getenv("BRUME_FUZZ_VERBOSE")) return;
    dup2(null, 1);
    close(null);
}

int main(int argc, char **argv)
{
    int out, err;
    setenv("BRUME_CACHE", "off", 1);
    if (argc == 3 && !strcmp(argv[1], "--pack")) {
        each(argv[2], pack, "");
        return failed;
    }
    cut = argc > 2 && !strcmp(argv[1], "--cut");
    argc -= cut;
    argv += cut;
    const int input = argc > 3 && !strcmp(argv[1], "--input");
    if (argc < 2 || (argv[1][0] == '-' && !input)) {
        fprintf(stderr, "usage: replay [--cut] CORPUS [HARNESS ...] | --input HARNESS FILE ... | --pack FOLDER\n");
        return 2;
    }
    for (int i = 2; i < (input ? 3 : argc); i++)
        if (!fuzz_find(argv[i])) {
            fprintf(stderr, "there is no harness '%s'\n", argv[i]);
            return 2;
        }
    silence(&out, &err);
    for (int i = 3; input && i < argc; i++) run_file(fuzz_find(argv[2]), argv[i]);
    for (int i = 0; !input && fuzz_row(i); i++) {
        int wanted = argc == 2;
        for (int k = 2; k < argc; k++) wanted |= !strcmp(argv[k], fuzz_row(i)->name);
        if (!wanted) continue;
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], fuzz_row(i)->name);
        const int n = each(path, run_one, (void *)fuzz_row(i));
        if (cut) dprintf(out, "%-21s%d inputs, cut off at %ld lengths\n", fuzz_row(i)->name, n, cuts);
        else dprintf(out, "%-21s%d inputs\n", fuzz_row(i)->name, n);
        cuts = 0;
        if (n <= 0) {
            dprintf(err, "%s: a harness without inputs\n", path);
            failed = 1;
        }
    }
    return failed;
}
