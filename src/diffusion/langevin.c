/* SPDX-License-Identifier: MIT
 * Annealed Langevin dynamics (Song & Ermon 2019, algorithm 1; Song & Ermon 2020): some noisy steps uphill at every level of a
 * ladder. */
#include <math.h>

#include "diffusion/sampling.h"

/* As many steps as the papers make in all: 10 levels x 100 (NCSN), 232 x 5 (NCSNv2). */
static int32_t steps_per_level(const brume_scheduler_config *c, const brume_sampler_options *o)
{
    const int32_t levels = c->num_train_timesteps;
    if (o->langevin_steps > 0) return o->langevin_steps;
    return levels < 200 ? (int32_t)ceil(1000.0 / levels) : 5;
}

int32_t brume_calls_ald(const brume_scheduler_config *c, const brume_sampler_options *o, int32_t n)
{
    return n * steps_per_level(c, o) + (o->denoise_last != 0);
}

/* Variance, in units of the next level's, after n steps that begin with g^2 of it: (1 - l)^(2n) (g^2 - q) + q, l = step / sigma^2
 * (Song & Ermon 2020, proposition 3 and technique 4). */
static double settled(double l, double g2, int32_t n)
{
    const double q = 1 / (1 - 0.5 * l);
    return pow(1 - l, 2.0 * n) * (g2 - q) + q;
}

/* Technique 4: the step at the last level, sigma, that leaves each level's variance nearest to what the next one expects. The
 * variance falls with l until the noise of the steps themselves takes over, so it has one minimum: golden section. */
double brume_langevin_step(double sigma, double ratio, int32_t n)
{
    const double golden = 0.5 * (sqrt(5.0) - 1), g2 = ratio * ratio;
    double lo = log(1e-8), hi = 0;
    for (int i = 0; i < 80; i++) {
        const double m1 = hi - golden * (hi - lo), m2 = lo + golden * (hi - lo);
        if (settled(exp(m1), g2, n) < settled(exp(m2), g2, n)) hi = m2;
        else lo = m1;
    }
    return sigma * sigma * exp(0.5 * (lo + hi));
}

/* x' = x + k S + sqrt(2 k) z, k = step (sigma_i / sigma_L)^2 as in the released code, half of that as the paper prints it. */
static brume_status inner(struct brume_sampling *s, const struct brume_node *at, double k)
{
    brume_buffer *score;
    struct brume_terms x = { 0 };
    brume_status e = brume_sampling_replace(s, at);
    if (e == BRUME_OK) e = brume_sampling_predict(s, s->x, at);
    if (e == BRUME_OK) e = brume_sampling_register(s, 0, &score);
    if (e == BRUME_OK) e = brume_sampling_score(s, s->x, score);
    if (e == BRUME_OK) e = brume_sampling_noise(s);
    if (e != BRUME_OK) return e;
    brume_terms_add(&x, 1, s->x);
    brume_terms_add(&x, k, score);
    brume_terms_add(&x, sqrt(2 * k), s->z);
    e = brume_sampling_update(s, &x);
    return e == BRUME_OK ? brume_sampling_step(s, at) : e;
}

/* x + sigma_L^2 S: Tweedie's estimate, the noise-free end of NCSNv2 */
static brume_status denoise(struct brume_sampling *s, const struct brume_node *at)
{
    const struct brume_node clean = { .t = at->t, .u = at->u, .a = 1, .s = 0, .scale = 1 };
    brume_buffer *score;
    struct brume_terms x = { 0 };
    brume_status e = brume_sampling_predict(s, s->x, at);
    if (e == BRUME_OK) e = brume_sampling_register(s, 0, &score);
    if (e == BRUME_OK) e = brume_sampling_score(s, s->x, score);
    if (e != BRUME_OK) return e;
    brume_terms_add(&x, 1, s->x);
    brume_terms_add(&x, at->s * at->s, score);
    e = brume_sampling_update(s, &x);
    if (e == BRUME_OK) e = brume_sampling_replace(s, &clean);
    return e == BRUME_OK ? brume_sampling_step(s, &clean) : e;
}

static brume_status anneal(struct brume_sampling *s, double share)
{
    const brume_sampler_options *o = s->options;
    const int32_t levels = s->n, each = steps_per_level(s->config, o);
    const struct brume_node *node = s->grid->node, *last = &node[levels - 1];
    const double ratio = levels > 1 ? pow(node[0].s / last->s, 1.0 / (levels - 1)) : 1;
    const double step = share * (o->langevin_step > 0 ? o->langevin_step : brume_langevin_step(last->s, ratio, each) / share);
    brume_status e = BRUME_OK;
    s->n = s->first + brume_calls_ald(s->config, o, levels - s->first);
    for (int32_t i = s->first; i < levels && e == BRUME_OK; i++)
        for (int32_t k = 0; k < each && e == BRUME_OK; k++)
            e = inner(s, &node[i], step * (node[i].s / last->s) * (node[i].s / last->s));
    return e == BRUME_OK && o->denoise_last != 0 ? denoise(s, last) : e;
}

brume_status brume_run_ald(struct brume_sampling *s) { return anneal(s, 1); }
brume_status brume_run_ald_paper(struct brume_sampling *s) { return anneal(s, 0.5); }
