/* SPDX-License-Identifier: MIT
 * DPM-Solver-2 in sigma: a midpoint rule whose middle is the geometric mean (Karras et al. 2022, alg. 2 with that second stage;
 * k-diffusion), deterministic, with churn, or ancestral. */
#include <math.h>

#include "diffusion/sigma_space.h"
#include "diffusion/solver_coef.h"

/* From the state at `from`, already evaluated there, to the level `to`; `up` of noise z is added on arrival. */
static brume_status step(struct brume_sampling *s, const struct brume_node *from, double to, double up, int32_t i,
                         brume_buffer **keep)
{
    const struct brume_node middle = brume_node_of_sigma(s->process, BRUME_STATE_SIGMA, sqrt(from->s * to), -1.0);
    const double r = (to - from->s) / middle.s;
    struct brume_terms ym = { 0 }, y = { 0 };
    brume_sigma_add_euler(s, from->s, middle.s, &ym);
    brume_status e = brume_sigma_branch(s, &ym, &middle, keep);
    if (e == BRUME_OK) e = brume_sigma_evaluate(s, &middle);
    if (e == BRUME_OK && up > 0) e = brume_sampling_noise(s);
    if (e != BRUME_OK) return e;
    brume_terms_add(&y, 1.0, *keep); /* y + (to - from) (ym - D) / middle */
    brume_terms_add(&y, r, s->x);
    brume_sigma_add_denoised(s, -r, s->x, &y);
    brume_terms_add(&y, up, s->z);
    return brume_sigma_complete(s, &y, i);
}

brume_status brume_run_dpm2(struct brume_sampling *s)
{
    brume_buffer *keep;
    brume_status e = brume_sampling_register(s, 0, &keep);
    for (int32_t i = s->first; i < s->n && e == BRUME_OK; i++) {
        const double to = s->grid->node[i + 1].s;
        struct brume_node from;
        e = brume_sigma_churn(s, i, &from);
        if (e == BRUME_OK) e = brume_sigma_evaluate(s, &from);
        if (e == BRUME_OK) e = to > 0 ? step(s, &from, to, 0.0, i, &keep) : brume_sigma_euler_step(s, &from, i);
    }
    return e;
}

brume_status brume_run_dpm2_ancestral(struct brume_sampling *s)
{
    const struct brume_node *node = s->grid->node;
    brume_buffer *keep;
    brume_status e = brume_sampling_register(s, 0, &keep);
    for (int32_t i = s->first; i < s->n && e == BRUME_OK; i++) {
        double down, up;
        brume_ancestral(node[i].s, node[i + 1].s, s->eta, &down, &up);
        e = brume_sigma_evaluate(s, &node[i]);
        if (e == BRUME_OK) e = node[i + 1].s > 0 ? step(s, &node[i], down, up, i, &keep) : brume_sigma_euler_step(s, &node[i], i);
    }
    return e;
}
