/* SPDX-License-Identifier: MIT
 * brume sample: draws images from a model. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/image.h"
#include "brume/model.h"
#include "brume/rng.h"
#include "brume/safetensors.h"
#include "commands.h"
#include "device_options.h"
#include "options.h"
#include "progress.h"
#include "strips.h"

struct sample_args {
    struct cli_device device;
    const char *out, *sampler, *classes, *init_noise, *save_tensors, *strip, *forward_strip, *weights;
    int variance, spacing, reproject, quiet;
    int64_t n, steps, batch, seed, columns, scale, size, strip_images, strip_columns;
    double eta, guidance, guidance_w;
};

/* Everything about one drawing; h, w, c of an image, all images as (n, h, w, c). */
struct drawing {
    const struct sample_args *a;
    brume_model *model;
    brume_device *device;
    brume_unet2d_denoiser *denoiser;
    brume_sampler *sampler;
    const char *sampler_name;
    brume_buffer *x;
    int64_t n, batch, h, w, c;
    int32_t *labels;   /* n, or NULL */
    int64_t *seeds;    /* n rounded up to whole batches */
    float *noise;      /* given start noise (n, h, w, c), or NULL */
    float *images;     /* n rounded up to whole batches */
    int n_classes;     /* of --class: columns of the grid */
    struct strip strip;
    struct cli_progress bar;
    int64_t calls_done;
};

static int64_t pixels(const struct drawing *s) { return s->h * s->w * s->c; }

/* "7", "0,3,5" or "all" into labels, repeated over the images. Returns 0 after a message. */
static int parse_classes(struct drawing *s, const struct cli_usage *u)
{
    const brume_unet2d_config *c = &s->model->unet;
    const int rows = c->class_embed_type == BRUME_CLASS_TABLE ? c->num_class_embeds : 0;
    const char *text = s->a->classes;
    if (!rows && text) return cli_wrong(u, "--class: this model knows no classes"), 0;
    if (!rows && s->a->guidance != 1) return cli_wrong(u, "--guidance: this model knows no classes, so there is nothing to guide to"), 0;
    if (!rows) return 1;
    int32_t *list = malloc((size_t)rows * sizeof *list);
    s->labels = malloc((size_t)s->n * sizeof *s->labels);
    if (!list || !s->labels) { free(list); return cli_wrong(u, "out of memory"), 0; }
    if (!text || !strcmp(text, "all")) { /* the last row stands for "no class" */
        s->n_classes = rows > 1 ? rows - 1 : 1;
        for (int i = 0; i < s->n_classes; i++) list[i] = i;
    }
    for (const char *p = text; p && strcmp(text, "all");) {
        char *end;
        const long k = strtol(p, &end, 10);
        if (end == p || k < 0 || k >= rows || (*end && *end != ',') || s->n_classes == rows) {
            free(list);
            return cli_wrong(u, "--class: expected numbers 0 to %d separated by commas, or all; got '%s'", rows - 1, text), 0;
        }
        list[s->n_classes++] = (int32_t)k;
        if (!*end) break;
        p = end + 1;
    }
    for (int64_t i = 0; i < s->n; i++) s->labels[i] = list[i % s->n_classes];
    free(list);
    return 1;
}

/* (N, C, H, W) <-> (N, H, W, C). */
static void to_nhwc(const struct drawing *s, const float *nchw, float *nhwc, int64_t n, int back)
{
    const int64_t plane = s->h * s->w;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < s->c; k++)
            for (int64_t p = 0; p < plane; p++) {
                const int64_t file = (i * s->c + k) * plane + p, inside = (i * plane + p) * s->c + k;
                if (back) nhwc[file] = nchw[inside];
                else nhwc[inside] = nchw[file];
            }
}

/* Reads --init-noise; sets n and the size of the images to the file's. */
static brume_status read_noise(struct drawing *s, brume_safetensors **file, const brume_st_tensor **noise)
{
    brume_status st = brume_safetensors_open(s->a->init_noise, file);
    if (st != BRUME_OK) return st;
    *noise = brume_safetensors_find(*file, "noise");
    return BRUME_OK;
}

