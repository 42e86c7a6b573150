/* SPDX-License-Identifier: MIT
 * Precision, recall, density and coverage from k-nearest-neighbour balls. */
#include <math.h>
#include <stdlib.h>

#include "base/fail.h"
#include "brume/evaluate.h"
#include "evaluate/pairs.h"

enum { MOST = 64 }; /* neighbours */

/* Squared radii of the balls of a's rows. */
struct balls { const float *a; int64_t n, dims; int32_t k; double *radius2; };

/* The k-th smallest distance to the others, by insertion: k is small. */
static void radius(void *ctx, int64_t i, int thread)
{
    (void)thread;
    const struct balls *b = ctx;
    double near[MOST];
    for (int32_t q = 0; q < b->k; q++) near[q] = INFINITY;
    for (int64_t j = 0; j < b->n; j++) {
        if (j == i) continue;
        const double d = brume_pair_distance2(b->a + i * b->dims, b->a + j * b->dims, b->dims);
        int32_t at = b->k;
        for (; at > 0 && d < near[at - 1]; at--)
            if (at < b->k) near[at] = near[at - 1];
        if (at < b->k) near[at] = d;
    }
    b->radius2[i] = near[b->k - 1];
}

/* How many of the balls `other` a point lies in, and whether its own ball holds one of the other kind. */
struct meeting { const float *a, *b; int64_t m, dims; const double *own2, *other2; int64_t *inside, *holds; };

static void meet(void *ctx, int64_t i, int thread)
{
    (void)thread;
    const struct meeting *w = ctx;
    w->inside[i] = w->holds[i] = 0;
    for (int64_t j = 0; j < w->m; j++) {
        const double d = brume_pair_distance2(w->a + i * w->dims, w->b + j * w->dims, w->dims);
        w->inside[i] += d <= w->other2[j];
        w->holds[i] |= d <= w->own2[i];
    }
}

static brume_status run(const float *real, int64_t n, const float *fake, int64_t m, int64_t dims, int32_t k, double *radii,
                        int64_t *counts, brume_prdc *out)
{
    struct balls of_real = { real, n, dims, k, radii }, of_fake = { fake, m, dims, k, radii + n };
    struct meeting reals = { real, fake, m, dims, radii, radii + n, counts, counts + n };
    struct meeting fakes = { fake, real, n, dims, radii + n, radii, counts + 2 * n, counts + 2 * n + m };
    brume_status s = brume_rows_run(n, radius, &of_real);
    if (s == BRUME_OK) s = brume_rows_run(m, radius, &of_fake);
    if (s == BRUME_OK) s = brume_rows_run(n, meet, &reals);
    if (s == BRUME_OK) s = brume_rows_run(m, meet, &fakes);
    for (int64_t i = 0; s == BRUME_OK && i < n; i++) {
        out->recall += reals.inside[i] > 0;
        out->coverage += (double)reals.holds[i];
    }
    for (int64_t j = 0; s == BRUME_OK && j < m; j++) {
        out->precision += fakes.inside[j] > 0;
        out->density += (double)fakes.inside[j];
    }
    out->precision /= (double)m;
    out->density /= (double)k * (double)m;
    out->recall /= (double)n;
    out->coverage /= (double)n;
    return s;
}

brume_status brume_prdc_compute(const float *real, int64_t n, const float *fake, int64_t m, int64_t dims, int32_t k,
                                brume_prdc *out)
{
    *out = (brume_prdc){ 0 };
    if (k < 1 || k > MOST || dims < 1)
        return brume_fail(BRUME_E_ARG, "precision and recall: expected 1 to %d neighbours, got %d", MOST, (int)k);
    if (n <= k || m <= k)
        return brume_fail(
            BRUME_E_ARG,
            "precision and recall with %d neighbours need more than that many images on each side, got %lld and %lld", (int)k,
            (long long)n, (long long)m);
    brume_status s = brume_rows_check(real, n, dims, "precision and recall");
    if (s == BRUME_OK) s = brume_rows_check(fake, m, dims, "precision and recall");
    if (s != BRUME_OK) return s;
    double *radii = malloc((size_t)(n + m) * sizeof *radii);
    int64_t *counts = malloc((size_t)(2 * (n + m)) * sizeof *counts);
    s = radii && counts ? run(real, n, fake, m, dims, k, radii, counts, out)
                        : brume_fail(BRUME_E_MEMORY, "out of memory for precision and recall");
    free(radii);
    free(counts);
    return s;
}
