/* SPDX-License-Identifier: MIT
 * Times of training examples. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/objective.h"
#include "brume/rng.h"
#include "brume/train.h"

static const brume_time_sampling_kind kinds[] = {
    { "uniform", "Ho et al. 2020, alg. 1", "every time alike; EDM: every ln sigma", BRUME_TIMES_UNIFORM },
    { "stratified", "Kingma et al. 2021, app. I.1", "one uniform number for a step, example i is i / batch further on",
      BRUME_TIMES_STRATIFIED },
    { "loss-second-moment", "Nichol & Dhariwal 2021, eq. 18",
      "in proportion to the root mean square of the last 10 losses of a time", BRUME_TIMES_LOSS_SECOND_MOMENT },
    { "logit-normal", "Esser et al. 2024, eq. 19", "part of the way to noise = sigmoid(normal)", BRUME_TIMES_LOGIT_NORMAL },
    { "lognormal", "Karras et al. 2022, table 1", "ln sigma normal", BRUME_TIMES_LOGNORMAL },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

const brume_time_sampling_kind *brume_time_sampling_row(int i) { return i >= 0 && i < KINDS ? &kinds[i] : NULL; }

const brume_time_sampling_kind *brume_time_sampling_find(const char *name)
{
    for (int i = 0; i < KINDS; i++)
        if (name && !strcmp(kinds[i].name, name)) return &kinds[i];
    return NULL;
}

brume_time_sampling brume_time_sampling_default(brume_process_kind k)
{
    return k == BRUME_PROCESS_EDM ? BRUME_TIMES_LOGNORMAL : BRUME_TIMES_UNIFORM;
}

#define HISTORY 10         /* losses kept per time */
#define UNIFORM_PART 0.001 /* of the probability is spread evenly, so that no time dies out */
#define SDE_EPS 1e-5       /* smallest time of an SDE in training (Song et al. 2021, app. C) */

struct brume_time_sampler {
    const brume_process *p;
    brume_process_kind process;
    brume_time_sampling kind;
    double mean, std, sigma_min, sigma_max;
    int32_t T;
    float *state;       /* loss-second-moment: T counts, then HISTORY losses of every time, oldest first */
    double *cumulative; /* T values: sums of the probabilities */
    int stale;          /* state changed since */
};

static bool numbered(brume_process_kind k) { return k == BRUME_PROCESS_DISCRETE || k == BRUME_PROCESS_NCSN; }

brume_status brume_time_sampler_new(const brume_objective *o, const brume_scheduler_config *c, const brume_process *p,
                                    brume_time_sampler **out)
{
    *out = NULL;
    const brume_time_sampling kind = o->times ? o->times : brume_time_sampling_default(c->process);
    if (kind == BRUME_TIMES_LOSS_SECOND_MOMENT && !numbered(c->process))
        return brume_fail(BRUME_E_ARG,
                          "training: time sampling 'loss-second-moment' counts losses per level, process '%s' has none",
                          brume_process_kind_name(c->process));
    brume_time_sampler *s = calloc(1, sizeof *s);
    if (!s) return brume_fail(BRUME_E_MEMORY, "training: out of memory");
    const bool lognormal = kind == BRUME_TIMES_LOGNORMAL;
    *s = (brume_time_sampler){ .p = p,
                               .process = c->process,
                               .kind = kind,
                               .T = c->num_train_timesteps,
                               .sigma_min = c->sigma_min,
                               .sigma_max = c->sigma_max,
                               .mean = !isnan(o->time_mean) ? o->time_mean
                                       : lognormal          ? -1.2
                                                            : 0,
                               .std = !isnan(o->time_std) ? o->time_std
                                      : lognormal         ? 1.2
                                                          : 1,
                               .stale = 1 };
    if (kind == BRUME_TIMES_LOSS_SECOND_MOMENT) {
        s->state = calloc((size_t)s->T * (HISTORY + 1), sizeof *s->state);
        s->cumulative = malloc((size_t)s->T * sizeof *s->cumulative);
        if (!s->state || !s->cumulative) {
            brume_time_sampler_free(s);
            return brume_fail(BRUME_E_MEMORY, "training: out of memory");
        }
    }
    *out = s;
    return BRUME_OK;
}

void brume_time_sampler_free(brume_time_sampler *s)
{
    if (!s) return;
    free(s->state);
    free(s->cumulative);
    free(s);
}

/* Own time at the part of the way from clean to noise, 0 < part <= 1; numbered levels each own an equal stretch. */
static double along(const brume_time_sampler *s, double part)
{
    const double level = fmin(floor(part * s->T), s->T - 1);
    switch (s->process) {
    case BRUME_PROCESS_DISCRETE: return level;
    case BRUME_PROCESS_NCSN: return s->T - 1 - level;
    case BRUME_PROCESS_FLOW: return part;
    case BRUME_PROCESS_EDM: return s->sigma_min * pow(s->sigma_max / s->sigma_min, part);
    default: return SDE_EPS + part * (1 - SDE_EPS);
    }
}

