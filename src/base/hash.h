/* SPDX-License-Identifier: MIT
 * A hash for names, not for secrets. */
#ifndef BRUME_BASE_HASH_H
#define BRUME_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/byte_order.h"

/** FNV-1a, 64 bits (Fowler, Noll & Vo). */
static inline uint64_t brume_fnv1a(const void *data, size_t bytes)
{
    const unsigned char *p = data;
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < bytes; i++) h = (h ^ p[i]) * 1099511628211u;
    return h;
}

/**
 * Goes on with h over n values of size bytes each (1, 2, 4 or 8), in words of 8 bytes (the last one filled with zeros) as
 * little-endian machines have them: equal values have equal hashes everywhere. Every word meets all bits of h, so that no two
 * changes cancel as they may in FNV: for fingerprints of gigabytes. The number of values is the caller's to add.
 */
static inline uint64_t brume_hash_values(uint64_t h, const void *values, size_t n, size_t size)
{
    const unsigned char *p = values;
    for (size_t i = 0, bytes = n * size; i < bytes; i += 8) {
        uint64_t word = 0;
        memcpy(&word, p + i, bytes - i < 8 ? bytes - i : 8);
        brume_little_endian(&word, 8 / size, size);
        brume_little_endian(&word, 1, 8);
        h = (h ^ word) * 0x9fb21c651e98df25u;
        h ^= h >> 32;
    }
    return h;
}

#endif
