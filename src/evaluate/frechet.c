/* SPDX-License-Identifier: MIT
 * The Frechet distance of two normal distributions. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/fail.h"
#include "config.h"
#include "evaluate/feature_stats.h"
#include "evaluate/pairs.h"

#if BRUME_HAVE_LAPACK
#include <lapacke.h>

/* Eigenvalues of the symmetric a (d, d), ascending; with vectors, a becomes them, one a row (LAPACK counts in columns). */
static brume_status eigen(double *a, int64_t d, int vectors, double *values)
{
    const lapack_int info = LAPACKE_dsyevd(LAPACK_COL_MAJOR, vectors ? 'V' : 'N', 'U', (lapack_int)d, a, (lapack_int)d, values);
    if (info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR)
        return brume_fail(BRUME_E_MEMORY, "out of memory for the eigenvalues of a covariance of %lld features", (long long)d);
    if (info)
        return brume_fail(BRUME_E_NUMERIC, "LAPACK's dsyevd did not converge for a covariance of %lld features (info %d)",
                          (long long)d, (int)info);
    return BRUME_OK;
}
#else
static brume_status eigen(double *a, int64_t d, int vectors, double *values)
{
    (void)a, (void)d, (void)vectors, (void)values;
    return brume_fail(BRUME_E_UNSUPPORTED, "Frechet distances need LAPACK, which this build of brume has not: install liblapacke "
                                           "(Debian: liblapacke-dev) and build again with -Dlapack=enabled; KID needs none");
}
#endif

int brume_frechet_available(void) { return BRUME_HAVE_LAPACK; }

/* c = a b^T for (d, d) matrices: row i. */
struct product { const double *a, *b; double *c; int64_t d; };

static void product_row(void *ctx, int64_t i, int thread)
{
    (void)thread;
    const struct product *p = ctx;
    const double *a = p->a + i * p->d;
    for (int64_t j = 0; j < p->d; j++) {
        const double *b = p->b + j * p->d;
        double s[4] = { 0 }, rest = 0;
        int64_t k = 0;
        for (; k + 4 <= p->d; k += 4)
            for (int q = 0; q < 4; q++) s[q] += a[k + q] * b[k + q];
        for (; k < p->d; k++) rest += a[k] * b[k];
        p->c[i * p->d + j] = (s[0] + s[1]) + (s[2] + s[3]) + rest;
    }
}

static brume_status product(const double *a, const double *b, double *c, int64_t d)
{
    struct product p = { a, b, c, d };
    return brume_rows_run(d, product_row, &p);
}

/* Eigenvalues above what rounding makes of 0. */
static int64_t rank_of(const double *values, int64_t d)
{
    const double least = values[d - 1] * (double)d * DBL_EPSILON;
    int64_t rank = 0;
    for (int64_t i = 0; i < d; i++) rank += values[i] > least;
    return rank;
}

/* Rows of a, the eigenvectors of S1, times the square roots of their eigenvalues: B^T with B B^T = S1. */
static void scale_rows(double *a, const double *values, int64_t d)
{
    for (int64_t i = 0; i < d; i++) {
        const double root = sqrt(fmax(values[i], 0));
        for (int64_t j = 0; j < d; j++) a[i * d + j] *= root;
    }
}

/* tr((S1 S2)^(1/2)); s1 and s2 are overwritten. room (2 d^2 + d) */
static brume_status trace_of_root(double *s1, double *s2, int64_t d, double *room, int64_t rank[2], double *trace)
{
    double *half = room, *whole = room + d * d, *values = whole + d * d;
    brume_status s = eigen(s1, d, 1, values);
    if (s != BRUME_OK) return s;
    rank[0] = rank_of(values, d);
    scale_rows(s1, values, d);
    s = product(s1, s2, half, d);                               /* B^T S2, as S2 is symmetric */
    if (s == BRUME_OK) s = product(half, s1, whole, d);         /* B^T S2 B */
    if (s == BRUME_OK) s = eigen(s2, d, 0, values);
    if (s == BRUME_OK) rank[1] = rank_of(values, d);
    if (s == BRUME_OK) s = eigen(whole, d, 0, values);
    *trace = 0;
    for (int64_t i = 0; s == BRUME_OK && i < d; i++) *trace += sqrt(fmax(values[i], 0));
    return s;
}

brume_status brume_frechet_distance(const brume_feature_stats *a, const brume_feature_stats *b, brume_frechet *out)
{
    const int64_t d = a->dims;
    *out = (brume_frechet){ 0 };
    if (b->dims != d)
        return brume_fail(BRUME_E_SHAPE, "Frechet distance: features of %lld and of %lld values", (long long)d,
                          (long long)b->dims);
    double *s1 = malloc((size_t)(4 * d * d + d) * sizeof *s1), *s2 = s1 ? s1 + d * d : NULL;
    if (!s1) return brume_fail(BRUME_E_MEMORY, "out of memory for the Frechet distance of %lld features", (long long)d);
    brume_status s = brume_feature_stats_get(a, NULL, s1);
    if (s == BRUME_OK) s = brume_feature_stats_get(b, NULL, s2);
    double trace = 0, root = 0;
    for (int64_t i = 0; s == BRUME_OK && i < d; i++) {
        out->means += (a->mean[i] - b->mean[i]) * (a->mean[i] - b->mean[i]);
        trace += s1[i * d + i] + s2[i * d + i];
    }
    if (s == BRUME_OK) s = trace_of_root(s1, s2, d, s2 + d * d, out->rank, &root);
    free(s1);
    out->covariances = trace - 2 * root;
    out->distance = out->means + out->covariances;
    return s;
}
