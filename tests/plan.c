/* SPDX-License-Identifier: MIT
 * Graphs and plans: sticky errors, memory layout, fusion, binding, and runs that allocate nothing. */
#include <stdatomic.h>

#include "brume/ops.h"
#include "brume/plan.h"
#include "brume/rng.h"
#include "check.h"
#include "plan/arena.h"
#include "plan/variants.h"

/* Allocations of the whole process are counted: the program's own definitions come before the C library's. Sanitizers bring their
 * own allocator; there the count stays off. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTING 0
static long allocations;
#else
#define COUNTING 1
static _Atomic long allocations;
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
void *malloc(size_t n) { allocations++; return __libc_malloc(n); }
void *calloc(size_t n, size_t size) { allocations++; return __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { allocations++; return __libc_realloc(p, n); }
#endif

static void test_errors(void)
{
    brume_graph *g = brume_graph_new();
    const brume_tensor x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(2, 8, 8, 4));
    const brume_tensor w = brume_input(g, "w", BRUME_F32, BRUME_SHAPE(3, 3, 3, 64));
    const brume_conv2d_params p = { .stride = 1, .pad = { 1, 1, 1, 1 } };
    brume_scope_push(g, "down.%d", 0);
    const brume_tensor h = brume_conv2d(g, x, w, BRUME_NONE, BRUME_NONE, &p);
    brume_scope_pop(g);
    CHECK_INT(h, BRUME_NONE);
    CHECK_INT(brume_graph_status(g), BRUME_E_SHAPE);
    char first[1024];
    snprintf(first, sizeof first, "%s", brume_graph_error(g));
    CHECK(strstr(first, "conv2d") && strstr(first, "down.0") && strstr(first, "3") && strstr(first,
                                                                                             "4") && strstr(first, "2x8x8x4"));
    CHECK_INT(brume_silu(g, h), BRUME_NONE); /* the first error stays */
    CHECK_INT(brume_input(g, "y", BRUME_F32, BRUME_SHAPE(0)), BRUME_NONE);
    CHECK_STR(brume_graph_error(g), first);
    brume_device *d = NULL;
    brume_plan *plan = NULL;
    CHECK_OK(brume_device_open("cpu", NULL, &d));
    CHECK_FAILS(brume_plan_new(d, g, NULL, &plan), BRUME_E_SHAPE, "conv2d");
    brume_device_close(d);
    brume_graph_free(g);

    g = brume_graph_new();
    brume_input(g, "x", BRUME_F32, BRUME_SHAPE(2));
    brume_input(g, "x", BRUME_F32, BRUME_SHAPE(3));
    CHECK(strstr(brume_graph_error(g), "already has one of that name"));
    brume_graph_free(g);

    g = brume_graph_new();
    const brume_tensor slab = brume_slab(g, "params");
    const brume_tensor a = brume_param(g, slab, &(brume_param_info){ .name = "a", .shape = BRUME_SHAPE(3) });
    brume_output(g, brume_square(g, slab), "s");
    brume_param(g, slab, &(brume_param_info){ .name = "b", .shape = BRUME_SHAPE(3) });
    CHECK(a != BRUME_NONE && strstr(brume_graph_error(g), "cannot grow"));
    brume_graph_free(g);
    brume_graph_free(NULL);
}

