/* SPDX-License-Identifier: MIT
 * Builds a graph, asks for its gradient, runs both on two devices and compares: two_backends [DEVICE [DEVICE]]
 *
 * Without arguments: the processor and the first OpenCL device; where there is none, the processor's best instructions and plain
 * C. Exit status: 0 the devices agree, 1 they do not or something failed.
 *
 * cc two_backends.c $(pkg-config --cflags --libs brume) -lm */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "brume/device.h"
#include "brume/ops.h"
#include "brume/params.h"
#include "brume/plan.h"

enum { N = 4, SIZE = 16, IN = 3, OUT = 24 };
enum { IMAGES = N * SIZE * SIZE * IN, MOST_PARAMETERS = 4096 };

/* What a device computed. */
struct result { float loss, gradient[MOST_PARAMETERS]; };

/* A named part of the slab: its shape, how fresh values are drawn, and how it would lie in a file. */
static brume_tensor parameter(brume_graph *g, brume_tensor slab, const char *name, brume_shape shape, brume_layout layout,
                              brume_init init, int64_t fan_in)
{
    return brume_param(g, slab,
                       &(brume_param_info){ .name = name,
                                            .shape = shape,
                                            .layout = layout,
                                            .init = init,
                                            .fan_in = fan_in,
                                            .init_scale = 1,
                                            .trainable = 1 });
}

/*
 * loss = mean((silu(group_norm(conv(x))) - 1)^2), and d loss / d parameters as one vector. No call is checked here: the first
 * error stays in the graph, every later call does nothing, and brume_graph_status() tells in the end.
 */
static void build(brume_graph *g, brume_tensor *x, brume_tensor *slab, brume_tensor *loss, brume_tensor *gradient)
{
    *x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(N, SIZE, SIZE, IN)); /* images are (N, H, W, C) */
    *slab = brume_slab(g, "weights");
    const brume_tensor w =
        parameter(g, *slab, "conv.weight", BRUME_SHAPE(3, 3, IN, OUT), BRUME_LAYOUT_CONV, BRUME_INIT_UNIFORM_FAN_IN, 9 * IN);
    const brume_tensor b =
        parameter(g, *slab, "conv.bias", BRUME_SHAPE(OUT), BRUME_LAYOUT_SAME, BRUME_INIT_UNIFORM_FAN_IN, 9 * IN);
    const brume_tensor scale = parameter(g, *slab, "norm.weight", BRUME_SHAPE(OUT), BRUME_LAYOUT_SAME, BRUME_INIT_ONE, 0);
    const brume_tensor shift = parameter(g, *slab, "norm.bias", BRUME_SHAPE(OUT), BRUME_LAYOUT_SAME, BRUME_INIT_ZERO, 0);
    const brume_conv2d_params same = { .stride = 1, .pad = { 1, 1, 1, 1 } };
    brume_tensor h = brume_conv2d(g, *x, w, b, BRUME_NONE, &same);
    h = brume_group_norm(g, h, scale, shift, 4, 1e-5f, BRUME_ACT_SILU);
    *loss = brume_mse(g, h, brume_constant(g, BRUME_SHAPE(N, SIZE, SIZE, OUT), 1));
    *gradient = brume_grad_slab(g, *loss, *slab); /* appends the backward nodes; nothing runs yet */
    brume_output(g, *loss, "loss");
    brume_output(g, *gradient, "gradient");
}

/* Plans the graph for one device and runs it once. */
static brume_status run(const char *spec, const char *isa, struct result *r, int64_t *parameters)
{
    static float images[IMAGES], weights[MOST_PARAMETERS];
    const brume_device_options options = { .clblast = -1, .isa = isa };
    brume_tensor x, slab, loss, gradient;
    brume_device *device = NULL;
    brume_plan *plan = NULL;
    brume_graph *g = brume_graph_new();
    if (!g) return BRUME_E_MEMORY;

    build(g, &x, &slab, &loss, &gradient);
    brume_status s = brume_graph_status(g);
    if (s != BRUME_OK) fprintf(stderr, "%s\n", brume_graph_error(g));
    *parameters = brume_params_numel(g, slab);
    if (s == BRUME_OK) s = brume_device_open(spec, &options, &device);
    if (s == BRUME_OK) {
        brume_device_info info;
        brume_device_get_info(device, &info);
        printf("%-12s %s (%s)\n", info.spec, info.name, info.platform);
        s = brume_plan_new(device, g, NULL, &plan); /* chooses and compiles kernels, finds a place for every tensor */
    }
    if (s == BRUME_OK) {
        for (int i = 0; i < IMAGES; i++) images[i] = sinf(0.37f * (float)i);
        brume_params_init(g, slab, 1, weights); /* the same on every machine */
        s = brume_plan_write(plan, x, images, sizeof images);
    }
    if (s == BRUME_OK) s = brume_plan_write(plan, slab, weights, (size_t)*parameters * sizeof(float));
    if (s == BRUME_OK) s = brume_plan_run(plan);
    if (s == BRUME_OK) s = brume_plan_read(plan, loss, &r->loss, sizeof r->loss);
    if (s == BRUME_OK) s = brume_plan_read(plan, gradient, r->gradient, (size_t)*parameters * sizeof(float));
    brume_plan_free(plan); /* plans before graphs and devices; NULL is fine everywhere */
    brume_device_close(device);
    brume_graph_free(g);
    return s;
}

/* 1 if there is an OpenCL device that can be used. */
static int have_opencl(void)
{
    brume_device *d = NULL;
    const int found = brume_device_open("opencl", NULL, &d) == BRUME_OK;
    brume_device_close(d);
    return found;
}

int main(int argc, char **argv)
{
    static struct result a, b;
    const int opencl = argc > 2 || have_opencl();
    const char *second = argc > 2 ? argv[2] : opencl ? "opencl" : "cpu";
    int64_t n = 0;
    if (run(argc > 1 ? argv[1] : "cpu", NULL, &a, &n) != BRUME_OK || run(second, opencl ? NULL : "generic", &b, &n) != BRUME_OK) {
        fprintf(stderr, "two_backends: %s\n", brume_error());
        return 1;
    }
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)a.gradient[i] - (double)b.gradient[i]));
        largest = fmax(largest, fabs((double)a.gradient[i]));
        if (isnan(a.gradient[i]) || isnan(b.gradient[i])) worst = INFINITY; /* which fmax() would pass over */
    }
    printf("loss %.7g and %.7g\n%lld gradients of up to %.3g differ by %.3g at most\n", (double)a.loss, (double)b.loss,
           (long long)n, largest, worst);
    /* Sums of N H W terms in another order: some roundings of 6e-8 of the largest gradient. */
    const int agree = fabs((double)a.loss - (double)b.loss) <= 1e-5 * fabs((double)a.loss) && worst <= 1e-5 * largest;
    printf("%s\n", agree ? "the devices agree" : "the devices DISAGREE");
    return agree ? 0 : 1;
}
