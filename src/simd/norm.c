/* SPDX-License-Identifier: MIT
 * Inner loops of group norm, layer norm and softmax, one register at a time. */
#include "simd/norm.h"

#include "simd/vexp.h"

const struct brume_simd_norm ISA(brume_simd_norm);

/* Columns are taken in strips of NV registers that accumulate over all rows, the remainder one register, then one value at a
 * time. */
#define NV 4

#define COLUMN_STRIPS(strip, one, ...)                       \
    int64_t j = 0;                                           \
    for (; j + NV * VW <= w; j += NV * VW) strip(NV, __VA_ARGS__) \
    for (; j + VW <= w; j += VW) strip(1, __VA_ARGS__)       \
    for (; j < w; j++) one(__VA_ARGS__)

static void col_sum(int64_t rows, int64_t w, int64_t ld, const float *x, float *sum)
{
#define STRIP(nv, u)                                                                     \
    {                                                                                    \
        vf a[nv];                                                                        \
        for (int v = 0; v < nv; v++) a[v] = vload(sum + j + v * VW);                     \
        for (int64_t i = 0; i < rows; i++)                                               \
            for (int v = 0; v < nv; v++) a[v] += vload(x + i * ld + j + v * VW);         \
        for (int v = 0; v < nv; v++) vstore(sum + j + v * VW, a[v]);                     \
    }
#define ONE(u) \
    for (int64_t i = 0; i < rows; i++) sum[j] += x[i * ld + j];
    COLUMN_STRIPS(STRIP, ONE, 0)
#undef STRIP
#undef ONE
}

static void col_dev(int64_t rows, int64_t w, int64_t ld, const float *x, const float *shift, float *d1, float *d2)
{
#define STRIP(nv, u)                                                                     \
    {                                                                                    \
        vf a[nv], b[nv], m[nv];                                                          \
        for (int v = 0; v < nv; v++) {                                                   \
            a[v] = vload(d1 + j + v * VW);                                               \
            b[v] = vload(d2 + j + v * VW);                                               \
            m[v] = vload(shift + j + v * VW);                                            \
        }                                                                                \
        for (int64_t i = 0; i < rows; i++)                                               \
            for (int v = 0; v < nv; v++) {                                               \
                const vf t = vload(x + i * ld + j + v * VW) - m[v];                      \
                a[v] += t;                                                               \
                b[v] += t * t;                                                           \
            }                                                                            \
        for (int v = 0; v < nv; v++) {                                                   \
            vstore(d1 + j + v * VW, a[v]);                                               \
            vstore(d2 + j + v * VW, b[v]);                                               \
        }                                                                                \
    }
#define ONE(u)                                          \
    for (int64_t i = 0; i < rows; i++) {                \
        const float t = x[i * ld + j] - shift[j];       \
        d1[j] += t;                                     \
        d2[j] += t * t;                                 \
    }
    COLUMN_STRIPS(STRIP, ONE, 0)
#undef STRIP
#undef ONE
}

static inline float first(vf v) { return v[0]; }

/* The functions of one register; the tail of a row uses their first lane, so that every element is computed alike. */
static inline vf apply(vf x, vf m, vf a, vf s, bool silu)
{
    const vf z = (x - m) * a + s;
    return silu ? z * vsigmoid(z) : z;
}

static inline vf grad_z(vf t, vf dy, vf a, vf s, bool silu)
{
    if (!silu) return dy;
    const vf z = t * a + s, g = vsigmoid(z);
    return dy * (g * (1.0f + z * (1.0f - g)));
}

static inline void apply_rows(int64_t rows, int64_t w, int64_t ld, const float *x, const float *shift, const float *a,
                              const float *s, bool silu, float *y)
{
    for (int64_t i = 0; i < rows; i++, x += ld, y += ld) {
        int64_t j = 0;
        for (; j + VW <= w; j += VW)
            vstore(y + j, apply(vload(x + j), vload(shift + j), vload(a + j), vload(s + j), silu));
        if (j < w) {
            const int64_t n = w - j;
            vstore_part(y + j,
                        apply(vload_part(x + j, n, 0), vload_part(shift + j, n, 0), vload_part(a + j, n, 0),
                              vload_part(s + j, n, 0), silu),
                        n);
        }
    }
}

static void col_apply(int64_t rows, int64_t w, int64_t ld, const float *x, const float *shift, const float *a, const float *s,
                      bool silu, float *y)
{
    if (silu) apply_rows(rows, w, ld, x, shift, a, s, true, y);
    else apply_rows(rows, w, ld, x, shift, a, s, false, y);
}

