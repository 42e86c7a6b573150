/* SPDX-License-Identifier: MIT
 * Runs of autoencoders: checkpoints, pictures of originals and reconstructions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/image.h"
#include "train/autoencoder.h"
#include "train/learner.h"
#include "train/state.h"

enum { SCALING_IMAGES = 64, COLUMNS = 10 };

static struct brume_state state_of(brume_autoencoder_trainer *t, char objective[100])
{
    snprintf(objective, 100, "autoencoder, %s, KL weight %.9g",
             t->objective.reconstruction == BRUME_RECONSTRUCTION_L1 ? "l1" : "l2", t->objective.kl_weight);
    return (struct brume_state){ .update = &t->update, .config = &t->config, .n_params = t->n_params, .done = &t->done,
                                 .objective = objective, .plan = t->plan, .resumed = &t->resumed };
}

/* With the factor that its latents need. */
static brume_status save_model(void *self, const char *folder)
{
    brume_autoencoder_trainer *t = self;
    brume_autoencoder *a = NULL;
    brume_status s = brume_autoencoder_trainer_get(t, 1, &a);
    if (s == BRUME_OK) s = brume_autoencoder_estimate_scaling(t->device, a, t->data, SCALING_IMAGES, t->config.seed);
    if (s == BRUME_OK) {
        a->config.sample_size = brume_dataset_height(t->data);
        s = brume_autoencoder_save(a, folder);
    }
    brume_autoencoder_free(a);
    return s;
}

brume_status brume_autoencoder_trainer_save(brume_autoencoder_trainer *t, const char *folder, int64_t note)
{
    char objective[100];
    const struct brume_state x = state_of(t, objective);
    return brume_state_save(&x, folder, note, save_model, t);
}

brume_status brume_autoencoder_trainer_resume(brume_autoencoder_trainer *t, const char *folder, int64_t *note)
{
    char objective[100];
    brume_safetensors *f = NULL;
    const struct brume_state x = state_of(t, objective);
    brume_status s = brume_state_open(&x, folder, &f);
    if (s == BRUME_OK) s = brume_state_read(&x, f, note);
    brume_safetensors_close(f);
    return s == BRUME_OK ? s : brume_fail_in(s, "cannot resume");
}

brume_status brume_autoencoder_trainer_preview(brume_autoencoder_trainer *t, int32_t count, const char *path)
{
    const int64_t f = brume_autoencoder_factor(&t->autoencoder), h = brume_dataset_height(t->data),
                  w = brume_dataset_width(t->data);
    const int64_t items = brume_dataset_count(t->data) < count ? brume_dataset_count(t->data) : count;
    const int64_t columns = items < COLUMNS ? items : COLUMNS, n = items / columns * columns;
    brume_autoencoder *a = NULL;
    brume_latent_coder *coder = NULL;
    brume_image *grid = NULL;
    float *images = malloc((size_t)(2 * n * t->image) * sizeof *images), *latent = malloc((size_t)t->latent * sizeof *latent);
    brume_status s =
        images && latent ? brume_autoencoder_trainer_get(t, 1, &a) : brume_fail(BRUME_E_MEMORY, "preview: out of memory");
    if (s == BRUME_OK) s = brume_latent_coder_new(t->device, a, h / f, w / f, NULL, &coder);
    for (int64_t i = 0; i < n && s == BRUME_OK; i++) { /* a row of originals, a row of what became of them, and so on */
        float *original = images + (i / columns * 2 * columns + i % columns) * t->image,
              *reconstruction = original + columns * t->image;
        s = brume_dataset_get(t->data, i, original, NULL);
        if (s == BRUME_OK) s = brume_latent_coder_encode(coder, original, 1, NULL, latent);
        if (s == BRUME_OK) s = brume_latent_coder_decode(coder, latent, 1, reconstruction);
    }
    if (s == BRUME_OK)
        s = brume_image_grid(images, 2 * n, (int32_t)h, (int32_t)w, t->autoencoder.out_channels, (int32_t)columns, 0, &grid);
    if (s == BRUME_OK) s = brume_png_write(path, grid);
    brume_image_free(grid);
    brume_latent_coder_free(coder);
    brume_autoencoder_free(a);
    free(images);
    free(latent);
    return s;
}

static brume_status step(void *self, brume_train_result *r) { return brume_autoencoder_trainer_step(self, r); }
static brume_status save(void *self, const char *folder, int64_t note)
{
    return brume_autoencoder_trainer_save(self, folder, note);
}
static brume_status resume(void *self, const char *folder, int64_t *note)
{
    return brume_autoencoder_trainer_resume(self, folder, note);
}
static brume_status finish(void *self, const char *folder, bool *was_unfinished)
{
    return brume_state_finish(folder, was_unfinished, save_model, self);
}

static const char *warning(void *self)
{
    const brume_autoencoder_trainer *t = self;
    return t->resumed.warning[0] ? t->resumed.warning : NULL;
}

static brume_status picture(void *self, const brume_run_options *o, const char *path)
{
    return brume_autoencoder_trainer_preview(self, o->sample_count, path);
}

static void write_parts(void *self, const brume_train_result *r, FILE *log)
{
    (void)self;
    fprintf(log, ", \"reconstruction\": %.7g, \"kl\": %.7g", r->reconstruction, r->kl);
}

brume_status brume_autoencoder_run(brume_autoencoder_trainer *t, const brume_run_options *o)
{
    const struct brume_learner learner = { .self = t, .config = &t->config, .done = &t->done, .step = step, .save = save,
                                           .model = save_model, .resume = resume, .finish = finish, .warning = warning,
                                   .picture = picture, .log = write_parts };
    return brume_learner_run(&learner, o);
}
