/* SPDX-License-Identifier: MIT
 * Random numbers, one source for C11 and OpenCL C 1.2: Philox4x32-10 (Salmon et al. 2011) and transforms whose bits are the same
 * on every device.
 *
 * The float part uses only +, -, *, comparisons and exact conversions, which both languages round correctly; no libm, no fma, no
 * division. Contraction of a*b+c must be off: the pragma does it in OpenCL C and clang, -ffp-contract=off does it for gcc. */
#ifndef BRUME_PHILOX_H
#define BRUME_PHILOX_H

/* OpenCL C: with PX_W defined as 4, 8 or 16 all words and floats are vectors of that many lanes (for devices that do not vectorise
 * over work-items); defined as nothing, or not at all, they are scalars. */
#ifdef __OPENCL_VERSION__
#pragma OPENCL FP_CONTRACT OFF
#ifndef PX_W
#define PX_W
#endif
#define BRUME_PX_CAT_(a, b) a##b
#define BRUME_PX_CAT(a, b) BRUME_PX_CAT_(a, b)
#define BRUME_PX_FN
#define brume_px_u32 BRUME_PX_CAT(uint, PX_W)
#define brume_px_i32 BRUME_PX_CAT(int, PX_W)
#define brume_px_f32 BRUME_PX_CAT(float, PX_W)
#define BRUME_PX_MULHI(a, b) mul_hi((brume_px_u32)(a), (b))
#define BRUME_PX_FLOAT(u) BRUME_PX_CAT(as_float, PX_W)(u)
#define BRUME_PX_BITS(f) BRUME_PX_CAT(as_uint, PX_W)(f)
#define BRUME_PX_SIGNED(u) BRUME_PX_CAT(as_int, PX_W)(u)
#define BRUME_PX_UNSIGNED(i) BRUME_PX_CAT(as_uint, PX_W)(i)
#define BRUME_PX_CONVERT(i) BRUME_PX_CAT(convert_float, PX_W)(i)
#define BRUME_PX_SELECT(c, x, y) select((brume_px_f32)(y), (brume_px_f32)(x), (c))
#else
#include <stdint.h>
#include <string.h>
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif
#define BRUME_PX_FN static inline
#define brume_px_u32 uint32_t
#define brume_px_i32 int32_t
#define brume_px_f32 float
#define BRUME_PX_MULHI(a, b) ((uint32_t)(((uint64_t)(a) * (b)) >> 32))
static inline float brume_px_float(uint32_t u) { float f; memcpy(&f, &u, 4); return f; }
static inline uint32_t brume_px_bits(float f) { uint32_t u; memcpy(&u, &f, 4); return u; }
#define BRUME_PX_FLOAT(u) brume_px_float(u)
#define BRUME_PX_BITS(f) brume_px_bits(f)
#define BRUME_PX_SIGNED(u) ((int32_t)(u))
#define BRUME_PX_UNSIGNED(i) ((uint32_t)(i))
#define BRUME_PX_CONVERT(i) ((float)(i))
#define BRUME_PX_SELECT(c, x, y) ((c) ? (x) : (y))
#endif

/* One round on counter words c0..c3 with key words k0, k1. */
#define BRUME_PX_ROUND                                                             \
    do {                                                                           \
        const brume_px_u32 h0 = BRUME_PX_MULHI(0xD2511F53u, c0), l0 = 0xD2511F53u * c0; \
        const brume_px_u32 h1 = BRUME_PX_MULHI(0xCD9E8D57u, c2), l1 = 0xCD9E8D57u * c2; \
        c0 = h1 ^ c1 ^ k0; c1 = l1; c2 = h0 ^ c3 ^ k1; c3 = l0;                    \
        k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;                                      \
    } while (0)

/* Four random words for a counter and a key. out may be any array of four. */
#define BRUME_PHILOX(x0, x1, x2, x3, key0, key1, out)                              \
    do {                                                                           \
        brume_px_u32 c0 = (x0), c1 = (x1), c2 = (x2), c3 = (x3), k0 = (key0), k1 = (key1); \
        BRUME_PX_ROUND; BRUME_PX_ROUND; BRUME_PX_ROUND; BRUME_PX_ROUND; BRUME_PX_ROUND; \
        BRUME_PX_ROUND; BRUME_PX_ROUND; BRUME_PX_ROUND; BRUME_PX_ROUND; BRUME_PX_ROUND; \
        (out)[0] = c0; (out)[1] = c1; (out)[2] = c2; (out)[3] = c3;                \
    } while (0)

