/* SPDX-License-Identifier: MIT
 * Reading a case of the sampler goldens (format: golden/samplers.md of the shared data). */
#include "golden_case.h"

#include <stdio.h>
#include <string.h>

#include "base/fail.h"

static double number(const brume_json *c, const char *key, double otherwise)
{
    return brume_json_number(brume_json_find(c, key), otherwise);
}
static int32_t integer(const brume_json *c, const char *key, int64_t otherwise)
{
    return (int32_t)brume_json_integer(brume_json_find(c, key), otherwise);
}
static const char *string(const brume_json *c, const char *key, const char *otherwise)
{
    return brume_json_string(brume_json_find(c, key), otherwise);
}

static brume_status read_scheduler(const brume_json *c, struct golden_case *g)
{
    const brume_json *step = brume_json_find(c, "step");
    const brume_status s = brume_scheduler_config_from_json(brume_json_find(c, "scheduler"), &g->config, NULL);
    if (s != BRUME_OK) return s;
    const brume_sampler_kind *kind = brume_sampler_for_config(&g->config);
    if (!kind || !kind->scheduler_class || strcmp(kind->scheduler_class, g->config.class_name))
        return brume_fail(BRUME_E_UNSUPPORTED, "no sampler row for %s", g->config.class_name);
    snprintf(g->name, sizeof g->name, "%s", kind->name);
    g->options.eta = number(step, "eta", kind->default_eta);
    g->options.use_clipped_model_output = brume_json_boolean(brume_json_find(step, "use_clipped_model_output"), 0);
    g->options.order = integer(step, "order", 0);
    g->options.mu = number(brume_json_find(c, "set_timesteps"), "mu", 0);
    g->prediction = g->config.process == BRUME_PROCESS_FLOW ? BRUME_PREDICT_FLOW : g->config.prediction_type;
    return BRUME_OK;
}

/* Sigma-space samplers over a grid of their own: y = x0 + sigma eps. */
static brume_status read_sigma_grid(const brume_json *c, const brume_json *grid, struct golden_case *g)
{
    const char *type = string(grid, "type", "?");
    const int geometric = !strcmp(type, "geometric");
    const brume_status s = brume_scheduler_config_class(geometric ? "NCSNScheduler" : "EDMEulerScheduler", &g->config);
    if (s != BRUME_OK) return s;
    g->config.sigmas = !strcmp(type, "karras") ? BRUME_SIGMAS_KARRAS
                       : !strcmp(type, "vp")   ? BRUME_SIGMAS_VP
                                               : BRUME_SIGMAS_EXPONENTIAL;
    g->config.sigma_max = number(grid, "max", g->config.sigma_max);
    g->config.sigma_min = number(grid, "min", g->config.sigma_min);
    g->config.rho = number(grid, "rho", 7);
    g->config.solver_type = strcmp(string(c, "solver_type", "midpoint"), "heun") ? BRUME_SOLVER_MIDPOINT : BRUME_SOLVER_HEUN;
    if (geometric) {
        g->config.sigmas = BRUME_SIGMAS_GEOMETRIC;
        g->config.num_train_timesteps = integer(grid, "n", 10);
        g->options.langevin_steps = integer(c, "n_each", 0);
        g->options.langevin_step = number(c, "step_lr", 0);
        g->options.denoise_last = brume_json_boolean(brume_json_find(c, "denoise"), 0);
    }
    g->prediction = geometric ? BRUME_PREDICT_SCORE : BRUME_PREDICT_X0;
    g->options.eta = number(c, "eta", -1);
    g->options.s_churn = number(c, "S_churn", 0);
    g->options.s_min = number(c, "S_min", 0);
    g->options.s_max = number(c, "S_max", 0);
    g->options.s_noise = number(c, "S_noise", 1);
    return BRUME_OK;
}

