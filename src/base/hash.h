/* SPDX-License-Identifier: MIT
 * A hash for names, not for secrets. */
#ifndef BRUME_BASE_HASH_H
#define BRUME_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/** FNV-1a, 64 bits (Fowler, Noll & Vo). */
static inline uint64_t brume_fnv1a(const void *data, size_t bytes)
{
    const unsigned char *p = data;
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < bytes; i++) h = (h ^ p[i]) * 1099511628211u;
    return h;
}

#endif
