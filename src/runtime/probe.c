/* SPDX-License-Identifier: MIT
 * Times a device: plans of one node, results known beforehand. */
#include "runtime/probe.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fail.h"
#include "brume/ops.h"
#include "brume/plan.h"
#include "runtime/backends.h"

#define MOST_RUNS 9
#define PART_MS 120.0   /* of measuring, for each of the three */
#define SLOW_MS 250.0   /* what would take longer for one run is measured at the smaller size */
#define BATCH 64        /* small ops in a row */
#define TOLERANCE 1e-3f /* of results that are 1: far above the rounding of any kernel, far below what an error does */

enum part { PRODUCT, CONVOLUTION, SMALL };

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One node. Inputs are 1 and weights one over the number of terms, so that results are 1 (at the rim of a convolution less). */
static brume_graph *build(enum part part, int64_t size, brume_tensor *x, brume_tensor *slab, brume_tensor *y, float *weight)
{
    brume_graph *g = brume_graph_new();
    if (!g) return NULL;
    if (part == SMALL) {
        *x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(size));
        *y = brume_affine(g, *x, 0.75f, 0.25f);
    } else {
        const bool product = part == PRODUCT;
        *slab = brume_slab(g, "weights");
        const brume_tensor w =
            brume_param(g, *slab,
                        &(brume_param_info){ .name = "w",
                                             .shape = product ? BRUME_SHAPE(size, size) : BRUME_SHAPE(3, 3, 64, 64),
                                             .layout = product ? BRUME_LAYOUT_LINEAR : BRUME_LAYOUT_CONV });
        *weight = product ? 1.0f / (float)size : 1.0f / (9 * 64);
        *x = brume_input(g, "x", BRUME_F32, product ? BRUME_SHAPE(size, size) : BRUME_SHAPE(size, 32, 32, 64));
        *y = product
                 ? brume_linear(g, *x, w, BRUME_NONE)
                 : brume_conv2d(g, *x, w, BRUME_NONE, BRUME_NONE, &(brume_conv2d_params){ .stride = 1, .pad = { 1, 1, 1, 1 } });
    }
    brume_output(g, *y, "y");
    return g;
}

static brume_status write_all(brume_plan *p, brume_tensor t, int64_t n, float value, float *space)
{
    for (int64_t i = 0; i < n; i++) space[i] = value;
    return brume_plan_write(p, t, space, (size_t)n * sizeof *space);
}

/* All results of a product or small op; of a convolution those that no edge touches. */
static brume_status check(enum part part, const float *y, int64_t n, const char *spec)
{
    for (int64_t i = 0; i < n; i++) {
        const int64_t column = i / 64 % 32, row = i / (64 * 32) % 32;
        if (part == CONVOLUTION && (column == 0 || column == 31 || row == 0 || row == 31)) continue;
        if (!(fabsf(y[i] - 1.0f) <= TOLERANCE)) /* NaN fails, too */
            return brume_fail(
                BRUME_E_DEVICE,
                "%s: a probe's %s is wrong: value %lld: got %.7g, expected 1; `brume devices --check` tests all kernels", spec,
                part == PRODUCT       ? "matrix product"
                : part == CONVOLUTION ? "convolution"
                                      : "elementwise op",
                (long long)i, (double)y[i]);
    }
    return BRUME_OK;
}

/* Milliseconds of `times` runs in a row, divided by their number. */
static brume_status time_runs(brume_device *d, brume_plan *p, int times, double *ms)
{
    const double begin = now_ms();
    brume_status s = BRUME_OK;
    for (int i = 0; i < times && s == BRUME_OK; i++) s = brume_plan_run(p);
    if (s == BRUME_OK) s = brume_device_finish(d);
    *ms = (now_ms() - begin) / times;
    return s;
}

