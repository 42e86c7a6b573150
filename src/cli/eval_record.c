/* SPDX-License-Identifier: MIT
 * What brume eval leaves in a run's folder. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "eval.h"

int eval_is_run(const char *folder)
{
    char path[4096];
    struct stat s;
    snprintf(path, sizeof path, "%s/training", folder);
    return !stat(path, &s) && S_ISDIR(s.st_mode);
}

/* The line breaks of the writer are the only ones: those of strings are escaped. */
brume_status eval_append(const char *folder, const char *json, int quiet)
{
    char path[4096];
    if (!json) return BRUME_E_MEMORY;
    if (!eval_is_run(folder)) return BRUME_OK;
    snprintf(path, sizeof path, "%s/training/evaluation.jsonl", folder);
    FILE *f = fopen(path, "a");
    for (const char *p = json; f && *p; p++) {
        if (*p != '\n') {
            fputc(*p, f);
            continue;
        }
        while (p[1] == ' ') p++;
        fputc(' ', f);
    }
    if (f) fputc('\n', f);
    if (!f || fclose(f)) {
        fprintf(stderr, "warning: %s: %s\n", path, strerror(errno)); /* the figures themselves are told */
        return BRUME_OK;
    }
    if (!quiet) fprintf(stderr, "appended to %s\n", path);
    return BRUME_OK;
}
