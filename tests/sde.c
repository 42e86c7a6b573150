/* SPDX-License-Identifier: MIT
 * Score-based samplers with exact denoisers: the ODE of every process against its closed form, statistics of what Langevin
 * dynamics and SDE solvers draw, inpainting, repeatability, and refusals. Trajectories are compared by golden_samplers. */
#include "brume/process.h"
#include "brume/sampler.h"
#include "check.h"
#include "devices.h"
#include "diffusion/sampling.h"
#include "mixture.h"

enum { MAX = 1 << 13 };

static const struct mixture gm3 = { 3, { 0.5, 0.3, 0.2 }, { { 0.6, -0.4 }, { -0.7, 0.3 }, { 0.1, 0.8 } },
                                    { { 0.04, 0.01 }, { 0.0225, 0.09 }, { 0.01, 0.0025 } } };
static const struct mixture g1 = { 1, { 1 }, { { 0.25, -0.5 } }, { { 0.09, 0.25 } } };

/* Exact denoiser of points (n, 2, pixels). */
struct exact { const struct mixture *mixture; brume_prediction p; int64_t images, pixels; int calls; };

static brume_status predict(void *self, brume_buffer *x, const brume_level *l, brume_buffer *out, brume_buffer *variance)
{
    static float in[MAX], m[MAX];
    struct exact *e = self;
    const size_t bytes = (size_t)(e->images * 2 * e->pixels) * sizeof(float);
    const brume_status s = brume_buffer_read(x, 0, in, bytes);
    double c0, ce;
    (void)variance;
    e->calls++;
    brume_prediction_of(e->p, l, &c0, &ce);
    for (int64_t i = 0; i < e->images * e->pixels; i++) {
        const int64_t a = i / e->pixels * 2 * e->pixels + i % e->pixels, b = a + e->pixels;
        double score[2], H[2][2], x0[2], cov[2][2];
        mixture_posterior(e->mixture, l->a, l->s, (const double[]){ in[a], in[b] }, score, H, x0, cov);
        for (int d = 0; d < 2; d++) m[d ? b : a] = (float)((c0 != 0 ? c0 * x0[d] : 0) - ce * l->s * score[d]);
    }
    return s == BRUME_OK ? brume_buffer_write(out, 0, m, bytes) : s;
}

struct job {
    const char *class_name, *sampler;
    brume_prediction p;
    int32_t steps;
    const char *predictor, *corrector;
    double sigma_max;       /* 0: the class' own */
    int32_t levels, each;   /* of a ladder; 0: defaults */
    int images, pixels;
    const float *known, *mask;
};

static void configure(const struct job *k, brume_scheduler_config *c, brume_sampler_options *o)
{
    CHECK_OK(brume_scheduler_config_class(k->class_name, c));
    c->clip_sample = false;
    if (k->sigma_max > 0) c->sigma_max = k->sigma_max;
    if (k->levels) c->num_train_timesteps = k->levels;
    brume_sampler_options_default(o);
    o->name = k->sampler;
    o->steps = k->steps;
    o->scheduler = c;
    o->predictor = k->predictor;
    o->corrector = k->corrector;
    o->langevin_steps = k->each;
    o->rtol = o->atol = 1e-6;
}

struct watch { int32_t steps, done, complete; int whole; };

static brume_status observe(void *ctx, const brume_sampler_event *e)
{
    struct watch *w = ctx;
    w->whole = w->whole && (!e->complete || e->step == w->complete);
    w->complete += e->complete;
    w->done = e->step;
    w->steps = e->steps;
    return BRUME_OK;
}

