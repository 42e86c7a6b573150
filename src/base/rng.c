/* SPDX-License-Identifier: MIT
 * Host side of the random numbers: the functions of brume/rng.h over cl/philox.h. */
#include "brume/rng.h"

#include "cl/philox.h"

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

static void fill(uint64_t seed, uint32_t stream, uint32_t step, uint64_t first, int64_t n, float *out, float (*f)(uint32_t))
{
    uint32_t r[4];
    for (int64_t i = 0; i < n; i++) {
        const uint64_t at = first + (uint64_t)i;
        if (i == 0 || at % 4 == 0) words(seed, stream, step, at / 4, r);
        out[i] = f(r[at % 4]);
    }
}

void brume_fill_normal(uint64_t seed, uint32_t stream, uint32_t step, uint64_t first, int64_t n, float *out)
{
    fill(seed, stream, step, first, n, out, brume_px_normal);
}

void brume_fill_uniform(uint64_t seed, uint32_t stream, uint32_t step, uint64_t first, int64_t n, float *out)
{
    fill(seed, stream, step, first, n, out, brume_px_uniform);
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
