/* SPDX-License-Identifier: MIT
 * Objectives and weightings as rows, and the scalars of an example. */
#include "brume/objective.h"

#include <math.h>
#include <string.h>

#include "base/fail.h"

/* ---- objectives ---- */

static const brume_objective_kind objectives[] = {
    { "eps", "Ho et al. 2020, eq. 14", "the noise: |m - eps|^2", BRUME_PREDICT_EPS },
    { "x0", "Ho et al. 2020, sec. 3.2", "the clean image: |m - x0|^2", BRUME_PREDICT_X0 },
    { "v", "Salimans & Ho 2022, sec. 4", "v = a eps - s x0: |m - v|^2", BRUME_PREDICT_V },
    { "score", "Song & Ermon 2019, eqs. 5-6", "grad log q(x | x0) = -eps / s: s^2 |m + eps / s|^2", BRUME_PREDICT_SCORE },
    { "flow", "Lipman et al. 2022, eq. 23", "the velocity u = eps - x0: |m - u|^2", BRUME_PREDICT_FLOW },
    { "edm", "Karras et al. 2022, eq. 8",
      "F of D = c_skip x + c_out F(c_in x): |F - (x0 - c_skip x) / c_out|^2", BRUME_PREDICT_EDM },
};
enum { OBJECTIVES = sizeof objectives / sizeof *objectives };

const brume_objective_kind *brume_objective_row(int i) { return i >= 0 && i < OBJECTIVES ? &objectives[i] : NULL; }

const brume_objective_kind *brume_objective_find(const char *name)
{
    for (int i = 0; i < OBJECTIVES; i++)
        if (name && !strcmp(objectives[i].name, name)) return &objectives[i];
    return NULL;
}

const brume_objective_kind *brume_objective_of(brume_prediction p)
{
    for (int i = 0; i < OBJECTIVES; i++)
        if (objectives[i].prediction == p) return &objectives[i];
    return NULL;
}

/* ---- weightings: of the squared error of x0 ---- */

struct brume_weighting_point {
    const brume_objective *o;
    const brume_scheduler_config *c;
    const brume_process *p;
    double u, a, s, snr;
};

static double snr(const struct brume_weighting_point *at) { return at->snr; }
static double snr_plus_1(const struct brume_weighting_point *at) { return at->snr + 1; }
static double truncated_snr(const struct brume_weighting_point *at) { return fmax(at->snr, 1); }
static double min_snr(const struct brume_weighting_point *at) { return fmin(at->snr, at->o->snr_gamma); }
static double p2(const struct brume_weighting_point *at) { return at->snr / pow(at->o->p2_k + at->snr, at->o->p2_gamma); }

static double edm(const struct brume_weighting_point *at)
{
    return brume_edm_precondition(at->s / at->a, at->c->sigma_data).weight;
}

/* The process' own time on the SDE's scale 0 .. 1. */
static double sde_time(const struct brume_weighting_point *at)
{
    const int32_t T = at->c->num_train_timesteps;
    if (at->c->process == BRUME_PROCESS_DISCRETE) return (at->u + 1) / T;
    if (at->c->process == BRUME_PROCESS_NCSN) return T > 1 ? 1 - at->u / (T - 1) : 1;
    return at->u;
}

/* g^2 |S + eps / s|^2; the score's error is a / s^2 times that of x0. */
static double likelihood(const struct brume_weighting_point *at)
{
    double drift, g;
    if (!brume_process_sde(at->p, sde_time(at), &drift, &g)) return NAN;
    const double score = g * at->a / (at->s * at->s);
    return score * score;
}

/* One step of a discrete process (Ho et al. 2020, eqs. 6-7). At t = 0, where the posterior variance is 0, that of t = 1 stands,
 * as in the released code; with one step only, beta. */
struct step { double of_x0, log_posterior, log_beta; };

static struct step step_at(const brume_schedule *s, int32_t t)
{
    const brume_posterior q = brume_schedule_posterior(s, t, t - 1);
    const double small = t > 0 ? q.variance : s->T > 1 ? brume_schedule_posterior(s, 1, 0).variance : q.beta;
    return (struct step){ .of_x0 = q.x0, .log_posterior = log(small), .log_beta = log(q.beta) };
}

static double log_fixed_variance(brume_variance v, const struct step *q, int32_t t)
{
    return v == BRUME_VARIANCE_FIXED_LARGE && t > 0 ? q->log_beta : q->log_posterior;
}

/* (error of the mean)^2 / (2 variance), the mean being of_x0 x0 + .. (Ho et al. 2020, eqs. 8, 12) */
static double vlb(const struct brume_weighting_point *at)
{
    const int32_t t = (int32_t)at->u;
    const struct step q = step_at(brume_process_schedule(at->p), t);
    return q.of_x0 * q.of_x0 / (2 * exp(log_fixed_variance(at->c->variance_type, &q, t)));
}