/* What a sampler draws with these seeds; start: NULL, or unit noise instead of the seeds'. */
static void draw(brume_device *d, const struct mixture *mixture, const struct job *k, const int64_t *seeds, const float *start,
                 float *out)
{
    brume_scheduler_config c;
    brume_sampler_options o;
    brume_sampler *s = NULL;
    brume_buffer *x = NULL, *known = NULL, *mask = NULL;
    const size_t bytes = (size_t)(k->images * 2 * k->pixels) * sizeof(float);
    configure(k, &c, &o);
    int ok =
        CHECK_OK(brume_sampler_new(d, &o, BRUME_SHAPE(k->images, 2, k->pixels), &s)) && CHECK_OK(brume_buffer_new(d, bytes, &x));
    if (ok && k->mask)
        ok = CHECK_OK(brume_buffer_new(d, bytes, &known)) && CHECK_OK(brume_buffer_new(d, bytes, &mask)) &&
             CHECK_OK(brume_buffer_write(known, 0, k->known, bytes)) && CHECK_OK(brume_buffer_write(mask, 0, k->mask, bytes));
    if (ok) ok = start ? CHECK_OK(brume_buffer_write(x, 0, start, bytes)) : CHECK_OK(brume_sampler_start(s, seeds, x));
    if (ok) {
        struct exact e = { mixture, k->p, k->images, k->pixels, 0 };
        struct watch w = { .whole = 1 };
        brume_sampler_stats stats;
        const brume_denoiser denoiser = { .self = &e, .predict = predict, .prediction_type = k->p };
        CHECK_OK(brume_sampler_run(s,
                                   &(brume_sampler_input){ .denoiser = &denoiser,
                                                           .seeds = seeds,
                                                           .known = known,
                                                           .mask = mask,
                                                           .observe = observe,
                                                           .ctx = &w },
                                   x));
        brume_sampler_get_stats(s, &stats);
        CHECK_INT(stats.calls, e.calls);
        if (brume_sampler_calls(s)) CHECK_INT(brume_sampler_calls(s), e.calls); /* as foretold */
        if (brume_sampler_calls(s)) CHECK_INT(w.done, w.steps);
        else CHECK(stats.accepted > 0 && e.calls >= 6 * stats.accepted);
        CHECK(w.whole && w.complete == w.done + 1); /* steps are told one by one */
        CHECK_OK(brume_buffer_read(x, 0, out, bytes));
    }
    brume_buffer_free(x);
    brume_buffer_free(known);
    brume_buffer_free(mask);
    brume_sampler_free(s);
    brume_scheduler_config_clear(&c);
}

/* Normal data: from z the ODE goes to a0 mu + sqrt(V0 / V1) (x1 - a1 mu), V = a^2 v + s^2, x1 = z times the prior's deviation. */
static void test_ode(brume_device *d)
{
    static const struct { const char *class_name; brume_prediction p; } rows[] = {
        { "DDPMScheduler", BRUME_PREDICT_EPS }, { "DDIMScheduler", BRUME_PREDICT_X0 }, { "PNDMScheduler", BRUME_PREDICT_V },
        { "FlowMatchEulerDiscreteScheduler", BRUME_PREDICT_FLOW }, { "EDMEulerScheduler", BRUME_PREDICT_EDM },
        { "NCSNScheduler", BRUME_PREDICT_SCORE }, { "ScoreSdeVpScheduler", BRUME_PREDICT_V },
        { "ScoreSdeSubVpScheduler", BRUME_PREDICT_EPS }, { "ScoreSdeVeScheduler", BRUME_PREDICT_SCORE } };
    const float z[8] = { 0.3f, -1.2f, 0.5f, 1.7f, -0.1f, 0.9f, 2.1f, -2.2f };
    const int64_t seeds[2] = { 1, 2 };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        const struct job k = { .class_name = rows[r].class_name, .sampler = "ode", .p = rows[r].p, .images = 2, .pixels = 2 };
        brume_scheduler_config c;
        brume_sampler_options o;
        brume_process *p = NULL;
        float got[8];
        double lo, hi;
        configure(&k, &c, &o);
        if (!CHECK_OK(brume_process_new(&c, &p))) return;
        draw(d, &g1, &k, seeds, z, got);
        brume_process_sigma_range(p, &lo, &hi);
        const int sde = c.process == BRUME_PROCESS_VP || c.process == BRUME_PROCESS_SUBVP || c.process == BRUME_PROCESS_VE;
        brume_level first = sde ? brume_process_level(p, c.sampling_eps) : brume_process_level_of_sigma(p, lo);
        brume_level last = sde ? brume_process_level(p, 1) : brume_process_level_of_sigma(p, hi);
        if (c.process == BRUME_PROCESS_FLOW) first = brume_process_level(p, 0), last = brume_process_level(p, 1);
        if (c.process == BRUME_PROCESS_EDM) first.a = last.a = 1, first.s = lo, last.s = hi;
        for (int i = 0; i < 8; i++) {
            const int j = i / 2 % 2;
            const double v = g1.var[0][j], mu = g1.mu[0][j], x1 = z[i] * brume_process_prior_std(p);
            const double V0 = first.a * first.a * v + first.s * first.s, V1 = last.a * last.a * v + last.s * last.s;
            CHECK_NEAR(got[i], first.a * mu + sqrt(V0 / V1) * (x1 - last.a * mu), 2e-5); /* rtol 1e-6 a step, and f32 */
        }
        brume_process_free(p);
        brume_scheduler_config_clear(&c);
    }
}

