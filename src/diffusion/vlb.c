/* SPDX-License-Identifier: MIT
 * The variational bound of a discrete model, term by term (Ho et al. 2020, eq. 5; Nichol & Dhariwal 2021). The network runs on
 * the device; terms are formed on the host in double, where small divergences keep their digits. */
#include <math.h>
#include <stdlib.h>

#include "base/fail.h"
#include "brume/likelihood.h"
#include "brume/rng.h"
#include "diffusion/sampler.h"

struct brume_vlb {
    brume_scheduler_config config;
    brume_schedule *schedule;
    brume_normal_cdf cdf;
    int32_t terms;                          /* drawn; 0: all */
    int64_t images, per;
    brume_buffer *x, *m, *variance;
    brume_device *device;
    float *host;                            /* x_t, prediction, variance: 3 N D */
    double *bits;                           /* N */
    double *cumulative, *sum, *mean;        /* T each: distribution of drawn times; terms by time */
    int64_t *count;
};

static double square(double v) { return v * v; }

static double log_before(const brume_schedule *s, int32_t t) { return t > 0 ? s->log_alpha_bar[t - 1] : 0.0; }

/* Variance of q(x_{t-1} | x_t, x0) (eq. 7). */
static double posterior_variance(const brume_schedule *s, int32_t t)
{
    return s->beta[t] * expm1(log_before(s, t)) / expm1(s->log_alpha_bar[t]);
}

/* The same for logarithms: 0 at t = 0 is replaced by the next one. A chain of one step has only beta. */
static double clipped_variance(const brume_schedule *s, int32_t t)
{
    return t > 0 ? posterior_variance(s, t) : s->T > 1 ? posterior_variance(s, 1) : s->beta[0];
}

void brume_vlb_prior(const brume_schedule *s, int64_t images, int64_t per, const float *x0, double *bits)
{
    const double ac = exp(s->log_alpha_bar[s->T - 1]);
    for (int64_t i = 0; i < images; i++) { /* KL(N(sqrt(ac) x0, 1 - ac) || N(0, 1)) = (-ac - ln(1 - ac) + ac x0^2) / 2 */
        double sum = 0;
        for (int64_t k = 0; k < per; k++) sum += square(x0[i * per + k]);
        bits[i] = 0.5 * (ac * (sum / (double)per) - ac - log1p(-ac)) / log(2.0);
    }
}

brume_status brume_vlb_term(const brume_scheduler_config *c, const brume_schedule *s, brume_prediction p, brume_normal_cdf cdf,
                            int32_t t, int64_t images, int64_t per, const float *x0, const float *xt, const float *prediction,
                            const float *variance, double *bits)
{
    if (t < 0 || t >= s->T) return brume_fail(BRUME_E_ARG, "time %d is outside 0 .. %d, the steps of the chain", t, s->T - 1);
    const int learned = c->variance_type == BRUME_VARIANCE_LEARNED_RANGE || c->variance_type == BRUME_VARIANCE_LEARNED;
    if (learned && !variance)
        return brume_fail(BRUME_E_ARG, "variance_type asks for a learned variance, but the model predicts none");
    const brume_level level = { .t = t, .a = exp(0.5 * s->log_alpha_bar[t]), .s = sqrt(-expm1(s->log_alpha_bar[t])) };
    const double log_true = log(clipped_variance(s, t)), log_beta = log(s->beta[t]);
    /* weight of x0 in the mean (eq. 7) */
    const double c0 = -s->beta[t] * exp(0.5 * log_before(s, t)) / expm1(s->log_alpha_bar[t]);
    double log_var = c->variance_type == BRUME_VARIANCE_FIXED_LARGE && t > 0 ? log_beta : log_true, cx, cm;
    brume_prediction_x0(p, &level, &cx, &cm);
    if (!isfinite(cx) || !isfinite(cm) || !isfinite(c0))
        return brume_fail(
            BRUME_E_NUMERIC,
            "the bound at time %d divides by 0: this prediction says nothing of x0 where alpha_bar is 0, and no bound "
            "is finite where beta is 0",
            t);
    for (int64_t i = 0; i < images; i++) {
        double sum = 0;
        for (int64_t k = i * per; k < (i + 1) * per; k++) {
            double x0_pred = (cx != 0 ? cx * xt[k] : 0) + cm * prediction[k];
            if (c->clip_sample)
                x0_pred = x0_pred < -c->clip_sample_range  ? -c->clip_sample_range
                          : x0_pred > c->clip_sample_range ? c->clip_sample_range
                                                           : x0_pred;
            if (c->variance_type == BRUME_VARIANCE_LEARNED_RANGE)
                log_var = log_true + 0.5 * (variance[k] + 1.0) * (log_beta - log_true);
            else if (learned) log_var = log(variance[k]);
            /* both means hold the same part of x_t; at t = 0 they hold none of it, and c0 = 1 */
            if (t == 0) sum -= brume_discretised_gaussian(x0[k], x0_pred, 0.5 * log_var, cdf);
            else sum += 0.5 * (expm1(log_true - log_var) - (log_true - log_var) + square(c0 * (x0[k] - x0_pred)) * exp(-log_var));
        }
        bits[i] = sum / ((double)per * log(2.0));
    }
    return BRUME_OK;
}

