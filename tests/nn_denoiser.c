/* SPDX-License-Identifier: MIT
 * UNet2DModel as a denoiser: guidance, weights in f16, and the derivative. */
#include "brume/model.h"
#include "nn_tiny.h"

static brume_device *cpu;

static double deviation(const double *x, int n)
{
    double mean = 0, sq = 0;
    for (int i = 0; i < n; i++) mean += x[i] / n;
    for (int i = 0; i < n; i++) sq += (x[i] - mean) * (x[i] - mean);
    return sqrt(sq);
}

/* y = denoiser(x, t = 321) for n images of 4 x 4, at s / a = sigma */
static void ask_stored(const brume_model *m, brume_storage storage, int n, const int32_t *labels, brume_guidance guidance,
                       double sigma, const float *x, float *y)
{
    brume_unet2d_denoiser *d = NULL;
    brume_buffer *in = NULL, *out = NULL;
    const size_t bytes = (size_t)n * 16 * 2 * sizeof(float);
    const brume_unet2d_denoiser_options o = { .labels = labels, .null_label = 4, .guidance = guidance, .storage = storage };
    if (CHECK_OK(brume_buffer_new(cpu, bytes, &in)) && CHECK_OK(brume_buffer_new(cpu, bytes, &out)) &&
        CHECK_OK(brume_buffer_write(in, 0, x, bytes)) &&
        CHECK_OK(brume_unet2d_denoiser_new(cpu, &m->unet, m->params, BRUME_SHAPE(n, 4, 4, 2), &o, &d))) {
        const brume_denoiser *f = brume_unet2d_denoiser_get(d);
        const brume_level level = { .t = 321, .a = 1, .s = sigma };
        CHECK_OK(f->predict(f->self, in, &level, out, NULL));
        CHECK_OK(brume_buffer_read(out, 0, y, bytes));
        CHECK_FAILS(brume_unet2d_denoiser_set_labels(d, (int32_t[]){ 5, 0, 0 }), BRUME_E_ARG, "class 5");
    }
    brume_unet2d_denoiser_free(d);
    brume_buffer_free(in);
    brume_buffer_free(out);
}

static void ask(const brume_model *m, int n, const int32_t *labels, brume_guidance guidance, double sigma, const float *x,
                float *y)
{
    ask_stored(m, BRUME_STORAGE_F32, n, labels, guidance, sigma, x, y);
}

/* Weights in f16 are the same as weights rounded to f16, to the bit: nothing else of so small a network waits in f16. */
static void test_half_weights(void)
{
    brume_unet2d_config c = tiny();
    brume_model *m = NULL;
    float x[96], half[96], wide[96], rounded[96];
    classes(&c);
    c.out_channels = 2;
    for (int i = 0; i < 96; i++) x[i] = (float)sin(0.7 * i);
    if (!CHECK_OK(brume_model_new(&c, NULL, 9, &m))) return;
    const int32_t labels[] = { 0, 1, 2 };
    for (int i = 0; i < 3; i++) { /* no guidance; everywhere; within an interval: two networks that share their weights */
        const brume_guidance guidance = { .scale = i ? 3 : 1, .sigma_lo = i == 2 ? 0.5 : 0, .sigma_hi = i == 2 ? 2 : INFINITY };
        float *exact = m->params;
        ask(m, 3, labels, guidance, 1, x, wide);
        ask_stored(m, BRUME_STORAGE_F16, 3, labels, guidance, 1, x, half);
        if (!(m->params = malloc((size_t)m->n_params * sizeof *exact))) exit(1);
        for (int64_t k = 0; k < m->n_params; k++) m->params[k] = brume_f16_to_f32(brume_f32_to_f16(exact[k]));
        ask(m, 3, labels, guidance, 1, x, rounded);
        CHECK(!memcmp(half, rounded, sizeof half));
        CHECK(memcmp(half, wide, sizeof half));
        free(m->params);
        m->params = exact;
    }
    brume_model_free(m);
}

