/* SPDX-License-Identifier: MIT
 * Tests of upsample_nearest, avg_pool2d and FIR resampling. args: size of the result (upsample). */
#include <math.h>

#include "../harness.h"

#define X(...) { BRUME_F32, BRUME_SHAPE(__VA_ARGS__), 0, 0, false }

/* Element (n, y, x, c) of an image input, 0 outside. */
static double pixel(const struct test_case *k, const double *v, int64_t n, int64_t y, int64_t x, int64_t c)
{
    const int64_t *d = k->in[0].shape.d;
    return y < 0 || y >= d[1] || x < 0 || x >= d[2] ? 0 : v[((n * d[1] + y) * d[2] + x) * d[3] + c];
}

static int build_up(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    out[0] = brume_upsample_nearest(g, in[0], (int64_t)k->args[0], (int64_t)k->args[1]);
    return 1;
}

static void oracle_up(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t *d = k->in[0].shape.d, h = (int64_t)k->args[0], w = (int64_t)k->args[1];
    for (int64_t i = 0; i < d[0] * h * w * d[3]; i++) {
        const int64_t c = i % d[3], x = i / d[3] % w, y = i / d[3] / w % h, n = i / d[3] / w / h;
        out[0][i] = pixel(k, in[0], n, y * d[1] / h, x * d[2] / w, c);
        scale[0][i] = fabs(out[0][i]);
    }
}

static const struct test_case up_cases[] = {
    { "one", { 1, 1 }, 1, { X(1, 1, 1, 1) } },
    { "from_one", { 5, 3 }, 1, { X(2, 1, 1, 3) } },
    { "twice", { 8, 12 }, 1, { X(2, 4, 6, 33) } },
    { "twice_odd", { 10, 6 }, 1, { X(1, 5, 3, 65) } },
    { "size", { 5, 7 }, 1, { X(1, 3, 4, 4) } },
    { "one_less", { 13, 15 }, 1, { X(1, 7, 8, 17) } },
    { "smaller", { 2, 3 }, 1, { X(2, 5, 7, 5) } },
    { "channels", { 6, 6 }, 1, { X(1, 3, 3, 130) } },
    { 0 },
};

static const struct test_refusal up_refusals[] = {
    { "zero", "at least 1x1", BRUME_E_SHAPE, { 0, { 0, 4 }, 1, { X(1, 2, 2, 1) } } },
    { "negative", "at least 1x1", BRUME_E_SHAPE, { 0, { 4, -4 }, 1, { X(1, 2, 2, 1) } } },
    { "flat", "4 dimensions", BRUME_E_SHAPE, { 0, { 4, 4 }, 1, { X(2, 2, 1) } } },
    { 0 },
};

static const struct test_op up = { "upsample_nearest", "exact", up_cases, up_refusals, build_up, oracle_up, 0 };

static int build_pool(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    (void)k;
    out[0] = brume_avg_pool2d(g, in[0]);
    return 1;
}

static void oracle_pool(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t *d = k->in[0].shape.d, h = d[1] / 2, w = d[2] / 2;
    for (int64_t i = 0; i < d[0] * h * w * d[3]; i++) {
        const int64_t c = i % d[3], x = i / d[3] % w, y = i / d[3] / w % h, n = i / d[3] / w / h;
        out[0][i] = scale[0][i] = 0;
        for (int q = 0; q < 4; q++) {
            const double v = pixel(k, in[0], n, 2 * y + q / 2, 2 * x + q % 2, c) / 4;
            out[0][i] += v;
            scale[0][i] += fabs(v);
        }
    }
}

static const struct test_case pool_cases[] = {
    { "smallest", { 0 }, 1, { X(1, 2, 2, 1) } },
    { "odd", { 0 }, 1, { X(1, 7, 5, 4) } },
    { "three", { 0 }, 1, { X(2, 3, 3, 3) } },
    { "channels", { 0 }, 1, { X(2, 4, 6, 33) } },
    { "many", { 0 }, 1, { X(1, 8, 9, 130) } },
    { 0 },
};

static const struct test_refusal pool_refusals[] = {
    { "thin", "at least 2x2", BRUME_E_SHAPE, { 0, { 0 }, 1, { X(1, 1, 4, 1) } } },
    { 0 },
};

static const struct test_op pool = { "avg_pool2d", "sum", pool_cases, pool_refusals, build_pool, oracle_pool, 0 };

/* ---- FIR, straight from model-format 6.1: zero insertion and padding, then correlation with K = outer([1,3,3,1]) / 64 ---- */

static const double taps[4] = { 1, 3, 3, 1 };

static int build_fir_down(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    (void)k;
    out[0] = brume_fir_downsample2(g, in[0]);
    return 1;
}

static void oracle_fir_down(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t *d = k->in[0].shape.d, h = (d[1] + 2 - 4) / 2 + 1, w = (d[2] + 2 - 4) / 2 + 1;
    for (int64_t i = 0; i < d[0] * h * w * d[3]; i++) {
        const int64_t c = i % d[3], x = i / d[3] % w, y = i / d[3] / w % h, n = i / d[3] / w / h;
        out[0][i] = scale[0][i] = 0;
        for (int q = 0; q < 16; q++) {
            const double v = taps[q / 4] * taps[q % 4] / 64 * pixel(k, in[0], n, 2 * y + q / 4 - 1, 2 * x + q % 4 - 1, c);
            out[0][i] += v;
            scale[0][i] += fabs(v);
        }
    }
}

static int build_fir_up(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    (void)k;
    out[0] = brume_fir_upsample2(g, in[0]);
    return 1;
}

static void oracle_fir_up(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t *d = k->in[0].shape.d, h = 2 * d[1], w = 2 * d[2];
    for (int64_t i = 0; i < d[0] * h * w * d[3]; i++) {
        const int64_t c = i % d[3], x = i / d[3] % w, y = i / d[3] / w % h, n = i / d[3] / w / h;
        out[0][i] = scale[0][i] = 0;
        for (int q = 0; q < 16; q++) {
            /* in the image with zeros inserted; top and left padding is 2 */
            const int64_t zy = y + q / 4 - 2, zx = x + q % 4 - 2;
            if (zy < 0 || zy % 2 || zx < 0 || zx % 2) continue;
            const double v = 4 * taps[q / 4] * taps[q % 4] / 64 * pixel(k, in[0], n, zy / 2, zx / 2, c);
            out[0][i] += v;
            scale[0][i] += fabs(v);
        }
    }
}

static const struct test_case fir_up_cases[] = {
    { "one", { 0 }, 1, { X(1, 1, 1, 1) } },
    { "odd", { 0 }, 1, { X(2, 3, 5, 3) } },
    { "channels", { 0 }, 1, { X(1, 4, 4, 33) } },
    { 0 },
};
static const struct test_case fir_down_cases[] = {
    { "smallest", { 0 }, 1, { X(1, 2, 2, 1) } },
    { "three", { 0 }, 1, { X(1, 3, 2, 2) } },
    { "odd", { 0 }, 1, { X(2, 7, 9, 3) } },
    { "even", { 0 }, 1, { X(2, 8, 6, 3) } },
    { "channels", { 0 }, 1, { X(1, 6, 5, 33) } },
    { 0 },
};

static const struct test_op fir_up = { "fir_upsample2", "sum", fir_up_cases, NULL, build_fir_up, oracle_fir_up, 0 };
static const struct test_op fir_down = { "fir_downsample2", "sum", fir_down_cases, pool_refusals,
                                         build_fir_down, oracle_fir_down, 0 };

const struct test_op *const tests_resample[] = { &up, &pool, &fir_up, &fir_down, NULL };
