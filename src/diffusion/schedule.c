/* SPDX-License-Identifier: MIT
 * Noise schedules as rows, their tables in double, and the time steps that few-step sampling visits. */
#include "brume/schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "diffusion/spacing.h"

static const double pi = 3.14159265358979323846;

/* (i, T) -> i / (T - 1); a schedule of one step has its start value. */
static double fraction(int32_t i, int32_t T) { return T > 1 ? (double)i / (T - 1) : 0.0; }
static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

static void linear(const brume_scheduler_config *c, double *beta)
{
    for (int32_t i = 0; i < c->num_train_timesteps; i++)
        beta[i] = c->beta_start + (c->beta_end - c->beta_start) * fraction(i, c->num_train_timesteps);
}

static void scaled_linear(const brume_scheduler_config *c, double *beta)
{
    const double r0 = sqrt(c->beta_start), r1 = sqrt(c->beta_end);
    for (int32_t i = 0; i < c->num_train_timesteps; i++) {
        const double r = r0 + (r1 - r0) * fraction(i, c->num_train_timesteps);
        beta[i] = r * r;
    }
}

static void sigmoid_betas(const brume_scheduler_config *c, double *beta)
{
    for (int32_t i = 0; i < c->num_train_timesteps; i++)
        beta[i] = c->beta_start + (c->beta_end - c->beta_start) * sigmoid(-6.0 + 12.0 * fraction(i, c->num_train_timesteps));
}

/* beta_i = min(1 - f((i+1)/T) / f(i/T), 0.999) for a falling f = alpha_bar (Nichol & Dhariwal 2021, eq. 17) */
static void from_alpha_bar(const brume_scheduler_config *c, double *beta, double (*f)(double u), double floor)
{
    const int32_t T = c->num_train_timesteps;
    for (int32_t i = 0; i < T; i++) {
        const double b = 1.0 - f((i + 1.0) / T) / f((double)i / T);
        beta[i] = b < floor ? floor : b > 0.999 ? 0.999 : b;
    }
}

static double f_cosine(double u)
{
    const double c = cos((u + 0.008) / 1.008 * pi / 2);
    return c * c;
}
static double f_exp(double u) { return exp(-12.0 * u); }
static double f_laplace(double u)
{
    const double q = exp(-0.5 * copysign(1.0, 0.5 - u) * log(1.0 - 2.0 * fabs(0.5 - u) + 1e-6));
    return sqrt(q / (1.0 + q)); /* the outer root is diffusers' */
}
static double f_sigmoid(double u)
{
    return (sigmoid(3.0) - sigmoid(6.0 * u - 3.0)) / (sigmoid(3.0) - sigmoid(-3.0)); /* start -3, end 3, tau 1 */
}

static void cosine(const brume_scheduler_config *c, double *beta) { from_alpha_bar(c, beta, f_cosine, -INFINITY); }
static void exponential(const brume_scheduler_config *c, double *beta) { from_alpha_bar(c, beta, f_exp, -INFINITY); }
static void laplace(const brume_scheduler_config *c, double *beta) { from_alpha_bar(c, beta, f_laplace, -INFINITY); }
static void sigmoid_alpha_bar(const brume_scheduler_config *c, double *beta) { from_alpha_bar(c, beta, f_sigmoid, 0.0); }

/* lambda = ln(a / s) linear from 10 to -5: alpha_bar = 1 / (1 + exp(-2 lambda)) */
static void log_linear_snr(const brume_scheduler_config *c, double *beta)
{
    double before = 0.0; /* log alpha_bar[-1] */
    for (int32_t i = 0; i < c->num_train_timesteps; i++) {
        const double lambda = 10.0 - 15.0 * fraction(i, c->num_train_timesteps), log_bar = -log1p(exp(-2.0 * lambda));
        beta[i] = -expm1(log_bar - before);
        before = log_bar;
    }
}

static const brume_schedule_kind rows[] = {
    { "linear", NULL, "Ho et al. 2020, sec. 4: beta linear in t", linear },
    { "scaled_linear", NULL, "Rombach et al. 2022: sqrt(beta) linear in t", scaled_linear },
    { "squaredcos_cap_v2", "cosine",
      "Nichol & Dhariwal 2021, eq. 17: alpha_bar = cos^2((t/T + 0.008) / 1.008 pi/2), beta <= 0.999", cosine },
    { "sigmoid", NULL, "Xu et al. 2022 (GeoDiff): beta = sigmoid(-6 .. 6) between its ends", sigmoid_betas },
    { "sigmoid_alpha_bar", "sigmoid_ab",
      "Jabri et al. 2022, fig. 8: alpha_bar a sigmoid of t, start -3, end 3, tau 1", sigmoid_alpha_bar },
    { "laplace", NULL, "Hang & Gu 2024, as coded in diffusers: logsnr Laplace-distributed", laplace },
    { "exp", NULL, "diffusers: alpha_bar = exp(-12 t/T)", exponential },
    { "log_linear_snr", NULL, "Kingma et al. 2021 (VDM): ln(a/s) linear in t, from 10 to -5", log_linear_snr },
};
enum { N_ROWS = sizeof rows / sizeof *rows };

