/* SPDX-License-Identifier: MIT
 * The one-dimensional transforms of Winograd's F(4, 3), for files compiled once per instruction set.
 *
 * Cook-Toom with the points 0, +-3/4, +-3/2 and infinity (Lavin & Gray 2016, section 4; points as in Barabasz et al. 2018): with
 * them the error is about a quarter of that with 0, +-1, +-2, and stays below 3e-7 of the sum of |terms|. a = 3/4, b = 3/2; N_p
 * is the product of the differences of p from the other points: N_0 = a^2 b^2, N_a = 2 a^2 (a^2 - b^2), N_b = 2 b^2 (b^2 -
 * a^2). */
#ifndef BRUME_SIMD_WINOGRAD_H
#define BRUME_SIMD_WINOGRAD_H

#include "simd/isa.h"

#define WINO_A 0.75f
#define WINO_B 1.5f
#define WINO_A2 0.5625f
#define WINO_B2 2.25f
#define WINO_N0 (64.0f / 81.0f)    /* 1 / N_0 */
#define WINO_NA (-256.0f / 486.0f) /* 1 / N_a */
#define WINO_NB (64.0f / 486.0f)   /* 1 / N_b */

/* Six source values: coefficients of the products of (x - q) over the other points q. */
static inline void wino_source(const vf d[6], vf *out, int step)
{
    const vf even_b = d[4] - WINO_B2 * d[2], odd_b = WINO_A * (d[3] - WINO_B2 * d[1]);
    const vf even_a = d[4] - WINO_A2 * d[2], odd_a = WINO_B * (d[3] - WINO_A2 * d[1]);
    out[0] = d[4] - (WINO_A2 + WINO_B2) * d[2] + (WINO_A2 * WINO_B2) * d[0];
    out[step] = even_b + odd_b;
    out[2 * step] = even_b - odd_b;
    out[3 * step] = even_a + odd_a;
    out[4 * step] = even_a - odd_a;
    out[5 * step] = d[5] - (WINO_A2 + WINO_B2) * d[3] + (WINO_A2 * WINO_B2) * d[1];
}

/* Three weights: (1, p, p^2) / N_p. */
static inline void wino_weight(const vf g[3], vf *out, int step)
{
    const vf even_a = WINO_NA * (g[0] + WINO_A2 * g[2]), odd_a = (WINO_NA * WINO_A) * g[1];
    const vf even_b = WINO_NB * (g[0] + WINO_B2 * g[2]), odd_b = (WINO_NB * WINO_B) * g[1];
    out[0] = WINO_N0 * g[0];
    out[step] = even_a + odd_a;
    out[2 * step] = even_a - odd_a;
    out[3 * step] = even_b + odd_b;
    out[4 * step] = even_b - odd_b;
    out[5 * step] = g[2];
}

/* Six products to four results: sums of p^i. */
static inline void wino_result(const vf m[6], vf *out, int step)
{
    const vf sum_a = m[1] + m[2], diff_a = m[1] - m[2], sum_b = m[3] + m[4], diff_b = m[3] - m[4];
    out[0] = m[0] + sum_a + sum_b;
    out[step] = WINO_A * diff_a + WINO_B * diff_b;
    out[2 * step] = WINO_A2 * sum_a + WINO_B2 * sum_b;
    out[3 * step] = (WINO_A * WINO_A2) * diff_a + (WINO_B * WINO_B2) * diff_b + m[5];
}

/* Four gradients of results: (1, p, p^2, p^3); the division by N_p is left to wino_weight_gradient. */
static inline void wino_gradient(const vf y[4], vf *out, int step)
{
    const vf even_a = y[0] + WINO_A2 * y[2], odd_a = WINO_A * y[1] + (WINO_A * WINO_A2) * y[3];
    const vf even_b = y[0] + WINO_B2 * y[2], odd_b = WINO_B * y[1] + (WINO_B * WINO_B2) * y[3];
    out[0] = y[0];
    out[step] = even_a + odd_a;
    out[2 * step] = even_a - odd_a;
    out[3 * step] = even_b + odd_b;
    out[4 * step] = even_b - odd_b;
    out[5 * step] = y[3];
}

/* Six products to three gradients of weights: the transpose of wino_weight. */
static inline void wino_weight_gradient(const vf m[6], vf *out, int step)
{
    const vf sum_a = WINO_NA * (m[1] + m[2]), diff_a = WINO_NA * (m[1] - m[2]);
    const vf sum_b = WINO_NB * (m[3] + m[4]), diff_b = WINO_NB * (m[3] - m[4]);
    out[0] = WINO_N0 * m[0] + sum_a + sum_b;
    out[step] = WINO_A * diff_a + WINO_B * diff_b;
    out[2 * step] = WINO_A2 * sum_a + WINO_B2 * sum_b + m[5];
}

/* n floats (n <= VW); the other lanes are 0. */
static inline vf vload_n(const float *p, int64_t n)
{
    vf v = { 0 };
    if (n >= VW) return vload(p);
    for (int64_t i = 0; i < n; i++) v[i] = p[i];
    return v;
}

#endif
