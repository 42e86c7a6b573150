/* SPDX-License-Identifier: MIT
 * What brume eval leaves in a run's folder. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "eval.h"

int eval_is_run(const char *folder)
{
    char path[4096];
    struct stat s;
    snprintf(path, sizeof path, "%s/training", folder);
    return !stat(path, &s) && S_ISDIR(s.st_mode);
}

/* As one line: the line breaks of the writer are the only ones, those of strings are escaped. Its length; line: as long as json
 * at most, and 2 bytes. */
static size_t one_line(const char *json, char *line)
{
    size_t n = 0;
    for (const char *p = json; *p; p++) {
        line[n++] = *p == '\n' ? ' ' : *p;
        while (*p == '\n' && p[1] == ' ') p++;
    }
    line[n++] = '\n';
    return n;
}

/* The whole line or, on a full disk, none: a part would spoil the next one. */
static int append(const char *path, const char *line, size_t n)
{
    struct stat s;
    const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) return 0;
    errno = ENOSPC;
    const int whole = !fstat(fd, &s) && write(fd, line, n) == (ssize_t)n;
    const int why = errno;
    if (!whole && ftruncate(fd, s.st_size)) fprintf(stderr, "warning: %s: ends with a part of a line\n", path);
    close(fd);
    errno = why;
    return whole;
}

brume_status eval_append(const char *folder, const char *json, int quiet)
{
    char path[4096];
    if (!json) return BRUME_E_MEMORY;
    if (!eval_is_run(folder)) return BRUME_OK;
    snprintf(path, sizeof path, "%s/training/evaluation.jsonl", folder);
    char *line = malloc(strlen(json) + 2);
    if (!line) return BRUME_E_MEMORY;
    const int done = append(path, line, one_line(json, line));
    free(line);
    if (!done) {
        fprintf(stderr, "warning: %s: %s\n", path, strerror(errno)); /* the figures themselves are told */
        return BRUME_OK;
    }
    if (!quiet) fprintf(stderr, "appended to %s\n", path);
    return BRUME_OK;
}
