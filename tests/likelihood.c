/* SPDX-License-Identifier: MIT
 * Likelihoods with exact denoisers: single terms and ODE densities against golden values, the whole bound of normal data against
 * its closed form, every process and parameterisation against the closed form of the ODE, and refusals. */
#include "brume/likelihood.h"

#include "brume/json.h"
#include "brume/process.h"
#include "brume/rng.h"
#include "check.h"
#include "devices.h"
#include "mixture.h"

enum { MAX = 1 << 14 };
static const double pi = 3.14159265358979323846;

static const struct mixture gm3 = { 3, { 0.5, 0.3, 0.2 }, { { 0.6, -0.4 }, { -0.7, 0.3 }, { 0.1, 0.8 } },
                                    { { 0.04, 0.01 }, { 0.0225, 0.09 }, { 0.01, 0.0025 } } };
static const struct mixture g1 = { 1, { 1 }, { { 0.25, -0.5 } }, { { 0.09, 0.25 } } };
static const struct mixture quarter = { 1, { 1 }, { { 0, 0 } }, { { 0.25, 0.25 } } };

/* Exact denoiser of points (n, 2, pixels); learned: the variance channels hold the variance that makes the bound tight. */
struct exact {
    const struct mixture *mixture;
    brume_prediction p;
    int64_t images, pixels;
    int calls;
    const brume_schedule *learned;
};

static double optimal_variance(const brume_schedule *s, int32_t t, double v)
{
    const double ac = brume_alpha_bar(s, t), acp = brume_alpha_bar(s, t - 1), rest = 1 - ac, mmse = v * rest / (ac * v + rest);
    const double c0 = s->beta[t] * sqrt(acp) / rest;
    return s->beta[t] * (1 - acp) / rest + c0 * c0 * mmse;
}

/* What the network says of a point, m = c0 x0 + ce eps, and its Jacobian. */
static void at_point(const struct exact *e, const brume_level *l, const double x[2], double m[2], double J[2][2])
{
    double c0, ce, score[2], H[2][2], x0[2], cov[2][2];
    brume_prediction_of(e->p, l, &c0, &ce);
    mixture_posterior(e->mixture, l->a, l->s, x, score, H, x0, cov);
    for (int i = 0; i < 2; i++) {
        m[i] = (c0 != 0 ? c0 * x0[i] : 0) - ce * l->s * score[i];
        for (int j = 0; j < 2; j++) {
            const double dx0 = l->a > 0.5 ? ((i == j) + l->s * l->s * H[i][j]) / l->a : l->a / (l->s * l->s) * cov[i][j];
            J[i][j] = (c0 != 0 ? c0 * dx0 : 0) - ce * l->s * H[i][j];
        }
    }
}

static brume_status answer(struct exact *e, brume_buffer *x, const brume_level *l, brume_buffer *v, brume_buffer *out,
                           brume_buffer *product)
{
    static float in[MAX], vector[MAX], m[MAX], w[MAX];
    const size_t bytes = (size_t)(e->images * 2 * e->pixels) * sizeof(float);
    brume_status s = brume_buffer_read(x, 0, in, bytes);
    if (s == BRUME_OK && v) s = brume_buffer_read(v, 0, vector, bytes);
    for (int64_t i = 0; i < e->images * e->pixels; i++) {
        const int64_t a = i / e->pixels * 2 * e->pixels + i % e->pixels, b = a + e->pixels;
        double y[2], J[2][2];
        at_point(e, l, (const double[]){ in[a], in[b] }, y, J);
        m[a] = (float)y[0];
        m[b] = (float)y[1];
        w[a] = v ? (float)(J[0][0] * vector[a] + J[1][0] * vector[b]) : 0;
        w[b] = v ? (float)(J[0][1] * vector[a] + J[1][1] * vector[b]) : 0;
    }
    e->calls++;
    if (s == BRUME_OK) s = brume_buffer_write(out, 0, m, bytes);
    return s == BRUME_OK && v ? brume_buffer_write(product, 0, w, bytes) : s;
}

