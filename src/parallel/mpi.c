/* SPDX-License-Identifier: MIT
 * Ranks over MPI. All calls come from the thread that opened it, but for those of sums.c, which never come at the same time. */
#include <stdlib.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

#include "base/fail.h"
#include "parallel/mpi.h"

brume_status brume_mpi_check(int code, const char *what)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length;
    if (code == MPI_SUCCESS) return BRUME_OK;
    MPI_Error_string(code, text, &length);
    return brume_fail(BRUME_E_IO, "MPI: %s failed: %s", what, text);
}

#ifdef __linux__
/* Launchers may bind ranks to cores, each to its own or several to the same: cores that this one may use, over the ranks that may
 * use just these. */
static brume_status share_cores(MPI_Comm local, int ranks, int *threads)
{
    cpu_set_t own, *all = malloc((size_t)ranks * sizeof *all);
    int same = 0;
    if (!all) return brume_fail(BRUME_E_MEMORY, "MPI: out of memory");
    CPU_ZERO(&own);
    /* more cores than a set holds: one thread, unless --threads says more */
    if (sched_getaffinity(0, sizeof own, &own)) CPU_SET(0, &own);
    const brume_status s = brume_mpi_check(MPI_Allgather(&own, sizeof own, MPI_BYTE, all, sizeof own, MPI_BYTE, local),
                                           "asking which cores the others have");
    for (int i = 0; s == BRUME_OK && i < ranks; i++) same += CPU_EQUAL(&own, &all[i]) ? 1 : 0;
    free(all);
    *threads = same ? CPU_COUNT(&own) / same : 1;
    return s;
}
#else
static brume_status share_cores(MPI_Comm local, int ranks, int *threads)
{
    (void)local;
    *threads = (int)(sysconf(_SC_NPROCESSORS_ONLN) / ranks);
    return BRUME_OK;
}
#endif

static brume_status look_around(struct brume_parallel *p)
{
    MPI_Comm local;
    int ranks = 1;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &p->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &p->size);
    if (p->size != brume_parallel_started())
        return brume_fail(BRUME_E_UNSUPPORTED,
                          "started with %d ranks, but the MPI library sees %d: mpirun belongs to another MPI than the one that "
                          "brume was built with",
                          brume_parallel_started(), p->size);
    brume_status s = brume_mpi_check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local),
                                     "finding the ranks of this machine");
    if (s != BRUME_OK) return s;
    MPI_Comm_rank(local, &p->local_rank);
    MPI_Comm_size(local, &ranks);
    s = share_cores(local, ranks, &p->threads);
    if (p->threads < 1) p->threads = 1;
    MPI_Comm_free(&local);
    return s;
}

brume_status brume_parallel_open(brume_parallel **out)
{
    *out = NULL;
    if (brume_parallel_started() == 1) return BRUME_OK;
    struct brume_parallel *p = calloc(1, sizeof *p);
    if (!p) return brume_fail(BRUME_E_MEMORY, "MPI: out of memory");
    brume_status s = brume_mpi_check(MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &p->level), "MPI_Init");
    if (s == BRUME_OK && p->level < MPI_THREAD_FUNNELED)
        s = brume_fail(BRUME_E_UNSUPPORTED, "MPI: this library cannot be used by programs with threads");
    if (s == BRUME_OK) s = look_around(p);
    if (s == BRUME_OK) *out = p;
    else free(p);
    return s;
}

void brume_parallel_close(brume_parallel *p, int status)
{
    if (!p) return;
    if (status) MPI_Abort(MPI_COMM_WORLD, status);
    MPI_Finalize();
    free(p);
}

int brume_parallel_rank(const brume_parallel *p) { return p ? p->rank : 0; }
int brume_parallel_size(const brume_parallel *p) { return p ? p->size : 1; }
int brume_parallel_local_rank(const brume_parallel *p) { return p ? p->local_rank : 0; }
int brume_parallel_threads(const brume_parallel *p) { return p ? p->threads : 0; }

brume_status brume_parallel_sum(brume_parallel *p, float *x, int64_t n)
{
    const int64_t piece = (int64_t)1 << 28; /* counts are int */
    brume_status s = BRUME_OK;
    for (int64_t at = 0; p && s == BRUME_OK && at < n; at += piece)
        s = brume_mpi_check(MPI_Allreduce(MPI_IN_PLACE, x + at, (int)(n - at < piece ? n - at : piece), MPI_FLOAT, MPI_SUM,
                                          MPI_COMM_WORLD),
                            "summing over ranks");
    return s;
}

brume_status brume_parallel_sum_f64(brume_parallel *p, double *x, int n)
{
    return p ? brume_mpi_check(MPI_Allreduce(MPI_IN_PLACE, x, n, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD), "summing over ranks")
             : BRUME_OK;
}

brume_status brume_parallel_broadcast(brume_parallel *p, int root, void *x, size_t bytes)
{
    const size_t piece = (size_t)1 << 28; /* counts are int */
    brume_status s = BRUME_OK;
    for (size_t at = 0; p && s == BRUME_OK && at < bytes; at += piece)
        s = brume_mpi_check(MPI_Bcast((char *)x + at, (int)(bytes - at < piece ? bytes - at : piece), MPI_BYTE, root,
                                      MPI_COMM_WORLD),
                            "sending to all ranks");
    return s;
}
