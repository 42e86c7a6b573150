/* SPDX-License-Identifier: MIT
 * Tests of normal, uniform and dropout against Philox by its definition. args: stream, p (dropout), shape behind the samples. */
#include "../harness.h"
#include "../noise_ref.h"

static brume_shape shape_of(const struct test_case *k)
{
    brume_shape s = { 1, { test_dim(k, 0, 0) } };
    for (int i = 2; i < 6 && k->args[i] > 0; i++) s.d[s.ndim++] = (int64_t)k->args[i];
    return s;
}

static int build_normal(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    out[0] = brume_normal(g, in[0], in[1], (uint32_t)k->args[0], shape_of(k));
    return 1;
}

static int build_uniform(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    out[0] = brume_uniform(g, in[0], in[1], (uint32_t)k->args[0], shape_of(k));
    return 1;
}

static void fill(const struct test_case *k, const double *const *in, double *out, double *scale, double (*f)(uint32_t))
{
    const int64_t n = test_dim(k, 0, 0), len = brume_shape_numel(shape_of(k)) / n;
    for (int64_t i = 0; i < n; i++)
        for (int64_t e = 0; e < len; e++, out++, scale++) {
            *out = f(noise_word((int64_t)in[0][i], (uint32_t)k->args[0], (int32_t)in[1][0], e));
            *scale = fabs(*out);
        }
}

static void oracle_normal(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    fill(k, in, out[0], scale[0], noise_normal);
}

static void oracle_uniform(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    fill(k, in, out[0], scale[0], noise_uniform);
}

#define SEEDS(n) { BRUME_I64, BRUME_SHAPE(n), -9e15, 9e15, false }
#define STEP { BRUME_I32, BRUME_SCALAR, 0, 2147483647, false }

static const struct test_case cases[] = {
    { "one", { 0 }, 2, { SEEDS(1), STEP } },
    { "one_each", { 1 }, 2, { SEEDS(5), STEP } },
    { "odd", { 4294967295.0, 0, 3, 5, 7 }, 2, { SEEDS(3), STEP } },
    { "image", { 2, 0, 32, 32, 3 }, 2, { SEEDS(2), STEP } },
    { "257", { 3, 0, 257 }, 2, { SEEDS(1), { BRUME_I32, BRUME_SHAPE(1), -5, 5, false } } },
    { "chunks", { 4, 0, 16385 }, 2, { SEEDS(2), STEP } },
    { 0 },
};

static const struct test_refusal refusals[] = {
    { "seeds_i32", "i64", BRUME_E_SHAPE, { 0, { 0, 0, 4 }, 2, { { BRUME_I32, BRUME_SHAPE(2), 0, 9, false }, STEP } } },
    { "seeds_2d", "dimensions", BRUME_E_SHAPE, { 0, { 0, 0, 4 }, 2, { { BRUME_I64, BRUME_SHAPE(2, 1), 0, 9, false }, STEP } } },
    { "step_vector", "one element", BRUME_E_SHAPE, { 0, { 0, 0, 4 }, 2, { SEEDS(2),
                                                                          { BRUME_I32, BRUME_SHAPE(2), 0, 9, false } } } },
    { 0 },
};

static const struct test_op normal = { "normal", "noise", cases, refusals, build_normal, oracle_normal, ~0u };
static const struct test_op uniform = { "uniform", "exact", cases, refusals, build_uniform, oracle_uniform, ~0u };

/* ---- dropout: inputs x, seeds, step; args stream, p ---- */

static int build_dropout(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    out[0] = brume_dropout(g, in[0], (float)k->args[1], in[1], in[2], (uint32_t)k->args[0]);
    return 1;
}

static void oracle_dropout(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t n = test_dim(k, 0, 0), len = test_numel(k, 0) / n;
    const double p = (double)(float)k->args[1];
    for (int64_t i = 0; i < n * len; i++) {
        const bool keep =
            noise_word((int64_t)in[1][i / len], (uint32_t)k->args[0], (int32_t)in[2][0], i % len) >= p * 4294967296.0;
        out[0][i] = keep ? in[0][i] / (1 - p) : 0;
        scale[0][i] = fabs(out[0][i]);
    }
}

#define X(...) { BRUME_F32, BRUME_SHAPE(__VA_ARGS__), 0, 0, false }

static const struct test_case dropout_cases[] = {
    { "one", { 0, 0.5 }, 3, { X(1), SEEDS(1), STEP } },
    { "none", { 0, 0 }, 3, { X(2, 9), SEEDS(2), STEP } },
    { "tenth", { 7, 0.1 }, 3, { X(3, 4, 4, 33), SEEDS(3), STEP } },
    { "most", { 4294967295.0, 0.9375 }, 3, { X(2, 130), SEEDS(2), STEP } },
    { "chunks", { 1, 0.3 }, 3, { X(2, 16387), SEEDS(2), STEP } },
    { 0 },
};

static const struct test_refusal dropout_refusals[] = {
    { "p_one", "below 1", BRUME_E_ARG, { 0, { 0, 1 }, 3, { X(1), SEEDS(1), STEP } } },
    { "p_negative", "at least 0", BRUME_E_ARG, { 0, { 0, -0.1 }, 3, { X(1), SEEDS(1), STEP } } },
    { "seeds", "2 seeds", BRUME_E_SHAPE, { 0, { 0, 0.1 }, 3, { X(3, 4), SEEDS(2), STEP } } },
    { 0 },
};

static const struct test_op dropout = { "dropout", "elementwise", dropout_cases, dropout_refusals,
                                        build_dropout, oracle_dropout, 0 };

const struct test_op *const tests_random[] = { &normal, &uniform, &dropout, NULL };