static brume_status predict(void *self, brume_buffer *x, const brume_level *l, brume_buffer *out, brume_buffer *variance)
{
    static float values[MAX];
    struct exact *e = self;
    const brume_status s = answer(e, x, l, NULL, out, NULL);
    const int64_t count = e->images * 2 * e->pixels;
    if (s != BRUME_OK || !e->learned) return s;
    for (int64_t i = 0; i < count; i++) values[i] = (float)optimal_variance(e->learned, (int32_t)l->t, e->mixture->var[0][0]);
    return brume_buffer_write(variance, 0, values, (size_t)count * sizeof *values);
}

static brume_status vjp(void *self, brume_buffer *x, const brume_level *l, brume_buffer *v, brume_buffer *m, brume_buffer *out)
{
    return answer(self, x, l, v, m, out);
}

static void scheduler(brume_scheduler_config *c, const char *class_name)
{
    CHECK_OK(brume_scheduler_config_class(class_name, c));
    c->clip_sample = false;
}

/* ---- goldens --------------------------------------------------------------------------------------------------------------- */

static int read_array(const brume_json *a, float *out, int n)
{
    for (int i = 0; i < n; i++) out[i] = (float)brume_json_number(brume_json_at(a, i), NAN);
    return brume_json_count(a) == n;
}

static void golden_terms(const brume_json *training)
{
    static const struct { const char *name; brume_variance variance; brume_normal_cdf cdf; } kinds[] = {
        { "fixed_small", BRUME_VARIANCE_FIXED_SMALL, BRUME_CDF_TANH }, { "fixed_large",
                                                                         BRUME_VARIANCE_FIXED_LARGE, BRUME_CDF_TANH },
        { "learned_range", BRUME_VARIANCE_LEARNED_RANGE, BRUME_CDF_TANH }, { "fixed_small_erf",
                                                                             BRUME_VARIANCE_FIXED_SMALL, BRUME_CDF_EXACT },
        { "fixed_large_erf", BRUME_VARIANCE_FIXED_LARGE, BRUME_CDF_EXACT },
        { "learned_range_erf", BRUME_VARIANCE_LEARNED_RANGE, BRUME_CDF_EXACT } };
    const brume_json *cases = brume_json_find(training, "cases"), *single = brume_json_find(training, "discretised_gaussian");
    const brume_json *prior = brume_json_find(training, "prior_bpd");
    brume_scheduler_config c;
    brume_schedule *s = NULL;
    float x0[24], xt[24], eps[24], logits[24];
    double bits[3];
    scheduler(&c, "DDPMScheduler");
    if (!CHECK_OK(brume_schedule_new(&c, &s)) || !CHECK(read_array(brume_json_find(training, "x0"), x0, 24))) return;
    brume_vlb_prior(s, 3, 8, x0, bits);
    for (int i = 0; i < 3; i++) CHECK_NEAR(bits[i] / brume_json_number(brume_json_at(prior, i), NAN), 1, 1e-6);
    CHECK(brume_json_count(cases) > 0 && brume_json_count(single) > 0);
    for (int64_t k = 0; k < brume_json_count(cases); k++) {
        const brume_json *at = brume_json_at(cases, k), *terms = brume_json_find(at, "vb_bpd");
        const int32_t t = (int32_t)brume_json_integer(brume_json_find(at, "t"), -1);
        CHECK(read_array(brume_json_find(at, "x_t"), xt, 24) && read_array(brume_json_find(at, "model_eps"), eps, 24));
        CHECK(read_array(brume_json_find(at, "variance_logits"), logits, 24));
        for (size_t j = 0; j < sizeof kinds / sizeof *kinds; j++) {
            const brume_json *want = brume_json_find(terms, kinds[j].name);
            if (!want) continue;
            c.variance_type = kinds[j].variance;
            CHECK_OK(brume_vlb_term(&c, s, BRUME_PREDICT_EPS, kinds[j].cdf, t, 3, 8, x0, xt, eps, logits, bits));
            /* x_t and eps rounded to f32 move the predicted x0 by about 1e-7 of its size, or 1e-7 / a */
            for (int i = 0; i < 3; i++) CHECK_NEAR(bits[i] / brume_json_number(brume_json_at(want, i), NAN), 1, 1e-5);
        }
    }
    for (int64_t k = 0; k < brume_json_count(single); k++) {
        const brume_json *at = brume_json_at(single, k);
        const double x = brume_json_number(brume_json_find(at, "x"), NAN),
                     mean = brume_json_number(brume_json_find(at, "mean"), NAN);
        const double log_std = brume_json_number(brume_json_find(at, "log_std"), NAN);
        CHECK_NEAR(brume_discretised_gaussian(x, mean, log_std, BRUME_CDF_TANH),
                   brume_json_number(brume_json_find(at, "tanh"), NAN), 1e-9);
        CHECK_NEAR(brume_discretised_gaussian(x, mean, log_std, BRUME_CDF_EXACT),
                   brume_json_number(brume_json_find(at, "erf"), NAN), 1e-9);
    }
    brume_schedule_free(s);
    brume_scheduler_config_clear(&c);
}

