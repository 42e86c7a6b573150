/* SPDX-License-Identifier: MIT
 * Launches merged into one compute what they compute alone (BRUME_OPENCL_MERGE=0), whole runs and steps one by one, again and
 * again. Exit status 77 where there is no OpenCL device; on one for which nothing is merged that alone is noted. */
#include "brume/ops.h"
#include "brume/plan.h"
#include "brume/rng.h"
#include "check.h"
#include "plan/backend.h"

#include <stdbool.h>

enum { N = 2, H = 9, W = 9, C = 16, INPUTS = 6, OUTPUTS = 6, MOST = N * H * W * C };

struct net { brume_graph *g; brume_tensor in[INPUTS], out[OUTPUTS]; };

static int64_t numel(const brume_graph *g, brume_tensor t)
{
    const brume_shape s = brume_tensor_shape(g, t);
    int64_t n = 1;
    for (int i = 0; i < s.ndim; i++) n *= s.d[i];
    return n;
}

/* Kernels with work-groups of one and of many, in one launch and in several; between them some that need their group or noise,
 * which stay alone: the merged launches have to stop there and go on behind. */
static struct net build(void)
{
    struct net t = { .g = brume_graph_new() };
    brume_graph *g = t.g;
    const brume_conv2d_params same = { .stride = 1, .pad = { 1, 1, 1, 1 } }, half = { .stride = 2, .pad = { 1, 1, 1, 1 } };
    const brume_tensor x = t.in[0] = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(N, H, W, C));
    const brume_tensor w3 = t.in[1] = brume_input(g, "w3", BRUME_F32, BRUME_SHAPE(3, 3, C, C));
    const brume_tensor wl = t.in[2] = brume_input(g, "wl", BRUME_F32, BRUME_SHAPE(C, C));
    const brume_tensor b = t.in[3] = brume_input(g, "b", BRUME_F32, BRUME_SHAPE(C));
    const brume_tensor w1 = t.in[4] = brume_input(g, "w1", BRUME_F32, BRUME_SHAPE(1, 1, C, C));
    t.in[5] = brume_input(g, "scale", BRUME_F32, BRUME_SHAPE(C));
    brume_tensor h = brume_group_norm(g, x, t.in[5], b, 4, 1e-5f, BRUME_ACT_SILU);
    h = brume_conv2d(g, h, w3, b, x, &same);
    h = brume_conv2d(g, h, w1, b, BRUME_NONE, &(brume_conv2d_params){ .stride = 1 });
    const brume_tensor small = brume_conv2d(g, h, w3, BRUME_NONE, BRUME_NONE, &half);
    brume_tensor s = brume_reshape(g, small, BRUME_SHAPE(N, 25, C));
    s = brume_layer_norm(g, s, t.in[5], b, 1e-5f);
    s = brume_sdpa(g, brume_linear(g, s, wl, b), brume_linear(g, s, wl, BRUME_NONE), s, 2, 0, 0.3f);
    s = brume_softmax(g, s);
    const brume_tensor up = brume_upsample_nearest(g, brume_reshape(g, s, BRUME_SHAPE(N, 5, 5, C)), H, W);
    const brume_tensor both[2] = { up, h }, sum = brume_l2_norm(g, h);
    h = brume_tanh(g, brume_slice(g, brume_concat(g, 2, both, 3), 3, 5, C));
    h = brume_add(g, brume_mul(g, h, brume_stop_gradient(g, sum)), b);
    t.out[0] = h;
    const brume_tensor loss = brume_mean(g, brume_square(g, h), 15, 0);
    t.out[1] = loss;
    brume_grad(g, loss, BRUME_NONE, 4, t.in, t.out + 2);
    for (int i = 0; i < OUTPUTS; i++) brume_output(g, t.out[i], (const char *[]){ "h", "loss", "dx", "dw3", "dwl", "db" }[i]);
    return t;
}

/* by_step: one step at a time. Fills out[i] (MOST floats each). */
static void run(brume_plan *p, const struct net *t, bool by_step, float *out)
{
    for (int i = 0; i < brume_plan_step_count(p) && by_step; i++) CHECK_OK(brume_plan_run_step(p, i));
    if (!by_step) CHECK_OK(brume_plan_run(p));
    for (int i = 0; i < OUTPUTS; i++)
        CHECK_OK(brume_plan_read(p, t->out[i], out + i * MOST, (size_t)numel(t->g, t->out[i]) * sizeof *out));
}

static brume_plan *plan(brume_device *d, const struct net *t, const char *merge)
{
    static float data[MOST];
    brume_plan *p = NULL;
    setenv("BRUME_OPENCL_MERGE", merge, 1);
    if (!CHECK_OK(brume_plan_new(d, t->g, NULL, &p))) return NULL;
    for (int i = 0; i < INPUTS; i++) {
        const int64_t n = numel(t->g, t->in[i]);
        brume_fill_normal(3, (uint32_t)i, 0, 0, n, data);
        for (int64_t j = 0; j < n; j++) data[j] *= i == 1 || i == 2 || i == 4 ? 0.2f : 1.0f;
        CHECK_OK(brume_plan_write(p, t->in[i], data, (size_t)n * sizeof *data));
    }
    return p;
}

static float alone[OUTPUTS * MOST], merged[OUTPUTS * MOST];

/* The sums have the same order; but a compiler that sees another surrounding may contract other pairs of operations. */
static void compare(const struct net *t)
{
    for (int i = 0; i < OUTPUTS; i++) {
        double top = 0, worst = 0;
        for (int64_t j = 0; j < numel(t->g, t->out[i]); j++) {
            const double a = alone[i * MOST + j], b = merged[i * MOST + j];
            top = fmax(top, fabs(a));
            worst = fabs(a - b) <= worst ? worst : fabs(a - b); /* NaN stays */
        }
        CHECK(top > 0);
        CHECK_NEAR(worst / top, 0, 2e-6);
    }
}

int main(void)
{
    brume_device *d = NULL;
    if (brume_device_open("opencl", NULL, &d) != BRUME_OK) return 77;
    const struct net t = build();
    if (CHECK_OK(brume_graph_status(t.g))) {
        brume_plan *p = plan(d, &t, "0");
        const int alone_programs = d->programs_compiled;
        brume_plan *q = plan(d, &t, "1");
        /* the merged launches would be a program that was not there */
        if (d->programs_compiled == alone_programs) check_skipped++;
        else if (p && q) {
            run(p, &t, false, alone);
            run(q, &t, false, merged);
            compare(&t);
            memcpy(alone, merged, sizeof alone);
            for (int i = 0; i < 50; i++) {
                memset(merged, 0xff, sizeof merged);
                run(q, &t, i % 10 == 9, merged);
                for (int k = 0; k < OUTPUTS; k++)
                    CHECK(!memcmp(alone + k * MOST, merged + k * MOST, (size_t)numel(t.g, t.out[k]) * sizeof *merged));
            }
        }
        brume_plan_free(p);
        brume_plan_free(q);
    }
    brume_graph_free(t.g);
    brume_device_close(d);
    return check_report();
}