static inline void grad_sums(int64_t rows, int64_t w, int64_t ld, const float *x, const float *dy, const float *shift,
                             const float *a, const float *s, bool silu, float *dz_out, float *s1, float *s2)
{
#define STRIP(nv, u)                                                                               \
    {                                                                                              \
        vf p[nv], q[nv], m[nv], aa[nv], ss[nv];                                                    \
        for (int v = 0; v < nv; v++) {                                                             \
            p[v] = vload(s1 + j + v * VW);                                                         \
            q[v] = vload(s2 + j + v * VW);                                                         \
            m[v] = vload(shift + j + v * VW);                                                      \
            aa[v] = vload(a + j + v * VW);                                                         \
            ss[v] = vload(s + j + v * VW);                                                         \
        }                                                                                          \
        for (int64_t i = 0; i < rows; i++)                                                         \
            for (int v = 0; v < nv; v++) {                                                         \
                const vf t = vload(x + i * ld + j + v * VW) - m[v];                                \
                const vf dz = grad_z(t, vload(dy + i * ld + j + v * VW), aa[v], ss[v], silu);      \
                if (silu) vstore(dz_out + i * ld + j + v * VW, dz);                                \
                p[v] += dz;                                                                        \
                q[v] += dz * t;                                                                    \
            }                                                                                      \
        for (int v = 0; v < nv; v++) {                                                             \
            vstore(s1 + j + v * VW, p[v]);                                                         \
            vstore(s2 + j + v * VW, q[v]);                                                         \
        }                                                                                          \
    }
#define ONE(u)                                                                                     \
    for (int64_t i = 0; i < rows; i++) {                                                           \
        const float t = x[i * ld + j] - shift[j];                                                  \
        const float dz = first(grad_z(vset(t), vset(dy[i * ld + j]), vset(a[j]), vset(s[j]), silu)); \
        if (silu) dz_out[i * ld + j] = dz;                                                         \
        s1[j] += dz;                                                                               \
        s2[j] += dz * t;                                                                           \
    }
    COLUMN_STRIPS(STRIP, ONE, 0)
#undef STRIP
#undef ONE
}

static void col_grad_sums(int64_t rows, int64_t w, int64_t ld, const float *x, const float *dy, const float *shift,
                          const float *a, const float *s, bool silu, float *dz, float *s1, float *s2)
{
    if (silu) grad_sums(rows, w, ld, x, dy, shift, a, s, true, dz, s1, s2);
    else grad_sums(rows, w, ld, x, dy, shift, a, s, false, dz, s1, s2);
}

static void col_grad(int64_t rows, int64_t w, int64_t ld, const float *x, const float *dz, const float *shift, const float *a,
                     const float *p, const float *q, float *dx)
{
    for (int64_t i = 0; i < rows; i++, x += ld, dz += ld, dx += ld) {
        int64_t j = 0;
        for (; j + VW <= w; j += VW)
            vstore(dx + j, vload(dz + j) * vload(a + j) + ((vload(x + j) - vload(shift + j)) * vload(p + j) + vload(q + j)));
        for (; j < w; j++) dx[j] = dz[j] * a[j] + ((x[j] - shift[j]) * p[j] + q[j]);
    }
}

static float row_sum(int64_t n, const float *x)
{
    vf a[NV] = { { 0 } };
    int64_t j = 0;
    for (; j + NV * VW <= n; j += NV * VW)
        for (int v = 0; v < NV; v++) a[v] += vload(x + j + v * VW);
    for (; j + VW <= n; j += VW) a[0] += vload(x + j);
    float s = vhsum((a[0] + a[1]) + (a[2] + a[3]));
    for (; j < n; j++) s += x[j];
    return s;
}

static void row_moments(int64_t n, const float *x, float m[2], float *var)
{
    const float k = row_sum(n, x) / (float)n; /* rounded, hence a shift only: the deviations from it correct mean and variance */
    vf a[NV] = { { 0 } }, b[NV] = { { 0 } };
    int64_t j = 0;
    for (; j + NV * VW <= n; j += NV * VW)
        for (int v = 0; v < NV; v++) {
            const vf t = vload(x + j + v * VW) - k;
            a[v] += t;
            b[v] += t * t;
        }
    for (; j + VW <= n; j += VW) {
        const vf t = vload(x + j) - k;
        a[0] += t;
        b[0] += t * t;
    }
    double d1 = vhsum((a[0] + a[1]) + (a[2] + a[3])), d2 = vhsum((b[0] + b[1]) + (b[2] + b[3]));
    for (; j < n; j++) {
        const float t = x[j] - k;
        d1 += t;
        d2 += t * t;
    }
    d1 /= (double)n;
    const double v = d2 / (double)n - d1 * d1;
    m[0] = (float)((double)k + d1);
    m[1] = (float)((double)k - (double)m[0] + d1);
    *var = (float)(v < 0 ? 0 : v);
}

