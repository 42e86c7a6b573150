/* SPDX-License-Identifier: MIT
 * A thread that prepares the next batches of a sequence while the caller works with the last one. */
#ifndef BRUME_DATA_AHEAD_H
#define BRUME_DATA_AHEAD_H

#include "data/shuffled.h"

struct brume_ahead;

/* l must outlive it. */
brume_status brume_ahead_new(struct brume_shuffled *l, int threads, struct brume_ahead **out);
void brume_ahead_free(struct brume_ahead *a);
brume_status brume_ahead_read(struct brume_ahead *a, int64_t first, int64_t n, float *images, int64_t *labels, int64_t *indices);

#endif