static brume_status read_sde(const brume_json *c, struct golden_case *g)
{
    const char *sde = string(c, "sde", "?");
    const int ve = !strcmp(sde, "ve");
    const brume_status s = brume_scheduler_config_class(ve                   ? "ScoreSdeVeScheduler"
                                                        : !strcmp(sde, "vp") ? "ScoreSdeVpScheduler"
                                                                             : "ScoreSdeSubVpScheduler",
                                                        &g->config);
    if (s != BRUME_OK) return s;
    g->config.sigma_min = number(c, "sigma_min", 0.01);
    g->config.sigma_max = number(c, "sigma_max", 50);
    g->config.beta_min = number(c, "beta0", 0.1);
    g->config.beta_max = number(c, "beta1", 20);
    g->config.sampling_eps = number(c, "eps", number(c, "t1", 1e-3));
    g->config.num_train_timesteps = integer(c, "N", 1000);
    g->options.steps = integer(c, "N", 0);
    g->options.snr = number(c, "snr", 0.16);
    g->options.correct_steps = strcmp(string(c, "corrector", "none"), "none") ? integer(c, "n_corr", 1) : 0;
    snprintf(g->predictor, sizeof g->predictor, "%s", string(c, "predictor", "reverse_diffusion"));
    snprintf(g->corrector, sizeof g->corrector, "%s", string(c, "corrector", "none"));
    g->options.predictor = g->predictor;
    g->options.corrector = g->corrector;
    g->options.probability_flow = brume_json_boolean(brume_json_find(c, "pflow"), 0);
    g->options.rtol = number(c, "rtol", 0);
    g->options.atol = number(c, "atol", 0);
    g->prediction = BRUME_PREDICT_SCORE;
    return BRUME_OK;
}

static brume_status read_discrete(const brume_json *c, struct golden_case *g)
{
    static const char *const variances[] = { "fixed_small", "fixed_large", "learned_range", "learned" };
    const brume_json *sections = brume_json_find(c, "sections");
    brume_status s = brume_scheduler_config_from_json(brume_json_find(c, "schedule"), &g->config, NULL);
    if (s != BRUME_OK) return s;
    for (int v = 0; v < 4; v++)
        if (!strcmp(string(c, "variance_type", "fixed_small"), variances[v])) g->config.variance_type = (brume_variance)v;
    g->config.clip_sample = brume_json_boolean(brume_json_find(c, "clip"), 0);
    g->config.steps_offset = integer(c, "steps_offset", 0);
    const char *spacing = string(c, "timestep_spacing", "leading");
    g->config.timestep_spacing = !strcmp(spacing, "leading")    ? BRUME_SPACING_LEADING
                                 : !strcmp(spacing, "trailing") ? BRUME_SPACING_TRAILING
                                                                : BRUME_SPACING_LINSPACE;
    for (int64_t i = 0; i < brume_json_count(sections) && i < 16; i++)
        g->sections[g->options.n_sections++] = (int32_t)brume_json_integer(brume_json_at(sections, i), 0);
    g->options.sections = g->options.n_sections ? g->sections : NULL;
    g->options.strength = number(c, "strength", 1);
    g->options.eta = number(c, "eta", 0);
    g->options.jump_length = integer(c, "jump_length", 0);
    g->options.jump_n_sample = integer(c, "jump_n_sample", 0);
    g->target = integer(c, "target", -1);
    g->prediction = BRUME_PREDICT_EPS;
    return s;
}

brume_status golden_case_read(const brume_json *c, struct golden_case *g)
{
    static const struct { const char *own, *row; } names[] = {
        { "edm_heun", "heun" }, { "edm_euler", "euler" }, { "edm_dpm2", "dpm2" }, { "dpmpp_2m_sde", "dpmpp_2m_sde_k" },
        { "sde", "pc" }, { "rk45", "ode" }, { "ddpm_classifier", "ddpm" }, { "img2img_ddim", "ddim" },
    };
    const char *sampler = string(c, "sampler", "?");
    const brume_json *grid = brume_json_find(c, "grid");
    brume_status s;
    *g = (struct golden_case){ .own = strcmp(string(c, "kind", ""), "scheduler") != 0, .target = -1 };
    brume_scheduler_config_default(&g->config);
    brume_sampler_options_default(&g->options);
    g->options.steps = integer(c, "steps", 0);
    if (!g->own) s = read_scheduler(c, g);
    else if (grid) s = read_sigma_grid(c, grid, g);
    else if (brume_json_find(c, "sde")) s = read_sde(c, g);
    else s = read_discrete(c, g);
    if (g->own) snprintf(g->name, sizeof g->name, "%s", sampler);
    for (size_t i = 0; g->own && i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i].own, sampler)) snprintf(g->name, sizeof g->name, "%s", names[i].row);
    g->options.name = g->name;
    g->options.scheduler = &g->config;
    return s;
}

void golden_case_clear(struct golden_case *g) { brume_scheduler_config_clear(&g->config); }
