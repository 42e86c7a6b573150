/* SPDX-License-Identifier: MIT
 * The samplers as rows. */
#include <string.h>

#include "base/fail.h"
#include "diffusion/sampling.h"

enum {
    DISCRETE = 1 << BRUME_PROCESS_DISCRETE, FLOW = 1 << BRUME_PROCESS_FLOW, EDM = 1 << BRUME_PROCESS_EDM, NCSN = 1 << BRUME_PROCESS_NCSN,
    SDE = 1 << BRUME_PROCESS_VP | 1 << BRUME_PROCESS_SUBVP | 1 << BRUME_PROCESS_VE,
};

/* Samplers in sigma: any process whose state is a x0 + s eps with a > 0. */
#define IN_SIGMA .grid = BRUME_GRID_SIGMAS, .state = BRUME_STATE_SIGMA, .processes = DISCRETE | EDM | NCSN | SDE
#define IN_FLOW .grid = BRUME_GRID_FLOW, .state = BRUME_STATE_X, .processes = FLOW

/* Two calls a step, but one in the last where that ends without noise. */
static int32_t two_calls(const brume_scheduler_config *c, const brume_sampler_options *o, int32_t n)
{
    (void)o;
    return 2 * n - (c->final_sigmas_type == BRUME_FINAL_ZERO);
}

static const brume_sampler_kind rows[] = {
    { .name = "ddpm", .paper = "Ho et al. 2020, algorithm 2", .what = "ancestral sampling: draws from q(x_p | x_t, x0) with the predicted x0",
      .scheduler_class = "DDPMScheduler", .default_steps = 1000, .default_eta = 1, .processes = DISCRETE, .flags = BRUME_SAMPLER_OWN_GUIDANCE,
      .grid = BRUME_GRID_TIMES, .state = BRUME_STATE_X, .run = brume_run_ddpm },
    { .name = "ddim", .paper = "Song, Meng & Ermon 2021, eqs. 12 and 16", .what = "x' = sqrt(P) x0 + sqrt(1 - P - s^2) eps + s z",
      .scheduler_class = "DDIMScheduler", .default_steps = 50, .processes = DISCRETE, .grid = BRUME_GRID_TIMES, .state = BRUME_STATE_X,
      .run = brume_run_ddim },
    { .name = "ddim_inverse", .paper = "Song, Meng & Ermon 2021, sec. 4.3", .what = "from image to noise: the same ODE backwards",
      .scheduler_class = "DDIMInverseScheduler", .default_steps = 50, .processes = DISCRETE, .flags = BRUME_SAMPLER_TAKES_IMAGE,
      .grid = BRUME_GRID_TIMES, .state = BRUME_STATE_X, .run = brume_run_ddim_inverse },
    { .name = "ald", .paper = "Song & Ermon 2019, algorithm 1, with the released code's step; Song & Ermon 2020",
      .what = "annealed Langevin: x' = x + k S + sqrt(2 k) z, k = step (sigma_i / sigma_L)^2, at every level; then Tweedie's x0",
      .scheduler_class = "NCSNScheduler", .processes = NCSN, .flags = BRUME_SAMPLER_OWN_MASK, .grid = BRUME_GRID_LADDER, .state = BRUME_STATE_X,
      .run = brume_run_ald, .calls = brume_calls_ald },
    { .name = "ald_paper", .paper = "Song & Ermon 2019, algorithm 1 as printed", .what = "annealed Langevin with half that k",
      .scheduler_class = "NCSNScheduler", .processes = NCSN, .flags = BRUME_SAMPLER_OWN_MASK, .grid = BRUME_GRID_LADDER, .state = BRUME_STATE_X,
      .run = brume_run_ald_paper, .calls = brume_calls_ald },
    { .name = "pc", .paper = "Song et al. 2021, algorithms 1-5", .what = "predictor-corrector: Langevin steps, then a step of the reverse SDE",
      .scheduler_class = "ScoreSdeVeScheduler", .default_steps = 1000, .default_eta = 1, .processes = SDE | NCSN | DISCRETE,
      .flags = BRUME_SAMPLER_OWN_MASK, .grid = BRUME_GRID_SDE, .state = BRUME_STATE_X, .run = brume_run_pc, .calls = brume_calls_pc },
    { .name = "euler", .paper = "Karras et al. 2022, algorithm 2 without lines 7 and 8", .what = "y' = y + (s1 - s0) (y - D) / s0, with churn if asked for",
      .scheduler_class = "EulerDiscreteScheduler", .default_steps = 50, IN_SIGMA, .run = brume_run_euler },
    { .name = "euler_ancestral", .paper = "Song et al. 2021b, app. F, in sigma (k-diffusion)", .what = "Euler's step to less noise, and fresh noise for the rest",
      .scheduler_class = "EulerAncestralDiscreteScheduler", .default_steps = 50, .default_eta = 1, IN_SIGMA, .run = brume_run_euler_ancestral },
    { .name = "heun", .paper = "Karras et al. 2022, algorithms 1 and 2", .what = "the mean of the slopes at both ends of a step, with churn if asked for",
      .scheduler_class = "HeunDiscreteScheduler", .default_steps = 18, IN_SIGMA, .run = brume_run_heun, .calls = two_calls },
    { .name = "dpm2", .paper = "Lu et al. 2022a, DPM-Solver-2, in sigma (k-diffusion)", .what = "the slope at the geometric mean, with churn if asked for",
      .scheduler_class = "KDPM2DiscreteScheduler", .default_steps = 20, IN_SIGMA, .run = brume_run_dpm2, .calls = two_calls },
    { .name = "dpm2_ancestral", .paper = "Lu et al. 2022a, DPM-Solver-2 (k-diffusion)", .what = "dpm2 to less noise, and fresh noise for the rest",
      .scheduler_class = "KDPM2AncestralDiscreteScheduler", .default_steps = 20, .default_eta = 1, IN_SIGMA, .run = brume_run_dpm2_ancestral,
      .calls = two_calls },
    { .name = "lms", .paper = "Adams-Bashforth on any grid (k-diffusion)", .what = "the polynomial through up to 4 slopes, integrated",
      .scheduler_class = "LMSDiscreteScheduler", .default_steps = 30, IN_SIGMA, .run = brume_run_lms },
    { .name = "dpmpp_2s_ancestral", .paper = "Lu et al. 2022b, algorithm 1 (k-diffusion)", .what = "two stages to less noise, and fresh noise for the rest",
      .default_steps = 20, .default_eta = 1, IN_SIGMA, .run = brume_run_dpmpp_2s_ancestral, .calls = two_calls },
    { .name = "dpmpp_sde", .paper = "Lu et al. 2022b, solvers for the SDE (k-diffusion)", .what = "two ancestral stages, the first half the way in ln sigma",
      .default_steps = 20, .default_eta = 1, IN_SIGMA, .run = brume_run_dpmpp_sde, .calls = two_calls },
    { .name = "dpmpp_2m_sde_k", .paper = "Lu et al. 2022b, solvers for the SDE (k-diffusion)", .what = "D and its last change, integrated; eta scales the noise",
      .default_steps = 25, .default_eta = 1, IN_SIGMA, .run = brume_run_dpmpp_2m_sde },
    { .name = "dpmpp_3m_sde", .paper = "Lu et al. 2022b, solvers for the SDE (k-diffusion)", .what = "D and its last two changes, integrated; eta scales the noise",
      .default_steps = 25, .default_eta = 1, IN_SIGMA, .run = brume_run_dpmpp_3m_sde },
    { .name = "flow_euler", .paper = "Lipman et al. 2023; Esser et al. 2024", .what = "x' = x + (s1 - s0) u; or (1 - s1) x0 + s1 z (stochastic_sampling)",
      .scheduler_class = "FlowMatchEulerDiscreteScheduler", .default_steps = 50, IN_FLOW, .run = brume_run_flow_euler },
    { .name = "flow_heun", .paper = "Heun's method on u (Lipman et al. 2023)", .what = "the mean of u at both ends of a step",
      .scheduler_class = "FlowMatchHeunDiscreteScheduler", .default_steps = 25, IN_FLOW, .run = brume_run_flow_heun, .calls = two_calls },
    { .name = "ode", .paper = "Song et al. 2021, sec. 4.3 and app. D.2", .what = "probability-flow ODE by adaptive Runge-Kutta 5(4)",
      .default_steps = 1, .processes = SDE | NCSN | DISCRETE | EDM | FLOW, .flags = BRUME_SAMPLER_ADAPTIVE, .grid = BRUME_GRID_ENDS,
      .state = BRUME_STATE_X, .run = brume_run_ode },
    { .name = "repaint", .paper = "Lugmayr et al. 2022, algorithm 1", .what = "inpainting: ancestral steps with the known part put in, and jumps back up",
      .default_steps = 250, .default_eta = 1, .processes = DISCRETE, .flags = BRUME_SAMPLER_NEEDS_MASK | BRUME_SAMPLER_OWN_MASK,
      .grid = BRUME_GRID_TIMES, .state = BRUME_STATE_X, .run = brume_run_repaint, .calls = brume_calls_repaint },
};
enum { N_ROWS = sizeof rows / sizeof *rows };