/* Random lifetimes: no two blocks that live at once may overlap, and every one fits its segment. */
static void test_arena(void)
{
    enum { N = 300 };
    brume_rng r = { .seed = 7 };
    for (int round = 0; round < 20; round++) {
        struct brume_block b[N];
        uint64_t *bytes = NULL, limit = round % 2 ? 20000 : 0;
        int segments = 0, bad = 0;
        for (int i = 0; i < N; i++) {
            const int first = (int)brume_rng_below(&r, 100), length = (int)brume_rng_below(&r, 20);
            b[i] = (struct brume_block){ .bytes = 1 + brume_rng_below(&r, 5000), .first = first, .last = first + length };
        }
        if (!CHECK_OK(brume_arena_place(b, N, limit, &bytes, &segments))) return;
        for (int i = 0; i < N; i++) {
            bad += b[i].offset % BRUME_ALIGN != 0 || b[i].segment >= segments || b[i].offset + b[i].bytes > bytes[b[i].segment];
            bad += limit && b[i].offset + b[i].bytes > limit;
            for (int j = 0; j < i; j++)
                bad += b[i].segment == b[j].segment && b[i].first <= b[j].last && b[j].first <= b[i].last &&
                       b[i].offset < b[j].offset + b[j].bytes && b[j].offset < b[i].offset + b[i].bytes;
        }
        CHECK_INT(bad, 0);
        free(bytes);
    }
    struct brume_block one = { .bytes = 1000, .last = 1 };
    uint64_t *bytes = NULL;
    int segments;
    CHECK_FAILS(brume_arena_place(&one, 1, 999, &bytes, &segments), BRUME_E_MEMORY, "smaller batch");
}

/* A chain with branches, broadcasting in every position and a value used twice. */
static brume_tensor chain(brume_graph *g, brume_tensor x, brume_tensor row, brume_tensor column, brume_tensor scalar)
{
    const brume_tensor a = brume_silu(g, brume_add(g, brume_mul(g, x, row), column));
    const brume_tensor b = brume_mul(g, brume_tanh(g, a), scalar);
    return brume_add(g, brume_sub(g, b, brume_affine(g, a, 0.5f, 1)), brume_square(g, x));
}

static void run_chain(brume_device *d, const brume_plan_options *o, float *out, int *kernels)
{
    enum { N = 3, H = 5, C = 7 };
    brume_graph *g = brume_graph_new();
    const brume_tensor x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(N, H, C)),
                       row = brume_input(g, "row", BRUME_F32, BRUME_SHAPE(C));
    const brume_tensor column = brume_input(g, "column", BRUME_F32, BRUME_SHAPE(N, 1, C)),
                       scalar = brume_input(g, "scalar", BRUME_F32, BRUME_SCALAR);
    const brume_tensor y = chain(g, x, row, column, scalar);
    brume_output(g, y, "y");
    brume_plan *p = NULL;
    float data[N * H * C];
    brume_fill_normal(1, 1, 0, 0, N * H * C, data);
    if (CHECK_OK(brume_plan_new(d, g, o, &p))) {
        brume_plan_stats stats;
        brume_plan_get_stats(p, &stats);
        *kernels = stats.kernels;
        CHECK_OK(brume_plan_write(p, x, data, sizeof data));
        CHECK_OK(brume_plan_write(p, row, data + 10, C * sizeof *data));
        CHECK_OK(brume_plan_write(p, column, data + 20, N * C * sizeof *data));
        CHECK_OK(brume_plan_write(p, scalar, data + 5, sizeof *data));
        CHECK_OK(brume_plan_run(p));
        CHECK_OK(brume_plan_read(p, y, out, sizeof data));
        CHECK_FAILS(brume_plan_write(p, y, data, sizeof data), BRUME_E_ARG, "computes it");
        CHECK_FAILS(brume_plan_write(p, x, data, 4), BRUME_E_SHAPE, "420 bytes");
    }
    brume_plan_free(p);
    brume_graph_free(g);
}

static void test_fusion(void)
{
    brume_device *d = NULL;
    float fused[105], apart[105], kept[105];
    int n_fused = 0, n_apart = 0, n_kept = 0;
    if (!CHECK_OK(brume_device_open("cpu", NULL, &d))) return;
    run_chain(d, NULL, fused, &n_fused);
    run_chain(d, &(brume_plan_options){ .no_fusion = 1 }, apart, &n_apart);
    run_chain(d, &(brume_plan_options){ .keep_all = 1 }, kept, &n_kept);
    CHECK(!memcmp(fused, apart, sizeof fused) && !memcmp(fused, kept, sizeof fused));
    CHECK_INT(n_apart, 9);
    CHECK(n_fused < 4); /* `a` is used three times: a chain of its own */
    brume_device_close(d);
}

