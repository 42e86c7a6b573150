/* SPDX-License-Identifier: MIT
 * Pictures drawn by the model while it trains: the same seeds every time, so that progress shows. The network reads the averaged
 * weights where they are and works in the arena of the training step, so that a preview takes next to no memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/image.h"
#include "brume/model.h"
#include "brume/rng.h"
#include "train/trainer.h"

enum { CAPTIONS = 10 }; /* one column of pictures each */

/* Some 25 network calls (annealed Langevin: 100) are enough to judge a model, and few enough not to slow the run. The others are
 * second-order steps of the probability-flow ODE. */
static void choose_sampler(const brume_scheduler_config *c, brume_sampler_options *o)
{
    brume_sampler_options_default(o);
    o->scheduler = c;
    switch (c->process) {
    case BRUME_PROCESS_DISCRETE:
        /* Guided predictions leave [-1, 1] early on: eps must follow the clipped x0, or the pictures are scribbles; and noise
         * (eta 1) mends the errors of a young model. */
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

/* What the pictures are to show, and the weights to draw them with. */
struct told {
    const int32_t *labels;
    float *context, *null_context, *params; /* params NULL: the trainer's own averaged weights */
};

static brume_status draw(struct brume_trainer *t, int32_t n, double guidance, const struct told *told, float *images)
{
    const brume_shape shape = brume_trainer_image_shape(t, n);
    const size_t bytes = (size_t)brume_shape_numel(shape) * sizeof *images;
    brume_scheduler_config scheduler = { 0 };
    brume_unet2d_denoiser *denoiser = NULL;
    brume_sampler *sampler = NULL;
    brume_buffer *x = NULL;
    int64_t *seeds = malloc((size_t)n * sizeof *seeds);
    brume_status s = seeds ? brume_scheduler_config_copy(&scheduler, &t->config.scheduler)
                           : brume_fail(BRUME_E_MEMORY, "preview: out of memory");
    if (s != BRUME_OK) goto done;
    for (int32_t i = 0; i < n; i++) seeds[i] = (int64_t)brume_seed_mix(t->config.seed, (uint64_t)i);
    const brume_unet2d_denoiser_options options = {
        .prediction_type = scheduler.prediction_type, .labels = told->labels, .null_label = t->config.unet.num_class_embeds - 1,
        .context = told->context, .tokens = t->text.tokens, .null_context = told->null_context,
        .guidance.scale = told->labels || told->context ? guidance : 1,
        .weights = told->params ? NULL : brume_plan_buffer(t->update.plan, brume_trainer_ema(t)), .arena = t->plan,
    };
    brume_sampler_options so;
    choose_sampler(&scheduler, &so);
    if ((s = brume_unet2d_denoiser_new(t->device, &t->config.unet, told->params ? told->params + t->text.n_params : NULL, shape,
                                       &options, &denoiser)) == BRUME_OK &&
        (s = brume_sampler_new(t->device, &so, shape, &sampler)) == BRUME_OK &&
        (s = brume_buffer_new(t->device, bytes, &x)) == BRUME_OK && (s = brume_sampler_start(sampler, seeds, x)) == BRUME_OK) {
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

/* Averaged weights on the host, those of adapters merged. */
static brume_status read_weights(struct brume_trainer *t, float **weights)
{
    *weights = malloc((size_t)t->n_weights * sizeof **weights);
    if (!*weights) return brume_fail(BRUME_E_MEMORY, "preview: out of memory");
    return brume_trainer_adapts(&t->config) ? brume_adapters_merged(t, *weights) : brume_trainer_get_params(t, 1, *weights);
}

/* Captions of the first items, in turn; an encoder that learns is asked with its averaged weights. */
static brume_status read_captions(struct brume_trainer *t, int32_t count, int32_t captions, struct told *told, char *prompts,
                                  size_t bytes)
{
    const struct brume_trainer_text *x = &t->text;
    const int64_t row = (int64_t)x->tokens * x->width;
    brume_text_run *own = NULL;
    int32_t *ids = malloc((size_t)x->tokens * sizeof *ids);
    told->context = malloc((size_t)(count * row) * sizeof *told->context);
    told->null_context = malloc((size_t)row * sizeof *told->null_context);
    const bool learns = x->context == BRUME_NONE;
    brume_status s = BRUME_OK;
    if (!ids || !told->context || !told->null_context) s = brume_fail(BRUME_E_MEMORY, "preview: out of memory");
    if (s == BRUME_OK && learns) s = brume_text_run_new(t->device, &x->config->encoder, told->params, x->tokens, &own);
    for (int32_t i = -1; s == BRUME_OK && i < captions; i++) { /* -1: the empty text */
        char text[200] = "";
        const int64_t item = i % brume_dataset_count(t->data);
        if (i >= 0) s = brume_dataset_caption(t->data, item, text, sizeof text);
        if (s == BRUME_OK) s = brume_tokenizer_encode(x->config->tokenizer, text, ids, NULL);
        if (s == BRUME_OK)
            s = brume_text_run_encode(learns ? own : t->text.frozen, ids, i < 0 ? told->null_context : told->context + i * row);
        if (i >= 0) snprintf(prompts + strlen(prompts), bytes - strlen(prompts), "%s%s", i ? "\n" : "", text);
    }
    for (int32_t i = captions; s == BRUME_OK && i < count; i++)
        memcpy(told->context + i * row, told->context + (i % captions) * row, (size_t)row * sizeof *told->context);
    brume_text_run_free(own);
    free(ids);
    return s;
}

/* Latents become images; their sizes with them. */
static brume_status decode(struct brume_trainer *t, int32_t count, float **images, int32_t *h, int32_t *w, int32_t *c)
{
    const brume_autoencoder_config *a = &t->config.autoencoder->config;
    const int32_t f = (int32_t)brume_autoencoder_factor(a);
    float *latents = *images;
    *h *= f;
    *w *= f;
    *c = a->out_channels;
    *images = malloc((size_t)count * (size_t)(*h * *w * *c) * sizeof **images);
    const brume_status s = *images ? brume_latent_coder_decode(t->latent.coder, latents, count, *images)
                                   : brume_fail(BRUME_E_MEMORY, "preview: out of memory");
    free(latents);
    return s;
}

brume_status brume_trainer_preview(struct brume_trainer *t, int32_t count, double guidance, const char *path)
{
    const brume_shape shape = brume_trainer_image_shape(t, count);
    const int32_t classes = t->labels == BRUME_NONE ? 0 : t->config.unet.num_class_embeds - 1;
    const int32_t captions = t->config.text.tokenizer ? (count < CAPTIONS ? count : CAPTIONS) : 0;
    float *images = malloc((size_t)brume_shape_numel(shape) * sizeof *images);
    int32_t *labels = classes ? malloc((size_t)count * sizeof *labels) : NULL;
    struct told told = { .labels = labels };
    char prompts[CAPTIONS * 200] = "";
    const brume_autoencoder *autoencoder = t->config.autoencoder;
    int32_t h = (int32_t)shape.d[1], w = (int32_t)shape.d[2], c = (int32_t)shape.d[3];
    brume_image *grid = NULL;
    brume_status s = BRUME_OK;
    if (!images || (classes && !labels)) s = brume_fail(BRUME_E_MEMORY, "preview: out of memory");
    for (int32_t i = 0; labels && i < count; i++) labels[i] = i % classes;
    if (s == BRUME_OK && (brume_trainer_adapts(&t->config) || (captions && t->text.context == BRUME_NONE)))
        s = read_weights(t, &told.params);
    if (s == BRUME_OK && captions) s = read_captions(t, count, captions, &told, prompts, sizeof prompts);
    if (s == BRUME_OK) s = draw(t, count, guidance, &told, images);
    if (s == BRUME_OK && autoencoder) s = decode(t, count, &images, &h, &w, &c);
    if (s == BRUME_OK) s = brume_image_grid(images, count, h, w, c, captions ? captions : classes, 0, &grid);
    if (s == BRUME_OK && captions) s = brume_image_set_text(grid, "prompts", prompts);
    if (s == BRUME_OK) s = brume_png_write(path, grid);
    brume_image_free(grid);
    free(told.context);
    free(told.null_context);
    free(told.params);
    free(images);
    free(labels);
    return s;
}
