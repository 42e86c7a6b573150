/* SPDX-License-Identifier: MIT
 * Heun's method in sigma, deterministic (Karras et al. 2022, alg. 1) or with churn (alg. 2). */
#include "diffusion/sigma_space.h"

/* With y1 = y + (s1 - s0) d kept, the trapezoidal rule y + (s1 - s0) (d + d1) / 2 is (y + y1) / 2 + (s1 - s0) d1 / 2: d needs no
 * tensor. */
static brume_status second_stage(struct brume_sampling *s, double s0, int32_t i, brume_buffer *y)
{
    struct brume_terms t = { 0 };
    const double s1 = s->grid->node[i + 1].s, half = 0.5 * (s1 - s0) / s1;
    brume_terms_add(&t, 0.5, y);
    brume_terms_add(&t, 0.5 + half, s->x);
    brume_sigma_add_denoised(s, -half, s->x, &t);
    return brume_sigma_complete(s, &t, i);
}

brume_status brume_run_heun(struct brume_sampling *s)
{
    const struct brume_node *node = s->grid->node;
    brume_buffer *keep;
    brume_status e = brume_sampling_register(s, 0, &keep);
    for (int32_t i = s->first; i < s->n && e == BRUME_OK; i++) {
        struct brume_node from;
        struct brume_terms y1 = { 0 };
        e = brume_sigma_churn(s, i, &from);
        if (e == BRUME_OK) e = brume_sigma_evaluate(s, &from);
        if (e != BRUME_OK) return e;
        if (node[i + 1].s == 0) {
            e = brume_sigma_euler_step(s, &from, i);
            continue;
        }
        brume_sigma_add_euler(s, from.s, node[i + 1].s, &y1);
        e = brume_sigma_branch(s, &y1, &node[i + 1], &keep);
        if (e == BRUME_OK) e = brume_sigma_evaluate(s, &node[i + 1]);
        if (e == BRUME_OK) e = second_stage(s, from.s, i, keep);
    }
    return e;
}
