/* SPDX-License-Identifier: MIT
 * UniPC: predictor and corrector that share one network call a step, in the data form (Zhao et al. 2023, alg. 1 and 2). */
#include <math.h>

#include "base/fail.h"
#include "diffusion/dpm_step.h"
#include "diffusion/solver_coef.h"

enum { MAX_ORDER = BRUME_SOLVER_MAX_ORDER, KEPT = MAX_ORDER + 1 };

static int corrects(const struct brume_sampling *s, int32_t step)
{
    /* known data put into x between the steps would be thrown away by a corrector, which starts from the state before */
    if (s->in->mask) return 0;
    for (int k = 0; k < s->config->n_disable_corrector; k++)
        if (s->config->disable_corrector[k] == step) return 0;
    return 1;
}

/* From one node to another with order p, m[0] the prediction at `from` and m[1 .. p-1] older ones:
 *   x' = (c/s) x - b expm1(-h) m0 - b B sum_k rho_k (m_k - m0) / r_k   [- b B rho_p (after - m0), in the corrector] */
static struct brume_dpm_step terms_of(const struct brume_sampling *s, brume_buffer *x, const struct brume_node *from,
                                      const struct brume_node *to, int p, brume_buffer *const *m, const double *lambda,
                                      brume_buffer *after, struct brume_terms *out)
{
    const struct brume_dpm_step c = brume_dpm_step_of(BRUME_DPMSOLVERPP, 0.0, from, to);
    double r[MAX_ORDER], rho[MAX_ORDER], B, w0 = c.m_coef;
    for (int k = 1; k < p; k++) r[k - 1] = (lambda[k] - lambda[0]) / c.h;
    brume_unipc_rho(r, p, c.h, s->config->solver_type == BRUME_SOLVER_BH1, after != NULL, rho, &B);
    brume_terms_add(out, c.x_coef, x);
    for (int k = 1; k < p; k++) {
        const double w = -to->a * B * rho[k - 1] / r[k - 1];
        brume_terms_add(out, w, m[k]);
        w0 -= w;
    }
    if (after) {
        const double w = -to->a * B * rho[p - 1];
        brume_terms_add(out, w, after);
        w0 -= w;
    }
    brume_terms_add(out, w0, m[0]);
    return c;
}

brume_status brume_run_unipc(struct brume_sampling *s)
{
    const struct brume_node *node = s->grid->node;
    const int order = s->config->solver_order, bh1 = s->config->solver_type == BRUME_SOLVER_BH1;
    brume_buffer *m[KEPT], *before; /* predictions, newest first; the state that the last predictor started from */
    double lambda[KEPT] = { 0 };
    int p = 0, known = 0; /* order of the last predictor; predictions that may be differenced */
    brume_status e = BRUME_OK;
    if (order < 1 || order > MAX_ORDER)
        return brume_fail(BRUME_E_ARG, "solver_order of UniPC must be within 1 .. %d, got %d", MAX_ORDER, order);
    if (bh1 && (node[s->n].s <= 0 || node[s->first].a <= 0))
        return brume_fail(
            BRUME_E_ARG,
            "solver_type bh1 is undefined where sigma is 0 or infinite: final_sigmas_type must be sigma_min, or use bh2");
    for (int k = 0; k <= order && e == BRUME_OK; k++) e = brume_sampling_register(s, k, &m[k]);
    if (e == BRUME_OK) e = brume_sampling_register(s, order + 1, &before);
    for (int32_t i = s->first; i < s->n && e == BRUME_OK; i++) {
        brume_buffer *oldest = m[order];
        for (int k = order; k > 0; k--) {
            m[k] = m[k - 1];
            lambda[k] = lambda[k - 1];
        }
        m[0] = oldest;
        lambda[0] = brume_node_lambda(&node[i]);
        s->x0 = m[0]; /* observers see the history's newest */
        e = brume_sampling_denoise(s, s->x, &node[i], m[0]);
        /* the last step again, now that the prediction at its end is known */
        if (e == BRUME_OK && i > s->first && corrects(s, i - 1)) {
            struct brume_terms x = { 0 };
            terms_of(s, before, &node[i - 1], &node[i], p, m + 1, lambda + 1, m[0], &x);
            e = brume_sampling_update(s, &x);
        }
        if (e != BRUME_OK) break;
        known = isfinite(lambda[0]) ? known + 1 : 0;
        const double h = brume_node_lambda(&node[i + 1]) - lambda[0];
        p = order < known ? order : known;
        if (s->config->lower_order_final && p > s->n - i) p = s->n - i;
        if (p < 1 || !isfinite(h) || h <= 0) p = 1;
        struct brume_terms x = { 0 };
        const struct brume_dpm_step c = terms_of(s, s->x, &node[i], &node[i + 1], p, m, lambda, NULL, &x);
        e = brume_dpm_finish(s, &x, &c, &node[i + 1], &before);
    }
    return e;
}
