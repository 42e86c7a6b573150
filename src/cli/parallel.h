/* SPDX-License-Identifier: MIT
 * The ranks of this program, if mpirun started it as several. */
#ifndef BRUME_CLI_PARALLEL_H
#define BRUME_CLI_PARALLEL_H

#include "brume/parallel.h"

/* Joins them for a command. CLI_GO_ON, or the exit status after a message: most commands know one process only. */
int cli_parallel_begin(const char *command);
/* Leaves them; a status that is none of success ends all. */
void cli_parallel_end(int status);
/* NULL: one process. */
brume_parallel *cli_parallel(void);
/* Does this process write files and tell what happens? */
int cli_parallel_first(void);

#endif
