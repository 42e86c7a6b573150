/* SPDX-License-Identifier: MIT
 * Conversions between f32 and the 16-bit float types of files (IEEE 754 binary16, bfloat16). */
#include <string.h>

#include "brume/safetensors.h"

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

float brume_bf16_to_f32(uint16_t h) { return float_of((uint32_t)h << 16); }

uint16_t brume_f32_to_bf16(float x)
{
    const uint32_t u = bits_of(x);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40); /* NaN stays NaN, even if its bits are all in the low half */
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

float brume_f16_to_f32(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3ff;
    if (e == 31) return float_of(sign | 0x7f800000 | m << 13);
    if (e == 0) {
        const float x = (float)m * 0x1p-24f; /* zero and subnormals: exact */
        return sign ? -x : x;
    }
    return float_of(sign | (e + 112) << 23 | m << 13);
}

uint16_t brume_f32_to_f16(float x)
{
    const uint32_t u = bits_of(x), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and above round to infinity */
    if (a < 0x38800000) {
        /* Below 2^-14 the result is a multiple of 2^-24. Adding 0.5, whose last bit is 2^-24, rounds there, to nearest even. */
        return (uint16_t)(sign | (bits_of(float_of(a) + 0.5f) - 0x3f000000));
    }
    return (uint16_t)(sign | (a - 0x38000000 + 0xfff + (a >> 13 & 1)) >> 13);
}