/* Mean and variance of 2000 points: within 4 standard errors, and 4% of the variance for steps of finite size. */
static void test_statistics(brume_device *d)
{
    static const struct job rows[] = {
        { .class_name = "ScoreSdeVpScheduler", .sampler = "pc", .p = BRUME_PREDICT_EPS, .steps = 400,
          .predictor = "euler_maruyama", .corrector = "none" },
        { .class_name = "ScoreSdeSubVpScheduler", .sampler = "pc", .p = BRUME_PREDICT_SCORE, .steps = 400, .corrector = "none" },
        { .class_name = "ScoreSdeVeScheduler", .sampler = "pc", .p = BRUME_PREDICT_SCORE, .steps = 200, .sigma_max = 8 },
        { .class_name = "DDPMScheduler", .sampler = "pc", .p = BRUME_PREDICT_V, .steps = 200 },
        { .class_name = "DDPMScheduler", .sampler = "pc", .p = BRUME_PREDICT_EPS, .steps = 250,
          .predictor = "ancestral", .corrector = "none" },
        { .class_name = "NCSNScheduler", .sampler = "pc", .p = BRUME_PREDICT_SCORE, .steps = 200,
          .sigma_max = 8, .corrector = "ald" },
        { .class_name = "NCSNScheduler", .sampler = "ald", .p = BRUME_PREDICT_SCORE, .sigma_max = 8, .levels = 40, .each = 20 },
        { .class_name = "NCSNScheduler", .sampler = "ald_paper", .p = BRUME_PREDICT_SCORE, .sigma_max = 8, .levels = 100 },
        { .class_name = "ScoreSdeVpScheduler", .sampler = "ode", .p = BRUME_PREDICT_EPS } };
    enum { N = 100, PIXELS = 20 };
    static float x[N * 2 * PIXELS];
    int64_t seeds[N];
    const double mean[2] = { 0.11, 0.05 }, var[2] = { 0.34565, 0.265 };
    for (int i = 0; i < N; i++) seeds[i] = 77 + i;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        struct job k = rows[r];
        k.images = N;
        k.pixels = PIXELS;
        draw(d, &gm3, &k, seeds, NULL, x);
        for (int j = 0; j < 2; j++) {
            double m = 0, v = 0, fourth = 0;
            for (int i = 0; i < N * PIXELS; i++) m += x[(i / PIXELS * 2 + j) * PIXELS + i % PIXELS] / (N * PIXELS);
            for (int i = 0; i < N * PIXELS; i++) {
                const double e = x[(i / PIXELS * 2 + j) * PIXELS + i % PIXELS] - m;
                v += e * e / (N * PIXELS);
                fourth += e * e * e * e / (N * PIXELS);
            }
            CHECK_NEAR(m, mean[j], 4 * sqrt(v / (N * PIXELS)) + 0.02);
            if (!CHECK_NEAR(v, var[j], 4 * sqrt((fourth - v * v) / (N * PIXELS)) + 0.04 * var[j]))
                fprintf(stderr, "    row %d\n", (int)r);
        }
    }
}

/* Known values come back as they are. Given its first coordinate, 0.6, a point of gm3 belongs to the first component, whose
 * second is N(-0.4, 0.01); without it the mean is 0.05. Replacement only leans that way: in two dimensions most is decided while
 * the known part is still noise. RePaint's jumps lean further. */
static void test_inpainting(brume_device *d)
{
    static const struct job rows[] = {
        { .class_name = "ScoreSdeVeScheduler", .sampler = "pc", .p = BRUME_PREDICT_SCORE, .steps = 100, .sigma_max = 8 },
        { .class_name = "ScoreSdeVpScheduler", .sampler = "pc", .p = BRUME_PREDICT_EPS, .steps = 200 },
        { .class_name = "DDPMScheduler", .sampler = "pc", .p = BRUME_PREDICT_V, .steps = 100 },
        { .class_name = "NCSNScheduler", .sampler = "ald", .p = BRUME_PREDICT_SCORE, .sigma_max = 8, .levels = 40, .each = 10 },
        { .class_name = "DDPMScheduler", .sampler = "repaint", .p = BRUME_PREDICT_EPS, .steps = 50 } };
    enum { N = 20, PIXELS = 20, COUNT = N * 2 * PIXELS };
    static float x[COUNT], known[COUNT], mask[COUNT];
    double mean[5];
    int64_t seeds[N];
    for (int i = 0; i < N; i++) seeds[i] = 5 + i;
    for (int i = 0; i < COUNT; i++) {
        mask[i] = i / PIXELS % 2 == 0;
        known[i] = mask[i] > 0 ? 0.6f : 100; /* what is not known must not matter */
    }
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        struct job k = rows[r];
        k.images = N;
        k.pixels = PIXELS;
        k.known = known;
        k.mask = mask;
        draw(d, &gm3, &k, seeds, NULL, x);
        mean[r] = 0;
        for (int i = 0; i < COUNT; i++) {
            /* pc ends on a mean a(t) x0 at its smallest time: 1e-3 of VP has a = 1 - 5e-5 */
            if (mask[i] > 0) CHECK_NEAR(x[i], 0.6, 1e-4);
            else mean[r] += x[i] / (N * PIXELS);
        }
        CHECK(mean[r] < -0.08 && mean[r] > -0.45); /* 0.05 is 5 standard errors away */
    }
    for (int r = 0; r < 4; r++) CHECK(mean[4] < mean[r]);
}

