/* SPDX-License-Identifier: MIT
 * Denoising diffusion implicit models (Song, Meng & Ermon 2021), forward and inverted. */
#include <math.h>

#include "diffusion/sampling.h"

/* A time step that may lie before the chain, where set_alpha_to_one = false repeats the first entry. */
static int32_t within(const struct brume_sampling *s, int32_t t) { return t < 0 && !s->config->set_alpha_to_one ? 0 : t; }

/* After the network was asked: x' = sqrt(P) x0 + sqrt(1 - P - sd^2) eps + sd z, sd = eta sqrt((1-P)/(1-A) (1 - A/P))        (eqs.
 * 12, 16) from alpha_bar A at `from` to P at `to`; eps stays the raw one when x0 is clipped, unless use_clipped_model_output. */
static brume_status update(struct brume_sampling *s, int32_t from, int32_t to, double eta)
{
    const double a = sqrt(brume_alpha_bar(s->schedule, from)), b = sqrt(brume_one_minus_alpha_bar(s->schedule, from));
    const brume_ddim_coef to_p = brume_schedule_ddim(s->schedule, from, to, eta);
    const double root_P = to_p.x0, along = to_p.eps, sd = to_p.noise;
    double cx, cm, ex, em;
    struct brume_terms x = { 0 };
    brume_status e = BRUME_OK;
    const brume_level level = { .a = a, .s = b };
    brume_prediction_x0(s->prediction, &level, &cx, &cm);
    brume_prediction_eps(s->prediction, &level, &ex, &em);
    if (!brume_sampling_clips(s)) {
        brume_terms_add(&x, root_P * cx + (along != 0 ? along * ex : 0.0), s->x);
        brume_terms_add(&x, root_P * cm + (along != 0 ? along * em : 0.0), s->m);
    } else {
        e = brume_sampling_x0(s, s->x, s->x0);
        const int rederive = s->options->use_clipped_model_output; /* eps = (x - a x0) / b */
        brume_terms_add(&x, root_P - (rederive && along != 0 ? along * a / b : 0.0), s->x0);
        brume_terms_add(&x, along != 0 ? along * (rederive ? 1.0 / b : ex) : 0.0, s->x);
        brume_terms_add(&x, along != 0 && !rederive ? along * em : 0.0, s->m);
    }
    /* diffusers draws for a last step without noise, too */
    if (e == BRUME_OK && eta > 0 && (sd > 0 || s->options->strength >= 1)) {
        e = brume_sampling_noise(s);
        brume_terms_add(&x, sd, s->z);
    }
    return e == BRUME_OK ? brume_sampling_update(s, &x) : e;
}

/* Like diffusers, a step goes from t to t - T/n, which is the next time of the grid where n divides T; a run from a given image
 * keeps to the grid. */
brume_status brume_run_ddim(struct brume_sampling *s)
{
    const int32_t stride = s->schedule->T / s->n;
    brume_status e = BRUME_OK;
    for (int32_t i = s->first; i < s->n && e == BRUME_OK; i++) {
        const int32_t t = (int32_t)s->grid->t[i], on_grid = i + 1 < s->n ? (int32_t)s->grid->t[i + 1] : -1;
        e = brume_sampling_predict(s, s->x, &s->grid->node[i]);
        if (e == BRUME_OK) e = update(s, t, within(s, s->options->strength < 1 ? on_grid : t - stride), s->eta);
        if (e == BRUME_OK) e = brume_sampling_step(s, &s->grid->node[i + 1]);
    }
    return e;
}

/* From image to noise: times ascend, and the step to t asks the network at t for the state at t - T/n (sec. 4.3). */
brume_status brume_run_ddim_inverse(struct brume_sampling *s)
{
    const int32_t stride = s->schedule->T / s->n;
    brume_status e = BRUME_OK;
    for (int32_t i = s->n - 1; i >= s->first && e == BRUME_OK; i--) {
        const int32_t t = (int32_t)s->grid->t[i], from = within(s, t - stride);
        const double a = sqrt(brume_alpha_bar(s->schedule, from)), b = sqrt(brume_one_minus_alpha_bar(s->schedule, from));
        const struct brume_node at = { .t = t, .u = from, .a = a, .s = b, .scale = 1 };
        e = brume_sampling_predict(s, s->x, &at);
        if (e == BRUME_OK) e = update(s, from, t, 0.0);
        if (e == BRUME_OK) e = brume_sampling_step(s, &s->grid->node[i]);
    }
    return e;
}
