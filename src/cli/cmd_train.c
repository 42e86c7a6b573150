/* SPDX-License-Identifier: MIT
 * brume train: trains a diffusion model on a data set. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/json.h"
#include "brume/model.h"
#include "commands.h"
#include "device_options.h"
#include "options.h"
#include "parallel.h"
#include "progress.h"
#include "train_args.h"
#include "train_autoencoder.h"

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    interrupted = 1;
    signal(signal_number, SIG_DFL); /* a second Ctrl-C ends at once; the last checkpoint stays whole */
}

static void show_progress(void *ctx, int64_t step, int64_t steps, const brume_train_result *r, double images_per_second)
{
    (void)steps;
    if (r->accuracy >= 0)
        cli_progress_step(ctx, step, "loss %.4f  accuracy %.0f %%  %.0f images/s", r->loss, 100 * r->accuracy, images_per_second);
    else cli_progress_step(ctx, step, "loss %.4f  grad %.3f  %.0f images/s", r->loss, r->grad_norm, images_per_second);
}

static void show_event(void *ctx, const char *text) { cli_progress_note(ctx, text); }

static void introduce_noise(const brume_train_config *c)
{
    const brume_scheduler_config *k = &c->scheduler;
    const brume_objective_kind *o = brume_objective_of(k->prediction_type);
    const char *weighting = c->objective.weighting ? c->objective.weighting->name : "simple";
    char levels[96] = "";
    switch (k->process) {
    case BRUME_PROCESS_DISCRETE:
        snprintf(levels, sizeof levels, "%d steps of %s", k->num_train_timesteps, k->beta_schedule);
        break;
    case BRUME_PROCESS_NCSN:
        snprintf(levels, sizeof levels, "ncsn, %d levels, sigma %g .. %g", k->num_train_timesteps, k->sigma_max, k->sigma_min);
        break;
    case BRUME_PROCESS_VE: case BRUME_PROCESS_EDM:
        snprintf(levels, sizeof levels, "%s, sigma %g .. %g", brume_process_kind_name(k->process), k->sigma_max, k->sigma_min);
        break;
    case BRUME_PROCESS_VP: case BRUME_PROCESS_SUBVP:
        snprintf(levels, sizeof levels, "%s, beta %g .. %g", brume_process_kind_name(k->process), k->beta_min, k->beta_max);
        break;
    case BRUME_PROCESS_FLOW: snprintf(levels, sizeof levels, "flow"); break;
    }
    fprintf(stderr, "noise   %s, on %s\n", levels, c->autoencoder ? "latents" : "images in [-1, 1]");
    if (c->unet.architecture == BRUME_ARCHITECTURE_CLASSIFIER) {
        fprintf(stderr, "learns  the class of noisy images: cross-entropy\n");
        return;
    }
    fprintf(stderr, "learns  %s; weighting %s%s%s\n", o->what, weighting, c->objective.bound ? ", bound " : "",
            c->objective.bound ? brume_bound_name(c->objective.bound) : "");
    if (k->prediction_type == BRUME_PREDICT_EPS && k->process != BRUME_PROCESS_DISCRETE)
        fprintf(stderr, "        its score is -eps / s, so that this is denoising score matching weighed by s^2\n");
}

static void introduce(const brume_train_config *c, const brume_dataset *data, const brume_trainer *t)
{
    brume_plan_stats stats;
    brume_trainer_get_stats(t, &stats);
    fprintf(stderr, "data    %s: %lld images of %dx%dx%d, %d classes\n", brume_dataset_kind(data),
            (long long)brume_dataset_count(data), brume_dataset_width(data), brume_dataset_height(data),
            brume_dataset_channels(data), brume_dataset_classes(data));
    if (c->autoencoder)
        fprintf(stderr, "latents of %dx%dx%d, times %.5g\n", c->unet.sample_size[1], c->unet.sample_size[0], c->unet.in_channels,
                c->autoencoder->config.scaling_factor);
    fprintf(stderr, "model   %lld parameters%s%s\n", (long long)brume_trainer_param_count(t),
            c->lora.rank ? " of adapters that learn" : "",
            c->unet.class_embed_type == BRUME_CLASS_TABLE ? ", class-conditional"
            : c->text.tokenizer                           ? ", told by captions"
                                                          : "");
    introduce_noise(c);
    fprintf(stderr, "step    batch %d, %.2f GFLOP, %.1f MiB on the device\n", c->batch, stats.flops / 1e9,
            (double)(stats.arena_bytes + stats.persistent_bytes + stats.input_bytes + stats.packed_bytes) / 1048576);
}