static const char *class_of(const char *sde)
{
    return !strcmp(sde, "vp") ? "ScoreSdeVpScheduler" : !strcmp(sde, "subvp") ? "ScoreSdeSubVpScheduler" : "ScoreSdeVeScheduler";
}

/* Three points as three images of two values, by their exact trace; the network's derivative, or differences of it. */
static void golden_densities(const brume_json *list, brume_device *d)
{
    CHECK(brume_json_count(list) > 0);
    for (int64_t k = 0; k < brume_json_count(list); k++)
        for (int with_vjp = 0; with_vjp < 2; with_vjp++) {
            const brume_json *at = brume_json_at(list, k), *points = brume_json_find(at, "points");
            const char *name = brume_json_string(brume_json_find(at, "mixture"), "");
            const int64_t seeds[3] = { 1, 2, 3 };
            struct exact exact = { .mixture = strcmp(name, "g1") ? &gm3 : &g1, .p = BRUME_PREDICT_SCORE,
                                   .images = 3, .pixels = 1 };
            const brume_denoiser denoiser = { .self = &exact, .predict = predict, .prediction_type = exact.p,
                                              .vjp = with_vjp ? vjp : NULL };
            brume_ode_likelihood *l = NULL;
            brume_ode_image got[3];
            brume_scheduler_config c;
            float x[6], z[6];
            scheduler(&c, class_of(brume_json_string(brume_json_find(at, "sde"), "")));
            c.sampling_eps = brume_json_number(brume_json_find(at, "eps"), NAN);
            if (c.process == BRUME_PROCESS_VE) c.sigma_max = brume_json_number(brume_json_find(at, "sigma_max"), NAN);
            for (int i = 0; i < 3; i++) CHECK(read_array(brume_json_find(brume_json_at(points, i), "x"), x + 2 * i, 2));
            const brume_ode_likelihood_options o = { .scheduler = &c, .probe = BRUME_PROBE_EXACT, .rtol = 1e-6, .atol = 1e-6 };
            if (CHECK_OK(brume_ode_likelihood_new(d, &o, BRUME_SHAPE(3, 2, 1), &l)) &&
                CHECK_OK(brume_ode_likelihood_run(l, &denoiser, x, seeds, got, z, NULL, NULL, NULL)))
                for (int i = 0; i < 3; i++) {
                    const brume_json *want = brume_json_at(points, i), *end = brume_json_find(want, "z");
                    /* errors of f32 states add up along the way; differences have 1e-3 or so of J */
                    CHECK_NEAR(got[i].log_p, brume_json_number(brume_json_find(want, "logp_ode"), NAN), with_vjp ? 1e-4 : 2e-3);
                    CHECK_NEAR(got[i].change, brume_json_number(brume_json_find(want, "delta_logp"), NAN),
                               with_vjp ? 1e-4 : 2e-3);
                    for (int j = 0; j < 2; j++) CHECK_NEAR(z[2 * i + j] / brume_json_number(brume_json_at(end, j), NAN), 1, 2e-4);
                }
            brume_ode_likelihood_free(l);
            brume_scheduler_config_clear(&c);
        }
}

