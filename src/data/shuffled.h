/* SPDX-License-Identifier: MIT
 * The shuffled sequence of a data set, which a loader and the thread that prepares its batches read. */
#ifndef BRUME_DATA_SHUFFLED_H
#define BRUME_DATA_SHUFFLED_H

#include <pthread.h>

#include "data/dataset.h"

struct brume_pool;

struct brume_shuffled {
    const brume_dataset *ds;
    uint64_t seed;
    pthread_mutex_t mutex;       /* of the order, which caller and thread look up */
    int64_t epoch[2], *order[2]; /* a batch may lie in two epochs: even and odd ones have a place each */
    int64_t share, every;        /* 0: all positions are this reader's */
};

/* l must not move while it is open. After a failure there is nothing to close. */
brume_status brume_shuffled_open(struct brume_shuffled *l, const brume_dataset *ds, uint64_t seed);
void brume_shuffled_close(struct brume_shuffled *l);

/* Item number at a position >= 0. */
brume_status brume_shuffled_index(struct brume_shuffled *l, int64_t position, int64_t *index);

/* Reads a batch at once, with the threads of the pool (NULL: alone). */
brume_status brume_shuffled_read(struct brume_shuffled *l, struct brume_pool *pool, int64_t first, int64_t n, float *images,
                                 int64_t *labels, int64_t *indices);

/* Where the batch after that of n positions from first on begins. */
int64_t brume_shuffled_after(const struct brume_shuffled *l, int64_t first, int64_t n);

#endif
