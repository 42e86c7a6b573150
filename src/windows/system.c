/* SPDX-License-Identifier: MIT
 * POSIX functions over those of Windows: the machine and the process. See posix.h. */
#define PSAPI_VERSION 2 /* of kernel32 */
#include <windows.h>

#include <psapi.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

long brume_windows_sysconf(int what)
{
    SYSTEM_INFO system;
    MEMORYSTATUSEX memory = { .dwLength = sizeof memory };
    GetSystemInfo(&system);
    switch (what) {
    case _SC_NPROCESSORS_ONLN: return (long)system.dwNumberOfProcessors;
    case _SC_PAGESIZE: return (long)system.dwPageSize;
    case _SC_PHYS_PAGES: return GlobalMemoryStatusEx(&memory) ? (long)(memory.ullTotalPhys / system.dwPageSize) : -1;
    default: return -1;
    }
}

int brume_windows_gethostname(char *name, size_t bytes)
{
    DWORD n = (DWORD)bytes;
    return GetComputerNameA(name, &n) ? 0 : -1;
}

int brume_windows_ioctl(int fd, int what, struct winsize *size)
{
    CONSOLE_SCREEN_BUFFER_INFO info;
    (void)fd;
    (void)what;
    if (!GetConsoleScreenBufferInfo(GetStdHandle(STD_ERROR_HANDLE), &info)) return -1;
    size->ws_col = (unsigned short)(info.srWindow.Right - info.srWindow.Left + 1);
    size->ws_row = (unsigned short)(info.srWindow.Bottom - info.srWindow.Top + 1);
    return 0;
}

int brume_windows_getrusage(int who, struct rusage *usage)
{
    PROCESS_MEMORY_COUNTERS m = { .cb = sizeof m };
    (void)who;
    if (!GetProcessMemoryInfo(GetCurrentProcess(), &m, sizeof m)) return -1;
    usage->ru_maxrss = (long)(m.PeakWorkingSetSize >> 10);
    return 0;
}

char *brume_windows_strndup(const char *text, size_t bytes)
{
    const size_t n = strnlen(text, bytes);
    char *copy = malloc(n + 1);
    if (!copy) return NULL;
    memcpy(copy, text, n);
    copy[n] = 0;
    return copy;
}

char *brume_windows_mkdtemp(char *name) { return _mktemp(name) && !_mkdir(name) ? name : NULL; }

int brume_windows_setenv(const char *name, const char *value, int replace)
{
    return !replace && getenv(name) ? 0 : _putenv_s(name, value);
}