static brume_status init_from(brume_trainer *t, const char *folder, int quiet)
{
    brume_model *m = NULL;
    char note[1024];
    brume_status s = brume_model_load(folder, NULL, &m);
    if (s == BRUME_OK && !quiet && m->note[0]) fprintf(stderr, "init    %s: %s\n", folder, m->note);
    if (s == BRUME_OK) s = brume_trainer_init(t, m, note);
    if (s == BRUME_OK && !quiet && note[0]) fprintf(stderr, "init    %s: %s\n", folder, note);
    brume_model_free(m);
    return s;
}

/* Does a run go on from networks of its own folder? One of adapters holds none: they are those of --init still. */
static int goes_on(const struct train_args *a) { return a->resume && !a->lora; }

static int is_file_of(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "r");
    if (f) fclose(f);
    return f != NULL;
}

static int is_stable_diffusion(const char *folder)
{
    char path[4096];
    brume_json *index = NULL;
    snprintf(path, sizeof path, "%s/model_index.json", folder);
    const int is = brume_json_load(path, &index) == BRUME_OK &&
                   !strcmp(brume_json_string(brume_json_find(index, "_class_name"), ""), "StableDiffusionPipeline");
    brume_json_free(index);
    return is;
}

/*
 * What reads captions: that of --text-encoder, which stays as it is; else the run's own, or that of the model to start from,
 * which learns on unless adapters or a StableDiffusionPipeline say that it is one for many networks; else one made for the data.
 */
static brume_status read_text(const struct train_args *a, brume_train_config *c, const brume_dataset *data,
                              brume_tokenizer **tokenizer, brume_text_model **frozen)
{
    const char *folder = a->text_encoder                                              ? a->text_encoder
                         : goes_on(a)                                                 ? a->out
                         : a->init && is_file_of(a->init, "text_encoder/config.json") ? a->init
                                                                                      : NULL;
    const int stays = a->text_encoder || a->lora || (a->init && folder && is_stable_diffusion(a->init));
    if (!folder && !a->lora) return brume_train_config_text(c, data, tokenizer);
    if (!folder) folder = a->init;
    char note[1100] = "";
    brume_status s = brume_dataset_check_captions(data);
    if (s == BRUME_OK) s = brume_train_config_text_load(c, folder, tokenizer, stays ? frozen : NULL, note);
    if (s == BRUME_OK && !a->quiet && note[0]) fprintf(stderr, "text    %s: %s\n", folder, note);
    if (s == BRUME_OK && !a->model && !a->init && !a->resume) c->unet.cross_attention_dim = c->text.encoder.hidden_size;
    return s;
}

/* What makes latents: that of the run that goes on; else a folder's, or that of the model to start from, if it has one. */
static brume_status read_autoencoder(const struct train_args *a, brume_train_config *c, brume_autoencoder **out)
{
    const char *model = goes_on(a) ? a->out : a->init;
    *out = NULL;
    const int own = model && is_file_of(model, "vae/config.json");
    if (!a->vae && !own) return BRUME_OK;
    char note[1100];
    const char *from = a->vae && !goes_on(a) ? a->vae : model;
    const brume_status s = brume_autoencoder_load(from, NULL, out, note);
    if (s == BRUME_OK && !a->quiet && note[0]) fprintf(stderr, "vae     %s: %s\n", from, note);
    c->autoencoder = *out;
    return s;
}