const brume_sampler_kind *brume_sampler_row(int i) { return i >= 0 && i < N_ROWS ? &rows[i] : NULL; }

static int same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b && !(*a == '-' && *b == '_')) return 0;
    return *a == *b;
}

const brume_sampler_kind *brume_sampler_find(const char *name)
{
    for (int i = 0; i < N_ROWS; i++)
        if (same_name(name, rows[i].name)) return &rows[i];
    return NULL;
}

const brume_sampler_kind *brume_sampler_for_config(const brume_scheduler_config *c)
{
    for (int i = 0; i < N_ROWS; i++)
        if (rows[i].scheduler_class && !strcmp(rows[i].scheduler_class, c->class_name)) return &rows[i];
    for (int i = 0; i < N_ROWS; i++)
        if (rows[i].processes >> c->process & 1 && !(rows[i].flags & (BRUME_SAMPLER_NEEDS_MASK | BRUME_SAMPLER_TAKES_IMAGE))) return &rows[i];
    return NULL;
}

brume_status brume_sampler_config(const brume_sampler_kind *k, const brume_scheduler_config *model, brume_scheduler_config *out)
{
    brume_scheduler_config own;
    if (!k->scheduler_class || !strcmp(k->scheduler_class, model->class_name)) return brume_scheduler_config_copy(out, model);
    brume_status s = brume_scheduler_config_class(k->scheduler_class, &own);
    if (s != BRUME_OK) return s;
    const brume_process_kind process = own.process;
    brume_scheduler_config_clear(&own);
    s = process == model->process ? brume_scheduler_config_convert(model, k->scheduler_class, out) : brume_scheduler_config_copy(out, model);
    if (s == BRUME_OK && k->adjust) k->adjust(out);
    return s;
}