/* ---- the bound of normal data ---------------------------------------------------------------------------------------------- */

static void test_bound(brume_device *d)
{
    enum { N = 16, PIXELS = 128, PER = 2 * PIXELS };
    /* nats per dimension of N(0, 1/4), linear schedule, T = 1000 (closed form in the diffusion literature and
     * golden/losses.json) */
    static const struct { brume_variance variance; double sum; int32_t terms; } rows[] = {
        { BRUME_VARIANCE_FIXED_SMALL, 4.368516351206723, 0 }, { BRUME_VARIANCE_FIXED_LARGE, 3.913260170557089, 0 },
        { BRUME_VARIANCE_LEARNED, 3.9121679379671677, 0 }, { BRUME_VARIANCE_FIXED_SMALL, 4.368516351206723, 60 } };
    static float x0[N * PER];
    int64_t seeds[N];
    for (int i = 0; i < N; i++) {
        seeds[i] = 1000 + i;
        brume_fill_normal((uint64_t)i, 7, 0, 0, PER, x0 + i * PER);
        for (int k = 0; k < PER; k++) x0[i * PER + k] *= 0.5f;
    }
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        brume_scheduler_config c;
        brume_schedule *s = NULL;
        brume_vlb *v = NULL;
        brume_vlb_image got[N], again[N];
        double middle[N], prior[N], mean, error, ignore, sampling;
        scheduler(&c, "DDPMScheduler");
        c.variance_type = rows[r].variance;
        if (!CHECK_OK(brume_schedule_new(&c, &s))) return;
        const int learned = rows[r].variance == BRUME_VARIANCE_LEARNED;
        struct exact exact = { .mixture = &quarter, .p = BRUME_PREDICT_V, .images = N, .pixels = PIXELS,
                               .learned = learned ? s : NULL };
        const brume_denoiser denoiser = { .self = &exact, .predict = predict, .prediction_type = exact.p,
                                          .has_variance = learned };
        const brume_vlb_options o = { .scheduler = &c, .terms = rows[r].terms };
        if (CHECK_OK(brume_vlb_new(d, &o, BRUME_SHAPE(N, 2, PIXELS), &v)) &&
            CHECK_OK(brume_vlb_run(v, &denoiser, x0, seeds, got, &sampling, NULL, NULL))) {
            int32_t T = 0;
            CHECK_INT(exact.calls, rows[r].terms ? rows[r].terms + 1 : 1000);
            CHECK_INT(brume_vlb_calls(v), exact.calls);
            for (int i = 0; i < N; i++) {
                middle[i] = got[i].middle * log(2.0);
                prior[i] = got[i].prior * log(2.0);
                CHECK_NEAR(got[i].total, got[i].prior + got[i].middle + got[i].decoder, 1e-12);
            }
            brume_mean_error(middle, N, &mean, &error);
            const double all = sqrt(error * error + sampling * sampling * log(2.0) * log(2.0));
            CHECK_NEAR(mean, rows[r].sum, 4 * all);
            CHECK(all < 0.05 && (rows[r].terms > 0) == (sampling > 0));
            brume_mean_error(prior, N, &mean, &ignore);
            CHECK_NEAR(mean, 5.045194415676039e-06, 4 * ignore);
            const double *by_time = brume_vlb_by_time(v, &T);
            CHECK(T == 1000 && by_time[0] == by_time[0]);
            /* one term has N D values: error sqrt(2 / 4096) */
            if (!rows[r].terms && !learned && rows[r].variance == BRUME_VARIANCE_FIXED_SMALL)
                CHECK_NEAR(by_time[500] * log(2.0) / 1.138973003e-4, 1, 0.1);
            if (rows[r].terms) { /* the same seeds, the same bits */
                CHECK_OK(brume_vlb_run(v, &denoiser, x0, seeds, again, NULL, NULL, NULL));
                CHECK(!memcmp(got, again, sizeof got));
            }
        }
        brume_vlb_free(v);
        brume_schedule_free(s);
        brume_scheduler_config_clear(&c);
    }
}