static void test_bind(void)
{
    brume_device *d = NULL;
    brume_buffer *b = NULL, *small = NULL;
    brume_plan *p = NULL;
    brume_graph *g = brume_graph_new();
    const brume_tensor x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(4)), y = brume_affine(g, x, 3, 0);
    brume_output(g, y, "y");
    const float mine[4] = { 1, 2, 3, 4 }, theirs[4] = { 5, 6, 7, 8 };
    float out[4];
    CHECK_OK(brume_device_open("cpu", NULL, &d));
    CHECK_OK(brume_buffer_new(d, sizeof mine, &b));
    CHECK_OK(brume_buffer_new(d, 4, &small));
    CHECK_OK(brume_buffer_write(b, 0, mine, sizeof mine));
    CHECK_OK(brume_plan_new(d, g, NULL, &p));
    CHECK_OK(brume_plan_write(p, x, theirs, sizeof theirs));
    CHECK_OK(brume_plan_bind(p, x, b));
    CHECK_OK(brume_plan_run(p));
    CHECK_OK(brume_plan_read(p, y, out, sizeof out));
    CHECK(out[0] == 3 && out[3] == 12);
    CHECK_OK(brume_plan_bind(p, x, NULL));
    CHECK_OK(brume_plan_run(p));
    CHECK_OK(brume_plan_read(p, y, out, sizeof out));
    CHECK(out[0] == 15 && out[3] == 24);
    CHECK_FAILS(brume_plan_bind(p, x, small), BRUME_E_ARG, "needs 16 bytes");
    CHECK_FAILS(brume_plan_bind(p, y, b), BRUME_E_ARG, "only inputs");
    brume_plan_free(p);
    CHECK_OK(brume_plan_new(d, g, &(brume_plan_options){ .dry = 1 }, &p));
    CHECK_FAILS(brume_plan_run(p), BRUME_E_ARG, "dry");
    brume_plan_free(p);
    brume_buffer_free(b);
    brume_buffer_free(small);
    brume_device_close(d);
    brume_graph_free(g);
}

/* A small training step: convolution, norm, attention, loss, gradient, update. */
static void test_no_allocation(void)
{
    brume_device *d = NULL;
    brume_plan *p = NULL;
    brume_graph *g = brume_graph_new();
    const brume_tensor slab = brume_slab(g, "params"), x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(2, 6, 6, 8));
    const brume_tensor w = brume_param(g, slab, &(brume_param_info){ .name = "w",
                                                                     .shape = BRUME_SHAPE(3, 3, 8, 8), .trainable = 1 });
    const brume_tensor v = brume_param(g, slab, &(brume_param_info){ .name = "v", .shape = BRUME_SHAPE(8, 8), .trainable = 1 });
    const brume_conv2d_params cp = { .stride = 1, .pad = { 1, 1, 1, 1 } };
    brume_tensor h = brume_group_norm(g, brume_conv2d(g, x, w, BRUME_NONE, x, &cp), BRUME_NONE, BRUME_NONE, 4,
                                      1e-5f, BRUME_ACT_SILU);
    h = brume_linear(g, brume_reshape(g, h, BRUME_SHAPE(2, 36, 8)), v, BRUME_NONE);
    h = brume_sdpa(g, h, h, h, 2, 0, 0.5f);
    const brume_tensor loss = brume_mse(g, h, brume_constant(g, brume_tensor_shape(g, h), 1));
    const brume_tensor grad = brume_grad_slab(g, loss, slab), P = brume_persistent(g, "m", BRUME_F32,
                                                                                   brume_tensor_shape(g, slab));
    const brume_tensor hyper = brume_input(g, "hyper", BRUME_F32, BRUME_SHAPE(BRUME_HYPER_COUNT));
    brume_sgd_update(g, slab, P, grad, hyper, BRUME_NONE);
    brume_output(g, loss, "loss");
    CHECK_STR(brume_graph_error(g), "");
    CHECK_OK(brume_device_open("cpu", &(brume_device_options){ .threads = 2 }, &d));
    if (CHECK_OK(brume_plan_new(d, g, NULL, &p))) {
        CHECK_OK(brume_plan_run(p));
        const long before = allocations;
        for (int i = 0; i < 5; i++) CHECK_OK(brume_plan_run(p));
        if (COUNTING) {
            CHECK(before > 0); /* the counter works */
            CHECK_INT(allocations - before, 0);
        } else {
            check_skip("allocations are not counted under a sanitizer");
        }
    }
    brume_plan_free(p);
    brume_device_close(d);
    brume_graph_free(g);
}