void brume_vlb_free(brume_vlb *v)
{
    if (!v) return;
    brume_buffer_free(v->x);
    brume_buffer_free(v->m);
    brume_buffer_free(v->variance);
    brume_schedule_free(v->schedule);
    brume_scheduler_config_clear(&v->config);
    free(v->host);
    free(v->bits);
    free(v->cumulative);
    free(v->count);
    free(v);
}

/* How large a term may be expected: that of normal data of variance 1/4 with fixed_small variances, (SNR_{t-1} - SNR_t) Var(x0 |
 * x_t) / 2, and a tenth of all draws evenly, so that no weight is large. */
static void fill_cumulative(brume_vlb *v)
{
    const brume_schedule *s = v->schedule;
    double all = 0, sum = 0;
    for (int32_t t = 1; t < s->T; t++) {
        const double ac = exp(s->log_alpha_bar[t]), rest = -expm1(s->log_alpha_bar[t]),
                     before = exp(log_before(s, t)) / -expm1(log_before(s, t));
        all += v->cumulative[t] = (before - ac / rest) * 0.25 * rest / (0.25 * ac + rest);
    }
    v->cumulative[0] = 0;
    for (int32_t t = 1; t < s->T; t++) v->cumulative[t] = sum += 0.9 * v->cumulative[t] / all + 0.1 / (s->T - 1);
}

static brume_status setup(brume_vlb *v, brume_device *d, const brume_vlb_options *o)
{
    const size_t count = (size_t)(v->images * v->per);
    brume_status e = brume_scheduler_config_copy(&v->config, o->scheduler);
    if (e == BRUME_OK) e = brume_schedule_new(&v->config, &v->schedule);
    if (e != BRUME_OK) return e;
    const size_t T = (size_t)v->schedule->T;
    v->device = d;
    v->cdf = o->cdf;
    v->terms = o->terms >= v->schedule->T - 1 ? 0 : (o->terms + 1) / 2 * 2;
    v->host = malloc(3 * count * sizeof *v->host);
    v->bits = malloc((size_t)v->images * sizeof *v->bits);
    v->cumulative = calloc(3 * T, sizeof *v->cumulative);
    v->count = calloc(T, sizeof *v->count);
    if (!v->host || !v->bits || !v->cumulative || !v->count) return brume_fail(BRUME_E_MEMORY, "out of memory for a likelihood");
    v->sum = v->cumulative + T;
    v->mean = v->sum + T;
    fill_cumulative(v);
    e = brume_buffer_new(d, count * sizeof(float), &v->x);
    return e == BRUME_OK ? brume_buffer_new(d, count * sizeof(float), &v->m) : e;
}

brume_status brume_vlb_new(brume_device *d, const brume_vlb_options *o, brume_shape shape, brume_vlb **out)
{
    *out = NULL;
    if (!o->scheduler) return brume_fail(BRUME_E_ARG, "a likelihood needs the scheduler's config");
    if (o->scheduler->process != BRUME_PROCESS_DISCRETE)
        return brume_fail(
            BRUME_E_ARG,
            "the variational bound is for models of discrete time; this one's process is \"%s\": its likelihood comes from the "
            "ODE",
            brume_process_kind_name(o->scheduler->process));
    if (o->terms < 0) return brume_fail(BRUME_E_ARG, "the number of terms of the bound must not be negative, got %d", o->terms);
    const brume_status fits = brume_sampler_check_shape(shape);
    if (fits != BRUME_OK) return fits;
    brume_vlb *v = calloc(1, sizeof *v);
    if (!v) return brume_fail(BRUME_E_MEMORY, "out of memory for a likelihood");
    brume_scheduler_config_default(&v->config);
    v->images = shape.d[0];
    v->per = brume_shape_numel(shape) / v->images;
    const brume_status e = setup(v, d, o);
    if (e != BRUME_OK) brume_vlb_free(v);
    else *out = v;
    return e;
}

int32_t brume_vlb_calls(const brume_vlb *v) { return v->terms ? v->terms + 1 : v->schedule->T; }

