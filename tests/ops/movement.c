/* SPDX-License-Identifier: MIT
 * reshape, concat, slice, pad, pack, assign: nothing is computed, every element must arrive. */
#include <math.h>
#include <string.h>

#include "../harness.h"
#include "walk.h"

#define SH(...) BRUME_SHAPE(__VA_ARGS__)

static void set_scale(int64_t n, const double *out, double *scale)
{
    for (int64_t e = 0; e < n; e++) scale[e] = fabs(out[e]);
}

/* ---- reshape: args = ndim, dims ---- */

static brume_shape target(const struct test_case *k)
{
    brume_shape s = { .ndim = (int32_t)k->args[0] };
    for (int i = 0; i < s.ndim && i < BRUME_MAX_DIMS; i++) s.d[i] = (int64_t)k->args[1 + i];
    return s;
}

/* Through functions on both sides, so that the alias has a producer and a reader. */
static int build_reshape(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    out[0] = brume_affine(g, brume_reshape(g, brume_affine(g, in[0], 2, 0), target(k)), 0.5f, 0);
    out[1] = brume_reshape(g, in[0], target(k));
    return 2;
}

static void oracle_copy(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t n = test_numel(k, 0);
    for (int j = 0; j < 2; j++) {
        memcpy(out[j], in[0], (size_t)n * sizeof(double));
        set_scale(n, out[j], scale[j]);
    }
}

static const struct test_case reshape_cases[] = {
    { "1 to scalar", { 0 }, 1, { { .shape = SH(1) } } },
    { "scalar to 5-d", { 5, 1, 1, 1, 1, 1 }, 1, { { .shape = BRUME_SCALAR } } },
    { "flatten", { 1, 60 }, 1, { { .shape = SH(3, 4, 5) } } },
    { "split", { 4, 3, 2, 5, 2 }, 1, { { .shape = SH(60) } } },
    { 0 },
};
static const struct test_refusal reshape_refusals[] = {
    { "60 to 61", "60 elements", BRUME_E_SHAPE, { .args = { 1, 61 }, .n_in = 1, .in = { { .shape = SH(60) } } } },
    { "6 dimensions", "dimensions", BRUME_E_SHAPE, { .args = { 6, 1, 1, 1, 1, 60 }, .n_in = 1, .in = { { .shape = SH(60) } } } },
    { 0 },
};
static const struct test_op reshape = { "reshape", "exact", reshape_cases, reshape_refusals, build_reshape, oracle_copy, 0 };

/* ---- concat: args = axis, number of tensors if not all (refusals) ---- */

static int build_concat(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    out[0] = brume_concat(g, k->args[1] != 0 ? (int)k->args[1] : k->n_in, in, (int)k->args[0]);
    return 1;
}

static void oracle_concat(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    brume_shape s = k->in[0].shape;
    const int axis = (int)(k->args[0] < 0 ? k->args[0] + s.ndim : k->args[0]);
    s.d[axis] = 0;
    for (int i = 0; i < k->n_in; i++) s.d[axis] += k->in[i].shape.d[axis];
    int64_t first = 0;
    for (int i = 0; i < k->n_in; i++) {
        for (int64_t e = 0; e < test_numel(k, i); e++) {
            int64_t at[BRUME_MAX_DIMS];
            walk_at(k->in[i].shape, e, at);
            at[axis] += first;
            out[0][walk_element(s, at)] = in[i][e];
        }
        first += k->in[i].shape.d[axis];
    }
    set_scale(brume_shape_numel(s), out[0], scale[0]);
}

