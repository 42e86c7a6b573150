/* SPDX-License-Identifier: MIT
 * Convolutions: args are stride, pads (top, left, bottom, right), groups, and whether a residual is given. Inputs: x, weight,
 * then the residual if any, then the bias if any. The gradients run conv2d_dx and conv2d_dw. */
#include "../harness.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "brume/safetensors.h"

enum { STRIDE, TOP, LEFT, BOTTOM, RIGHT, GROUPS, RESIDUAL };

#define V(a) { BRUME_F32, { 1, { a } }, 0, 0, false }
#define M(a, b) { BRUME_F32, { 2, { a, b } }, 0, 0, false }
#define Q(a, b, c, d) { BRUME_F32, { 4, { a, b, c, d } }, 0, 0, false }
#define SAME(what, n, h, w, i, o) { what, { 1, 1, 1, 1, 1, 1 }, 3, { Q(n, h, w, i), Q(3, 3, i, o), V(o) } }

static const struct test_case cases[] = {
    { "one pixel", { 1, 0, 0, 0, 0, 1 }, 3, { Q(1, 1, 1, 1), Q(1, 1, 1, 1), V(1) } },
    SAME("one pixel 3x3", 1, 1, 1, 3, 5),
    SAME("one channel", 2, 9, 7, 1, 1),
    SAME("first layer", 3, 14, 14, 1, 32),
    SAME("first layer of colours", 2, 16, 16, 3, 33),
    SAME("last layer", 3, 14, 14, 32, 1),
    SAME("last layer of colours", 2, 8, 8, 31, 3),
    SAME("31 channels", 1, 6, 5, 31, 31),
    SAME("32 channels", 2, 8, 8, 32, 32),
    SAME("33 channels", 1, 5, 6, 33, 33),
    SAME("65 channels", 1, 9, 10, 65, 17),
    SAME("many 4x4", 13, 4, 4, 16, 20),
    SAME("many 7x7", 7, 7, 7, 20, 24),
    SAME("many 8x8", 9, 8, 8, 17, 16),
    SAME("wide", 1, 3, 70, 16, 18),
    SAME("tall", 1, 300, 2, 4, 3),
    SAME("rows longer than a pass", 1, 2, 300, 2, 3),
    SAME("28x28", 1, 28, 28, 24, 16),
    SAME("300 channels", 1, 4, 4, 300, 20),
    SAME("to 300 channels", 1, 4, 4, 20, 300),
    SAME("parts of the channels", 1, 7, 9, 131, 41),
    { "3x3 no padding", { 1, 0, 0, 0, 0, 1 }, 2, { Q(2, 7, 9, 10), Q(3, 3, 10, 11) } },
    { "3x3 full padding", { 1, 2, 2, 2, 2, 1 }, 2, { Q(2, 5, 6, 10), Q(3, 3, 10, 11) } },
    { "1x1", { 1, 0, 0, 0, 0, 1 }, 3, { Q(3, 7, 5, 34), Q(1, 1, 34, 37), V(37) } },
    { "1x1 bias per sample", { 1, 0, 0, 0, 0, 1 }, 3, { Q(3, 7, 5, 12), Q(1, 1, 12, 17), M(3, 17) } },
    { "1x1 stride 2", { 2, 0, 0, 0, 0, 1 }, 3, { Q(2, 7, 6, 9), Q(1, 1, 9, 17), V(17) } },
    { "5x5", { 1, 2, 2, 2, 2, 1 }, 3, { Q(2, 9, 9, 6), Q(5, 5, 6, 8), V(8) } },
    { "7x7 of 2x2 pixels", { 1, 3, 3, 3, 3, 1 }, 3, { Q(2, 2, 2, 3), Q(7, 7, 3, 5), V(5) } },
    { "3x1", { 1, 1, 0, 1, 0, 1 }, 3, { Q(2, 9, 4, 6), Q(3, 1, 6, 8), V(8) } },
    { "1x4", { 1, 0, 1, 0, 2, 1 }, 3, { Q(2, 3, 11, 6), Q(1, 4, 6, 8), V(8) } },
    { "2x2", { 1, 0, 0, 1, 1, 1 }, 3, { Q(2, 5, 5, 6), Q(2, 2, 6, 8), V(8) } },
    { "stride 2", { 2, 1, 1, 1, 1, 1 }, 3, { Q(3, 14, 14, 16), Q(3, 3, 16, 18), V(18) } },
    { "stride 2 odd", { 2, 1, 1, 1, 1, 1 }, 3, { Q(2, 7, 9, 16), Q(3, 3, 16, 18), V(18) } },
    { "stride 2 padded below and right", { 2, 0, 0, 1, 1, 1 }, 3, { Q(3, 8, 8, 9), Q(3, 3, 9, 10), V(10) } },
    { "stride 2 many", { 2, 1, 1, 1, 1, 1 }, 3, { Q(14, 5, 5, 5), Q(3, 3, 5, 6), V(6) } },
    { "stride 3, pixels that no tap meets", { 3, 0, 0, 0, 0, 1 }, 3, { Q(2, 9, 10, 5), Q(2, 2, 5, 6), V(6) } },
    { "stride larger than the image", { 5, 1, 1, 1, 1, 1 }, 3, { Q(2, 3, 3, 5), Q(3, 3, 5, 6), V(6) } },
    { "patches", { 4, 0, 0, 0, 0, 1 }, 3, { Q(1, 16, 16, 3), Q(4, 4, 3, 20), V(20) } },
    { "uneven padding", { 1, 2, 0, 1, 3, 1 }, 3, { Q(2, 5, 6, 7), Q(4, 5, 7, 6), V(6) } },
    { "1x1 in a frame of zeros", { 1, 1, 1, 1, 1, 1 }, 3, { Q(2, 4, 3, 5), Q(1, 1, 5, 6), V(6) } },
    { "padded by more than the kernel", { 2, 5, 0, 1, 4, 1 }, 3, { Q(2, 6, 5, 4), Q(3, 3, 4, 5), V(5) } },
    { "groups padded by more than the kernel", { 1, 3, 2, 3, 0, 2, 1 }, 4, { Q(2, 3, 4, 6), Q(3, 2, 3, 4),
                                                                             Q(2, 7, 5, 4), M(2, 4) } },
    { "bias per sample", { 1, 1, 1, 1, 1, 1 }, 3, { Q(7, 8, 8, 16), Q(3, 3, 16, 17), M(7, 17) } },
    { "bias per sample, 3x3 on 5x5", { 1, 1, 1, 1, 1, 1 }, 3, { Q(3, 5, 5, 4), Q(3, 3, 4, 33), M(3, 33) } },
    { "residual", { 1, 1, 1, 1, 1, 1, 1 }, 3, { Q(2, 8, 8, 16), Q(3, 3, 16, 20), Q(2, 8, 8, 20) } },
    { "residual and bias", { 1, 1, 1, 1, 1, 1, 1 }, 4, { Q(2, 8, 8, 16), Q(3, 3, 16, 20), Q(2, 8, 8, 20), V(20) } },
    { "residual and bias per sample, stride 2", { 2, 1, 1, 1, 1, 1, 1 }, 4,
      { Q(2, 8, 8, 6), Q(3, 3, 6, 5), Q(2, 4, 4, 5), M(2, 5) } },
    { "1x1 residual", { 1, 0, 0, 0, 0, 1, 1 }, 4, { Q(2, 8, 8, 6), Q(1, 1, 6, 5), Q(2, 8, 8, 5), V(5) } },
    { "groups 2", { 1, 1, 1, 1, 1, 2 }, 3, { Q(2, 6, 6, 8), Q(3, 3, 4, 6), V(6) } },
    { "depthwise", { 1, 1, 1, 1, 1, 17 }, 3, { Q(2, 5, 4, 17), Q(3, 3, 1, 17), V(17) } },
    { "groups with residual and bias per sample", { 2, 1, 1, 1, 1, 3, 1 }, 4,
      { Q(2, 6, 6, 6), Q(3, 3, 2, 9), Q(2, 3, 3, 9), M(2, 9) } },
    { 0 },
};

