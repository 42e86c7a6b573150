/* SPDX-License-Identifier: MIT
 * What a program needs before it prints on Windows: text as UTF-8, line ends as they are, and escape sequences that are
 * understood. */
#include <windows.h>

static UINT page; /* as we found it: the console outlives us */

static void restore(void) { SetConsoleOutputCP(page); }

__attribute__((constructor)) static void prepare_console(void)
{
    _setmode(STDOUT_FILENO, O_BINARY);
    _setmode(STDERR_FILENO, O_BINARY);
    page = GetConsoleOutputCP();
    if (page && SetConsoleOutputCP(CP_UTF8)) atexit(restore);
    const HANDLE console = GetStdHandle(STD_ERROR_HANDLE);
    DWORD mode;
    if (GetConsoleMode(console, &mode)) SetConsoleMode(console, mode | 0x0004 /* ENABLE_VIRTUAL_TERMINAL_PROCESSING */);
}
