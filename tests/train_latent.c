/* SPDX-License-Identifier: MIT
 * Training in latents: what a step learns from is a fresh sample of the autoencoder's moments, a resumed run has the same bits,
 * the folder decodes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/image.h"
#include "brume/model.h"
#include "brume/rng.h"
#include "check.h"
#include "train/trainer.h"

enum { ITEMS = 8, BATCH = 4, SIDE = 8, LATENT = SIDE * SIDE * 4 };
static char folder[400];
static brume_device *cpu;
static brume_dataset *data;
static brume_autoencoder *vae;

static void small_config(brume_train_config *c)
{
    brume_train_config_default(c);
    c->unet.levels = 2;
    c->unet.block_out_channels[0] = 8;
    c->unet.block_out_channels[1] = 16;
    c->unet.layers_per_block = 1;
    c->unet.norm_num_groups = 4;
    c->batch = BATCH;
    c->warmup = 0;
    c->seed = 7;
    c->autoencoder = vae;
}

static void test_fit(void)
{
    brume_train_config c;
    brume_dataset *odd = NULL, *grey = NULL;
    brume_trainer *t = NULL;
    small_config(&c);
    if (!CHECK_OK(brume_train_config_fit(&c, data, 1))) return;
    CHECK_INT(c.unet.in_channels, 4);
    CHECK_INT(c.unet.out_channels, 4);
    CHECK_INT(c.unet.sample_size[0], SIDE);
    CHECK_INT(c.unet.sample_size[1], SIDE);
    CHECK(!c.scheduler.clip_sample && !c.scheduler.thresholding);
    CHECK_OK(brume_dataset_open("shapes", &(brume_dataset_options){ .size = 17, .count = 8 }, &odd));
    CHECK_OK(brume_dataset_open("shapes", &(brume_dataset_options){ .size = 16, .count = 8, .channels = 1 }, &grey));
    CHECK_FAILS(brume_train_config_fit(&c, odd, 1), BRUME_E_SHAPE, "sides are multiples of 2");
    CHECK_FAILS(brume_train_config_fit(&c, grey, 1), BRUME_E_SHAPE, "images of 3 channels");
    CHECK_FAILS(brume_trainer_new(cpu, &c, grey, &t), BRUME_E_SHAPE, "images of 3 channels");
    c.unet.sample_size[0] = 4;
    CHECK_FAILS(brume_trainer_new(cpu, &c, data, &t), BRUME_E_SHAPE, "brume_train_config_fit");
    c.unet.sample_size[0] = SIDE;
    c.unet.in_channels = c.unet.out_channels = 3;
    CHECK_FAILS(brume_trainer_new(cpu, &c, data, &t), BRUME_E_SHAPE, "4 latent channels");
    CHECK_FAILS(brume_train_config_ladder(&c, data, 1, 0), BRUME_E_UNSUPPORTED, "for latents");
    brume_dataset_free(odd);
    brume_dataset_free(grey);
}

/* z of an item, by the definition in double, from moments computed apart. */
static void oracle(const float *moments, uint64_t seed, double *z)
{
    float eps[LATENT];
    brume_fill_normal(seed, BRUME_STREAM_TRAIN_LATENT, 0, 0, LATENT, eps);
    for (int p = 0; p < SIDE * SIDE; p++)
        for (int k = 0; k < 4; k++) {
            const double mean = (double)moments[p * 8 + k], logvar = (double)moments[p * 8 + 4 + k];
            z[p * 4 + k] =
                (mean + exp(logvar / 2) * (double)eps[p * 4 + k] - vae->config.shift_factor) * vae->config.scaling_factor;
        }
}

static void test_samples(void)
{
    brume_train_config c;
    brume_trainer *t = NULL;
    brume_latent_coder *coder = NULL;
    static float image[4 * SIDE * SIDE * 3], moments[2 * LATENT], first[ITEMS][LATENT];
    double z[LATENT];
    int fresh = 0, seen[ITEMS] = { 0 };
    small_config(&c);
    CHECK_OK(brume_train_config_fit(&c, data, 1));
    if (!CHECK_OK(brume_trainer_new(cpu, &c, data, &t)) || !CHECK_OK(brume_latent_coder_new(cpu, vae, SIDE, SIDE, NULL, &coder)))
        goto done;
    for (int k = 0; k < 4; k++) { /* two epochs: every item comes twice, the second time from what was kept */
        brume_train_result r;
        if (!CHECK_OK(brume_trainer_step(t, &r))) break;
        for (int i = 0; i < BATCH; i++) {
            const uint64_t position = (uint64_t)(k * BATCH + i);
            const float *got = t->images + i * LATENT;
            int64_t item = 0;
            double worst = 0;
            CHECK_OK(brume_loader_index(t->loader, (int64_t)position, &item));
            CHECK_OK(brume_dataset_get(data, item, image, NULL));
            CHECK_OK(brume_latent_coder_moments(coder, image, 1, moments));
            oracle(moments, brume_seed_mix(c.seed, position), z);
            for (int p = 0; p < LATENT; p++) {
                const double e = fabs((double)got[p] - z[p]) / (1 + fabs(z[p]));
                if (!(e <= worst)) worst = e;
            }
            CHECK(worst <= 1e-6); /* a few roundings */
            if (seen[item]++) fresh += memcmp(first[item], got, sizeof first[item]) != 0;
            else memcpy(first[item], got, sizeof first[item]);
        }
    }
    CHECK_INT(fresh, ITEMS);
    CHECK_INT(t->latent.kept, ITEMS);
done:
    brume_trainer_free(t);
    brume_latent_coder_free(coder);
}

