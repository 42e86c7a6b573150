/* SPDX-License-Identifier: MIT
 * Trains a tiny diffusion model on brume's own pictures of shapes, keeps it and draws from it: train_shapes FOLDER [STEPS
 * [DEVICE]]
 *
 * FOLDER becomes a pipeline that brume and diffusers load; FOLDER/samples.png shows what it draws. The default, 200 steps, takes
 * some seconds on two cores of a processor and learns backgrounds and blobs of colour; 3000 make shapes of them.
 * Exit status: 0 done, 1 failed, 2 wrong usage.
 *
 * cc train_shapes.c $(pkg-config --cflags --libs brume) */
#include <stdio.h>
#include <stdlib.h>

#include "brume/data.h"
#include "brume/device.h"
#include "brume/image.h"
#include "brume/model.h"
#include "brume/sampler.h"
#include "brume/train.h"

enum { SIZE = 16, CHANNELS = 3, IMAGES = 16, SAMPLER_STEPS = 20 };

/* A U-Net of two levels. brume_train_config_load() would take the config.json of any model instead. */
static void describe(brume_train_config *c, int64_t steps)
{
    brume_train_config_default(c); /* AdamW, an average of the weights, the noise schedule of Ho et al. (2020) */
    c->unet.levels = 2;
    c->unet.block_out_channels[0] = 16;
    c->unet.block_out_channels[1] = 32;
    c->unet.down_block_types[1] = c->unet.up_block_types[0] = BRUME_BLOCK_ATTENTION; /* at the lower resolution */
    c->unet.layers_per_block = 1;
    c->unet.norm_num_groups = 8;
    c->unet.attention_head_dim = 16;
    c->batch = 16;
    c->steps = steps;
    c->lr = 2e-3;
    c->ema_decay = 0.99;
    c->seed = 1;
}

/* Learns, tells the loss now and then, and writes the pipeline. */
static brume_status train(brume_device *d, const char *folder, int64_t steps)
{
    const brume_dataset_options pictures = { .size = SIZE, .channels = CHANNELS, .count = 2048 };
    brume_train_config c;
    brume_dataset *data = NULL;
    brume_trainer *trainer = NULL;
    describe(&c, steps);
    brume_status s = brume_dataset_open("shapes", &pictures, &data); /* or a folder of pictures, MNIST, CIFAR-10, .npy */
    /* channels and size of the network follow the data; 1: its classes, too */
    if (s == BRUME_OK) s = brume_train_config_fit(&c, data, 0);
    if (s == BRUME_OK) s = brume_trainer_new(d, &c, data, &trainer);
    if (s == BRUME_OK) printf("%lld parameters\n", (long long)brume_trainer_param_count(trainer));
    for (int64_t k = 0; s == BRUME_OK && k < steps; k++) {
        brume_train_result r;
        s = brume_trainer_step(trainer, &r);
        if (s == BRUME_OK && ((k + 1) % 50 == 0 || k == 0)) printf("step %lld, loss %.4f\n", (long long)(k + 1), r.loss);
    }
    /* brume_train_run() is a whole run instead: it logs, draws, saves now and then, and goes on after an interruption. */
    if (s == BRUME_OK) s = brume_trainer_save(trainer, folder, 0);
    brume_trainer_free(trainer);
    brume_dataset_free(data);
    brume_scheduler_config_clear(&c.scheduler);
    return s;
}

/* From noise to pictures: the network is asked SAMPLER_STEPS times, DDIM (Song et al. 2021) takes the steps. */
static brume_status draw(brume_device *d, const char *folder, const char *path)
{
    static float pixels[IMAGES * SIZE * SIZE * CHANNELS];
    const brume_shape shape = BRUME_SHAPE(IMAGES, SIZE, SIZE, CHANNELS);
    int64_t seeds[IMAGES]; /* an image is a function of the model, the sampler and its seed; not of the batch */
    brume_model *m = NULL;
    brume_unet2d_denoiser *network = NULL;
    brume_sampler *sampler = NULL;
    brume_buffer *x = NULL;
    brume_image *picture = NULL;
    for (int i = 0; i < IMAGES; i++) seeds[i] = i;

    brume_status s = brume_model_load(folder, NULL, &m);
    if (s == BRUME_OK) {
        const brume_unet2d_denoiser_options o = { .prediction_type = m->scheduler.prediction_type, .guidance = { .scale = 1 } };
        s = brume_unet2d_denoiser_new(d, &m->unet, m->params, shape, &o, &network);
    }
    if (s == BRUME_OK) {
        brume_sampler_options o;
        brume_sampler_options_default(&o);
        o.name = "ddim";
        o.steps = SAMPLER_STEPS;
        o.scheduler = &m->scheduler;
        s = brume_sampler_new(d, &o, shape, &sampler);
    }
    if (s == BRUME_OK) s = brume_buffer_new(d, sizeof pixels, &x);
    if (s == BRUME_OK) s = brume_sampler_start(sampler, seeds, x);
    if (s == BRUME_OK) {
        const brume_sampler_input in = { .denoiser = brume_unet2d_denoiser_get(network), .seeds = seeds };
        s = brume_sampler_run(sampler, &in, x);
    }
    if (s == BRUME_OK) s = brume_buffer_read(x, 0, pixels, sizeof pixels);
    if (s == BRUME_OK) s = brume_image_grid(pixels, IMAGES, SIZE, SIZE, CHANNELS, 0, 0, &picture);
    if (s == BRUME_OK) s = brume_png_write(path, picture);
    if (s == BRUME_OK) printf("drawn %s\n", path);
    brume_image_free(picture);
    brume_buffer_free(x);
    brume_sampler_free(sampler);
    brume_unet2d_denoiser_free(network);
    brume_model_free(m);
    return s;
}

int main(int argc, char **argv)
{
    char path[4096];
    const int64_t steps = argc > 2 ? atoll(argv[2]) : 200;
    if (argc < 2 || argc > 4 || steps < 1 || snprintf(path, sizeof path, "%s/samples.png", argv[1]) >= (int)sizeof path) {
        fprintf(stderr, "usage: train_shapes FOLDER [STEPS [DEVICE]]\n");
        return 2;
    }
    brume_device *d = NULL;
    brume_status s = brume_device_open(argc > 3 ? argv[3] : "auto", NULL, &d);
    if (s == BRUME_OK) s = train(d, argv[1], steps);
    if (s == BRUME_OK) s = draw(d, argv[1], path);
    if (s != BRUME_OK) fprintf(stderr, "train_shapes: %s\n", brume_error());
    brume_device_close(d);
    return s == BRUME_OK ? 0 : 1;
}
