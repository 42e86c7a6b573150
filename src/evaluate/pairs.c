/* SPDX-License-Identifier: MIT
 * Sums over pairs of feature rows, and loops over rows on all cores. */
#include "evaluate/pairs.h"

#include <math.h>
#include <stddef.h>

#include "base/fail.h"
#include "base/pool.h"

#define LANES 8

static double total(const double *s, double rest)
{
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7])) + rest;
}

double brume_pair_distance2(const float *a, const float *b, int64_t n)
{
    double s[LANES] = { 0 }, rest = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++) {
            const double d = (double)a[i + j] - (double)b[i + j];
            s[j] += d * d;
        }
    for (; i < n; i++) rest += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return total(s, rest);
}

double brume_pair_dot(const float *a, const float *b, int64_t n)
{
    double s[LANES] = { 0 }, rest = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++) s[j] += (double)a[i + j] * (double)b[i + j];
    for (; i < n; i++) rest += (double)a[i] * (double)b[i];
    return total(s, rest);
}

brume_status brume_rows_run(int64_t n, void (*fn)(void *ctx, int64_t i, int thread), void *ctx)
{
    brume_pool *pool = NULL;
    const brume_status s = brume_pool_new(0, &pool);
    if (s == BRUME_OK) brume_pool_run(pool, n, fn, ctx);
    brume_pool_free(pool);
    return s;
}

brume_status brume_rows_check(const float *rows, int64_t n, int64_t dims, const char *what)
{
    for (int64_t i = 0; i < n * dims; i++)
        if (!isfinite(rows[i]))
            return brume_fail(BRUME_E_NUMERIC, "%s: value %lld of row %lld is %g; expected finite features", what,
                              (long long)(i % dims), (long long)(i / dims), (double)rows[i]);
    return BRUME_OK;
}
