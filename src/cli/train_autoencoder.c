/* SPDX-License-Identifier: MIT
 * brume train --task autoencoder: images to latents and back, for latent diffusion. */
#include "train_autoencoder.h"

#include <stdio.h>

#include "brume/autoencoder_train.h"
#include "parallel.h"
#include "progress.h"

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

static void show_progress(void *ctx, int64_t step, int64_t steps, const brume_train_result *r, double images_per_second)
{
    (void)steps;
    cli_progress_step(ctx, step, "reconstruction %.4f  KL %.1f nats  %.0f images/s", r->reconstruction, r->kl, images_per_second);
}

static void show_event(void *ctx, const char *text) { cli_progress_note(ctx, text); }

/* text: of training/run.json */
static brume_status run(brume_autoencoder_trainer *t, const struct train_args *a, int64_t steps, const char *text,
                        const volatile sig_atomic_t *stop)
{
    struct cli_progress bar;
    const brume_run_options o = {
        .folder = a->out, .config = text, .resume = a->resume, .save_every = a->save_every, .keep_every = a->keep_every,
        .sample_every = a->sample_every, .report_every = a->report_every, .sample_count = (int32_t)a->samples,
        .max_seconds = 60 * a->minutes, .stop = stop, .progress = show_progress,
        .event = a->quiet ? NULL : show_event, .ctx = &bar,
    };
    cli_progress_begin(&bar, "training", -1, steps, a->quiet);
    bar.limit = 60 * a->minutes;
    const brume_status s = brume_autoencoder_run(t, &o);
    cli_progress_end(&bar);
    return s;
}

static void own_config(const struct train_args *a, char path[4096]) { snprintf(path, 4096, "%s/config.json", a->out); }

static brume_status tell(const struct train_args *a)
{
    char path[4096];
    brume_autoencoder_config made;
    own_config(a, path);
    const brume_status s = brume_autoencoder_config_read(path, &made, NULL);
    if (s == BRUME_OK)
        fprintf(stderr, "done: brume train --vae %s --data %s --out RUN learns its latents, times a scaling factor of %.5g\n",
                a->out, a->data, made.scaling_factor);
    return s;
}

/* Of the run that goes on, else of --model or --init, else a small one. */
static brume_status choose(const struct train_args *a, const brume_dataset *data, brume_autoencoder_config *ac,
                           brume_autoencoder **init)
{
    char own[4096];
    small(ac, brume_dataset_channels(data));
    own_config(a, own);
    if (a->resume) return brume_autoencoder_config_read(own, ac, NULL);
    brume_status s = a->model ? brume_autoencoder_config_read(a->model, ac, NULL) : BRUME_OK;
    char note[1100] = "";
    if (s == BRUME_OK && a->init) s = brume_autoencoder_load(a->init, NULL, init, note);
    if (s == BRUME_OK && !a->quiet && note[0]) fprintf(stderr, "init    %s: %s\n", a->init, note);
    if (*init) *ac = (*init)->config;
    return s;
}

static brume_status train(const struct train_args *a, const volatile sig_atomic_t *stop)
{
    brume_dataset_options options = { .size = (int32_t)a->size, .channels = (int32_t)a->channels, .count = a->count,
                                      .seed = (uint64_t)a->seed };
    const brume_autoencoder_objective o = { (brume_reconstruction)a->reconstruction, a->kl_weight };
    brume_dataset *data = NULL;
    brume_device *d = NULL;
    brume_autoencoder *init = NULL;
    brume_autoencoder_trainer *t = NULL;
    brume_autoencoder_config ac;
    brume_train_config c;
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
    c.ema_decay = a->ema.x[0];
    c.seed = (uint64_t)a->seed;
    c.parallel = cli_parallel();
    cli_data_apply(&a->data_options, a->size, a->channels, &options);
    brume_status s = brume_dataset_open(a->data, &options, &data);
    if (s == BRUME_OK && !a->quiet) cli_data_tell(data);
    if (s == BRUME_OK) s = choose(a, data, &ac, &init);
    if (s == BRUME_OK) s = cli_device_open(&a->device, a->quiet, &d);
    if (s == BRUME_OK) s = brume_autoencoder_trainer_new(d, &c, &ac, &o, data, init, &t);
    if (s == BRUME_OK && !a->quiet)
        fprintf(stderr, "model   %lld parameters, latents of %d x %d x %d for images of %d x %d x %d\n",
                (long long)brume_autoencoder_param_count(&ac), brume_dataset_height(data) / (int)brume_autoencoder_factor(&ac),
                brume_dataset_width(data) / (int)brume_autoencoder_factor(&ac), ac.latent_channels, brume_dataset_height(data),
                brume_dataset_width(data), brume_dataset_channels(data));
    if (s == BRUME_OK) s = run(t, a, c.steps, train_args_run(a, &c, data, d, brume_autoencoder_param_count(&ac)), stop);
    if (s == BRUME_OK && !a->quiet) s = tell(a);
    brume_autoencoder_trainer_free(t);
    brume_autoencoder_free(init);
    brume_device_close(d);
    brume_dataset_free(data);
    return s;
}

int train_autoencoder(const struct train_args *a, const volatile sig_atomic_t *stop)
{
    const brume_status s = train(a, stop);
    if (s == BRUME_OK) return CLI_DONE;
    if (s != BRUME_E_STOPPED) return cli_failed();
    if (cli_parallel_first()) fprintf(stderr, "%s\n", brume_error());
    return *stop ? CLI_FAILED : CLI_DONE; /* --minutes is an end, Ctrl-C falls short */
}