#define ALL 0x7fu
#define SDES (1u << BRUME_PROCESS_DISCRETE | 1u << BRUME_PROCESS_NCSN | 1u << BRUME_PROCESS_VP | 1u << BRUME_PROCESS_SUBVP | \
              1u << BRUME_PROCESS_VE)

static const brume_weighting_kind weightings[] = {
    { "simple", "Ho et al. 2020, eq. 14; Song & Ermon 2019, eq. 6", "1 on the prediction's own error; score: s^2", ALL, NULL },
    { "snr", "Salimans & Ho 2022, sec. 4", "SNR: the error of eps; 1 / sigma^2 of Karras et al. 2022, table 1", ALL, snr },
    { "truncated-snr", "Salimans & Ho 2022, sec. 4", "max(SNR, 1)", ALL, truncated_snr },
    { "snr+1", "Salimans & Ho 2022, sec. 4", "SNR + 1: the error of v", ALL, snr_plus_1 },
    { "min-snr", "Hang et al. 2023, Min-SNR-gamma", "min(SNR, gamma)", ALL, min_snr },
    { "p2", "Choi et al. 2022, P2", "SNR / (k + SNR)^gamma", ALL, p2 },
    { "vlb", "Ho et al. 2020, eq. 12", "c0^2 / (2 variance): the bound's terms, with fixed variance",
      1u << BRUME_PROCESS_DISCRETE, vlb },
    { "likelihood", "Song et al. 2021b, likelihood weighting", "g^2 on the error of the score", SDES, likelihood },
    { "edm", "Karras et al. 2022, table 1", "(sigma^2 + sigma_data^2) / (sigma sigma_data)^2", ALL, edm },
};
enum { WEIGHTINGS = sizeof weightings / sizeof *weightings };

const brume_weighting_kind *brume_weighting_row(int i) { return i >= 0 && i < WEIGHTINGS ? &weightings[i] : NULL; }

const brume_weighting_kind *brume_weighting_find(const char *name)
{
    for (int i = 0; i < WEIGHTINGS; i++)
        if (name && !strcmp(weightings[i].name, name)) return &weightings[i];
    return NULL;
}

/* Weight of the squared error of the prediction itself: that of x0 times (d x0 / d prediction)^2. */
static double weight(const brume_objective *o, const brume_scheduler_config *c, const brume_process *p, double u,
                     const brume_level *l)
{
    if (!o->weighting || !o->weighting->of_x0) return c->prediction_type == BRUME_PREDICT_SCORE ? l->s * l->s : 1;
    brume_level at = *l;
    if (at.a == 0) { /* no signal at all (Lin et al. 2023): the limit, from where samplers begin, too */
        at.a = 0x1p-12;
        at.s = sqrt(1 - at.a * at.a);
    }
    double cx, cm;
    brume_prediction_x0(c->prediction_type, &at, &cx, &cm);
    const struct brume_weighting_point point = { o, c, p, u, at.a, at.s, at.a * at.a / (at.s * at.s) };
    return o->weighting->of_x0(&point) * cm * cm;
}

/* ---- an example ---- */

const char *brume_bound_name(brume_bound b)
{
    static const char *const names[] = { "none", "hybrid", "vlb" };
    return names[b];
}

void brume_objective_default(brume_objective *o)
{
    *o = (brume_objective){ .snr_gamma = 5, .p2_gamma = 1, .p2_k = 1, .time_mean = NAN, .time_std = NAN };
}

static bool learned(const brume_scheduler_config *c) { return c->variance_type == BRUME_VARIANCE_LEARNED_RANGE; }

static void bound_coef(const brume_objective *o, const brume_scheduler_config *c, const brume_process *p, double u,
                       const brume_level *l, double *k)
{
    const int32_t t = (int32_t)u, T = c->num_train_timesteps;
    const struct step q = step_at(brume_process_schedule(p), t);
    double cx, cm;
    brume_prediction_x0(c->prediction_type, l, &cx, &cm);
    const double range = q.log_beta - q.log_posterior; /* w = (v + 1) / 2 of it */
    k[BRUME_COEF_BOUND] = o->bound == BRUME_BOUND_HYBRID ? T / 1000.0 : T;
    k[BRUME_COEF_RATIO] = learned(c) ? 0.5 * range : log_fixed_variance(c->variance_type, &q, t) - q.log_posterior;
    k[BRUME_COEF_RATIO_V] = learned(c) ? 0.5 * range : 0;
    k[BRUME_COEF_LOG_STD] = 0.5 * q.log_posterior;
    k[BRUME_COEF_FIRST] = t == 0;
    /* Each term is formed for every sample, so the one that does not count must stay finite. */
    k[BRUME_COEF_KL] = t > 0 ? q.of_x0 * q.of_x0 * cm * cm * exp(-q.log_posterior) : 0;
    k[BRUME_COEF_DECODER] = t == 0 ? cm : 0;
}

