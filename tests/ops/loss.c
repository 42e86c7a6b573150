/* SPDX-License-Identifier: MIT
 * Tests of mse, cross_entropy and the likelihood of 8-bit values. */
#include <math.h>

#include "../harness.h"
#include "walk.h"

static int build_mse(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    (void)k;
    out[0] = brume_mse(g, in[0], in[1]);
    return 1;
}

static void oracle_mse(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t n = test_numel(k, 0);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (in[0][i] - in[1][i]) * (in[0][i] - in[1][i]);
    out[0][0] = scale[0][0] = sum / (double)n;
}

#define X(lo, hi, ...) { BRUME_F32, BRUME_SHAPE(__VA_ARGS__), lo, hi, false }
#define LABELS(lo, hi, n) { BRUME_I32, BRUME_SHAPE(n), lo, hi, false }
#define BOTH(lo, hi, ...) { X(lo, hi, __VA_ARGS__), X(lo, hi, __VA_ARGS__) }

static const struct test_case mse_cases[] = {
    { "scalar", { 0 }, 2, { { BRUME_F32, BRUME_SCALAR, 0, 0, false }, { BRUME_F32, BRUME_SCALAR, 0, 0, false } } },
    { "31", { 0 }, 2, BOTH(0, 0, 31) },
    { "33", { 0 }, 2, BOTH(0, 0, 33) },
    { "image", { 0 }, 2, BOTH(-3, 3, 2, 9, 7, 5) },
    { "4097", { 0 }, 2, BOTH(0, 0, 4097) },
    { "large", { 0 }, 2, BOTH(0, 0, 4, 64, 64, 3) },
    { 0 },
};

static const struct test_refusal mse_refusals[] = {
    { "shapes", "one shape", BRUME_E_SHAPE, { 0, { 0 }, 2, { X(0, 0, 2, 3), X(0, 0, 3, 2) } } },
    { "labels", "f32", BRUME_E_SHAPE, { 0, { 0 }, 2, { X(0, 0, 3), LABELS(0, 1, 3) } } },
    { 0 },
};

static const struct test_op mse = { "mse", "sum", mse_cases, mse_refusals, build_mse, oracle_mse, 0 };

static int build_ce(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    (void)k;
    out[0] = brume_cross_entropy(g, in[0], in[1]);
    return 1;
}

static void oracle_ce(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t rows = test_dim(k, 0, 0), c = test_dim(k, 0, 1);
    out[0][0] = scale[0][0] = 0;
    for (int64_t r = 0; r < rows; r++) {
        const double *x = in[0] + r * c;
        const int64_t label = (int64_t)in[1][r];
        double top = x[0], s = 0;
        for (int64_t i = 0; i < c; i++) top = fmax(top, x[i]);
        for (int64_t i = 0; i < c; i++) s += exp(x[i] - top);
        const double picked = label >= 0 && label < c ? x[label] : (double)NAN;
        out[0][0] += (top + log(s) - picked) / (double)rows;
        scale[0][0] += (fabs(top) + fabs(log(s)) + fabs(picked)) / (double)rows;
    }
}

static const struct test_case ce_cases[] = {
    { "one", { 0 }, 2, { X(0, 0, 1, 1), LABELS(0, 1, 1) } },
    { "digits", { 0 }, 2, { X(-3, 3, 33, 10), LABELS(0, 10, 33) } },
    { "hundreds", { 0 }, 2, { X(-300, 300, 17, 31), LABELS(0, 31, 17) } },
    { "many_rows", { 0 }, 2, { X(-5, 5, 259, 3), LABELS(0, 3, 259) } },
    { "many_classes", { 0 }, 2, { X(-5, 5, 2, 1000), LABELS(0, 1000, 2) } },
    { 0 },
};
static const struct test_case ce_outside_cases[] = {
    { "label", { 0 }, 2, { X(-3, 3, 4, 10), LABELS(10, 11, 4) } },
    { "negative", { 0 }, 2, { X(-3, 3, 40, 10), LABELS(-4, 0, 40) } },
    { 0 },
};

