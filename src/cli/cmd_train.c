/* SPDX-License-Identifier: MIT
 * brume train: trains a diffusion model on a data set. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/model.h"
#include "brume/train.h"
#include "commands.h"
#include "device_options.h"
#include "options.h"
#include "progress.h"

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    interrupted = 1;
    signal(signal_number, SIG_DFL); /* a second Ctrl-C ends at once; the last checkpoint stays whole */
}

struct train_args {
    struct cli_device device;
    const char *limit, *data, *out, *preset, *model, *init, *schedule;
    int objective, cond, optimizer, recompute, resume, quiet;
    int64_t steps, batch, micro_batch, timesteps, warmup, seed, size, channels, count, save_every, sample_every, samples;
    uint64_t memory_limit;
    double lr, decay, beta1, beta2, eps, clip, ema, drop, dropout, guidance, minutes, beta_start, beta_end;
};

static const char *const conds[] = { "auto", "none", "class", NULL };

static void show_progress(void *ctx, int64_t step, int64_t steps, const brume_train_result *r, double images_per_second)
{
    (void)steps;
    cli_progress_step(ctx, step, "loss %.4f  grad %.3f  %.0f images/s", r->loss, r->grad_norm, images_per_second);
}

static void show_event(void *ctx, const char *text) { cli_progress_note(ctx, text); }

/* What the command line says over what preset or model file says. */
static void apply(const struct train_args *a, const struct cli_option *o, brume_train_config *c)
{
    static const char *const schedule_options[] = { "schedule", "timesteps", "beta-start", "beta-end" };
    if (cli_given(o, "objective")) c->scheduler.prediction_type = (brume_prediction)a->objective;
    for (size_t i = 0; i < sizeof schedule_options / sizeof *schedule_options; i++)
        if (c->scheduler.trained_betas && cli_given(o, schedule_options[i])) { /* betas written out would override what is asked for */
            free(c->scheduler.trained_betas);
            c->scheduler.trained_betas = NULL;
        }
    if (cli_given(o, "schedule"))
        snprintf(c->scheduler.beta_schedule, sizeof c->scheduler.beta_schedule, "%s", brume_schedule_find(a->schedule)->name);
    if (cli_given(o, "timesteps")) c->scheduler.num_train_timesteps = (int32_t)a->timesteps;
    if (cli_given(o, "beta-start")) c->scheduler.beta_start = a->beta_start;
    if (cli_given(o, "beta-end")) c->scheduler.beta_end = a->beta_end;
    if (a->steps) c->steps = a->steps;
    if (a->batch) c->batch = (int32_t)a->batch;
    c->micro_batch = (int32_t)a->micro_batch;
    c->recompute = a->recompute;
    c->memory_limit = a->memory_limit;
    if (cli_given(o, "lr")) c->lr = a->lr;
    if (cli_given(o, "weight-decay")) c->weight_decay = a->decay;
    if (cli_given(o, "beta1")) c->beta1 = a->beta1;
    if (cli_given(o, "beta2")) c->beta2 = a->beta2;
    if (cli_given(o, "adam-eps")) c->eps = a->eps;
    if (cli_given(o, "warmup")) c->warmup = a->warmup;
    if (cli_given(o, "clip")) c->clip = a->clip;
    if (cli_given(o, "ema")) c->ema_decay = a->ema;
    if (cli_given(o, "cond-drop")) c->cond_drop = a->drop;
    if (cli_given(o, "dropout")) c->unet.dropout = (float)a->dropout;
    c->optimizer = (brume_optimizer)a->optimizer;
    c->seed = (uint64_t)a->seed;
}

static void introduce(const brume_train_config *c, const brume_dataset *data, const brume_trainer *t)
{
    brume_plan_stats stats;
    brume_trainer_get_stats(t, &stats);
    fprintf(stderr, "data    %s: %lld images of %dx%dx%d, %d classes\n", brume_dataset_kind(data), (long long)brume_dataset_count(data),
            brume_dataset_width(data), brume_dataset_height(data), brume_dataset_channels(data), brume_dataset_classes(data));
    fprintf(stderr, "model   %lld parameters%s\n", (long long)brume_trainer_param_count(t),
            c->unet.class_embed_type == BRUME_CLASS_TABLE ? ", class-conditional" : "");
    fprintf(stderr, "step    batch %d, %.2f GFLOP, %.1f MiB on the device\n", c->batch, stats.flops / 1e9,
            (double)(stats.arena_bytes + stats.persistent_bytes + stats.input_bytes + stats.packed_bytes) / 1048576);
}

static brume_status init_from(brume_trainer *t, const char *folder)
{
    brume_model *m = NULL;
    brume_status s = brume_model_load(folder, NULL, &m);
    if (s == BRUME_OK) s = brume_trainer_set_params(t, m->params, m->n_params);
    brume_model_free(m);
    return s;
}

