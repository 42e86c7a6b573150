/* SPDX-License-Identifier: MIT
 * The thread's error text. */
#include "base/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char text[2048];

const char *brume_error(void) { return text; }

const char *brume_status_name(brume_status s)
{
    static const char *const names[] = { "ok", "argument", "shape", "format", "io", "memory", "device", "unsupported",
                                         "numeric", "stopped" };
    return (unsigned)s < sizeof names / sizeof *names ? names[s] : "unknown";
}

brume_status (brume_fail)(brume_status s, const char *fmt, ...)
{
    char next[sizeof text]; /* the arguments may point into the old text */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(next, sizeof next, fmt, ap);
    va_end(ap);
    memcpy(text, next, sizeof text);
    return s;
}

brume_status (brume_fail_in)(brume_status s, const char *fmt, ...)
{
    char next[sizeof text];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(next, sizeof next, fmt, ap);
    va_end(ap);
    if (n < 0 || n >= (int)sizeof next) n = (int)sizeof next - 1;
    snprintf(next + n, sizeof next - (size_t)n, ": %.*s", (int)(sizeof next - (size_t)n), text);
    memcpy(text, next, sizeof text);
    return s;
}
