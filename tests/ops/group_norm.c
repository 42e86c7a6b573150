/* SPDX-License-Identifier: MIT
 * Group normalisation: args are groups, norm_eps, act. The oracle follows the definition in two passes. */
#include "../harness.h"

#include <math.h>
#include <stddef.h>

enum { GROUPS, EPS, ACT };

/* x N, H, W, C; two more inputs of C values: weight and bias. */
#define X(n, h, w, c) { BRUME_F32, { 4, { n, h, w, c } }, 0, 0, false }
#define V(c) { BRUME_F32, { 1, { c } }, 0, 0, false }
#define AFFINE(what, n, h, w, c, groups, act) { what, { groups, 1e-5, act }, 3, { X(n, h, w, c), V(c), V(c) } }
#define OFFSET(what, n, h, w, c, groups, act, lo, hi) \
    { what, { groups, 1e-5, act }, 3, { { BRUME_F32, { 4, { n, h, w, c } }, lo, hi, false }, V(c), V(c) } }

static const struct test_case cases[] = {
    AFFINE("one value", 1, 1, 1, 1, 1, BRUME_ACT_NONE),
    AFFINE("groups of one value", 3, 1, 1, 9, 9, BRUME_ACT_SILU),
    AFFINE("one pixel", 2, 1, 1, 8, 2, BRUME_ACT_SILU),
    AFFINE("one channel", 2, 3, 3, 1, 1, BRUME_ACT_SILU),
    AFFINE("three channels", 2, 5, 7, 3, 3, BRUME_ACT_NONE),
    AFFINE("six channels, one group", 2, 5, 7, 6, 1, BRUME_ACT_NONE),
    AFFINE("a group for every channel", 2, 4, 4, 8, 8, BRUME_ACT_SILU),
    AFFINE("twenty channels", 3, 4, 5, 20, 5, BRUME_ACT_SILU),
    AFFINE("31 channels", 1, 6, 5, 31, 1, BRUME_ACT_SILU),
    AFFINE("32 channels", 2, 6, 6, 32, 8, BRUME_ACT_NONE),
    AFFINE("33 channels", 1, 9, 5, 33, 3, BRUME_ACT_SILU),
    AFFINE("65 channels", 1, 4, 4, 65, 5, BRUME_ACT_NONE),
    AFFINE("several chunks", 1, 33, 33, 16, 4, BRUME_ACT_SILU),
    AFFINE("several chunks, odd", 2, 31, 21, 10, 5, BRUME_ACT_SILU),
    AFFINE("wide", 1, 6, 7, 260, 2, BRUME_ACT_SILU),
    AFFINE("wider than a block of columns", 1, 3, 2, 1030, 2, BRUME_ACT_SILU),
    AFFINE("many samples", 9, 2, 2, 8, 2, BRUME_ACT_SILU),
    { "no weight and bias", { 4, 1e-5, BRUME_ACT_NONE }, 1, { X(2, 5, 5, 16) } },
    { "no weight and bias, silu", { 2, 1e-6, BRUME_ACT_SILU }, 1, { X(2, 3, 5, 6) } },
    { "sequence", { 3, 1e-5, BRUME_ACT_NONE }, 3, { { BRUME_F32, { 3, { 2, 15, 24 } }, 0, 0, false }, V(24), V(24) } },
    { "matrix", { 2, 1e-5, BRUME_ACT_NONE }, 3, { { BRUME_F32, { 2, { 5, 12 } }, 0, 0, false }, V(12), V(12) } },
    OFFSET("mean 50", 2, 6, 6, 8, 2, BRUME_ACT_NONE, 49.5, 50.5),
    OFFSET("mean 1000", 2, 9, 9, 12, 3, BRUME_ACT_SILU, 999, 1001),
    OFFSET("mean -20000", 1, 17, 19, 16, 4, BRUME_ACT_NONE, -20001, -19999),
    OFFSET("large and wide", 1, 8, 8, 16, 4, BRUME_ACT_SILU, -1e4, 1e4),
    OFFSET("tiny values", 1, 8, 8, 16, 4, BRUME_ACT_NONE, -1e-4, 1e-4),
    { 0 },
};

