/* SPDX-License-Identifier: MIT
 * Noise processes: signal and noise at every time, and the time of a noise level. */
#include "brume/process.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/fail.h"

struct brume_process {
    brume_process_kind kind;
    int32_t T;
    double beta_min, beta_max, sigma_min, sigma_max, sigma_data, t_min; /* t_min: smallest time of an SDE */
    brume_schedule *schedule;
    double *log_sigma; /* discrete: T values */
};

/* Stands for alpha_bar = 0 wherever a ratio to it is asked for; diffusers' value. */
static const double least_alpha_bar = 0x1p-24;

static double log_alpha_bar(const brume_process *p, int32_t t)
{
    const double v = t < 0 ? 0 : p->schedule->log_alpha_bar[t];
    return isinf(v) ? log(least_alpha_bar) : v;
}

static double clamp(double x, double lo, double hi) { return x < lo ? lo : x > hi ? hi : x; }

void brume_process_free(brume_process *p)
{
    if (!p) return;
    brume_schedule_free(p->schedule);
    free(p->log_sigma);
    free(p);
}

static brume_status fill_discrete(brume_process *p, const brume_scheduler_config *c)
{
    const brume_status s = brume_schedule_new(c, &p->schedule);
    if (s != BRUME_OK) return s;
    p->log_sigma = malloc((size_t)p->T * sizeof *p->log_sigma);
    if (!p->log_sigma) return brume_fail(BRUME_E_MEMORY, "out of memory for a process of %d steps", p->T);
    for (int32_t i = 0; i < p->T; i++) {
        p->log_sigma[i] = 0.5 * log(expm1(-log_alpha_bar(p, i))); /* sigma^2 = 1 / alpha_bar - 1 */
    }
    return BRUME_OK;
}

static brume_status check(const brume_scheduler_config *c)
{
    const int vp = c->process == BRUME_PROCESS_VP || c->process == BRUME_PROCESS_SUBVP;
    const int ends = c->process == BRUME_PROCESS_EDM || c->process == BRUME_PROCESS_NCSN || c->process == BRUME_PROCESS_VE;
    if (c->num_train_timesteps < 1)
        return brume_fail(BRUME_E_ARG, "num_train_timesteps must be at least 1, got %d", c->num_train_timesteps);
    if (vp && !(c->beta_min >= 0 && c->beta_max > c->beta_min && c->beta_max <= 1e6))
        return brume_fail(BRUME_E_ARG, "an SDE needs 0 <= beta_min < beta_max, got %g and %g", c->beta_min, c->beta_max);
    if (ends && !(c->sigma_min > 0 && c->sigma_max >= c->sigma_min && c->sigma_max <= FLT_MAX))
        return brume_fail(BRUME_E_ARG, "noise levels need 0 < sigma_min <= sigma_max, got %g and %g", c->sigma_min, c->sigma_max);
    if (c->process == BRUME_PROCESS_EDM && !(c->sigma_data > 0 && c->sigma_data <= FLT_MAX))
        return brume_fail(BRUME_E_ARG, "sigma_data must be positive, got %g", c->sigma_data);
    if (!(c->sampling_eps > 0 && c->sampling_eps < 1))
        return brume_fail(BRUME_E_ARG, "sampling_eps must be within 0 .. 1, got %g", c->sampling_eps);
    if (c->process == BRUME_PROCESS_FLOW && c->num_train_timesteps < 3)
        return brume_fail(BRUME_E_ARG, "flow matching needs at least 3 time steps, got %d", c->num_train_timesteps);
    return BRUME_OK;
}

brume_status brume_process_new(const brume_scheduler_config *c, brume_process **out)
{
    *out = NULL;
    brume_status s = check(c);
    if (s != BRUME_OK) return s;
    brume_process *p = calloc(1, sizeof *p);
    if (!p) return brume_fail(BRUME_E_MEMORY, "out of memory for a process");
    *p = (brume_process){ .kind = c->process, .T = c->num_train_timesteps, .beta_min = c->beta_min, .beta_max = c->beta_max,
                          .sigma_min = c->sigma_min, .sigma_max = c->sigma_max, .sigma_data = c->sigma_data,
                          .t_min = c->sampling_eps };
    if (p->kind == BRUME_PROCESS_DISCRETE) s = fill_discrete(p, c);
    if (s != BRUME_OK) brume_process_free(p);
    else *out = p;
    return s;
}

