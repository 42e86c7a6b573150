/* SPDX-License-Identifier: MIT
 * The errors that released code and lecture notes make, one test each: every one of them turns red if brume makes that error. The
 * denoisers are so simple that the right answer is known in closed form. */
#include "brume/ladder.h"
#include "brume/likelihood.h"
#include "brume/objective.h"
#include "brume/ops.h"
#include "brume/plan.h"
#include "brume/sampler.h"
#include "check.h"
#include "devices.h"
#include "diffusion/sampling.h"
#include "nn/guidance.h"

enum { IMAGES = 2, PER = 2048, COUNT = IMAGES * PER, CALLS = 64, KEPT = 4, ALL_DRAWS = -1, SEEDED = -2 };

/* A sampling run with a denoiser that says slope x + value. */
struct probe {
    brume_prediction says;
    float slope, value;
    float start;             /* every element of x on entry */
    int only;                /* ALL_DRAWS: the noise of every draw is 1; k >= 0: 1000 in draw k, 0 in the others; SEEDED: normal,
                                from seeds */
    int has_variance;        /* and variance channels of 0 */
    /* what came of it */
    int calls, draws, steps;
    double t[CALLS], sigma[CALLS]; /* of the calls */
    float after[KEPT][COUNT];      /* the state after so many steps */
    float result[COUNT];
    double a[KEPT], s[KEPT];       /* level of the last call, then */
    int32_t grid;
    double start_scale, grid_sigma[CALLS + 1];
};

static float host[COUNT];

static brume_status fill(brume_buffer *b, float value)
{
    for (int i = 0; i < COUNT; i++) host[i] = value;
    return brume_buffer_write(b, 0, host, sizeof host);
}

static brume_status predict(void *self, brume_buffer *x, const brume_level *l, brume_buffer *out, brume_buffer *variance)
{
    struct probe *p = self;
    brume_status e = brume_buffer_read(x, 0, host, sizeof host);
    if (p->calls < CALLS) {
        p->t[p->calls] = l->t;
        p->sigma[p->calls] = l->s / l->a;
    }
    p->calls++;
    for (int i = 0; i < COUNT; i++) host[i] = p->slope * host[i] + p->value;
    if (e == BRUME_OK) e = brume_buffer_write(out, 0, host, sizeof host);
    return e == BRUME_OK && variance ? fill(variance, 0) : e;
}

static brume_status inject(void *self, int draw, brume_buffer *out)
{
    struct probe *p = self;
    p->draws++;
    return fill(out, p->only == ALL_DRAWS ? 1.0f : draw == p->only ? 1000.0f : 0.0f);
}

static brume_status observe(void *ctx, const brume_sampler_event *e)
{
    struct probe *p = ctx;
    p->steps = e->step;
    if (!e->complete || e->step >= KEPT) return BRUME_OK;
    p->a[e->step] = e->level.a;
    p->s[e->step] = e->level.s;
    return brume_buffer_read(e->x, 0, p->after[e->step], sizeof p->after[0]);
}

static const int64_t seeds[IMAGES] = { 11, -4 };

/* o->scheduler must be set. */
static brume_status draw(brume_device *d, const brume_sampler_options *o, struct probe *p)
{
    brume_sampler *s = NULL;
    brume_buffer *x = NULL;
    brume_status e = brume_sampler_new(d, o, BRUME_SHAPE(IMAGES, PER), &s);
    p->calls = p->draws = p->steps = 0;
    if (e == BRUME_OK) {
        const double *sigma = brume_sampler_sigmas(s, &p->grid);
        for (int32_t i = 0; i < p->grid && i <= CALLS; i++) p->grid_sigma[i] = sigma[i];
        p->start_scale = brume_sampler_start_scale(s);
        e = brume_buffer_new(d, sizeof host, &x);
    }
    if (e == BRUME_OK) e = fill(x, p->start);
    const brume_denoiser denoiser = { .self = p, .predict = predict, .prediction_type = p->says,
                                      .has_variance = p->has_variance };
    const brume_noise_source noise = { .self = p, .fill = inject };
    const brume_sampler_input in = { .denoiser = &denoiser, .seeds = seeds, .noise = p->only == SEEDED ? NULL : &noise,
                                     .observe = observe, .ctx = p };
    if (e == BRUME_OK) e = brume_sampler_run(s, &in, x);
    if (e == BRUME_OK) e = brume_buffer_read(x, 0, p->result, sizeof p->result);
    brume_buffer_free(x);
    brume_sampler_free(s);
    return e;
}

