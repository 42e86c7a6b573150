/* SPDX-License-Identifier: MIT
 * Stages of the samplers that step in the noise level sigma: evaluation, Euler's step, churn. */
#include "diffusion/sigma_space.h"

#include <math.h>

brume_status brume_sigma_evaluate(struct brume_sampling *s, const struct brume_node *at)
{
    return brume_sampling_clips(s) ? brume_sampling_denoise(s, s->x, at, s->x0) : brume_sampling_predict(s, s->x, at);
}

void brume_sigma_add_denoised(struct brume_sampling *s, double coef, brume_buffer *state, struct brume_terms *terms)
{
    double cx, cm;
    if (brume_sampling_clips(s)) {
        brume_terms_add(terms, coef, s->x0);
        return;
    }
    brume_sampling_x0_coef(s, &cx, &cm);
    brume_terms_add(terms, coef * cx, state);
    brume_terms_add(terms, coef * cm, s->m);
}

void brume_sigma_add_euler(struct brume_sampling *s, double from, double to, struct brume_terms *terms)
{
    brume_terms_add(terms, to / from, s->x);
    brume_sigma_add_denoised(s, 1.0 - to / from, s->x, terms);
}

brume_status brume_sigma_branch(struct brume_sampling *s, const struct brume_terms *terms, const struct brume_node *at,
                                brume_buffer **keep)
{
    brume_buffer *before = s->x;
    const brume_status e = brume_sampling_combine(s, terms, *keep);
    if (e != BRUME_OK) return e;
    s->x = *keep;
    *keep = before;
    return brume_sampling_stage(s, at);
}

brume_status brume_sigma_complete(struct brume_sampling *s, const struct brume_terms *terms, int32_t i)
{
    const brume_status e = brume_sampling_update(s, terms);
    return e == BRUME_OK ? brume_sampling_step(s, &s->grid->node[i + 1]) : e;
}

brume_status brume_sigma_euler_step(struct brume_sampling *s, const struct brume_node *from, int32_t i)
{
    struct brume_terms y = { 0 };
    brume_sigma_add_euler(s, from->s, s->grid->node[i + 1].s, &y);
    return brume_sigma_complete(s, &y, i);
}

brume_status brume_sigma_churn(struct brume_sampling *s, int32_t i, struct brume_node *from)
{
    const brume_sampler_options *o = s->options;
    *from = s->grid->node[i];
    const double sigma = from->s, gamma = fmin(o->s_churn / s->n, sqrt(2.0) - 1.0), s_noise = o->s_noise > 0 ? o->s_noise : 1.0;
    if (!(gamma > 0) || sigma < o->s_min || (o->s_max > 0 && sigma > o->s_max)) return BRUME_OK;
    struct brume_terms y = { 0 };
    brume_status e = brume_sampling_noise(s);
    brume_terms_add(&y, 1.0, s->x);
    brume_terms_add(&y, sigma * sqrt(gamma * (2.0 + gamma)) * s_noise, s->z); /* the root of the growth of sigma^2 */
    if (e == BRUME_OK) e = brume_sampling_update(s, &y);
    *from = brume_node_of_sigma(s->process, BRUME_STATE_SIGMA, sigma * (1.0 + gamma), -1.0);
    return e;
}
