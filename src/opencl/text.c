/* SPDX-License-Identifier: MIT
 * Text that grows. */
#include "opencl/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void brume_cl_put(struct brume_cl_text *t, const char *fmt, ...)
{
    va_list ap;
    for (int attempt = 0; attempt < 2 && !t->failed; attempt++) {
        va_start(ap, fmt);
        const int len = vsnprintf(t->at ? t->at + t->n : NULL, t->cap - t->n, fmt, ap);
        va_end(ap);
        if (len >= 0 && t->n + (size_t)len < t->cap) {
            t->n += (size_t)len;
            return;
        }
        const size_t cap = 2 * t->cap + (size_t)len + 256;
        char *grown = realloc(t->at, cap);
        if (grown) {
            t->at = grown;
            t->cap = cap;
        } else {
            t->failed = true;
        }
    }
}
