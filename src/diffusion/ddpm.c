/* SPDX-License-Identifier: MIT
 * Ancestral sampling (Ho et al. 2020, algorithm 2), with clipped x0 and on any subset of the time steps. */
#include <math.h>

#include "diffusion/sampling.h"

/* From time t to p (-1: the end). A = alpha_bar[t], P = alpha_bar[p], beta = 1 - A/P of the skipped stretch:
 *   x' = sqrt(P) beta / (1-A) x0 + sqrt(A/P) (1-P) / (1-A) x + sqrt(var) z        (eqs. 6 and 7)
 *   var = beta (1-P) / (1-A) for fixed_small, beta for fixed_large; no noise at t = 0 */
static brume_status step(struct brume_sampling *s, int32_t t, int32_t p)
{
    const double A = brume_alpha_bar(s->schedule, t), P = brume_alpha_bar(s->schedule, p);
    const double not_A = brume_one_minus_alpha_bar(s->schedule, t), not_P = brume_one_minus_alpha_bar(s->schedule, p);
    /* 1 - A/P without cancelling: (1 - A - (1 - P)) / P loses digits, expm1 of the difference of logarithms does not */
    const double log_A = s->schedule->log_alpha_bar[t], log_P = p < 0 ? 0.0 : s->schedule->log_alpha_bar[p];
    const double beta = -expm1(log_A - log_P);
    const double c0 = sqrt(P) * beta / not_A, ct = sqrt(A / P) * not_P / not_A;
    const double small = fmax(beta * not_P / not_A, 1e-20);
    const double var = s->config->variance_type == BRUME_VARIANCE_FIXED_LARGE ? beta : small;
    struct brume_terms x = { 0 };
    brume_status e = BRUME_OK;
    if (brume_sampling_clips(s)) {
        e = brume_sampling_x0(s, sqrt(A), sqrt(not_A));
        brume_terms_add(&x, ct, s->x);
        brume_terms_add(&x, c0, s->x0);
    } else {
        double cx, cm;
        brume_x0_coef(s->prediction, sqrt(A), sqrt(not_A), &cx, &cm);
        brume_terms_add(&x, ct + c0 * cx, s->x);
        brume_terms_add(&x, c0 * cm, s->m);
    }
    if (e == BRUME_OK && t > 0) {
        e = brume_sampling_noise(s);
        brume_terms_add(&x, sqrt(var), s->z);
    }
    return e == BRUME_OK ? brume_sampling_step(s, &x, brume_sampling_clips(s)) : e;
}

brume_status brume_run_ddpm(struct brume_sampling *s)
{
    brume_status e = BRUME_OK;
    for (int32_t i = 0; i < s->n && e == BRUME_OK; i++) {
        e = brume_sampling_predict(s, s->t[i]);
        if (e == BRUME_OK) e = step(s, (int32_t)s->t[i], i + 1 < s->n ? (int32_t)s->t[i + 1] : -1);
    }
    return e;
}
