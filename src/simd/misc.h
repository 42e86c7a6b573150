/* SPDX-License-Identifier: MIT
 * Inner loops of optimizer updates, losses and resampling. */
#ifndef BRUME_SIMD_MISC_H
#define BRUME_SIMD_MISC_H

#include <stdint.h>

/* Numbers of one AdamW step. */
struct brume_adamw {
    float grad_scale, beta1, beta2, eps;
    float decay;        /* decoupled decay: lr decay. 1 - decay would lose its digits in f32, so it is added to the step */
    float l2;           /* coupled decay: g += l2 param */
    float step;         /* lr / bias1 */
    float inv_bias2;    /* 1 / bias2 */
};

struct brume_simd_misc {
    /* One AdamW step on n elements in place. */
    void (*adamw)(int64_t n, float *param, float *m, float *v, const float *grad, const struct brume_adamw *c);
    /* g = grad scale + decay param; m = momentum m + g; param -= lr m. */
    void (*sgd)(int64_t n, float *param, float *m, const float *grad, float scale, float decay, float momentum, float lr);
    /* ema = decay ema + (1 - decay) param. */
    void (*ema)(int64_t n, float *ema, const float *param, float decay);
    /* Sum of (a - b)^2: f32 inside blocks of 512, double across them. */
    double (*sum_sq_diff)(int64_t n, const float *a, const float *b);
    /* y[j] = scale times the sum of x[r row_stride + k c + j] over r < rows, k < cols; j < c. */
    void (*sum_window)(int64_t c, int64_t rows, int64_t cols, int64_t row_stride, float scale, const float *x, float *y);
    /* y[j] = sum over i < n of w[i] x[i][j]; j < c, n >= 1. */
    void (*combine)(int64_t c, int n, const float *const *x, const float *w, float *y);
    /* y[j] = scale x[j] */
    void (*scale)(int64_t n, float scale, const float *x, float *y);
    /* y[j] += x[j] */
    void (*add)(int64_t n, const float *x, float *y);
    /* y[j] *= x[j] */
    void (*mul)(int64_t n, const float *x, float *y);
};

/* Where the counters of a run of elements begin: element 4 * block of a sample. */
struct brume_noise_at { uint64_t seed, block; uint32_t stream, step; };

/* Loops that must give the same bits everywhere: compiled without contraction. */
struct brume_simd_noise {
    void (*normal)(int64_t n, const struct brume_noise_at *at, float *y);
    void (*uniform)(int64_t n, const struct brume_noise_at *at, float *y);
    /* y = x scale where the word is not below threshold, else 0. */
    void (*dropout)(int64_t n, const struct brume_noise_at *at, uint32_t threshold, float scale, const float *x, float *y);
};

#endif
