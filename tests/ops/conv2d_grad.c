/* SPDX-License-Identifier: MIT
 * The gradients of convolution as ops of their own: here every element is compared, where tests/ops/conv2d.c takes samples.
 * args: stride, pad top, left, bottom, right, then what the inputs do not tell: h, w of x, kh, kw. */
#include "../harness.h"

#include <math.h>
#include <stddef.h>

#include "ops/conv2d.h"

#define T(...) { BRUME_F32, BRUME_SHAPE(__VA_ARGS__), 0, 0, false }
#define DX(what, n, h, w, i, ho, wo, o, k, stride, top, left, bottom, right)                                               \
    { what, { stride, top, left, bottom, right, h, w, k, k }, 2, { T(n, ho, wo, o), T(k, k, i, o) } }
#define DW(what, n, h, w, i, ho, wo, o, k, stride, top, left, bottom, right)                                               \
    { what, { stride, top, left, bottom, right, h, w, k, k }, 2, { T(n, h, w, i), T(n, ho, wo, o) } }
#define GRADIENTS(ROW)                                                        \
    ROW("one value", 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0),                  \
    ROW("3x3", 2, 7, 6, 16, 7, 6, 32, 3, 1, 1, 1, 1, 1),                      \
    ROW("3x3, 1 to 18", 2, 9, 8, 1, 9, 8, 18, 3, 1, 1, 1, 1, 1),              \
    ROW("3x3, 18 to 1", 2, 9, 8, 18, 9, 8, 1, 3, 1, 1, 1, 1, 1),              \
    ROW("3x3, 37 to 3", 1, 5, 4, 37, 5, 4, 3, 3, 1, 1, 1, 1, 1),              \
    ROW("3x3, 3 to 5", 3, 11, 13, 3, 11, 13, 5, 3, 1, 1, 1, 1, 1),            \
    ROW("3x3, 41 to 67", 1, 3, 3, 41, 3, 3, 67, 3, 1, 1, 1, 1, 1),            \
    ROW("3x3, without padding", 1, 6, 5, 9, 4, 3, 8, 3, 1, 0, 0, 0, 0),       \
    ROW("3x3, stride 2", 2, 8, 7, 17, 4, 4, 10, 3, 2, 1, 1, 1, 1),            \
    ROW("3x3, stride 2, padded below", 2, 8, 8, 8, 4, 4, 6, 3, 2, 0, 0, 1, 1), \
    ROW("1x1", 3, 6, 7, 19, 6, 7, 21, 1, 1, 0, 0, 0, 0),                      \
    ROW("1x1, many pixels", 5, 13, 11, 4, 13, 11, 6, 1, 1, 0, 0, 0, 0),       \
    ROW("1x1, stride 3", 2, 8, 9, 6, 3, 3, 7, 1, 3, 0, 0, 0, 0),              \
    ROW("5x5", 1, 6, 6, 6, 6, 6, 9, 5, 1, 2, 2, 2, 2),                        \
    ROW("2x2, uneven padding", 2, 5, 4, 6, 5, 4, 7, 2, 1, 0, 1, 1, 0),        \
    ROW("one column", 4, 33, 1, 6, 33, 1, 7, 3, 1, 1, 1, 1, 1)

static const struct test_case cases_dx[] = { GRADIENTS(DX), { 0 } };
static const struct test_case cases_dw[] = { GRADIENTS(DW), { 0 } };

static struct brume_conv2d_attrs attrs_of(const struct test_case *k)
{
    const double *a = k->args;
    return (struct brume_conv2d_attrs){ .stride = (int32_t)a[0], .pad = { (int32_t)a[1], (int32_t)a[2],
                                                                          (int32_t)a[3], (int32_t)a[4] },
                                        .h = (int64_t)a[5], .w = (int64_t)a[6], .kh = (int64_t)a[7], .kw = (int64_t)a[8] };
}

static int build_dx(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    const struct brume_conv2d_attrs a = attrs_of(k);
    out[0] = brume_conv2d_dx(g, in[0], in[1], &a);
    return 1;
}

static int build_dw(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    const struct brume_conv2d_attrs a = attrs_of(k);
    out[0] = brume_conv2d_dw(g, in[0], in[1], &a);
    return 1;
}

/* Calls f(s, index of x, of w, of y) for every product that conv2d sums. */
struct sum { const double *a, *b; double *out, *scale; };

static void each(const struct test_case *k, const int64_t x[4], const int64_t w[4],
                 void (*f)(struct sum *s, int64_t ix, int64_t iw, int64_t iy), struct sum *s)
{
    const int64_t stride = (int64_t)k->args[0], top = (int64_t)k->args[1], left = (int64_t)k->args[2];
    const int64_t ho = (x[1] + top + (int64_t)k->args[3] - w[0]) / stride + 1,
                  wo = (x[2] + left + (int64_t)k->args[4] - w[1]) / stride + 1;
    for (int64_t n = 0; n < x[0]; n++)
        for (int64_t p = 0; p < ho; p++)
            for (int64_t q = 0; q < wo; q++)
                for (int64_t ky = 0; ky < w[0]; ky++)
                    for (int64_t kx = 0; kx < w[1]; kx++) {
                        const int64_t r = p * stride + ky - top, c = q * stride + kx - left;
                        if (r < 0 || c < 0 || r >= x[1] || c >= x[2]) continue;
                        for (int64_t i = 0; i < w[2]; i++)
                            for (int64_t o = 0; o < w[3]; o++)
                                f(s, ((n * x[1] + r) * x[2] + c) * x[3] + i, ((ky * w[1] + kx) * w[2] + i) * w[3] + o,
                                  ((n * ho + p) * wo + q) * w[3] + o);
                    }
}

static void term(struct sum *s, int64_t at, double v)
{
    s->out[at] += v;
    s->scale[at] += fabs(v);
}

static void to_x(struct sum *s, int64_t ix, int64_t iw, int64_t iy) { term(s, ix, s->a[iy] * s->b[iw]); }
static void to_w(struct sum *s, int64_t ix, int64_t iw, int64_t iy) { term(s, iw, s->a[ix] * s->b[iy]); }

static void clear(struct sum *s, int64_t n)
{
    for (int64_t e = 0; e < n; e++) s->out[e] = s->scale[e] = 0;
}

static void oracle_dx(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    struct sum s = { in[0], in[1], out[0], scale[0] };
    const int64_t x[4] = { test_dim(k, 0, 0), (int64_t)k->args[5], (int64_t)k->args[6], test_dim(k, 1, 2) };
    clear(&s, x[0] * x[1] * x[2] * x[3]);
    each(k, x, k->in[1].shape.d, to_x, &s);
}

static void oracle_dw(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    struct sum s = { in[0], in[1], out[0], scale[0] };
    const int64_t w[4] = { (int64_t)k->args[7], (int64_t)k->args[8], test_dim(k, 0, 3), test_dim(k, 1, 3) };
    clear(&s, w[0] * w[1] * w[2] * w[3]);
    each(k, k->in[0].shape.d, w, to_w, &s);
}

static const struct test_op conv2d_dx = { "conv2d_dx", "product", cases_dx, NULL, build_dx, oracle_dx, 0 };
static const struct test_op conv2d_dw = { "conv2d_dw", "product", cases_dw, NULL, build_dw, oracle_dw, 0 };

const struct test_op *const tests_conv2d_grad[] = { &conv2d_dx, &conv2d_dw, NULL };
