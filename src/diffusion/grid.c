/* SPDX-License-Identifier: MIT
 * Grids: the nodes that a sampling run visits. */
#include <math.h>
#include <stdlib.h>

#include "base/fail.h"
#include "brume/ladder.h"
#include "diffusion/grid.h"

/* Processes whose own state is x0 + sigma eps. */
static int explodes(const brume_process *p)
{
    const brume_process_kind k = brume_process_get_kind(p);
    return k == BRUME_PROCESS_EDM || k == BRUME_PROCESS_NCSN || k == BRUME_PROCESS_VE;
}

static struct brume_node node_of_level(const brume_process *p, enum brume_state_space space, const brume_level *l, double sigma,
                                       double u)
{
    if (space == BRUME_STATE_SIGMA || explodes(p))
        return (struct brume_node){ .t = l->t, .u = u, .a = 1, .s = sigma, .scale = l->a };
    return (struct brume_node){ .t = l->t, .u = u, .a = l->a, .s = l->s, .scale = 1 };
}

struct brume_node brume_node_of_sigma(const brume_process *p, enum brume_state_space space, double sigma, double t)
{
    const brume_level l = brume_process_level_of_sigma(p, sigma);
    struct brume_node node = node_of_level(p, space, &l, sigma, brume_process_time_of_sigma(p, sigma));
    if (t >= 0 && brume_process_get_kind(p) == BRUME_PROCESS_DISCRETE) node.t = node.u = t;
    return node;
}

struct brume_node brume_node_of_sde_time(const brume_process *p, double u)
{
    const brume_level l = brume_process_sde_level(p, u);
    return node_of_level(p, BRUME_STATE_X, &l, l.s / l.a, u);
}

static struct brume_node node_of_time(const brume_process *p, int32_t t)
{
    const brume_schedule *s = brume_process_schedule(p);
    return (struct brume_node){ .t = t, .u = t, .a = sqrt(brume_alpha_bar(s, t)),
                                .s = sqrt(brume_one_minus_alpha_bar(s, t)), .scale = 1 };
}

void brume_grid_free(struct brume_grid *g)
{
    free(g->node);
    free(g->t);
    free(g->sigma);
    g->node = NULL;
    g->t = g->sigma = NULL;
}

/* LCM: n of the original_inference_steps times k T / original - 1 that the model was distilled on (Luo et al. 2023) */
static brume_status times_of_lcm(const brume_scheduler_config *c, struct brume_places *g)
{
    const int32_t T = c->num_train_timesteps, original = c->original_inference_steps;
    if (original > T) return brume_fail(BRUME_E_ARG, "original_inference_steps %d is more than the %d time steps", original, T);
    if (g->n > original) return brume_fail(BRUME_E_ARG, "an LCM made for %d steps cannot take %d", original, g->n);
    for (int32_t i = 0; i < g->n; i++) {
        const int32_t k = original - (int32_t)floor(i * ((double)original / g->n));
        g->t[i] = (double)k * (T / original) - 1;
    }
    return BRUME_OK;
}

brume_status brume_places_times(const brume_scheduler_config *c, const brume_sampler_options *o, enum brume_grid_family family,
                                struct brume_places *g)
{
    if (family == BRUME_GRID_LCM) return times_of_lcm(c, g);
    if (o->n_sections < 1) return brume_schedule_timesteps(c, g->n, g->t);
    const brume_status s = brume_schedule_sections(c->num_train_timesteps, o->sections, o->n_sections, g->t, &g->n);
    for (int32_t i = 0; s == BRUME_OK && i < g->n / 2; i++) {
        const double t = g->t[i];
        g->t[i] = g->t[g->n - 1 - i];
        g->t[g->n - 1 - i] = t;
    }
    return s;
}

