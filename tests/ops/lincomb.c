/* SPDX-License-Identifier: MIT
 * lincomb: shared and per-sample coefficients, gradients of the tensors. */
#include <math.h>
#include <stddef.h>

#include "../harness.h"

#define SH(...) BRUME_SHAPE(__VA_ARGS__)

static int build(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    out[0] = brume_lincomb(g, k->n_in - 1, in + 1, in[0]);
    return 1;
}

static void oracle(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int terms = k->n_in - 1;
    const int64_t n = test_numel(k, 1), rows = k->in[0].shape.ndim == 2 ? k->in[0].shape.d[0] : 1;
    for (int64_t e = 0; e < n; e++) {
        out[0][e] = scale[0][e] = 0;
        for (int j = 0; j < terms; j++) {
            const double c = in[0][e / (n / rows) * terms + j];
            out[0][e] += c * in[1 + j][e];
            scale[0][e] += fabs(c * in[1 + j][e]);
        }
    }
}

#define X(...) { .shape = SH(__VA_ARGS__) }
#define ZERO(...) { .shape = SH(__VA_ARGS__), .lo = 0, .hi = 1e-300 } /* rounds to 0 in f32 */

static const struct test_case cases[] = {
    { "one term", { 0 }, 2, { X(1), X(1) } },
    { "two terms", { 0 }, 3, { X(2), X(3, 5, 7), X(3, 5, 7) } },
    { "per sample", { 0 }, 4, { X(3, 3), X(3, 4, 4, 5), X(3, 4, 4, 5), X(3, 4, 4, 5) } },
    { "per sample, vectors", { 0 }, 3, { X(2, 2), X(2, 8, 8, 16), X(2, 8, 8, 16) } },
    { "eight terms", { 0 }, 9, { X(8), X(65), X(65), X(65), X(65), X(65), X(65), X(65), X(65) } },
    { "one sample each", { 0 }, 3, { X(5, 2), X(5), X(5) } },
    { "all coefficients 0", { 0 }, 3, { ZERO(2), X(33), X(33) } },
    { "long", { 0 }, 3, { X(2, 2), X(2, 20001), X(2, 20001) } },
    { 0 },
};

static const struct test_refusal refusals[] = {
    { "coef too long", "coef expects", BRUME_E_SHAPE, { .n_in = 3, .in = { X(3), X(5), X(5) } } },
    { "coef for other samples", "coef expects", BRUME_E_SHAPE, { .n_in = 3, .in = { X(4, 2), X(5, 2), X(5, 2) } } },
    { "x of two shapes", "another shape", BRUME_E_SHAPE, { .n_in = 3, .in = { X(2), X(5, 2), X(2, 5) } } },
    { 0 },
};

static const struct test_op lincomb = { "lincomb", "product", cases, refusals, build, oracle, 1 };

/* A NaN behind a coefficient of exactly 0 adds nothing; behind any other it shows. Inputs: 0, a coefficient, x. */
static int build_nan(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    (void)k;
    const brume_tensor nan = brume_log(g, brume_affine(g, in[2], 0, -1));
    out[0] = brume_lincomb(g, 2, (const brume_tensor[]){ nan, in[2] }, brume_concat(g, 2, in, 0));
    out[1] = brume_lincomb(g, 2, (const brume_tensor[]){ in[2], nan }, brume_concat(g, 2, in, 0));
    return 2;
}

static void oracle_nan(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    for (int64_t e = 0; e < test_numel(k, 2); e++) {
        out[0][e] = in[1][0] * in[2][e];
        scale[0][e] = fabs(out[0][e]);
        out[1][e] = NAN;
        scale[1][e] = 0;
    }
}

static const struct test_case nan_cases[] = { { "37", { 0 }, 3, { ZERO(1), X(1), X(37) } },
                                              { "64", { 0 }, 3, { ZERO(1), X(1), X(4, 16) } }, { 0 } };
static const struct test_op lincomb_nan = { "lincomb of NaN", "product", nan_cases, NULL, build_nan, oracle_nan, ~0u };

const struct test_op *const tests_lincomb[] = { &lincomb, &lincomb_nan, NULL };
