/* SPDX-License-Identifier: MIT
 * Presets: a model and training settings for a kind of data, and fitting a config to a data set. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/train.h"
#include "train/latent.h"

static void levels(brume_unet2d_config *u, int n, const int32_t *channels, const brume_unet2d_block *down)
{
    u->levels = n;
    for (int i = 0; i < n; i++) {
        u->block_out_channels[i] = channels[i];
        u->down_block_types[i] = down[i];
        u->up_block_types[n - 1 - i] = down[i];
    }
}

#define R BRUME_BLOCK_RESNET
#define A BRUME_BLOCK_ATTENTION

/* Small enough for a laptop's processor: a few minutes show shapes and colours. */
static void fill_shapes(brume_train_config *c)
{
    levels(&c->unet, 3, (const int32_t[]){ 32, 64, 96 }, (const brume_unet2d_block[]){ R, R, A });
    c->unet.layers_per_block = 1;
    c->unet.norm_num_groups = 8;
    c->unet.attention_head_dim = 32;
    c->batch = 32;
    c->steps = 3000;
}

static void fill_mnist(brume_train_config *c)
{
    levels(&c->unet, 3, (const int32_t[]){ 32, 64, 96 }, (const brume_unet2d_block[]){ R, R, A });
    c->unet.layers_per_block = 1;
    c->unet.norm_num_groups = 8;
    c->unet.attention_head_dim = 32;
    c->unet.sample_size[0] = c->unet.sample_size[1] = 28; /* until data say otherwise */
    c->unet.in_channels = c->unet.out_channels = 1;
    c->batch = 32;
    c->steps = 6000;
}

/* A small network in the manner of ddpm-cifar10, for a first look at photographs. */
static void fill_cifar10(brume_train_config *c)
{
    levels(&c->unet, 3, (const int32_t[]){ 64, 128, 128 }, (const brume_unet2d_block[]){ R, A, R });
    c->unet.layers_per_block = 1;
    c->unet.norm_num_groups = 32;
    c->unet.attention_head_dim = 64;
    c->unet.dropout = 0.1;
    c->batch = 64;
    c->steps = 50000;
    c->lr = 4e-4;
    c->warmup = 1000;
    c->ema_decay = 0.9995;
}

/* Ho et al. 2020, appendix B; as published, class labels are not used: --cond none. */
static void fill_ddpm_cifar10(brume_train_config *c)
{
    levels(&c->unet, 4, (const int32_t[]){ 128, 256, 256, 256 }, (const brume_unet2d_block[]){ R, A, R, R });
    c->unet.layers_per_block = 2;
    c->unet.norm_num_groups = 32;
    c->unet.attention_head_dim = 0; /* one head */
    c->unet.dropout = 0.1;
    c->batch = 128; /* AdamW without decay, the default, is the paper's Adam */
    c->steps = 800000;
    c->lr = 2e-4;
    c->warmup = 5000;
    c->ema_decay = 0.9999;
}

/* Pictures that captions ask for. Predicting v under a cosine schedule: predicting eps under the linear one, guided samples of
 * the same length of training were half noise. */
static void fill_shapes_text(brume_train_config *c)
{
    brume_unet2d_condition_config_default(&c->unet);
    memset(c->unet.down_block_types, 0, sizeof c->unet.down_block_types);
    memset(c->unet.up_block_types, 0, sizeof c->unet.up_block_types);
    memset(c->unet.block_out_channels, 0, sizeof c->unet.block_out_channels);
    levels(&c->unet, 2, (const int32_t[]){ 32, 64 }, (const brume_unet2d_block[]){ R, BRUME_BLOCK_CROSS_ATTENTION });
    c->unet.layers_per_block = 1;
    c->unet.norm_num_groups = 8;
    c->unet.attention_head_dim = 4;
    c->unet.cross_attention_dim = 64;
    c->batch = 32;
    snprintf(c->scheduler.beta_schedule, sizeof c->scheduler.beta_schedule, "squaredcos_cap_v2");
    c->scheduler.prediction_type = BRUME_PREDICT_V;
    c->steps = 10000;
    c->lr = 2e-3;
    c->lr_schedule = brume_lr_schedule_find("cosine");
    c->lr_end = 1e-5;
}

