/* SPDX-License-Identifier: MIT
 * brume train --task autoencoder: images to latents and back, for latent diffusion. */
#include "train_autoencoder.h"

#include <stdio.h>
#include <time.h>

#include "brume/autoencoder_train.h"
#include "progress.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Small enough to be trained on a processor: latents of a quarter of the height and width. */
static void small(brume_autoencoder_config *c, int32_t channels)
{
    brume_autoencoder_config_default(c);
    c->levels = 3;
    c->block_out_channels[0] = 32;
    c->block_out_channels[1] = c->block_out_channels[2] = 64;
    c->norm_num_groups = 8;
    c->in_channels = c->out_channels = channels;
}

/* With the factor that its latents need. */
static brume_status save(brume_device *d, brume_autoencoder_trainer *t, const struct train_args *a, const brume_dataset *data, double *factor)
{
    brume_autoencoder *m = NULL;
    brume_status s = brume_autoencoder_trainer_get(t, 1, &m);
    if (s == BRUME_OK) s = brume_autoencoder_estimate_scaling(d, m, data, 64, (uint64_t)a->seed);
    if (s == BRUME_OK) {
        m->config.sample_size = brume_dataset_height(data);
        *factor = m->config.scaling_factor;
        s = brume_autoencoder_save(m, a->out);
    }
    brume_autoencoder_free(m);
    return s;
}

static brume_status loop(brume_autoencoder_trainer *t, brume_device *d, const struct train_args *a, const brume_train_config *c, const brume_dataset *data,
                         const volatile sig_atomic_t *stop, double *factor)
{
    struct cli_progress bar;
    brume_autoencoder_result r;
    brume_status s = BRUME_OK;
    const double start = now();
    cli_progress_begin(&bar, "training", -1, c->steps, a->quiet);
    bar.limit = 60 * a->minutes;
    for (int64_t k = 1; k <= c->steps && s == BRUME_OK && !*stop && !(a->minutes > 0 && now() - start > 60 * a->minutes); k++) {
        s = brume_autoencoder_trainer_step(t, &r);
        if (s != BRUME_OK) break;
        cli_progress_step(&bar, k, "reconstruction %.4f  KL %.1f nats  %.0f images/s", r.reconstruction, r.kl, (double)(k * c->batch) / (now() - start));
        if (a->save_every && k % a->save_every == 0 && k < c->steps) s = save(d, t, a, data, factor);
    }
    cli_progress_end(&bar);
    return s == BRUME_OK ? save(d, t, a, data, factor) : s;
}

static brume_status train(const struct train_args *a, const volatile sig_atomic_t *stop)
{
    const brume_dataset_options options = { .size = (int32_t)a->size, .channels = (int32_t)a->channels, .count = a->count, .seed = (uint64_t)a->seed };
    const brume_autoencoder_objective o = { (brume_reconstruction)a->reconstruction, a->kl_weight };
    brume_dataset *data = NULL;
    brume_device *d = NULL;
    brume_autoencoder *init = NULL;
    brume_autoencoder_trainer *t = NULL;
    brume_autoencoder_config ac;
    brume_train_config c;
    double factor = 0;
    brume_train_config_default(&c);
    c.steps = a->steps ? a->steps : 2000;
    c.batch = a->batch ? (int32_t)a->batch : 16;
    c.optimizer = (brume_optimizer)a->optimizer;
    c.lr = a->lr;
    c.weight_decay = a->decay;
    c.beta1 = a->beta1;
    c.beta2 = a->beta2;
    c.eps = a->eps;
    c.warmup = a->warmup;
    c.lr_schedule = a->lr_schedule ? brume_lr_schedule_find(a->lr_schedule) : NULL;
    c.lr_end = a->lr_end;
    c.clip = a->clip;
    c.ema_decay = a->ema;
    c.seed = (uint64_t)a->seed;
    brume_status s = brume_dataset_open(a->data, &options, &data);
    if (s == BRUME_OK) small(&ac, brume_dataset_channels(data));
    if (s == BRUME_OK && a->model) s = brume_autoencoder_config_read(a->model, &ac, NULL);
    if (s == BRUME_OK && a->init) s = brume_autoencoder_load(a->init, NULL, &init, NULL);
    if (init) ac = init->config;
    if (s == BRUME_OK) s = cli_device_open(&a->device, a->quiet, &d);
    if (s == BRUME_OK) s = brume_autoencoder_trainer_new(d, &c, &ac, &o, data, init, &t);
    if (s == BRUME_OK && !a->quiet)
        fprintf(stderr, "model   %lld parameters, latents of %d x %d x %d for images of %d x %d x %d\n", (long long)brume_autoencoder_param_count(&ac),
                brume_dataset_height(data) / (int)brume_autoencoder_factor(&ac), brume_dataset_width(data) / (int)brume_autoencoder_factor(&ac),
                ac.latent_channels, brume_dataset_height(data), brume_dataset_width(data), brume_dataset_channels(data));
    if (s == BRUME_OK) s = loop(t, d, a, &c, data, stop, &factor);
    if (s == BRUME_OK && !a->quiet) fprintf(stderr, "done: %s holds an autoencoder, with a scaling factor of %.5g\n", a->out, factor);
    brume_autoencoder_trainer_free(t);
    brume_autoencoder_free(init);
    brume_device_close(d);
    brume_dataset_free(data);
    return s;
}

int train_autoencoder(const struct train_args *a, const volatile sig_atomic_t *stop)
{
    if (train(a, stop) != BRUME_OK) return cli_failed();
    return *stop ? CLI_FAILED : CLI_DONE;
}
