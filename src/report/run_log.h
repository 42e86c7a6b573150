/* SPDX-License-Identifier: MIT
 * The log of a run, training/log.jsonl, as columns of numbers. */
#ifndef BRUME_REPORT_RUN_LOG_H
#define BRUME_REPORT_RUN_LOG_H

#include <stdint.h>

#include "brume/status.h"

/* Numbers of a key of some lines of JSON by their "step". */
struct column {
    int64_t n;
    double *step, *value; /* n; lines without a finite number of that key are left out */
};

/*
 * Reads keys of the file into columns (n_keys of each); a file that is not there gives empty ones. A last line that is not whole,
 * as a killed run leaves it, is passed over; BRUME_E_FORMAT: another line is no JSON. Free by columns_free().
 */
brume_status columns_read(const char *path, const char *const *keys, int n_keys, struct column *columns);
void columns_free(struct column *columns, int n);

#endif