/* Tensors whose memory the caller gives: the plan counts none, refuses to run before they are bound, then uses them. */
static void test_elsewhere(void)
{
    brume_device *d = NULL;
    brume_plan *p = NULL;
    brume_buffer *b = NULL;
    brume_plan_stats stats;
    float two[3] = { 1, 2, 3 }, got[3];
    brume_graph *g = brume_graph_new();
    const brume_tensor x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(3)), state = brume_persistent(g, "state",
                                                                                                    BRUME_F32, BRUME_SHAPE(3));
    const brume_tensor y = brume_mul(g, brume_add(g, x, state), x);
    brume_output(g, y, "y");
    CHECK_OK(brume_device_open("cpu", NULL, &d));
    const brume_plan_options o = { .elsewhere = (const brume_tensor[]){ x, BRUME_NONE } };
    if (CHECK_OK(brume_plan_new(d, g, &o, &p)) && CHECK_OK(brume_buffer_new(d, sizeof two, &b))) {
        brume_plan_get_stats(p, &stats);
        CHECK_INT((int64_t)stats.input_bytes, 0);
        CHECK_INT((int64_t)stats.persistent_bytes, 12);
        CHECK_FAILS(brume_plan_run(p), BRUME_E_ARG, "'x' lies elsewhere");
        CHECK_FAILS(brume_plan_write(p, x, two, sizeof two), BRUME_E_ARG, "'x' lies elsewhere");
        CHECK_OK(brume_plan_bind(p, x, b));
        CHECK_FAILS(brume_plan_bind(p, x, NULL), BRUME_E_ARG, "'x' lies elsewhere");
        CHECK_OK(brume_plan_write(p, x, two, sizeof two));
        CHECK_OK(brume_plan_write(p, state, two, sizeof two));
        CHECK_OK(brume_plan_run(p));
        CHECK_OK(brume_plan_read(p, y, got, sizeof got));
        CHECK(got[0] == 2 && got[1] == 8 && got[2] == 18);
    }
    brume_plan_free(p);
    brume_buffer_free(b);
    brume_graph_free(g);
    brume_device_close(d);
}

/* Weights whose memory goes back once they are packed: same results, no way to use what is gone, and a new start by writing
 * all. */