/* A run has the bits of the one before; without norms over the batch, an image those that it has alone. */
static void test_repeats(brume_device *d)
{
    static const struct job rows[] = {
        { .class_name = "ScoreSdeVpScheduler", .sampler = "pc", .p = BRUME_PREDICT_EPS, .steps = 30 },
        { .class_name = "ScoreSdeVeScheduler", .sampler = "pc", .p = BRUME_PREDICT_EPS, .steps = 10, .corrector = "ald" },
        { .class_name = "NCSNScheduler", .sampler = "ald", .p = BRUME_PREDICT_SCORE, .levels = 3, .each = 4 },
        { .class_name = "DDPMScheduler", .sampler = "ode", .p = BRUME_PREDICT_V } };
    const int64_t seeds[3] = { 42, -7, 1 };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        struct job k = rows[r];
        float all[18], again[18], one[6];
        k.images = 3;
        k.pixels = 3;
        draw(d, &gm3, &k, seeds, NULL, all);
        draw(d, &gm3, &k, seeds, NULL, again);
        CHECK(!memcmp(all, again, sizeof all));
        k.images = 1;
        for (int i = 0; i < 3 && (r == 1 || r == 2); i++) {
            draw(d, &gm3, &k, seeds + i, NULL, one);
            CHECK(!memcmp(one, all + 6 * i, sizeof one));
        }
    }
}

static void refuse(brume_device *d, const struct job *k, double strength, brume_status status, const char *says)
{
    brume_scheduler_config c;
    brume_sampler_options o;
    brume_sampler *s = NULL;
    brume_buffer *x = NULL;
    const int64_t seeds[1] = { 0 };
    struct exact e = { &gm3, k->p, 1, 1, 0 };
    const brume_denoiser denoiser = { .self = &e, .predict = predict, .prediction_type = k->p };
    configure(k, &c, &o);
    o.strength = strength;
    if (CHECK_OK(brume_buffer_new(d, 8, &x)) && CHECK_OK(brume_buffer_write(x, 0, (float[2]){ 0 }, 8)) &&
        CHECK_OK(brume_sampler_new(d, &o, BRUME_SHAPE(1, 2, 1), &s)))
        CHECK_FAILS(brume_sampler_run(s,
                                      &(brume_sampler_input){
                                          .denoiser = &denoiser, .seeds = seeds, .known = strength < 1 ? x : NULL },
                                      x),
                    status, says);
    brume_buffer_free(x);
    brume_sampler_free(s);
    brume_scheduler_config_clear(&c);
}

static void test_refusals(brume_device *d)
{
    const struct job vp = { .class_name = "ScoreSdeVpScheduler", .sampler = "pc", .p = BRUME_PREDICT_EPS, .steps = 30 };
    struct job k = vp;
    k.predictor = "euler";
    refuse(d, &k, 1, BRUME_E_ARG, "euler_maruyama");
    k = vp;
    k.corrector = "mala";
    refuse(d, &k, 1, BRUME_E_ARG, "langevin, ald and none");
    k = vp;
    k.steps = 20;
    refuse(d, &k, 1, BRUME_E_ARG, "must be below 1");
    k.class_name = "ScoreSdeSubVpScheduler";
    refuse(d, &k, 1, BRUME_E_ARG, "must be below 1");
    k.steps = 30;
    k.predictor = "ancestral";
    refuse(d, &k, 1, BRUME_E_UNSUPPORTED, "ancestral");
    k = vp;
    k.sampler = "ode";
    refuse(d, &k, 0.5, BRUME_E_UNSUPPORTED, "strength");
    refuse(d, &(struct job){ .class_name = "DDPMScheduler", .sampler = "repaint", .p = BRUME_PREDICT_EPS, .steps = 5 }, 1,
           BRUME_E_ARG, "mask");
}

/* Song & Ermon 2020, table of hyperparameters: CIFAR-10's 232 levels from 50 to 0.01 with 5 steps each take 6.2e-6. */
static void test_step_size(void)
{
    CHECK_NEAR(brume_langevin_step(0.01, pow(50 / 0.01, 1.0 / 231), 5), 6.2e-6, 0.05e-6);
    CHECK(brume_langevin_step(0.01, 1, 5) > 0); /* one level alone */
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    test_devices_open(&devices, &argc, argv, 0);
    test_step_size();
    for (int i = 0; i < devices.n; i++) {
        const int before = check_failed;
        brume_device *d = devices.at[i].device;
        test_ode(d);
        test_statistics(d);
        test_inpainting(d);
        test_repeats(d);
        test_refusals(d);
        printf("%s: %d failed\n", devices.at[i].where, check_failed - before);
    }
    test_devices_close(&devices);
    return check_report();
}
