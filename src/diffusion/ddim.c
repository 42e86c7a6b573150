/* SPDX-License-Identifier: MIT
 * Denoising diffusion implicit models (Song, Meng & Ermon 2021), forward and inverted. */
#include <math.h>

#include "diffusion/sampling.h"

/* alpha_bar of a time step that may lie before the chain, where set_alpha_to_one = false repeats the first entry. */
static double alpha_bar(const struct brume_sampling *s, int32_t t)
{
    return t < 0 && !s->config->set_alpha_to_one ? brume_alpha_bar(s->schedule, 0) : brume_alpha_bar(s->schedule, t);
}
static double one_minus(const struct brume_sampling *s, int32_t t)
{
    return t < 0 && !s->config->set_alpha_to_one ? brume_one_minus_alpha_bar(s->schedule, 0) : brume_one_minus_alpha_bar(s->schedule, t);
}

/* x' = sqrt(P) x0 + sqrt(1 - P - sd^2) eps + sd z, sd = eta sqrt((1-P)/(1-A) (1 - A/P))        (eqs. 12 and 16)
 * from alpha_bar A at `from` to P at `to`; eps stays the raw one when x0 is clipped, unless use_clipped_model_output. */
static brume_status step(struct brume_sampling *s, int32_t from, int32_t to, double eta)
{
    const double A = alpha_bar(s, from), P = alpha_bar(s, to), not_A = one_minus(s, from), not_P = one_minus(s, to);
    const double a = sqrt(A), b = sqrt(not_A);
    const double sd = eta > 0 ? eta * sqrt(fmax(not_P / not_A * (1.0 - A / P), 0.0)) : 0.0;
    const double along = sqrt(fmax(not_P - sd * sd, 0.0)); /* coefficient of eps */
    double cx, cm, ex, em;
    struct brume_terms x = { 0 };
    brume_status e = BRUME_OK;
    brume_x0_coef(s->prediction, a, b, &cx, &cm);
    brume_eps_coef(s->prediction, a, b, &ex, &em);
    if (!brume_sampling_clips(s)) {
        brume_terms_add(&x, sqrt(P) * cx + (along != 0 ? along * ex : 0.0), s->x);
        brume_terms_add(&x, sqrt(P) * cm + (along != 0 ? along * em : 0.0), s->m);
    } else {
        e = brume_sampling_x0(s, a, b);
        const int rederive = s->use_clipped_model_output; /* eps = (x - a x0) / b */
        brume_terms_add(&x, sqrt(P) - (rederive && along != 0 ? along * a / b : 0.0), s->x0);
        brume_terms_add(&x, along != 0 ? along * (rederive ? 1.0 / b : ex) : 0.0, s->x);
        brume_terms_add(&x, along != 0 && !rederive ? along * em : 0.0, s->m);
    }
    if (e == BRUME_OK && sd > 0) {
        e = brume_sampling_noise(s);
        brume_terms_add(&x, sd, s->z);
    }
    return e == BRUME_OK ? brume_sampling_step(s, &x, brume_sampling_clips(s)) : e;
}

/* Like diffusers, a step goes from t to t - T/n, which is the next time of the grid where n divides T. */
brume_status brume_run_ddim(struct brume_sampling *s)
{
    const int32_t stride = s->schedule->T / s->n;
    brume_status e = BRUME_OK;
    for (int32_t i = 0; i < s->n && e == BRUME_OK; i++) {
        const int32_t t = (int32_t)s->t[i];
        e = brume_sampling_predict(s, t);
        if (e == BRUME_OK) e = step(s, t, t - stride, s->eta);
    }
    return e;
}

/* From image to noise: times ascend, and the step to t asks the network at t for the state at t - T/n (sec. 4.3). */
brume_status brume_run_ddim_inverse(struct brume_sampling *s)
{
    const int32_t stride = s->schedule->T / s->n;
    brume_status e = BRUME_OK;
    for (int32_t i = s->n - 1; i >= 0 && e == BRUME_OK; i--) {
        const int32_t t = (int32_t)s->t[i];
        e = brume_sampling_predict(s, t);
        if (e == BRUME_OK) e = step(s, t - stride, t, 0.0);
    }
    return e;
}
