/* SPDX-License-Identifier: MIT
 * Elementwise functions of one and two inputs, broadcasting in every position, chains, refusals. */
#include <math.h>
#include <stddef.h>

#include "../harness.h"
#include "walk.h"

/* ---- functions of one input: args[0] is the row of this table ---- */

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double silu(double x) { return x * sigmoid(x); }
static double relu(double x) { return x > 0 ? x : 0; }
static double mish(double x) { return x * tanh(x > 30 ? x : log1p(exp(x))); }
static double gelu_erf(double x) { return 0.5 * x * erfc(-x / sqrt(2)); }
static double gelu_tanh(double x) { return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }
static double gelu_quick(double x) { return x * sigmoid(1.702 * x); }
static double square(double x) { return x * x; }
static double affine(double x) { return -2.5 * x + 0.75; }
static double clamp(double x) { return x < -0.5 ? -0.5 : x > 1.25 ? 1.25 : x; }
static double identity(double x) { return x; }

static brume_tensor build_affine(brume_graph *g, brume_tensor x) { return brume_affine(g, x, -2.5f, 0.75f); }
static brume_tensor build_clamp(brume_graph *g, brume_tensor x) { return brume_clamp(g, x, -0.5f, 1.25f); }
#define ACT(name, act) static brume_tensor build_##name(brume_graph *g, brume_tensor x) { return brume_activation(g, x, act); }
ACT(act_silu, BRUME_ACT_SILU)
ACT(act_relu, BRUME_ACT_RELU)
ACT(act_mish, BRUME_ACT_MISH)
ACT(act_gelu_erf, BRUME_ACT_GELU_ERF)
ACT(act_gelu_tanh, BRUME_ACT_GELU_TANH)
ACT(act_gelu_quick, BRUME_ACT_GELU_QUICK)
static brume_tensor build_act_none(brume_graph *g, brume_tensor x)
{
    return brume_affine(g, brume_activation(g, x, BRUME_ACT_NONE), 1, 0);
}

enum { SILU, RELU, MISH, GELU_ERF, GELU_TANH, GELU_QUICK, EXP, EXPM1, LOG, SQRT, SQUARE, SIGMOID, TANH, SIN, COS, AFFINE, CLAMP,
       A_SILU, A_RELU, A_MISH, A_GELU_ERF, A_GELU_TANH, A_GELU_QUICK, A_NONE };

static const struct { brume_tensor (*build)(brume_graph *g, brume_tensor x); double (*f)(double x); } unary[] = {
    [SILU] = { brume_silu, silu }, [RELU] = { brume_relu, relu }, [MISH] = { brume_mish, mish },
    [GELU_ERF] = { brume_gelu_erf, gelu_erf }, [GELU_TANH] = { brume_gelu_tanh, gelu_tanh },
    [GELU_QUICK] = { brume_gelu_quick, gelu_quick }, [EXP] = { brume_exp, exp }, [EXPM1] = { brume_expm1, expm1 },
   
    [LOG] = { brume_log, log }, [SQRT] = { brume_sqrt, sqrt }, [SQUARE] = { brume_square, square },
    [SIGMOID] = { brume_sigmoid, sigmoid }, [SIN] = { brume_sin, sin }, [COS] = { brume_cos, cos },
    [TANH] = { brume_tanh, tanh }, [AFFINE] = { build_affine, affine }, [CLAMP] = { build_clamp, clamp },
    [A_SILU] = { build_act_silu, silu }, [A_RELU] = { build_act_relu, relu }, [A_MISH] = { build_act_mish, mish },
    [A_GELU_ERF] = { build_act_gelu_erf, gelu_erf }, [A_GELU_TANH] = { build_act_gelu_tanh, gelu_tanh },
    [A_GELU_QUICK] = { build_act_gelu_quick, gelu_quick }, [A_NONE] = { build_act_none, identity },
};

static int build_unary(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    out[0] = unary[(int)k->args[0]].build(g, in[0]);
    return 1;
}

static void oracle_unary(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int f = (int)k->args[0];
    for (int64_t i = 0; i < test_numel(k, 0); i++) {
        const double x = in[0][i];
        out[0][i] = unary[f].f(x);
        /* The gelus add x / 2 and x / 2 erf(..); affine adds two terms. */
        scale[0][i] = f == GELU_ERF || f == GELU_TANH || f == A_GELU_ERF || f == A_GELU_TANH ? fabs(x)
                      : f == AFFINE ? fabs(2.5 * x) + 0.75 : fabs(out[0][i]);
    }
}