static brume_status load_noise(struct drawing *s, const brume_st_tensor *t)
{
    const int64_t count = s->n * pixels(s);
    float *raw = malloc((size_t)count * sizeof *raw);
    s->noise = malloc((size_t)count * sizeof *s->noise);
    brume_status st = raw && s->noise ? brume_st_read_f32(t, 0, count, raw) : BRUME_E_MEMORY;
    if (st == BRUME_OK) to_nhwc(s, raw, s->noise, s->n, 0);
    free(raw);
    return st;
}

static brume_status save_tensors(const struct drawing *s)
{
    const int64_t shape[4] = { s->n, s->c, s->h, s->w };
    float *nchw = malloc((size_t)(s->n * pixels(s)) * sizeof *nchw);
    if (!nchw) return BRUME_E_MEMORY;
    to_nhwc(s, s->images, nchw, s->n, 1);
    const brume_st_item item = { "samples", BRUME_ST_F32, 4, shape, nchw };
    const brume_status st = brume_safetensors_write(s->a->save_tensors, &item, 1, NULL);
    free(nchw);
    return st;
}

static brume_status observe(void *ctx, const brume_sampler_event *e)
{
    struct drawing *s = ctx;
    if (e->call > 0) cli_progress_step(&s->bar, ++s->calls_done, "%s", "");
    return strip_observe(&s->strip, e);
}

static brume_status draw_batch(struct drawing *s, int64_t first)
{
    const size_t bytes = (size_t)(s->batch * pixels(s)) * sizeof(float);
    float *out = s->images + first * pixels(s);
    brume_status st = BRUME_OK;
    if (s->labels) {
        int32_t *labels = malloc((size_t)s->batch * sizeof *labels);
        if (!labels) return BRUME_E_MEMORY;
        for (int64_t i = 0; i < s->batch; i++) labels[i] = s->labels[(first + i) % s->n];
        st = brume_unet2d_denoiser_set_labels(s->denoiser, labels);
        free(labels);
    }
    if (st == BRUME_OK && s->noise) {
        for (int64_t i = 0; i < s->batch; i++)
            memcpy(out + i * pixels(s), s->noise + (first + i) % s->n * pixels(s), (size_t)pixels(s) * sizeof *out);
        st = brume_buffer_write(s->x, 0, out, bytes);
    } else if (st == BRUME_OK) {
        st = brume_sampler_start(s->sampler, s->seeds + first, s->x);
    }
    const brume_sampler_input in = { .denoiser = brume_unet2d_denoiser_get(s->denoiser), .seeds = s->seeds + first, .observe = observe, .ctx = s };
    if (st == BRUME_OK) st = brume_sampler_run(s->sampler, &in, s->x);
    s->strip.wanted = 0; /* the first batch is enough */
    return st == BRUME_OK ? brume_buffer_read(s->x, 0, out, bytes) : st;
}

static brume_status draw(struct drawing *s, const brume_scheduler_config *scheduler)
{
    const struct sample_args *a = s->a;
    const brume_shape shape = BRUME_SHAPE(s->batch, s->h, s->w, s->c);
    brume_sampler_options so;
    brume_sampler_options_default(&so);
    so.name = s->sampler_name;
    so.steps = (int32_t)a->steps;
    so.eta = a->eta;
    so.use_clipped_model_output = a->reproject ? a->reproject == 2 : a->guidance != 1;
    so.scheduler = scheduler;
    const brume_unet2d_denoiser_options o = {
        .prediction_type = scheduler->prediction_type, .labels = s->labels, .null_label = s->model->unet.num_class_embeds - 1,
        .guidance_scale = s->labels ? a->guidance : 1,
    };
    const int64_t batches = (s->n + s->batch - 1) / s->batch;
    brume_status st = brume_sampler_new(s->device, &so, shape, &s->sampler);
    if (st == BRUME_OK) st = brume_unet2d_denoiser_new(s->device, &s->model->unet, s->model->params, shape, &o, &s->denoiser);
    brume_model_drop_params(s->model);
    if (st == BRUME_OK) st = brume_buffer_new(s->device, (size_t)brume_shape_numel(shape) * sizeof(float), &s->x);
    if (st != BRUME_OK) return st;
    const int32_t calls = brume_sampler_calls(s->sampler);
    if (!a->quiet) {
        fprintf(stderr, "sampler %s", so.name);
        if (calls) fprintf(stderr, ", %d network calls", (int)calls);
        if (o.guidance_scale != 1) fprintf(stderr, ", guidance e = e_u + %g (e_c - e_u)", o.guidance_scale);
        fprintf(stderr, "\n");
    }
    cli_progress_begin(&s->bar, "sampling", 0, batches * calls, a->quiet);
    for (int64_t b = 0; st == BRUME_OK && b < batches; b++) st = draw_batch(s, b * s->batch);
    cli_progress_end(&s->bar);
    return st;
}

