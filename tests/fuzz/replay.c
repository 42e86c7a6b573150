/* SPDX-License-Identifier: MIT
 * Runs the corpus through the harnesses without a fuzzer: for the ordinary tests, and to look at one input.
 *   replay CORPUS [HARNESS ...]      CORPUS/HARNESS/FILE of all harnesses, or of those named
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
    if (f && !fstat(fileno(f), &st) && S_ISREG(st.st_mode) && (data = malloc((size_t)st.st_size + 1))) *n = fread(data, 1, (size_t)st.st_size, f);
    if (f) fclose(f);
    if (!data) {
        perror(path);
        failed = 1;
    }
    return data;
}

static void run_file(const struct fuzz_harness *h, const char *path)
{
    size_t n;
    uint8_t *data = read_file(path, &n), *exact = data ? malloc(n ? n : 1) : NULL; /* of its very size, so that a sanitizer sees a read behind it */
    if (exact) {
        memcpy(exact, data, n);
        fuzz_run(h, exact, n);
    }
    free(exact);
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
    const int input = argc > 3 && !strcmp(argv[1], "--input");
    if (argc < 2 || (argv[1][0] == '-' && !input)) {
        fprintf(stderr, "usage: replay CORPUS [HARNESS ...] | --input HARNESS FILE ... | --pack FOLDER\n");
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
        dprintf(out, "%-14s%d inputs\n", fuzz_row(i)->name, n);
        if (n <= 0) {
            dprintf(err, "%s: a harness without inputs\n", path);
            failed = 1;
        }
    }
    return failed;
}
