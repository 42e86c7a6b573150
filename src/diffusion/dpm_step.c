/* SPDX-License-Identifier: MIT
 * One step of DPM-Solver (Lu et al. 2022a, eq. 3.4) and DPM-Solver++ (Lu et al. 2022b, proposition 4.1 and its form for the
 * SDE). */
#include "diffusion/dpm_step.h"

#include <math.h>

#include "base/fail.h"
#include "diffusion/solver_coef.h"

double brume_node_lambda(const struct brume_node *node) { return log(node->a) - log(node->s); }

/* With (a, s) before and (b, c) after, the three forms differ in a base and a factor k of h only:
 *   dpmsolver++      base b, k = 1          the variable is x / s
 *   sde-dpmsolver++  base b, k = 1 + eta    eta = 1 is the reverse SDE; its noise decays with e^(-eta h)
 *   dpmsolver        base c, k = -1         the variable is x / a */
struct brume_dpm_step brume_dpm_step_of(brume_algorithm algorithm, double eta, const struct brume_node *from,
                                        const struct brume_node *to)
{
    struct brume_dpm_step c = { .h = brume_node_lambda(to) - brume_node_lambda(from) };
    double base = to->a, k = 1.0;
    c.x_coef = to->s / from->s;
    if (algorithm == BRUME_DPMSOLVER) {
        base = to->s;
        k = -1.0;
        c.x_coef = to->a / from->a;
    } else if (algorithm == BRUME_SDE_DPMSOLVERPP && eta > 0) {
        k = 1.0 + eta;
        c.x_coef *= exp(-eta * c.h);
        c.draws = 1;
        /* h may be -1e-16 where a grid ends in its smallest sigma twice */
        c.noise = to->s * sqrt(fmax(-expm1(-2.0 * eta * c.h), 0));
    }
    c.m_coef = -base * expm1(-k * c.h);
    c.d1_coef = base * brume_phi1(k * c.h);
    c.d2_coef = -base * brume_phi2(k * c.h);
    return c;
}

struct brume_dpm_step brume_dpm_step_in(const struct brume_sampling *s, const struct brume_node *from,
                                        const struct brume_node *to)
{
    return brume_dpm_step_of(s->config->algorithm_type, s->kind->default_eta > 0 ? s->eta : 1.0, from, to);
}

brume_status brume_dpm_ask(struct brume_sampling *s, brume_buffer *state, const struct brume_node *at, brume_buffer *out)
{
    if (s->config->algorithm_type != BRUME_DPMSOLVER) {
        s->x0 = out; /* the history's newest is what observers see, too */
        return brume_sampling_denoise(s, state, at, out);
    }
    brume_status e = brume_sampling_predict(s, state, at);
    if (e != BRUME_OK || !brume_sampling_clips(s)) return e == BRUME_OK ? brume_sampling_eps(s, state, out) : e;
    struct brume_terms eps = { 0 }; /* of the clipped x0, so that both tell the same */
    e = brume_sampling_x0(s, state, s->x0);
    brume_terms_add(&eps, 1.0 / at->s, state);
    brume_terms_add(&eps, -at->a / at->s, s->x0);
    return e == BRUME_OK ? brume_sampling_combine(s, &eps, out) : e;
}

void brume_dpm_add_asked(const struct brume_sampling *s, double weight, brume_buffer *state, brume_buffer *out,
                         struct brume_terms *terms)
{
    double cx, cm;
    if (weight == 0 || brume_sampling_clips(s)) {
        brume_terms_add(terms, weight, out);
        return;
    }
    if (s->config->algorithm_type == BRUME_DPMSOLVER) brume_sampling_eps_coef(s, &cx, &cm);
    else brume_sampling_x0_coef(s, &cx, &cm);
    brume_terms_add(terms, weight * cx, state);
    brume_terms_add(terms, weight * cm, s->m);
}

brume_status brume_dpm_check(const struct brume_sampling *s)
{
    if (s->config->solver_order < 1 || s->config->solver_order > 3)
        return brume_fail(BRUME_E_ARG, "solver_order of DPM-Solver must be within 1 .. 3, got %d", s->config->solver_order);
    if (s->config->algorithm_type != BRUME_DPMSOLVER) return BRUME_OK;
    if (s->grid->node[s->n].s <= 0)
        return brume_fail(
            BRUME_E_ARG,
            "algorithm_type dpmsolver cannot reach noise 0: final_sigmas_type must be sigma_min, or use dpmsolver++");
    if (s->grid->node[s->first].a <= 0)
        return brume_fail(BRUME_E_ARG,
                          "algorithm_type dpmsolver cannot start where x holds no signal (sigma = inf): use dpmsolver++");
    return BRUME_OK;
}

brume_status brume_dpm_finish(struct brume_sampling *s, struct brume_terms *terms, const struct brume_dpm_step *c,
                              const struct brume_node *to, brume_buffer **before)
{
    brume_status e = BRUME_OK;
    if (c->draws) {
        e = brume_sampling_noise(s);
        brume_terms_add(terms, c->noise, s->z);
    }
    if (e == BRUME_OK) e = brume_sampling_update(s, terms);
    if (e == BRUME_OK && before) {
        brume_buffer *x = s->spare;
        s->spare = *before;
        *before = x;
    }
    return e == BRUME_OK ? brume_sampling_step(s, to) : e;
}
