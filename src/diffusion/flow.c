/* SPDX-License-Identifier: MIT
 * Samplers of flow matching, d x / d sigma = eps - x0 (Lipman et al. 2023; Esser et al. 2024): Euler's method, Heun's, and
 * Euler's with fresh noise in every step. */
#include "base/fail.h"
#include "diffusion/sigma_space.h"

static brume_status no_churn(const struct brume_sampling *s)
{
    if (!(s->options->s_churn > 0)) return BRUME_OK;
    return brume_fail(BRUME_E_UNSUPPORTED,
                      "s_churn adds noise to a state x0 + sigma eps; sampler %s has (1 - sigma) x0 + sigma eps. Leave it 0",
                      s->kind->name);
}

/* x' = (1 - s1) x0 + s1 z */
static brume_status stochastic(struct brume_sampling *s)
{
    const struct brume_node *node = s->grid->node;
    brume_status e = BRUME_OK;
    for (int32_t i = s->first; i < s->n && e == BRUME_OK; i++) {
        struct brume_terms x = { 0 };
        e = brume_sigma_evaluate(s, &node[i]);
        if (e == BRUME_OK) e = brume_sampling_noise(s);
        if (e != BRUME_OK) return e;
        brume_sigma_add_denoised(s, node[i + 1].a, s->x, &x);
        brume_terms_add(&x, node[i + 1].s, s->z);
        e = brume_sigma_complete(s, &x, i);
    }
    return e;
}

brume_status brume_run_flow_euler(struct brume_sampling *s)
{
    const brume_status e = no_churn(s);
    if (e != BRUME_OK) return e;
    return s->config->stochastic_sampling ? stochastic(s) : brume_run_euler(s);
}

brume_status brume_run_flow_heun(struct brume_sampling *s)
{
    const brume_status e = no_churn(s);
    return e == BRUME_OK ? brume_run_heun(s) : e;
}
