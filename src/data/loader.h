/* SPDX-License-Identifier: MIT
 * Inside of a loader: order and items, and the thread that prepares batches. */
#ifndef BRUME_DATA_LOADER_H
#define BRUME_DATA_LOADER_H

#include <pthread.h>

#include "data/dataset.h"

struct brume_ahead;

struct brume_loader {
    const brume_dataset *ds;
    uint64_t seed;
    pthread_mutex_t mutex;       /* of the order, which caller and thread look up */
    int64_t epoch[2], *order[2]; /* a batch may lie in two epochs: even and odd ones have a place each */
    struct brume_ahead *ahead;   /* NULL: batches are read when they are asked for */
    double waited;
    int64_t share, every;        /* 0: all positions are this reader's */
};

/* Reads a batch at once, with `threads` of the pool (NULL: one). */
struct brume_pool;
brume_status brume_loader_fill(struct brume_loader *l, struct brume_pool *pool, int64_t first, int64_t n, float *images,
                               int64_t *labels, int64_t *indices);

/* Where the batch after that of n positions from first on begins. */
int64_t brume_loader_after(const struct brume_loader *l, int64_t first, int64_t n);

/* ahead.c */
brume_status brume_ahead_new(struct brume_loader *l, int threads, struct brume_ahead **out);
void brume_ahead_free(struct brume_ahead *a);
brume_status brume_ahead_read(struct brume_ahead *a, int64_t first, int64_t n, float *images, int64_t *labels, int64_t *indices);

#endif
