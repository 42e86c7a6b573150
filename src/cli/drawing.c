/* SPDX-License-Identifier: MIT
 * Drawing images from a model, batch by batch. */
#include "drawing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/image.h"
#include "brume/rng.h"
#include "brume/train.h"
#include "lora_list.h"
#include "memory.h"
#include "parallel.h"

static int64_t pixels(const struct drawing *d) { return d->h * d->w * d->c; }

/* "7", "0,3,5" or "all" into labels, repeated over the images. */
static int parse_classes(struct drawing *d, const struct cli_usage *u)
{
    const brume_unet2d_config *c = &d->model->unet;
    const char *text = d->a->classes;
    d->conditional = c->class_embed_type == BRUME_CLASS_TABLE;
    const int rows = d->conditional ? c->num_class_embeds : d->judge ? d->judge->unet.out_channels : 0;
    if (!rows && text) return cli_wrong(u, "--class: this model knows no classes");
    const bool reads = brume_unet2d_context_dim(c) > 0;
    if (reads && !d->a->prompt) return cli_wrong(u, "this model draws what a text says: give --prompt TEXT");
    if (!reads && d->a->prompt) return cli_wrong(u, "--prompt: this model reads no text");
    if (!d->conditional && !reads && d->a->guidance != 1)
        return cli_wrong(u, "--guidance: this model knows no classes, so there is nothing to guide to");
    if (!d->conditional && d->a->negative >= 0) return cli_wrong(u, "--negative-class: this model knows no classes");
    if (d->a->negative >= rows && d->conditional)
        return cli_wrong(u, "--negative-class: expected 0 to %d, got %lld", rows - 1, (long long)d->a->negative);
    if (!rows) return CLI_GO_ON;
    int32_t *list = malloc((size_t)rows * sizeof *list);
    d->labels = malloc((size_t)d->n * sizeof *d->labels);
    if (!list || !d->labels) { free(list); return cli_no_memory(u); }
    if (!text || !strcmp(text, "all")) { /* the last row stands for "no class" */
        d->n_classes = d->conditional && rows > 1 ? rows - 1 : rows;
        for (int i = 0; i < d->n_classes; i++) list[i] = i;
    }
    for (const char *p = text; p && strcmp(text, "all");) {
        char *end;
        const long k = strtol(p, &end, 10);
        if (end == p || k < 0 || k >= rows || (*end && *end != ',') || d->n_classes == rows) {
            free(list);
            return cli_wrong(u, "--class: expected numbers 0 to %d separated by commas, or all; got '%s'", rows - 1, text);
        }
        list[d->n_classes++] = (int32_t)k;
        if (!*end) break;
        p = end + 1;
    }
    for (int64_t i = 0; i < d->n; i++) d->labels[i] = list[i % d->n_classes];
    free(list);
    return CLI_GO_ON;
}

void drawing_reorder(const float *from, float *to, int64_t n, int64_t plane, int64_t c, int back)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < c; k++)
            for (int64_t p = 0; p < plane; p++) {
                const int64_t file = (i * c + k) * plane + p, inside = (i * plane + p) * c + k;
                if (back) to[file] = from[inside];
                else to[inside] = from[file];
            }
}

static brume_status load_noise(struct drawing *d, const brume_st_tensor *t)
{
    const int64_t count = d->n * pixels(d);
    float *raw = malloc((size_t)count * sizeof *raw);
    d->noise = malloc((size_t)count * sizeof *d->noise);
    brume_status st = raw && d->noise ? brume_st_read_f32(t, 0, count, raw) : BRUME_E_MEMORY;
    if (st == BRUME_OK) drawing_reorder(raw, d->noise, d->n, d->h * d->w, d->c, 0);
    free(raw);
    return st;
}

static int64_t batches(const struct drawing *d) { return (d->n + d->batch - 1) / d->batch; }

