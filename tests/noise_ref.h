/* SPDX-License-Identifier: MIT
 * Oracle of the random numbers: Philox4x32-10 by its definition (Salmon et al. 2011, section 3.3) and the exact normal
 * quantile. */
#ifndef BRUME_TESTS_NOISE_REF_H
#define BRUME_TESTS_NOISE_REF_H

#include <math.h>
#include <stdint.h>

/* Word e % 4 of the counter (e / 4, stream, step) under the key seed. */
static inline uint32_t noise_word(int64_t seed, uint32_t stream, int32_t step, int64_t e)
{
    uint64_t c[4] = { (uint32_t)(e / 4), (uint32_t)((uint64_t)(e / 4) >> 32), stream, (uint32_t)step };
    uint64_t k0 = (uint32_t)seed, k1 = (uint64_t)seed >> 32;
    for (int round = 0; round < 10; round++) {
        const uint64_t a = 0xD2511F53u * c[0], b = 0xCD9E8D57u * c[2];
        const uint64_t next[4] = { (b >> 32) ^ c[1] ^ k0, b & 0xffffffffu, (a >> 32) ^ c[3] ^ k1, a & 0xffffffffu };
        for (int i = 0; i < 4; i++) c[i] = next[i];
        k0 = (k0 + 0x9E3779B9u) & 0xffffffffu;
        k1 = (k1 + 0xBB67AE85u) & 0xffffffffu;
    }
    return (uint32_t)c[e % 4];
}

/* z with 1 - Phi(z) = p, 0 < p < 1/2: Newton's method on erfc. */
static inline double noise_upper_quantile(double p)
{
    const double t = sqrt(-2 * log(p));
    double z = t - (2.515517 + 0.802853 * t + 0.010328 * t * t) / (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t * t * t);
    for (int i = 0; i < 4; i++) z += (0.5 * erfc(z / sqrt(2)) - p) / (exp(-z * z / 2) / sqrt(2 * 3.14159265358979323846));
    return z;
}

/* A word is a sign and 31 bits of tail probability. */
static inline double noise_normal(uint32_t word)
{
    const double z = noise_upper_quantile(((double)(word & 0x7fffffffu) + 0.5) / 4294967296.0);
    return word >> 31 ? -z : z;
}

static inline double noise_uniform(uint32_t word) { return (double)(word >> 8) / 16777216.0; }

#endif
