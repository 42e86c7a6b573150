/* SPDX-License-Identifier: MIT
 * Drawing images from a model, batch by batch. */
#include "drawing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/image.h"
#include "brume/rng.h"
#include "lora_list.h"

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
    if (!d->conditional && !reads && d->a->guidance != 1) return cli_wrong(u, "--guidance: this model knows no classes, so there is nothing to guide to");
    if (!d->conditional && d->a->negative >= 0) return cli_wrong(u, "--negative-class: this model knows no classes");
    if (d->a->negative >= rows && d->conditional) return cli_wrong(u, "--negative-class: expected 0 to %d, got %lld", rows - 1, (long long)d->a->negative);
    if (!rows) return CLI_GO_ON;
    int32_t *list = malloc((size_t)rows * sizeof *list);
    d->labels = malloc((size_t)d->n * sizeof *d->labels);
    if (!list || !d->labels) { free(list); return cli_wrong(u, "out of memory"); }
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

void drawing_reorder(const struct drawing *d, const float *from, float *to, int64_t n, int back)
{
    const int64_t plane = d->h * d->w;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < d->c; k++)
            for (int64_t p = 0; p < plane; p++) {
                const int64_t file = (i * d->c + k) * plane + p, inside = (i * plane + p) * d->c + k;
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
    if (st == BRUME_OK) drawing_reorder(d, raw, d->noise, d->n, 0);
    free(raw);
    return st;
}

/* A picture file as one image (h, w, c) in [-1, 1]. */
static brume_status load_picture(const struct drawing *d, const char *path, float **out)
{
    brume_image *im = NULL;
    *out = malloc((size_t)pixels(d) * sizeof **out);
    if (!*out) return BRUME_E_MEMORY;
    const brume_status st = brume_image_read(path, &im);
    if (st == BRUME_OK) brume_image_fit(im, (int32_t)d->h, (int32_t)d->w, (int32_t)d->c, *out);
    brume_image_free(im);
    return st;
}