const brume_schedule_kind *brume_schedule_row(int i) { return i >= 0 && i < N_ROWS ? &rows[i] : NULL; }

const brume_schedule_kind *brume_schedule_find(const char *name)
{
    for (int i = 0; i < N_ROWS; i++)
        if (name && (!strcmp(rows[i].name, name) || (rows[i].alias && !strcmp(rows[i].alias, name)))) return &rows[i];
    return NULL;
}

/* alpha_bar[T-1] becomes 0: sqrt(alpha_bar) is shifted and stretched (Lin et al. 2023, alg. 1). */
static void rescale_zero_snr(brume_schedule *s)
{
    const double r0 = exp(0.5 * s->log_alpha_bar[0]), rT = exp(0.5 * s->log_alpha_bar[s->T - 1]);
    double before = 0.0; /* log alpha_bar[-1] */
    for (int32_t i = 0; i < s->T; i++) {
        const double r = (exp(0.5 * s->log_alpha_bar[i]) - rT) * (r0 / (r0 - rT));
        s->log_alpha_bar[i] = i == s->T - 1 ? -INFINITY : 2.0 * log(r);
        s->beta[i] = -expm1(s->log_alpha_bar[i] - before);
        before = s->log_alpha_bar[i];
    }
}

void brume_schedule_free(brume_schedule *s)
{
    if (!s) return;
    free(s->beta);
    free(s->log_alpha_bar);
    free(s);
}

brume_status brume_schedule_new(const brume_scheduler_config *c, brume_schedule **out)
{
    const brume_schedule_kind *kind = brume_schedule_find(c->beta_schedule);
    const int32_t T = c->num_train_timesteps;
    *out = NULL;
    if (T < 1) return brume_fail(BRUME_E_ARG, "num_train_timesteps must be at least 1, got %d", T);
    if (!kind && !c->trained_betas) return brume_fail(BRUME_E_UNSUPPORTED, "beta_schedule \"%s\" is unknown", c->beta_schedule);
    if (c->rescale_betas_zero_snr && T < 2) return brume_fail(BRUME_E_ARG, "rescale_betas_zero_snr needs at least 2 time steps");
    brume_schedule *s = calloc(1, sizeof *s);
    if (s) {
        s->T = T;
        s->beta = malloc((size_t)T * sizeof *s->beta);
        s->log_alpha_bar = malloc((size_t)T * sizeof *s->log_alpha_bar);
    }
    if (!s || !s->beta || !s->log_alpha_bar) {
        brume_schedule_free(s);
        return brume_fail(BRUME_E_MEMORY, "out of memory for a schedule of %d steps", T);
    }
    if (c->trained_betas) memcpy(s->beta, c->trained_betas, (size_t)T * sizeof *s->beta);
    else kind->fill(c, s->beta);
    /* Sums of log1p(-beta): 1 - alpha_bar = -expm1(sum) keeps all its digits where alpha_bar is near 1. */
    double sum = 0.0;
    for (int32_t i = 0; i < T; i++) {
        if (!(s->beta[i] >= 0.0 && s->beta[i] < 1.0)) {
            const brume_status e =
                brume_fail(BRUME_E_ARG, "beta[%d] = %g of schedule \"%s\" is outside [0, 1): check beta_start and beta_end", i,
                           s->beta[i], c->trained_betas ? "trained_betas" : c->beta_schedule);
            brume_schedule_free(s);
            return e;
        }
        s->log_alpha_bar[i] = sum += log1p(-s->beta[i]);
    }
    if (sum == 0.0) {
        brume_schedule_free(s);
        return brume_fail(BRUME_E_ARG, "every beta is 0: nothing would ever become noise");
    }
    if (c->rescale_betas_zero_snr) rescale_zero_snr(s);
    *out = s;
    return BRUME_OK;
}

static double log_alpha_bar(const brume_schedule *s, int32_t t)
{
    return t < 0 ? 0.0 : s->log_alpha_bar[t < s->T ? t : s->T - 1];
}

double brume_alpha_bar(const brume_schedule *s, int32_t t) { return exp(log_alpha_bar(s, t)); }
double brume_one_minus_alpha_bar(const brume_schedule *s, int32_t t) { return -expm1(log_alpha_bar(s, t)); }
double brume_sigma(const brume_schedule *s, int32_t t) { return sqrt(expm1(-log_alpha_bar(s, t))); }
double brume_logsnr(const brume_schedule *s, int32_t t) { return log_alpha_bar(s, t) - log(-expm1(log_alpha_bar(s, t))); }

