/* SPDX-License-Identifier: MIT
 * Inner loops of group norm, layer norm and softmax. Blocks are (rows, w) parts of channels-last tensors whose rows lie ld floats
 * apart; arrays indexed by column have w entries. Sums are added to what their array holds. */
#ifndef BRUME_SIMD_NORM_H
#define BRUME_SIMD_NORM_H

#include <stdbool.h>
#include <stdint.h>

struct brume_simd_norm {
    int vector_width;
    /* sum[j] += sum_i x[i][j] */
    void (*col_sum)(int64_t rows, int64_t w, int64_t ld, const float *x, float *sum);
    /* with t = x - shift: d1[j] += sum t, d2[j] += sum t^2 */
    void (*col_dev)(int64_t rows, int64_t w, int64_t ld, const float *x, const float *shift, float *d1, float *d2);
    /* y = act((x - shift) a + s) */
    void (*col_apply)(int64_t rows, int64_t w, int64_t ld, const float *x, const float *shift, const float *a, const float *s,
                      bool silu, float *y);
    /* with t = x - shift, z = t a + s, dz = dy silu'(z): s1[j] += sum dz, s2[j] += sum dz t, and dz (rows like x) keeps dz;
     * without silu dz = dy, and the array is left alone */
    void (*col_grad_sums)(int64_t rows, int64_t w, int64_t ld, const float *x, const float *dy,
                          const float *shift, const float *a,
                          const float *s, bool silu, float *dz, float *s1, float *s2);
    /* dx = dz a + t p + q; dx may be dz */
    void (*col_grad)(int64_t rows, int64_t w, int64_t ld, const float *x, const float *dz, const float *shift, const float *a,
                     const float *p, const float *q, float *dx);

    /* mean = m[0] + m[1] to about twice the precision of a float; var divides by n */
    void (*row_moments)(int64_t n, const float *x, float m[2], float *var);
    /* y = ((x - m[0]) - m[1]) rstd w + b; w and b may both be NULL */
    void (*row_norm)(int64_t n, const float *x, const float m[2], float rstd, const float *w, const float *b, float *y);
    /* dx of row_norm; with xhat the normalised x: dw[j] += dy xhat, db[j] += dy where dw is not NULL */
    void (*row_norm_grad)(int64_t n, const float *x, const float *dy, const float m[2], float rstd,
                          const float *w, float *dx, float *dw,
                          float *db);
    void (*row_softmax)(int64_t n, const float *x, float *y);
    /* dx = y (dy - sum y dy) */
    void (*row_softmax_grad)(int64_t n, const float *y, const float *dy, float *dx);
};

#endif