/* Uniform in [0, 1): a multiple of 2^-24. The int conversion is exact. */
BRUME_PX_FN brume_px_f32 brume_px_uniform(brume_px_u32 r) { return BRUME_PX_CONVERT(BRUME_PX_SIGNED(r >> 8)) * 5.9604644775390625e-8f; }

/* k in [0, 2^32) as a float, rounded once: both halves convert exactly. */
BRUME_PX_FN brume_px_f32 brume_px_to_float(brume_px_u32 k)
{
    return BRUME_PX_CONVERT(BRUME_PX_SIGNED(k >> 16)) * 65536.0f + BRUME_PX_CONVERT(BRUME_PX_SIGNED(k & 0xffffu));
}

/* Unit normal from one word: sign bit, and 31 bits m of the tail probability p = (m + 1/2) 2^-32 in (0, 1/2).
 * With x = 1 - 2p and w = -log2(4 p (1 - p)), the quantile is x P(w) for w < 9 and x Q(sqrt w) beyond (the split of Giles 2010,
 * "Approximating the erfinv function"); P and Q are minimax polynomials of degree 8. Largest |error| against the exact quantile
 * 1.4e-6; |result| <= 6.34. */
BRUME_PX_FN brume_px_f32 brume_px_normal(brume_px_u32 r)
{
    const brume_px_u32 k = (r << 1) | 1u; /* 2m + 1 */
    const brume_px_f32 p2 = brume_px_to_float(k) * 2.3283064365386963e-10f;      /* 2p, to 24 bits */
    const brume_px_f32 x = brume_px_to_float(0u - k) * 2.3283064365386963e-10f;  /* 1 - 2p, to 24 bits */
    const brume_px_f32 a = p2 * (1.0f + x);                                      /* 4 p (1 - p) */

    /* w = -log2 a: a = 2^e (1 + f), f in [-1/3, 1/3) */
    const brume_px_u32 bits = BRUME_PX_BITS(a);
    const brume_px_i32 e = BRUME_PX_SIGNED(bits - 0x3f2aaaabu) >> 23;
    const brume_px_f32 f = BRUME_PX_FLOAT(bits - (BRUME_PX_UNSIGNED(e) << 23)) - 1.0f;
    brume_px_f32 l = -0.231982455f;
    l = l * f + 0.252027392f;
    l = l * f - 0.234679565f;
    l = l * f + 0.284587801f;
    l = l * f - 0.360927701f;
    l = l * f + 0.481019735f;
    l = l * f - 0.721343935f;
    l = l * f + 1.44269407f;
    const brume_px_f32 w = (0.0f - BRUME_PX_CONVERT(e)) - f * l;

    /* sqrt w = w / sqrt w: integer seed and three Newton steps; meaningless but harmless for w <= 0, where it is not used */
    const brume_px_f32 h = 0.5f * w;
    brume_px_f32 s = BRUME_PX_FLOAT(0x5f3759dfu - (BRUME_PX_BITS(w) >> 1));
    s = s * (1.5f - h * s * s);
    s = s * (1.5f - h * s * s);
    s = s * (1.5f - h * s * s);
    s = w * s;

    const brume_px_i32 c = w < 9.0f;
    const brume_px_f32 v = BRUME_PX_SELECT(c, w - 4.5f, s - 4.28f);
    brume_px_f32 y = BRUME_PX_SELECT(c, -8.56742399e-10f, 1.19026117e-05f);
    y = y * v + BRUME_PX_SELECT(c, 3.60444012e-08f, -7.29104213e-05f);
    y = y * v + BRUME_PX_SELECT(c, -2.34424647e-07f, 0.000180883842f);
    y = y * v + BRUME_PX_SELECT(c, -2.98477221e-06f, -0.000306994218f);
    y = y * v + BRUME_PX_SELECT(c, 6.1189472e-05f, 0.000598682091f);
    y = y * v + BRUME_PX_SELECT(c, -0.000351663417f, -0.00147519913f);
    y = y * v + BRUME_PX_SELECT(c, -0.00409101974f, 0.00285554421f);
    y = y * v + BRUME_PX_SELECT(c, 0.235487059f, 1.18654644f);
    y = y * v + BRUME_PX_SELECT(c, 2.33663774f, 4.80733442f);
    y = x * y;
    return BRUME_PX_FLOAT(BRUME_PX_BITS(y) ^ (r & 0x80000000u));
}

/* True (1, in vectors -1) with probability 1 - p, where threshold = ceil(p 2^32) as an unsigned int: kept if the word is not below it. */
BRUME_PX_FN brume_px_i32 brume_px_keep(brume_px_u32 r, brume_px_u32 threshold) { return r >= threshold; }

#endif
