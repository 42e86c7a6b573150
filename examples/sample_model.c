/* SPDX-License-Identifier: MIT
 * Loads a diffusers folder and draws from it with a sampler of your choice: sample_model FOLDER SAMPLER OUT.png [STEPS [DEVICE]]
 *
 * FOLDER holds a UNet2DModel without classes or with a table of them, say google/ddpm-cifar10-32 or what train_shapes wrote; its
 * pictures are asked for in turn. Without arguments the samplers are listed. Exit status: 0 done, 1 failed, 2 wrong usage.
 *
 * cc sample_model.c $(pkg-config --cflags --libs brume) */
#include <stdio.h>
#include <stdlib.h>

#include "brume/device.h"
#include "brume/image.h"
#include "brume/model.h"
#include "brume/sampler.h"

enum { IMAGES = 16 };

/* Told after every network call: a line that is written over. Anything but BRUME_OK would end the run. */
static brume_status tell(void *ctx, const brume_sampler_event *e)
{
    (void)ctx;
    fprintf(stderr, "\r%3.0f%%%s", 100 * e->progress, e->progress >= 1 ? "\n" : "");
    return BRUME_OK;
}

/*
 * How the sampler goes about a model: the keys of scheduler_config.json that describe the model stay, those that describe another
 * sampler give way to this one's. Free config by brume_scheduler_config_clear().
 */
static brume_status configure(const brume_model *m, const char *name, int32_t steps, brume_scheduler_config *config,
                              brume_sampler_options *o)
{
    brume_sampler_options_default(o);
    o->name = name;
    o->steps = steps;
    o->scheduler = config;
    const brume_sampler_kind *k = brume_sampler_find(name);
    if (!k) return brume_scheduler_config_copy(config, &m->scheduler); /* brume_sampler_new() has the words for it */
    return brume_sampler_config(k, &m->scheduler, config);
}

static brume_status sample(brume_device *d, const brume_model *m, const char *name, int32_t steps, const char *path)
{
    const int64_t height = m->unet.sample_size[0], width = m->unet.sample_size[1], channels = m->unet.in_channels;
    const int64_t count = IMAGES * height * width * channels;
    const brume_shape shape = BRUME_SHAPE(IMAGES, height, width, channels);
    const size_t bytes = (size_t)count * sizeof(float);
    const int classes = m->unet.num_class_embeds; /* 0: the model knows none; else the last one stands for "no class" */
    int64_t seeds[IMAGES];
    int32_t labels[IMAGES];
    brume_scheduler_config config;
    brume_sampler_options o;
    brume_unet2d_denoiser *network = NULL;
    brume_sampler *sampler = NULL;
    brume_buffer *x = NULL;
    brume_image *picture = NULL;
    float *pixels = malloc(bytes);
    if (!pixels) return BRUME_E_MEMORY;
    brume_scheduler_config_default(&config);
    for (int i = 0; i < IMAGES; i++) {
        seeds[i] = 1000 + i;
        labels[i] = classes > 1 ? i % (classes - 1) : 0;
    }
    const brume_unet2d_denoiser_options how = { .prediction_type = m->scheduler.prediction_type,
                                                .labels = classes ? labels : NULL, .null_label = classes - 1,
                                                .guidance = { .scale = classes > 1 ? 2 : 1 } };
    brume_status s = brume_unet2d_denoiser_new(d, &m->unet, m->params, shape, &how, &network);
    if (s == BRUME_OK) s = configure(m, name, steps, &config, &o);
    if (s == BRUME_OK) s = brume_sampler_new(d, &o, shape, &sampler);
    if (s == BRUME_OK) printf("%s: %d steps\n", name, (int)brume_sampler_steps(sampler));
    if (s == BRUME_OK) s = brume_buffer_new(d, bytes, &x);
    if (s == BRUME_OK) s = brume_sampler_start(sampler, seeds, x);
    if (s == BRUME_OK) {
        const brume_sampler_input in = { .denoiser = brume_unet2d_denoiser_get(network), .seeds = seeds, .observe = tell };
        s = brume_sampler_run(sampler, &in, x);
    }
    if (s == BRUME_OK) s = brume_buffer_read(x, 0, pixels, bytes);
    if (s == BRUME_OK) s = brume_image_grid(pixels, IMAGES, (int32_t)height, (int32_t)width, (int32_t)channels, 0, 0, &picture);
    if (s == BRUME_OK) s = brume_png_write(path, picture);
    brume_image_free(picture);
    brume_buffer_free(x);
    brume_sampler_free(sampler);
    brume_unet2d_denoiser_free(network);
    brume_scheduler_config_clear(&config);
    free(pixels);
    return s;
}

/* The rows of the library: nothing has to be kept in step with them. */
static int usage(void)
{
    fprintf(stderr, "usage: sample_model FOLDER SAMPLER OUT.png [STEPS [DEVICE]]\nsamplers:\n");
    for (int i = 0; brume_sampler_row(i); i++)
        fprintf(stderr, "  %-20s %s\n", brume_sampler_row(i)->name, brume_sampler_row(i)->paper);
    return 2;
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc > 6) return usage();
    const int32_t steps = argc > 4 ? atoi(argv[4]) : 0; /* 0: the sampler's own number */
    brume_device *d = NULL;
    brume_model *m = NULL;
    brume_status s = brume_model_load(argv[1], NULL, &m);
    if (s == BRUME_OK && m->note[0]) fprintf(stderr, "%s\n", m->note);
    if (s == BRUME_OK &&
        (m->autoencoder || m->text_encoder || !m->unet.sample_size[0] || m->unet.in_channels != m->unet.out_channels)) {
        fprintf(stderr, "sample_model: this example draws with U-Nets of pixels that know their size; brume sample knows more\n");
        brume_model_free(m);
        return 1;
    }
    if (s == BRUME_OK) s = brume_device_open(argc > 5 ? argv[5] : "auto", NULL, &d);
    if (s == BRUME_OK) s = sample(d, m, argv[2], steps, argv[3]);
    if (s == BRUME_OK) printf("drawn %s\n", argv[3]);
    else fprintf(stderr, "sample_model: %s\n", brume_error());
    brume_device_close(d);
    brume_model_free(m);
    return s == BRUME_OK ? 0 : 1;
}