static void row_norm(int64_t n, const float *x, const float m[2], float rstd, const float *w, const float *b, float *y)
{
    const float hi = m[0], lo = m[1];
    if (w) {
        int64_t j = 0;
        for (; j + VW <= n; j += VW) vstore(y + j, ((vload(x + j) - hi) - lo) * rstd * vload(w + j) + vload(b + j));
        for (; j < n; j++) y[j] = ((x[j] - hi) - lo) * rstd * w[j] + b[j];
    } else {
        int64_t j = 0;
        for (; j + VW <= n; j += VW) vstore(y + j, ((vload(x + j) - hi) - lo) * rstd);
        for (; j < n; j++) y[j] = ((x[j] - hi) - lo) * rstd;
    }
}

static void row_norm_grad(int64_t n, const float *x, const float *dy, const float m[2], float rstd, const float *w, float *dx,
                          float *dw, float *db)
{
    const float hi = m[0], lo = m[1];
    vf a1 = { 0 }, a2 = { 0 };
    int64_t j = 0;
    for (; j + VW <= n; j += VW) {
        const vf xh = ((vload(x + j) - hi) - lo) * rstd, d = vload(dy + j), g = w ? d * vload(w + j) : d;
        a1 += g;
        a2 += g * xh;
        vstore(dx + j, g);
        if (dw) {
            vstore(dw + j, vload(dw + j) + d * xh);
            vstore(db + j, vload(db + j) + d);
        }
    }
    float s1 = vhsum(a1), s2 = vhsum(a2);
    for (; j < n; j++) {
        const float xh = ((x[j] - hi) - lo) * rstd, g = w ? dy[j] * w[j] : dy[j];
        s1 += g;
        s2 += g * xh;
        dx[j] = g;
        if (dw) {
            dw[j] += dy[j] * xh;
            db[j] += dy[j];
        }
    }
    s1 /= (float)n;
    s2 /= (float)n;
    for (j = 0; j + VW <= n; j += VW) {
        const vf xh = ((vload(x + j) - hi) - lo) * rstd;
        vstore(dx + j, (vload(dx + j) - s1 - xh * s2) * rstd);
    }
    for (; j < n; j++) {
        const float xh = ((x[j] - hi) - lo) * rstd;
        dx[j] = (dx[j] - s1 - xh * s2) * rstd;
    }
}

static void row_softmax(int64_t n, const float *x, float *y)
{
    vf top = vset(-__builtin_inff()), sum = { 0 };
    int64_t j = 0;
    for (; j + VW <= n; j += VW) top = vmax(vload(x + j), top);
    if (j < n) top = vmax(vload_part(x + j, n - j, -__builtin_inff()), top);
    float m = top[0];
    for (int i = 1; i < VW; i++) m = top[i] > m ? top[i] : m;
    for (j = 0; j + VW <= n; j += VW) {
        const vf e = vexp(vload(x + j) - m);
        vstore(y + j, e);
        sum += e;
    }
    if (j < n) {
        const vf e = vexp(vload_part(x + j, n - j, -__builtin_inff()) - m); /* e^-inf adds 0 */
        vstore_part(y + j, e, n - j);
        sum += e;
    }
    const float r = 1.0f / vhsum(sum);
    for (j = 0; j + VW <= n; j += VW) vstore(y + j, vload(y + j) * r);
    for (; j < n; j++) y[j] *= r;
}

/* sum of y (dy - c) */
static inline float weighted(int64_t n, const float *y, const float *dy, float c)
{
    vf a = { 0 };
    int64_t j = 0;
    for (; j + VW <= n; j += VW) a += vload(y + j) * (vload(dy + j) - c);
    float s = vhsum(a);
    for (; j < n; j++) s += y[j] * (dy[j] - c);
    return s;
}

static void row_softmax_grad(int64_t n, const float *y, const float *dy, float *dx)
{
    /* The mean of dy in two steps: where one y is nearly 1, its dy - s is far smaller than the rounding of s. */
    const float s = weighted(n, y, dy, 0), rest = weighted(n, y, dy, s);
    int64_t j = 0;
    for (; j + VW <= n; j += VW) vstore(dx + j, vload(y + j) * ((vload(dy + j) - s) - rest));
    for (; j < n; j++) dx[j] = y[j] * ((dy[j] - s) - rest);
}

const struct brume_simd_norm ISA(brume_simd_norm) = {
    .vector_width = VW,
    .col_sum = col_sum,
    .col_dev = col_dev,
    .col_apply = col_apply,
    .col_grad_sums = col_grad_sums,
    .col_grad = col_grad,
    .row_moments = row_moments,
    .row_norm = row_norm,
    .row_norm_grad = row_norm_grad,
    .row_softmax = row_softmax,
    .row_softmax_grad = row_softmax_grad,
};