#define X(...) 1, { { .shape = BRUME_SHAPE(__VA_ARGS__), .lo = -5, .hi = 5 } }
#define WIDE(...) 1, { { .shape = BRUME_SHAPE(__VA_ARGS__), .lo = -110, .hi = 110 } }
#define POS(...) 1, { { .shape = BRUME_SHAPE(__VA_ARGS__), .lo = 0.01, .hi = 8 } }
#define FUNCTION(name, row) \
    { name, { row }, X(1) }, { name, { row }, X(33) }, { name, { row }, X(3, 5, 7) }, { name " wide", { row }, WIDE(129) }

static const struct test_case unary_cases[] = {
    FUNCTION("silu", SILU),
    FUNCTION("relu", RELU),
    FUNCTION("mish", MISH),
    FUNCTION("gelu_erf", GELU_ERF),
    FUNCTION("gelu_tanh", GELU_TANH),
    FUNCTION("gelu_quick", GELU_QUICK),
    FUNCTION("sigmoid", SIGMOID),
    FUNCTION("tanh", TANH),
    FUNCTION("sin", SIN),
    FUNCTION("cos", COS),
    FUNCTION("square", SQUARE),
    FUNCTION("affine", AFFINE),
    FUNCTION("clamp", CLAMP),
    { "exp", { EXP }, X(1) },
    { "exp", { EXP }, X(65) },
    { "exp large", { EXP }, 1, { { .shape = BRUME_SHAPE(65), .lo = 70, .hi = 88 } } },
    { "exp small", { EXP }, 1, { { .shape = BRUME_SHAPE(65), .lo = -120, .hi = -60 } } },
    { "expm1", { EXPM1 }, X(1) },
    { "expm1", { EXPM1 }, X(65) },
    { "expm1 tiny", { EXPM1 }, 1, { { .shape = BRUME_SHAPE(65), .lo = -1e-3, .hi = 1e-3 } } },
    { "expm1 wide", { EXPM1 }, 1, { { .shape = BRUME_SHAPE(65), .lo = -120, .hi = 88 } } },
    { "log", { LOG }, POS(1) },
    { "log", { LOG }, POS(65) },
    { "log small", { LOG }, 1, { { .shape = BRUME_SHAPE(65), .lo = 0.05, .hi = 0.2 } } },
    { "log large", { LOG }, 1, { { .shape = BRUME_SHAPE(65), .lo = 1, .hi = 1e30 } } },
    { "sqrt", { SQRT }, POS(1) },
    { "sqrt", { SQRT }, POS(31, 3) },
    { "activation silu", { A_SILU }, X(33) },
    { "activation relu", { A_RELU }, X(33) },
    { "activation mish", { A_MISH }, X(33) },
    { "activation gelu_erf", { A_GELU_ERF }, X(33) },
    { "activation gelu_tanh", { A_GELU_TANH }, X(33) },
    { "activation gelu_quick", { A_GELU_QUICK }, X(33) },
    { "activation none", { A_NONE }, X(33) },
    { "silu of a scalar", { SILU }, 1, { { .shape = { 0, { 0 } } } } },
    { "silu 5-d", { SILU }, X(2, 3, 1, 5, 4) },
    { "silu 9000 elements", { SILU }, X(9, 1000) },
    { 0 },
};

static int build_nothing(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    if (k->args[0] == 1) out[0] = brume_clamp(g, in[0], 1, 0);
    else if (k->args[0] == 2) out[0] = brume_activation(g, in[0], (brume_act)77);
    else out[0] = brume_silu(g, in[0]);
    return 1;
}

static const struct test_refusal unary_refusals[] = {
    { "clamp with lo > hi", "lower limit", BRUME_E_ARG, { .args = { 1 }, .n_in = 1, .in = { { .shape = BRUME_SHAPE(3) } } } },
    { "unknown activation", "77", BRUME_E_ARG, { .args = { 2 }, .n_in = 1, .in = { { .shape = BRUME_SHAPE(3) } } } },
    { "silu of integers", "f32", BRUME_E_SHAPE, { .n_in = 1, .in = { { .dtype = BRUME_I32,
                                                                       .shape = BRUME_SHAPE(3), .hi = 4 } } } },
    { 0 },
};

static const struct test_op elementwise = { "elementwise", "elementwise", unary_cases, NULL, build_unary, oracle_unary, 0 };
static const struct test_op elementwise_refused = { "elementwise refusals", "elementwise", NULL, unary_refusals,
                                                    build_nothing, NULL, 0 };

/* ---- NaN, infinities and huge values; the input only feeds the functions that make them ---- */