brume_process_kind brume_process_get_kind(const brume_process *p) { return p->kind; }
const brume_schedule *brume_process_schedule(const brume_process *p) { return p->schedule; }

const char *brume_process_kind_name(brume_process_kind k)
{
    static const char *const names[] = { "discrete", "flow", "edm", "ncsn", "vp", "subvp", "ve" };
    return names[k];
}

/* B(t) = integral of beta (Song et al. 2021, app. C): beta_min t + (beta_max - beta_min) t^2 / 2 */
static double integral_of_beta(const brume_process *p, double t)
{
    return p->beta_min * t + 0.5 * (p->beta_max - p->beta_min) * t * t;
}

/* sigma of a ladder or VE SDE at the part u of the way from the smallest to the largest */
static double geometric(const brume_process *p, double u) { return p->sigma_min * pow(p->sigma_max / p->sigma_min, u); }

static brume_level variance_preserving(double log_a, double t)
{
    return (brume_level){ .t = t, .a = exp(log_a), .s = sqrt(-expm1(2 * log_a)) };
}

static brume_level of_sigma_vp(double sigma, double t)
{
    const double a = 1.0 / sqrt(1.0 + sigma * sigma);
    return (brume_level){ .t = t, .a = a, .s = sigma * a };
}

static double interpolated_log_sigma(const brume_process *p, double u)
{
    const int32_t i = (int32_t)floor(u);
    return i + 1 < p->T ? p->log_sigma[i] + (u - i) * (p->log_sigma[i + 1] - p->log_sigma[i]) : p->log_sigma[p->T - 1];
}

static brume_level edm_level(const brume_process *p, double sigma, double t)
{
    const double c_in = 1.0 / sqrt(sigma * sigma + p->sigma_data * p->sigma_data);
    return (brume_level){ .t = t, .a = c_in, .s = c_in * sigma };
}

brume_level brume_process_level(const brume_process *p, double u)
{
    switch (p->kind) {
    case BRUME_PROCESS_DISCRETE:
        u = clamp(u, 0, p->T - 1);
        return u == floor(u) ? variance_preserving(0.5 * p->schedule->log_alpha_bar[(int32_t)u], u)
                             : of_sigma_vp(exp(interpolated_log_sigma(p, u)), u);
    case BRUME_PROCESS_FLOW:
        u = clamp(u, 0, 1);
        return (brume_level){ .t = p->T * u, .a = 1 - u, .s = u };
    case BRUME_PROCESS_EDM:
        u = clamp(u, p->sigma_min, p->sigma_max);
        return edm_level(p, u, 0.25 * log(u));
    case BRUME_PROCESS_NCSN: {
        const double part = p->T > 1 ? clamp(u, 0, p->T - 1) / (p->T - 1) : 0, sigma = geometric(p, 1 - part);
        return (brume_level){ .t = sigma, .a = 1, .s = sigma };
    }
    case BRUME_PROCESS_VP:
        u = clamp(u, 0, 1);
        return variance_preserving(-0.5 * integral_of_beta(p, u), 999 * u);
    case BRUME_PROCESS_SUBVP: {
        u = clamp(u, 0, 1);
        const double B = integral_of_beta(p, u);
        return (brume_level){ .t = 999 * u, .a = exp(-0.5 * B), .s = -expm1(-B) };
    }
    case BRUME_PROCESS_VE: break;
    }
    const double sigma = geometric(p, clamp(u, 0, 1));
    return (brume_level){ .t = sigma, .a = 1, .s = sigma };
}