/* Points of the plane: a minute of training. */
static void fill_points(brume_train_config *c)
{
    levels(&c->unet, 1, (const int32_t[]){ 128 }, (const brume_unet2d_block[]){ R });
    c->unet.architecture = BRUME_ARCHITECTURE_MLP;
    c->unet.layers_per_block = 4;
    c->scheduler.clip_sample = false; /* points are not bounded as pixels are */
    c->batch = 512;
    c->steps = 5000;
    c->lr = 2e-3;
    c->ema_decay = 0.995;
}

/* Rombach et al. 2022, as published in version 1.5: for measurements. */
static void fill_sd15(brume_train_config *c)
{
    brume_unet2d_condition_config_default(&c->unet);
    c->unet.cross_attention_dim = 768;
    c->batch = 1;
}

static void fill_sd15_parts(brume_text_encoder_config *text, brume_autoencoder_config *vae)
{
    static const int32_t wide[] = { 128, 256, 512, 512 };
    brume_text_encoder_config_default(text);
    text->hidden_size = text->projection_dim = 768; /* ViT-L/14 */
    text->intermediate_size = 3072;
    text->num_attention_heads = 12;
    brume_autoencoder_config_default(vae);
    vae->levels = 4;
    memcpy(vae->block_out_channels, wide, sizeof wide);
    vae->layers_per_block = 2;
    vae->sample_size = 512;
}

static const brume_preset rows[] = {
    { "shapes", "shapes", "built-in coloured shapes at 16x16 pixels, 6 classes", fill_shapes, 16, 3, NULL, 0,
      "20 min, clean shapes in clean colours" },
    { "shapes-text", "shapes-text", "built-in pictures with captions at 16x16 pixels, for --cond text",
      fill_shapes_text, 16, 3, NULL, 0, "23 min, colour and shape as the caption says in 97 of 100" },
    { "mnist", "FOLDER", "handwritten digits of 28x28 pixels (IDX files), 10 classes", fill_mnist, 0, 0, NULL, 0,
      "3 h, legible digits of the class asked for; the first after 6 min" },
    { "cifar10", "FOLDER", "photographs of 32x32 pixels (CIFAR-10), 10 classes: a small network", fill_cifar10, 32, 3, NULL, 1,
      "estimated: 8 days, on a GPU of 10 TFLOP/s 35 min; blurred photographs" },
    { "ddpm-cifar10", "FOLDER", "the same by network and settings of Ho et al. 2020, appendix B (with --cond none)",
      fill_ddpm_cifar10, 32, 3, NULL, 1, "estimated: 5 days on a GPU of 10 TFLOP/s; the paper reports an FID of 3.17" },
    { "points", "moons", "points of the plane (moons, swiss-roll, gaussians, ...) and a small multilayer perceptron",
      fill_points, 1, 2, NULL, 0, "6 min, points on the figure" },
    { "sd15", "FOLDER", "the networks of Stable Diffusion 1.5 for images of 512x512 pixels, to be planned and measured",
      fill_sd15, 64, 4, fill_sd15_parts, 0, NULL },
};

const brume_preset *brume_preset_row(int i) { return i >= 0 && (size_t)i < sizeof rows / sizeof *rows ? &rows[i] : NULL; }

const brume_preset *brume_preset_find(const char *name)
{
    for (int i = 0; brume_preset_row(i); i++)
        if (name && !strcmp(rows[i].name, name)) return &rows[i];
    return NULL;
}

const char *brume_preset_for_data(const char *data)
{
    for (int i = 0; brume_planar_name(i); i++)
        if (!strcmp(data, brume_planar_name(i))) return "points";
    return !strcmp(data, "shapes") ? "shapes" : !strcmp(data, "shapes-text") ? "shapes-text" : "mnist";
}

static brume_status from_preset(const char *name, brume_train_config *c)
{
    const brume_preset *p = brume_preset_find(name);
    if (!p) {
        char known[256] = "";
        for (int i = 0; brume_preset_row(i); i++)
            snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", brume_preset_row(i)->name);
        return brume_fail(BRUME_E_ARG, "there is no preset '%s'; known: %s", name, known);
    }
    p->fill(c);
    if (p->channels) c->unet.in_channels = c->unet.out_channels = p->channels;
    if (p->size) c->unet.sample_size[0] = c->unet.sample_size[1] = p->size;
    return BRUME_OK;
}

static brume_status from_file(const char *what, brume_unet2d_config *u, char note[512])
{
    static const char *const places[] = { "%s", "%s/unet/config.json", "%s/config.json" };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char path[4096];
        snprintf(path, sizeof path, places[i], what);
        if (brume_is_file(path)) return brume_unet2d_config_read(path, u, note);
    }
    return brume_fail(BRUME_E_IO, "%s: expected a config.json, or a folder that holds unet/config.json or config.json", what);
}

