/* SPDX-License-Identifier: MIT
 * DPM-Solver++ as stochastic samplers in sigma (Lu et al. 2022b in the form of k-diffusion): 2S ancestral, SDE, 2M SDE and 3M
 * SDE. y = x0 + sigma eps, D = E[x0 | y], h = ln(s0 / s1). */
#include <math.h>

#include "diffusion/sigma_space.h"
#include "diffusion/solver_coef.h"

/* Adds r y + (1 - r) D, D of the last evaluation, which was made for `asked`: the exact step from a level to r times it if D is
 * constant. */
static void add_decay(struct brume_sampling *s, double r, brume_buffer *y, brume_buffer *asked, struct brume_terms *terms)
{
    brume_terms_add(terms, r, y);
    brume_sigma_add_denoised(s, 1.0 - r, asked, terms);
}

/* Both two-stage methods: to the middle with D at the grid point, then from the grid point with D of the middle, each by its
 * decay and with fresh noise. A draw is made where the method has one, whatever its factor, so that the order of draws does not
 * depend on eta. */
struct stages { double middle, decay_middle, noise_middle, decay, noise; int draws_middle; };

static brume_status two_stages(struct brume_sampling *s, int32_t i, const struct stages *k, brume_buffer **keep)
{
    const struct brume_node middle = brume_node_of_sigma(s->process, BRUME_STATE_SIGMA, k->middle, -1.0);
    struct brume_terms ym = { 0 }, y = { 0 };
    brume_status e = k->draws_middle ? brume_sampling_noise(s) : BRUME_OK;
    if (e != BRUME_OK) return e;
    add_decay(s, k->decay_middle, s->x, s->x, &ym);
    brume_terms_add(&ym, k->noise_middle, s->z);
    e = brume_sigma_branch(s, &ym, &middle, keep);
    if (e == BRUME_OK) e = brume_sigma_evaluate(s, &middle);
    if (e == BRUME_OK) e = brume_sampling_noise(s);
    if (e != BRUME_OK) return e;
    add_decay(s, k->decay, *keep, s->x, &y);
    brume_terms_add(&y, k->noise, s->z);
    return brume_sigma_complete(s, &y, i);
}

/* Second order: down to less noise than the next level has, half the way in ln sigma first; fresh noise for the difference (2S
 * ancestral). */
brume_status brume_run_dpmpp_2s_ancestral(struct brume_sampling *s)
{
    const struct brume_node *node = s->grid->node;
    brume_buffer *keep;
    brume_status e = brume_sampling_register(s, 0, &keep);
    for (int32_t i = s->first; i < s->n && e == BRUME_OK; i++) {
        const double s0 = node[i].s, s1 = node[i + 1].s;
        double down, up;
        brume_ancestral(s0, s1, s->eta, &down, &up);
        e = brume_sigma_evaluate(s, &node[i]);
        if (e != BRUME_OK) return e;
        const double middle = sqrt(s0 * down);
        const struct stages k = { middle, middle / s0, 0.0, down / s0, up, 0 };
        e = s1 > 0 ? two_stages(s, i, &k, &keep) : brume_sigma_euler_step(s, &node[i], i);
    }
    return e;
}

/* The SDE solved with two stages, r = 1/2: each an ancestral step from the grid point, the first to the middle (in ln sigma). */
brume_status brume_run_dpmpp_sde(struct brume_sampling *s)
{
    const struct brume_node *node = s->grid->node;
    brume_buffer *keep;
    brume_status e = brume_sampling_register(s, 0, &keep);
    for (int32_t i = s->first; i < s->n && e == BRUME_OK; i++) {
        const double s0 = node[i].s, s1 = node[i + 1].s, middle = sqrt(s0 * s1);
        e = brume_sigma_evaluate(s, &node[i]);
        if (e != BRUME_OK) return e;
        double down_middle, up_middle, down, up;
        brume_ancestral(s0, middle, s->eta, &down_middle, &up_middle);
        brume_ancestral(s0, s1, s->eta, &down, &up);
        const struct stages k = { middle, down_middle / s0, up_middle, down / s0, up, 1 };
        e = s1 > 0 ? two_stages(s, i, &k, &keep) : brume_sigma_euler_step(s, &node[i], i);
    }
    return e;
}

/* Adds what the history of D, newest first, says of its course within a step: h = ln(s0 / s1), H = (1 + eta) h, before[] the h of
 * the steps from D[1] to D[0] and from D[2] to D[1]. With d0 = (D0 - D1) / r0, da = (D1 - D2) / r1, r = before / h:
 *   two:    phi1(H) d0, or by the midpoint rule -expm1(-H) d0 / 2
 *   three:  phi1(H) (d0 + (d0 - da) r0 / (r0 + r1)) - phi2(H) (d0 - da) / (r0 + r1) as released; third order needs twice the last
 *           term */
static void add_differences(const struct brume_sampling *s, int32_t have, int most, double h, double H, brume_buffer *const D[3],
                            const double before[2], struct brume_terms *y)
{
    double of_d0, of_da = 0.0;
    if (have < 2) return;
    if (most == 3 && have >= 3) {
        const double phi1 = brume_phi1(H), twice = s->config->exact_third_order ? 2.0 : 1.0;
        of_da = -(phi1 * before[0] - twice * brume_phi2(H) * h) / (before[0] + before[1]);
        of_d0 = phi1 - of_da;
    } else {
        of_d0 = most == 3 || s->config->solver_type == BRUME_SOLVER_HEUN ? brume_phi1(H) : -0.5 * expm1(-H);
    }
    const double c0 = of_d0 * h / before[0], ca = of_da != 0.0 ? of_da * h / before[1] : 0.0;
    brume_terms_add(y, c0, D[0]);
    brume_terms_add(y, ca - c0, D[1]);
    brume_terms_add(y, -ca, D[2]);
}

static brume_status multistep(struct brume_sampling *s, int most)
{
    const struct brume_node *node = s->grid->node;
    brume_buffer *D[3] = { 0 }; /* newest first */
    double before[2] = { 0, 0 };
    brume_status e = BRUME_OK;
    for (int k = 0; k < most && e == BRUME_OK; k++) e = brume_sampling_register(s, k, &D[k]);
    for (int32_t i = s->first; i < s->n && e == BRUME_OK; i++) {
        const double s0 = node[i].s, s1 = node[i + 1].s, h = log(s0 / s1), H = h * (1.0 + s->eta);
        struct brume_terms y = { 0 };
        brume_buffer *oldest = D[most - 1];
        for (int k = most - 1; k > 0; k--) D[k] = D[k - 1];
        D[0] = oldest;
        e = brume_sampling_denoise(s, s->x, &node[i], D[0]);
        if (e != BRUME_OK) return e;
        if (s1 == 0) {
            brume_terms_add(&y, 1.0, D[0]);
        } else {
            brume_terms_add(&y, exp(-H), s->x);
            brume_terms_add(&y, -expm1(-H), D[0]);
            add_differences(s, i - s->first + 1, most, h, H, D, before, &y);
            if (s->eta > 0) e = brume_sampling_noise(s);
            brume_terms_add(&y, s1 * sqrt(fmax(-expm1(-2.0 * h * s->eta), 0)), s->z);
        }
        if (e == BRUME_OK) e = brume_sigma_complete(s, &y, i);
        before[1] = before[0];
        before[0] = h;
    }
    return e;
}

brume_status brume_run_dpmpp_2m_sde(struct brume_sampling *s) { return multistep(s, 2); }
brume_status brume_run_dpmpp_3m_sde(struct brume_sampling *s) { return multistep(s, 3); }