/* Defaults, but T steps and no clipping. */
static brume_scheduler_config config_of(const char *class_name, int32_t T)
{
    brume_scheduler_config c;
    CHECK_OK(brume_scheduler_config_class(class_name, &c));
    c.num_train_timesteps = T;
    c.clip_sample = false;
    return c;
}

static brume_sampler_options options_of(const char *name, int32_t steps, const brume_scheduler_config *c)
{
    brume_sampler_options o;
    brume_sampler_options_default(&o);
    o.name = name;
    o.steps = steps;
    o.scheduler = c;
    return o;
}

static brume_schedule *schedule_of(const brume_scheduler_config *c)
{
    brume_schedule *s = NULL;
    if (!CHECK_OK(brume_schedule_new(c, &s))) exit(1);
    return s;
}

/* ---- time steps and tables ---- */

/* alpha_bar before the first step is 1, so that a last step returns x0; with set_alpha_to_one = false it is alpha_bar[0]. */
static void test_before_the_chain(brume_device *d)
{
    static struct probe p = { .says = BRUME_PREDICT_X0, .value = 0.5f, .start = 2 };
    static const char *const names[] = { "ddim", "ddpm", "plms" };
    for (int i = 0; i < 3; i++)
        for (int one = 0; one < 2; one++) {
            brume_scheduler_config c = config_of("DDIMScheduler", 20);
            brume_schedule *s = schedule_of(&c);
            c.set_alpha_to_one = one;
            const brume_sampler_options o = options_of(names[i], i == 2 ? 2 : 1, &c);
            p.only = 0;
            CHECK(brume_alpha_bar(s, -1) == 1 && brume_one_minus_alpha_bar(s, -1) == 0);
            const brume_posterior q = brume_schedule_posterior(s, 0, -1);
            CHECK(q.variance == 0 && q.x == 0 && fabs(q.x0 - 1) < 1e-15);
            CHECK_OK(draw(d, &o, &p));
            /* from alpha_bar[0] to alpha_bar[0] nothing moves; plms is at t = 10 before */
            if (i < 2) CHECK_NEAR(p.result[7], one || i == 1 ? 0.5 : 2, 1e-6);
            else CHECK_NEAR(p.result[7], one ? 0.5 : p.after[p.steps - 1][7], 1e-6);
            brume_schedule_free(s);
        }
}

/* Times descend and the first call is at the noisiest, for every sampler; leading never visits T-1, trailing and linspace do. */
static void test_order_of_times(brume_device *d)
{
    static struct probe p = { .says = BRUME_PREDICT_X0, .value = 0.1f, .start = 1, .only = ALL_DRAWS };
    static const struct {
        brume_spacing spacing;
        double first;
    } rows[] = { { BRUME_SPACING_LEADING, 960 }, { BRUME_SPACING_LINSPACE, 999 }, { BRUME_SPACING_TRAILING, 999 } };
    for (int i = 0; i < 3; i++) {
        brume_scheduler_config c = config_of("DDPMScheduler", 1000);
        double t[25];
        c.timestep_spacing = rows[i].spacing;
        CHECK_OK(brume_schedule_timesteps(&c, 25, t));
        CHECK_NEAR(t[0], rows[i].first, 0);
        for (int k = 1; k < 25; k++) CHECK(t[k] < t[k - 1]);
    }
    for (int i = 0; brume_sampler_row(i); i++) {
        const brume_sampler_kind *k = brume_sampler_row(i);
        if (!(k->processes >> BRUME_PROCESS_DISCRETE & 1) ||
            (k->flags & (BRUME_SAMPLER_TAKES_IMAGE | BRUME_SAMPLER_NEEDS_MASK | BRUME_SAMPLER_ADAPTIVE)) ||
            !strcmp(k->name, "lcm"))
            continue;
        brume_scheduler_config model = config_of("DDPMScheduler", 1000), c;
        CHECK_OK(brume_sampler_config(k, &model, &c));
        const brume_sampler_options o = options_of(k->name, 5, &c);
        CHECK_OK(draw(d, &o, &p));
        CHECK(p.calls >= 5 && p.calls <= CALLS);
        int down = 1;
        const int back = k->calls ? 2 : 1; /* an ancestral step's second stage may lie below where the step ends */
        for (int j = back; j < p.calls; j++)
            down = down && p.sigma[j] <= p.sigma[j - back] && p.t[j] <= p.t[j - back] && p.sigma[j] <= p.sigma[0];
        if (!CHECK(down && p.t[0] >= 800 && p.t[p.calls - 1] <= 200)) fprintf(stderr, "    %s\n", k->name);
        brume_scheduler_config_clear(&c);
    }
}

