/* SPDX-License-Identifier: MIT
 * Singlestep DPM-Solver and DPM-Solver++ of order 1, 2, 3 (Lu et al. 2022a, alg. 1 and 2; 2022b, alg. 1), as ODE and SDE.
 *
 * A block of k calls visits k nodes and ends with a step of order k from its own first state; the steps of order 1 .. k-1 before
 * it only lead to the nodes in between. */
#include <math.h>

#include "diffusion/dpm_step.h"
#include "diffusion/solver_coef.h"

enum { MAX_ORDER = 3 };

/* Place of step i within its block, from 1, which is the order it may have; a step to a clean end has order 1. */
static int place_in_block(const struct brume_sampling *s, int32_t i)
{
    if (i == s->n - 1 && s->grid->node[s->n].s <= 0) return 1;
    return brume_singlestep_order(i, s->n, s->config->solver_order, s->config->lower_order_final);
}

/* Weights of the predictions at the block's nodes, first node first; lambda[order] is where the step goes. */
static void weights(const struct brume_sampling *s, const struct brume_dpm_step *c, int order, const double *lambda,
                    double w[MAX_ORDER])
{
    const int heun = s->config->solver_type == BRUME_SOLVER_HEUN;
    w[0] = c->m_coef;
    w[1] = w[2] = 0;
    if (order == 2) { /* + coefficient (m1 - m0) / r */
        const double r = (lambda[1] - lambda[0]) / c->h;
        w[1] = (heun ? c->d1_coef : 0.5 * c->m_coef) / r;
    } else if (order == 3) {
        /* Da = (m1 - m0) / ra, Db = (m2 - m0) / rb. heun: + d1 D1 + d2 D2, D1 = (rb Da - ra Db) / (rb - ra), D2 = 2 (Db - Da) /
         * (rb - ra) */
        const double ra = (lambda[1] - lambda[0]) / c->h, rb = (lambda[2] - lambda[0]) / c->h;
        const double da = heun ? (c->d1_coef * rb - 2.0 * c->d2_coef) / (rb - ra) : 0.0;
        const double db = heun ? (2.0 * c->d2_coef - c->d1_coef * ra) / (rb - ra) : c->d1_coef;
        w[1] = da / ra;
        w[2] = db / rb;
    }
    w[0] -= w[1] + w[2];
}

brume_status brume_run_dpm_singlestep(struct brume_sampling *s)
{
    const struct brume_node *node = s->grid->node;
    brume_buffer *m[MAX_ORDER], *block;
    double lambda[MAX_ORDER + 1], w[MAX_ORDER];
    int32_t first = s->first; /* of the block */
    brume_status e = brume_dpm_check(s);
    for (int k = 0; k < MAX_ORDER && e == BRUME_OK; k++) e = brume_sampling_register(s, k, &m[k]);
    if (e == BRUME_OK) e = brume_sampling_register(s, MAX_ORDER, &block);
    for (int32_t i = s->first; i < s->n && e == BRUME_OK; i++) {
        if (place_in_block(s, i) == 1 || !isfinite(brume_node_lambda(&node[first]))) first = i;
        const int order = i - first + 1; /* less than the place where a run starts in the middle of a block */
        for (int k = 0; k <= order; k++) lambda[k] = brume_node_lambda(&node[first + k]);
        e = brume_dpm_ask(s, s->x, &node[i], m[order - 1]);
        if (e != BRUME_OK) break;
        const struct brume_dpm_step c = brume_dpm_step_in(s, &node[first], &node[i + 1]);
        weights(s, &c, order, lambda, w);
        struct brume_terms x = { 0 };
        brume_terms_add(&x, c.x_coef, order == 1 ? s->x : block);
        for (int k = 0; k < order - 1; k++) brume_terms_add(&x, w[k], m[k]);
        brume_dpm_add_asked(s, w[order - 1], s->x, m[order - 1], &x);
        e = brume_dpm_finish(s, &x, &c, &node[i + 1], order == 1 ? &block : NULL);
    }
    return e;
}