/* ---- densities of every process -------------------------------------------------------------------------------------------- */

/* log density of x under N(mean, variance) */
static double log_normal(double x, double mean, double variance)
{
    return -0.5 * (log(2 * pi * variance) + (x - mean) * (x - mean) / variance);
}

/* Normal data: the flow is z = a1 mu + sqrt(V1 / V0) (x - a0 mu), V = a^2 v + s^2, and log p gains ln(V1 / V0) / 2 per
 * dimension. */
static void test_processes(brume_device *d)
{
    static const struct { const char *class_name; brume_prediction p; } rows[] = {
        { "DDPMScheduler", BRUME_PREDICT_EPS }, { "DDPMScheduler", BRUME_PREDICT_X0 }, { "DDIMScheduler", BRUME_PREDICT_V },
        { "FlowMatchEulerDiscreteScheduler", BRUME_PREDICT_FLOW }, { "EDMEulerScheduler", BRUME_PREDICT_EDM },
        { "NCSNScheduler", BRUME_PREDICT_SCORE }, { "ScoreSdeVpScheduler", BRUME_PREDICT_EPS },
        { "ScoreSdeSubVpScheduler", BRUME_PREDICT_SCORE }, { "ScoreSdeVeScheduler", BRUME_PREDICT_EPS } };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (int probe = 0; probe < 3; probe++) {
            const float x[4] = { 0.1f, -0.2f, 0.7f, 0.4f };
            const int64_t seeds[2] = { 11, 12 };
            struct exact exact = { .mixture = &g1, .p = rows[r].p, .images = 2, .pixels = 1 };
            const brume_denoiser denoiser = { .self = &exact, .predict = predict, .prediction_type = exact.p, .vjp = vjp };
            brume_scheduler_config c;
            brume_process *p = NULL;
            brume_ode_likelihood *l = NULL;
            brume_ode_image got[2];
            brume_sampler_stats stats = { 0 };
            scheduler(&c, rows[r].class_name);
            const brume_ode_likelihood_options o = { .scheduler = &c, .probe = (brume_divergence)probe, .probes = 2,
                                                     .rtol = 1e-6, .atol = 1e-6 };
            if (CHECK_OK(brume_process_new(&c, &p)) && CHECK_OK(brume_ode_likelihood_new(d, &o, BRUME_SHAPE(2, 2, 1), &l)) &&
                CHECK_OK(brume_ode_likelihood_run(l, &denoiser, x, seeds, got, NULL, &stats, NULL, NULL))) {
                double lo, hi, std = brume_process_prior_std(p);
                brume_process_sigma_range(p, &lo, &hi);
                const int sde =
                    c.process == BRUME_PROCESS_VP || c.process == BRUME_PROCESS_SUBVP || c.process == BRUME_PROCESS_VE;
                brume_level first = sde ? brume_process_level(p, c.sampling_eps) : brume_process_level_of_sigma(p, lo);
                brume_level last = sde ? brume_process_level(p, 1) : brume_process_level_of_sigma(p, hi);
                if (c.process == BRUME_PROCESS_FLOW) first = brume_process_level(p, 0), last = brume_process_level(p, 1);
                if (c.process == BRUME_PROCESS_EDM) first.a = last.a = 1, first.s = lo, last.s = hi;
                for (int i = 0; i < 2; i++) {
                    double want = 0;
                    for (int j = 0; j < 2; j++) {
                        const double v = g1.var[0][j], mu = g1.mu[0][j];
                        const double V0 = first.a * first.a * v + first.s * first.s, V1 = last.a * last.a * v + last.s * last.s;
                        want += log_normal(last.a * mu + sqrt(V1 / V0) * (x[2 * i + j] - first.a * mu), 0, std * std) +
                                0.5 * log(V1 / V0);
                    }
                    /* J is diagonal: signs are exact, normal probes are not */
                    if (probe != BRUME_PROBE_NORMAL) CHECK_NEAR(got[i].log_p, want, 1e-4);
                    else CHECK(got[i].log_p != want && isfinite(got[i].log_p));
                }
                CHECK_INT(stats.calls, exact.calls);
                CHECK(stats.accepted > 0);
            }
            brume_ode_likelihood_free(l);
            brume_process_free(p);
            brume_scheduler_config_clear(&c);
        }
}