/* cosine: alpha_bar[i] = f((i + 1) / T) / f(0), not f(i / T). */
static void test_cosine(void)
{
    static const struct { int32_t t; double alpha_bar; } rows[] = { { 0, 0.9999587158 }, { 1, 0.9999125759 },
                                                                    { 500, 0.4922851724 }, { 999, 2.428766907e-09 } };
    brume_scheduler_config c = config_of("DDPMScheduler", 1000);
    snprintf(c.beta_schedule, sizeof c.beta_schedule, "cosine");
    brume_schedule *s = schedule_of(&c);
    /* ten digits are printed */
    for (int i = 0; i < 4; i++) CHECK_NEAR(brume_alpha_bar(s, rows[i].t) / rows[i].alpha_bar, 1, 1e-9);
    brume_schedule_free(s);
}

/* 1 - alpha_bar of a tiny beta keeps all its digits: 1 - (1 - 1e-12) would have four. */
static void test_cancellation(void)
{
    brume_scheduler_config c = config_of("DDPMScheduler", 3);
    c.beta_start = c.beta_end = 1e-12;
    brume_schedule *s = schedule_of(&c);
    for (int32_t t = 0; t < 3; t++) {
        const double want = (t + 1) * 1e-12; /* less some 1e-24 */
        CHECK_NEAR(brume_one_minus_alpha_bar(s, t) / want, 1, 1e-11);
        CHECK_NEAR(brume_sigma(s, t) / sqrt(want), 1, 1e-11);
        CHECK_NEAR(brume_logsnr(s, t), -log(want), 1e-10);
    }
    CHECK_NEAR(brume_schedule_posterior(s, 1, 0).variance / 0.5e-12, 1, 1e-11);
    brume_schedule_free(s);
}

/* Halves go to the even number: 2.5 to 2. C's round() makes 3 of it. */
static void test_halves(void)
{
    static const struct { brume_spacing spacing; int32_t T, n; double t[4]; } rows[] = {
        { BRUME_SPACING_LINSPACE, 6, 3, { 5, 2, 0 } }, { BRUME_SPACING_LINSPACE, 8, 3, { 7, 4, 0 } },
        { BRUME_SPACING_TRAILING, 10, 4, { 9, 7, 4, 1 } } };
    for (int i = 0; i < 3; i++) {
        brume_scheduler_config c = config_of("DDPMScheduler", rows[i].T);
        double t[4];
        c.timestep_spacing = rows[i].spacing;
        CHECK_OK(brume_schedule_timesteps(&c, rows[i].n, t));
        for (int k = 0; k < rows[i].n; k++) CHECK_NEAR(t[k], rows[i].t[k], 0);
    }
}

/* A floating-point range has n + 1 trailing times, the last -1, for n = 61, 103, 121, .. of 1000, and 29, 31, .. of 100. */
static void test_trailing_count(void)
{
    static double t[1001];
    for (int32_t T = 100; T <= 1000; T += 900) {
        brume_scheduler_config c = config_of("DDPMScheduler", T);
        c.timestep_spacing = BRUME_SPACING_TRAILING;
        for (int32_t n = 1; n <= T; n++) {
            t[n] = -7;
            int ok = brume_schedule_timesteps(&c, n, t) == BRUME_OK && t[0] == T - 1 && t[n - 1] >= 0 && t[n] == -7;
            for (int32_t i = 1; i < n; i++) ok = ok && t[i] < t[i - 1];
            if (!CHECK(ok)) fprintf(stderr, "    T %d, n %d\n", T, n);
        }
    }
}

