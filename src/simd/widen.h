/* SPDX-License-Identifier: MIT
 * f16 to a vector register, for files compiled once per instruction set. */
#ifndef BRUME_SIMD_WIDEN_H
#define BRUME_SIMD_WIDEN_H

#include "base/half.h"
#include "simd/isa.h"

#if VW == 16 || (VW == 8 && defined(__F16C__))
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#endif

/* VW values. */
static inline vf vwiden(const uint16_t *p)
{
#if VW == 16
    return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
#elif VW == 8 && defined(__F16C__)
    return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
#elif defined(__aarch64__) && defined(__ARM_NEON)
    return (vf)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
#else
    vf v;
    for (int i = 0; i < VW; i++) v[i] = brume_half_widen(p[i]);
    return v;
#endif
}

#endif