static brume_status load_pictures(struct drawing *d)
{
    brume_status st = d->a->init_image ? load_picture(d, d->a->init_image, &d->known_pixels) : BRUME_OK;
    if (st == BRUME_OK && d->a->mask) st = load_picture(d, d->a->mask, &d->mask_pixels);
    for (int64_t p = 0; st == BRUME_OK && d->mask_pixels && p < d->h * d->w; p++) { /* white keeps: all channels of a pixel alike */
        float sum = 0;
        for (int64_t k = 0; k < d->c; k++) sum += d->mask_pixels[p * d->c + k];
        for (int64_t k = 0; k < d->c; k++) d->mask_pixels[p * d->c + k] = sum > 0 ? 1 : 0;
    }
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
    if (d->model->autoencoder && (a->strip || a->x0_strip || a->forward_strip || a->film || a->table || a->interpolate))
        return cli_wrong(u, "this model draws latents: strips, films, --table and --interpolate are for models that draw images themselves");
    if (d->model->autoencoder && d->model->autoencoder->config.latent_channels != c->in_channels)
        return cli_wrong(u, "the autoencoder has %d latent channels, the U-Net %d", d->model->autoencoder->config.latent_channels, c->in_channels);
    d->h = a->size ? a->size / factor : c->sample_size[0];
    d->w = a->size ? a->size / factor : c->sample_size[1];
    if (a->init_noise) {
        if (!noise || noise->ndim != 4 || noise->shape[1] != d->c)
            return cli_wrong(u, "--init-noise: expected a tensor 'noise' of shape (N, %lld, H, W) in %s", (long long)d->c, a->init_noise);
        d->n = noise->shape[0] < a->n || !a->n ? noise->shape[0] : a->n;
        d->h = noise->shape[2];
        d->w = noise->shape[3];
    }
    if (d->n < 1) d->n = a->prompt ? 1 : a->interpolate ? 8 : 16;
    if (d->h < 1 || d->w < 1) return cli_wrong(u, "the model has no sample_size; give --size");
    if (c->architecture == BRUME_ARCHITECTURE_CLASSIFIER) 
        return cli_wrong(u, "this model is a classifier of noisy images, which draws nothing itself: give it as --classifier to one that does");
    if (c->in_channels != c->out_channels && 2 * c->in_channels != c->out_channels)
        return cli_wrong(u, "the model takes %d channels and predicts %d", c->in_channels, c->out_channels);
    if ((a->init_image || a->mask) && d->c != 1 && d->c != 3) return cli_wrong(u, "--init-image: pictures have 1 or 3 channels, this model has %lld", (long long)d->c);
    const int points = d->h == 1 && d->w == 1 && d->c == 2;
    if ((a->trajectories || a->field) && !points) return cli_wrong(u, "--%s is for points of the plane; this model draws images", a->field ? "field" : "trajectories");
    if ((a->x0_strip || a->forward_strip || a->table) && points)
        return cli_wrong(u, "this model draws points of the plane: --%s is for images", a->table ? "table" : a->x0_strip ? "x0-strip" : "forward-strip");
    /* Batches of equal size, so that one plan serves all; the rest of the last one is thrown away. */
    const int64_t batches = (d->n + a->batch - 1) / a->batch;
    d->batch = (d->n + batches - 1) / batches;
    d->seeds = malloc((size_t)(batches * d->batch) * sizeof *d->seeds);
    d->images = malloc((size_t)(batches * d->batch * pixels(d)) * sizeof *d->images);
    if (!d->seeds || !d->images) return cli_wrong(u, "out of memory for %lld images", (long long)d->n);
    for (int64_t i = 0; i < batches * d->batch; i++) d->seeds[i] = (int64_t)brume_seed_mix((uint64_t)a->seed, (uint64_t)i);
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
            fprintf(stderr, "note: the last %lld tokens of the %s do not fit and were cut off\n", (long long)d->prompts->n_cut[i], i ? "negative prompt" : "prompt");
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
        .guidance = { .scale = d->conditional || context ? a->guidance : 1, .rescale = a->rescale, .sigma_lo = a->interval[0], .sigma_hi = a->interval[1] },
        .storage = (brume_storage)a->storage,
        .context = context, .tokens = context ? d->prompts->tokens : 0,
        .null_context = context ? d->prompts->context + d->prompts->tokens * d->prompts->width : NULL,
    };
    st = brume_unet2d_denoiser_new(d->device, &d->model->unet, d->model->params, BRUME_SHAPE(d->batch, d->h, d->w, d->c), &o, &d->denoiser);
    free(context);
    if (!d->a->field) brume_model_drop_params(d->model); /* the field is drawn by a second network */
    return st;
}

static brume_status make_classifier(struct drawing *d)
{
    if (!d->judge) return BRUME_OK;
    const brume_status st = brume_classifier_new(d->device, d->judge, BRUME_SHAPE(d->batch, d->h, d->w, d->c), NULL, &d->classifier);
    if (st != BRUME_OK) return st;
    d->gradient = *brume_classifier_get_gradient(d->classifier);
    d->gradient.scale = d->a->classifier_scale;
    brume_model_drop_params(d->judge);
    return BRUME_OK;
}

/* The same picture for every image of a batch. */
static brume_status upload(const struct drawing *d, const float *picture, brume_buffer **out)
{
    if (!picture) return BRUME_OK;
    const size_t each = (size_t)pixels(d) * sizeof(float);
    brume_status st = brume_buffer_new(d->device, (size_t)d->batch * each, out);
    for (int64_t i = 0; st == BRUME_OK && i < d->batch; i++) st = brume_buffer_write(*out, (size_t)i * each, picture, each);
    return st;
}