double brume_vp_time_of_lambda(double lambda, double beta_min, double beta_max)
{
    /* B(t) = ln(1 + e^(-2 lambda)), a quadratic in t; the root without cancellation */
    const double x = -2 * lambda, B = x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
    const double q = 2 * (beta_max - beta_min) * B;
    return 2 * B / (sqrt(beta_min * beta_min + q) + beta_min);
}

/* Piecewise linear inverse of the ln sigma table. */
static double time_in_table(const brume_process *p, double sigma)
{
    const double l = log(fmax(sigma, 1e-10));
    if (p->T == 1 || !(l > p->log_sigma[0])) return 0;
    if (l >= p->log_sigma[p->T - 1]) return p->T - 1;
    int32_t lo = 0, hi = p->T - 1; /* log_sigma[lo] <= l < log_sigma[hi] */
    while (hi - lo > 1) {
        const int32_t mid = lo + (hi - lo) / 2;
        if (p->log_sigma[mid] <= l) lo = mid;
        else hi = mid;
    }
    return lo + (l - p->log_sigma[lo]) / (p->log_sigma[hi] - p->log_sigma[lo]);
}

double brume_process_time_of_sigma(const brume_process *p, double sigma)
{
    double lo, hi;
    brume_process_sigma_range(p, &lo, &hi);
    switch (p->kind) {
    case BRUME_PROCESS_DISCRETE: return time_in_table(p, sigma);
    case BRUME_PROCESS_FLOW: return isinf(sigma) ? 1 : fmax(sigma, 0) / (1 + fmax(sigma, 0));
    case BRUME_PROCESS_EDM: return clamp(sigma, lo, hi);
    case BRUME_PROCESS_NCSN: return hi > lo ? (p->T - 1) * log(hi / clamp(sigma, lo, hi)) / log(hi / lo) : 0;
    case BRUME_PROCESS_VP:
        return clamp(brume_vp_time_of_lambda(-log(fmax(sigma, DBL_MIN)), p->beta_min, p->beta_max), p->t_min, 1);
    case BRUME_PROCESS_SUBVP: { /* sigma = e^(B/2) - e^(-B/2), which the VP SDE has at sigma' with 1 + sigma'^2 = e^B */
        const double B = 2 * asinh(0.5 * fmax(sigma, DBL_MIN)), lambda = -0.5 * log(expm1(B));
        return clamp(brume_vp_time_of_lambda(lambda, p->beta_min, p->beta_max), p->t_min, 1);
    }
    case BRUME_PROCESS_VE: break;
    }
    return hi > lo ? log(clamp(sigma, lo, hi) / lo) / log(hi / lo) : 1;
}

brume_level brume_process_level_of_sigma(const brume_process *p, double sigma)
{
    const double u = brume_process_time_of_sigma(p, sigma);
    switch (p->kind) {
    case BRUME_PROCESS_DISCRETE: return of_sigma_vp(sigma, u);
    case BRUME_PROCESS_FLOW: return (brume_level){ .t = p->T * u, .a = 1 - u, .s = u };
    case BRUME_PROCESS_EDM: return edm_level(p, sigma, 0.25 * log(u));
    case BRUME_PROCESS_VP: return of_sigma_vp(sigma, 999 * u);
    case BRUME_PROCESS_SUBVP: {
        const double B = 2 * asinh(0.5 * sigma);
        return (brume_level){ .t = 999 * u, .a = exp(-0.5 * B), .s = -expm1(-B) };
    }
    case BRUME_PROCESS_NCSN: case BRUME_PROCESS_VE: break;
    }
    return (brume_level){ .t = clamp(sigma, p->sigma_min, p->sigma_max), .a = 1, .s = sigma };
}

brume_level brume_process_along(const brume_process *p, double part)
{
    if (!(part > 0)) {
        brume_level clean = brume_process_level_of_sigma(p, 0);
        clean.a = 1;
        clean.s = 0;
        return clean;
    }
    switch (p->kind) {
    case BRUME_PROCESS_DISCRETE: return brume_process_level(p, part * p->T - 1);
    case BRUME_PROCESS_EDM: return brume_process_level(p, geometric(p, part));
    case BRUME_PROCESS_NCSN: return brume_process_level(p, (1 - part) * (p->T - 1));
    default: return brume_process_level(p, part);
    }
}

