/* SPDX-License-Identifier: MIT
 * Tests of the optimizer updates. args: decoupled (AdamW), whether a scale is given, whether hyper holds usual values. */
#include <math.h>

#include "../harness.h"

#define X(...) { BRUME_F32, BRUME_SHAPE(__VA_ARGS__), 0, 0, false }
#define STATE(lo, hi, ...) { BRUME_F32, BRUME_SHAPE(__VA_ARGS__), lo, hi, true }
#define HYPER { BRUME_F32, BRUME_SHAPE(BRUME_HYPER_COUNT), 0.1, 0.9, false }
#define SCALAR(lo, hi) { BRUME_F32, BRUME_SCALAR, lo, hi, false }

/* Usual values, once 1e-3 and so on are multiplied by numbers in [0.1, 0.9): eps and 1 - beta2 are small, which hides nothing. */
static const float usual[BRUME_HYPER_COUNT] = { 1e-3f, 1.1f, 1.11f, 1e-8f, 0.01f, 0.1f, 0.001f };

static brume_tensor hyper_of(brume_graph *g, const struct test_case *k, brume_tensor h)
{
    if (!k->args[2]) return h;
    brume_tensor part[BRUME_HYPER_COUNT];
    for (int i = 0; i < BRUME_HYPER_COUNT; i++) part[i] = brume_affine(g, brume_slice(g, h, 0, i, 1), usual[i], 0);
    return brume_concat(g, BRUME_HYPER_COUNT, part, 0);
}

static double hyper_at(const struct test_case *k, const double *h, int i)
{
    return k->args[2] ? (double)(usual[i] * (float)h[i]) : h[i];
}

/* param, m, v, grad, hyper, scale */
static int build_adamw(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    brume_adamw_update(g, in[0], in[1], in[2], in[3], hyper_of(g, k, in[4]), k->args[1] ? in[5] : BRUME_NONE, k->args[0] != 0);
    for (int i = 0; i < 3; i++) out[i] = in[i];
    return 3;
}

static void oracle_adamw(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    double h[BRUME_HYPER_COUNT];
    for (int i = 0; i < BRUME_HYPER_COUNT; i++) h[i] = hyper_at(k, in[4], i);
    const double b1 = h[BRUME_HYPER_BETA1], b2 = h[BRUME_HYPER_BETA2], lr = h[BRUME_HYPER_LR], decay = h[BRUME_HYPER_DECAY];
    for (int64_t i = 0; i < test_numel(k, 0); i++) {
        double p = in[0][i], g = in[3][i] * (k->args[1] ? in[5][0] : 1), size = fabs(g);
        if (k->args[0]) {
            p -= lr * decay * p;
        } else {
            size += fabs(decay * p);
            g += decay * p;
        }
        const double m = b1 * in[1][i] + (1 - b1) * g, v = b2 * in[2][i] + (1 - b2) * g * g;
        const double step = lr / h[BRUME_HYPER_BIAS1] / (sqrt(v / h[BRUME_HYPER_BIAS2]) + h[BRUME_HYPER_EPS]);
        out[0][i] = p - step * m;
        out[1][i] = m;
        out[2][i] = v;
        scale[1][i] = fabs(b1 * in[1][i]) + (1 - b1) * size;
        scale[2][i] = b2 * in[2][i] + (1 - b2) * size * size;
        scale[0][i] = fabs(in[0][i]) + step * scale[1][i] * scale[2][i] / v;
    }
}

#define ADAMW(...) \
    { STATE(-1, 1, __VA_ARGS__), STATE(-1, 1, __VA_ARGS__), STATE(0, 1, __VA_ARGS__), X(__VA_ARGS__), HYPER, SCALAR(0.1, 1) }

static const struct test_case adamw_cases[] = {
    { "one", { 1, 0, 0 }, 5, ADAMW(1) },
    { "adamw", { 1, 1, 0 }, 6, ADAMW(3, 5, 7) },
    { "adam", { 0, 0, 0 }, 5, ADAMW(67) },
    { "adamw_usual", { 1, 1, 1 }, 6, ADAMW(130) },
    { "adam_usual", { 0, 1, 1 }, 6, ADAMW(33) },
    { "chunks", { 1, 0, 1 }, 5, ADAMW(16389) },
    { 0 },
};

static const struct test_refusal adamw_refusals[] = {
    { "not_persistent", "persistent", BRUME_E_ARG, { 0, { 1 }, 5, { X(4), STATE(0, 1, 4), STATE(0, 1, 4), X(4), HYPER } } },
    { "shape", "shape of param", BRUME_E_SHAPE, { 0, { 1 }, 5, { STATE(0, 1, 4), STATE(0, 1, 4),
                                                                 STATE(0, 1, 4), X(2, 2), HYPER } } },
    { "hyper", "7 numbers", BRUME_E_SHAPE, { 0, { 1 }, 5, { STATE(0, 1, 4), STATE(0, 1, 4), STATE(0, 1, 4), X(4), X(6) } } },
    { "scale", "scalar", BRUME_E_SHAPE, { 0, { 1, 1 }, 6, { STATE(0, 1, 4), STATE(0, 1, 4), STATE(0, 1, 4),
                                                            X(4), HYPER, X(4) } } },
    { 0 },
};