/* Only needed where a run begins at the picture, or keeps a part of it. */
static brume_status load_known(struct drawing *d)
{
    const int64_t n = batches(d) * d->batch;
    if (!d->a->init_image) return BRUME_OK;
    brume_status st = view_read(&d->view, d->a->init_image, &d->known_picture);
    if (st != BRUME_OK || d->a->interpolate) return st;
    d->known_states = cli_array(n * pixels(d), sizeof *d->known_states);
    if (!d->known_states) return BRUME_E_MEMORY;
    st = view_sample(&d->view, d->known_picture, d->seeds, n, d->known_states);
    return st == BRUME_OK ? brume_buffer_new(d->device, (size_t)(d->batch * pixels(d)) * sizeof(float), &d->known) : st;
}

static brume_status load_mask(struct drawing *d)
{
    const size_t each = (size_t)pixels(d) * sizeof(float);
    float *picture = NULL, *mask = malloc(each);
    brume_status st = mask ? view_read(&d->view, d->a->mask, &picture) : BRUME_E_MEMORY;
    if (st == BRUME_OK) view_mask(&d->view, picture, mask);
    if (st == BRUME_OK) st = brume_buffer_new(d->device, (size_t)d->batch * each, &d->mask);
    for (int64_t i = 0; st == BRUME_OK && i < d->batch; i++) st = brume_buffer_write(d->mask, (size_t)i * each, mask, each);
    free(mask);
    free(picture);
    return st;
}

/* Sizes, seeds, labels and memory. noise: of --init-noise, or NULL. */
static int prepare(struct drawing *d, const struct cli_usage *u, const brume_st_tensor *noise)
{
    const struct sample_args *a = d->a;
    const brume_unet2d_config *c = &d->model->unet;
    d->n = a->n;
    d->c = c->in_channels;
    const int64_t factor = d->model->autoencoder ? brume_autoencoder_factor(&d->model->autoencoder->config) : 1;
    if (a->size % factor) return cli_wrong(u, "--size: this model's images are multiples of %lld", (long long)factor);
    if (d->model->autoencoder && d->model->autoencoder->config.latent_channels != c->in_channels)
        return cli_wrong(u, "the autoencoder has %d latent channels, the U-Net %d", d->model->autoencoder->config.latent_channels,
                         c->in_channels);
    d->h = a->size ? a->size / factor : c->sample_size[0];
    d->w = a->size ? a->size / factor : c->sample_size[1];
    if (a->init_noise) {
        if (!noise || noise->ndim != 4 || noise->shape[1] != d->c)
            return cli_wrong(u, "--init-noise: expected a tensor 'noise' of shape (N, %lld, H, W) in %s", (long long)d->c,
                             a->init_noise);
        d->n = noise->shape[0] < a->n || !a->n ? noise->shape[0] : a->n;
        d->h = noise->shape[2];
        d->w = noise->shape[3];
    }
    if (d->n < 1) d->n = a->prompt ? 1 : a->interpolate ? 8 : 16;
    if (d->h < 1 || d->w < 1) return cli_wrong(u, "the model has no sample_size; give --size");
    if (c->architecture == BRUME_ARCHITECTURE_CLASSIFIER)
        return cli_wrong(
            u,
            "this model is a classifier of noisy images, which draws nothing itself: give it as --classifier to one that does");
    if (c->in_channels != c->out_channels && 2 * c->in_channels != c->out_channels)
        return cli_wrong(u, "the model takes %d channels and predicts %d", c->in_channels, c->out_channels);
    view_begin(&d->view, d->model->autoencoder, d->h, d->w, d->c);
    if ((a->init_image || a->mask) && d->view.channels != 1 && d->view.channels != 3)
        return cli_wrong(u, "--init-image: pictures have 1 or 3 channels, this model has %lld", (long long)d->view.channels);
    if (a->init_image && d->model->autoencoder && d->model->autoencoder->config.in_channels != d->view.channels)
        return cli_wrong(u, "--init-image: the autoencoder reads %d channels and makes %lld",
                         d->model->autoencoder->config.in_channels, (long long)d->view.channels);
    const int points = !d->model->autoencoder && d->h == 1 && d->w == 1 && d->c == 2;
    if ((a->trajectories || a->field) && !points)
        return cli_wrong(u, "--%s is for points of the plane; this model draws images", a->field ? "field" : "trajectories");
    if ((a->x0_strip || a->forward_strip || a->table) && points)
        return cli_wrong(u, "this model draws points of the plane: --%s is for images",
                         a->table      ? "table"
                         : a->x0_strip ? "x0-strip"
                                       : "forward-strip");
    /* Batches of equal size, so that one plan serves all; the rest of the last one is thrown away. */
    const int64_t ranks = brume_parallel_size(cli_parallel());
    int64_t parts = (d->n + a->batch - 1) / a->batch;
    if (parts < ranks) parts = d->n < ranks ? d->n : ranks;
    d->batch = (d->n + parts - 1) / parts;
    d->seeds = cli_array(parts * d->batch, sizeof *d->seeds);
    d->images = cli_array(parts * d->batch * pixels(d), sizeof *d->images);
    if (!d->seeds || !d->images) return cli_no_memory(u);
    for (int64_t i = 0; i < parts * d->batch; i++) d->seeds[i] = (int64_t)brume_seed_mix((uint64_t)a->seed, (uint64_t)i);
    return parse_classes(d, u);
}