/* Hutchinson's estimate where J is not diagonal: many probes agree with the trace within their own error. */
static void test_hutchinson(brume_device *d)
{
    enum { N = 64 };
    for (int probe = 0; probe < 2; probe++) {
        struct exact exact = { .mixture = &gm3, .p = BRUME_PREDICT_SCORE, .images = N, .pixels = 1 };
        const brume_denoiser denoiser = { .self = &exact, .predict = predict, .prediction_type = exact.p, .vjp = vjp };
        brume_ode_likelihood *l = NULL;
        brume_ode_image got[N];
        brume_scheduler_config c;
        float x[2 * N];
        int64_t seeds[N];
        double log_p[N], mean, error;
        for (int i = 0; i < N; i++) {
            x[2 * i] = 0.6f;
            x[2 * i + 1] = -0.4f;
            seeds[i] = i;
        }
        scheduler(&c, "ScoreSdeVpScheduler");
        c.sampling_eps = 1e-5;
        const brume_ode_likelihood_options o = { .scheduler = &c, .probe = (brume_divergence)probe };
        if (CHECK_OK(brume_ode_likelihood_new(d, &o, BRUME_SHAPE(N, 2), &l)) &&
            CHECK_OK(brume_ode_likelihood_run(l, &denoiser, x, seeds, got, NULL, NULL, NULL, NULL))) {
            for (int i = 0; i < N; i++) log_p[i] = got[i].log_p;
            brume_mean_error(log_p, N, &mean, &error);
            CHECK_NEAR(mean, 1.3807257331788665, 4 * error + 1e-3);
            CHECK(error > 1e-3 && error < 0.5);
        }
        brume_ode_likelihood_free(l);
        brume_scheduler_config_clear(&c);
    }
}

/* ---- units and refusals ---------------------------------------------------------------------------------------------------- */

static void test_units(void)
{
    double mean, error;
    float x[256], y[256], all = 0;
    /* every one of 256 equally wide levels is as likely as another: 8 bits; density 1/2 over [-1, 1) */
    CHECK_NEAR(brume_bits_per_dim(-10 * log(2.0), 10), 8, 1e-12);
    for (int k = 0; k < 256; k++) x[k] = (float)(2 * k / 255.0 - 1);
    brume_dequantise(x, 256, 3, y);
    for (int k = 0; k < 256; k++) {
        CHECK(y[k] >= (float)(k / 128.0 - 1) && y[k] <= (float)((k + 1) / 128.0 - 1));
        all += (y[k] + 1) * 128 - (float)k;
    }
    CHECK_NEAR(all / 256, 0.5, 4 * sqrt(1 / 12.0 / 256));
    brume_mean_error((const double[]){ 1, 2, 3 }, 3, &mean, &error);
    CHECK_NEAR(mean, 2, 1e-12);
    CHECK_NEAR(error, sqrt(1.0 / 3), 1e-12);
    /* probabilities of all levels add up to one; far bins stay finite */
    for (int cdf = 0; cdf < 2; cdf++) {
        double sum = 0;
        for (int k = 0; k < 256; k++) sum += exp(brume_discretised_gaussian(2 * k / 255.0 - 1, 0.3, -2.5, (brume_normal_cdf)cdf));
        CHECK_NEAR(sum, 1, 1e-9);
        CHECK_NEAR(brume_discretised_gaussian(0.9, -0.9, -5, (brume_normal_cdf)cdf), log(1e-12), 1e-9);
    }
    CHECK(isnan(brume_discretised_gaussian(0, NAN, -1, BRUME_CDF_TANH)));
    /* a tail where differences of numbers near 1 would have three digits: log(Q(z1) - Q(z2)), z = 6.5 -+ 0.5 */
    const double sd = 1 / 127.5;
    CHECK_NEAR(brume_discretised_gaussian(6.5 * sd, 0, log(sd), BRUME_CDF_EXACT),
               log(0.5 * (erfc(6 / sqrt(2.0)) - erfc(7 / sqrt(2.0)))), 1e-9);
}

