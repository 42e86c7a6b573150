/* SPDX-License-Identifier: MIT
 * Several processes that work on one thing together: those that mpirun started. NULL stands for one process everywhere. */
#ifndef BRUME_PARALLEL_H
#define BRUME_PARALLEL_H

#include <stddef.h>
#include <stdint.h>

#include "brume/status.h"

typedef struct brume_parallel brume_parallel;

/** Ranks that this process was started with, by what mpirun or srun says in the environment; 1: by none of them. */
int brume_parallel_started(void);

/**
 * Joins the ranks. *out is NULL for a process that was started alone, which never touches MPI. Once per process.
 * BRUME_E_UNSUPPORTED: started with several ranks, but built without MPI (meson setup -Dmpi=enabled), or by another MPI's mpirun.
 */
brume_status brume_parallel_open(brume_parallel **out);
/** Leaves; status 0: after all others have come here, too. Any other ends all ranks at once, with that exit status: print the message before. */
void brume_parallel_close(brume_parallel *p, int status);

int brume_parallel_rank(const brume_parallel *p);       /**< 0 .. size - 1 */
int brume_parallel_size(const brume_parallel *p);
int brume_parallel_local_rank(const brume_parallel *p); /**< among the ranks of this machine */
/** Threads for this rank so that those that share its processor cores get equally many, 1 at least; 0 for NULL. */
int brume_parallel_threads(const brume_parallel *p);

/**
 * Where a vector that is to be summed really is: called with n of its values from `first` on. back 0: fetch them into values; 1: values are the sums,
 * put them back.
 */
typedef struct brume_parallel_place {
    brume_status (*copy)(void *ctx, int64_t first, int64_t n, float *values, int back);
    void *ctx;
} brume_parallel_place;

/**
 * x[i] becomes the sum of all ranks' x[i], with the same bits on all of them. In buckets of 4 MiB: while one is on the way, the next is
 * fetched. place: NULL, or where x is; then x is room for n values. Every rank must call with the same n.
 */
brume_status brume_parallel_sum(brume_parallel *p, float *x, int64_t n, const brume_parallel_place *place);
/** The same of a few numbers in double. */
brume_status brume_parallel_sum_f64(brume_parallel *p, double *x, int n);
/** Rank root's bytes go to all. */
brume_status brume_parallel_broadcast(brume_parallel *p, int root, void *x, size_t bytes);

#endif
