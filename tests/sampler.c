/* SPDX-License-Identifier: MIT
 * Samplers on every device: noise that belongs to an image and not to its batch, repeatable runs, statistics of samples drawn
 * with an exact denoiser, and refusals. Trajectories are compared by golden_samplers. */
#include "brume/sampler.h"

#include "brume/rng.h"
#include "check.h"
#include "devices.h"
#include "mixture.h"

enum { PIXELS = 3, PER = 2 * PIXELS, MAX = 4096 };

static const struct mixture gm3 = { 3, { 0.5, 0.3, 0.2 }, { { 0.6, -0.4 }, { -0.7, 0.3 }, { 0.1, 0.8 } },
                                    { { 0.04, 0.01 }, { 0.0225, 0.09 }, { 0.01, 0.0025 } } };

/* The exact denoiser of the mixture for n points of shape (n, 2, pixels). */
struct exact { const brume_schedule *schedule; int64_t images, pixels; brume_prediction prediction; int calls, fail_at; };

static brume_status predict(void *self, brume_buffer *x, const brume_level *level, brume_buffer *out, brume_buffer *variance)
{
    static float in[MAX], m[MAX];
    struct exact *e = self;
    const size_t bytes = (size_t)(e->images * 2 * e->pixels) * 4;
    if (++e->calls == e->fail_at) return BRUME_E_STOPPED;
    const brume_status s = brume_buffer_read(x, 0, in, bytes);
    if (s != BRUME_OK) return s;
    CHECK(variance == NULL);
    const double a = level->a, b = level->s;
    CHECK_NEAR(a, sqrt(brume_alpha_bar(e->schedule, (int32_t)level->t)), 1e-12);
    for (int64_t i = 0; i < e->images; i++)
        for (int64_t p = 0; p < e->pixels; p++) {
            const int64_t at = i * 2 * e->pixels + p;
            const double point[2] = { in[at], in[at + e->pixels] };
            double score[2], x0[2];
            mixture_score(&gm3, -1, a, b, point, score, x0);
            for (int d = 0; d < 2; d++) m[at + d * e->pixels] = (float)mixture_prediction(e->prediction, a, b, score[d], x0[d]);
        }
    return brume_buffer_write(out, 0, m, bytes);
}

struct watch { int calls, last, with_x0, stop_at; };

static brume_status observe(void *ctx, const brume_sampler_event *e)
{
    struct watch *w = ctx;
    CHECK(e->x != NULL && e->step <= e->steps && e->step == w->calls && e->call == e->step && e->complete);
    CHECK_NEAR(e->progress, (double)e->step / e->steps, 1e-12);
    CHECK_NEAR(e->view_scale, 1, 1e-6); /* variance preserving */
    w->calls++;
    w->last = e->step;
    w->with_x0 += e->x0 != NULL;
    return e->step == w->stop_at ? BRUME_E_STOPPED : BRUME_OK;
}

static void draw(brume_device *d, const char *name, int steps, double eta, brume_prediction p, int images, int pixels,
                 const int64_t *seeds, float *out)
{
    brume_scheduler_config c;
    brume_sampler *s = NULL;
    brume_buffer *x = NULL;
    brume_scheduler_config_default(&c);
    c.clip_sample = false;
    const brume_sampler_options o = { .name = name, .steps = steps, .eta = eta, .scheduler = &c };
    const size_t bytes = (size_t)(images * 2 * pixels) * 4;
    if (CHECK_OK(brume_sampler_new(d, &o, BRUME_SHAPE(images, 2, pixels), &s)) && CHECK_OK(brume_buffer_new(d, bytes, &x))) {
        struct exact e = { brume_process_schedule(brume_sampler_process(s)), images, pixels, p, 0, 0 };
        struct watch w = { 0 };
        const brume_denoiser denoiser = { .self = &e, .predict = predict, .prediction_type = p };
        w.stop_at = -1;
        CHECK_OK(brume_sampler_start(s, seeds, x));
        CHECK_OK(brume_sampler_run(s,
                                   &(brume_sampler_input){ .denoiser = &denoiser, .seeds = seeds, .observe = observe, .ctx = &w },
                                   x));
        CHECK_INT(w.calls, steps + 1);
        CHECK_INT(w.last, steps);
        CHECK_INT(w.with_x0, 0);
        CHECK_INT(e.calls, steps);
        CHECK_OK(brume_buffer_read(x, 0, out, bytes));
    }
    brume_buffer_free(x);
    brume_sampler_free(s);
}