static int build_special(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    const int f = (int)k->args[0];
    const brume_tensor inf = brume_exp(g, brume_affine(g, in[0], 1000, 0));
    out[0] = unary[f].build(g, brume_log(g, brume_affine(g, in[0], -1, 0)));
    out[1] = unary[f].build(g, inf);
    out[2] = unary[f].build(g, brume_affine(g, inf, -1, 0));
    out[3] = unary[f].build(g, brume_affine(g, in[0], 0, 1e30f));
    return 4;
}

static void oracle_special(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    (void)in;
    const int f = (int)k->args[0];
    const double x[4] = { NAN, INFINITY, -INFINITY, (double)1e30f };
    for (int j = 0; j < 4; j++)
        for (int64_t i = 0; i < test_numel(k, 0); i++) {
            out[j][i] = isnan(x[j]) ? x[j] : (double)(float)unary[f].f(x[j]);
            scale[j][i] = isfinite(out[j][i]) ? fabs(out[j][i]) : 0;
        }
}

#define S(name, row) { name, { row }, 1, { { .shape = BRUME_SHAPE(19), .lo = 0.5, .hi = 1 } } }
static const struct test_case special_cases[] = {
    S("silu", SILU), S("relu", RELU), S("mish", MISH), S("gelu_erf", GELU_ERF), S("gelu_tanh", GELU_TANH),
    S("gelu_quick", GELU_QUICK), S("exp", EXP), S("expm1", EXPM1), S("log", LOG), S("sqrt", SQRT), S("square", SQUARE),
    S("sigmoid", SIGMOID), S("tanh", TANH), S("sin", SIN), S("cos", COS), S("affine", AFFINE),
    S("clamp", CLAMP), { 0 },
};

static const struct test_op special = { "special values", "elementwise", special_cases, NULL,
                                        build_special, oracle_special, ~0u };

/* ---- functions of two inputs: args[0] is the row of this table ---- */

enum { ADD, SUB, MUL, DIV };
static brume_tensor (*const binary[])(brume_graph *g, brume_tensor a, brume_tensor b) = {
    [ADD] = brume_add, [SUB] = brume_sub, [MUL] = brume_mul, [DIV] = brume_div
};

static int build_binary(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    out[0] = binary[(int)k->args[0]](g, in[0], in[1]);
    return 1;
}

static brume_shape broadcast(brume_shape a, brume_shape b)
{
    brume_shape s = a.ndim >= b.ndim ? a : b;
    const brume_shape o = a.ndim >= b.ndim ? b : a;
    for (int i = 0; i < o.ndim; i++)
        if (s.d[i + s.ndim - o.ndim] == 1) s.d[i + s.ndim - o.ndim] = o.d[i];
    return s;
}

static void oracle_binary(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const brume_shape s = broadcast(k->in[0].shape, k->in[1].shape);
    for (int64_t i = 0; i < brume_shape_numel(s); i++) {
        const double a = in[0][walk_broadcast(k->in[0].shape, s, i)], b = in[1][walk_broadcast(k->in[1].shape, s, i)];
        const int f = (int)k->args[0];
        out[0][i] = f == ADD ? a + b : f == SUB ? a - b : f == MUL ? a * b : a / b;
        scale[0][i] = f == ADD || f == SUB ? fabs(a) + fabs(b) : fabs(out[0][i]);
    }
}

#define SH(...) BRUME_SHAPE(__VA_ARGS__)
#define PAIR(name, f, a, b) { name, { f }, 2, { { .shape = a, .lo = -3, .hi = 3 }, { .shape = b, .lo = 0.5, .hi = 2 } } }
#define ALL(name, a, b) \
    PAIR("add " name, ADD, a, b), PAIR("sub " name, SUB, a, b), PAIR("mul " name, MUL, a, b), PAIR("div " name, DIV, a, b)

static const struct test_case binary_cases[] = {
    ALL("1 and 1", SH(1), SH(1)),
    ALL("same", SH(5, 13), SH(5, 13)),
    ALL("bias", SH(3, 5, 7, 33), SH(33)),
    ALL("bias on the left", SH(33), SH(2, 5, 33)),
    ALL("per sample", SH(4, 3, 5), SH(4, 1, 1)),
    ALL("per sample and channel", SH(3, 4, 2, 8), SH(3, 1, 1, 8)),
    ALL("scalar", SH(7, 9), BRUME_SCALAR),
    ALL("scalar on the left", BRUME_SCALAR, SH(65)),
    ALL("both repeated", SH(6, 1), SH(1, 17)),
    ALL("both repeated 3-d", SH(1, 4, 1), SH(3, 1, 5)),
    ALL("5-d alternating", SH(2, 1, 3, 1, 4), SH(1, 3, 1, 2, 1)),
    ALL("5-d middle", SH(2, 3, 4, 3, 2), SH(3, 1, 3, 1)),
    ALL("5-d ends", SH(2, 3, 4, 3, 2), SH(2, 1, 1, 1, 2)),
    ALL("one column", SH(130, 3), SH(130, 1)),
    ALL("long rows", SH(2, 3000), SH(3000)),
    { 0 },
};

