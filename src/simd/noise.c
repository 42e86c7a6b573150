/* SPDX-License-Identifier: MIT
 * Rows of random numbers. Compiled with -ffp-contract=off in every instruction set: the bits must not differ. */
#include "simd/isa.h"
#include "simd/misc.h"

#include "base/philox_lanes.h"

#define WORDS (4 * BRUME_PX_BLOCKS)

static void words(const struct brume_noise_at *at, uint64_t block, uint32_t *restrict r)
{
    brume_px_words(at->seed, at->stream, at->step, block, r);
}

static void normal(int64_t n, const struct brume_noise_at *at, float *y)
{
    uint32_t r[WORDS];
    for (int64_t i = 0; i < n; i += WORDS, y += WORDS) {
        words(at, at->block + (uint64_t)i / 4, r);
        const int64_t len = n - i < WORDS ? n - i : WORDS;
        for (int64_t j = 0; j < len; j++) y[j] = brume_px_normal(r[j]);
    }
}

static void uniform(int64_t n, const struct brume_noise_at *at, float *y)
{
    uint32_t r[WORDS];
    for (int64_t i = 0; i < n; i += WORDS, y += WORDS) {
        words(at, at->block + (uint64_t)i / 4, r);
        const int64_t len = n - i < WORDS ? n - i : WORDS;
        for (int64_t j = 0; j < len; j++) y[j] = brume_px_uniform(r[j]);
    }
}

static void dropout(int64_t n, const struct brume_noise_at *at, uint32_t threshold, float scale, const float *x, float *y)
{
    uint32_t r[WORDS];
    for (int64_t i = 0; i < n; i += WORDS, x += WORDS, y += WORDS) {
        words(at, at->block + (uint64_t)i / 4, r);
        const int64_t len = n - i < WORDS ? n - i : WORDS;
        for (int64_t j = 0; j < len; j++) {
            const float v = x[j] * scale;
            y[j] = brume_px_keep(r[j], threshold) ? v : 0.0f;
        }
    }
}

extern const struct brume_simd_noise ISA(brume_simd_noise);
const struct brume_simd_noise ISA(brume_simd_noise) = { .normal = normal, .uniform = uniform, .dropout = dropout };
