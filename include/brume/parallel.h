/* SPDX-License-Identifier: MIT
 * Several processes that work on one thing together: those that mpirun started. NULL stands for one process everywhere. */
#ifndef BRUME_PARALLEL_H
#define BRUME_PARALLEL_H

#include <stddef.h>
#include <stdint.h>

#include "brume/api.h"
#include "brume/status.h"

BRUME_API_BEGIN

/** The ranks that mpirun started, or this process alone. */
typedef struct brume_parallel brume_parallel;

/** Ranks that this process was started with, by what mpirun or srun says in the environment; 1: by none of them. */
int brume_parallel_started(void);

/**
 * Joins the ranks. *out is NULL for a process that was started alone, which never touches MPI. Once per process.
 * BRUME_E_UNSUPPORTED: started with several ranks, but built without MPI (meson setup -Dmpi=enabled), or by another MPI's mpirun.
 */
brume_status brume_parallel_open(brume_parallel **out);
/** Leaves; status 0: after all others have come here, too. Any other ends all ranks at once, with that exit status: print the
 * message before. */
void brume_parallel_close(brume_parallel *p, int status);

int brume_parallel_rank(const brume_parallel *p);       /**< 0 .. size - 1 */
/** How many ranks there are; 1 for NULL. */
int brume_parallel_size(const brume_parallel *p);
int brume_parallel_local_rank(const brume_parallel *p); /**< among the ranks of this machine */
/** Threads for this rank so that those that share its processor cores get equally many, 1 at least; 0 for NULL. */
int brume_parallel_threads(const brume_parallel *p);

/** x[i] becomes the sum of all ranks' x[i], with the same bits on all of them. Every rank must call with the same n. */
brume_status brume_parallel_sum(brume_parallel *p, float *x, int64_t n);
/** The same of a few numbers in double. */
brume_status brume_parallel_sum_f64(brume_parallel *p, double *x, int n);
/** Rank root's bytes go to all. */
brume_status brume_parallel_broadcast(brume_parallel *p, int root, void *x, size_t bytes);

/**
 * Sums that go on while the process does something else: a thread of their own, which sleeps while there are none, takes them
 * onward. From the first start to the wait for the last one, no other function of this file may be called. Where the MPI library
 * does not let another thread call it, they go on when it likes.
 */
typedef struct brume_parallel_sums brume_parallel_sums;
/** most: sums that are started before the first is waited for. *out is NULL for p NULL; the other functions take that, and do
 * nothing. */
brume_status brume_parallel_sums_new(brume_parallel *p, int most, brume_parallel_sums **out);
/** Only where all were waited for, or the program is about to end with an error. */
void brume_parallel_sums_free(brume_parallel_sums *s);
/** x[i] will become the sum of all ranks' x[i], with the same bits on all; x is not to be touched until then. All ranks start
 * sums of the same n in the same order. */
brume_status brume_parallel_sums_start(brume_parallel_sums *s, float *x, int64_t n);
/** Waits for the sum that was started first of those not waited for yet. */
brume_status brume_parallel_sums_wait(brume_parallel_sums *s);

BRUME_API_END

#endif
