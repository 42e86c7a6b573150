/* SPDX-License-Identifier: MIT
 * How far long work has come: a bar on a terminal, a line every few seconds elsewhere. Goes to stderr. */
#ifndef BRUME_CLI_PROGRESS_H
#define BRUME_CLI_PROGRESS_H

#include <stdint.h>

struct cli_progress {
    const char *what;      /* "training" */
    int64_t first, total;
    int quiet, terminal, shown;
    double start, last;    /* seconds */
    double limit;          /* seconds after which the work ends anyway; 0: none. Set it after begin */
};

/* Work from step first (above 0 after a resume; -1: one before the first that is told) to total. quiet: says nothing. */
void cli_progress_begin(struct cli_progress *p, const char *what, int64_t first, int64_t total, int quiet);
/* Steps done so far, and what else there is to say: "loss 0.0312  812 images/s"; "" for nothing. Cheap: call it at every step. */
void cli_progress_step(struct cli_progress *p, int64_t done, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
/* A line of its own that stays: "checkpoint written to RUN". */
void cli_progress_note(struct cli_progress *p, const char *text);
/* Leaves the last state on the screen. */
void cli_progress_end(struct cli_progress *p);

#endif