static void test_denoiser(void)
{
    brume_unet2d_config c = tiny();
    brume_model *m = NULL;
    float x[96], cond[96], uncond[96], guided[96], alone[32];
    classes(&c);
    c.out_channels = 2;
    for (int i = 0; i < 96; i++) x[i] = (float)sin(0.9 * i);
    if (!CHECK_OK(brume_model_new(&c, NULL, 8, &m))) return;
    const brume_guidance none = { .scale = 1 }, three = { .scale = brume_guidance_from_w(2.0) },
    back = { .scale = 3, .rescale = 0.7 },
                         within = { .scale = 3, .sigma_lo = 0.5, .sigma_hi = 2 };
    ask(m, 3, (int32_t[]){ 0, 1, 2 }, none, 1, x, cond);
    ask(m, 3, (int32_t[]){ 4, 4, 4 }, none, 1, x, uncond);
    ask(m, 3, (int32_t[]){ 0, 1, 2 }, three, 1, x, guided);
    for (int i = 0; i < 96; i++) CHECK_NEAR(guided[i], uncond[i] + 3.0 * (cond[i] - (double)uncond[i]), 1e-5);
    ask(m, 3, (int32_t[]){ 0, 1, 2 }, back, 1, x, guided);
    for (int k = 0; k < 3; k++) {
        double m3[32];
        for (int i = 0; i < 32; i++) m3[i] = uncond[32 * k + i] + 3.0 * (cond[32 * k + i] - (double)uncond[32 * k + i]);
        double plain[32];
        for (int i = 0; i < 32; i++) plain[i] = cond[32 * k + i];
        const double factor = 0.3 + 0.7 * deviation(plain, 32) / deviation(m3, 32);
        for (int i = 0; i < 32; i++) CHECK_NEAR(guided[32 * k + i], factor * m3[i], 1e-5);
    }
    for (int in = 0; in < 3; in++) { /* below, within and above the interval */
        ask(m, 3, (int32_t[]){ 0, 1, 2 }, within, in == 0 ? 0.4 : in == 1 ? 1.5 : 2.1, x, guided);
        for (int i = 0; i < 96; i++)
            CHECK_NEAR(guided[i], in == 1 ? uncond[i] + 3.0 * (cond[i] - (double)uncond[i]) : cond[i], 1e-5);
    }
    ask(m, 1, (int32_t[]){ 1 }, none, 1, x + 32, alone);
    for (int i = 0; i < 32; i++) CHECK_NEAR(alone[i], cond[32 + i], 1e-6);
    brume_unet2d_denoiser *d = NULL;
    CHECK_FAILS(brume_unet2d_denoiser_new(cpu, &c, m->params, BRUME_SHAPE(1, 4, 4, 2),
                                          &(brume_unet2d_denoiser_options){ .guidance = none }, &d),
                BRUME_E_ARG, "labels must be given");
    CHECK(d == NULL);
    brume_model_free(m);

    /* A time past the end of a learned table is refused, not drawn as NaN. */
    brume_buffer *b = NULL;
    c = tiny();
    c.out_channels = 2;
    c.time_embedding_type = BRUME_TIME_LEARNED;
    c.num_train_timesteps = 10;
    if (CHECK_OK(brume_model_new(&c, NULL, 8, &m)) && CHECK_OK(brume_buffer_new(cpu, 32 * sizeof(float), &b)) &&
        CHECK_OK(brume_buffer_write(b, 0, x, 32 * sizeof(float))) &&
        CHECK_OK(brume_unet2d_denoiser_new(cpu, &c, m->params, BRUME_SHAPE(1, 4, 4, 2),
                                           &(brume_unet2d_denoiser_options){ .guidance = none }, &d))) {
        const brume_denoiser *f = brume_unet2d_denoiser_get(d);
        CHECK_OK(f->predict(f->self, b, &(brume_level){ .t = 9, .a = 1 }, b, NULL));
        CHECK_FAILS(f->predict(f->self, b, &(brume_level){ .t = 10, .a = 1 }, b, NULL), BRUME_E_ARG, "10 rows");
    }
    brume_unet2d_denoiser_free(d);
    brume_buffer_free(b);
    brume_model_free(m);
}

/* J^T v: u . (J^T v) is v . (J u), which central differences of the same network give. Two classes, with and without variance
 * channels. */