/* 1 - A/P without cancelling: (1 - A - (1 - P)) / P loses digits, expm1 of the difference of logarithms does not. */
static double stretch_beta(const brume_schedule *s, int32_t t, int32_t p)
{
    return -expm1(log_alpha_bar(s, t) - log_alpha_bar(s, p));
}

brume_posterior brume_schedule_posterior(const brume_schedule *s, int32_t t, int32_t p)
{
    const double A = brume_alpha_bar(s, t), P = brume_alpha_bar(s, p), not_A = brume_one_minus_alpha_bar(s, t),
                 not_P = brume_one_minus_alpha_bar(s, p);
    const double beta = stretch_beta(s, t, p);
    return (brume_posterior){ sqrt(P) * beta / not_A, sqrt(A / P) * not_P / not_A, beta, beta * not_P / not_A };
}

brume_ddim_coef brume_schedule_ddim(const brume_schedule *s, int32_t t, int32_t p, double eta)
{
    const double P = brume_alpha_bar(s, p), not_A = brume_one_minus_alpha_bar(s, t), not_P = brume_one_minus_alpha_bar(s, p);
    const double sd = eta > 0 ? eta * sqrt(fmax(not_P / not_A * stretch_beta(s, t, p), 0.0)) : 0.0;
    return (brume_ddim_coef){ sqrt(P), sqrt(fmax(not_P - sd * sd, 0.0)), sd };
}

double brume_trailing_time(int64_t T, int64_t last, int32_t n, int64_t i)
{
    /* as numpy's arange(last, 0, -T / n) sums, whose rounding decides between halves; i < n, so that there is never a time too
     * many */
    const double step = ((double)last - (double)T / n) - (double)last;
    return rint((double)last + (double)i * step) - 1;
}

brume_status brume_schedule_timesteps(const brume_scheduler_config *c, int32_t n, double *t)
{
    const int64_t T = c->num_train_timesteps;
    if (n < 1 || n > T)
        return brume_fail(BRUME_E_ARG, "the number of sampling steps must be within 1 .. %lld, got %d", (long long)T, n);
    for (int64_t i = 0; i < n; i++) { /* i counts from the largest time */
        switch (c->timestep_spacing) {
        case BRUME_SPACING_LEADING: t[i] = (double)(T / n * (n - 1 - i) + c->steps_offset); break;
        case BRUME_SPACING_LINSPACE:
            t[i] = n == 1 ? 0.0 : i == 0 ? (double)(T - 1) : rint((double)(n - 1 - i) * ((double)(T - 1) / (double)(n - 1)));
            break;
        case BRUME_SPACING_TRAILING: t[i] = brume_trailing_time(T, T, n, i); break;
        }
        if (!(t[i] >= 0 && t[i] < T))
            return brume_fail(
                BRUME_E_ARG,
                "steps_offset %d puts a sampling step at time %g, outside 0 .. %lld: take fewer steps or another offset",
                c->steps_offset, t[i], (long long)T - 1);
    }
    return BRUME_OK;
}

brume_status brume_schedule_sections(int32_t T, const int32_t *counts, int32_t n_sections, double *t, int32_t *n)
{
    int32_t start = 0;
    *n = 0;
    if (n_sections < 1 || n_sections > T)
        return brume_fail(BRUME_E_ARG, "%d time steps cannot be cut in %d sections", T, n_sections);
    for (int32_t i = 0; i < n_sections; i++) {
        const int32_t size = T / n_sections + (i < T % n_sections), count = counts[i];
        if (count < 1 || count > size)
            return brume_fail(BRUME_E_ARG, "section %d has %d time steps; %d of them cannot be taken", i, size, count);
        const double stride = count > 1 ? (double)(size - 1) / (count - 1) : 1;
        double place = 0; /* summed up, as the original does */
        for (int32_t k = 0; k < count; k++, place += stride) {
            const double time = start + rint(place);
            if (*n == 0 || t[*n - 1] != time) t[(*n)++] = time;
        }
        start += size;
    }
    return BRUME_OK;
}

brume_status brume_schedule_strided(int32_t T, int32_t n, double *t)
{
    for (int32_t stride = 1; stride < T && n >= 1; stride++) {
        if ((T - 1) / stride + 1 != n) continue;
        for (int32_t i = 0; i < n; i++) t[i] = (double)i * stride;
        return BRUME_OK;
    }
    return brume_fail(BRUME_E_ARG, "no whole stride takes %d of %d time steps", n, T);
}