/* The prompt's context for every image of a batch; allocated. */
static brume_status make_context(struct drawing *d, float **context)
{
    const char *const prompts[] = { d->a->prompt, d->a->negative_prompt ? d->a->negative_prompt : "" };
    *context = NULL;
    if (!d->a->prompt) return BRUME_OK;
    const brume_status st = brume_prompt_encode(d->device, d->model, prompts, 2, &d->prompts);
    if (st != BRUME_OK) return st;
    for (int i = 0; i < 2; i++)
        if (d->prompts->n_cut[i])
            fprintf(stderr, "note: the last %lld tokens of the %s do not fit and were cut off\n", (long long)d->prompts->n_cut[i],
                    i ? "negative prompt" : "prompt");
    const size_t row = (size_t)(d->prompts->tokens * d->prompts->width);
    *context = malloc(row * (size_t)d->batch * sizeof **context);
    if (!*context) return BRUME_E_MEMORY;
    for (int64_t i = 0; i < d->batch; i++) memcpy(*context + row * (size_t)i, d->prompts->context, row * sizeof **context);
    return BRUME_OK;
}

static brume_status make_denoiser(struct drawing *d)
{
    const struct sample_args *a = d->a;
    float *context;
    brume_status st = make_context(d, &context);
    if (st != BRUME_OK) return st;
    const brume_unet2d_denoiser_options o = {
        .prediction_type = d->model->scheduler.prediction_type, .labels = d->conditional ? d->labels : NULL,
        .null_label = a->negative >= 0 ? (int32_t)a->negative : d->model->unet.num_class_embeds - 1,
        .guidance = { .scale = d->conditional || context ? a->guidance : 1, .rescale = a->rescale, .sigma_lo = a->interval[0],
                      .sigma_hi = a->interval[1] },
        .storage = (brume_storage)a->storage,
        .context = context, .tokens = context ? d->prompts->tokens : 0,
        .null_context = context ? d->prompts->context + d->prompts->tokens * d->prompts->width : NULL,
    };
    st = brume_unet2d_denoiser_new(d->device, &d->model->unet, d->model->params, BRUME_SHAPE(d->batch, d->h, d->w, d->c), &o,
                                   &d->denoiser);
    free(context);
    if (!d->a->field) brume_model_drop_params(d->model); /* the field is drawn by a second network */
    return st;
}

static brume_status make_classifier(struct drawing *d)
{
    if (!d->judge) return BRUME_OK;
    const brume_status st =
        brume_classifier_new(d->device, d->judge, BRUME_SHAPE(d->batch, d->h, d->w, d->c), NULL, &d->classifier);
    if (st != BRUME_OK) return st;
    d->gradient = *brume_classifier_get_gradient(d->classifier);
    d->gradient.scale = d->a->classifier_scale;
    brume_model_drop_params(d->judge);
    return BRUME_OK;
}

#define DECODE_LEAST ((uint64_t)1 << 30)

/* Decoding shall not take more than the U-Net does, which is its weights at least, and may take a GiB anyway. */
static uint64_t decode_limit(const struct drawing *d)
{
    const uint64_t weights = (uint64_t)d->model->n_params * (d->a->storage == BRUME_STORAGE_F16 ? 2 : 4);
    return weights > DECODE_LEAST ? weights : DECODE_LEAST;
}

