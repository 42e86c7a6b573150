/* SPDX-License-Identifier: MIT
 * Tests of max_pool2d and mean_pool2d. args: kernel, stride, padding, count_pad. */
#include <math.h>

#include "../harness.h"

#define X(...) { BRUME_F32, BRUME_SHAPE(__VA_ARGS__), 0, 0, false }

static brume_pool2d_params params(const struct test_case *k)
{
    const double *a = k->args;
    return (brume_pool2d_params){ .kernel = { (int32_t)a[0], (int32_t)a[1] }, .stride = (int32_t)a[2],
                                  .pad = { (int32_t)a[3], (int32_t)a[4] }, .count_pad = a[5] != 0 };
}

static int build_max(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    const brume_pool2d_params p = params(k);
    out[0] = brume_max_pool2d(g, in[0], &p);
    return 1;
}

static int build_mean(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    const brume_pool2d_params p = params(k);
    out[0] = brume_mean_pool2d(g, in[0], &p);
    return 1;
}

static void oracle(const struct test_case *k, const double *x, double *out, double *scale, bool maximum)
{
    const brume_pool2d_params p = params(k);
    const int64_t *d = k->in[0].shape.d, oh = (d[1] + 2 * p.pad[0] - p.kernel[0]) / p.stride + 1,
                  ow = (d[2] + 2 * p.pad[1] - p.kernel[1]) / p.stride + 1;
    for (int64_t i = 0; i < d[0] * oh * ow * d[3]; i++) {
        const int64_t c = i % d[3], ox = i / d[3] % ow, oy = i / d[3] / ow % oh, n = i / d[3] / ow / oh;
        double best = -INFINITY, sum = 0, size = 0;
        int seen = 0;
        for (int q = 0; q < p.kernel[0] * p.kernel[1]; q++) {
            const int64_t y = oy * p.stride - p.pad[0] + q / p.kernel[1], z = ox * p.stride - p.pad[1] + q % p.kernel[1];
            if (y < 0 || y >= d[1] || z < 0 || z >= d[2]) continue;
            const double v = x[((n * d[1] + y) * d[2] + z) * d[3] + c];
            best = fmax(best, v);
            sum += v;
            size += fabs(v);
            seen++;
        }
        const int count = p.count_pad ? p.kernel[0] * p.kernel[1] : seen;
        out[i] = maximum ? best : sum / count;
        scale[i] = maximum ? fabs(best) : size / count;
    }
}

static void oracle_max(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    oracle(k, in[0], out[0], scale[0], true);
}
static void oracle_mean(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    oracle(k, in[0], out[0], scale[0], false);
}

static const struct test_case cases[] = {
    { "one", { 1, 1, 1, 0, 0, 1 }, 1, { X(1, 1, 1, 1) } },
    { "halves", { 2, 2, 2, 0, 0, 1 }, 1, { X(2, 4, 6, 33) } },
    { "odd", { 2, 2, 2, 0, 0, 1 }, 1, { X(1, 7, 5, 4) } },
    { "resnet", { 3, 3, 2, 1, 1, 1 }, 1, { X(2, 9, 8, 17) } },
    { "inception", { 3, 3, 1, 1, 1, 0 }, 1, { X(1, 5, 5, 65) } },
    { "counted", { 3, 3, 1, 1, 1, 1 }, 1, { X(1, 5, 4, 3) } },
    { "oblong", { 1, 4, 3, 0, 2, 0 }, 1, { X(2, 6, 7, 5) } },
    { "whole", { 5, 3, 1, 0, 0, 1 }, 1, { X(2, 5, 3, 130) } },
    { "padded", { 5, 5, 2, 4, 4, 0 }, 1, { X(1, 1, 2, 2) } },
    { 0 },
};

static const struct test_refusal refusals[] = {
    { "small", "as large as the kernel", BRUME_E_SHAPE, { 0, { 3, 3, 1, 0, 0, 1 }, 1, { X(1, 2, 4, 1) } } },
    { "vast", "larger than 32768", BRUME_E_ARG, { 0, { INT32_MAX, 1, 1, 1 << 30, 0, 1 }, 1, { X(1, 1, 1, 1) } } },
    { "padding", "below the kernel", BRUME_E_ARG, { 0, { 2, 2, 1, 2, 0, 1 }, 1, { X(1, 4, 4, 1) } } },
    { "stride", "at least 1", BRUME_E_ARG, { 0, { 2, 2, 0, 0, 0, 1 }, 1, { X(1, 4, 4, 1) } } },
    { "flat", "4 dimensions", BRUME_E_SHAPE, { 0, { 2, 2, 1, 0, 0, 1 }, 1, { X(4, 4, 1) } } },
    { 0 },
};

static const struct test_op max_pool = { "max_pool2d", "exact", cases, refusals, build_max, oracle_max, ~0u };
static const struct test_op mean_pool = { "mean_pool2d", "sum", cases, refusals, build_mean, oracle_mean, ~0u };

const struct test_op *const tests_pool2d[] = { &max_pool, &mean_pool, NULL };
