/* SPDX-License-Identifier: MIT
 * Nearest neighbours, found by comparing all. */
#include <math.h>

#include "base/fail.h"
#include "brume/evaluate.h"
#include "evaluate/pairs.h"

void brume_neighbours_clear(brume_neighbour *found, int64_t n, int32_t k)
{
    for (int64_t i = 0; i < n * k; i++) found[i] = (brume_neighbour){ -1, INFINITY };
}

struct search { const float *queries, *points; brume_neighbour *found; int64_t m, dims, first; int32_t k; };

static void row(void *ctx, int64_t i, int thread)
{
    (void)thread;
    const struct search *s = ctx;
    brume_neighbour *found = s->found + i * s->k, *last = found + s->k - 1;
    for (int64_t j = 0; j < s->m; j++) {
        const brume_neighbour b = { s->first + j, sqrt(brume_pair_distance2(s->queries + i * s->dims,
                                                                            s->points + j * s->dims, s->dims)) };
        if (!(b.distance < last->distance || (b.distance == last->distance && (last->index < 0 || b.index < last->index))))
            continue;
        brume_neighbour *at = last;
        for (; at > found &&
               (b.distance < at[-1].distance || (b.distance == at[-1].distance && (at[-1].index < 0 || b.index < at[-1].index)));
             at--)
            *at = at[-1];
        *at = b;
    }
}

brume_status brume_neighbours_add(const float *queries, int64_t n, const float *points, int64_t m, int64_t dims, int64_t first,
                                  int32_t k, brume_neighbour *found)
{
    if (dims < 1 || k < 1 || n < 0 || m < 0 || first < 0)
        return brume_fail(BRUME_E_ARG, "nearest neighbours: expected at least one neighbour of rows with at least one value");
    brume_status s = brume_rows_check(queries, n, dims, "nearest neighbours, queries");
    if (s == BRUME_OK) s = brume_rows_check(points, m, dims, "nearest neighbours, points");
    struct search search = { queries, points, found, m, dims, first, k };
    return s == BRUME_OK ? brume_rows_run(n, row, &search) : s;
}