/* ---- noise ---- */

static double moment(const float *x, double mean, int power)
{
    double sum = 0;
    for (int i = 0; i < COUNT; i++) sum += pow(x[i] - mean, power) / COUNT;
    return sum;
}

/* Is x normal with mean 0 and that deviation? Five standard errors; a uniform variable has kurtosis 1.8 and no value past
 * sqrt(3). */
static int normal(const float *x, double deviation, const char *what)
{
    const double mean = moment(x, 0, 1), variance = moment(x, mean, 2), kurtosis = moment(x, mean, 4) / (variance * variance);
    double top = 0;
    for (int i = 0; i < COUNT; i++) top = fmax(top, fabs(x[i] - mean));
    int ok = CHECK_NEAR(mean, 0, 5 * deviation / sqrt(COUNT));
    ok &= CHECK_NEAR(variance / (deviation * deviation), 1, 5 * sqrt(2.0 / COUNT));
    ok &= CHECK_NEAR(kurtosis, 3, 5 * sqrt(24.0 / COUNT));
    ok &= CHECK(top > 3 * sqrt(variance)); /* one of 4096 is not with probability 2e-5 */
    if (!ok) fprintf(stderr, "    noise of %s\n", what);
    return ok;
}

/* Start noise is normal, not uniform, and differs from image to image. */
static void test_start_noise(brume_device *d)
{
    static float x[COUNT];
    brume_scheduler_config c = config_of("DDPMScheduler", 20);
    const brume_sampler_options o = options_of("ddpm", 1, &c);
    brume_sampler *s = NULL;
    brume_buffer *b = NULL;
    if (CHECK_OK(brume_sampler_new(d, &o, BRUME_SHAPE(IMAGES, PER), &s)) && CHECK_OK(brume_buffer_new(d, sizeof x, &b))) {
        CHECK_OK(brume_sampler_start(s, seeds, b));
        CHECK_OK(brume_buffer_read(b, 0, x, sizeof x));
        normal(x, 1, "the start");
        double product = 0;
        for (int i = 0; i < PER; i++) product += (double)x[i] * x[i + PER] / PER;
        CHECK_NEAR(product, 0, 5 / sqrt(PER));
    }
    brume_buffer_free(b);
    brume_sampler_free(s);
}

/* A step from x = 0 with D = 0 leaves nothing but its noise: normal, and its standard deviation is the root of the variance of
 * the paper, not the variance. */
static void test_sigma_not_variance(brume_device *d)
{
    static struct probe p = { .says = BRUME_PREDICT_X0, .only = SEEDED };
    static const struct { const char *name, *class_name; brume_variance variance; double eta; const char *what; } rows[] = {
        { "ddpm", "DDPMScheduler", BRUME_VARIANCE_FIXED_SMALL, -1, "ddpm, fixed_small" },
        { "ddpm", "DDPMScheduler", BRUME_VARIANCE_FIXED_LARGE, -1, "ddpm, fixed_large" },
        { "ddpm", "DDPMScheduler", BRUME_VARIANCE_LEARNED_RANGE, -1, "ddpm, learned_range" },
        { "ddim", "DDIMScheduler", BRUME_VARIANCE_FIXED_SMALL, 0.5, "ddim, eta 0.5" },
        { "euler_ancestral", "EulerAncestralDiscreteScheduler", BRUME_VARIANCE_FIXED_SMALL, -1, "euler_ancestral" },
        { "dpmpp_2m_sde", "DPMSolverMultistepScheduler", BRUME_VARIANCE_FIXED_SMALL, -1, "dpmpp_2m_sde" },
    };
    for (int i = 0; i < 6; i++) {
        brume_scheduler_config c = config_of(rows[i].class_name, 20);
        c.variance_type = rows[i].variance;
        c.timestep_spacing = BRUME_SPACING_LEADING;
        if (i == 5) c.algorithm_type = BRUME_SDE_DPMSOLVERPP;
        p.has_variance = rows[i].variance == BRUME_VARIANCE_LEARNED_RANGE;
        brume_sampler_options o = options_of(rows[i].name, 2, &c);
        o.eta = rows[i].eta;
        if (!CHECK_OK(draw(d, &o, &p))) continue;
        const double s0 = p.grid_sigma[0], s1 = p.grid_sigma[1];
        const double A = 1 / (1 + s0 * s0), P = 1 / (1 + s1 * s1), beta = 1 - A / P, posterior = beta * (1 - P) / (1 - A);
        /* sigma^2 of the steps; p(x_p | x_t) in sigma space is s1^2 (s0^2 - s1^2) / s0^2, times P in x */
        const double variance[] = { posterior, beta, sqrt(beta * posterior), 0.25 * posterior,
                                    s1 * s1 * (s0 * s0 - s1 * s1) / (s0 * s0), (1 - P) * (1 - s1 * s1 / (s0 * s0)) };
        CHECK(variance[i] < 0.25); /* so that the root is another number */
        normal(p.after[1], sqrt(variance[i]), rows[i].what);
    }
}