static brume_status stop(void *ctx, int32_t done, int32_t all)
{
    (void)all;
    return done == *(int *)ctx ? BRUME_E_STOPPED : BRUME_OK;
}

static void test_refusals(brume_device *d)
{
    static float x0[8];
    const int64_t seeds[4] = { 0 };
    brume_scheduler_config c, ve;
    brume_schedule *s = NULL;
    brume_vlb *v = NULL;
    brume_vlb_image out[4];
    double bits[4];
    int at = 5;
    scheduler(&c, "DDPMScheduler");
    scheduler(&ve, "ScoreSdeVeScheduler");
    struct exact exact = { .mixture = &gm3, .p = BRUME_PREDICT_EPS, .images = 4, .pixels = 1 };
    const brume_denoiser denoiser = { .self = &exact, .predict = predict, .prediction_type = exact.p };
    CHECK_FAILS(brume_vlb_new(d, &(brume_vlb_options){ .scheduler = &ve }, BRUME_SHAPE(4, 2), &v), BRUME_E_ARG, "discrete");
    CHECK_FAILS(brume_vlb_new(d, &(brume_vlb_options){ .scheduler = &c, .terms = -1 }, BRUME_SHAPE(4, 2), &v), BRUME_E_ARG,
                "negative");
    CHECK_FAILS(brume_vlb_new(d, &(brume_vlb_options){ 0 }, BRUME_SHAPE(4, 2), &v), BRUME_E_ARG, "scheduler");
    CHECK_FAILS(brume_vlb_new(d, &(brume_vlb_options){ .scheduler = &c }, BRUME_SHAPE(0, 2), &v), BRUME_E_SHAPE, "empty");
    CHECK_OK(brume_schedule_new(&c, &s));
    CHECK_FAILS(brume_vlb_term(&c, s, BRUME_PREDICT_EPS, BRUME_CDF_TANH, 1000, 4, 2, x0, x0, x0, NULL, bits), BRUME_E_ARG,
                "1000");
    c.variance_type = BRUME_VARIANCE_LEARNED_RANGE;
    CHECK_FAILS(brume_vlb_term(&c, s, BRUME_PREDICT_EPS, BRUME_CDF_TANH, 1, 4, 2, x0, x0, x0, NULL, bits), BRUME_E_ARG,
                "variance");
    c.variance_type = BRUME_VARIANCE_FIXED_SMALL;
    if (CHECK_OK(brume_vlb_new(d, &(brume_vlb_options){ .scheduler = &c, .terms = 10 }, BRUME_SHAPE(4, 2), &v)))
        CHECK_FAILS(brume_vlb_run(v, &denoiser, x0, seeds, out, NULL, stop, &at), BRUME_E_STOPPED, NULL);
    brume_vlb_free(v);
    brume_schedule_free(s);
    brume_scheduler_config_clear(&c);
    brume_scheduler_config_clear(&ve);
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    brume_json *golden = NULL;
    const char *path = check_shared("golden/losses.json");
    test_devices_open(&devices, &argc, argv, 0);
    test_units();
    FILE *f = fopen(path, "rb");
    if (!f) check_skip("golden/losses.json is not there (BRUME_SHARED)");
    else fclose(f);
    if (f && CHECK_OK(brume_json_load(path, &golden))) golden_terms(brume_json_find(golden, "training"));
    for (int i = 0; i < devices.n; i++) {
        brume_device *d = devices.at[i].device;
        printf("%s\n", devices.at[i].where);
        if (golden) golden_densities(brume_json_find(golden, "likelihood"), d);
        test_bound(d);
        test_processes(d);
        test_hutchinson(d);
        test_refusals(d);
    }
    brume_json_free(golden);
    test_devices_close(&devices);
    return check_report();
}