/* Uniform in (0, 1), a multiple of 2^-32 and a half. */
static double unit(brume_rng *r) { return (brume_rng_u32(r) + 0.5) * 0x1p-32; }

/* Probability of a time: its root mean square loss, once every time has HISTORY losses; before that, uniform. */
static void probabilities(brume_time_sampler *s)
{
    double all = 0, sum = 0;
    bool known = true;
    for (int32_t t = 0; t < s->T; t++) {
        const float *loss = s->state + s->T + (int64_t)t * HISTORY;
        double square = 0;
        known = known && s->state[t] == HISTORY;
        for (int i = 0; i < HISTORY; i++) square += (double)loss[i] * loss[i];
        s->cumulative[t] = sqrt(square / HISTORY);
        all += s->cumulative[t];
    }
    for (int32_t t = 0; t < s->T; t++) {
        sum += known && all > 0 ? (1 - UNIFORM_PART) * s->cumulative[t] / all + UNIFORM_PART / s->T : 1.0 / s->T;
        s->cumulative[t] = sum;
    }
    s->stale = 0;
}

static double draw_learned(brume_time_sampler *s, double part, double *importance)
{
    if (s->stale) probabilities(s);
    int32_t lo = 0, hi = s->T - 1; /* the first time whose sum exceeds part */
    while (lo < hi) {
        const int32_t mid = lo + (hi - lo) / 2;
        if (s->cumulative[mid] > part) hi = mid;
        else lo = mid + 1;
    }
    *importance = 1 / (s->T * (s->cumulative[lo] - (lo ? s->cumulative[lo - 1] : 0)));
    return lo;
}

double brume_time_sampler_draw(brume_time_sampler *s, uint64_t step_seed, uint64_t example_seed, int32_t i, int32_t n,
                               double *importance)
{
    brume_rng r = { .seed = s->kind == BRUME_TIMES_STRATIFIED ? step_seed : example_seed, .stream = BRUME_STREAM_TRAIN_TIME };
    *importance = 1;
    switch (s->kind) {
    case BRUME_TIMES_STRATIFIED: {
        const double part = unit(&r) + (double)i / n;
        return along(s, part > 1 ? part - 1 : part);
    }
    case BRUME_TIMES_LOSS_SECOND_MOMENT: return draw_learned(s, unit(&r), importance);
    case BRUME_TIMES_LOGIT_NORMAL:
        return along(s, fmax(1 / (1 + exp(-(s->mean + s->std * (double)brume_rng_normal(&r)))), 0x1p-33));
    case BRUME_TIMES_LOGNORMAL: {
        const double u = brume_process_time_of_sigma(s->p, exp(s->mean + s->std * (double)brume_rng_normal(&r)));
        return numbered(s->process) ? rint(u) : u;
    }
    case BRUME_TIMES_DEFAULT: case BRUME_TIMES_UNIFORM: break;
    }
    if (numbered(s->process)) return brume_rng_below(&r, (uint32_t)s->T); /* each exactly as likely */
    return along(s, unit(&r));
}

double brume_time_sampler_at(const brume_time_sampler *s, double part) { return along(s, part); }

int brume_time_sampler_learns(const brume_time_sampler *s) { return s->state != NULL; }

void brume_time_sampler_learn(brume_time_sampler *s, double u, double loss)
{
    const int32_t t = (int32_t)u;
    float *count = s->state + t, *losses = s->state + s->T + (int64_t)t * HISTORY;
    if (*count == HISTORY) memmove(losses, losses + 1, (HISTORY - 1) * sizeof *losses);
    else ++*count;
    losses[(int)*count - 1] = (float)loss;
    s->stale = 1;
}

float *brume_time_sampler_state(brume_time_sampler *s, int64_t *n)
{
    *n = s->state ? (int64_t)s->T * (HISTORY + 1) : 0;
    return s->state;
}

brume_status brume_time_sampler_restored(brume_time_sampler *s)
{
    s->stale = 1;
    for (int64_t i = 0; s->state && i < (int64_t)s->T * (HISTORY + 1); i++) {
        const float v = s->state[i];
        if (!(v >= 0 && v <= FLT_MAX) || (i < s->T && (v > HISTORY || v != floorf(v))))
            return brume_fail(
                BRUME_E_FORMAT,
                "training: losses by time expect counts of 0 .. %d and losses that are finite and not negative, got %g", HISTORY,
                v);
    }
    return BRUME_OK;
}