/* ddpm draws at every time but t = 0, which is not the same as the last step. */
static void test_last_step_noise(brume_device *d)
{
    static struct probe p = { .says = BRUME_PREDICT_X0, .value = 0.5f, .only = ALL_DRAWS };
    static const struct { brume_spacing spacing; int32_t offset, n, draws, last; } rows[] = {
        { BRUME_SPACING_LEADING, 0, 5, 4, 0 }, { BRUME_SPACING_LEADING, 1, 5, 5, 1 }, { BRUME_SPACING_TRAILING, 0, 10, 10, 1 },
        { BRUME_SPACING_TRAILING, 0, 20, 19, 0 } };
    for (int i = 0; i < 4; i++)
        for (int large = 0; large < 2; large++) {
            brume_scheduler_config c = config_of("DDPMScheduler", 20);
            brume_schedule *s = schedule_of(&c);
            c.timestep_spacing = rows[i].spacing;
            c.steps_offset = rows[i].offset;
            c.variance_type = large ? BRUME_VARIANCE_FIXED_LARGE : BRUME_VARIANCE_FIXED_SMALL;
            const brume_sampler_options o = options_of("ddpm", rows[i].n, &c);
            CHECK_OK(draw(d, &o, &p));
            CHECK_INT(p.draws, rows[i].draws);
            CHECK_NEAR(p.t[p.calls - 1], rows[i].last, 0);
            CHECK_NEAR(p.result[9] - 0.5, large && rows[i].last ? sqrt(brume_one_minus_alpha_bar(s, rows[i].last)) : 0, 1e-7);
            brume_schedule_free(s);
        }
    brume_scheduler_config c = config_of("EulerAncestralDiscreteScheduler", 20);
    const brume_sampler_options o = options_of("euler_ancestral", 5, &c);
    CHECK_OK(draw(d, &o, &p));
    CHECK_NEAR(p.result[9], 0.5, 1e-6);
}

/* Predictor-corrector returns the mean of its last step: that step's noise, however large, is not in the result. */
static void test_mean_of_last_step(brume_device *d)
{
    static struct probe p = { .says = BRUME_PREDICT_X0, .value = 0.25f, .start = 0.1f };
    static const char *const classes[] = { "ScoreSdeVeScheduler", "ScoreSdeVpScheduler", "ScoreSdeSubVpScheduler" };
    for (int i = 0; i < 3; i++)
        for (int mean = 0; mean < 2; mean++) {
            brume_scheduler_config c = config_of(classes[i], 100);
            float quiet, loud;
            brume_sampler_options o = options_of("pc", 25, &c);
            o.corrector = "none";
            o.denoise_last = mean;
            p.only = 1000; /* none */
            CHECK_OK(draw(d, &o, &p));
            quiet = p.result[3];
            CHECK_INT(p.draws, 25);
            p.only = 24;
            CHECK_OK(draw(d, &o, &p));
            loud = p.result[3];
            CHECK(isfinite(quiet) && (mean ? loud == quiet : fabs((double)loud - quiet) > 1));
        }
}

