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
