/* SPDX-License-Identifier: MIT
 * Loaders: the shuffled sequence of a data set, read at once or by a thread ahead of the caller. */
#include <stdlib.h>
#include <time.h>

#include "base/fail.h"
#include "data/ahead.h"

struct brume_loader {
    struct brume_shuffled items;
    struct brume_ahead *ahead; /* NULL: batches are read when they are asked for */
    double waited;
};

brume_status brume_loader_new(const brume_dataset *ds, uint64_t seed, brume_loader **out)
{
    *out = NULL;
    brume_loader *l = calloc(1, sizeof *l);
    if (!l) return brume_fail(BRUME_E_MEMORY, "loader: no memory");
    const brume_status s = brume_shuffled_open(&l->items, ds, seed);
    if (s == BRUME_OK) *out = l;
    else free(l);
    return s;
}

void brume_loader_free(brume_loader *l)
{
    if (!l) return;
    brume_ahead_free(l->ahead); /* its thread uses the rest */
    brume_shuffled_close(&l->items);
    free(l);
}

brume_status brume_loader_index(brume_loader *l, int64_t position, int64_t *index)
{
    return brume_shuffled_index(&l->items, position, index);
}

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

brume_status brume_loader_read(brume_loader *l, int64_t first, int64_t n, float *images, int64_t *labels, int64_t *indices)
{
    const double start = now();
    const brume_status s = l->ahead && images ? brume_ahead_read(l->ahead, first, n, images, labels, indices)
                                              : brume_shuffled_read(&l->items, NULL, first, n, images, labels, indices);
    l->waited += now() - start;
    return s;
}

brume_status brume_loader_ahead(brume_loader *l)
{
    if (l->ahead || l->items.ds->threads < 0) return BRUME_OK;
    return brume_ahead_new(&l->items, l->items.ds->threads ? l->items.ds->threads : 1, &l->ahead);
}

void brume_loader_share(brume_loader *l, int64_t share, int64_t every)
{
    l->items.share = share;
    l->items.every = every;
}

double brume_loader_waited(const brume_loader *l) { return l->waited; }