static const struct test_op adamw = { "adamw", "update", adamw_cases, adamw_refusals, build_adamw, oracle_adamw, ~0u };

/* param, m, grad, hyper, scale */
static int build_sgd(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    brume_sgd_update(g, in[0], in[1], in[2], in[3], k->args[1] ? in[4] : BRUME_NONE);
    out[0] = in[0];
    out[1] = in[1];
    return 2;
}

static void oracle_sgd(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const double *h = in[3];
    for (int64_t i = 0; i < test_numel(k, 0); i++) {
        const double g = in[2][i] * (k->args[1] ? in[4][0] : 1), l2 = h[BRUME_HYPER_DECAY] * in[0][i],
                     m = h[BRUME_HYPER_BETA1] * in[1][i];
        out[1][i] = m + g + l2;
        out[0][i] = in[0][i] - h[BRUME_HYPER_LR] * out[1][i];
        scale[1][i] = fabs(m) + fabs(g) + fabs(l2);
        scale[0][i] = fabs(in[0][i]) + h[BRUME_HYPER_LR] * scale[1][i];
    }
}

#define SGD(...) { STATE(-1, 1, __VA_ARGS__), STATE(-1, 1, __VA_ARGS__), X(__VA_ARGS__), HYPER, SCALAR(0.1, 1) }

static const struct test_case sgd_cases[] = {
    { "one", { 0, 0 }, 4, SGD(1) },
    { "scaled", { 0, 1 }, 5, SGD(3, 5, 7) },
    { "chunks", { 0, 0 }, 4, SGD(16401) },
    { 0 },
};

static const struct test_op sgd = { "sgd", "update", sgd_cases, NULL, build_sgd, oracle_sgd, ~0u };

/* ema, param, decay */
static int build_ema(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    (void)k;
    brume_ema_update(g, in[0], in[1], in[2]);
    out[0] = in[0];
    return 1;
}

static void oracle_ema(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    for (int64_t i = 0; i < test_numel(k, 0); i++) {
        const double a = in[2][0] * in[0][i], b = (1 - in[2][0]) * in[1][i];
        out[0][i] = a + b;
        scale[0][i] = fabs(a) + fabs(b);
    }
}

static const struct test_case ema_cases[] = {
    { "one", { 0 }, 3, { STATE(-1, 1, 1), X(1), SCALAR(0.9, 1) } },
    { "odd", { 0 }, 3, { STATE(-1, 1, 5, 13), X(5, 13), SCALAR(0.999, 1) } },
    { "chunks", { 0 }, 3, { STATE(-1, 1, 16387), X(16387), SCALAR(0, 1) } },
    { 0 },
};

static const struct test_refusal ema_refusals[] = {
    { "not_persistent", "persistent", BRUME_E_ARG, { 0, { 0 }, 3, { X(4), X(4), SCALAR(0, 1) } } },
    { "decay", "scalar", BRUME_E_SHAPE, { 0, { 0 }, 3, { STATE(0, 1, 4), X(4), X(4) } } },
    { 0 },
};

static const struct test_op ema = { "ema", "update", ema_cases, ema_refusals, build_ema, oracle_ema, ~0u };

/* sum, x, keep. args: starts anew */
static int build_accumulate(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    brume_accumulate(g, in[0], in[1], k->args[0] ? brume_affine(g, in[2], 0.0f, 0.0f) : in[2]);
    out[0] = in[0];
    return 1;
}

static void oracle_accumulate(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    for (int64_t i = 0; i < test_numel(k, 0); i++) {
        const double before = k->args[0] ? 0 : in[0][i];
        out[0][i] = before + in[1][i];
        scale[0][i] = fabs(before) + fabs(in[1][i]);
    }
}

static const struct test_case accumulate_cases[] = {
    { "one", { 0 }, 3, { STATE(-1, 1, 1), X(1), SCALAR(1, 2) } },
    { "anew", { 1 }, 3, { STATE(-1, 1, 67), X(67), SCALAR(1, 2) } },
    { "odd", { 0 }, 3, { STATE(-1, 1, 5, 13), X(5, 13), SCALAR(1, 2) } },
    { "chunks", { 0 }, 3, { STATE(-1, 1, 16387), X(16387), SCALAR(1, 2) } },
    { "chunks_anew", { 1 }, 3, { STATE(-1, 1, 16387), X(16387), SCALAR(1, 2) } },
    { 0 },
};

static const struct test_refusal accumulate_refusals[] = {
    { "not_persistent", "persistent", BRUME_E_ARG, { 0, { 0 }, 3, { X(4), X(4), SCALAR(0, 1) } } },
    { "shape", "shape of sum", BRUME_E_SHAPE, { 0, { 0 }, 3, { STATE(0, 1, 4), X(2, 2), SCALAR(0, 1) } } },
    { "keep", "scalar", BRUME_E_SHAPE, { 0, { 0 }, 3, { STATE(0, 1, 4), X(4), X(4) } } },
    { 0 },
};

static const struct test_op accumulate = { "accumulate", "update", accumulate_cases, accumulate_refusals, build_accumulate,
                                           oracle_accumulate, ~0u };

const struct test_op *const tests_update[] = { &adamw, &sgd, &ema, &accumulate, NULL };
