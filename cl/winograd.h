/* SPDX-License-Identifier: MIT
 * Transforms of Winograd's F(4x4, 3x3), one dimension each: 36 products give 16 results that take 144 directly (Lavin & Gray 2016).
 * Cook-Toom with the points 0, +-3/4, +-3/2 and infinity, as in src/simd/winograd.h, which says why. VEC: tile.h. */
#define WINO_A 0.75f
#define WINO_B 1.5f
#define WINO_A2 0.5625f
#define WINO_B2 2.25f
#define WINO_N0 (64.0f / 81.0f)    /* 1 / product of the differences of a point from the others */
#define WINO_NA (-256.0f / 486.0f)
#define WINO_NB (64.0f / 486.0f)

static void wino_source(const VEC *d, VEC *out, int step)
{
    const VEC even_b = d[4] - WINO_B2 * d[2], odd_b = WINO_A * (d[3] - WINO_B2 * d[1]);
    const VEC even_a = d[4] - WINO_A2 * d[2], odd_a = WINO_B * (d[3] - WINO_A2 * d[1]);
    out[0] = d[4] - (WINO_A2 + WINO_B2) * d[2] + (WINO_A2 * WINO_B2) * d[0];
    out[step] = even_b + odd_b;
    out[2 * step] = even_b - odd_b;
    out[3 * step] = even_a + odd_a;
    out[4 * step] = even_a - odd_a;
    out[5 * step] = d[5] - (WINO_A2 + WINO_B2) * d[3] + (WINO_A2 * WINO_B2) * d[1];
}

static void wino_weight(const VEC *g, VEC *out, int step)
{
    const VEC even_a = WINO_NA * (g[0] + WINO_A2 * g[2]), odd_a = (WINO_NA * WINO_A) * g[1];
    const VEC even_b = WINO_NB * (g[0] + WINO_B2 * g[2]), odd_b = (WINO_NB * WINO_B) * g[1];
    out[0] = WINO_N0 * g[0];
    out[step] = even_a + odd_a;
    out[2 * step] = even_a - odd_a;
    out[3 * step] = even_b + odd_b;
    out[4 * step] = even_b - odd_b;
    out[5 * step] = g[2];
}

static void wino_result(const VEC *m, VEC *out, int step)
{
    const VEC sum_a = m[1] + m[2], diff_a = m[1] - m[2], sum_b = m[3] + m[4], diff_b = m[3] - m[4];
    out[0] = m[0] + sum_a + sum_b;
    out[step] = WINO_A * diff_a + WINO_B * diff_b;
    out[2 * step] = WINO_A2 * sum_a + WINO_B2 * sum_b;
    out[3 * step] = (WINO_A * WINO_A2) * diff_a + (WINO_B * WINO_B2) * diff_b + m[5];
}

/* One-dimensional transposes: of wino_result, four to six, and of wino_weight, six to three. */
static void wino_result_grad(const VEC *y, VEC *out, int step)
{
    const VEC even_a = y[0] + WINO_A2 * y[2], odd_a = WINO_A * (y[1] + WINO_A2 * y[3]);
    const VEC even_b = y[0] + WINO_B2 * y[2], odd_b = WINO_B * (y[1] + WINO_B2 * y[3]);
    out[0] = y[0];
    out[step] = even_a + odd_a;
    out[2 * step] = even_a - odd_a;
    out[3 * step] = even_b + odd_b;
    out[4 * step] = even_b - odd_b;
    out[5 * step] = y[3];
}

static void wino_weight_grad(const VEC *u, VEC *out, int step)
{
    const VEC sum_a = WINO_NA * (u[1] + u[2]), diff_a = WINO_NA * (u[1] - u[2]);
    const VEC sum_b = WINO_NB * (u[3] + u[4]), diff_b = WINO_NB * (u[3] - u[4]);
    out[0] = WINO_N0 * u[0] + sum_a + sum_b;
    out[step] = WINO_A * diff_a + WINO_B * diff_b;
    out[2 * step] = WINO_A2 * sum_a + WINO_B2 * sum_b + u[5];
}