static void test_drop_packed(void)
{
    enum { N = 2, H = 8, C = 32, WEIGHTS = 9 * C * C, PARAMS = WEIGHTS + C, IMAGE = N * H * H * C };
    static float w[PARAMS], x[IMAGE], y[3][IMAGE];
    const brume_conv2d_params p = { .stride = 1, .pad = { 1, 1, 1, 1 } };
    uint64_t bytes[2] = { 0 };
    brume_device *d = NULL;
    brume_fill_normal(1, 1, 0, 0, PARAMS, w);
    brume_fill_normal(2, 1, 0, 0, IMAGE, x);
    CHECK_OK(brume_device_open("cpu", NULL, &d));
    for (int drop = 0; drop < 2; drop++) {
        brume_graph *g = brume_graph_new();
        brume_plan *plan = NULL;
        brume_plan_stats stats;
        brume_buffer *other = NULL;
        const brume_tensor slab = brume_slab(g, "params"), in = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(N, H, H, C));
        const brume_tensor bias = brume_param(g, slab, &(brume_param_info){ .name = "bias", .shape = BRUME_SHAPE(C) });
        const brume_tensor weight =
            brume_param(g, slab, &(brume_param_info){ .name = "weight", .shape = BRUME_SHAPE(3, 3, C, C) });
        const brume_tensor out = brume_conv2d(g, in, weight, bias, BRUME_NONE, &p);
        const brume_plan_options o = { .drop_packed = drop };
        brume_output(g, out, "y");
        if (CHECK_OK(brume_plan_new(d, g, &o, &plan)) && CHECK_OK(brume_buffer_new(d, sizeof w, &other))) {
            brume_plan_get_stats(plan, &stats);
            bytes[drop] = stats.persistent_bytes;
            CHECK_OK(brume_plan_write(plan, slab, w, sizeof w));
            CHECK_OK(brume_plan_write(plan, in, x, sizeof x));
            CHECK_OK(brume_plan_run(plan));
            CHECK_OK(brume_plan_run(plan)); /* from the packed copies */
            CHECK_OK(brume_plan_read(plan, out, y[drop], sizeof y[drop]));
        }
        if (drop && plan) {
            CHECK_FAILS(brume_plan_read(plan, weight, w, WEIGHTS * sizeof *w), BRUME_E_ARG, "given back");
            CHECK_FAILS(brume_plan_write(plan, weight, w, WEIGHTS * sizeof *w), BRUME_E_ARG, "write all of 'params'");
            CHECK_FAILS(brume_plan_bind(plan, slab, other), BRUME_E_ARG, "drop_packed");
            brume_plan_touch(plan);
            CHECK_FAILS(brume_plan_run(plan), BRUME_E_ARG, "write all of 'params'");
            CHECK_OK(brume_plan_write(plan, slab, w, sizeof w));
            CHECK_OK(brume_plan_run(plan));
            CHECK_OK(brume_plan_read(plan, out, y[2], sizeof y[2]));
        }
        brume_plan_free(plan);
        brume_buffer_free(other);
        brume_graph_free(g);
    }
    CHECK(y[0][0] != 0 && !memcmp(y[0], y[1], sizeof y[0]) && !memcmp(y[0], y[2], sizeof y[0]));
    CHECK_INT((int64_t)bytes[0], PARAMS * 4);
    CHECK_INT((int64_t)bytes[1], C * 4);
    brume_device_close(d);
}

/* "NAME:ROW" takes that set of parameters, where the device has room for it; what does not exist is left to the rule. */
static void test_rows(void)
{
    const struct brume_caps gpu = { .opencl = true, .vector_width = 1, .compute_units = 8, .local_bytes = 16384,
                                    .max_work_group = 256 };
    struct brume_caps small = gpu, narrow = gpu;
    char name[BRUME_CHOICE_NAME];
    brume_graph *g = brume_graph_new();
    const brume_tensor a = brume_input(g, "a", BRUME_F32, BRUME_SHAPE(64, 64)), y = brume_matmul(g, a, a, 0, 0);
    const struct brume_node *n = brume_value_of(g, y)->producer;
    small.local_bytes = 4096;
    narrow.max_work_group = 64;
    CHECK_STR(brume_choice_name(brume_variant_choose(n, &gpu, "local:128x128x8"), name), "local:128x128x8");
    CHECK_STR(brume_choice_name(brume_variant_choose(n, &narrow, "local:128x128x8"), name), "local");
    CHECK_STR(brume_choice_name(brume_variant_choose(n, &narrow, "local:32x32x16"), name), "local:32x32x16");
    CHECK_STR(brume_choice_name(brume_variant_choose(n, &small, "local:32x32x16"), name), "any");
    CHECK_STR(brume_choice_name(brume_variant_choose(n, &gpu, "local:1x1"), name), "local");
    CHECK_STR(brume_choice_name(brume_variant_choose(n, &gpu, "tile:6x2"), name), "tile:6x2");
    CHECK_STR(brume_choice_name(brume_variant_choose(n, &gpu, "tile:14x2"), name), "tile");
    CHECK_STR(brume_choice_name(brume_variant_choose(n, &gpu, "nothing"), name), "local");
    CHECK_STR(brume_choice_name(brume_variant_choose(n, &gpu, NULL), name), "local");
    for (const struct brume_variant *v = n->op->kernels; v->name; v++) /* every row fits what every GPU has, and is found by its
                                                                          name */
        for (int row = 1; v->rows && !strcmp(v->name, "local") && row <= v->rows->n; row++) {
            CHECK(v->rows->fits(row, &gpu));
            CHECK_INT(brume_variant_choose(n, &gpu, brume_choice_name((struct brume_choice){ v, row }, name)).row, row);
        }
    brume_graph_free(g);
}