static brume_status write_grid(const struct drawing *s, const char *sampler)
{
    const struct sample_args *a = s->a;
    brume_image *grid = NULL;
    char number[64];
    int64_t columns = a->columns ? a->columns : s->n_classes > 1 && s->n > s->n_classes ? s->n_classes : 0;
    if (columns > s->n) columns = s->n;
    brume_status st = brume_image_grid(s->images, s->n, (int32_t)s->h, (int32_t)s->w, (int32_t)s->c, (int32_t)columns, (int32_t)a->scale, &grid);
    if (st == BRUME_OK) st = brume_image_set_text(grid, "Software", "brume");
    if (st == BRUME_OK) st = brume_image_set_text(grid, "sampler", sampler);
    snprintf(number, sizeof number, "%lld", (long long)a->seed);
    if (st == BRUME_OK) st = brume_image_set_text(grid, "seed", number);
    snprintf(number, sizeof number, "%g", a->guidance);
    if (st == BRUME_OK && s->labels) st = brume_image_set_text(grid, "guidance_scale", number);
    if (st == BRUME_OK && a->classes) st = brume_image_set_text(grid, "class", a->classes);
    if (st == BRUME_OK) st = brume_png_write(a->out, grid);
    brume_image_free(grid);
    return st;
}

/* Sizes, seeds and memory. noise: of --init-noise, or NULL. */
static int prepare(struct drawing *s, const struct cli_usage *u, const brume_st_tensor *noise)
{
    const struct sample_args *a = s->a;
    const brume_unet2d_config *c = &s->model->unet;
    s->n = a->n;
    s->c = c->in_channels;
    s->h = a->size ? a->size : c->sample_size[0];
    s->w = a->size ? a->size : c->sample_size[1];
    if (a->init_noise) {
        if (!noise || noise->ndim != 4 || noise->shape[1] != s->c)
            return cli_wrong(u, "--init-noise: expected a tensor 'noise' of shape (N, %lld, H, W) in %s", (long long)s->c, a->init_noise);
        s->n = noise->shape[0] < a->n || !a->n ? noise->shape[0] : a->n;
        s->h = noise->shape[2];
        s->w = noise->shape[3];
    }
    if (s->n < 1) s->n = 16;
    if (s->h < 1 || s->w < 1) return cli_wrong(u, "the model has no sample_size; give --size");
    if (c->in_channels != c->out_channels) return cli_wrong(u, "the model takes %d channels and predicts %d", c->in_channels, c->out_channels);
    /* Batches of equal size, so that one plan serves all; the rest of the last one is thrown away. */
    const int64_t batches = (s->n + a->batch - 1) / a->batch;
    s->batch = (s->n + batches - 1) / batches;
    s->seeds = malloc((size_t)(batches * s->batch) * sizeof *s->seeds);
    s->images = malloc((size_t)(batches * s->batch * pixels(s)) * sizeof *s->images);
    if (!s->seeds || !s->images) return cli_wrong(u, "out of memory for %lld images", (long long)s->n);
    for (int64_t i = 0; i < batches * s->batch; i++) s->seeds[i] = (int64_t)brume_seed_mix((uint64_t)a->seed, (uint64_t)i);
    return parse_classes(s, u) ? CLI_GO_ON : CLI_USAGE;
}

