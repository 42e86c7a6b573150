/* SPDX-License-Identifier: MIT
 * Mean and covariance of features that come in parts. */
#include "evaluate/feature_stats.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "evaluate/pairs.h"

brume_status brume_feature_stats_new(int64_t dims, brume_feature_stats **out)
{
    *out = NULL;
    if (dims < 1 || dims > 65536)
        return brume_fail(BRUME_E_ARG, "statistics of features: expected 1 to 65536 values each, got %lld", (long long)dims);
    brume_feature_stats *s = calloc(1, sizeof *s);
    if (s) {
        s->dims = dims;
        s->mean = calloc((size_t)dims, sizeof *s->mean);
        s->moment = calloc((size_t)(dims * dims), sizeof *s->moment);
    }
    if (!s || !s->mean || !s->moment) {
        brume_feature_stats_free(s);
        return brume_fail(BRUME_E_MEMORY, "out of memory for the covariance of %lld features", (long long)dims);
    }
    *out = s;
    return BRUME_OK;
}

void brume_feature_stats_free(brume_feature_stats *s)
{
    if (!s) return;
    free(s->mean);
    free(s->moment);
    free(s);
}

int64_t brume_feature_stats_count(const brume_feature_stats *s) { return s->n; }

/* shifted: the part's rows minus its mean; shift: its mean minus the mean so far */
struct part { brume_feature_stats *s; const double *shifted, *shift; int64_t n; };

/* Row i of the upper triangle: what the part's rows vary, and what the two means lie apart. */
static void add_row(void *ctx, int64_t i, int thread)
{
    (void)thread;
    const struct part *p = ctx;
    const int64_t d = p->s->dims;
    double *m = p->s->moment + i * d;
    const double between = p->shift[i] * (double)p->s->n * (double)p->n / (double)(p->s->n + p->n);
    for (int64_t j = i; j < d; j++) m[j] += between * p->shift[j];
    for (int64_t r = 0; r < p->n; r++) {
        const double *x = p->shifted + r * d, xi = x[i];
        for (int64_t j = i; j < d; j++) m[j] += xi * x[j];
    }
}

/* Parts of this many rows at once, whatever the caller brings: the order of sums shall not depend on that alone. */
enum { PART = 256 };

static brume_status add_part(brume_feature_stats *s, const float *rows, int64_t n, double *room)
{
    const int64_t d = s->dims;
    double *mean = room, *shift = room + d, *shifted = room + 2 * d;
    memset(mean, 0, (size_t)d * sizeof *mean);
    for (int64_t r = 0; r < n; r++)
        for (int64_t j = 0; j < d; j++) mean[j] += (double)rows[r * d + j];
    for (int64_t j = 0; j < d; j++) {
        mean[j] /= (double)n;
        shift[j] = mean[j] - s->mean[j];
    }
    for (int64_t r = 0; r < n; r++)
        for (int64_t j = 0; j < d; j++) shifted[r * d + j] = (double)rows[r * d + j] - mean[j];
    struct part p = { s, shifted, shift, n };
    const brume_status st = brume_rows_run(d, add_row, &p);
    if (st != BRUME_OK) return st;
    for (int64_t j = 0; j < d; j++) s->mean[j] += shift[j] * (double)n / (double)(s->n + n);
    s->n += n;
    return BRUME_OK;
}

brume_status brume_feature_stats_add(brume_feature_stats *s, const float *features, int64_t n)
{
    brume_status st = brume_rows_check(features, n, s->dims, "features");
    if (st != BRUME_OK || n < 1) return st;
    double *room = malloc((size_t)((PART + 2) * s->dims) * sizeof *room);
    if (!room) return brume_fail(BRUME_E_MEMORY, "out of memory for statistics of features");
    for (int64_t i = 0; st == BRUME_OK && i < n; i += PART)
        st = add_part(s, features + i * s->dims, n - i < PART ? n - i : PART, room);
    free(room);
    return st;
}

brume_status brume_feature_stats_get(const brume_feature_stats *s, double *mean, double *covariance)
{
    const int64_t d = s->dims;
    if (s->n < 1) return brume_fail(BRUME_E_ARG, "statistics of features: there are no rows");
    if (mean) memcpy(mean, s->mean, (size_t)d * sizeof *mean);
    for (int64_t i = 0; covariance && i < d; i++)
        for (int64_t j = 0; j < d; j++)
            covariance[i * d + j] = s->n > 1 ? s->moment[i <= j ? i * d + j : j * d + i] / (double)(s->n - 1) : 0;
    return BRUME_OK;
}
