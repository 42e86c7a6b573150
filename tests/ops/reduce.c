/* SPDX-License-Identifier: MIT
 * sum, mean, sum_to, l2_norm. */
#include <math.h>
#include <stddef.h>

#include "../harness.h"
#include "walk.h"

#define SH(...) BRUME_SHAPE(__VA_ARGS__)

/* ---- sum and mean: args = mean?, axes, keepdims ---- */

static int build_reduce(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    out[0] = (k->args[0] != 0 ? brume_mean : brume_sum)(g, in[0], (uint32_t)k->args[1], (int)k->args[2]);
    return 1;
}

static void oracle_reduce(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const brume_shape s = k->in[0].shape;
    brume_shape kept = s;
    const uint32_t axes = (uint32_t)k->args[1];
    double count = 1;
    for (int i = 0; i < s.ndim; i++)
        if (axes >> i & 1) {
            count *= (double)s.d[i];
            kept.d[i] = 1;
        }
    const double f = k->args[0] != 0 ? 1 / count : 1;
    for (int64_t e = 0; e < brume_shape_numel(kept); e++) out[0][e] = scale[0][e] = 0;
    for (int64_t e = 0; e < brume_shape_numel(s); e++) {
        const int64_t to = walk_broadcast(kept, s, e);
        out[0][to] += f * in[0][e];
        scale[0][to] += fabs(f * in[0][e]);
    }
}

#define SUM(axes, keep, ...) { "sum " #axes, { 0, axes, keep }, 1, { { .shape = SH(__VA_ARGS__) } } }
#define MEAN(axes, keep, ...) { "mean " #axes, { 1, axes, keep }, 1, { { .shape = SH(__VA_ARGS__) } } }
#define POSITIVE(axes, ...) { "sum of positive values", { 0, axes, 0 }, 1, { { .shape = SH(__VA_ARGS__), .lo = 0, .hi = 1 } } }

static const struct test_case reduce_cases[] = {
    SUM(1, 0, 1),
    SUM(1, 1, 2),
    SUM(1, 0, 31),
    MEAN(1, 0, 257),
    SUM(3, 0, 1, 1),
    SUM(2, 1, 7, 9),
    SUM(1, 0, 7, 9),
    SUM(1, 0, 33, 3),
    SUM(1, 0, 1000, 3),
    SUM(1, 0, 1000, 1),
    SUM(1, 0, 300, 64),
    SUM(1, 0, 70, 65),
    SUM(1, 0, 3, 5000),
    SUM(2, 0, 3, 5000),
    SUM(2, 0, 300, 5),
    MEAN(6, 0, 3, 9, 7, 33),     /* (N, H, W, C) -> (N, C) */
    SUM(7, 0, 3, 17, 11, 40),    /* bias gradient */
    SUM(7, 1, 4, 16, 16, 8),
    SUM(7, 0, 4, 32, 32, 3),     /* few channels: rows are folded */
    MEAN(6, 0, 3, 32, 32, 5),
    SUM(4, 0, 6, 7, 64),
    SUM(8, 1, 2, 5, 5, 300),
    SUM(1, 0, 2, 5, 5, 30),
    SUM(2, 1, 3, 40, 5, 3),
    SUM(15, 0, 3, 9, 7, 33),
    MEAN(31, 1, 2, 3, 4, 5, 6),
    SUM(21, 0, 3, 4, 5, 6, 7),   /* alternating axes */
    SUM(10, 1, 3, 4, 5, 6, 7),
    SUM(21, 1, 2, 3, 2, 3, 700),
    MEAN(10, 0, 3, 40, 2, 50, 5),
    SUM(9, 0, 40, 3, 5, 41),
    SUM(5, 0, 1, 6, 1, 4),       /* axes of length 1 only */
    MEAN(0, 0, 3, 4),            /* no axis */
    POSITIVE(1, 20000),
    POSITIVE(1, 20000, 2),
    POSITIVE(3, 5000, 17),
    { 0 },
};

