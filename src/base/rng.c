/* SPDX-License-Identifier: MIT
 * Host side of the random numbers: the functions of brume/rng.h over cl/philox.h. */
#include "brume/rng.h"

#include "base/philox_lanes.h"

void brume_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    BRUME_PHILOX(counter[0], counter[1], counter[2], counter[3], key[0], key[1], out);
}

uint64_t brume_seed_mix(uint64_t seed, uint64_t index)
{
    uint64_t z = seed + (index + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Element i of a sample is word i % 4 of counter (i / 4 low, i / 4 high, stream, step) under the key seed. */
static void words(uint64_t seed, uint32_t stream, uint32_t step, uint64_t block, uint32_t out[4])
{
    BRUME_PHILOX((uint32_t)block, (uint32_t)(block >> 32), stream, step, (uint32_t)seed, (uint32_t)(seed >> 32), out);
}

/* Elements up to the next whole counter one by one, then many counters at a time. */
#define FILL(name, f)                                                                                                          \
    static void name(uint64_t seed, uint32_t stream, uint32_t step, uint64_t first, int64_t n, float *out)                     \
    {                                                                                                                          \
        uint32_t r[4 * BRUME_PX_BLOCKS];                                                                                       \
        int64_t i = 0;                                                                                                         \
        if (n > 0 && first % 4) words(seed, stream, step, first / 4, r);                                                       \
        for (; i < n && (first + (uint64_t)i) % 4; i++) out[i] = f(r[(first + (uint64_t)i) % 4]);                              \
        while (i < n) {                                                                                                        \
            const int64_t len = n - i < 4 * BRUME_PX_BLOCKS ? n - i : 4 * BRUME_PX_BLOCKS;                                     \
            const uint64_t block = (first + (uint64_t)i) / 4;                                                                  \
            if (len > 4) brume_px_words(seed, stream, step, block, r);                                                         \
            else words(seed, stream, step, block, r);                                                                          \
            for (int64_t k = 0; k < len; k++) out[i + k] = f(r[k]);                                                            \
            i += len;                                                                                                          \
        }                                                                                                                      \
    }

FILL(normal_any, brume_px_normal)
FILL(uniform_any, brume_px_uniform)

/* The same for wider vectors, which have the product of 32-bit integers that the smallest x86-64 lacks. */
#if defined(__x86_64__)
__attribute__((target("avx2"))) FILL(normal_avx2, brume_px_normal)
__attribute__((target("avx2"))) FILL(uniform_avx2, brume_px_uniform)
#define CHOOSE(f) (__builtin_cpu_supports("avx2") ? f##_avx2 : f##_any)
#else
#define CHOOSE(f) f##_any
#endif

void brume_fill_normal(uint64_t seed, uint32_t stream, uint32_t step, uint64_t first, int64_t n, float *out)
{
    CHOOSE(normal)(seed, stream, step, first, n, out);
}

void brume_fill_uniform(uint64_t seed, uint32_t stream, uint32_t step, uint64_t first, int64_t n, float *out)
{
    CHOOSE(uniform)(seed, stream, step, first, n, out);
}

uint32_t brume_rng_u32(brume_rng *r)
{
    uint32_t w[4];
    words(r->seed, r->stream, r->step, r->next / 4, w);
    return w[r->next++ % 4];
}

float brume_rng_uniform(brume_rng *r) { return brume_px_uniform(brume_rng_u32(r)); }

float brume_rng_normal(brume_rng *r) { return brume_px_normal(brume_rng_u32(r)); }

uint32_t brume_rng_below(brume_rng *r, uint32_t n)
{
    if (n == 0) return 0;
    const uint32_t reject = (0u - n) % n; /* 2^32 mod n low parts would make some results more likely */
    for (;;) {
        const uint64_t x = (uint64_t)brume_rng_u32(r) * n;
        if ((uint32_t)x >= reject) return (uint32_t)(x >> 32);
    }
}

void brume_rng_permutation(brume_rng *r, int64_t n, int64_t *out)
{
    for (int64_t i = 0; i < n; i++) {
        const int64_t j = brume_rng_below(r, (uint32_t)(i + 1));
        if (j != i) out[i] = out[j];
        out[j] = i;
    }
}
