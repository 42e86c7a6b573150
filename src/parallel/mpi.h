/* SPDX-License-Identifier: MIT
 * What the files over MPI share. */
#ifndef BRUME_PARALLEL_MPI_H
#define BRUME_PARALLEL_MPI_H

#include <mpi.h>

#include "brume/parallel.h"

struct brume_parallel {
    int rank, size, local_rank, threads;
    int level; /* what threads may do: MPI_THREAD_... */
};

/* code as a status; what: for the message. */
brume_status brume_mpi_check(int code, const char *what);

#endif