/* Height and width of the images: as asked for; else those that the network, or of a preset the autoencoder, was made for. */
static int64_t image_size(const struct train_args *a, const brume_train_config *c)
{
    const int64_t own = c->unet.sample_size[0];
    if (a->size || !c->autoencoder) return a->size ? a->size : own;
    return (a->model || a->init || a->resume) && own ? own * brume_autoencoder_factor(&c->autoencoder->config)
                                                     : c->autoencoder->config.sample_size;
}

/* Images that training does not see: of a folder, all of it; else the test part. */
static brume_status open_validation(const struct train_args *a, brume_dataset_options o, brume_dataset **out)
{
    o.test = !a->validation_data;
    o.count = 0;
    o.crop = BRUME_CROP_CENTER; /* the middle: always the same images */
    o.flip = 0;
    o.threads = -1;
    const brume_status s = brume_dataset_open(a->validation_data ? a->validation_data : a->data, &o, out);
    if (s != BRUME_OK && !a->validation_data)
        fprintf(stderr, "brume train: --validate-every needs images that training does not see: a test part of the data, or "
                        "--validation-data\n");
    return s;
}

static brume_status train(const struct train_args *a, brume_train_config *c)
{
    brume_dataset *data = NULL, *validation = NULL;
    brume_device *d = NULL;
    brume_trainer *t = NULL;
    struct cli_progress bar;
    brume_autoencoder *autoencoder;
    brume_status s = read_autoencoder(a, c, &autoencoder);
    const int32_t channels = autoencoder ? autoencoder->config.in_channels : c->unet.in_channels;
    brume_dataset_options data_options = {
        .size = (int32_t)image_size(a, c), .channels = (int32_t)(a->channels ? a->channels : channels), .count = a->count,
        .seed = (uint64_t)a->seed,
    };
    cli_data_apply(&a->data_options, a->size, a->channels, &data_options);
    const brume_preset *preset = a->preset ? brume_preset_find(a->preset) : NULL;
    if (preset && preset->flip && !a->given[TRAIN_FLIP]) data_options.flip = 1;
    if (s == BRUME_OK) s = brume_dataset_open(a->data, &data_options, &data);
    if (s == BRUME_OK && !a->quiet) cli_data_tell(data);
    if (s == BRUME_OK && a->validate_every) s = open_validation(a, data_options, &validation);
    if (s != BRUME_OK) {
        brume_dataset_free(data);
        brume_autoencoder_free(autoencoder);
        return s;
    }
    const int could = !a->lora || c->unet.class_embed_type == BRUME_CLASS_TABLE; /* adapters add no table */
    const int conditional =
        a->cond == TRAIN_COND_CLASS || (a->cond == TRAIN_COND_AUTO && brume_dataset_classes(data) > 1 && could);
    brume_tokenizer *tokenizer = NULL;
    brume_text_model *frozen = NULL;
    s = train_args_apply(a, c);
    c->parallel = cli_parallel();
    if (s == BRUME_OK) s = train_args_ladder(a, c, data);
    if (s == BRUME_OK) s = brume_train_config_fit(c, data, conditional);
    if (s == BRUME_OK && a->cond == TRAIN_COND_TEXT) s = read_text(a, c, data, &tokenizer, &frozen);
    if (s == BRUME_OK) s = cli_device_open(&a->device, a->quiet, &d);
    if (s == BRUME_OK) s = brume_trainer_new(d, c, data, &t);
    if (s == BRUME_OK && a->init && !goes_on(a)) s = init_from(t, a->init, a->quiet);
    if (s == BRUME_OK) {
        if (!a->quiet) introduce(c, data, t);
        const brume_run_options run = {
            .folder = a->out, .config = train_args_run(a, c, data, d, brume_trainer_param_count(t)), .resume = a->resume,
            .resume_from = a->resume_from, .validation = validation, .validate_every = a->validate_every,
            .validation_images = a->validation, .save_every = a->save_every, .keep_every = a->keep_every,
            .sample_every = a->sample_every, .report_every = a->report_every, .sample_count = (int32_t)a->samples,
            .sample_guidance = a->guidance, .max_seconds = 60 * a->minutes, .stop = &interrupted, .progress = show_progress,
            .event = a->quiet ? NULL : show_event, .ctx = &bar,
        };
        signal(SIGINT, on_interrupt);
        signal(SIGTERM, on_interrupt);
        if (c->parallel) signal(SIGUSR1, on_interrupt); /* which mpirun hands on without ending everything soon after */
        cli_progress_begin(&bar, "training", -1, c->steps, a->quiet);
        bar.limit = 60 * a->minutes;
        const int64_t bad = brume_dataset_bad_count(data);
        s = brume_train_run(t, c, &run);
        cli_progress_end(&bar);
        if (!a->quiet && brume_dataset_bad_count(data) > bad) cli_data_tell(data);
    }
    brume_trainer_free(t);
    brume_device_close(d);
    brume_dataset_free(validation);
    brume_dataset_free(data);
    brume_tokenizer_free(tokenizer);
    brume_text_model_free(frozen);
    brume_autoencoder_free(autoencoder);
    return s;
}