/* Image i of a batch has the bits that it has alone, and a run the bits of the one before. */
static void test_batches(brume_device *d)
{
    static const int64_t seeds[3] = { 42, -7, 1 };
    static const struct { const char *name; double eta; } rows[] = { { "ddpm", 0 }, { "ddim", 0 }, { "ddim", 1 } };
    for (int k = 0; k < 3; k++) {
        float all[3 * PER], again[3 * PER], one[PER];
        draw(d, rows[k].name, 9, rows[k].eta, BRUME_PREDICT_V, 3, PIXELS, seeds, all);
        draw(d, rows[k].name, 9, rows[k].eta, BRUME_PREDICT_V, 3, PIXELS, seeds, again);
        CHECK(!memcmp(all, again, sizeof all));
        for (int i = 0; i < 3; i++) {
            draw(d, rows[k].name, 9, rows[k].eta, BRUME_PREDICT_V, 1, PIXELS, seeds + i, one);
            CHECK(!memcmp(one, all + i * PER, sizeof one));
        }
    }
}

static void test_start(brume_device *d)
{
    static const int64_t seeds[2] = { 5, 6 };
    brume_scheduler_config c;
    brume_sampler *s = NULL;
    brume_buffer *x = NULL, *small = NULL;
    float got[2 * PER], want[PER];
    brume_scheduler_config_default(&c);
    const brume_sampler_options o = { .name = "ddim", .eta = -1, .scheduler = &c };
    if (!CHECK_OK(brume_sampler_new(d, &o, BRUME_SHAPE(2, PER), &s)) || !CHECK_OK(brume_buffer_new(d, sizeof got, &x))) return;
    CHECK_OK(brume_sampler_start(s, seeds, x));
    CHECK_OK(brume_buffer_read(x, 0, got, sizeof got));
    for (int i = 0; i < 2; i++) {
        brume_fill_normal((uint64_t)seeds[i], BRUME_STREAM_START, 0, 0, PER, want);
        CHECK(!memcmp(got + i * PER, want, sizeof want));
    }
    int32_t n = 0;
    CHECK(brume_sampler_timesteps(s, &n)[0] == 980 && n == 50);
    CHECK_OK(brume_buffer_new(d, 8, &small));
    CHECK_FAILS(brume_sampler_start(s, seeds, small), BRUME_E_ARG, "48 bytes");
    brume_buffer_free(small);
    brume_buffer_free(x);
    brume_sampler_free(s);
}

/* A failing denoiser or observer ends the run with its status; the sampler can run again. */
static void test_stops(brume_device *d)
{
    static const int64_t seeds[1] = { 9 };
    brume_scheduler_config c;
    brume_sampler *s = NULL;
    brume_buffer *x = NULL;
    float first[PER], last[PER];
    brume_scheduler_config_default(&c);
    const brume_sampler_options o = { .name = "ddpm", .steps = 5, .scheduler = &c };
    if (!CHECK_OK(brume_sampler_new(d, &o, BRUME_SHAPE(1, 2, PIXELS), &s)) || !CHECK_OK(brume_buffer_new(d, sizeof first, &x)))
        return;
    struct exact e = { brume_process_schedule(brume_sampler_process(s)), 1, PIXELS, BRUME_PREDICT_EPS, 0, 0 };
    const brume_denoiser denoiser = { .self = &e, .predict = predict, .prediction_type = BRUME_PREDICT_EPS };
    struct watch w = { .stop_at = -1 };
    CHECK_OK(brume_sampler_start(s, seeds, x));
    const brume_sampler_input watched = { .denoiser = &denoiser, .seeds = seeds, .observe = observe, .ctx = &w },
                              alone = { .denoiser = &denoiser, .seeds = seeds };
    CHECK_OK(brume_sampler_run(s, &watched, x));
    CHECK_INT(w.with_x0, 5); /* clipping forms x0 */
    CHECK_OK(brume_buffer_read(x, 0, first, sizeof first));
    for (int k = 0; k < PER; k++) CHECK(fabs((double)first[k]) <= 1.0 + 1e-6);
    e.calls = 0;
    e.fail_at = 3;
    CHECK_OK(brume_sampler_start(s, seeds, x));
    CHECK(brume_sampler_run(s, &alone, x) == BRUME_E_STOPPED);
    e.fail_at = 0;
    w = (struct watch){ .stop_at = 2 };
    CHECK_OK(brume_sampler_start(s, seeds, x));
    CHECK(brume_sampler_run(s, &watched, x) == BRUME_E_STOPPED && w.last == 2);
    CHECK_OK(brume_sampler_start(s, seeds, x));
    CHECK_OK(brume_sampler_run(s, &alone, x));
    CHECK_OK(brume_buffer_read(x, 0, last, sizeof last));
    CHECK(!memcmp(first, last, sizeof first));
    CHECK_FAILS(brume_sampler_run(s, &(brume_sampler_input){ .denoiser = &denoiser }, x), BRUME_E_ARG, "seeds");
    brume_buffer_free(x);
    brume_sampler_free(s);
}