static const struct test_refusal binary_refusals[] = {
    { "3 and 4", "broadcast", BRUME_E_SHAPE, PAIR(NULL, ADD, SH(3), SH(4)) },
    { "2x3 and 2", "broadcast", BRUME_E_SHAPE, PAIR(NULL, MUL, SH(2, 3), SH(2)) },
    { "f32 and i32", "f32", BRUME_E_SHAPE, { .args = { ADD }, .n_in = 2, .in = { { .shape = SH(3) },
                                                                                 { .dtype = BRUME_I32,
                                                                                   .shape = SH(3), .hi = 4 } } } },
    { 0 },
};

static const struct test_op binary_op = { "binary", "elementwise", binary_cases, binary_refusals,
                                          build_binary, oracle_binary, 0 };

/* ---- the same tensor twice, and a chain that fusion joins ---- */

static int build_chain(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    (void)k;
    const brume_tensor s = brume_silu(g, brume_add(g, in[0], in[1])); /* used twice */
    out[0] = brume_mul(g, brume_sub(g, brume_mul(g, s, s), brume_affine(g, in[0], 0.5f, 1.0f)), brume_sigmoid(g, in[2]));
    out[1] = brume_add(g, s, brume_constant(g, BRUME_SHAPE(1), 0.25f));
    return 2;
}

static void oracle_chain(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const brume_shape x = k->in[0].shape;
    for (int64_t i = 0; i < brume_shape_numel(x); i++) {
        const double a = in[0][i], s = silu(a + in[1][walk_broadcast(k->in[1].shape, x, i)]),
                     c = in[2][walk_broadcast(k->in[2].shape, x, i)];
        out[0][i] = (s * s - (0.5 * a + 1)) * sigmoid(c);
        scale[0][i] = s * s + fabs(a) + 1;
        out[1][i] = s + 0.25;
        scale[1][i] = fabs(s) + 0.25;
    }
}

static const struct test_case chain_cases[] = {
    { "same shapes", { 0 }, 3, { { .shape = SH(37) }, { .shape = SH(37) }, { .shape = SH(37) } } },
    { "broadcast", { 0 }, 3, { { .shape = SH(3, 5, 17) }, { .shape = SH(17) }, { .shape = SH(3, 1, 1) } } },
    { "long", { 0 }, 3, { { .shape = SH(3, 5000) }, { .shape = SH(5000) }, { .shape = BRUME_SCALAR } } },
    { "5-d", { 0 }, 3, { { .shape = SH(2, 3, 2, 3, 4) }, { .shape = SH(3, 1, 3, 1) }, { .shape = SH(2, 1, 2, 1, 4) } } },
    { 0 },
};

static const struct test_op chain = { "chain", "elementwise", chain_cases, NULL, build_chain, oracle_chain, 0 };

/* ---- clip_scale ---- */

static int build_clip(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    (void)k;
    out[0] = brume_clip_scale(g, in[0], in[1]);
    return 1;
}

static void oracle_clip(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    (void)k;
    out[0][0] = scale[0][0] = fmin(1, in[1][0] / (in[0][0] + 1e-6));
}

static const struct test_case clip_cases[] = {
    { "above", { 0 }, 2, { { .shape = BRUME_SCALAR, .lo = 5, .hi = 9 }, { .shape = BRUME_SCALAR, .lo = 0.5, .hi = 2 } } },
    { "below", { 0 }, 2, { { .shape = BRUME_SCALAR, .lo = 0.1, .hi = 0.2 }, { .shape = SH(1), .lo = 0.5, .hi = 2 } } },
    { 0 },
};

static const struct test_refusal clip_refusals[] = {
    { "a vector", "scalars", BRUME_E_SHAPE, { .n_in = 2, .in = { { .shape = SH(3) }, { .shape = SH(1) } } } },
    { 0 },
};

static const struct test_op clip_scale = { "clip_scale", "elementwise", clip_cases, clip_refusals, build_clip, oracle_clip, ~0u };

const struct test_op *const tests_elementwise[] = { &elementwise, &elementwise_refused, &special, &binary_op,
                                                    &chain, &clip_scale, NULL };