static const struct test_case concat_cases[] = {
    { "two of 1", { 0 }, 2, { { .shape = SH(1) }, { .shape = SH(1) } } },
    { "skip connection", { 3 }, 2, { { .shape = SH(2, 5, 3, 16) }, { .shape = SH(2, 5, 3, 8) } } },
    { "odd channels", { -1 }, 3, { { .shape = SH(2, 5, 3, 1) }, { .shape = SH(2, 5, 3, 7) }, { .shape = SH(2, 5, 3, 33) } } },
    { "batches", { 0 }, 2, { { .shape = SH(3, 4, 5) }, { .shape = SH(1, 4, 5) } } },
    { "middle", { 1 }, 4, { { .shape = SH(3, 4, 5) }, { .shape = SH(3, 1, 5) }, { .shape = SH(3, 2, 5) },
                            { .shape = SH(3, 4, 5) } } },
    { "5-d", { -2 }, 2, { { .shape = SH(2, 3, 2, 3, 4) }, { .shape = SH(2, 3, 2, 1, 4) } } },
    { "long rows", { 1 }, 2, { { .shape = SH(2, 70001) }, { .shape = SH(2, 65536) } } },
    { 0 },
};
static const struct test_refusal concat_refusals[] = {
    { "axis 2 of 2", "axis", BRUME_E_ARG, { .args = { 2 }, .n_in = 2, .in = { { .shape = SH(2, 3) }, { .shape = SH(2, 3) } } } },
    { "2x3 and 3x3 along 1", "agree", BRUME_E_SHAPE, { .args = { 1 }, .n_in = 2,
                                                       .in = { { .shape = SH(2, 3) }, { .shape = SH(3, 3) } } } },
    { "2-d and 3-d", "agree", BRUME_E_SHAPE, { .args = { 0 }, .n_in = 2, .in = { { .shape = SH(2, 3) },
                                                                                 { .shape = SH(2, 3, 1) } } } },
    { "17 tensors", "17", BRUME_E_ARG, { .args = { 0, 17 }, .n_in = 1, .in = { { .shape = SH(2, 3) } } } },
    { 0 },
};
static const struct test_op concat = { "concat", "exact", concat_cases, concat_refusals, build_concat, oracle_concat, 0 };

/* ---- slice: args = axis, start, length ---- */

static int build_slice(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    out[0] = brume_slice(g, in[0], (int)k->args[0], (int64_t)k->args[1], (int64_t)k->args[2]);
    return 1;
}

static void oracle_slice(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const brume_shape s = k->in[0].shape;
    brume_shape part = s;
    const int axis = (int)(k->args[0] < 0 ? k->args[0] + s.ndim : k->args[0]);
    part.d[axis] = (int64_t)k->args[2];
    for (int64_t e = 0; e < brume_shape_numel(part); e++) {
        int64_t at[BRUME_MAX_DIMS];
        walk_at(part, e, at);
        at[axis] += (int64_t)k->args[1];
        out[0][e] = in[0][walk_element(s, at)];
    }
    set_scale(brume_shape_numel(part), out[0], scale[0]);
}

static const struct test_case slice_cases[] = {
    { "one of two", { 0, 1, 1 }, 1, { { .shape = SH(2) } } },
    { "channels", { -1, 3, 5 }, 1, { { .shape = SH(2, 3, 4, 9) } } },
    { "half the channels", { 3, 16, 16 }, 1, { { .shape = SH(2, 3, 4, 32) } } },
    { "first sample", { 0, 0, 1 }, 1, { { .shape = SH(3, 5, 7) } } },
    { "last rows", { 1, 3, 2 }, 1, { { .shape = SH(3, 5, 7) } } },
    { "5-d", { 2, 1, 2 }, 1, { { .shape = SH(2, 3, 4, 3, 5) } } },
    { "long rows", { 1, 1, 70000 }, 1, { { .shape = SH(2, 70003) } } },
    { 0 },
};
static const struct test_refusal slice_refusals[] = {
    { "beyond the end", "start 4", BRUME_E_ARG, { .args = { 0, 4, 2 }, .n_in = 1, .in = { { .shape = SH(5) } } } },
    { "negative start", "start -1", BRUME_E_ARG, { .args = { 0, -1, 2 }, .n_in = 1, .in = { { .shape = SH(5) } } } },
    { "empty", "length 0", BRUME_E_ARG, { .args = { 0, 1, 0 }, .n_in = 1, .in = { { .shape = SH(5) } } } },
    { "axis -2", "axis -2", BRUME_E_ARG, { .args = { -2, 1, 1 }, .n_in = 1, .in = { { .shape = SH(5) } } } },
    { 0 },
};
static const struct test_op slice = { "slice", "exact", slice_cases, slice_refusals, build_slice, oracle_slice, 0 };

