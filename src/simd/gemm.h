/* SPDX-License-Identifier: MIT
 * Matrix products C = alpha A B + bias + residual with B packed in panels of NR columns: [ceil(N / NR)][K][NR], zero-filled. */
#ifndef BRUME_SIMD_GEMM_H
#define BRUME_SIMD_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct brume_pool;

/* One product. A is a[i * a_row + k * a_col], so a transposed A needs no copy of the whole. */
struct brume_gemm {
    int64_t m, n, k;
    const float *a;
    int64_t a_row, a_col;
    const float *b;        /* packed */
    const uint16_t *b_half; /* or packed in f16; then a_col is 1 */
    float *c;
    int64_t ldc;
    const float *bias;     /* (n) or NULL */
    const float *residual; /* laid out like c, or NULL */
    float alpha;
    bool add;              /* add to c */
};

struct brume_simd_gemm {
    /* batch products of one size, operand b of product j at offset j * step_b. Cut into tasks by shape only. */
    void (*run)(const struct brume_gemm *g, int64_t batch, int64_t step_a, int64_t step_b, int64_t step_c,
                struct brume_pool *pool);
    /* B[k][n] at b[k * b_row + n * b_col] into panels; batch matrices, step_b apart */
    void (*pack)(int64_t k, int64_t n, const float *b, int64_t b_row, int64_t b_col, int64_t batch, int64_t step_b, float *packed,
                 struct brume_pool *pool);
    /* B[k][n] of f16 at b[k * n + n] into the same panels of f16 */
    void (*pack_half)(int64_t k, int64_t n, const uint16_t *b, uint16_t *packed, struct brume_pool *pool);
};

/** Floats of a packed B; vector_width as in struct brume_simd. */
static inline int64_t brume_gemm_packed(int64_t k, int64_t n, int vector_width)
{
    const int64_t nr = 2 * vector_width;
    return (n + nr - 1) / nr * nr * k;
}

#endif