/* Winograd's weights would be larger than the caches. */
static const struct test_case large[] = { SAME("500 channels", 1, 4, 5, 500, 490), { 0 } };

static const struct test_refusal refusals[] = {
    { "channels differ", "weight expects 3 input channels, x has 4", BRUME_E_SHAPE,
      { "", { 1, 1, 1, 1, 1, 1 }, 2, { Q(2, 32, 32, 4), Q(3, 3, 3, 64) } } },
    { "stride 0", "stride", BRUME_E_ARG, { "", { 0, 1, 1, 1, 1, 1 }, 2, { Q(1, 4, 4, 4), Q(3, 3, 4, 4) } } },
    { "negative pad", "pad[0]", BRUME_E_ARG, { "", { 1, -1, 1, 1, 1, 1 }, 2, { Q(1, 4, 4, 4), Q(3, 3, 4, 4) } } },
    { "kernel larger than the image", "does not fit", BRUME_E_SHAPE, { "", { 1, 0, 0, 0, 0, 1 }, 2,
                                                                       { Q(1, 2, 4, 4), Q(3, 3, 4, 4) } } },
    { "bias differs", "bias", BRUME_E_SHAPE, { "", { 1, 1, 1, 1, 1, 1 }, 3, { Q(1, 4, 4, 4), Q(3, 3, 4, 5), V(4) } } },
    { "bias of another batch", "bias", BRUME_E_SHAPE, { "", { 1, 1, 1, 1, 1, 1 }, 3,
                                                        { Q(2, 4, 4, 4), Q(3, 3, 4, 5), M(3, 5) } } },
    { "residual differs", "residual", BRUME_E_SHAPE, { "", { 2, 1, 1, 1, 1, 1, 1 }, 3,
                                                       { Q(1, 4, 4, 4), Q(3, 3, 4, 5), Q(1, 4, 4, 5) } } },
    { "groups do not divide", "groups = 3", BRUME_E_SHAPE, { "", { 1, 1, 1, 1, 1, 3 }, 2, { Q(1, 4, 4, 4), Q(3, 3, 1, 6) } } },
    { "negative groups", "groups", BRUME_E_ARG, { "", { 1, 1, 1, 1, 1, -1 }, 2, { Q(1, 4, 4, 4), Q(3, 3, 4, 6) } } },
    { "image of three dimensions", "x", BRUME_E_SHAPE,
      { "", { 1, 1, 1, 1, 1, 1 }, 2, { { BRUME_F32, { 3, { 4, 4, 4 } }, 0, 0, false }, Q(3, 3, 4, 6) } } },
    { 0 },
};