int drawing_open(struct drawing *d, const struct sample_args *a, const struct cli_usage *u, const char *folder)
{
    brume_safetensors *file = NULL;
    const brume_st_tensor *noise = NULL;
    int status = CLI_GO_ON;
    *d = (struct drawing){ .a = a, .folder = folder };
    brume_scheduler_config_default(&d->scheduler);
    brume_status st = brume_model_load(folder, a->weights, &d->model);
    if (st == BRUME_OK && a->ema > 0) st = brume_train_read_average(folder, a->ema, d->model);
    if (st == BRUME_OK && d->model->note[0] && !a->quiet) fprintf(stderr, "%s\n", d->model->note);
    if (st == BRUME_OK) st = cli_lora_merge(&a->loras, d->model, a->quiet);
    if (st == BRUME_OK && a->classifier) st = brume_model_load(a->classifier, NULL, &d->judge);
    if (st == BRUME_OK && d->judge && d->judge->note[0] && !a->quiet) fprintf(stderr, "%s: %s\n", a->classifier, d->judge->note);
    if (st == BRUME_OK) d->fingerprint = brume_model_fingerprint(d->model);
    if (st == BRUME_OK && d->judge) d->judge_fingerprint = brume_model_fingerprint(d->judge);
    if (st == BRUME_OK && a->init_noise) st = brume_safetensors_open(a->init_noise, &file);
    if (file) noise = brume_safetensors_find(file, "noise");
    if (st == BRUME_OK) status = prepare(d, u, noise);
    if (st == BRUME_OK && status == CLI_GO_ON) {
        if (noise) st = load_noise(d, noise);
        if (st == BRUME_OK) st = cli_device_open(&a->device, a->quiet, &d->device);
        if (st == BRUME_OK) st = view_open(&d->view, d->device, a->memory_limit ? a->memory_limit : decode_limit(d));
        if (st == BRUME_OK && d->view.coder && *brume_latent_coder_note(d->view.coder) && !a->quiet)
            fprintf(stderr, "note: %s\n", brume_latent_coder_note(d->view.coder));
        if (st == BRUME_OK) st = load_known(d);
        if (st == BRUME_OK && a->mask) st = load_mask(d);
        if (st == BRUME_OK) st = make_denoiser(d);
        if (st == BRUME_OK) st = make_classifier(d);
        if (st == BRUME_OK) st = brume_buffer_new(d->device, (size_t)(d->batch * pixels(d)) * sizeof(float), &d->x);
    }
    brume_safetensors_close(file);
    return st == BRUME_OK ? status : cli_failed();
}

void drawing_close(struct drawing *d)
{
    brume_buffer_free(d->x);
    brume_buffer_free(d->known);
    brume_buffer_free(d->mask);
    brume_sampler_free(d->sampler);
    brume_unet2d_denoiser_free(d->denoiser);
    brume_classifier_free(d->classifier);
    view_close(&d->view);
    brume_device_close(d->device);
    brume_model_free(d->model);
    brume_model_free(d->judge);
    brume_scheduler_config_clear(&d->scheduler);
    brume_prompt_context_free(d->prompts);
    free(d->labels);
    free(d->seeds);
    free(d->noise);
    free(d->known_picture);
    free(d->known_states);
    if (d->pictures != d->images) free(d->pictures);
    free(d->images);
}

brume_status drawing_sampler(struct drawing *d, const char *name, int64_t steps)
{
    const brume_scheduler_config *model = &d->model->scheduler;
    const brume_sampler_kind *kind = name ? brume_sampler_find(name) : brume_sampler_for_config(model);
    brume_sampler_options o;
    brume_sampler_free(d->sampler);
    d->sampler = NULL;
    brume_scheduler_config_clear(&d->scheduler);
    d->sampler_name = kind ? kind->name : name;
    const brume_status st = kind ? brume_sampler_config(kind, model, &d->scheduler) : BRUME_OK;
    if (st != BRUME_OK) return st;
    sample_args_apply(d->a, &d->scheduler, &o);
    o.name = d->sampler_name;
    /* Pipelines with text are made for few steps, and their offset of times has no room for all: diffusers, too, takes 50. */
    o.steps = (int32_t)(steps || !d->model->text_encoder ? steps : 50);
    o.scheduler = &d->scheduler;
    return brume_sampler_new(d->device, &o, BRUME_SHAPE(d->batch, d->h, d->w, d->c), &d->sampler);
}

