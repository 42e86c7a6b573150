/* SPDX-License-Identifier: MIT
 * The ranks of this program: one set, as MPI has it. */
#include "parallel.h"

#include <stdio.h>
#include <string.h>

#include "options.h"

static brume_parallel *ranks;

int cli_parallel_begin(const char *command)
{
    if (brume_parallel_started() == 1) return CLI_GO_ON;
    if (strcmp(command, "train") && strcmp(command, "sample")) {
        fprintf(stderr, "brume %s: runs in one process, not under mpirun; train and sample take several\n", command);
        return CLI_USAGE;
    }
    return brume_parallel_open(&ranks) == BRUME_OK ? CLI_GO_ON : cli_failed();
}

void cli_parallel_end(int status) { brume_parallel_close(ranks, status); }
brume_parallel *cli_parallel(void) { return ranks; }
int cli_parallel_first(void) { return brume_parallel_rank(ranks) == 0; }
