/* SPDX-License-Identifier: MIT
 * Tests of cast: f32 to f16 and back, which is rounding to 11 binary digits. args: power of two that the inputs are multiplied
 * by; 1: to the reciprocal, which makes infinity comparable, 2: of integers of 2048 .. 4096, whose odd half are ties. */
#include <math.h>

#include "../harness.h"

#define X(...) { BRUME_F32, BRUME_SHAPE(__VA_ARGS__), 0, 0, false }

static int build(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    brume_tensor x = brume_affine(g, in[0], ldexpf(1, (int)k->args[0]), k->args[1] == 2 ? 3072 : 0);
    if (k->args[1] == 2) x = brume_affine(g, brume_affine(g, x, 1, 0x1p23f), 1, -0x1p23f); /* rounds to integers */
    out[0] = brume_cast(g, brume_cast(g, x, BRUME_F16), BRUME_F32);
    if (k->args[1] == 1) out[0] = brume_div(g, brume_constant(g, brume_tensor_shape(g, x), 1), out[0]);
    return 1;
}

/* To nearest, ties to even, by the definition of binary16: multiples of 2^(e - 10), e at least -14, at most 65504. */
static void oracle(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    for (int64_t i = 0; i < test_numel(k, 0); i++) {
        int e;
        double x = ldexp(in[0][i], (int)k->args[0]);
        if (k->args[1] == 2) x = nearbyint((double)(float)(x + 3072));
        frexp(x, &e); /* x is below 2^e */
        const double unit = ldexp(1, (e - 1 < -14 ? -14 : e - 1) - 10), y = nearbyint(x / unit) * unit;
        out[0][i] = fabs(y) > 65504 ? copysign(INFINITY, x) : y;
        if (k->args[1] == 1) out[0][i] = (float)(1 / out[0][i]);
        scale[0][i] = fabs(out[0][i]);
    }
}

static const struct test_case cases[] = {
    { "one", { 0 }, 1, { X(1) } },
    { "odd", { 0 }, 1, { X(3, 5, 7) } },
    { "large", { 15 }, 1, { X(67) } },
    { "small", { -12 }, 1, { X(130) } },
    { "subnormal", { -15 }, 1, { X(33) } },
    { "nearly_nothing", { -24 }, 1, { X(1001) } },
    { "chunks", { 3 }, 1, { X(16389) } },
    { "ties", { 10, 2 }, 1, { X(1003) } },
    /* 65472 .. 65536: from 65520 on, infinity */
    { "to_infinity", { 16, 1 }, 1, { { BRUME_F32, BRUME_SHAPE(515), 1 - 0x1p-10, 1, false } } },
    { 0 },
};

static const struct test_op cast = { "cast", "exact", cases, NULL, build, oracle, ~0u };

const struct test_op *const tests_cast[] = { &cast, NULL };
