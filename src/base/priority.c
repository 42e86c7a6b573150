/* SPDX-License-Identifier: MIT
 * Priority and pauses. */
#include "base/priority.h"

#ifdef _WIN32
#include <windows.h>

void brume_priority_lower(void) { SetPriorityClass(GetCurrentProcess(), BELOW_NORMAL_PRIORITY_CLASS); }
void brume_pause(double seconds) { Sleep((DWORD)(1e3 * seconds)); }
#else
#include <sys/resource.h>
#include <time.h>

#define NICE 10 /* as nice(1) does */

void brume_priority_lower(void)
{
    if (getpriority(PRIO_PROCESS, 0) < NICE) setpriority(PRIO_PROCESS, 0, NICE);
}

void brume_pause(double seconds)
{
    const struct timespec t = { (time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds)) };
    nanosleep(&t, NULL);
}
#endif
