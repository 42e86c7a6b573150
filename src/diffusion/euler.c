/* SPDX-License-Identifier: MIT
 * Euler's method in sigma (Karras et al. 2022, alg. 2 without its second stage), and its ancestral form (k-diffusion). */
#include "diffusion/sigma_space.h"
#include "diffusion/solver_coef.h"

brume_status brume_run_euler(struct brume_sampling *s)
{
    brume_status e = BRUME_OK;
    for (int32_t i = s->first; i < s->n && e == BRUME_OK; i++) {
        struct brume_node from;
        e = brume_sigma_churn(s, i, &from);
        if (e == BRUME_OK) e = brume_sigma_evaluate(s, &from);
        if (e == BRUME_OK) e = brume_sigma_euler_step(s, &from, i);
    }
    return e;
}

/* A step down to less noise than the next level has, and fresh noise for the difference. There is a draw in every step, the last
 * too, where its factor is 0. */
brume_status brume_run_euler_ancestral(struct brume_sampling *s)
{
    const struct brume_node *node = s->grid->node;
    brume_status e = BRUME_OK;
    for (int32_t i = s->first; i < s->n && e == BRUME_OK; i++) {
        struct brume_terms y = { 0 };
        double down, up;
        brume_ancestral(node[i].s, node[i + 1].s, s->eta, &down, &up);
        e = brume_sigma_evaluate(s, &node[i]);
        if (e == BRUME_OK) e = brume_sampling_noise(s);
        if (e != BRUME_OK) return e;
        brume_sigma_add_euler(s, node[i].s, down, &y);
        brume_terms_add(&y, up, s->z);
        e = brume_sigma_complete(s, &y, i);
    }
    return e;
}
