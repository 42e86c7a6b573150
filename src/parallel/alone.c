/* SPDX-License-Identifier: MIT
 * Builds without MPI: a process alone, which has nobody to talk to. */
#include "base/fail.h"
#include "brume/parallel.h"

brume_status brume_parallel_open(brume_parallel **out)
{
    *out = NULL;
    const int ranks = brume_parallel_started();
    if (ranks == 1) return BRUME_OK;
    return brume_fail(
        BRUME_E_UNSUPPORTED,
        "started with %d ranks, but this build knows no MPI: configure it with meson setup --reconfigure BUILD -Dmpi=enabled, "
        "or start it without mpirun",
        ranks);
}

void brume_parallel_close(brume_parallel *p, int status)
{
    (void)p;
    (void)status;
}

int brume_parallel_rank(const brume_parallel *p) { return (void)p, 0; }
int brume_parallel_size(const brume_parallel *p) { return (void)p, 1; }
int brume_parallel_local_rank(const brume_parallel *p) { return (void)p, 0; }
int brume_parallel_threads(const brume_parallel *p) { return (void)p, 0; }

/* The sum over one rank, and what it sends itself, are what it has. */
brume_status brume_parallel_sum(brume_parallel *p, float *x, int64_t n)
{
    (void)p, (void)x, (void)n;
    return BRUME_OK;
}

brume_status brume_parallel_sums_new(brume_parallel *p, int most, brume_parallel_sums **out)
{
    (void)p, (void)most;
    *out = NULL;
    return BRUME_OK;
}

void brume_parallel_sums_free(brume_parallel_sums *s) { (void)s; }

brume_status brume_parallel_sums_start(brume_parallel_sums *s, float *x, int64_t n)
{
    (void)s, (void)x, (void)n;
    return BRUME_OK;
}

brume_status brume_parallel_sums_wait(brume_parallel_sums *s)
{
    (void)s;
    return BRUME_OK;
}

brume_status brume_parallel_sum_f64(brume_parallel *p, double *x, int n)
{
    (void)p, (void)x, (void)n;
    return BRUME_OK;
}

brume_status brume_parallel_broadcast(brume_parallel *p, int root, void *x, size_t bytes)
{
    (void)p, (void)root, (void)x, (void)bytes;
    return BRUME_OK;
}
