/* SPDX-License-Identifier: MIT
 * Plans step by step: what runs one by one gives the bits of a whole run; and a device's multiply-add rate. Usage: test_steps
 * [--device D ...] */
#include "brume/ops.h"
#include "brume/plan.h"
#include "brume/rng.h"
#include "check.h"
#include "devices.h"

enum { N = 2, H = 6, C = 16, PIXELS = N * H * H };

struct net { brume_graph *g; brume_plan *plan; brume_tensor x, w, y, dw; };

/* A convolution with weights that are packed once, one with weights packed in every run, a norm, and a chain of elementwise
 * nodes. */
static int net_new(brume_device *d, struct net *n)
{
    const brume_conv2d_params p = { .stride = 1, .pad = { 1, 1, 1, 1 } };
    static float x[PIXELS * C], w[9 * C * C];
    brume_graph *g = n->g = brume_graph_new();
    n->x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(N, H, H, C));
    n->w = brume_input(g, "w", BRUME_F32, BRUME_SHAPE(3, 3, C, C));
    const brume_tensor constant = brume_persistent(g, "constant", BRUME_F32, BRUME_SHAPE(3, 3, C, C));
    brume_tensor h = brume_conv2d(g, n->x, constant, BRUME_NONE, BRUME_NONE, &p);
    h = brume_group_norm(g, h, BRUME_NONE, BRUME_NONE, 4, 1e-5f, BRUME_ACT_SILU);
    n->y = brume_mul(g, brume_tanh(g, brume_conv2d(g, h, n->w, BRUME_NONE, n->x, &p)), n->x);
    const brume_tensor loss = brume_mean(g, n->y, 15, 0);
    brume_grad(g, loss, BRUME_NONE, 1, &n->w, &n->dw);
    brume_output(g, n->y, "y");
    brume_output(g, n->dw, "dw");
    brume_fill_normal(1, 1, 0, 0, PIXELS * C, x);
    brume_fill_normal(2, 1, 0, 0, 9 * C * C, w);
    return CHECK_OK(brume_plan_new(d, g, NULL, &n->plan)) && CHECK_OK(brume_plan_write(n->plan, n->x, x, sizeof x)) &&
           CHECK_OK(brume_plan_write(n->plan, n->w, w, sizeof w)) && CHECK_OK(brume_plan_write(n->plan, constant, w, sizeof w));
}

static void net_free(struct net *n)
{
    brume_plan_free(n->plan);
    brume_graph_free(n->g);
}

static void step_by_step(brume_device *d, const char *where)
{
    static float y[2][PIXELS * C], dw[2][9 * C * C];
    memset(y, 0, sizeof y);
    memset(dw, 0, sizeof dw);
    for (int single = 0; single < 2; single++) {
        struct net n = { 0 };
        if (net_new(d, &n)) {
            const int steps = brume_plan_step_count(n.plan);
            CHECK(steps > 5);
            if (!single) CHECK_OK(brume_plan_run(n.plan));
            for (int i = 0; single && i < steps; i++) CHECK_OK(brume_plan_run_step(n.plan, i));
            CHECK_OK(brume_plan_read(n.plan, n.y, y[single], sizeof y[single]));
            CHECK_OK(brume_plan_read(n.plan, n.dw, dw[single], sizeof dw[single]));
            CHECK_FAILS(brume_plan_run_step(n.plan, steps), BRUME_E_ARG, "there is no step");
            CHECK_FAILS(brume_plan_run_step(n.plan, -1), BRUME_E_ARG, "there is no step");
        }
        net_free(&n);
    }
    double sum = 0;
    for (int i = 0; i < 9 * C * C; i++) sum += fabs((double)dw[0][i]);
    CHECK(sum > 0); /* it did run */
    if (!CHECK(!memcmp(y[0], y[1], sizeof y[0])) || !CHECK(!memcmp(dw[0], dw[1], sizeof dw[0])))
        fprintf(stderr, "    on %s\n", where);
}

static void descriptions(brume_device *d)
{
    struct net n = { 0 };
    int convs = 0, chains = 0;
    if (net_new(d, &n)) {
        for (int i = 0; i < brume_plan_step_count(n.plan); i++) {
            brume_plan_step s;
            brume_plan_get_step(n.plan, i, &s);
            if (!strcmp(s.op, "conv2d") && strstr(s.shapes, "2x6x6x16, 3x3x16x16, -, ") && strstr(s.shapes, " -> 2x6x6x16"))
                convs++;
            if (!strcmp(s.op, "conv2d") && s.flops != 2.0 * PIXELS * 9 * C * C) CHECK(!"arithmetic of a convolution");
            if (!strcmp(s.op, "tanh+mul")) {
                chains++;
                CHECK_STR(s.kernel, "chain");
                CHECK_STR(s.shapes, "1152, 1152 -> 2x6x6x16");
                CHECK(s.flops == 2.0 * PIXELS * C && s.bytes == 3 * 4.0 * PIXELS * C);
            }
        }
        CHECK_INT(convs, 2);
        CHECK_INT(chains, 1);
    }
    net_free(&n);
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    test_devices_open(&devices, &argc, argv, 1);
    for (int i = 0; i < devices.n; i++) {
        double gflops = 0;
        step_by_step(devices.at[i].device, devices.at[i].where);
        /* Interpreters of OpenCL reach a MFLOP/s; nothing is faster than a PFLOP/s. */
        if (!CHECK_OK(brume_device_measure_peak(devices.at[i].device, &gflops)) || !CHECK(gflops > 1e-5 && gflops < 1e6))
            fprintf(stderr, "    %s: %g GFLOP/s\n", devices.at[i].where, gflops);
    }
    if (devices.n) descriptions(devices.at[0].device);
    test_devices_close(&devices);
    return check_report();
}
