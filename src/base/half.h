/* SPDX-License-Identifier: MIT
 * IEEE 754 binary16 in integer arithmetic, for files and for processors without instructions for it. */
#ifndef BRUME_BASE_HALF_H
#define BRUME_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t brume_bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float brume_float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline float brume_half_widen(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3ff;
    if (e == 31) return brume_float_of(sign | 0x7f800000 | m << 13);
    if (e == 0) {
        const float x = (float)m * 0x1p-24f; /* zero and subnormals: exact */
        return sign ? -x : x;
    }
    return brume_float_of(sign | (e + 112) << 23 | m << 13);
}

/* To nearest, ties to even. */
static inline uint16_t brume_half_narrow(float x)
{
    const uint32_t u = brume_bits_of(x), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and above round to infinity */
    if (a < 0x38800000) {
        /* Below 2^-14 the result is a multiple of 2^-24. Adding 0.5, whose last bit is 2^-24, rounds there, to nearest even. */
        return (uint16_t)(sign | (brume_bits_of(brume_float_of(a) + 0.5f) - 0x3f000000));
    }
    return (uint16_t)(sign | (a - 0x38000000 + 0xfff + (a >> 13 & 1)) >> 13);
}

#endif