void brume_process_sigma_range(const brume_process *p, double *lo, double *hi)
{
    switch (p->kind) {
    case BRUME_PROCESS_DISCRETE:
        *lo = exp(p->log_sigma[0]);
        *hi = exp(p->log_sigma[p->T - 1]);
        return;
    case BRUME_PROCESS_FLOW:
        *lo = 1.0 / (p->T - 1);
        *hi = p->T - 1;
        return;
    case BRUME_PROCESS_VP: case BRUME_PROCESS_SUBVP: {
        const brume_level first = brume_process_level(p, p->t_min), last = brume_process_level(p, 1);
        *lo = first.s / first.a;
        *hi = last.s / last.a;
        return;
    }
    case BRUME_PROCESS_EDM: case BRUME_PROCESS_NCSN: case BRUME_PROCESS_VE: break;
    }
    *lo = p->sigma_min;
    *hi = p->sigma_max;
}

double brume_process_prior_std(const brume_process *p)
{
    return p->kind == BRUME_PROCESS_EDM || p->kind == BRUME_PROCESS_NCSN || p->kind == BRUME_PROCESS_VE ? p->sigma_max : 1.0;
}

/* Discrete: log alpha between times (i + 1) / T, alpha_bar before the chain being 1; *slope is its derivative there. */
static double log_alpha(const brume_process *p, double u, double *slope)
{
    const double place = clamp(u, 0, 1) * p->T;
    const int32_t i = (int32_t)clamp(ceil(place) - 1, 0, p->T - 1);
    const double before = 0.5 * log_alpha_bar(p, i - 1), after = 0.5 * log_alpha_bar(p, i);
    *slope = p->T * (after - before);
    return after + (place - i - 1) * (after - before);
}

int brume_process_sde(const brume_process *p, double u, double *drift, double *diffusion)
{
    const double beta = p->beta_min + u * (p->beta_max - p->beta_min);
    switch (p->kind) {
    case BRUME_PROCESS_VP:
        *drift = -0.5 * beta;
        *diffusion = sqrt(beta);
        return 1;
    case BRUME_PROCESS_SUBVP:
        *drift = -0.5 * beta;
        *diffusion = sqrt(beta * -expm1(-2 * integral_of_beta(p, u)));
        return 1;
    case BRUME_PROCESS_VE: case BRUME_PROCESS_NCSN:
        *drift = 0;
        *diffusion = geometric(p, u) * sqrt(2 * log(p->sigma_max / p->sigma_min));
        return 1;
    case BRUME_PROCESS_DISCRETE: {
        double slope;
        log_alpha(p, u, &slope);
        *drift = slope;
        *diffusion = sqrt(-2 * slope);
        return 1;
    }
    case BRUME_PROCESS_FLOW: case BRUME_PROCESS_EDM: break;
    }
    return 0;
}

double brume_process_discrete_beta(const brume_process *p, double u, int32_t n)
{
    if (p->kind != BRUME_PROCESS_VP && p->kind != BRUME_PROCESS_SUBVP) return NAN;
    const double lo = p->beta_min / n, hi = p->beta_max / n;
    return n > 1 ? lo + floor(clamp(u, 0, 1) * (n - 1)) * ((hi - lo) / (n - 1)) : lo;
}

brume_level brume_process_sde_level(const brume_process *p, double u)
{
    double slope;
    switch (p->kind) {
    case BRUME_PROCESS_DISCRETE: return variance_preserving(log_alpha(p, u, &slope), clamp(u * p->T - 1, 0, p->T - 1));
    case BRUME_PROCESS_NCSN: return brume_process_level(p, (1 - u) * (p->T - 1));
    default: return brume_process_level(p, u);
    }
}
