/* SPDX-License-Identifier: MIT
 * Tests of geglu. */
#include <math.h>

#include "../harness.h"

static int build(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    (void)k;
    out[0] = brume_geglu(g, in[0]);
    return 1;
}

static void oracle(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t w = test_dim(k, 0, k->in[0].shape.ndim - 1) / 2, n = test_numel(k, 0) / 2;
    for (int64_t i = 0; i < n; i++) {
        const double a = in[0][i / w * 2 * w + i % w], b = in[0][i / w * 2 * w + w + i % w];
        out[0][i] = a * (b / 2 * (1 + erf(b / sqrt(2))));
        scale[0][i] = fabs(a * b);
    }
}

#define X(lo, hi, ...) { BRUME_F32, BRUME_SHAPE(__VA_ARGS__), lo, hi, false }

static const struct test_case cases[] = {
    { "one", { 0 }, 1, { X(0, 0, 2) } },
    { "odd", { 0 }, 1, { X(-4, 4, 3, 5, 34) } },
    { "31", { 0 }, 1, { X(-4, 4, 7, 62) } },
    { "wide_range", { 0 }, 1, { X(-12, 12, 2, 258) } },
    { "transformer", { 0 }, 1, { X(-3, 3, 2, 17, 1280) } },
    { 0 },
};

static const struct test_refusal refusals[] = {
    { "odd", "even", BRUME_E_SHAPE, { 0, { 0 }, 1, { X(0, 0, 4, 3) } } },
    { "scalar", "even", BRUME_E_SHAPE, { 0, { 0 }, 1, { { BRUME_F32, BRUME_SCALAR, 0, 0, false } } } },
    { 0 },
};

static const struct test_op geglu = { "geglu", "elementwise", cases, refusals, build, oracle, 0 };

const struct test_op *const tests_geglu[] = { &geglu, NULL };