/* The prior of processes whose variance explodes has the deviation sigma_max, not 1. */
static void test_prior(brume_device *d)
{
    static struct probe p = { .says = BRUME_PREDICT_X0, .start = 1, .only = 1000 };
    static const struct { const char *name, *class_name; double deviation; } rows[] = {
        { "pc", "ScoreSdeVeScheduler", 1348 }, { "euler", "EDMEulerScheduler", 80 }, { "ald", "NCSNScheduler", 1 },
        { "pc", "ScoreSdeVpScheduler", 1 }, { "ode", "ScoreSdeVeScheduler", 1348 } };
    for (int i = 0; i < 5; i++) {
        brume_scheduler_config c = config_of(rows[i].class_name, 30);
        double want = rows[i].deviation;
        if (i == 2) want = c.sigma_max = 20;
        brume_sampler_options o = options_of(rows[i].name, i == 2 || i == 4 ? 0 : 25, &c);
        o.langevin_steps = i == 2;
        CHECK_OK(draw(d, &o, &p));
        CHECK_NEAR(p.start_scale / want, 1, 1e-12);
        CHECK_NEAR(p.after[0][5] / want, 1, 1e-6);
        if (i != 3) CHECK_NEAR(p.sigma[0] / want, 1, 1e-9);
    }
}

/* ---- predictions ---- */

/* eps of a clipped x0 is another: DDIM goes on with the raw one, or derives it again, as asked. */
static void test_clipped_eps(brume_device *d)
{
    static struct probe p = { .says = BRUME_PREDICT_EPS, .value = 0.4f, .start = 3, .only = ALL_DRAWS };
    double after[2];
    for (int again = 0; again < 2; again++) {
        brume_scheduler_config c = config_of("DDIMScheduler", 20);
        brume_schedule *s = schedule_of(&c);
        c.clip_sample = true;
        brume_sampler_options o = options_of("ddim", 2, &c);
        o.use_clipped_model_output = again;
        CHECK_OK(draw(d, &o, &p));
        const double a = sqrt(brume_alpha_bar(s, 10)), b = sqrt(brume_one_minus_alpha_bar(s, 10)),
                     eps = again ? (3 - a) / b : 0.4;
        CHECK((3 - b * 0.4) / a > 1); /* clipped to 1 */
        after[again] = sqrt(brume_alpha_bar(s, 0)) + sqrt(brume_one_minus_alpha_bar(s, 0)) * eps;
        CHECK_NEAR(p.after[1][0], after[again], 2e-6);
        CHECK_NEAR(p.result[0], 1, 2e-6); /* sqrt(P) = 1 */
        brume_schedule_free(s);
    }
    CHECK(fabs(after[1] - after[0]) > 0.01);
}

/* e_u + S (e_c - e_u) and (1 + w) e_c - w e_u are the same for S = 1 + w; S = 1 is the plain conditional, 0 the unconditional. */
static void test_guidance(brume_device *d)
{
    static const float y[8] = { 0.5f, -1, 2, 3, 1, 4, -2, 0.25f }; /* [uncond, cond] */
    static const double ws[] = { -1, 0, 0.5, 6.5 };
    brume_graph *g = brume_graph_new();
    brume_plan *p = NULL;
    const brume_tensor in = brume_input(g, "y", BRUME_F32, BRUME_SHAPE(2, 4)),
                       k = brume_input(g, "weights", BRUME_F32, BRUME_SHAPE(2));
    const brume_tensor out = brume_persistent(g, "out", BRUME_F32, BRUME_SHAPE(1, 4));
    brume_assign(g, out, brume_guided(g, in, k, 0));
    if (CHECK_OK(brume_plan_new(d, g, NULL, &p)))
        for (int i = 0; i < 4; i++) {
            const double w = ws[i];
            float weights[2], got[4];
            brume_guidance_weights(brume_guidance_from_w(w), weights);
            CHECK_OK(brume_plan_write(p, in, y, sizeof y));
            CHECK_OK(brume_plan_write(p, k, weights, sizeof weights));
            CHECK_OK(brume_plan_run(p));
            CHECK_OK(brume_plan_read(p, out, got, sizeof got));
            for (int j = 0; j < 4; j++) CHECK_NEAR(got[j], (1 + w) * y[4 + j] - w * y[j], 1e-5);
        }
    brume_plan_free(p);
    brume_graph_free(g);
}