static brume_status outputs(struct drawing *s)
{
    const struct sample_args *a = s->a;
    for (int64_t i = 0; i < s->n * pixels(s); i++)
        if (!isfinite(s->images[i])) {
            fprintf(stderr, "warning: the model drew NaN or infinite values; is it trained?\n");
            break;
        }
    brume_status st = a->out ? write_grid(s, s->sampler_name) : BRUME_OK;
    if (st == BRUME_OK && a->save_tensors) st = save_tensors(s);
    if (st == BRUME_OK && a->strip) st = strip_write(&s->strip, a->strip);
    if (st == BRUME_OK && a->forward_strip)
        st = strip_forward(brume_sampler_process(s->sampler), s->images, s->seeds, s->n < a->strip_images ? s->n : a->strip_images, s->h, s->w, s->c,
                           a->strip_columns, a->forward_strip);
    if (st != BRUME_OK || a->quiet) return st;
    const char *const files[] = { a->out, a->save_tensors, a->strip, a->forward_strip };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i]) fprintf(stderr, "wrote   %s\n", files[i]);
    return st;
}

static int sample(const struct sample_args *a, const struct cli_usage *u, const struct cli_option *o, const char *folder)
{
    struct drawing s = { .a = a };
    brume_safetensors *file = NULL;
    const brume_st_tensor *noise = NULL;
    brume_scheduler_config scheduler;
    int status = CLI_GO_ON;
    brume_scheduler_config_default(&scheduler);
    brume_status st = brume_model_load(folder, a->weights, &s.model);
    if (st == BRUME_OK && s.model->note[0] && !a->quiet) fprintf(stderr, "%s\n", s.model->note);
    const brume_sampler_kind *kind = a->sampler ? brume_sampler_find(a->sampler) : st == BRUME_OK ? brume_sampler_for_config(&s.model->scheduler) : NULL;
    if (st == BRUME_OK && kind) st = brume_sampler_config(kind, &s.model->scheduler, &scheduler);
    s.sampler_name = kind ? kind->name : a->sampler;
    if (st == BRUME_OK && a->init_noise) st = read_noise(&s, &file, &noise);
    if (st == BRUME_OK) status = prepare(&s, u, noise);
    if (st == BRUME_OK && status == CLI_GO_ON) {
        if (cli_given(o, "variance")) scheduler.variance_type = a->variance ? BRUME_VARIANCE_FIXED_LARGE : BRUME_VARIANCE_FIXED_SMALL;
        if (cli_given(o, "spacing")) scheduler.timestep_spacing = (brume_spacing)a->spacing;
        if (noise) st = load_noise(&s, noise);
        if (st == BRUME_OK && a->strip)
            st = strip_begin(&s.strip, s.batch < a->strip_images ? s.batch : a->strip_images, a->strip_columns, s.h, s.w, s.c);
        if (st == BRUME_OK) st = cli_device_open(&a->device, a->quiet, &s.device);
        if (st == BRUME_OK) st = draw(&s, &scheduler);
        if (st == BRUME_OK) st = outputs(&s);
    }
    brume_safetensors_close(file);
    strip_free(&s.strip);
    brume_buffer_free(s.x);
    brume_sampler_free(s.sampler);
    brume_unet2d_denoiser_free(s.denoiser);
    brume_device_close(s.device);
    brume_model_free(s.model);
    brume_scheduler_config_clear(&scheduler);
    free(s.labels);
    free(s.seeds);
    free(s.noise);
    free(s.images);
    if (st != BRUME_OK) return cli_failed();
    return status == CLI_GO_ON ? CLI_DONE : status;
}