static int build_bad(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    if (k->args[0] != 0) out[0] = brume_sum_to(g, in[0], SH(3, 1));
    else out[0] = brume_sum(g, in[0], 4, 0);
    return 1;
}

static const struct test_refusal reduce_refusals[] = {
    { "sum over axis 2 of 2", "axis", BRUME_E_ARG, { .n_in = 1, .in = { { .shape = SH(2, 3) } } } },
    { "sum_to a larger shape", "broadcast", BRUME_E_SHAPE, { .args = { 1 }, .n_in = 1, .in = { { .shape = SH(2, 3) } } } },
    { 0 },
};

static const struct test_op reduce = { "reduce", "sum", reduce_cases, NULL, build_reduce, oracle_reduce, 0 };
static const struct test_op reduce_refused = { "reduce refusals", "sum", NULL, reduce_refusals, build_bad, NULL, 0 };

/* ---- sum_to: args = ndim, dims ---- */

static brume_shape target(const struct test_case *k)
{
    brume_shape s = { .ndim = (int32_t)k->args[0] };
    for (int i = 0; i < s.ndim; i++) s.d[i] = (int64_t)k->args[1 + i];
    return s;
}

static int build_sum_to(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    out[0] = brume_sum_to(g, in[0], target(k));
    return 1;
}

static void oracle_sum_to(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const brume_shape s = k->in[0].shape, to = target(k);
    for (int64_t e = 0; e < brume_shape_numel(to); e++) out[0][e] = scale[0][e] = 0;
    for (int64_t e = 0; e < brume_shape_numel(s); e++) {
        const int64_t at = walk_broadcast(to, s, e);
        out[0][at] += in[0][e];
        scale[0][at] += fabs(in[0][e]);
    }
}

static const struct test_case sum_to_cases[] = {
    { "scalar", { 0 }, 1, { { .shape = SH(3, 4) } } },
    { "row", { 1, 5 }, 1, { { .shape = SH(3, 4, 5) } } },
    { "column", { 2, 4, 1 }, 1, { { .shape = SH(3, 4, 5) } } },
    { "inside", { 3, 3, 1, 5 }, 1, { { .shape = SH(3, 4, 5) } } },
    { "5-d", { 5, 1, 3, 1, 5, 1 }, 1, { { .shape = SH(2, 3, 4, 5, 6) } } },
    { "ones in front", { 3, 1, 1, 5 }, 1, { { .shape = SH(1, 4, 5) } } },
    { 0 },
};

static const struct test_op sum_to = { "sum_to", "sum", sum_to_cases, NULL, build_sum_to, oracle_sum_to, 0 };

/* ---- l2_norm ---- */

static int build_norm(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    (void)k;
    out[0] = brume_l2_norm(g, in[0]);
    return 1;
}

static void oracle_norm(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    double s = 0;
    for (int64_t e = 0; e < test_numel(k, 0); e++) s += in[0][e] * in[0][e];
    out[0][0] = scale[0][0] = sqrt(s);
}

static const struct test_case norm_cases[] = {
    { "1", { 0 }, 1, { { .shape = SH(1) } } },
    { "31", { 0 }, 1, { { .shape = SH(31) } } },
    { "257", { 0 }, 1, { { .shape = SH(257) } } },
    { "scalar", { 0 }, 1, { { .shape = BRUME_SCALAR } } },
    { "3-d", { 0 }, 1, { { .shape = SH(7, 33, 65) } } },
    { "100003", { 0 }, 1, { { .shape = SH(100003) } } },
    { "131072", { 0 }, 1, { { .shape = SH(2, 65536) } } },
    { 0 },
};

static const struct test_op l2_norm = { "l2_norm", "sum", norm_cases, NULL, build_norm, oracle_norm, ~0u };

const struct test_op *const tests_reduce[] = { &reduce, &reduce_refused, &sum_to, &l2_norm, NULL };