/* A run in two halves, with a look at a result in between; and where values stop being finite. */
static void test_halves(void)
{
    brume_device *d = NULL;
    brume_plan *p = NULL;
    float v[4] = { 1, 2, 3, 4 }, out[4] = { 0 }, norm = 0, state[4] = { 0 };
    char what[320];
    brume_graph *g = brume_graph_new();
    const brume_tensor x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(4)), decay = brume_input(g, "decay",
                                                                                               BRUME_F32, BRUME_SCALAR);
    const brume_tensor y = brume_affine(g, x, 2, 0), n = brume_l2_norm(g, y),
    ema = brume_persistent(g, "ema", BRUME_F32, BRUME_SHAPE(4));
    brume_output(g, n, "norm");
    brume_ema_update(g, ema, y, decay);
    CHECK_OK(brume_device_open("cpu", NULL, &d));
    if (CHECK_OK(brume_plan_new(d, g, NULL, &p))) {
        const int judged = brume_plan_step_of(p, n) + 1, all = brume_plan_step_count(p);
        CHECK(judged > 0 && judged < all);
        CHECK_INT(brume_plan_step_of(p, x), -1);
        CHECK_OK(brume_plan_write(p, x, v, sizeof v));
        CHECK_OK(brume_plan_run_steps(p, 0, judged));
        CHECK_OK(brume_plan_read(p, n, &norm, sizeof norm));
        CHECK_OK(brume_plan_read(p, ema, state, sizeof state));
        CHECK(norm > 10.95f && norm < 10.96f && state[3] == 0); /* sqrt(120); nothing is updated yet */
        CHECK_OK(brume_plan_run_steps(p, judged, all - judged));
        CHECK_OK(brume_plan_read(p, ema, out, sizeof out));
        CHECK(out[0] == 2 && out[3] == 8);
        CHECK_FAILS(brume_plan_run_steps(p, 1, all), BRUME_E_ARG, "there are no steps");
        CHECK_FAILS(brume_plan_find_not_finite(p, what), BRUME_E_ARG, "keep_all");
    }
    brume_plan_free(p);
    if (CHECK_OK(brume_plan_new(d, g, &(brume_plan_options){ .keep_all = 1 }, &p))) {
        CHECK_OK(brume_plan_write(p, x, v, sizeof v));
        CHECK_OK(brume_plan_run(p));
        CHECK_OK(brume_plan_find_not_finite(p, what));
        CHECK_STR(what, "");
        v[2] = 3e38f; /* twice that is infinite */
        CHECK_OK(brume_plan_write(p, x, v, sizeof v));
        CHECK_OK(brume_plan_run(p));
        CHECK_OK(brume_plan_find_not_finite(p, what));
        CHECK(strstr(what, "(affine, 4): 1 of 4 values are not finite, the first is number 2, inf"));
        v[2] = NAN;
        CHECK_OK(brume_plan_write(p, x, v, sizeof v));
        CHECK_OK(brume_plan_run(p));
        CHECK_OK(brume_plan_find_not_finite(p, what));
        CHECK(strstr(what, "x (an input, 4)") == what);
    }
    brume_plan_free(p);
    brume_device_close(d);
    brume_graph_free(g);
}

