/* SPDX-License-Identifier: MIT
 * y = x w + bias over the last axis. */
#include "../harness.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "brume/safetensors.h"

#define V(a) { BRUME_F32, { 1, { a } }, 0, 0, false }
#define M(a, b) { BRUME_F32, { 2, { a, b } }, 0, 0, false }
#define T(a, b, c) { BRUME_F32, { 3, { a, b, c } }, 0, 0, false }

static const struct test_case cases[] = {
    { "1x1x1", { 0 }, 3, { M(1, 1), M(1, 1), V(1) } },
    { "vector", { 0 }, 3, { V(5), M(5, 7), V(7) } },
    { "no bias", { 0 }, 2, { M(3, 4), M(4, 5) } },
    { "one row", { 0 }, 3, { M(1, 128), M(128, 65), V(65) } },
    { "one column", { 0 }, 3, { M(31, 33), M(33, 1), V(1) } },
    { "one channel", { 0 }, 3, { M(33, 1), M(1, 31), V(31) } },
    { "31", { 0 }, 3, { M(31, 31), M(31, 31), V(31) } },
    { "32", { 0 }, 3, { M(32, 32), M(32, 32), V(32) } },
    { "33", { 0 }, 3, { M(33, 33), M(33, 33), V(33) } },
    { "sequence", { 0 }, 3, { T(2, 49, 24), M(24, 40), V(40) } },
    { "two passes over channels", { 0 }, 3, { M(7, 300), M(300, 17), V(17) } },
    { "several blocks of rows", { 0 }, 3, { M(215, 20), M(20, 50), V(50) } },
    { "all of 320 channels in one pass", { 0 }, 3, { M(13, 320), M(320, 37), V(37) } },
    { "several tasks", { 0 }, 3, { M(130, 257), M(257, 129), V(129) } },
    { 0 },
};

static const struct test_refusal refusals[] = {
    { "channels differ", "weight expects 4 input channels, x has 5", BRUME_E_SHAPE, { "", { 0 }, 2, { M(3, 5), M(4, 6) } } },
    { "bias differs", "bias expects 6", BRUME_E_SHAPE, { "", { 0 }, 3, { M(3, 4), M(4, 6), V(4) } } },
    { "bias of two dimensions", "bias", BRUME_E_SHAPE, { "", { 0 }, 3, { M(3, 4), M(4, 6), M(1, 6) } } },
    { "weight of one dimension", "weight", BRUME_E_SHAPE, { "", { 0 }, 2, { M(3, 4), V(4) } } },
    { "scalar", "scalar", BRUME_E_SHAPE, { "", { 0 }, 2, { { BRUME_F32, { 0, { 0 } }, 0, 0, false }, M(4, 6) } } },
    { "integers", "x", BRUME_E_SHAPE, { "", { 0 }, 2, { { BRUME_I32, { 2, { 3, 4 } }, 0, 9, false }, M(4, 6) } } },
    { 0 },
};

static int build(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    out[0] = brume_linear(g, in[0], in[1], k->n_in > 2 ? in[2] : BRUME_NONE);
    return 1;
}

static void oracle(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t c = test_dim(k, 1, 0), o = test_dim(k, 1, 1), rows = test_numel(k, 0) / c;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < o; j++) {
            double y = k->n_in > 2 ? in[2][j] : 0, s = fabs(y);
            for (int64_t i = 0; i < c; i++) {
                y += in[0][r * c + i] * in[1][i * o + j];
                s += fabs(in[0][r * c + i] * in[1][i * o + j]);
            }
            out[0][r * o + j] = y;
            scale[0][r * o + j] = s;
        }
}

static int build_half(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    const brume_tensor w = brume_cast(g, brume_cast(g, in[1], BRUME_F16), BRUME_F32);
    out[0] = brume_linear(g, in[0], w, k->n_in > 2 ? in[2] : BRUME_NONE);
    return 1;
}

static void oracle_half(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t n = test_numel(k, 1);
    double *w = malloc((size_t)n * sizeof *w);
    for (int64_t i = 0; w && i < n; i++) w[i] = brume_f16_to_f32(brume_f32_to_f16((float)in[1][i]));
    if (w) oracle(k, (const double *const[]){ in[0], w, in[2] }, out, scale);
    free(w);
}

static const struct test_op half = { .name = "linear of f16", .tolerance = "product", .cases = cases, .build = build_half,
                                     .oracle = oracle_half, .no_grad = ~0u };
static const struct test_op op = { .name = "linear", .tolerance = "product", .cases = cases, .refusals = refusals,
                                   .build = build, .oracle = oracle };
const struct test_op *const tests_linear[] = { &op, &half, NULL };