int drawing_open(struct drawing *d, const struct sample_args *a, const struct cli_usage *u, const char *folder)
{
    brume_safetensors *file = NULL;
    const brume_st_tensor *noise = NULL;
    int status = CLI_GO_ON;
    *d = (struct drawing){ .a = a, .folder = folder };
    brume_scheduler_config_default(&d->scheduler);
    brume_status st = brume_model_load(folder, a->weights, &d->model);
    if (st == BRUME_OK && d->model->note[0] && !a->quiet) fprintf(stderr, "%s\n", d->model->note);
    if (st == BRUME_OK) st = cli_lora_merge(&a->loras, d->model, a->quiet);
    if (st == BRUME_OK && a->classifier) st = brume_model_load(a->classifier, NULL, &d->judge);
    if (st == BRUME_OK) d->fingerprint = brume_model_fingerprint(d->model);
    if (st == BRUME_OK && d->judge) d->judge_fingerprint = brume_model_fingerprint(d->judge);
    if (st == BRUME_OK && a->init_noise) st = brume_safetensors_open(a->init_noise, &file);
    if (file) noise = brume_safetensors_find(file, "noise");
    if (st == BRUME_OK) status = prepare(d, u, noise);
    if (st == BRUME_OK && status == CLI_GO_ON) {
        if (noise) st = load_noise(d, noise);
        if (st == BRUME_OK) st = load_pictures(d);
        if (st == BRUME_OK) st = cli_device_open(&a->device, a->quiet, &d->device);
        if (st == BRUME_OK) st = make_denoiser(d);
        if (st == BRUME_OK) st = make_classifier(d);
        if (st == BRUME_OK) st = brume_buffer_new(d->device, (size_t)(d->batch * pixels(d)) * sizeof(float), &d->x);
        if (st == BRUME_OK) st = upload(d, d->known_pixels, &d->known);
        if (st == BRUME_OK) st = upload(d, d->mask_pixels, &d->mask);
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
    brume_device_close(d->device);
    brume_model_free(d->model);
    brume_model_free(d->judge);
    brume_scheduler_config_clear(&d->scheduler);
    brume_prompt_context_free(d->prompts);
    free(d->labels);
    free(d->seeds);
    free(d->noise);
    free(d->known_pixels);
    free(d->mask_pixels);
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
    o.steps = (int32_t)steps;
    o.scheduler = &d->scheduler;
    return brume_sampler_new(d->device, &o, BRUME_SHAPE(d->batch, d->h, d->w, d->c), &d->sampler);
}

static int64_t batches(const struct drawing *d) { return (d->n + d->batch - 1) / d->batch; }

int64_t drawing_calls(const struct drawing *d) { return batches(d) * brume_sampler_calls(d->sampler); }

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
    const brume_sampler_input in = { .denoiser = brume_unet2d_denoiser_get(d->denoiser), .seeds = d->seeds + first, .known = d->known, .mask = d->mask,
                                     .classifier = d->classifier ? &d->gradient : NULL, .observe = observe, .ctx = d, .want_x0 = d->observe_x0 };
    d->calls_seen = 0;
    if (st == BRUME_OK) st = brume_sampler_run(d->sampler, &in, d->x);
    d->batches_done++;
    return st == BRUME_OK ? brume_buffer_read(d->x, 0, out, bytes) : st;
}

brume_status drawing_draw(struct drawing *d)
{
    brume_status st = BRUME_OK;
    d->calls_done = d->batches_done = 0;
    for (int64_t b = 0; st == BRUME_OK && b < batches(d); b++) st = draw_batch(d, b * d->batch);
    return st;
}

brume_status drawing_decode(struct drawing *d)
{
    const brume_autoencoder *a = d->model->autoencoder;
    if (!a) return BRUME_OK;
    const int64_t f = brume_autoencoder_factor(&a->config), c = a->config.out_channels;
    char note[256];
    float *images = malloc((size_t)(d->n * f * d->h * f * d->w * c) * sizeof *images);
    if (!images) return BRUME_E_MEMORY;
    const brume_status st = brume_latents_decode(d->device, a, d->images, BRUME_SHAPE(d->n, d->h, d->w, d->c), NULL, images, note);
    free(d->images);
    d->images = images;
    d->h *= f;
    d->w *= f;
    d->c = c;
    return st;
}