/* Parts of a gradient are complete after as many steps as the plan says, not before, and in the order of the backward pass. */
static void test_steps_until(void)
{
    enum { LAYERS = 4, C = 8, W = C * C, B = 3 };
    static float x[B * C], w[LAYERS * W], whole[(LAYERS + 1) * W], part[(LAYERS + 1) * W];
    const float one = 1, zero = 0;
    char name[16];
    brume_device *d = NULL;
    brume_plan *p = NULL;
    brume_graph *g = brume_graph_new();
    const brume_tensor slab = brume_slab(g, "w"), in = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(B, C));
    const brume_tensor keep = brume_input(g, "keep", BRUME_F32, BRUME_SCALAR),
    share = brume_input(g, "share", BRUME_F32, BRUME_SCALAR);
    brume_tensor y = in;
    for (int i = 0; i < LAYERS; i++) {
        snprintf(name, sizeof name, "layer%d", i);
        y = brume_linear(g, y,
                         brume_param(g, slab, &(brume_param_info){ .name = name, .shape = BRUME_SHAPE(C, C), .trainable = 1 }),
                         BRUME_NONE);
    }
    brume_param(g, slab, &(brume_param_info){ .name = "unused", .shape = BRUME_SHAPE(C, C), .trainable = 1 });
    const brume_tensor grad = brume_grad_slab_sum(g, brume_mean(g, brume_square(g, y), 3, 0), share, slab, "grad", keep);
    brume_fill_normal(1, 1, 0, 0, B * C, x);
    brume_fill_normal(2, 1, 0, 0, LAYERS * W, w);
    CHECK_OK(brume_device_open("cpu", NULL, &d));
    if (CHECK_OK(brume_plan_new(d, g, NULL, &p))) {
        const int all = brume_plan_step_count(p);
        const size_t bytes = sizeof whole;
        int until[LAYERS + 1], last = 0;
        CHECK_OK(brume_plan_write(p, in, x, sizeof x));
        CHECK_OK(brume_plan_write(p, keep, &zero, sizeof zero));
        CHECK_OK(brume_plan_write(p, share, &one, sizeof one));
        float *weights = whole; /* the last layer is not used */
        memcpy(weights, w, sizeof w);
        CHECK_OK(brume_plan_write(p, slab, weights, bytes));
        CHECK_OK(brume_plan_run(p));
        CHECK_OK(brume_plan_read(p, grad, whole, bytes));
        for (int i = 0; i <= LAYERS; i++) until[i] = brume_plan_steps_until(p, grad, i * W, W);
        CHECK_INT(until[LAYERS], 0);
        for (int i = 0; i + 1 < LAYERS; i++) CHECK(until[i] > until[i + 1]);
        CHECK_INT(brume_plan_steps_until(p, grad, 2 * W - 1, 2), until[1]);
        CHECK_INT(brume_plan_steps_until(p, grad, 0, (LAYERS + 1) * W), until[0]);
        CHECK_INT(brume_plan_steps_until(p, slab, 0, W), 0);
        CHECK_INT(brume_plan_steps_until(p, BRUME_NONE, 0, W), 0);
        memset(part, 0, sizeof part);
        CHECK_OK(brume_plan_write(p, grad, part, bytes));
        for (int i = LAYERS - 1; i >= 0; last = until[i--]) {
            CHECK_OK(brume_plan_run_steps(p, last, until[i] - 1 - last));
            CHECK_OK(brume_plan_read(p, grad, part, bytes));
            CHECK(memcmp(part + i * W, whole + i * W, W * sizeof *part) != 0);
            CHECK_OK(brume_plan_run_steps(p, until[i] - 1, 1));
            CHECK_OK(brume_plan_read(p, grad, part, bytes));
            CHECK(part[i * W] != 0 && !memcmp(part + i * W, whole + i * W, W * sizeof *part));
        }
        CHECK_OK(brume_plan_run_steps(p, last, all - last));
        CHECK_OK(brume_plan_read(p, grad, part, bytes));
        CHECK(!memcmp(part, whole, bytes));
        const float *host = brume_buffer_host(brume_plan_buffer(p, grad));
        CHECK(host && !memcmp(host, whole, bytes));
    }
    brume_plan_free(p);
    brume_device_close(d);
    brume_graph_free(g);
}