/* ---- pad: args = before of each axis, then after ---- */

static int build_pad(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    int64_t before[BRUME_MAX_DIMS], after[BRUME_MAX_DIMS];
    const int n = k->in[0].shape.ndim;
    for (int i = 0; i < n; i++) before[i] = (int64_t)k->args[i], after[i] = (int64_t)k->args[n + i];
    out[0] = brume_pad(g, in[0], before, after);
    return 1;
}

static void oracle_pad(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const brume_shape s = k->in[0].shape;
    brume_shape big = s;
    for (int i = 0; i < s.ndim; i++) big.d[i] += (int64_t)(k->args[i] + k->args[s.ndim + i]);
    for (int64_t e = 0; e < brume_shape_numel(big); e++) out[0][e] = 0;
    for (int64_t e = 0; e < brume_shape_numel(s); e++) {
        int64_t at[BRUME_MAX_DIMS];
        walk_at(s, e, at);
        for (int i = 0; i < s.ndim; i++) at[i] += (int64_t)k->args[i];
        out[0][walk_element(big, at)] = in[0][e];
    }
    set_scale(brume_shape_numel(big), out[0], scale[0]);
}

static const struct test_case pad_cases[] = {
    { "one", { 1, 2 }, 1, { { .shape = SH(1) } } },
    { "behind", { 0, 3 }, 1, { { .shape = SH(13) } } },
    { "image", { 0, 1, 2, 0, 0, 0, 1, 0 }, 1, { { .shape = SH(2, 3, 5, 8) } } },
    { "channels", { 0, 0, 0, 0, 0, 0, 0, 5 }, 1, { { .shape = SH(2, 3, 5, 3) } } },
    { "channels of 16", { 0, 0, 0, 16, 0, 0, 0, 32 }, 1, { { .shape = SH(2, 3, 5, 16) } } },
    { "samples", { 1, 0, 0, 2, 0, 0 }, 1, { { .shape = SH(2, 3, 5) } } },
    { "5-d everywhere", { 1, 0, 2, 1, 1, 1, 2, 0, 1, 3 }, 1, { { .shape = SH(2, 3, 1, 2, 3) } } },
    { "5-d some", { 0, 1, 0, 1, 0, 0, 0, 0, 2, 0 }, 1, { { .shape = SH(2, 3, 2, 2, 4) } } },
    { 0 },
};
static const struct test_refusal pad_refusals[] = {
    { "negative", "zeros", BRUME_E_ARG, { .args = { -1, 0 }, .n_in = 1, .in = { { .shape = SH(5) } } } },
    { 0 },
};
static const struct test_op pad = { "pad", "exact", pad_cases, pad_refusals, build_pad, oracle_pad, 0 };

/* ---- pack: args = size, offsets. Odd inputs pass through a function first, so that their producer may write in place. ---- */

static int build_pack(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    brume_tensor parts[TEST_MAX_IN];
    int64_t offsets[TEST_MAX_IN];
    for (int i = 0; i < k->n_in; i++) {
        parts[i] = i % 2 ? brume_affine(g, in[i], 1, 0) : in[i];
        offsets[i] = (int64_t)k->args[1 + i];
    }
    out[0] = brume_pack(g, k->n_in, parts, offsets, (int64_t)k->args[0]);
    return 1;
}