static void test_derivative(void)
{
    enum { COUNT = 2 * 4 * 4 * 2 };
    for (int variance = 0; variance < 2; variance++) {
        brume_unet2d_config c = tiny();
        brume_model *m = NULL;
        brume_unet2d_denoiser *d = NULL;
        brume_buffer *b[5] = { NULL };
        float x[COUNT], v[COUNT], u[COUNT], y[2][COUNT], plain[COUNT], again[COUNT], product[COUNT];
        const double h = 1e-2;
        classes(&c);
        c.out_channels = variance ? 4 : 2;
        for (int i = 0; i < COUNT; i++) {
            x[i] = (float)sin(0.9 * i);
            v[i] = (float)cos(1.7 * i);
            u[i] = (float)sin(2.3 * i + 1);
        }
        const int32_t labels[2] = { 0, 3 };
        const brume_unet2d_denoiser_options o = { .labels = labels, .guidance = { .scale = 1 }, .derivative = true };
        const brume_unet2d_denoiser_options guided = { .labels = labels, .guidance = { .scale = 2 }, .derivative = true };
        const brume_level level = { .t = 321, .a = 1, .s = 1 };
        int ok = CHECK_OK(brume_model_new(&c, NULL, 8, &m)) &&
                 CHECK_OK(brume_unet2d_denoiser_new(cpu, &c, m->params, BRUME_SHAPE(2, 4, 4, 2), &o, &d));
        for (int i = 0; i < 5; i++) ok = ok && CHECK_OK(brume_buffer_new(cpu, sizeof x, &b[i]));
        if (ok && CHECK(brume_unet2d_denoiser_get(d)->vjp != NULL)) {
            const brume_denoiser *f = brume_unet2d_denoiser_get(d);
            double got = 0, want = 0, size = 0;
            for (int side = 0; side < 2; side++) {
                float shifted[COUNT];
                for (int i = 0; i < COUNT; i++) shifted[i] = (float)(x[i] + (side ? -h : h) * u[i]);
                CHECK_OK(brume_buffer_write(b[0], 0, shifted, sizeof x));
                CHECK_OK(f->predict(f->self, b[0], &level, b[2], variance ? b[4] : NULL));
                CHECK_OK(brume_buffer_read(b[2], 0, y[side], sizeof x));
            }
            CHECK_OK(brume_buffer_write(b[0], 0, x, sizeof x));
            CHECK_OK(brume_buffer_write(b[1], 0, v, sizeof x));
            CHECK_OK(f->predict(f->self, b[0], &level, b[2], variance ? b[4] : NULL));
            CHECK_OK(brume_buffer_read(b[2], 0, plain, sizeof x));
            CHECK_OK(f->vjp(f->self, b[0], &level, b[1], b[2], b[3]));
            CHECK_OK(brume_buffer_read(b[2], 0, again, sizeof x));
            CHECK_OK(brume_buffer_read(b[3], 0, product, sizeof x));
            for (int i = 0; i < COUNT; i++) {
                CHECK_NEAR(again[i], plain[i], 1e-5);
                got += (double)u[i] * product[i];
                want += v[i] * ((double)y[0][i] - y[1][i]) / (2 * h);
                size += fabs((double)u[i] * product[i]);
            }
            /* differences: curvature h^2 and rounding 1e-7 / h, each about 1e-4 at most */
            CHECK_NEAR(got, want, 2e-3 * size);
            CHECK(size > 0.1);
        }
        for (int i = 0; i < 5; i++) brume_buffer_free(b[i]);
        brume_unet2d_denoiser_free(d);
        if (m)
            CHECK_FAILS(brume_unet2d_denoiser_new(cpu, &c, m->params, BRUME_SHAPE(2, 4, 4, 2), &guided, &d), BRUME_E_UNSUPPORTED,
                        "without guidance");
        brume_model_free(m);
    }
}

int main(void)
{
    if (!CHECK_OK(brume_device_open("cpu", NULL, &cpu))) return check_report();
    test_denoiser();
    test_half_weights();
    test_derivative();
    brume_device_close(cpu);
    return check_report();
}
