/* SPDX-License-Identifier: MIT
 * What systems name differently, all of them POSIX or made so (src/windows). */
#ifndef BRUME_BASE_SYSTEM_H
#define BRUME_BASE_SYSTEM_H

#include <stdint.h>
#include <sys/stat.h>

/** Bytes of memory of this machine; 0 where the system does not tell. */
uint64_t brume_system_memory(void);

/** When a file was changed last: seconds, and nanoseconds where the system keeps them, else 0. */
void brume_system_modified(const struct stat *st, int64_t at[2]);

#endif
