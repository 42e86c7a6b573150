/* SPDX-License-Identifier: MIT
 * Philox words of many counters at once, in loops that compilers vectorise. For files compiled with -ffp-contract=off. */
#ifndef BRUME_BASE_PHILOX_LANES_H
#define BRUME_BASE_PHILOX_LANES_H

#include "cl/philox.h"

#define BRUME_PX_BLOCKS 64 /* counters per batch: 1 KiB of words */

/* The 4 * BRUME_PX_BLOCKS words of the counters from block on. */
static inline void brume_px_words(uint64_t seed, uint32_t stream, uint32_t step, uint64_t block, uint32_t *restrict r)
{
    uint32_t w[4][BRUME_PX_BLOCKS];
    const uint32_t low = (uint32_t)block, high = (uint32_t)(block >> 32), k0_ = (uint32_t)seed, k1_ = (uint32_t)(seed >> 32);
    for (uint32_t i = 0; i < BRUME_PX_BLOCKS; i++) {
        uint32_t o[4];
        const uint32_t b = low + i;
        BRUME_PHILOX(b, high + (b < low), stream, step, k0_, k1_, o);
        w[0][i] = o[0];
        w[1][i] = o[1];
        w[2][i] = o[2];
        w[3][i] = o[3];
    }
    for (int i = 0; i < BRUME_PX_BLOCKS; i++) {
        r[4 * i] = w[0][i];
        r[4 * i + 1] = w[1][i];
        r[4 * i + 2] = w[2][i];
        r[4 * i + 3] = w[3][i];
    }
}

#endif