/* 2000 points: mean and variance of what 200 steps of ancestral sampling draw are those of the data. */
static void test_statistics(brume_device *d)
{
    static float x[MAX];
    static int64_t seeds[100];
    enum { POINTS = 20 };
    const double mean[2] = { 0.11, 0.05 }, var[2] = { 0.34565, 0.265 };
    for (int i = 0; i < 100; i++) seeds[i] = i;
    draw(d, "ddpm", 200, 0, BRUME_PREDICT_EPS, 100, POINTS, seeds, x);
    for (int k = 0; k < 2; k++) {
        double m = 0, v = 0;
        for (int i = 0; i < 100; i++)
            for (int p = 0; p < POINTS; p++) m += x[(i * 2 + k) * POINTS + p] / 2000.0;
        for (int i = 0; i < 100; i++)
            for (int p = 0; p < POINTS; p++) v += (x[(i * 2 + k) * POINTS + p] - m) * (x[(i * 2 + k) * POINTS + p] - m) / 2000.0;
        CHECK_NEAR(m, mean[k], 0.06); /* 4.5 standard errors */
        CHECK_NEAR(v, var[k], 0.05);
    }
}

static void test_refusals(brume_device *d)
{
    brume_scheduler_config c;
    brume_sampler *s = NULL;
    brume_scheduler_config_default(&c);
    c.num_train_timesteps = 20;
    const brume_shape shape = BRUME_SHAPE(1, 4);
    CHECK_FAILS(brume_sampler_new(d, &(brume_sampler_options){ .name = "dpm", .scheduler = &c }, shape, &s), BRUME_E_ARG,
                "ddpm, ddim");
    CHECK_FAILS(brume_sampler_new(d, &(brume_sampler_options){ .name = "ddim", .steps = 21, .scheduler = &c }, shape, &s),
                BRUME_E_ARG, "1 .. 20");
    CHECK_FAILS(brume_sampler_new(d, &(brume_sampler_options){ .name = "ddim", .steps = -1, .scheduler = &c }, shape, &s),
                BRUME_E_ARG, "1 .. 20");
    CHECK_FAILS(brume_sampler_new(d, &(brume_sampler_options){ .name = "ddim", .eta = 1.5, .scheduler = &c }, shape, &s),
                BRUME_E_ARG, "eta");
    CHECK_FAILS(brume_sampler_new(d, &(brume_sampler_options){ .name = "ddim" }, shape, &s), BRUME_E_ARG, "config");
    CHECK_FAILS(brume_sampler_new(d, &(brume_sampler_options){ .name = "ddim", .scheduler = &c }, BRUME_SCALAR, &s),
                BRUME_E_SHAPE, "scalar");
    CHECK_FAILS(brume_sampler_new(d, &(brume_sampler_options){ .name = "ddim", .scheduler = &c }, BRUME_SHAPE(0, 4), &s),
                BRUME_E_SHAPE, "empty");
    CHECK_FAILS(brume_sampler_new(d, &(brume_sampler_options){ .name = "ddim", .scheduler = &c },
                                  BRUME_SHAPE(1 << 30, 1 << 30, 1 << 30), &s),
                BRUME_E_SHAPE, "2");

    /* sections whose sum fits, or overflows to what fits, but that are longer than the room for that sum */
    static const int32_t wrong[][2] = { { 10, -9 }, { INT32_MAX, INT32_MAX }, { 0, 5 }, { 11, 10 } };
    for (int i = 0; i < 4; i++)
        CHECK_FAILS(brume_sampler_new(d,
                                      &(brume_sampler_options){
                                          .name = "ddpm", .sections = wrong[i], .n_sections = 2, .scheduler = &c },
                                      shape, &s),
                    BRUME_E_ARG, "section");
    CHECK_FAILS(brume_sampler_new(d, &(brume_sampler_options){ .name = "ddpm", .n_sections = 2, .scheduler = &c }, shape, &s),
                BRUME_E_ARG, "without");
    CHECK_FAILS(brume_sampler_new(d,
                                  &(brume_sampler_options){
                                      .name = "ddpm", .sections = wrong[0], .n_sections = -1, .scheduler = &c },
                                  shape, &s),
                BRUME_E_ARG, "number");
    CHECK_FAILS(brume_sampler_new(d,
                                  &(brume_sampler_options){
                                      .name = "ddim", .sections = (int32_t[]){ 2, 2 }, .n_sections = 2, .scheduler = &c },
                                  shape, &s),
                BRUME_E_UNSUPPORTED, "ddpm");
    CHECK_FAILS(brume_sampler_new(d,
                                  &(brume_sampler_options){
                                      .name = "pc", .steps = 20, .correct_steps = INT32_MAX, .scheduler = &c },
                                  shape, &s),
                BRUME_E_ARG, "2e9");
    CHECK(s == NULL);
    CHECK(brume_sampler_find("ddpm") == brume_sampler_row(0) &&
          brume_sampler_find("ddim-inverse") == brume_sampler_find("ddim_inverse"));
    CHECK(brume_sampler_row(-1) == NULL && brume_sampler_find("") == NULL && brume_sampler_find("ddp") == NULL &&
          brume_sampler_find("ddpmm") == NULL);
    /* no name twice */
    for (int i = 0; brume_sampler_row(i); i++) CHECK(brume_sampler_find(brume_sampler_row(i)->name) == brume_sampler_row(i));
    brume_scheduler_config ddim;
    CHECK_OK(brume_scheduler_config_class("DDIMScheduler", &ddim));
    CHECK(brume_sampler_for_config(&ddim) == brume_sampler_find("ddim"));
    brume_scheduler_config_clear(&ddim);

    /* alpha_bar = 0: an eps prediction says nothing of x0, v does */
    static const int64_t seeds[1] = { 3 };
    brume_buffer *x = NULL;
    c.rescale_betas_zero_snr = true;
    c.timestep_spacing = BRUME_SPACING_TRAILING;
    CHECK_OK(brume_buffer_new(d, PER * 4, &x));
    for (int clip = 0; clip < 2; clip++) {
        c.clip_sample = clip;
        if (!CHECK_OK(brume_sampler_new(d, &(brume_sampler_options){ .name = "ddpm", .steps = 4, .scheduler = &c },
                                        BRUME_SHAPE(1, 2, PIXELS), &s)))
            break;
        struct exact e = { brume_process_schedule(brume_sampler_process(s)), 1, PIXELS, BRUME_PREDICT_EPS, 0, 0 };
        CHECK_OK(brume_sampler_start(s, seeds, x));
        CHECK_FAILS(brume_sampler_run(s,
                                      &(brume_sampler_input){ .denoiser = &(brume_denoiser){ .self = &e, .predict = predict },
                                                              .seeds = seeds },
                                      x),
                    BRUME_E_NUMERIC, "alpha_bar is 0");
        brume_sampler_free(s);
        s = NULL;
    }

    /* orders that a solver has no room for: a config of UniPC knows up to 6 */
    static const struct {
        const char *name;
        int32_t order;
    } orders[] = { { "dpmpp_2m", 6 }, { "dpmpp_2s", 4 }, { "dpmpp_2m", 0 }, { "unipc", 7 } };
    for (int i = 0; i < 4; i++) {
        CHECK_OK(brume_scheduler_config_class("UniPCMultistepScheduler", &ddim));
        ddim.solver_order = orders[i].order;
        struct exact e = { NULL, 1, PIXELS, BRUME_PREDICT_EPS, 0, 1 };
        CHECK_OK(brume_sampler_new(d, &(brume_sampler_options){ .name = orders[i].name, .steps = 10, .scheduler = &ddim },
                                   BRUME_SHAPE(1, 2, PIXELS), &s));
        CHECK_FAILS(brume_sampler_run(s,
                                      &(brume_sampler_input){ .denoiser = &(brume_denoiser){ .self = &e, .predict = predict },
                                                              .seeds = seeds },
                                      x),
                    BRUME_E_ARG, "solver_order");
        brume_sampler_free(s);
        s = NULL;
    }
    brume_buffer_free(x);
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    test_devices_open(&devices, &argc, argv, 0);
    for (int i = 0; i < devices.n; i++) {
        const int before = check_failed;
        brume_device *d = devices.at[i].device;
        test_batches(d);
        test_start(d);
        test_stops(d);
        test_statistics(d);
        test_refusals(d);
        printf("%s: %d failed\n", devices.at[i].where, check_failed - before);
    }
    test_devices_close(&devices);
    return check_report();
}
