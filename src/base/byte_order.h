/* SPDX-License-Identifier: MIT
 * Values as files have them: little-endian, whatever the machine. */
#ifndef BRUME_BASE_BYTE_ORDER_H
#define BRUME_BASE_BYTE_ORDER_H

#include <stddef.h>

#define BRUME_BIG_ENDIAN (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

/** Turns n values of size bytes each from the machine's order of bytes into the files', or back: reversed where they differ. */
static inline void brume_little_endian(void *values, size_t n, size_t size)
{
    if (!BRUME_BIG_ENDIAN) return;
    for (unsigned char *p = values, *end = p + n * size; p < end; p += size)
        for (size_t i = 0; i < size / 2; i++) {
            const unsigned char b = p[i];
            p[i] = p[size - 1 - i];
            p[size - 1 - i] = b;
        }
}

#endif