static void example(const brume_objective *o, const brume_scheduler_config *c, const brume_process *p, double u, double *k,
                    double *t)
{
    const brume_level l = brume_process_level(p, u);
    memset(k, 0, BRUME_COEF_COUNT * sizeof *k);
    *t = l.t;
    k[BRUME_COEF_A] = l.a;
    k[BRUME_COEF_S] = l.s;
    brume_prediction_of(c->prediction_type, &l, &k[BRUME_COEF_X0], &k[BRUME_COEF_EPS]);
    k[BRUME_COEF_WEIGHT] = o->bound == BRUME_BOUND_VLB ? 0 : weight(o, c, p, u, &l);
    if (o->bound != BRUME_BOUND_NONE) bound_coef(o, c, p, u, &l, k);
}

void brume_objective_example(const brume_objective *o, const brume_scheduler_config *c, const brume_process *p, double u,
                             double importance, float coef[BRUME_COEF_COUNT], float *t)
{
    double k[BRUME_COEF_COUNT], time;
    example(o, c, p, u, k, &time);
    k[BRUME_COEF_WEIGHT] *= importance;
    k[BRUME_COEF_BOUND] *= importance;
    for (int i = 0; i < BRUME_COEF_COUNT; i++) coef[i] = (float)k[i];
    *t = (float)time;
}

/* ---- checks ---- */

static brume_status check_level(const brume_objective *o, const brume_scheduler_config *c, const brume_process *p, double u)
{
    double k[BRUME_COEF_COUNT], t;
    example(o, c, p, u, k, &t);
    /* A prediction from which x0 does not follow could be trained, but not be sampled with (Lin et al. 2023, sec. 3.2). */
    const brume_level l = brume_process_level(p, u);
    double cx, cm;
    brume_prediction_x0(c->prediction_type, &l, &cx, &cm);
    bool defined = isfinite(cx) && isfinite(cm);
    for (int i = 0; i < BRUME_COEF_COUNT; i++) defined = defined && isfinite((float)k[i]);
    if (!defined)
        return brume_fail(
            BRUME_E_ARG,
            "training: objective '%s' with weighting '%s' and bound '%s' is not defined at time %g of process '%s' (signal %g, "
            "noise %g); choose another objective, such as v",
            brume_objective_of(c->prediction_type)->name, o->weighting ? o->weighting->name : "simple",
            brume_bound_name(o->bound), u, brume_process_kind_name(c->process), k[BRUME_COEF_A], k[BRUME_COEF_S]);
    return BRUME_OK;
}

brume_status brume_objective_check(const brume_objective *o, const brume_scheduler_config *c, const brume_process *p)
{
    const char *process = brume_process_kind_name(c->process);
    if (o->weighting && !(o->weighting->processes >> c->process & 1))
        return brume_fail(BRUME_E_ARG, "training: weighting '%s' is not defined for process '%s'", o->weighting->name, process);
    if (!(o->snr_gamma > 0) || !(o->p2_gamma >= 0) || !(o->p2_k > 0) || !(o->offset_noise >= 0 && o->offset_noise <= 100) ||
        o->time_std <= 0)
        return brume_fail(BRUME_E_ARG,
                          "training: expected min-SNR gamma > 0, P2 gamma >= 0 and k > 0, offset noise in 0 .. 100, time std > "
                          "0; got %g, %g, %g, %g, %g",
                          o->snr_gamma, o->p2_gamma, o->p2_k, o->offset_noise, o->time_std);
    if ((c->prediction_type == BRUME_PREDICT_EDM) != (c->process == BRUME_PROCESS_EDM))
        return brume_fail(BRUME_E_ARG,
                          "training: objective 'edm' and process 'edm' go together, got objective '%s' and process '%s'",
                          brume_objective_of(c->prediction_type)->name, process);
    if (o->bound != BRUME_BOUND_NONE && c->process != BRUME_PROCESS_DISCRETE)
        return brume_fail(BRUME_E_ARG, "training: the variational bound needs a discrete schedule, got process '%s'", process);
    if (c->variance_type == BRUME_VARIANCE_LEARNED)
        return brume_fail(BRUME_E_UNSUPPORTED, "training: variance 'learned' is read, not trained; use learned-range");
    if (learned(c) && o->bound == BRUME_BOUND_NONE)
        return brume_fail(BRUME_E_ARG, "training: a learned variance is trained by the bound: choose bound hybrid or vlb");
    if (!learned(c) && o->bound == BRUME_BOUND_HYBRID)
        return brume_fail(BRUME_E_ARG, "training: bound 'hybrid' trains a learned variance, the model's is fixed");
    const int levels = c->process == BRUME_PROCESS_DISCRETE || c->process == BRUME_PROCESS_NCSN;
    brume_status s = BRUME_OK;
    for (int32_t i = 0; s == BRUME_OK && levels && i < c->num_train_timesteps; i++) s = check_level(o, c, p, i);
    return s;
}