/* Where alpha_bar is 0, an eps prediction says nothing of x0: refused. x0 and v do, and trailing times go there. */
static void test_zero_terminal_snr(brume_device *d)
{
    static struct probe p = { .start = 1, .only = ALL_DRAWS };
    static const char *const names[] = { "ddpm", "ddim", "plms" };
    static const brume_prediction says[] = { BRUME_PREDICT_EPS, BRUME_PREDICT_X0, BRUME_PREDICT_V };
    for (int i = 0; i < 9; i++) {
        brume_scheduler_config c = config_of("DDIMScheduler", 20);
        c.rescale_betas_zero_snr = true;
        c.timestep_spacing = BRUME_SPACING_TRAILING;
        const brume_sampler_options o = options_of(names[i / 3], 4, &c);
        p.says = says[i % 3];
        p.value = 0.125f;
        if (i % 3 == 0) {
            CHECK_FAILS(draw(d, &o, &p), BRUME_E_NUMERIC, "alpha_bar is 0");
            continue;
        }
        if (i == 7 || i == 8) continue; /* plms follows eps, which x0 and v at alpha_bar = 0 only begin */
        CHECK_OK(draw(d, &o, &p));
        CHECK_NEAR(p.t[0], 19, 0);
        CHECK(isinf(p.sigma[0]) && isfinite(p.result[0]));
    }
}

/* ---- solvers of several steps ---- */

/* The first step has no history and is of order 1, in the first run and in one after another; also where a rounded grid visits
 * its first time twice, which must not shift the steps. */
static void test_first_order_start(brume_device *d)
{
    static struct probe p = { .says = BRUME_PREDICT_X0, .slope = 0.3f, .value = -0.2f, .start = 1.5f, .only = ALL_DRAWS };
    static const struct { const char *name, *class_name; int32_t T, steps, order; } rows[] = {
        { "dpmpp_2m", "DPMSolverMultistepScheduler", 1000, 6, 2 }, { "dpmpp_3m", "DPMSolverMultistepScheduler", 1000, 6, 3 },
        { "unipc", "UniPCMultistepScheduler", 1000, 6, 3 }, { "dpmpp_2m", "DPMSolverMultistepScheduler", 30, 28, 2 } };
    for (int i = 0; i < 4; i++) {
        brume_scheduler_config c = config_of(rows[i].class_name, rows[i].T);
        c.solver_order = rows[i].order;
        if (i == 3) { /* steep enough for two sigmas of one time */
            c.sigmas = BRUME_SIGMAS_KARRAS;
            c.beta_start = 0.3;
            c.beta_end = 0.7;
        }
        const brume_sampler_options o = options_of(rows[i].name, rows[i].steps, &c);
        CHECK_OK(draw(d, &o, &p));
        if (i == 3) CHECK(p.t[0] == p.t[1] && p.grid_sigma[0] > p.grid_sigma[1]);
        CHECK_INT(p.steps, rows[i].steps);
        CHECK_INT(p.calls, rows[i].steps);
        for (int32_t k = 0; k < p.calls; k++) CHECK_NEAR(p.sigma[k] / p.grid_sigma[k], 1, 1e-9);
        /* x' = (c / s) x - b (exp(-h) - 1) D: DDIM's step */
        const double s0 = p.grid_sigma[0], s1 = p.grid_sigma[1], b = 1 / sqrt(1 + s1 * s1), D = 0.3f * 1.5 - 0.2f;
        const double want = (s1 * b) / (s0 / sqrt(1 + s0 * s0)) * 1.5 + b * (1 - s1 / s0) * D;
        CHECK_NEAR(p.after[1][1], want, 2e-6);
        if (i == 3) continue;
        /* and the second is not: history counts from there on */
        const double s2 = p.grid_sigma[2], b2 = 1 / sqrt(1 + s2 * s2), x1 = p.after[1][1], D1 = 0.3f * x1 - 0.2f;
        CHECK(fabs(p.after[2][1] - ((s2 * b2) / (s1 * b) * x1 + b2 * (1 - s2 / s1) * D1)) > 1e-5);
    }
}