brume_status brume_train_config_load(const char *what, const char *preset, int32_t size, brume_train_config *c, char note[512])
{
    brume_train_config_default(c);
    if (note) note[0] = 0;
    const brume_status s = what ? from_file(what, &c->unet, note) : from_preset(preset, c);
    if (s == BRUME_OK && size > 0) c->unet.sample_size[0] = c->unet.sample_size[1] = size;
    return s;
}

brume_status brume_train_config_schedule(const char *folder, brume_train_config *c, char note[512])
{
    static const char *const places[] = { "%s/scheduler/scheduler_config.json", "%s/scheduler_config.json" };
    if (note) note[0] = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char path[4096];
        brume_scheduler_config found;
        snprintf(path, sizeof path, places[i], folder);
        if (!brume_is_file(path)) continue;
        const brume_status s = brume_scheduler_config_read(path, &found, note);
        if (s != BRUME_OK) return s;
        brume_scheduler_config_clear(&c->scheduler);
        c->scheduler = found;
        return BRUME_OK;
    }
    return BRUME_OK;
}

int32_t brume_train_out_channels(const brume_scheduler_config *c, int32_t channels)
{
    return c->variance_type == BRUME_VARIANCE_LEARNED_RANGE ? 2 * channels : channels;
}

brume_status brume_train_config_fit(brume_train_config *c, const brume_dataset *data, int class_conditional)
{
    const brume_autoencoder_config *latent = c->autoencoder ? &c->autoencoder->config : NULL;
    const int32_t f = latent ? (int32_t)brume_autoencoder_factor(latent) : 1, classes = brume_dataset_classes(data);
    const int32_t h = brume_dataset_height(data) / f, w = brume_dataset_width(data) / f;
    const int64_t multiple = brume_unet2d_multiple(&c->unet);
    const brume_status s = latent ? brume_trainer_latent_fits(latent, data) : BRUME_OK;
    if (s != BRUME_OK) return s;
    if (h % multiple || w % multiple)
        return brume_fail(BRUME_E_SHAPE,
                          "the model has %d levels and needs %s whose sides are multiples of %" PRId64
                          ", those of '%s' are %dx%d; use a model of fewer levels or other images",
                          c->unet.levels, latent ? "latents" : "images", multiple, brume_dataset_kind(data), w, h);
    if (class_conditional && classes < 1)
        return brume_fail(BRUME_E_ARG, "the data set '%s' has no classes; train with --cond none", brume_dataset_kind(data));
    c->unet.in_channels = latent ? latent->latent_channels : brume_dataset_channels(data);
    if (latent) c->scheduler.clip_sample = c->scheduler.thresholding = false;
    /* diffusers' StableDiffusionPipeline samples with an offset of 1, whatever its file says: let the file say so, and both draw
     * the same. */
    if (latent && c->unet.architecture == BRUME_ARCHITECTURE_CONDITION && c->scheduler.process == BRUME_PROCESS_DISCRETE)
        c->scheduler.steps_offset = 1;
    const bool classifier = c->unet.architecture == BRUME_ARCHITECTURE_CLASSIFIER;
    if (classifier) class_conditional = 0; /* classes are what it says, not what it is told */
    c->unet.out_channels = classifier ? classes : brume_train_out_channels(&c->scheduler, c->unet.in_channels);
    c->unet.sample_size[0] = h;
    c->unet.sample_size[1] = w;
    c->unet.class_embed_type = class_conditional ? BRUME_CLASS_TABLE : BRUME_CLASS_NONE;
    c->unet.num_class_embeds = class_conditional ? classes + 1 : 0; /* the last row stands for "no class" */
    return brume_unet2d_config_check(&c->unet);
}

void brume_train_config_classifier(brume_train_config *c)
{
    const bool sigma = c->scheduler.process == BRUME_PROCESS_NCSN || c->scheduler.process == BRUME_PROCESS_VE;
    c->unet.architecture = BRUME_ARCHITECTURE_CLASSIFIER;
    c->unet.time_embedding_type = sigma ? BRUME_TIME_FOURIER : BRUME_TIME_POSITIONAL;
    c->unet.class_embed_type = BRUME_CLASS_NONE;
    c->unet.num_class_embeds = 0;
    c->scheduler.variance_type = BRUME_VARIANCE_FIXED_SMALL;
    c->objective.bound = BRUME_BOUND_NONE;
}