/* The term at t into v->bits. */
static brume_status term(brume_vlb *v, const brume_denoiser *d, const float *x0, const int64_t *seeds, int32_t t, int32_t call)
{
    const int64_t count = v->images * v->per;
    const size_t bytes = (size_t)count * sizeof(float);
    const double log_bar = v->schedule->log_alpha_bar[t];
    const brume_level level = { .t = t, .a = exp(0.5 * log_bar), .s = sqrt(-expm1(log_bar)), .call = call };
    float *xt = v->host, *m = xt + count, *variance = m + count;
    for (int64_t i = 0; i < v->images; i++) {
        brume_fill_normal((uint64_t)seeds[i], BRUME_STREAM_BOUND, (uint32_t)t, 0, v->per, xt + i * v->per);
        for (int64_t k = i * v->per; k < (i + 1) * v->per; k++) xt[k] = (float)(level.a * x0[k] + level.s * xt[k]);
    }
    brume_status e = brume_buffer_write(v->x, 0, xt, bytes);
    if (e == BRUME_OK && d->has_variance && !v->variance) e = brume_buffer_new(v->device, bytes, &v->variance);
    if (e == BRUME_OK) e = d->predict(d->self, v->x, &level, v->m, d->has_variance ? v->variance : NULL);
    if (e == BRUME_OK) e = brume_buffer_read(v->m, 0, m, bytes);
    if (e == BRUME_OK && d->has_variance) e = brume_buffer_read(v->variance, 0, variance, bytes);
    if (e == BRUME_OK)
        e = brume_vlb_term(&v->config, v->schedule, d->prediction_type, v->cdf, t, v->images, v->per, x0, xt, m,
                           d->has_variance ? variance : NULL, v->bits);
    if (e != BRUME_OK) return e;
    for (int64_t i = 0; i < v->images; i++) v->sum[t] += v->bits[i];
    if (e == BRUME_OK) v->count[t] += v->images;
    return BRUME_OK;
}

/* The first time whose cumulative probability exceeds q. */
static int32_t draw_time(const brume_vlb *v, double q)
{
    int32_t lo = 1, hi = v->schedule->T - 1;
    while (lo < hi) {
        const int32_t mid = lo + (hi - lo) / 2;
        if (v->cumulative[mid] > q) hi = mid;
        else lo = mid + 1;
    }
    return lo;
}

brume_status brume_vlb_run(brume_vlb *v, const brume_denoiser *denoiser, const float *x0, const int64_t *seeds,
                           brume_vlb_image *out, double *sampling_error, brume_likelihood_observer *observe, void *ctx)
{
    const int32_t all = brume_vlb_calls(v), each = v->terms / 2;
    double half[2] = { 0, 0 };
    float u[2]; /* shifts of the two halves' strata */
    brume_status e = term(v, denoiser, x0, seeds, 0, 0);
    brume_fill_uniform((uint64_t)seeds[0], BRUME_STREAM_BOUND_TIMES, 0, 0, 2, u);
    if (e == BRUME_OK) {
        for (int64_t i = 0; i < v->images; i++) out[i] = (brume_vlb_image){ .decoder = v->bits[i] };
        brume_vlb_prior(v->schedule, v->images, v->per, x0, v->bits);
        for (int64_t i = 0; i < v->images; i++) out[i].prior = v->bits[i];
        if (observe) e = observe(ctx, 1, all);
    }
    for (int32_t k = 1; k < all && e == BRUME_OK; k++) {
        const int h = k > each; /* drawn: calls 1 .. each are the first half */
        int32_t t = k;
        double weight = 1;
        if (v->terms) {
            t = draw_time(v, (k - 1 - h * each + u[h]) / each);
            weight = 1 / ((v->cumulative[t] - v->cumulative[t - 1]) * v->terms);
        }
        e = term(v, denoiser, x0, seeds, t, k);
        for (int64_t i = 0; e == BRUME_OK && i < v->images; i++) {
            out[i].middle += weight * v->bits[i];
            half[h] += 2 * weight * v->bits[i] / (double)v->images;
        }
        if (e == BRUME_OK && observe) e = observe(ctx, k + 1, all);
    }
    for (int64_t i = 0; e == BRUME_OK && i < v->images; i++) out[i].total = out[i].prior + out[i].middle + out[i].decoder;
    if (sampling_error) *sampling_error = v->terms ? 0.5 * fabs(half[0] - half[1]) : 0;
    return e;
}

const double *brume_vlb_by_time(brume_vlb *v, int32_t *n)
{
    *n = v->schedule->T;
    for (int32_t t = 0; t < *n; t++) v->mean[t] = v->count[t] ? v->sum[t] / (double)v->count[t] : NAN;
    return v->mean;
}