static const struct test_refusal ce_refusals[] = {
    { "rows", "labels", BRUME_E_SHAPE, { 0, { 0 }, 2, { X(0, 0, 4, 3), LABELS(0, 3, 5) } } },
    { "x_1d", "dimensions", BRUME_E_SHAPE, { 0, { 0 }, 2, { X(0, 0, 4), LABELS(0, 3, 4) } } },
    { "labels_f32", "i32", BRUME_E_SHAPE, { 0, { 0 }, 2, { X(0, 0, 4, 3), X(0, 0, 4) } } },
    { 0 },
};

static const struct test_op ce = { "cross_entropy", "cross_entropy", ce_cases, ce_refusals, build_ce, oracle_ce, 0 };
static const struct test_op ce_outside = { "cross_entropy_outside", "cross_entropy", ce_outside_cases, NULL,
                                           build_ce, oracle_ce, ~0u };

/* ---- discretised Gaussian: x, mean, log of the standard deviation ---- */

static int build_bins(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    (void)k;
    out[0] = brume_bin_log_prob(g, in[0], in[1], in[2]);
    return 1;
}

static double cdf(double v) { return 1 / (1 + exp(-2 * sqrt(2 / M_PI) * (v + 0.044715 * v * v * v))); }

static void oracle_bins(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    brume_shape s = k->in[0].shape;
    for (int i = 0; i < s.ndim; i++)
        if (s.d[i] == 1) s.d[i] = k->in[1].shape.d[i];
    for (int64_t i = 0; i < brume_shape_numel(s); i++) {
        const double x = in[0][walk_broadcast(k->in[0].shape, s, i)], mean = in[1][walk_broadcast(k->in[1].shape, s, i)];
        const double std = exp(in[2][walk_broadcast(k->in[2].shape, s, i)]), hi = (x + 1 / 255.0 - mean) / std,
                     lo = (x - 1 / 255.0 - mean) / std;
        /* On the side where both are small nothing cancels: F(hi) - F(lo) = F(-lo) - F(-hi). */
        const double p = x < -0.999 ? cdf(hi) : x > 0.999 ? cdf(-lo) : hi + lo > 0 ? cdf(-lo) - cdf(-hi) : cdf(hi) - cdf(lo);
        const double z = (x - mean) / std;
        out[0][i] = log(fmax(p, 1e-12));
        /* z is known to some roundings, and log P has its cube */
        scale[0][i] = p < 1e-12 ? 28 : 3 + fabs(out[0][i]) + 1.6 * z * z * (1 + 0.14 * z * z);
    }
}

#define BIN(x_, mean_, std_) 3, { x_, mean_, std_ }
static const struct test_case bins_cases[] = {
    { "one", { 0 }, BIN(X(-1.3, 1.3, 1), X(-1, 1, 1), X(-3, -1, 1)) },
    { "image", { 0 }, BIN(X(-1.3, 1.3, 3, 4, 5, 3), X(-1, 1, 3, 4, 5, 3), X(-3, -0.5, 3, 4, 5, 3)) },
    { "std of a sample", { 0 }, BIN(X(-1.3, 1.3, 5, 65), X(-1, 1, 5, 65), X(-4, 1, 5, 1)) },
    { "x of a channel", { 0 }, BIN(X(-1.3, 1.3, 1, 33), X(-1, 1, 31, 33), X(-2, 1, 1, 1)) },
    { "narrow", { 0 }, BIN(X(-0.01, 0.01, 257), X(-0.01, 0.01, 257), X(-7, -4.5, 257)) },
    { "wide", { 0 }, BIN(X(-2, 2, 129), X(-2, 2, 129), X(1, 4, 129)) },
    { "improbable", { 0 }, BIN(X(-0.99, -0.5, 33), X(0.5, 1, 33), X(-3, -2.5, 33)) },
    { 0 },
};
static const struct test_op bins = { "bin_log_prob", "bins", bins_cases, NULL, build_bins, oracle_bins, 0 };

const struct test_op *const tests_loss[] = { &mse, &ce, &ce_outside, &bins, NULL };
