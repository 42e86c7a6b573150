/* SPDX-License-Identifier: MIT
 * Inner loops over vectors; see vec.h. */
#include "simd/vec.h"

#include "simd/isa.h"

#define BLOCK (32 * 4 * VW) /* floats added in f32 by four vectors, 32 deep: the error stays below a rounding or two */

static inline double across(vf v)
{
    double s = 0;
    for (int i = 0; i < VW; i++) s += (double)v[i];
    return s;
}

/* sum over i of term(i); V(p) and S(p) are the term of a vector and of one element at p. */
#define SUM(V, S)                                                                 \
    double total = 0;                                                             \
    int64_t i = 0;                                                                \
    while (n - i >= 4 * VW) {                                                     \
        const int64_t end = n - i < BLOCK ? n - 4 * VW : i + BLOCK - 4 * VW;      \
        vf s0 = { 0 }, s1 = { 0 }, s2 = { 0 }, s3 = { 0 };                        \
        for (; i <= end; i += 4 * VW) {                                           \
            s0 += V(i), s1 += V(i + VW), s2 += V(i + 2 * VW), s3 += V(i + 3 * VW); \
        }                                                                         \
        total += across((s0 + s1) + (s2 + s3));                                   \
    }                                                                             \
    for (; i < n; i++) total += (double)(S(i));                                   \
    return total;

static double sum(int64_t n, const float *x)
{
#define V(k) vload(x + (k))
#define S(k) x[k]
    SUM(V, S)
#undef V
#undef S
}

static double sum_squares(int64_t n, const float *x)
{
#define V(k) vload(x + (k)) * vload(x + (k))
#define S(k) x[k] * x[k]
    SUM(V, S)
#undef V
#undef S
}

static double dot(int64_t n, const float *x, const float *y)
{
#define V(k) vload(x + (k)) * vload(y + (k))
#define S(k) x[k] * y[k]
    SUM(V, S)
#undef V
#undef S
}

static void scale(int64_t n, float a, const float *x, float *y)
{
    const vf va = vset(a);
    int64_t i = 0;
    for (; i + VW <= n; i += VW) vstore(y + i, va * vload(x + i));
    for (; i < n; i++) y[i] = a * x[i];
}

static void axpy(int64_t n, float a, const float *x, float *y)
{
    const vf va = vset(a);
    int64_t i = 0;
    for (; i + VW <= n; i += VW) vstore(y + i, vload(y + i) + va * vload(x + i));
    for (; i < n; i++) {
        /* loads first: nothing stands between * and +, so that they contract as in the vectors above */
        const float xi = x[i], yi = y[i];
        y[i] = yi + a * xi;
    }
}

static void add_rows(int64_t rows, int64_t n, const float *x, int64_t stride, float *y, int accumulate);

/* Short rows without gaps: VW of them make one long row; its sum is folded. */
static void add_short_rows(int64_t rows, int64_t n, const float *x, float *y, int accumulate)
{
    float fold[4 * VW * VW], first[4 * VW];
    const int64_t whole = rows / VW;
    add_rows(whole, n * VW, x, n * VW, fold, 0);
    for (int64_t j = 0; j < n; j++) {
        float s = 0;
        for (int64_t r = 0; r < VW; r++) s += fold[r * n + j];
        first[j] = s;
    }
    for (int64_t r = whole * VW; r < rows; r++)
        for (int64_t j = 0; j < n; j++) first[j] += x[r * n + j];
    for (int64_t j = 0; j < n; j++) y[j] = accumulate ? y[j] + first[j] : first[j];
}

static void add_rows(int64_t rows, int64_t n, const float *x, int64_t stride, float *y, int accumulate)
{
    if (stride == n && n < 4 * VW && rows >= 2 * VW) {
        add_short_rows(rows, n, x, y, accumulate);
        return;
    }
    int64_t j = 0;
    for (; j + 4 * VW <= n; j += 4 * VW) {
        vf t0 = { 0 }, t1 = { 0 }, t2 = { 0 }, t3 = { 0 };
        if (accumulate) t0 = vload(y + j), t1 = vload(y + j + VW), t2 = vload(y + j + 2 * VW), t3 = vload(y + j + 3 * VW);
        for (int64_t r = 0; r < rows;) {
            const int64_t end = rows - r < 32 ? rows : r + 32;
            vf s0 = { 0 }, s1 = { 0 }, s2 = { 0 }, s3 = { 0 };
            for (; r < end; r++) {
                const float *p = x + r * stride + j;
                s0 += vload(p), s1 += vload(p + VW), s2 += vload(p + 2 * VW), s3 += vload(p + 3 * VW);
            }
            t0 += s0, t1 += s1, t2 += s2, t3 += s3;
        }
        vstore(y + j, t0), vstore(y + j + VW, t1), vstore(y + j + 2 * VW, t2), vstore(y + j + 3 * VW, t3);
    }
    for (; j + VW <= n; j += VW) {
        vf t = { 0 };
        if (accumulate) t = vload(y + j);
        for (int64_t r = 0; r < rows;) {
            const int64_t end = rows - r < 32 ? rows : r + 32;
            vf s = { 0 };
            for (; r < end; r++) s += vload(x + r * stride + j);
            t += s;
        }
        vstore(y + j, t);
    }
    for (; j < n; j++) {
        float t = accumulate ? y[j] : 0;
        for (int64_t r = 0; r < rows;) {
            const int64_t end = rows - r < 32 ? rows : r + 32;
            float s = 0;
            for (; r < end; r++) s += x[r * stride + j];
            t += s;
        }
        y[j] = t;
    }
}

extern const struct brume_simd_vec ISA(brume_simd_vec);
const struct brume_simd_vec ISA(brume_simd_vec) = {
    .sum = sum, .sum_squares = sum_squares, .dot = dot, .scale = scale, .axpy = axpy, .add_rows = add_rows,
};
