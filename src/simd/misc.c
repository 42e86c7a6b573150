/* SPDX-License-Identifier: MIT
 * Inner loops of optimizer updates, losses and resampling: plain loops that the compiler vectorises, vector type where sums need
 * it. */
#include "simd/isa.h"
#include "simd/misc.h"

#include <math.h>

static void adamw(int64_t n, float *param, float *m, float *v, const float *grad, const struct brume_adamw *c)
{
    const struct brume_adamw k = *c;
    const float r1 = 1.0f - k.beta1, r2 = 1.0f - k.beta2;
    float *restrict pp = param, *restrict mp = m, *restrict vp = v;
    const float *restrict gp = grad;
    for (int64_t i = 0; i < n; i++) {
        const float p = pp[i], g = gp[i] * k.grad_scale + k.l2 * p;
        const float mi = k.beta1 * mp[i] + r1 * g, vn = k.beta2 * vp[i] + r2 * (g * g);
        mp[i] = mi;
        vp[i] = vn;
        pp[i] = p - (k.decay * p + k.step * mi / (sqrtf(vn * k.inv_bias2) + k.eps));
    }
}

static void sgd(int64_t n, float *param, float *m, const float *grad, float scale, float decay, float momentum, float lr)
{
    float *restrict pp = param, *restrict mp = m;
    const float *restrict gp = grad;
    for (int64_t i = 0; i < n; i++) {
        const float mi = momentum * mp[i] + (gp[i] * scale + decay * pp[i]);
        mp[i] = mi;
        pp[i] -= lr * mi;
    }
}

static void ema(int64_t n, float *avg, const float *param, float decay)
{
    const float rest = 1.0f - decay;
    float *restrict e = avg;
    const float *restrict p = param;
    for (int64_t i = 0; i < n; i++) e[i] = decay * e[i] + rest * p[i];
}

static double sum_sq_diff(int64_t n, const float *a, const float *b)
{
    double total = 0;
    int64_t i = 0;
    while (i + 4 * VW <= n) {
        const int64_t end = i + 512 < n ? i + 512 : n;
        vf s[4] = { { 0 } };
        for (; i + 4 * VW <= end; i += 4 * VW)
            for (int k = 0; k < 4; k++) {
                const vf d = vload(a + i + k * VW) - vload(b + i + k * VW);
                s[k] += d * d;
            }
        const vf t = (s[0] + s[1]) + (s[2] + s[3]);
        for (int k = 0; k < VW; k++) total += (double)t[k];
    }
    for (; i < n; i++) {
        const double d = (double)a[i] - (double)b[i];
        total += d * d;
    }
    return total;
}

static void sum_window(int64_t c, int64_t rows, int64_t cols, int64_t row_stride, float scale, const float *x, float *y)
{
    int64_t j = 0;
    for (; j + VW <= c; j += VW) {
        vf s = { 0 };
        for (int64_t r = 0; r < rows; r++)
            for (int64_t k = 0; k < cols; k++) s += vload(x + r * row_stride + k * c + j);
        vstore(y + j, s * scale);
    }
    for (; j < c; j++) {
        float s = 0;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t k = 0; k < cols; k++) s += x[r * row_stride + k * c + j];
        y[j] = s * scale;
    }
}

static void combine(int64_t c, int n, const float *const *x, const float *w, float *y)
{
    int64_t j = 0;
    for (; j + VW <= c; j += VW) {
        vf s = vload(x[0] + j) * w[0];
        for (int i = 1; i < n; i++) s += vload(x[i] + j) * w[i];
        vstore(y + j, s);
    }
    for (; j < c; j++) {
        float s = x[0][j] * w[0];
        for (int i = 1; i < n; i++) s += x[i][j] * w[i];
        y[j] = s;
    }
}

static void scale_row(int64_t n, float scale, const float *x, float *y)
{
    for (int64_t i = 0; i < n; i++) y[i] = scale * x[i];
}

static void add_row(int64_t n, const float *x, float *y)
{
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

static void mul_row(int64_t n, const float *x, float *y)
{
    for (int64_t i = 0; i < n; i++) y[i] *= x[i];
}

extern const struct brume_simd_misc ISA(brume_simd_misc);
const struct brume_simd_misc ISA(brume_simd_misc) = {
    .adamw = adamw,
    .sgd = sgd,
    .ema = ema,
    .sum_sq_diff = sum_sq_diff,
    .sum_window = sum_window,
    .combine = combine,
    .scale = scale_row,
    .add = add_row,
    .mul = mul_row,
};