static void oracle_pack(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t size = (int64_t)k->args[0];
    for (int64_t e = 0; e < size; e++) out[0][e] = 0;
    for (int i = 0; i < k->n_in; i++)
        for (int64_t e = 0; e < test_numel(k, i); e++) out[0][(int64_t)k->args[1 + i] + e] = in[i][e];
    set_scale(size, out[0], scale[0]);
}

static const struct test_case pack_cases[] = {
    { "one", { 1, 0 }, 1, { { .shape = SH(1) } } },
    { "one with gaps", { 9, 3 }, 1, { { .shape = SH(2, 2) } } },
    { "tight", { 31, 0, 6, 13 }, 3, { { .shape = SH(2, 3) }, { .shape = SH(7) }, { .shape = SH(3, 3, 2) } } },
    { "gaps", { 40, 1, 9, 20 }, 3, { { .shape = SH(2, 3) }, { .shape = SH(7) }, { .shape = SH(3, 3, 2) } } },
    { "eleven", { 70, 0, 1, 3, 6, 10, 15, 21, 28, 36, 45, 55 }, 11,
      { { .shape = SH(1) }, { .shape = SH(2) }, { .shape = SH(3) }, { .shape = SH(4) }, { .shape = SH(5) }, { .shape = SH(6) },
        { .shape = SH(7) }, { .shape = SH(8) }, { .shape = SH(9) }, { .shape = SH(10) }, { .shape = SH(11) } } },
    { "long", { 140005, 1, 70002 }, 2, { { .shape = SH(70001) }, { .shape = SH(70001) } } },
    { 0 },
};
static const struct test_refusal pack_refusals[] = {
    { "overlap", "before the end", BRUME_E_ARG, { .args = { 20, 0, 4 }, .n_in = 2,
                                                  .in = { { .shape = SH(5) }, { .shape = SH(5) } } } },
    { "too long", "beyond", BRUME_E_SHAPE, { .args = { 9, 0, 5 }, .n_in = 2, .in = { { .shape = SH(5) }, { .shape = SH(5) } } } },
    { 0 },
};
static const struct test_op pack = { "pack", "exact", pack_cases, pack_refusals, build_pack, oracle_pack, 0 };

/* ---- assign ---- */

static int build_assign(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    (void)k;
    brume_assign(g, in[0], in[1]);
    out[0] = in[0];
    return 1;
}

static void oracle_assign(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    memcpy(out[0], in[1], (size_t)test_numel(k, 1) * sizeof(double));
    set_scale(test_numel(k, 1), out[0], scale[0]);
}

static const struct test_case assign_cases[] = {
    { "scalar", { 0 }, 2, { { .shape = BRUME_SCALAR, .persistent = true }, { .shape = BRUME_SCALAR } } },
    { "3-d", { 0 }, 2, { { .shape = SH(3, 5, 33), .persistent = true }, { .shape = SH(3, 5, 33) } } },
    { "long", { 0 }, 2, { { .shape = SH(70001), .persistent = true }, { .shape = SH(70001) } } },
    { 0 },
};
static const struct test_refusal assign_refusals[] = {
    { "other shape", "shape", BRUME_E_SHAPE, { .n_in = 2, .in = { { .shape = SH(5), .persistent = true },
                                                                  { .shape = SH(6) } } } },
    { "other type", "type", BRUME_E_SHAPE, { .n_in = 2, .in = { { .shape = SH(5), .persistent = true },
                                                                { .dtype = BRUME_I32, .shape = SH(5), .hi = 3 } } } },
    { "not persistent", "persistent", BRUME_E_ARG, { .n_in = 2, .in = { { .shape = SH(5) }, { .shape = SH(5) } } } },
    { 0 },
};
static const struct test_op assign = { "assign", "exact", assign_cases, assign_refusals, build_assign, oracle_assign, ~0u };

const struct test_op *const tests_movement[] = { &reshape, &concat, &slice, &pad, &pack, &assign, NULL };