int64_t drawing_calls(const struct drawing *d)
{
    const int64_t size = brume_parallel_size(cli_parallel()),
                  own = (batches(d) + size - 1 - brume_parallel_rank(cli_parallel())) / size;
    return own * brume_sampler_calls(d->sampler);
}

static brume_status observe(void *ctx, const brume_sampler_event *e)
{
    struct drawing *d = ctx;
    if (e->call > d->calls_seen && d->step) d->step(d->ctx, ++d->calls_done); /* jumps of RePaint ask nothing */
    d->calls_seen = e->call;
    return d->observe && d->batches_done == 0 ? d->observe(d->ctx, e) : BRUME_OK;
}

static brume_status set_labels(struct drawing *d, int64_t first)
{
    int32_t *labels = malloc((size_t)d->batch * sizeof *labels);
    if (!labels) return BRUME_E_MEMORY;
    for (int64_t i = 0; i < d->batch; i++) labels[i] = d->labels[(first + i) % d->n];
    brume_status st = d->conditional ? brume_unet2d_denoiser_set_labels(d->denoiser, labels) : BRUME_OK;
    if (st == BRUME_OK && d->classifier) st = brume_classifier_set_labels(d->classifier, labels);
    free(labels);
    return st;
}

static brume_status draw_batch(struct drawing *d, int64_t first)
{
    const size_t bytes = (size_t)(d->batch * pixels(d)) * sizeof(float);
    float *out = d->images + first * pixels(d);
    brume_status st = d->labels ? set_labels(d, first) : BRUME_OK;
    if (st == BRUME_OK && d->noise) {
        for (int64_t i = 0; i < d->batch; i++)
            memcpy(out + i * pixels(d), d->noise + (first + i) % d->n * pixels(d), (size_t)pixels(d) * sizeof *out);
        st = brume_buffer_write(d->x, 0, out, bytes);
    } else if (st == BRUME_OK) {
        st = brume_sampler_start(d->sampler, d->seeds + first, d->x);
    }
    if (st == BRUME_OK && d->known) st = brume_buffer_write(d->known, 0, d->known_states + first * pixels(d), bytes);
    const brume_sampler_input in = { .denoiser = brume_unet2d_denoiser_get(d->denoiser), .seeds = d->seeds + first,
                                     .known = d->known, .mask = d->mask, .classifier = d->classifier ? &d->gradient : NULL,
                                     .observe = observe, .ctx = d, .want_x0 = d->observe_x0 };
    d->calls_seen = 0;
    if (st == BRUME_OK) st = brume_sampler_run(d->sampler, &in, d->x);
    d->batches_done++;
    return st == BRUME_OK ? brume_buffer_read(d->x, 0, out, bytes) : st;
}

brume_status drawing_draw(struct drawing *d)
{
    brume_status st = BRUME_OK;
    d->calls_done = d->batches_done = 0;
    brume_parallel *ranks = cli_parallel();
    const int64_t size = brume_parallel_size(ranks), bytes = d->batch * pixels(d) * (int64_t)sizeof *d->images;
    for (int64_t b = brume_parallel_rank(ranks); st == BRUME_OK && b < batches(d); b += size) st = draw_batch(d, b * d->batch);
    for (int64_t b = 0; st == BRUME_OK && b < batches(d); b++)
        st = brume_parallel_broadcast(ranks, (int)(b % size), d->images + b * d->batch * pixels(d), (size_t)bytes);
    return st;
}

brume_status drawing_decode(struct drawing *d)
{
    if (d->pictures != d->images) free(d->pictures);
    d->pictures = d->images;
    return d->view.coder ? view_pictures(&d->view, d->images, d->n, &d->pictures) : BRUME_OK;
}