static brume_status fill_times(const brume_process *p, const brume_scheduler_config *c, const brume_sampler_options *o,
                               enum brume_grid_family family, struct brume_grid *g)
{
    struct brume_places at = { g->n, g->t, g->sigma, 0 };
    if (brume_process_get_kind(p) != BRUME_PROCESS_DISCRETE)
        return brume_fail(BRUME_E_ARG, "whole time steps are a matter of discrete schedules");
    const brume_status s = brume_places_times(c, o, family, &at);
    if (s != BRUME_OK) return s;
    g->n = at.n;
    for (int32_t i = 0; i <= g->n; i++) {
        g->node[i] = node_of_time(p, i < g->n ? (int32_t)at.t[i] : -1);
        g->sigma[i] = brume_sigma(brume_process_schedule(p), (int32_t)g->node[i].t);
    }
    g->start_scale = 1;
    return BRUME_OK;
}

static brume_status fill_sigmas(const brume_process *p, const brume_scheduler_config *c, double mu, enum brume_grid_family family,
                                enum brume_state_space space, struct brume_grid *g)
{
    const brume_process_kind kind = brume_process_get_kind(p);
    struct brume_places at = { g->n, g->t, g->sigma, 0 };
    const brume_status s = kind == BRUME_PROCESS_DISCRETE ? brume_places_discrete(p, c, family, &at)
                           : kind == BRUME_PROCESS_FLOW   ? brume_places_flow(c, mu, family, &at)
                                                          : brume_places_continuous(p, c, &at);
    if (s != BRUME_OK) return s;
    g->n = at.n;
    g->sigma[g->n] = at.last;
    if (kind == BRUME_PROCESS_FLOW)
        for (int32_t i = 0; i <= g->n; i++) g->sigma[i] /= 1 - g->sigma[i];
    for (int32_t i = 0; i <= g->n; i++) {
        g->node[i] = brume_node_of_sigma(p, space, g->sigma[i], kind == BRUME_PROCESS_DISCRETE && i < g->n ? g->t[i] : -1);
        if (c->use_flow_sigmas && i < g->n) g->node[i].t = g->t[i];
    }
    for (int32_t i = 1; i < g->n && family != BRUME_GRID_SIGMAS; i++)
        if (g->sigma[i] == g->sigma[i - 1])
            return brume_fail(BRUME_E_ARG, "two of %d steps have the same noise: take fewer", g->n);
    const struct brume_node *first = &g->node[0];
    if (explodes(p)) g->start_scale = first->s;
    else if (space == BRUME_STATE_X) g->start_scale = 1;
    /* as diffusers */
    else if (kind == BRUME_PROCESS_DISCRETE && c->timestep_spacing != BRUME_SPACING_LEADING) g->start_scale = first->s;
    else g->start_scale = 1 / first->scale;
    return BRUME_OK;
}

static brume_status fill_flow(const brume_process *p, const brume_scheduler_config *c, double mu, struct brume_grid *g)
{
    struct brume_places at = { g->n, g->t, g->sigma, 0 };
    if (brume_process_get_kind(p) != BRUME_PROCESS_FLOW)
        return brume_fail(BRUME_E_ARG, "this sampler is for models of flow matching");
    const brume_status s = brume_places_flow(c, mu, BRUME_GRID_FLOW, &at);
    if (s != BRUME_OK) return s;
    g->sigma[g->n] = at.last;
    for (int32_t i = 0; i <= g->n; i++) {
        const brume_level l = brume_process_level(p, g->sigma[i]);
        g->node[i] = (struct brume_node){ .t = l.t, .u = g->sigma[i], .a = l.a, .s = l.s, .scale = 1 };
    }
    g->start_scale = 1;
    return BRUME_OK;
}

static void fill_ladder(const brume_process *p, enum brume_state_space space, struct brume_grid *g)
{
    double lo, hi;
    brume_process_sigma_range(p, &lo, &hi);
    brume_exponential_sigmas(lo, hi, g->n, g->sigma);
    g->sigma[g->n] = g->sigma[g->n - 1];
    for (int32_t i = 0; i <= g->n; i++) g->node[i] = brume_node_of_sigma(p, space, g->sigma[i], -1);
    g->start_scale = explodes(p) || space == BRUME_STATE_SIGMA ? g->node[0].s : 1;
}

