/* SPDX-License-Identifier: MIT
 * What systems name differently. */
#include "base/system.h"

#ifdef __APPLE__
#include <sys/sysctl.h>

uint64_t brume_system_memory(void)
{
    uint64_t bytes = 0;
    size_t size = sizeof bytes;
    return sysctlbyname("hw.memsize", &bytes, &size, NULL, 0) ? 0 : bytes;
}

void brume_system_modified(const struct stat *st, int64_t at[2])
{
    at[0] = (int64_t)st->st_mtimespec.tv_sec;
    at[1] = (int64_t)st->st_mtimespec.tv_nsec;
}
#else
#include <unistd.h>

uint64_t brume_system_memory(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

void brume_system_modified(const struct stat *st, int64_t at[2])
{
    at[0] = (int64_t)st->st_mtime;
#ifdef _WIN32
    at[1] = 0;
#else
    at[1] = (int64_t)st->st_mtim.tv_nsec;
#endif
}
#endif
