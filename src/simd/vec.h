/* SPDX-License-Identifier: MIT
 * Inner loops over vectors: sums, products, additions of rows. */
#ifndef BRUME_SIMD_VEC_H
#define BRUME_SIMD_VEC_H

#include <stdint.h>

struct brume_simd_vec {
    /* Sums in f32 over short blocks, these in double; no reference to alignment, so the order depends on n alone. */
    double (*sum)(int64_t n, const float *x);
    double (*sum_squares)(int64_t n, const float *x);
    double (*dot)(int64_t n, const float *x, const float *y);
    /* y = a x, and y += a x */
    void (*scale)(int64_t n, float a, const float *x, float *y);
    void (*axpy)(int64_t n, float a, const float *x, float *y);
    /* y[j] = sum over rows r of x[r stride + j], j < n; with accumulate added to y. Rows are added in blocks of 32. */
    void (*add_rows)(int64_t rows, int64_t n, const float *x, int64_t stride, float *y, int accumulate);
};

#endif