/* Smallest time of an SDE; before its first time step a discrete schedule knows nothing. */
static double least_time(const brume_process *p, const brume_scheduler_config *c)
{
    return brume_process_get_kind(p) == BRUME_PROCESS_DISCRETE ? fmax(c->sampling_eps, 1.0 / brume_process_schedule(p)->T)
                                                               : c->sampling_eps;
}

static brume_status fill_sde(const brume_process *p, const brume_scheduler_config *c, struct brume_grid *g)
{
    double drift, diffusion;
    const double eps = least_time(p, c);
    if (!brume_process_sde(p, 1, &drift, &diffusion))
        return brume_fail(BRUME_E_ARG, "this sampler is for SDEs; a model of this process has none");
    for (int32_t i = 0; i < g->n; i++) g->node[i] = brume_node_of_sde_time(p, g->n > 1 ? 1 + i * ((eps - 1) / (g->n - 1)) : 1);
    if (g->n > 1) g->node[g->n - 1] = brume_node_of_sde_time(p, eps);
    g->node[g->n] = brume_node_of_sde_time(p, 0);
    g->node[g->n].s = 0; /* the last step leaves the smallest noise for none */
    g->node[g->n].a = 1;
    for (int32_t i = 0; i <= g->n; i++) g->sigma[i] = g->node[i].s / g->node[i].a;
    g->start_scale = brume_process_prior_std(p);
    return BRUME_OK;
}

/* What an adaptive sampler goes between: one step as far as the grid is concerned. */
static void fill_ends(const brume_process *p, const brume_scheduler_config *c, struct brume_grid *g)
{
    double drift, diffusion, lo, hi;
    g->n = 1;
    brume_process_sigma_range(p, &lo, &hi);
    for (int32_t i = 0; i < 2; i++) {
        const brume_level flow = brume_process_level(p, 1 - i);
        if (brume_process_get_kind(p) == BRUME_PROCESS_FLOW)
            g->node[i] = node_of_level(p, BRUME_STATE_X, &flow, flow.s / flow.a, 1 - i);
        else if (brume_process_sde(p, 1, &drift, &diffusion)) g->node[i] = brume_node_of_sde_time(p, i ? least_time(p, c) : 1);
        else g->node[i] = brume_node_of_sigma(p, BRUME_STATE_X, i ? lo : hi, -1);
        g->sigma[i] = g->node[i].s / g->node[i].a;
    }
    g->start_scale = brume_process_prior_std(p);
}

brume_status brume_grid_new(const brume_process *p, const brume_scheduler_config *c, const brume_sampler_options *o,
                            enum brume_grid_family family, enum brume_state_space space, int32_t n, struct brume_grid *g)
{
    *g = (struct brume_grid){ .n = n };
    if (n < 1 || n > 100000000)
        return brume_fail(BRUME_E_ARG, "the number of sampling steps must be at least 1 and less than 1e8, got %d", n);
    g->node = malloc(((size_t)n + 1) * sizeof *g->node);
    g->t = malloc(((size_t)n + 1) * sizeof *g->t);
    g->sigma = malloc(((size_t)n + 1) * sizeof *g->sigma);
    brume_status s =
        g->node && g->t && g->sigma ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "out of memory for a grid of %d steps", n);
    if (s == BRUME_OK) {
        switch (family) {
        case BRUME_GRID_TIMES: case BRUME_GRID_LCM: s = fill_times(p, c, o, family, g); break;
        case BRUME_GRID_SIGMAS: case BRUME_GRID_MULTISTEP: case BRUME_GRID_SINGLESTEP: case BRUME_GRID_UNIPC:
            s = fill_sigmas(p, c, o->mu, family, space, g);
            break;
        case BRUME_GRID_FLOW: s = fill_flow(p, c, o->mu, g); break;
        case BRUME_GRID_LADDER: fill_ladder(p, space, g); break;
        case BRUME_GRID_SDE: s = fill_sde(p, c, g); break;
        case BRUME_GRID_ENDS: fill_ends(p, c, g); break;
        }
    }
    for (int32_t i = 0; s == BRUME_OK && i < g->n; i++) g->t[i] = g->node[i].t;
    if (s != BRUME_OK) brume_grid_free(g);
    return s;
}