/* UniPC with B(h) = h is inf * 0 in a step to sigma 0: refused; it ends in the smallest sigma instead. */
static void test_unipc_bh1(brume_device *d)
{
    static struct probe p = { .says = BRUME_PREDICT_X0, .slope = 0.3f, .start = 1.5f, .only = ALL_DRAWS };
    brume_scheduler_config c = config_of("UniPCMultistepScheduler", 1000);
    const brume_sampler_options o = options_of("unipc", 6, &c);
    c.solver_type = BRUME_SOLVER_BH1;
    CHECK_FAILS(draw(d, &o, &p), BRUME_E_ARG, "bh1");
    c.final_sigmas_type = BRUME_FINAL_SIGMA_MIN;
    CHECK_OK(draw(d, &o, &p));
    CHECK(isfinite(p.result[0]));
    c.final_sigmas_type = BRUME_FINAL_ZERO;
    c.solver_type = BRUME_SOLVER_BH2;
    CHECK_OK(draw(d, &o, &p));
    CHECK(isfinite(p.result[0]));
}

/* ---- variances in logarithms ---- */

/* At t = 0 the posterior variance is 0: logarithms use that of t = 1, for fixed_large, too, which is beta elsewhere. */
static void test_log_variance(void)
{
    static const char log_of_large[] = "{\"_class_name\": \"DDPMScheduler\", \"variance_type\": \"fixed_large_log\"}";
    const float x0 = -0.6f, xt = -0.61f, guess = -0.595f, noise = 0.3f;
    for (int large = 0; large < 2; large++) {
        brume_scheduler_config c = config_of("DDPMScheduler", 10);
        c.beta_start = 0.01;
        c.variance_type = large ? BRUME_VARIANCE_FIXED_LARGE : BRUME_VARIANCE_FIXED_SMALL;
        brume_schedule *s = schedule_of(&c);
        const brume_posterior first = brume_schedule_posterior(s, 1, 0), later = brume_schedule_posterior(s, 3, 2);
        double bits;
        CHECK(fabs(first.variance - s->beta[0]) > 0.1 * s->beta[0]);
        CHECK_OK(brume_vlb_term(&c, s, BRUME_PREDICT_X0, BRUME_CDF_TANH, 0, 1, 1, &x0, &xt, &guess, NULL, &bits));
        CHECK_NEAR(bits, -brume_discretised_gaussian(x0, guess, 0.5 * log(first.variance), BRUME_CDF_TANH) / log(2), 1e-6);
        /* t = 3: the KL divergence of two normals, whose variance is the posterior's or beta */
        CHECK_OK(brume_vlb_term(&c, s, BRUME_PREDICT_X0, BRUME_CDF_TANH, 3, 1, 1, &x0, &noise, &guess, NULL, &bits));
        const double ratio = large ? later.variance / later.beta : 1, apart = later.x0 * (guess - x0);
        CHECK_NEAR(bits, 0.5 * (-1 - log(ratio) + ratio + apart * apart * ratio / later.variance) / log(2), 1e-6);
        brume_schedule_free(s);
    }
    brume_scheduler_config c;
    /* it takes the root of a logarithm */
    CHECK_FAILS(brume_scheduler_config_parse(log_of_large, sizeof log_of_large - 1, "test", &c, NULL),
                BRUME_E_UNSUPPORTED, "fixed_large_log");
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    test_devices_open(&devices, &argc, argv, 0);
    test_cosine();
    test_cancellation();
    test_halves();
    test_trailing_count();
    test_log_variance();
    for (int i = 0; i < devices.n; i++) {
        const int before = check_failed;
        brume_device *d = devices.at[i].device;
        test_before_the_chain(d);
        test_order_of_times(d);
        test_start_noise(d);
        test_sigma_not_variance(d);
        test_last_step_noise(d);
        test_mean_of_last_step(d);
        test_prior(d);
        test_clipped_eps(d);
        test_guidance(d);
        test_zero_terminal_snr(d);
        test_first_order_start(d);
        test_unipc_bh1(d);
        printf("%s: %d failed\n", devices.at[i].where, check_failed - before);
    }
    test_devices_close(&devices);
    return check_report();
}
