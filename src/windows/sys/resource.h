/* SPDX-License-Identifier: MIT
 * The memory of a process on Windows. */
#ifndef BRUME_WINDOWS_SYS_RESOURCE_H
#define BRUME_WINDOWS_SYS_RESOURCE_H

#define RUSAGE_SELF 0
struct rusage { long ru_maxrss; /* KiB */ };
int brume_windows_getrusage(int who, struct rusage *usage);
#define getrusage brume_windows_getrusage

#endif
