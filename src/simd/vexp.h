/* SPDX-License-Identifier: MIT
 * exp and the sigmoid of a vector register, for the loops of this folder. */
#ifndef BRUME_SIMD_VEXP_H
#define BRUME_SIMD_VEXP_H

#include "simd/isa.h"

static inline vf vselect(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
static inline vf vmax(vf a, vf b) { return vselect(a > b, a, b); }

/* x = n ln 2 + r, |r| <= ln(2)/2; returns e^r by its Taylor series (r^8/8! < 6e-9), evaluated in pairs because a chain of eight
 * steps would wait for each. *bits: 1.5 * 2^23 + n as a float, so that its low bits hold n. */
static inline vf vexp_reduced(vf x, vi *bits)
{
    const vf magic = vset(12582912.0f);
    const vf t = x * 1.44269504f + magic;
    const vf n = t - magic;
    const vf r = (x - n * 0.693145752f) - n * 1.42860677e-6f;
    const vf r2 = r * r;
    const vf a = r * 1.66666667e-1f + 0.5f, b = r * 8.33333333e-3f + 4.16666667e-2f, c = r * 1.98412698e-4f + 1.38888889e-3f;
    *bits = (vi)t;
    return ((c * r2 + b) * r2 + a) * r2 + r + 1.0f;
}

/* e^x to about 1 ulp; 0 below -104, infinity above 88.73, subnormals in between (2^n is applied in two factors, so that they are
 * rounded, not flushed), NaN stays NaN. */
static inline vf vexp(vf x)
{
    vi bits;
    x = vselect(x < vset(-105.0f), vset(-105.0f), x);
    x = vselect(x > vset(89.0f), vset(89.0f), x);
    const vf p = vexp_reduced(x, &bits);
    const vi k = bits - 0x4b400000, half = k >> 1;
    const vf a = (vf)((half + 127) << 23), b = (vf)((k - half + 127) << 23);
    return p * a * b;
}

/* 1 / (1 + e^-x); x is held within 87, where e^-x needs no care: below, the result stays at 1.6e-38. NaN stays NaN. */
static inline vf vsigmoid(vf x)
{
    vi bits;
    x = vselect(x < vset(-87.0f), vset(-87.0f), x);
    x = vselect(x > vset(87.0f), vset(87.0f), x);
    const vf p = vexp_reduced(-x, &bits);
    return 1.0f / (1.0f + (vf)((vi)p + (bits << 23)));
}

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
