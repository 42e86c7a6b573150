/* SPDX-License-Identifier: MIT
 * Pictures drawn by the model while it trains: the same seeds every time, so that progress shows. The network reads the averaged weights
 * where they are and works in the arena of the training step, so that a preview takes next to no memory. */
#include <stdlib.h>

#include "base/fail.h"
#include "brume/image.h"
#include "brume/model.h"
#include "brume/rng.h"
#include "train/trainer.h"

/* Some 25 network calls (annealed Langevin: 100) are enough to judge a model, and few enough not to slow the run. The others are second-order steps
 * of the probability-flow ODE. */
static void choose_sampler(const brume_scheduler_config *c, brume_sampler_options *o)
{
    brume_sampler_options_default(o);
    o->scheduler = c;
    switch (c->process) {
    case BRUME_PROCESS_DISCRETE:
        /* Guided predictions leave [-1, 1] early on: eps must follow the clipped x0, or the pictures are scribbles; and noise (eta 1) mends
         * the errors of a young model. */
        o->name = "ddim";
        o->steps = c->num_train_timesteps < 25 ? c->num_train_timesteps : 25;
        o->eta = 1;
        o->use_clipped_model_output = 1;
        return;
    case BRUME_PROCESS_FLOW:
        o->name = "flow_heun";
        o->steps = 13;
        return;
    case BRUME_PROCESS_NCSN:
        o->name = "ald";
        o->langevin_steps = c->num_train_timesteps < 100 ? 100 / c->num_train_timesteps : 1;
        return;
    case BRUME_PROCESS_EDM: case BRUME_PROCESS_VP: case BRUME_PROCESS_SUBVP: case BRUME_PROCESS_VE: break;
    }
    o->name = "heun";
    o->steps = 13;
}

static brume_status draw(struct brume_trainer *t, int32_t n, double guidance, const int32_t *labels, float *images)
{
    const brume_shape shape = brume_trainer_image_shape(t, n);
    const size_t bytes = (size_t)brume_shape_numel(shape) * sizeof *images;
    brume_scheduler_config scheduler = { 0 };
    brume_unet2d_denoiser *denoiser = NULL;
    brume_sampler *sampler = NULL;
    brume_buffer *x = NULL;
    int64_t *seeds = malloc((size_t)n * sizeof *seeds);
    brume_status s = seeds ? brume_scheduler_config_copy(&scheduler, &t->config.scheduler) : brume_fail(BRUME_E_MEMORY, "preview: out of memory");
    if (s != BRUME_OK) goto done;
    for (int32_t i = 0; i < n; i++) seeds[i] = (int64_t)brume_seed_mix(t->config.seed, (uint64_t)i);
    const brume_unet2d_denoiser_options options = {
        .prediction_type = scheduler.prediction_type, .labels = labels, .null_label = t->config.unet.num_class_embeds - 1,
        .guidance.scale = labels ? guidance : 1, .weights = brume_plan_buffer(t->update.plan, t->update.ema), .arena = t->plan,
    };
    brume_sampler_options so;
    choose_sampler(&scheduler, &so);
    if ((s = brume_unet2d_denoiser_new(t->device, &t->config.unet, NULL, shape, &options, &denoiser)) == BRUME_OK &&
        (s = brume_sampler_new(t->device, &so, shape, &sampler)) == BRUME_OK && (s = brume_buffer_new(t->device, bytes, &x)) == BRUME_OK &&
        (s = brume_sampler_start(sampler, seeds, x)) == BRUME_OK) {
        const brume_sampler_input in = { .denoiser = brume_unet2d_denoiser_get(denoiser), .seeds = seeds };
        s = brume_sampler_run(sampler, &in, x);
        if (s == BRUME_OK) s = brume_buffer_read(x, 0, images, bytes);
    }
done:
    brume_buffer_free(x);
    brume_sampler_free(sampler);
    brume_unet2d_denoiser_free(denoiser);
    brume_scheduler_config_clear(&scheduler);
    free(seeds);
    return s;
}

brume_status brume_trainer_preview(struct brume_trainer *t, int32_t count, double guidance, const char *path)
{
    const brume_shape shape = brume_trainer_image_shape(t, count);
    const int32_t classes = t->labels == BRUME_NONE ? 0 : t->config.unet.num_class_embeds - 1;
    float *images = malloc((size_t)brume_shape_numel(shape) * sizeof *images);
    int32_t *labels = classes ? malloc((size_t)count * sizeof *labels) : NULL;
    brume_image *grid = NULL;
    brume_status s = BRUME_OK;
    if (!images || (classes && !labels)) s = brume_fail(BRUME_E_MEMORY, "preview: out of memory");
    for (int32_t i = 0; labels && i < count; i++) labels[i] = i % classes;
    if (s == BRUME_OK) s = draw(t, count, guidance, labels, images);
    if (s == BRUME_OK) s = brume_image_grid(images, count, (int32_t)shape.d[1], (int32_t)shape.d[2], (int32_t)shape.d[3], classes, 0, &grid);
    if (s == BRUME_OK) s = brume_png_write(path, grid);
    brume_image_free(grid);
    free(images);
    free(labels);
    return s;
}