/* What a plan says about its pieces is what it submits; a dry one says the same. */
static void test_bound(void)
{
    brume_device *d = NULL;
    brume_plan *p = NULL, *dry = NULL;
    brume_graph *g = brume_graph_new();
    brume_plan_bound b = { .gflops = 0 }, slow = { .gflops = 20 };
    const brume_tensor x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(2, 9, 10, 24));
    const brume_tensor w = brume_input(g, "w", BRUME_F32, BRUME_SHAPE(3, 3, 24, 40));
    const brume_conv2d_params params = { .stride = 1, .pad = { 1, 1, 1, 1 } };
    const brume_tensor y = brume_silu(g, brume_conv2d(g, x, w, BRUME_NONE, BRUME_NONE, &params));
    float *zeros = calloc(9 * 24 * 40, sizeof *zeros);
    brume_output(g, y, "y");
    if (CHECK_OK(brume_device_open("cpu", NULL, &d)) && CHECK_OK(brume_plan_new(d, g, NULL, &p)))
        CHECK_FAILS(brume_plan_get_bound(p, &b), BRUME_E_UNSUPPORTED, "cpu");
    brume_plan_free(p);
    brume_device_close(d);
    p = NULL;
    d = NULL;
    if (brume_device_open("opencl", &(brume_device_options){ .launch_ms = 1e-9, .clblast = 0 }, &d) != BRUME_OK) check_skipped++;
    else if (CHECK_OK(brume_plan_new(d, g, NULL, &p)) && CHECK_OK(brume_plan_new(d, g,
                                                                                 &(brume_plan_options){ .dry = 1 }, &dry))) {
        CHECK_OK(brume_plan_write(p, x, zeros, 2 * 9 * 10 * 24 * sizeof *zeros));
        CHECK_OK(brume_plan_write(p, w, zeros, 9 * 24 * 40 * sizeof *zeros));
        CHECK_OK(brume_plan_get_bound(p, &b));
        const uint64_t before = brume_device_launches(d);
        CHECK_OK(brume_plan_run(p));
        CHECK_INT(brume_device_launches(d) - before, b.pieces);
        CHECK(b.gflops > 0 && b.bound_ms == 1e-9 && b.launches >= 2 && b.cut >= 1);
        CHECK(b.pieces > b.launches && b.longest_ms >= b.piece_ms && b.longest_pieces > 1);
        CHECK(strstr(b.longest, "conv2d") && strstr(b.longest, "2x9x10x24"));
        CHECK_OK(brume_plan_get_bound(dry, &slow));
        CHECK(slow.gflops == 20 && slow.pieces == b.pieces);
        /* the work is the same */
        CHECK_NEAR(slow.longest_ms * 20, b.longest_ms * fmax(b.gflops, 20), 1e-6 * slow.longest_ms * 20);
    }
    brume_plan_free(dry);
    brume_plan_free(p);
    brume_device_close(d);
    brume_graph_free(g);
    free(zeros);
}

int main(void)
{
    test_bound();
    test_steps_until();
    test_halves();
    test_rows();
    test_errors();
    test_arena();
    test_fusion();
    test_bind();
    test_no_allocation();
    test_elsewhere();
    test_drop_packed();
    return check_report();
}
