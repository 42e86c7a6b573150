/* SPDX-License-Identifier: MIT
 * KID: the maximum mean discrepancy of features with a polynomial kernel. */
#include <math.h>
#include <stdlib.h>

#include "base/fail.h"
#include "brume/evaluate.h"
#include "brume/rng.h"
#include "evaluate/pairs.h"

struct sides { const float *x, *y; const int64_t *ix, *iy; int64_t size, dims; double *row; };

static double kernel(const float *a, const float *b, int64_t dims)
{
    const double k = brume_pair_dot(a, b, dims) / (double)dims + 1;
    return k * k * k;
}

/* What row i of both sides adds to the sum. */
static void row_sum(void *ctx, int64_t i, int thread)
{
    (void)thread;
    const struct sides *s = ctx;
    const int64_t d = s->dims;
    const float *x = s->x + s->ix[i] * d, *y = s->y + s->iy[i] * d;
    double within = 0, across = 0;
    for (int64_t j = 0; j < s->size; j++) {
        const float *other = s->y + s->iy[j] * d;
        if (j > i) within += kernel(x, s->x + s->ix[j] * d, d) + kernel(y, other, d);
        across += kernel(x, other, d);
    }
    const double n = (double)s->size;
    s->row[i] = 2 * within / (n * (n - 1)) - 2 * across / (n * n);
}

/* size of n numbers without repetition: the first steps of a Fisher-Yates shuffle. */
static void choose(int64_t *index, int64_t n, int64_t size, uint64_t seed)
{
    for (int64_t i = 0; i < n; i++) index[i] = i;
    for (int64_t i = 0; i < size; i++) {
        const int64_t j = i + (int64_t)(brume_seed_mix(seed, (uint64_t)i) % (uint64_t)(n - i)), at = index[i];
        index[i] = index[j];
        index[j] = at;
    }
}

static brume_status check(const float *x, int64_t n, const float *y, int64_t m, int64_t dims, const brume_kid_options *o,
                          int64_t size)
{
    const int64_t least = n < m ? n : m;
    if (dims < 1 || o->subsets < 0 || o->size < 0)
        return brume_fail(BRUME_E_ARG, "KID: expected features and subsets of positive size");
    if (least < 2)
        return brume_fail(BRUME_E_ARG, "KID: expected at least 2 images on each side, got %lld and %lld", (long long)n,
                          (long long)m);
    if (size < 2 || size > least)
        return brume_fail(BRUME_E_ARG,
                          "KID: subsets of %lld images, but there are %lld and %lld; expected 2 or more, and no more than that",
                          (long long)size, (long long)n, (long long)m);
    const brume_status s = brume_rows_check(x, n, dims, "KID");
    return s == BRUME_OK ? brume_rows_check(y, m, dims, "KID") : s;
}

brume_status brume_kid_distance(const float *x, int64_t n, const float *y, int64_t m, int64_t dims,
                                const brume_kid_options *options, brume_kid *out)
{
    const brume_kid_options o = options ? *options : (brume_kid_options){ 0 };
    const int64_t least = n < m ? n : m, size = o.size ? o.size : least < 1000 ? least : 1000;
    brume_status s = check(x, n, y, m, dims, &o, size);
    *out = (brume_kid){ .subsets = o.subsets ? o.subsets : 100, .size = size };
    if (s != BRUME_OK) return s;
    if (size == n && size == m) out->subsets = 1; /* all others would be the same sum */
    int64_t *index = malloc((size_t)(n + m) * sizeof *index);
    double *row = malloc((size_t)size * sizeof *row), *of_subset = malloc((size_t)out->subsets * sizeof *of_subset);
    if (!index || !row || !of_subset) s = brume_fail(BRUME_E_MEMORY, "out of memory for KID");
    for (int32_t k = 0; s == BRUME_OK && k < out->subsets; k++) {
        struct sides sides = { x, y, index, index + n, size, dims, row };
        choose(index, n, size, brume_seed_mix(o.seed, (uint64_t)(2 * k)));
        choose(index + n, m, size, brume_seed_mix(o.seed, (uint64_t)(2 * k + 1)));
        s = brume_rows_run(size, row_sum, &sides);
        of_subset[k] = 0;
        for (int64_t i = 0; i < size; i++) of_subset[k] += row[i];
        out->mean += of_subset[k] / out->subsets;
    }
    for (int32_t k = 0; s == BRUME_OK && k < out->subsets; k++)
        out->std += (of_subset[k] - out->mean) * (of_subset[k] - out->mean) / out->subsets;
    out->std = sqrt(out->std);
    free(index);
    free(row);
    free(of_subset);
    return s;
}
