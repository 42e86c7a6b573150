/* SPDX-License-Identifier: MIT
 * Multistep DPM-Solver and DPM-Solver++ of order 1, 2, 3 (Lu et al. 2022b, alg. 2), as ODE and SDE: one network call a step. */
#include <math.h>

#include "diffusion/dpm_step.h"

enum { MAX_ORDER = 3, FEW_STEPS = 15 /* lower_order_final means runs shorter than this */ };

/* Order of step i when the last `known` predictions, newest included, may be differenced. */
static int order_of(const struct brume_sampling *s, int32_t i, int known)
{
    const int few = s->config->lower_order_final && s->n < FEW_STEPS, left = s->n - i;
    if (left == 1 && (few || s->config->euler_at_final || s->grid->node[s->n].s <= 0)) return 1;
    const int order = s->config->solver_order < known ? s->config->solver_order : known;
    return left == 2 && few && order > 2 ? 2 : order;
}

/* Weights of the predictions, newest first, from divided differences in lambda over h:
 *   Da = (m0 - m1) / r0, Db = (m1 - m2) / r1, D1 = Da + r0 / (r0 + r1) (Da - Db), D2 = (Da - Db) / (r0 + r1)
 * D2 is half the second derivative, so exactness needs twice d2_coef; released code, followed by default, is second order for
 * that. */
static void weights(const struct brume_sampling *s, const struct brume_dpm_step *c, int order, const double *lambda,
                    double w[MAX_ORDER])
{
    w[0] = c->m_coef;
    w[1] = w[2] = 0;
    if (order == 1) return;
    const double r0 = (lambda[0] - lambda[1]) / c->h;
    double da = s->config->solver_type == BRUME_SOLVER_HEUN ? c->d1_coef : 0.5 * c->m_coef;
    if (order == 3) {
        const double r1 = (lambda[1] - lambda[2]) / c->h;
        const double second = (s->config->exact_third_order ? 2.0 : 1.0) * c->d2_coef / (r0 + r1);
        const double db = -(c->d1_coef * r0 / (r0 + r1) + second);
        da = c->d1_coef - db;
        w[1] += db / r1;
        w[2] -= db / r1;
    }
    w[0] += da / r0;
    w[1] -= da / r0;
}

brume_status brume_run_dpm_multistep(struct brume_sampling *s)
{
    const struct brume_node *node = s->grid->node;
    brume_buffer *m[MAX_ORDER];
    double lambda[MAX_ORDER] = { 0 }, w[MAX_ORDER];
    int known = 0;
    brume_status e = brume_dpm_check(s);
    for (int k = 0; k < MAX_ORDER && e == BRUME_OK; k++) e = brume_sampling_register(s, k, &m[k]);
    for (int32_t i = s->first; i < s->n && e == BRUME_OK; i++) {
        brume_buffer *oldest = m[MAX_ORDER - 1];
        for (int k = MAX_ORDER - 1; k > 0; k--) {
            m[k] = m[k - 1];
            lambda[k] = lambda[k - 1];
        }
        m[0] = oldest;
        lambda[0] = brume_node_lambda(&node[i]);
        e = brume_dpm_ask(s, s->x, &node[i], m[0]);
        if (e != BRUME_OK) break;
        known = isfinite(lambda[0]) ? known + 1 : 0; /* pure noise has no place on the axis of lambda */
        const struct brume_dpm_step c = brume_dpm_step_in(s, &node[i], &node[i + 1]);
        /* h = 0 where a grid ends at the sigma that it appends */
        const int order = isfinite(c.h) && c.h > 0 ? order_of(s, i, known) : 1;
        weights(s, &c, order, lambda, w);
        struct brume_terms x = { 0 };
        brume_terms_add(&x, c.x_coef, s->x);
        brume_dpm_add_asked(s, w[0], s->x, m[0], &x);
        for (int k = 1; k < order; k++) brume_terms_add(&x, w[k], m[k]);
        e = brume_dpm_finish(s, &x, &c, &node[i + 1], NULL);
    }
    return e;
}
