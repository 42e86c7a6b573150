/* SPDX-License-Identifier: MIT
 * f32 to f16 and back: by instruction where the instruction set has one (F16C, AVX-512, NEON on AArch64), else in integers. */
#include "simd/half.h"

#include "base/half.h"
#include "simd/isa.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#define LANES 16
#define NARROW(x, y) _mm256_storeu_si256((__m256i *)(y), _mm512_cvtps_ph(_mm512_loadu_ps(x), _MM_FROUND_TO_NEAREST_INT))
#define WIDEN(x, y) _mm512_storeu_ps(y, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(x))))
#elif defined(__F16C__)
#include <immintrin.h>
#define LANES 8
#define NARROW(x, y) _mm_storeu_si128((__m128i *)(y), _mm256_cvtps_ph(_mm256_loadu_ps(x), _MM_FROUND_TO_NEAREST_INT))
#define WIDEN(x, y) _mm256_storeu_ps(y, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(x))))
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#define LANES 4
#define NARROW(x, y) vst1_u16(y, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x))))
#define WIDEN(x, y) vst1q_f32(y, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(x))))
#else
#define LANES 1
#define NARROW(x, y) (*(y) = brume_half_narrow(*(x)))
#define WIDEN(x, y) (*(y) = brume_half_widen(*(x)))
#endif

static void narrow(int64_t n, const float *x, uint16_t *y)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) NARROW(x + i, y + i);
    for (; i < n; i++) y[i] = brume_half_narrow(x[i]);
}

static void widen(int64_t n, const uint16_t *x, float *y)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) WIDEN(x + i, y + i);
    for (; i < n; i++) y[i] = brume_half_widen(x[i]);
}

extern const struct brume_simd_half ISA(brume_simd_half);
const struct brume_simd_half ISA(brume_simd_half) = { narrow, widen };
