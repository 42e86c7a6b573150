/* SPDX-License-Identifier: MIT
 * Linear multistep method in sigma: the polynomial through the last slopes, integrated exactly (k-diffusion; Adams &
 * Bashforth). */
#include "diffusion/sigma_space.h"
#include "diffusion/solver_coef.h"

brume_status brume_run_lms(struct brume_sampling *s)
{
    enum { MOST = 4 };
    const struct brume_node *node = s->grid->node;
    const int32_t most = s->options->order ? s->options->order : MOST;
    brume_buffer *slope[MOST]; /* slope[i % MOST] is (y - D) / sigma at grid point i */
    brume_status e = BRUME_OK;
    for (int k = 0; k < most && e == BRUME_OK; k++) e = brume_sampling_register(s, k, &slope[k]);
    for (int32_t i = s->first; i < s->n && e == BRUME_OK; i++) {
        const int32_t order = i - s->first + 1 < most ? i - s->first + 1 : most;
        struct brume_terms d = { 0 }, y = { 0 };
        e = brume_sigma_evaluate(s, &node[i]);
        if (e != BRUME_OK) return e;
        brume_terms_add(&d, 1.0 / node[i].s, s->x);
        brume_sigma_add_denoised(s, -1.0 / node[i].s, s->x, &d);
        e = brume_sampling_combine(s, &d, slope[i % most]);
        /* the newest slope by its parts: y and sigma times it nearly cancel where sigma is large */
        const double c = brume_lms_coef(s->grid->sigma, i, 0, order) / node[i].s;
        brume_terms_add(&y, 1.0 + c, s->x);
        brume_sigma_add_denoised(s, -c, s->x, &y);
        for (int32_t k = 1; k < order; k++)
            brume_terms_add(&y, brume_lms_coef(s->grid->sigma, i, k, order), slope[(i - k) % most]);
        if (e == BRUME_OK) e = brume_sigma_complete(s, &y, i);
    }
    return e;
}
