/* SPDX-License-Identifier: MIT
 * What ranks tell each other in a training step. */
#ifndef BRUME_TRAIN_RANKS_H
#define BRUME_TRAIN_RANKS_H

#include "brume/parallel.h"
#include "brume/plan.h"

/* A part of the gradient that is summed over ranks by itself. */
struct brume_bucket { int64_t first, n; int ready; }; /* values; steps of the plan after which it is complete */

/* The gradient of several ranks: buckets from the end of the slab to its beginning, as the backward pass fills it. */
struct brume_ranks {
    brume_parallel *parallel;  /* NULL: one process, for which there is nothing to do */
    brume_parallel_sums *sums;
    brume_plan *plan;          /* of the gradient */
    brume_buffer *buffer;      /* in which the plan sums it up */
    float *values, *own;       /* on the host: the buffer's own memory, or room for a copy */
    int64_t n;
    struct brume_bucket *buckets;
    int n_buckets;
};

/* grad: the slab of plan that holds the gradient, n values. ranks stays empty for parallel NULL. */
brume_status brume_ranks_open(struct brume_ranks *ranks, brume_parallel *parallel, brume_plan *plan, brume_tensor grad,
                              int64_t n);
void brume_ranks_close(struct brume_ranks *ranks);
/* Runs the plan; the sum of each bucket starts as soon as its steps have run. */
brume_status brume_ranks_run(struct brume_ranks *ranks);
/* Waits for the sums, which then are the gradient. seconds: how long. */
brume_status brume_ranks_wait(struct brume_ranks *ranks, double *seconds);
/* The norm of that; a NaN or an infinity anywhere shows. */
float brume_ranks_norm(const struct brume_ranks *ranks);
/* Fails where ranks have resumed from different states. */
brume_status brume_ranks_same_step(brume_parallel *p, int64_t done);
/* Where the buckets of a gradient of n values begin and end; at most `most` into buckets, those that there are are returned. */
int brume_ranks_cut(int64_t n, struct brume_bucket *buckets, int most);

#endif
