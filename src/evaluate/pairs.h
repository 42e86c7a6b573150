/* SPDX-License-Identifier: MIT
 * Sums over pairs of feature rows, and loops over rows on all cores. */
#ifndef BRUME_EVALUATE_PAIRS_H
#define BRUME_EVALUATE_PAIRS_H

#include <stdint.h>

#include "brume/status.h"

/* Sum of (a - b)^2, and of a b: eight sums in double whose order depends on n alone. */
double brume_pair_distance2(const float *a, const float *b, int64_t n);
double brume_pair_dot(const float *a, const float *b, int64_t n);

/* Calls fn(ctx, i, thread) for i < n on all cores. */
brume_status brume_rows_run(int64_t n, void (*fn)(void *ctx, int64_t i, int thread), void *ctx);

/* BRUME_E_NUMERIC names the first of n rows that is not finite. */
brume_status brume_rows_check(const float *rows, int64_t n, int64_t dims, const char *what);

#endif