/* Trains to step `last`, from a checkpoint if resume, and writes one if to; params: of the end, freed by the caller. */
static float *run(const brume_train_config *c, int last, int resume, const char *to)
{
    brume_trainer *t = NULL;
    brume_train_result r;
    if (!CHECK_OK(brume_trainer_new(cpu, c, data, &t))) return NULL;
    if (resume) CHECK_OK(brume_trainer_resume(t, to, NULL));
    while (brume_trainer_steps_done(t) < last && CHECK_OK(brume_trainer_step(t, &r))) {}
    float *params = malloc((size_t)brume_trainer_param_count(t) * sizeof *params);
    if (params) CHECK_OK(brume_trainer_get_params(t, 0, params));
    if (to) CHECK_OK(brume_trainer_save(t, to, 0));
    brume_trainer_free(t);
    return params;
}

static void test_resume(void)
{
    brume_train_config c;
    brume_model *m = NULL;
    brume_trainer *t = NULL;
    brume_autoencoder *own = NULL;
    small_config(&c);
    CHECK_OK(brume_train_config_fit(&c, data, 0));
    const size_t bytes = (size_t)brume_unet2d_param_count(&c.unet) * sizeof(float);
    float *a = run(&c, 5, 0, NULL);
    free(run(&c, 3, 0, folder));
    /* as the program does: the autoencoder, too, is the folder's */
    if (CHECK_OK(brume_autoencoder_load(folder, NULL, &own, NULL))) {
        CHECK(own->n_params == vae->n_params && !memcmp(own->params, vae->params, (size_t)vae->n_params * sizeof(float)));
        c.autoencoder = own;
        float *b = run(&c, 5, 1, folder);
        CHECK(a && b && !memcmp(a, b, bytes));
        free(b);
        own->params[5] += 1;
        CHECK_OK(brume_trainer_new(cpu, &c, data, &t));
        CHECK_FAILS(brume_trainer_resume(t, folder, NULL), BRUME_E_ARG, "latents of autoencoder");
        brume_trainer_free(t);
    }
    c.autoencoder = vae;
    c.micro_batch = 2;
    float *parts = run(&c, 1, 0, NULL);
    c.micro_batch = 0;
    float *whole = run(&c, 1, 0, NULL);
    double worst = 0;
    for (size_t i = 0; parts && whole && i < bytes / sizeof(float); i++) worst = fmax(worst, fabs((double)(parts[i] - whole[i])));
    CHECK(parts && whole && worst <= 1e-4); /* lr 1e-3: Adam's first step divides a gradient by itself, so roundings near 0
                                               show */
    if (CHECK_OK(brume_model_load(folder, NULL, &m)) && CHECK(m->autoencoder != NULL)) {
        CHECK(!m->scheduler.clip_sample);
        CHECK(m->autoencoder->config.scaling_factor == vae->config.scaling_factor);
        CHECK_INT(m->unet.in_channels, 4);
    }
    char path[500];
    brume_image *grid = NULL;
    snprintf(path, sizeof path, "%s/preview.png", folder);
    if (CHECK_OK(brume_trainer_new(cpu, &c, data, &t))) CHECK_OK(brume_trainer_preview(t, 4, 1, path));
    /* 2 x 2 images */
    if (CHECK_OK(brume_png_read(path, &grid)))
        CHECK(grid->channels == 3 && grid->height >= 2 * 16 && grid->width == grid->height);
    brume_image_free(grid);
    brume_trainer_free(t);
    brume_model_free(m);
    brume_autoencoder_free(own);
    free(a);
    free(parts);
    free(whole);
}

int main(void)
{
    const char *tmp = getenv("TMPDIR");
    brume_autoencoder_config c;
    brume_autoencoder_config_default(&c);
    c.levels = 2;
    c.block_out_channels[0] = 8;
    c.block_out_channels[1] = 16;
    c.norm_num_groups = 4;
    c.scaling_factor = 0.7;
    c.shift_factor = 0.3;
    snprintf(folder, sizeof folder, "%s/brume-train-latent-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!CHECK(mkdtemp(folder) != NULL)) return check_report();
    if (CHECK_OK(brume_device_open("cpu", NULL, &cpu)) && CHECK_OK(brume_autoencoder_new(&c, 3, &vae)) &&
        CHECK_OK(brume_dataset_open("shapes", &(brume_dataset_options){ .size = 16, .count = ITEMS }, &data))) {
        test_fit();
        test_samples();
        test_resume();
    }
    brume_autoencoder_free(vae);
    brume_dataset_free(data);
    brume_device_close(cpu);
    char command[500];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(system(command), 0);
    return check_report();
}