int cmd_sample(int argc, char **argv)
{
    static const char *const examples[] = {
        "brume sample runs/shapes --out samples.png",
        "brume sample runs/mnist --out digits.png --class all --n 100 --guidance 2 --sampler ddim --steps 50",
        "brume sample ddpm-cifar10-32 --out cars.png --n 16 --strip strip.png --forward-strip noise.png", NULL };
    static const char *const variances[] = { "small", "large", NULL };
    static const char *const reprojects[] = { "auto", "off", "on", NULL };
    static const char *const spacings[] = { "leading", "linspace", "trailing", NULL };
    const struct cli_usage u = { "sample", "MODEL", "Draws images from a model folder (of brume or diffusers).", examples, 1, 1 };
    struct sample_args a = { .device = CLI_DEVICE_DEFAULT, .batch = 64, .eta = -1, .guidance = 1, .strip_images = 6, .strip_columns = 10 };
    struct cli_option options[] = {
        OPT_STRING("out", &a.out, "FILE.png", "grid of the images"),
        OPT_INT("n", &a.n, 0, 1000000, "N", "number of images; 0: 16, or all of --init-noise"),
        OPT_STRING("sampler", &a.sampler, "NAME", "ddpm (Ho et al. 2020) or ddim (Song et al. 2021); default: what the model's scheduler asks for"),
        OPT_INT("steps", &a.steps, 0, 1000000, "N", "network calls; 0: the sampler's default"),
        OPT_FLOAT("eta", &a.eta, -1, 1, "X", "ddim: 0 deterministic, 1 as much noise as ddpm; -1: the sampler's default"),
        OPT_CHOICE("use-clipped-model-output", &a.reproject, reprojects, "ddim: derive eps again from the clipped x0; auto: with guidance, whose "
                   "predictions leave [-1, 1]"),
        OPT_CHOICE("variance", &a.variance, variances, "ddpm: posterior variance (small) or beta (large); default: the model's"),
        OPT_CHOICE("spacing", &a.spacing, spacings, "which times the steps visit; default: the model's"),
        OPT_STRING("class", &a.classes, "K", "class numbers separated by commas, or all (the default); one column of the grid each"),
        OPT_FLOAT("guidance", &a.guidance, -1000, 1000, "S", "classifier-free guidance e_u + S (e_c - e_u); 1: none"),
        OPT_FLOAT("guidance-w", &a.guidance_w, -1000, 1000, "W", "the same as Ho & Salimans (2022) write it: (1 + W) e_c - W e_u, S = 1 + W"),
        OPT_INT("seed", &a.seed, 0, 9e15, "N", "the noise of image i depends on the seed and i alone, not on the batch"),
        OPT_INT("batch", &a.batch, 1, 65536, "N", "most images drawn at once"),
        OPT_INT("size", &a.size, 0, 4096, "N", "height and width; 0: the model's"),
        OPT_INT("columns", &a.columns, 0, 1000, "N", "columns of the grid; 0: one per class, or about square"),
        OPT_INT("scale", &a.scale, 0, 64, "N", "enlargement of the pixels; 0: pleasant to look at"),
        OPT_STRING("init-noise", &a.init_noise, "FILE", "start noise: tensor 'noise' (N, C, H, W) of a safetensors file"),
        OPT_STRING("save-tensors", &a.save_tensors, "FILE", "write 'samples' (N, C, H, W) in [-1, 1] as safetensors"),
        OPT_STRING("strip", &a.strip, "FILE.png", "picture of the way from noise to image"),
        OPT_STRING("forward-strip", &a.forward_strip, "FILE.png", "picture of the forward process, from these images to noise"),
        OPT_INT("strip-images", &a.strip_images, 1, 64, "N", "rows of such a picture"),
        OPT_INT("strip-columns", &a.strip_columns, 2, 64, "N", "columns of such a picture"),
        OPT_STRING("weights", &a.weights, "VARIANT", "which weights of the folder: fp16, non_ema, ..."),
        OPT_DEVICE(&a.device),
        OPT_FLAG("quiet", &a.quiet, "say nothing but errors"),
        { 0 } };
    const char *folder = NULL;
    int n = 0;
    const int status = cli_parse(&u, options, argc, argv, &folder, &n);
    if (status != CLI_GO_ON) return status;
    if (!a.out && !a.save_tensors) return cli_wrong(&u, "give --out FILE.png or --save-tensors FILE");
    if (cli_given(options, "guidance") && cli_given(options, "guidance-w")) return cli_wrong(&u, "--guidance S and --guidance-w W say the same, S = 1 + W; give one");
    if (cli_given(options, "guidance-w")) a.guidance = brume_guidance_from_w(a.guidance_w);
    return sample(&a, &u, options, folder);
}
