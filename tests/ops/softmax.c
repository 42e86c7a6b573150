/* SPDX-License-Identifier: MIT
 * Softmax over the last axis. */
#include "../harness.h"

#include <math.h>
#include <stddef.h>

#define ROWS(what, n, d, lo, hi) { what, { 0 }, 1, { { BRUME_F32, { 2, { n, d } }, lo, hi, false } } }

static const struct test_case cases[] = {
    ROWS("one value", 1, 1, 0, 0),
    ROWS("rows of one", 5, 1, -3, 3),
    ROWS("rows of two", 5, 2, -3, 3),
    ROWS("rows of 7", 3, 7, -3, 3),
    ROWS("rows of 16", 3, 16, -3, 3),
    ROWS("rows of 31", 4, 31, -3, 3),
    ROWS("rows of 32", 4, 32, -3, 3),
    ROWS("rows of 33", 4, 33, -3, 3),
    ROWS("rows of 65", 300, 65, -3, 3),
    ROWS("rows of 1030", 9, 1030, -3, 3),
    ROWS("long rows", 2, 9001, -3, 3),
    ROWS("sharp", 3, 50, -60, 60),
    ROWS("far apart", 3, 50, -500, 500),
    ROWS("common offset", 3, 50, 990, 1000),
    { "vector", { 0 }, 1, { { BRUME_F32, { 1, { 21 } }, -2, 2, false } } },
    { "4-d", { 0 }, 1, { { BRUME_F32, { 4, { 2, 3, 2, 9 } }, -2, 2, false } } },
    { 0 },
};

static const struct test_refusal refusals[] = {
    { "scalar", "scalar", BRUME_E_SHAPE, { "", { 0 }, 1, { { BRUME_F32, { 0, { 0 } }, 0, 0, false } } } },
    { "integers", "x", BRUME_E_SHAPE, { "", { 0 }, 1, { { BRUME_I32, { 2, { 2, 3 } }, 0, 5, false } } } },
    { 0 },
};

static int build(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    (void)k;
    out[0] = brume_softmax(g, in[0]);
    return 1;
}

static void oracle(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t d = test_dim(k, 0, k->in[0].shape.ndim - 1), rows = test_numel(k, 0) / d;
    for (int64_t i = 0; i < rows; i++) {
        const double *x = in[0] + i * d;
        double top = x[0], sum = 0;
        for (int64_t j = 1; j < d; j++) top = fmax(top, x[j]);
        for (int64_t j = 0; j < d; j++) sum += exp(x[j] - top);
        for (int64_t j = 0; j < d; j++) scale[0][i * d + j] = out[0][i * d + j] = exp(x[j] - top) / sum;
    }
}

static const struct test_op softmax = { "softmax", "elementwise", cases, refusals, build, oracle, 0 };

const struct test_op *const tests_softmax[] = { &softmax, NULL };
