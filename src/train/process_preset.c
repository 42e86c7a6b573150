/* SPDX-License-Identifier: MIT
 * Noise processes by name, with settings for images in [-1, 1], and what a network for them looks like. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/ladder.h"
#include "brume/train.h"

/* The papers of score matching keep images in [0, 1]; brume's range is twice as wide, and so are the noise levels. */
static const brume_process_preset rows[] = {
    { "flow", "Lipman et al. 2022, eq. 20", "x = (1 - sigma) x0 + sigma eps",
      "FlowMatchEulerDiscreteScheduler", "flow", 1000, 0, 0 },
    { "edm", "Karras et al. 2022, table 1", "preconditioned network, ln sigma normal", "EDMEulerScheduler",
      "edm", 1000, 0.002, 80 },
    { "ncsn", "Song & Ermon 2019, sec. 4", "geometric ladder of 10 levels, sigma 2 .. 0.02", "NCSNScheduler",
      "score", 10, 0.02, 2 },
    { "ncsnv2", "Song & Ermon 2020, techniques 1-2", "ladder from the largest distance of the data to 0.02",
      "NCSNScheduler", "score", 0, 0.02, 0 },
    { "ve", "Song et al. 2021, eq. 9", "SDE of exploding variance, up to the largest distance of the data", "ScoreSdeVeScheduler",
      "score", 1000, 0.02, 0 },
    { "vp", "Song et al. 2021, eq. 11", "SDE of preserved variance, beta 0.1 .. 20", "ScoreSdeVpScheduler", "score", 1000, 0, 0 },
    { "subvp", "Song et al. 2021, eq. 13", "the same with less variance on the way",
      "ScoreSdeSubVpScheduler", "score", 1000, 0, 0 },
};
enum { ROWS = sizeof rows / sizeof *rows };

const brume_process_preset *brume_process_preset_row(int i) { return i >= 0 && i < ROWS ? &rows[i] : NULL; }

const brume_process_preset *brume_process_preset_find(const char *name)
{
    for (int i = 0; i < ROWS; i++)
        if (name && !strcmp(rows[i].name, name)) return &rows[i];
    return NULL;
}

/* Do network times of this process grow with sigma, so that a Fourier embedding of ln t suits? */
static bool time_is_sigma(const brume_train_config *c)
{
    return c->scheduler.process == BRUME_PROCESS_NCSN || c->scheduler.process == BRUME_PROCESS_VE;
}

void brume_train_config_objective(brume_train_config *c, const brume_objective_kind *objective, int network_given)
{
    const bool score = objective->prediction == BRUME_PREDICT_SCORE;
    if (!network_given) c->unet.time_embedding_type = score && time_is_sigma(c) ? BRUME_TIME_FOURIER : BRUME_TIME_POSITIONAL;
    /* The score grows like 1 / s, which no network's last layer follows. A Fourier network divides by sigma; others give eps,
     * score = -eps / s. */
    c->scheduler.prediction_type =
        score && c->unet.time_embedding_type != BRUME_TIME_FOURIER ? BRUME_PREDICT_EPS : objective->prediction;
}

brume_status brume_train_config_process(brume_train_config *c, const brume_process_preset *p, int network_given)
{
    brume_scheduler_config fresh;
    brume_status s = brume_scheduler_config_class(p->class_name, &fresh);
    if (s != BRUME_OK) return s;
    fresh.clip_sample = c->scheduler.clip_sample && fresh.clip_sample; /* points of the plane are not bounded as pixels are */
    brume_scheduler_config_clear(&c->scheduler);
    c->scheduler = fresh;
    c->scheduler.num_train_timesteps = p->T ? p->T : 1; /* see brume_train_config_ladder() */
    if (p->sigma_min > 0) c->scheduler.sigma_min = p->sigma_min;
    if (p->sigma_max > 0) c->scheduler.sigma_max = p->sigma_max;
    brume_train_config_objective(c, brume_objective_find(p->objective), network_given);
    return BRUME_OK;
}

#define LEAST_LEVELS 10     /* as NCSN has; in few dimensions, where neighbours always overlap, the rule asks for none at all */
#define DISTANCE_IMAGES 500 /* the largest distance of so many differs little from that of all */

static brume_status largest_distance(const brume_dataset *data, double *out)
{
    const int64_t count = brume_dataset_count(data) < DISTANCE_IMAGES ? brume_dataset_count(data) : DISTANCE_IMAGES;
    const int64_t dim = (int64_t)brume_dataset_height(data) * brume_dataset_width(data) * brume_dataset_channels(data);
    float *images = malloc((size_t)(count * dim) * sizeof *images);
    brume_status s = images ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "training: out of memory");
    for (int64_t i = 0; s == BRUME_OK && i < count; i++)
        s = brume_dataset_get(data, i * brume_dataset_count(data) / count, images + i * dim, NULL);
    if (s == BRUME_OK) s = brume_ncsn_sigma_max(images, count, dim, out);
    free(images);
    return s;
}

brume_status brume_train_config_ladder(brume_train_config *c, const brume_dataset *data, int sigma_max, int levels)
{
    brume_scheduler_config *k = &c->scheduler;
    const int64_t dim = (int64_t)brume_dataset_height(data) * brume_dataset_width(data) * brume_dataset_channels(data);
    brume_status s = BRUME_OK;
    if (c->autoencoder && (sigma_max || levels))
        return brume_fail(
            BRUME_E_UNSUPPORTED,
            "NCSNv2's rules for noise levels look at images; for latents give the largest sigma and the number of levels: "
            "--sigma-max 50, and of ladders --timesteps 200, say");
    if (sigma_max) s = largest_distance(data, &k->sigma_max);
    if (s == BRUME_OK && sigma_max) k->sigma_max = ceil(10 * k->sigma_max) / 10; /* a number that reads well */
    if (s != BRUME_OK || !levels) return s;
    s = brume_ncsn_levels(k->sigma_min, k->sigma_max, brume_ncsn_ratio(dim), &k->num_train_timesteps);
    if (k->num_train_timesteps < LEAST_LEVELS) k->num_train_timesteps = LEAST_LEVELS;
    return s;
}
