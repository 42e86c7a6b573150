/* SPDX-License-Identifier: MIT
 * Processors for this process: those of its affinity where the system tells, else all. */
#include "base/cores.h"

#include <sched.h>
#include <unistd.h>

int brume_cores(void)
{
    long n = 0;
#ifdef CPU_COUNT
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set)) n = CPU_COUNT(&set);
#endif
    if (n == 0) n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 1024 ? 1024 : (int)n;
}