static int bias_of(const struct test_case *k)
{
    const int i = k->args[RESIDUAL] != 0 ? 3 : 2;
    return i < k->n_in ? i : -1;
}

static int build(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    const brume_conv2d_params p = { .stride = (int32_t)k->args[STRIDE],
                                    .pad = { (int32_t)k->args[TOP], (int32_t)k->args[LEFT], (int32_t)k->args[BOTTOM],
                                             (int32_t)k->args[RIGHT] },
                                    .groups = (int32_t)k->args[GROUPS] };
    const int bias = bias_of(k);
    out[0] = brume_conv2d(g, in[0], in[1], bias >= 0 ? in[bias] : BRUME_NONE, k->args[RESIDUAL] != 0 ? in[2] : BRUME_NONE, &p);
    return 1;
}

static void oracle(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t n = test_dim(k, 0, 0), h = test_dim(k, 0, 1), w = test_dim(k, 0, 2), ci = test_dim(k, 0, 3);
    const int64_t kh = test_dim(k, 1, 0), kw = test_dim(k, 1, 1), gi = test_dim(k, 1, 2), o = test_dim(k, 1, 3),
                  go = o / (ci / gi);
    const int64_t stride = (int64_t)k->args[STRIDE], top = (int64_t)k->args[TOP], left = (int64_t)k->args[LEFT];
    const int64_t ho = (h + top + (int64_t)k->args[BOTTOM] - kh) / stride + 1,
                  wo = (w + left + (int64_t)k->args[RIGHT] - kw) / stride + 1;
    const int bias = bias_of(k), residual = k->args[RESIDUAL] != 0;
    double *y = out[0], *s = scale[0];
    for (int64_t b = 0; b < n; b++)
        for (int64_t p = 0; p < ho * wo; p++)
            for (int64_t c = 0; c < o; c++, y++, s++) {
                const double r = residual ? in[2][(b * ho * wo + p) * o + c] : 0;
                const double q = bias < 0 ? 0 : in[bias][k->in[bias].shape.ndim == 2 ? b * o + c : c];
                *y = r + q;
                *s = fabs(r) + fabs(q);
                for (int64_t t = 0; t < kh * kw; t++) {
                    const int64_t sy = p / wo * stride - top + t / kw, sx = p % wo * stride - left + t % kw;
                    if (sy < 0 || sy >= h || sx < 0 || sx >= w) continue;
                    const double *x = in[0] + ((b * h + sy) * w + sx) * ci + c / go * gi, *v = in[1] + t * gi * o + c;
                    for (int64_t i = 0; i < gi; i++) {
                        *y += x[i] * v[i * o];
                        *s += fabs(x[i] * v[i * o]);
                    }
                }
            }
}

static int build_half(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    brume_tensor all[4] = { BRUME_NONE, BRUME_NONE, BRUME_NONE, BRUME_NONE };
    for (int i = 0; i < k->n_in; i++) all[i] = in[i];
    all[1] = brume_cast(g, brume_cast(g, in[1], BRUME_F16), BRUME_F32);
    return build(g, k, all, out);
}

static void oracle_half(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t n = test_numel(k, 1);
    double *w = malloc((size_t)n * sizeof *w);
    for (int64_t i = 0; w && i < n; i++) w[i] = brume_f16_to_f32(brume_f32_to_f16((float)in[1][i]));
    if (w) oracle(k, (const double *const[]){ in[0], w, in[2], in[3] }, out, scale);
    free(w);
}

static const struct test_op half = { .name = "conv2d of f16", .tolerance = "product", .cases = cases, .build = build_half,
                                     .oracle = oracle_half, .no_grad = ~0u };
static const struct test_op wide = { .name = "conv2d of large weights", .tolerance = "product", .cases = large, .build = build,
                                     .oracle = oracle, .no_grad = ~0u };
static const struct test_op op = { .name = "conv2d", .tolerance = "product", .cases = cases, .refusals = refusals,
                                   .build = build, .oracle = oracle };
const struct test_op *const tests_conv2d[] = { &op, &half, &wide, NULL };