/* The median of a few runs after one that is not counted. */
static brume_status measure(brume_device *d, const char *spec, enum part part, int64_t size, double *ms, double *flops)
{
    brume_tensor x = BRUME_NONE, slab = BRUME_NONE, y = BRUME_NONE;
    float weight = 0;
    brume_plan *p = NULL;
    brume_graph *g = build(part, size, &x, &slab, &y, &weight);
    brume_status s = g ? brume_graph_status(g) : BRUME_E_MEMORY;
    const int64_t n_x = g ? brume_shape_numel(brume_tensor_shape(g, x)) : 0,
                  n_y = g ? brume_shape_numel(brume_tensor_shape(g, y)) : 0;
    const int64_t n_w = part == PRODUCT ? size * size : part == CONVOLUTION ? 9 * 64 * 64 : 0;
    const int64_t most = n_x > n_w ? n_x : n_w;
    float *space = malloc((size_t)(most > n_y ? most : n_y) * sizeof *space + 1);
    double times[MOST_RUNS];
    int n = 0;
    if (!g || !space) s = brume_fail(BRUME_E_MEMORY, "%s: out of memory for a probe", spec);
    if (s == BRUME_OK) s = brume_plan_new(d, g, NULL, &p);
    if (s == BRUME_OK) s = write_all(p, x, n_x, 1.0f, space);
    if (s == BRUME_OK && n_w) s = write_all(p, slab, n_w, weight, space);
    if (s == BRUME_OK) s = time_runs(d, p, 1, ms); /* drivers may compile at the first launch */
    if (s == BRUME_OK) s = brume_plan_read(p, y, space, (size_t)n_y * sizeof *space);
    if (s == BRUME_OK) s = check(part, space, n_y, spec);
    for (const double begin = now_ms(); s == BRUME_OK && n < MOST_RUNS && (n == 0 || now_ms() - begin < PART_MS); n++)
        s = time_runs(d, p, part == SMALL && *ms < 1 ? BATCH : 1, &times[n]);
    if (s == BRUME_OK) {
        brume_plan_stats stats;
        brume_plan_get_stats(p, &stats);
        qsort(times, (size_t)n, sizeof *times, compare);
        *ms = times[n / 2] > 1e-6 ? times[n / 2] : 1e-6;
        *flops = stats.flops;
    }
    brume_plan_free(p);
    brume_graph_free(g);
    free(space);
    return s;
}

/* GFLOP/s at the larger size if that takes a bearable time, by what the smaller one does. */
static brume_status measure_rate(brume_device *d, const char *spec, enum part part, int64_t small, int64_t large, double *gflops)
{
    const double ratio = part == PRODUCT ? pow((double)large / (double)small, 3) : (double)large / (double)small;
    double ms, flops;
    brume_status s = measure(d, spec, part, small, &ms, &flops);
    if (s == BRUME_OK && ms * ratio < SLOW_MS) s = measure(d, spec, part, large, &ms, &flops);
    if (s == BRUME_OK) *gflops = 1e-6 * flops / ms;
    return s;
}

void brume_probe_rate(brume_probe *p)
{
    const double product = 2e-6 * 512 * 512 * 512, conv = 2e-6 * 8 * 32 * 32 * 9 * 64 * 64; /* GFLOP/s times ms */
    p->step_ms = 20 * (product / p->matmul_gflops + conv / p->conv_gflops) + 0.1 * p->launch_us;
}

brume_status brume_probe_run(const char *spec, const brume_device_options *options, brume_probe *out)
{
    brume_device *d = NULL;
    brume_device_info info;
    double ms = 0, flops;
    if (!out) return brume_fail(BRUME_E_ARG, "brume_probe_run: out is NULL");
    *out = (brume_probe){ .cached = 0 };
    if (!spec || !strcmp(spec, "auto"))
        return brume_fail(BRUME_E_ARG, "brume_probe_run: expected cpu, opencl or opencl:P.D, got '%.40s'", spec ? spec : "NULL");
    brume_probe p = { .cached = 0 };
    /* Figures are of the device at its best: what is kept for it must not depend on the run that happened to measure it. */
    brume_device_options o = options ? *options : (brume_device_options){ .clblast = -1 };
    o.nice_ms = o.launch_ms = o.no_tuning = 0;
    o.clblast = -1;
    brume_status s = brume_device_open(spec, &o, &d);
    if (s != BRUME_OK) return s;
    brume_device_get_info(d, &info);
    s = measure(d, info.spec, SMALL, 64, &ms, &flops);
    p.launch_us = 1e3 * ms;
    if (s == BRUME_OK) s = measure_rate(d, info.spec, PRODUCT, 128, 512, &p.matmul_gflops);
    if (s == BRUME_OK) s = measure_rate(d, info.spec, CONVOLUTION, 1, 8, &p.conv_gflops);
    brume_device_close(d);
    if (s != BRUME_OK) return s;
    brume_probe_rate(&p);
    if (!o.no_cache && !o.kind) brume_probe_store(&info, &p);
    *out = p;
    return BRUME_OK;
}