static brume_status train(const struct train_args *a, const struct cli_option *o, brume_train_config *c)
{
    brume_dataset *data = NULL;
    brume_device *d = NULL;
    brume_trainer *t = NULL;
    struct cli_progress bar;
    const brume_dataset_options data_options = {
        .size = (int32_t)(a->size ? a->size : c->unet.sample_size[0]), .channels = (int32_t)(a->channels ? a->channels : c->unet.in_channels),
        .count = a->count, .seed = (uint64_t)a->seed,
    };
    brume_status s = brume_dataset_open(a->data, &data_options, &data);
    if (s != BRUME_OK) return s;
    apply(a, o, c);
    const int conditional = a->cond == 2 || (a->cond == 0 && brume_dataset_classes(data) > 1);
    s = brume_train_config_fit(c, data, conditional);
    if (s == BRUME_OK) s = cli_device_open(&a->device, a->quiet, &d);
    if (s == BRUME_OK) s = brume_trainer_new(d, c, data, &t);
    if (s == BRUME_OK && a->init && !a->resume) s = init_from(t, a->init);
    if (s == BRUME_OK) {
        if (!a->quiet) introduce(c, data, t);
        const brume_run_options run = {
            .folder = a->out, .resume = a->resume, .save_every = a->save_every, .sample_every = a->sample_every, .sample_count = (int32_t)a->samples,
            .sample_guidance = a->guidance, .max_seconds = 60 * a->minutes, .stop = &interrupted, .progress = show_progress,
            .event = a->quiet ? NULL : show_event, .ctx = &bar,
        };
        signal(SIGINT, on_interrupt);
        signal(SIGTERM, on_interrupt);
        cli_progress_begin(&bar, "training", -1, c->steps, a->quiet);
        bar.limit = 60 * a->minutes;
        s = brume_train_run(t, c, &run);
        cli_progress_end(&bar);
    }
    brume_trainer_free(t);
    brume_device_close(d);
    brume_dataset_free(data);
    return s;
}

/* "noise schedule: linear, cosine, ..." from the rows; the names that people use come first. */
static void list_schedules(char *text, size_t n)
{
    size_t used = (size_t)snprintf(text, n, "noise schedule:");
    for (int i = 0; brume_schedule_row(i) && used < n; i++) {
        const brume_schedule_kind *k = brume_schedule_row(i);
        used += (size_t)snprintf(text + used, n - used, "%s %s", i ? "," : "", k->alias ? k->alias : k->name);
    }
}