static const struct test_refusal refusals[] = {
    { "groups do not divide", "groups", BRUME_E_SHAPE, AFFINE("", 1, 2, 2, 8, 3, BRUME_ACT_NONE) },
    { "no groups", "groups", BRUME_E_SHAPE, AFFINE("", 1, 2, 2, 8, 0, BRUME_ACT_NONE) },
    { "negative groups", "groups", BRUME_E_SHAPE, AFFINE("", 1, 2, 2, 8, -2, BRUME_ACT_NONE) },
    { "norm_eps 0", "norm_eps", BRUME_E_ARG, { "", { 2, 0, 0 }, 3, { X(1, 2, 2, 8), V(8), V(8) } } },
    { "norm_eps NaN", "norm_eps", BRUME_E_ARG, { "", { 2, NAN, 0 }, 3, { X(1, 2, 2, 8), V(8), V(8) } } },
    { "weight too short", "weight", BRUME_E_SHAPE, { "", { 2, 1e-5, 0 }, 3, { X(1, 2, 2, 8), V(7), V(8) } } },
    { "bias of two dimensions", "bias", BRUME_E_SHAPE,
      { "", { 2, 1e-5, 0 }, 3, { X(1, 2, 2, 8), V(8), { BRUME_F32, { 2, { 1, 8 } }, 0, 0, false } } } },
    { "weight without bias", "both", BRUME_E_ARG, { "", { 2, 1e-5, 0 }, 2, { X(1, 2, 2, 8), V(8) } } },
    { "vector", "dimensions", BRUME_E_SHAPE, { "", { 2, 1e-5, 0 }, 3, { V(8), V(8), V(8) } } },
    { "another activation", "act", BRUME_E_ARG, AFFINE("", 1, 2, 2, 8, 2, BRUME_ACT_MISH) },
    { "x of integers", "x", BRUME_E_SHAPE, { "", { 2, 1e-5, 0 }, 3, { { BRUME_I32, { 4, { 1, 2, 2, 8 } }, 0, 5,
                                                                        false }, V(8), V(8) } } },
    { 0 },
};

static int build(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    const brume_tensor w = k->n_in > 1 ? in[1] : BRUME_NONE, b = k->n_in > 2 ? in[2] : BRUME_NONE;
    out[0] = brume_group_norm(g, in[0], w, b, (int)k->args[GROUPS], (float)k->args[EPS], (brume_act)k->args[ACT]);
    return 1;
}

static void oracle(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int nd = k->in[0].shape.ndim;
    const int64_t n = test_dim(k, 0, 0), c = test_dim(k, 0, nd - 1), rows = test_numel(k, 0) / n / c;
    const int64_t groups = (int64_t)k->args[GROUPS], len = c / groups;
    const double norm_eps = (double)(float)k->args[EPS];
    for (int64_t s = 0; s < n; s++)
        for (int64_t g = 0; g < groups; g++) {
            double mean = 0, var = 0;
            for (int64_t r = 0; r < rows; r++)
                for (int64_t i = g * len; i < (g + 1) * len; i++) mean += in[0][(s * rows + r) * c + i];
            mean /= (double)(rows * len);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t i = g * len; i < (g + 1) * len; i++) var += pow(in[0][(s * rows + r) * c + i] - mean, 2);
            var /= (double)(rows * len);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t i = g * len; i < (g + 1) * len; i++) {
                    const int64_t e = (s * rows + r) * c + i;
                    const double xhat = (in[0][e] - mean) / sqrt(var + norm_eps);
                    const double a = k->n_in > 1 ? xhat * in[1][i] : xhat, b = k->n_in > 2 ? in[2][i] : 0;
                    const double z = a + b;
                    out[0][e] = k->args[ACT] == BRUME_ACT_SILU ? z / (1 + exp(-z)) : z;
                    scale[0][e] = fabs(a) + fabs(b);
                }
        }
}

static const struct test_op group_norm = { "group_norm", "norm", cases, refusals, build, oracle, 0 };

const struct test_op *const tests_group_norm[] = { &group_norm, NULL };
