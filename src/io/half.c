/* SPDX-License-Identifier: MIT
 * Conversions between f32 and the 16-bit float types of files (IEEE 754 binary16, bfloat16). */
#include "base/half.h"

#include "brume/safetensors.h"

float brume_bf16_to_f32(uint16_t h) { return brume_float_of((uint32_t)h << 16); }

uint16_t brume_f32_to_bf16(float x)
{
    const uint32_t u = brume_bits_of(x);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40); /* NaN stays NaN, even if its bits are all in the low
                                                                             half */
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

float brume_f16_to_f32(uint16_t h) { return brume_half_widen(h); }
uint16_t brume_f32_to_f16(float x) { return brume_half_narrow(x); }
