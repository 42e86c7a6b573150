/* SPDX-License-Identifier: MIT
 * Layer normalisation: the only arg is norm_eps. */
#include "../harness.h"

#include <math.h>
#include <stddef.h>

#define M(n, d) { BRUME_F32, { 2, { n, d } }, 0, 0, false }
#define V(d) { BRUME_F32, { 1, { d } }, 0, 0, false }
#define AFFINE(what, n, d) { what, { 1e-5 }, 3, { M(n, d), V(d), V(d) } }
#define RANGE(what, n, d, lo, hi) { what, { 1e-5 }, 3, { { BRUME_F32, { 2, { n, d } }, lo, hi, false }, V(d), V(d) } }

static const struct test_case cases[] = {
    AFFINE("one value", 1, 1),
    AFFINE("rows of one", 5, 1),
    AFFINE("rows of two", 3, 2),
    AFFINE("rows of 7", 4, 7),
    AFFINE("rows of 16", 3, 16),
    AFFINE("rows of 19", 5, 19),
    AFFINE("rows of 31", 33, 31),
    AFFINE("rows of 32", 31, 32),
    AFFINE("rows of 33", 65, 33),
    AFFINE("rows of 65", 17, 65),
    AFFINE("rows of 256", 9, 256),
    AFFINE("rows of 1000", 2, 1000),
    AFFINE("several chunks", 1100, 17),
    { "no weight and bias", { 1e-5 }, 1, { M(6, 40) } },
    { "vector", { 1e-6 }, 3, { V(50), V(50), V(50) } },
    { "sequences", { 1e-5 }, 3, { { BRUME_F32, { 3, { 2, 7, 32 } }, 0, 0, false }, V(32), V(32) } },
    RANGE("mean 30", 3, 24, 29, 31),
    RANGE("mean 1000", 5, 70, 999, 1001),
    RANGE("large", 3, 40, -1e6, 1e6),
    { 0 },
};

static const struct test_refusal refusals[] = {
    { "weight too long", "weight", BRUME_E_SHAPE, { "", { 1e-5 }, 3, { M(2, 8), V(9), V(8) } } },
    { "bias too short", "bias", BRUME_E_SHAPE, { "", { 1e-5 }, 3, { M(2, 8), V(8), V(2) } } },
    { "weight without bias", "both", BRUME_E_ARG, { "", { 1e-5 }, 2, { M(2, 8), V(8) } } },
    { "norm_eps 0", "norm_eps", BRUME_E_ARG, { "", { 0 }, 3, { M(2, 8), V(8), V(8) } } },
    { "scalar", "scalar", BRUME_E_SHAPE, { "", { 1e-5 }, 1, { { BRUME_F32, { 0, { 0 } }, 0, 0, false } } } },
    { 0 },
};

static int build(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    out[0] = brume_layer_norm(g, in[0], k->n_in > 1 ? in[1] : BRUME_NONE, k->n_in > 2 ? in[2] : BRUME_NONE, (float)k->args[0]);
    return 1;
}

static void oracle(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t d = test_dim(k, 0, k->in[0].shape.ndim - 1), rows = test_numel(k, 0) / d;
    const double norm_eps = (double)(float)k->args[0];
    for (int64_t i = 0; i < rows; i++) {
        const double *x = in[0] + i * d;
        double mean = 0, var = 0;
        for (int64_t j = 0; j < d; j++) mean += x[j] / (double)d;
        for (int64_t j = 0; j < d; j++) var += (x[j] - mean) * (x[j] - mean) / (double)d;
        for (int64_t j = 0; j < d; j++) {
            const double xhat = (x[j] - mean) / sqrt(var + norm_eps);
            const double a = k->n_in > 1 ? xhat * in[1][j] : xhat, b = k->n_in > 2 ? in[2][j] : 0;
            out[0][i * d + j] = a + b;
            scale[0][i * d + j] = fabs(a) + fabs(b);
        }
    }
}

static const struct test_op layer_norm = { "layer_norm", "norm", cases, refusals, build, oracle, 0 };

const struct test_op *const tests_layer_norm[] = { &layer_norm, NULL };
