/* SPDX-License-Identifier: MIT
 * exp and the sigmoid of a vector register, for the loops of this folder. */
#ifndef BRUME_SIMD_VEXP_H
#define BRUME_SIMD_VEXP_H

#include "simd/isa.h"

static inline vf vselect(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
static inline vf vmax(vf a, vf b) { return vselect(a > b, a, b); }

/* e^x to about 1 ulp; 0 below -104, infinity above 88.73, subnormals in between, NaN stays NaN. x = n ln 2 + r, |r| <= ln(2)/2,
 * then the Taylor series (r^8/8! < 6e-9). 2^n is applied in two factors, so that subnormal results are rounded, not flushed. */
static inline vf vexp(vf x)
{
    const vf magic = vset(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
    x = vselect(x < vset(-105.0f), vset(-105.0f), x);
    x = vselect(x > vset(89.0f), vset(89.0f), x);
    const vf t = x * 1.44269504f + magic;
    const vf n = t - magic;
    const vf r = (x - n * 0.693145752f) - n * 1.42860677e-6f;
    vf p = r * 1.98412698e-4f + 1.38888889e-3f;
    p = p * r + 8.33333333e-3f;
    p = p * r + 4.16666667e-2f;
    p = p * r + 1.66666667e-1f;
    p = p * r + 0.5f;
    p = p * r * r + r + 1.0f;
    const vi k = (vi)t - 0x4b400000;
    const vi half = k >> 1;
    const vf a = (vf)((half + 127) << 23), b = (vf)((k - half + 127) << 23);
    return p * a * b;
}

/* 1 / (1 + e^-x) */
static inline vf vsigmoid(vf x) { return 1.0f / (1.0f + vexp(-x)); }

static inline float vhsum(vf v)
{
    float t[VW];
    vstore(t, v);
    for (int w = VW / 2; w > 0; w /= 2)
        for (int i = 0; i < w; i++) t[i] += t[i + w];
    return t[0];
}

/* Loads the first n < VW floats, the rest is fill; stores likewise. */
static inline vf vload_part(const float *p, int64_t n, float fill)
{
    float t[VW];
    for (int i = 0; i < VW; i++) t[i] = i < n ? p[i] : fill;
    return vload(t);
}
static inline void vstore_part(float *p, vf v, int64_t n)
{
    float t[VW];
    vstore(t, v);
    for (int64_t i = 0; i < n; i++) p[i] = t[i];
}

#endif
