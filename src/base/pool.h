/* SPDX-License-Identifier: MIT
 * A thread pool for data-parallel loops. Work is cut into tasks by the caller, never by the thread count, so results do not
 * depend on it. */
#ifndef BRUME_BASE_POOL_H
#define BRUME_BASE_POOL_H

#include <stdint.h>

#include "brume/status.h"

typedef struct brume_pool brume_pool;

/** threads: total including the caller; 0 = one per core that the process may use. */
brume_status brume_pool_new(int threads, brume_pool **out);
void brume_pool_free(brume_pool *p);
int brume_pool_threads(const brume_pool *p);

/**
 * Calls fn(ctx, task, thread) for every task 0..n-1, on all threads, and returns when all are done. thread is below both the
 * number of threads and n (for scratch memory). Tasks are handed out dynamically in ascending order. Not reentrant. p may be
 * NULL: runs in the caller.
 */
void brume_pool_run(brume_pool *p, int64_t n, void (*fn)(void *ctx, int64_t task, int thread), void *ctx);

#endif