/* Network, noise and settings before the options: of the preset, --model or --init; a run that goes on has a network and noise of
 * its own. */
static brume_status start_config(const struct train_args *a, brume_train_config *c)
{
    brume_train_config run;
    char note[512];
    const char *preset = a->preset ? a->preset : a->cond == TRAIN_COND_TEXT ? "shapes-text" : brume_preset_for_data(a->data);
    const char *model = a->model ? a->model : a->init;
    brume_status s = brume_train_config_load(goes_on(a) && model ? a->out : model, preset, (int32_t)a->size, c, note);
    if (s == BRUME_OK && a->resume && !model) {
        s = brume_train_config_load(a->out, NULL, (int32_t)a->size, &run, note);
        c->unet = run.unet;
    }
    if (s == BRUME_OK && (a->resume || a->init)) s = brume_train_config_schedule(a->resume ? a->out : a->init, c, note);
    return s;
}

static int train_denoiser(struct train_args *a)
{
    brume_train_config c;
    brume_status s = start_config(a, &c);
    /* a network that reads captions can be told nothing else */
    if (s == BRUME_OK && a->cond == TRAIN_COND_AUTO && brume_unet2d_context_dim(&c.unet)) {
        a->cond = TRAIN_COND_TEXT;
        if (!strcmp(a->data, "shapes")) a->data = "shapes-text";
    }
    if (s == BRUME_OK) s = train(a, &c);
    brume_scheduler_config_clear(&c.scheduler);
    if (s == BRUME_OK) {
        if (!a->quiet && a->lora) fprintf(stderr, "done: brume sample %s --lora %s draws with it\n", a->init, a->out);
        else if (!a->quiet)
            fprintf(stderr,
                    c.unet.architecture == BRUME_ARCHITECTURE_CLASSIFIER
                        ? "done: brume sample MODEL --classifier %s guides a model by it\n"
                        : "done: brume sample %s --out samples.png draws from it\n",
                    a->out);
        return CLI_DONE;
    }
    if (s == BRUME_E_STOPPED) {
        if (cli_parallel_first()) fprintf(stderr, "%s\n", brume_error());
        return interrupted ? CLI_FAILED : CLI_DONE; /* --minutes is an end, Ctrl-C falls short */
    }
    return cli_failed();
}

int cmd_train(int argc, char **argv)
{
    struct train_args a;
    int status = train_args_parse(argc, argv, &a);
    if (!cli_parallel_first()) a.quiet = 1;
    if (status == CLI_GO_ON && a.task == TRAIN_AUTOENCODER) {
        signal(SIGINT, on_interrupt);
        signal(SIGTERM, on_interrupt);
        if (cli_parallel()) signal(SIGUSR1, on_interrupt);
        status = train_autoencoder(&a, &interrupted);
    } else if (status == CLI_GO_ON) {
        status = train_denoiser(&a);
    }
    train_args_clear(&a);
    return status;
}
