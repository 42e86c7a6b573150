/* SPDX-License-Identifier: MIT
 * Processors for this process. */
#ifndef BRUME_BASE_CORES_H
#define BRUME_BASE_CORES_H

/** Processors that this process may run on, 1 to 1024. */
int brume_cores(void);

#endif
