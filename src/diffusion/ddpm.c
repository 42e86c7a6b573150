/* SPDX-License-Identifier: MIT
 * Ancestral sampling (Ho et al. 2020, algorithm 2), with clipped x0, fixed and learned variances, and on any subset of the time
 * steps. */
#include <math.h>

#include "diffusion/sampling.h"

enum { MEAN, GRADIENT }; /* registers */

static int32_t time_of(const struct brume_sampling *s, int32_t i) { return i < s->n ? (int32_t)s->grid->t[i] : -1; }

/* No noise at t = 0; in a respaced process (sections) none in its last step. */
static int draws(const struct brume_sampling *s, int32_t i) { return s->options->n_sections ? i + 1 < s->n : time_of(s, i) > 0; }

/* The variance of step i: beta or its posterior value. Of the last step, whose posterior variance is 0, the logarithms use that
 * of the step before (Ho et al.'s code); where that step draws noise all the same, 1e-20 (diffusers). */
static struct brume_learned_variance log_range(const struct brume_sampling *s, int32_t i)
{
    const brume_posterior q = brume_schedule_posterior(s->schedule, time_of(s, i), time_of(s, i + 1));
    double small = q.variance;
    if (!(small > 0) && !draws(s, i))
        small = i > 0 ? brume_schedule_posterior(s->schedule, time_of(s, i - 1), time_of(s, i)).variance : q.beta;
    return (struct brume_learned_variance){ s->config->variance_type == BRUME_VARIANCE_LEARNED,
                                            log(fmax(small, 1e-20)), log(q.beta) };
}

static int learned(const struct brume_sampling *s) { return s->config->variance_type >= BRUME_VARIANCE_LEARNED_RANGE; }

/* mean += scale var grad log p(y | x_t), the gradient taken at x_t as in the released code (Dhariwal & Nichol 2021, algorithm
 * 1) */
static brume_status shift_mean(struct brume_sampling *s, int32_t i, brume_buffer *before, struct brume_terms *x)
{
    const brume_posterior q = brume_schedule_posterior(s->schedule, time_of(s, i), time_of(s, i + 1));
    const struct brume_learned_variance range = log_range(s, i);
    const double large = i + 1 < s->n ? q.beta : exp(range.lo), scale = s->in->classifier->scale;
    brume_buffer *gradient, *mean;
    brume_status e = brume_sampling_register(s, GRADIENT, &gradient);
    if (e == BRUME_OK) e = brume_sampling_register(s, MEAN, &mean);
    if (e == BRUME_OK) e = brume_sampling_classifier(s, before, &s->grid->node[i], gradient);
    if (e != BRUME_OK) return e;
    if (!learned(s)) {
        brume_terms_add(x, scale * (s->config->variance_type == BRUME_VARIANCE_FIXED_LARGE ? large : q.variance), gradient);
        return BRUME_OK;
    }
    if ((e = brume_sampling_combine(s, x, mean)) != BRUME_OK) return e;
    e = brume_sampling_add_learned(s, &range, mean, scale, 0, gradient, s->spare);
    *x = (struct brume_terms){ 0 };
    brume_terms_add(x, 1, mean);
    if (e != BRUME_OK) return e;
    struct brume_terms copy = { 0 };
    brume_terms_add(&copy, 1, s->spare);
    return brume_sampling_combine(s, &copy, mean);
}

/* x' = q.x0 x0 + q.x x + sqrt(var) z        (eqs. 6 and 7) */
static brume_status step(struct brume_sampling *s, int32_t i)
{
    const brume_posterior q = brume_schedule_posterior(s->schedule, time_of(s, i), time_of(s, i + 1));
    struct brume_terms x = { 0 };
    brume_status e = brume_sampling_predict(s, s->x, &s->grid->node[i]);
    if (e != BRUME_OK) return e;
    if (brume_sampling_clips(s)) {
        e = brume_sampling_x0(s, s->x, s->x0);
        brume_terms_add(&x, q.x, s->x);
        brume_terms_add(&x, q.x0, s->x0);
    } else {
        double cx, cm;
        brume_sampling_x0_coef(s, &cx, &cm);
        brume_terms_add(&x, q.x + q.x0 * cx, s->x);
        brume_terms_add(&x, q.x0 * cm, s->m);
    }
    if (e == BRUME_OK && s->in->classifier) e = shift_mean(s, i, s->x, &x);
    if (e == BRUME_OK && draws(s, i)) {
        e = brume_sampling_noise(s);
        if (!learned(s))
            brume_terms_add(&x, sqrt(s->config->variance_type == BRUME_VARIANCE_FIXED_LARGE ? q.beta : fmax(q.variance, 1e-20)),
                            s->z);
    }
    if (e == BRUME_OK) e = brume_sampling_update(s, &x);
    if (e == BRUME_OK && draws(s, i) && learned(s)) {
        const struct brume_learned_variance range = log_range(s, i);
        e = brume_sampling_add_learned(s, &range, s->x, 1, 1, s->z, s->spare);
        brume_buffer *done = s->spare;
        s->spare = s->x;
        s->x = done;
    }
    return e == BRUME_OK ? brume_sampling_step(s, &s->grid->node[i + 1]) : e;
}

brume_status brume_run_ddpm(struct brume_sampling *s)
{
    brume_status e = BRUME_OK;
    for (int32_t i = s->first; i < s->n && e == BRUME_OK; i++) e = step(s, i);
    return e;
}