int cmd_train(int argc, char **argv)
{
    static const char *const examples[] = {
        "brume train --data shapes --out runs/shapes",
        "brume train --data mnist-folder --preset mnist --out runs/mnist --minutes 15",
        "brume train --data shapes --out runs/shapes --resume  # goes on after Ctrl-C", NULL };
    static const char *const objectives[] = { "eps", "x0", "v", NULL };
    static const char *const optimizers[] = { "adamw", "adam", "sgd", NULL };
    char schedules[512];
    list_schedules(schedules, sizeof schedules);
    const struct cli_usage u = { "train", "",
                                 "Trains a denoising diffusion model (Ho et al. 2020). --out becomes a model folder that diffusers can load, with the "
                                 "training state beside it.", examples, 0, 0 };
    brume_train_config c;
    brume_train_config_default(&c);
    struct train_args a = { .device = CLI_DEVICE_DEFAULT, .data = "shapes", .seed = 0, .save_every = 1000, .sample_every = 500, .samples = 60, .guidance = 2,
                            .schedule = "linear", .timesteps = 1000, .warmup = c.warmup, .lr = c.lr, .beta1 = c.beta1, .beta2 = c.beta2,
                            .eps = c.eps, .clip = c.clip, .ema = c.ema_decay, .drop = c.cond_drop, .beta_start = 1e-4, .beta_end = 0.02 };
    struct cli_option options[] = {
        OPT_STRING("data", &a.data, "WHAT", "shapes (built in), or a folder of IDX files (MNIST) or CIFAR batches"),
        OPT_STRING("out", &a.out, "RUN", "folder of the run"),
        OPT_STRING("preset", &a.preset, "NAME", "model and settings: shapes, mnist; default: by the data"),
        OPT_STRING("model", &a.model, "FILE", "config.json of a UNet2DModel instead of a preset"),
        OPT_STRING("init", &a.init, "MODEL", "start from weights, config and noise schedule of a model folder"),
        OPT_CHOICE("objective", &a.objective, objectives, "what the network predicts"),
        OPT_STRING("schedule", &a.schedule, "NAME", schedules),
        OPT_INT("timesteps", &a.timesteps, 1, 100000, "T", "steps of the forward process"),
        OPT_FLOAT("beta-start", &a.beta_start, 1e-12, 0.999, "X", "first beta of linear schedules"),
        OPT_FLOAT("beta-end", &a.beta_end, 1e-12, 0.999, "X", "last beta of linear schedules"),
        OPT_CHOICE("cond", &a.cond, conds, "condition on the class; auto: where the data has classes"),
        OPT_FLOAT("cond-drop", &a.drop, 0, 1, "P", "part of the examples trained without their class, for guidance"),
        OPT_INT("steps", &a.steps, 0, 1e12, "N", "optimizer steps in all; 0: as the preset says"),
        OPT_INT("batch", &a.batch, 0, 65536, "N", "images of a step; 0: as the preset says"),
        OPT_INT("micro-batch", &a.micro_batch, 0, 65536, "N", "images at once, a divisor of the batch: less memory, the same step up to roundings; 0: all"),
        OPT_STRING("memory-limit", &a.limit, "BYTES", "refuse to start with more memory than that on the device, say what would fit; 800M, 2G; "
                   "default: what the device has"),
        OPT_FLAG("recompute", &a.recompute, "keep less for the backward pass and compute it again: less memory, more time, the same bits"),
        OPT_CHOICE("optimizer", &a.optimizer, optimizers, "optimizer"),
        OPT_FLOAT("lr", &a.lr, 0, 10, "X", "learning rate"),
        OPT_FLOAT("weight-decay", &a.decay, 0, 10, "X", "weight decay"),
        OPT_FLOAT("beta1", &a.beta1, 0, 0.999999, "X", "first moment's decay; momentum of sgd"),
        OPT_FLOAT("beta2", &a.beta2, 0, 0.9999999, "X", "second moment's decay"),
        OPT_FLOAT("adam-eps", &a.eps, 0, 1, "X", "epsilon of Adam"),
        OPT_INT("warmup", &a.warmup, 0, 1e9, "N", "steps of linear warm-up"),
        OPT_FLOAT("clip", &a.clip, 0, 1e9, "X", "largest norm of the gradient; 0: no clipping"),
        OPT_FLOAT("ema", &a.ema, 0, 1, "X", "decay of the averaged weights"),
        OPT_FLOAT("dropout", &a.dropout, 0, 0.95, "P", "dropout in the residual blocks"),
        OPT_FLOAT("minutes", &a.minutes, 0, 1e6, "M", "stop after this time, with a checkpoint; 0: no limit"),
        OPT_INT("save-every", &a.save_every, 0, 1e12, "N", "steps between checkpoints; 0: only at the end"),
        OPT_INT("sample-every", &a.sample_every, 0, 1e12, "N", "steps between pictures; 0: only at the end"),
        OPT_INT("samples", &a.samples, 0, 1024, "N", "images in such a picture; 0: none"),
        OPT_FLOAT("guidance", &a.guidance, -100, 100, "S", "guidance scale of such a picture (class models)"),
        OPT_INT("size", &a.size, 0, 1024, "N", "height and width of shapes; 0: the model's"),
        OPT_INT("channels", &a.channels, 0, 3, "N", "1 or 3, of shapes; 0: the model's"),
        OPT_INT("count", &a.count, 0, 1e9, "N", "use that many items of the data; 0: all"),
        OPT_INT("seed", &a.seed, 0, 9e15, "N", "seed of weights, order and noise"),
        OPT_FLAG("resume", &a.resume, "go on from the checkpoint in --out"),
        OPT_DEVICE(&a.device),
        OPT_FLAG("quiet", &a.quiet, "say nothing but errors"),
        { 0 } };
    const int status = cli_parse(&u, options, argc, argv, NULL, NULL);
    if (status != CLI_GO_ON) return status;
    if (!a.out) return cli_wrong(&u, "--out is needed: the folder of the run");
    if ((a.preset != NULL) + (a.model != NULL) + (a.init != NULL) > 1) return cli_wrong(&u, "give one of --preset, --model and --init");
    if (!brume_schedule_find(a.schedule)) return cli_wrong(&u, "--schedule: there is no '%s'; %s", a.schedule, schedules);
    if (a.channels == 2) return cli_wrong(&u, "--channels: expected 1 or 3, got 2");
    if (a.limit && !cli_bytes(a.limit, &a.memory_limit)) return cli_wrong(&u, "--memory-limit %s: expected bytes, as in 1500000, 800M or 2G", a.limit);
    char note[512];
    const char *preset = a.preset ? a.preset : brume_preset_for_data(a.data);
    brume_status s = brume_train_config_load(a.model ? a.model : a.init, preset, (int32_t)a.size, &c, note);
    if (s == BRUME_OK && a.init) s = brume_train_config_schedule(a.init, &c, note);
    if (s == BRUME_OK && a.resume) s = brume_train_config_schedule(a.out, &c, note);
    if (s == BRUME_OK) s = train(&a, options, &c);
    brume_scheduler_config_clear(&c.scheduler);
    if (s == BRUME_OK) {
        if (!a.quiet) fprintf(stderr, "done: brume sample %s --out samples.png draws from it\n", a.out);
        return CLI_DONE;
    }
    if (s == BRUME_E_STOPPED) {
        fprintf(stderr, "%s\n", brume_error());
        return interrupted ? CLI_FAILED : CLI_DONE; /* --minutes is an end, Ctrl-C falls short */
    }
    return cli_failed();
}
