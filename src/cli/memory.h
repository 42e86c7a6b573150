/* SPDX-License-Identifier: MIT
 * Memory of this process. */
#ifndef BRUME_CLI_MEMORY_H
#define BRUME_CLI_MEMORY_H

#include "brume/device.h"

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
