/* SPDX-License-Identifier: MIT
 * Rows of random numbers. Compiled with -ffp-contract=off in every instruction set: the bits must not differ. */
#include "simd/isa.h"
#include "simd/misc.h"

#include "cl/philox.h"

#define BLOCKS 64 /* counters per batch: 1 KiB of words */

/* The words of BLOCKS counters from block on; independent lanes, so that the compiler vectorises the loop. */
static void words(const struct brume_noise_at *at, uint64_t block, uint32_t *restrict r)
{
    uint32_t w[4][BLOCKS];
    const uint32_t low = (uint32_t)block, k0_ = (uint32_t)at->seed, k1_ = (uint32_t)(at->seed >> 32), stream = at->stream, step = at->step;
    const uint32_t high = (uint32_t)(block >> 32);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        uint32_t o[4];
        const uint32_t b = low + i;
        BRUME_PHILOX(b, high + (b < low), stream, step, k0_, k1_, o);
        w[0][i] = o[0];
        w[1][i] = o[1];
        w[2][i] = o[2];
        w[3][i] = o[3];
    }
    for (int i = 0; i < BLOCKS; i++) {
        r[4 * i] = w[0][i];
        r[4 * i + 1] = w[1][i];
        r[4 * i + 2] = w[2][i];
        r[4 * i + 3] = w[3][i];
    }
}

static void normal(int64_t n, const struct brume_noise_at *at, float *y)
{
    uint32_t r[4 * BLOCKS];
    for (int64_t i = 0; i < n; i += 4 * BLOCKS, y += 4 * BLOCKS) {
        words(at, at->block + (uint64_t)i / 4, r);
        const int64_t len = n - i < 4 * BLOCKS ? n - i : 4 * BLOCKS;
        for (int64_t j = 0; j < len; j++) y[j] = brume_px_normal(r[j]);
    }
}

static void uniform(int64_t n, const struct brume_noise_at *at, float *y)
{
    uint32_t r[4 * BLOCKS];
    for (int64_t i = 0; i < n; i += 4 * BLOCKS, y += 4 * BLOCKS) {
        words(at, at->block + (uint64_t)i / 4, r);
        const int64_t len = n - i < 4 * BLOCKS ? n - i : 4 * BLOCKS;
        for (int64_t j = 0; j < len; j++) y[j] = brume_px_uniform(r[j]);
    }
}

static void dropout(int64_t n, const struct brume_noise_at *at, uint32_t threshold, float scale, const float *x, float *y)
{
    uint32_t r[4 * BLOCKS];
    for (int64_t i = 0; i < n; i += 4 * BLOCKS, x += 4 * BLOCKS, y += 4 * BLOCKS) {
        words(at, at->block + (uint64_t)i / 4, r);
        const int64_t len = n - i < 4 * BLOCKS ? n - i : 4 * BLOCKS;
        for (int64_t j = 0; j < len; j++) {
            const float v = x[j] * scale;
            y[j] = brume_px_keep(r[j], threshold) ? v : 0.0f;
        }
    }
}

extern const struct brume_simd_noise ISA(brume_simd_noise);
const struct brume_simd_noise ISA(brume_simd_noise) = { .normal = normal, .uniform = uniform, .dropout = dropout };
