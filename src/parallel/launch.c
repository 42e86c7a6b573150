/* SPDX-License-Identifier: MIT
 * Was this process started as one of several? What launchers tell in the environment. */
#include <stdlib.h>

#include "brume/parallel.h"

int brume_parallel_started(void)
{
    /* Open MPI; MPICH, Intel MPI and srun --mpi=pmi2; MVAPICH2; srun --mpi=pmix, whose number of tasks a batch script sees,
     * too. */
    static const struct { const char *ranks, *only_with; } launchers[] = {
        { "OMPI_COMM_WORLD_SIZE", NULL }, { "PMI_SIZE", NULL }, { "MV2_COMM_WORLD_SIZE", NULL }, { "SLURM_NTASKS", "PMIX_RANK" },
    };
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
        const char *text = getenv(launchers[i].ranks);
        if (!text || (launchers[i].only_with && !getenv(launchers[i].only_with))) continue;
        const long n = strtol(text, NULL, 10);
        return n > 1 && n <= 1 << 24 ? (int)n : 1;
    }
    return 1;
}
