/* SPDX-License-Identifier: MIT
 * Memory of this process. */
#ifndef BRUME_CLI_MEMORY_H
#define BRUME_CLI_MEMORY_H

#include <stdint.h>
#include <stdlib.h>

#include "brume/device.h"

/* Memory for n values, of zeros; NULL where there is none, or where a machine of 32 bits could not address as much. */
static inline void *cli_array(int64_t n, size_t size)
{
    return n >= 0 && (uint64_t)n <= SIZE_MAX / 2 / size ? calloc((size_t)n + 1, size) : NULL;
}

/* Largest resident set of this process so far, in bytes. */
double cli_peak(void);
/* Lets cli_peak() begin anew, where the system can (Linux). */
void cli_peak_reset(void);

/*
 * Resident set in bytes of a process that has opened the device and run one small kernel: program, libraries, driver and
 * compiler, but no model. To be asked before anything large is allocated.
 */
brume_status cli_base(brume_device *d, double *bytes);

#endif
