/* SPDX-License-Identifier: MIT
 * The samplers as rows. */
#include <string.h>

#include "base/fail.h"
#include "diffusion/sampling.h"

enum {
    DISCRETE = 1 << BRUME_PROCESS_DISCRETE, FLOW = 1 << BRUME_PROCESS_FLOW, EDM = 1 << BRUME_PROCESS_EDM, NCSN = 1 << BRUME_PROCESS_NCSN,
    SDE = 1 << BRUME_PROCESS_VP | 1 << BRUME_PROCESS_SUBVP | 1 << BRUME_PROCESS_VE,
};

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
