/* SPDX-License-Identifier: MIT
 * The options of `brume train`. */
#include "train_args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "names.h"
#include "options_file.h"

static const char *const tasks[] = { "denoiser", "classifier", "autoencoder", NULL };
static const char *const reconstructions[] = { "l1", "l2", NULL }; /* order of brume_reconstruction */
static const char *const conds[] = { "auto", "none", "class", "text", NULL };
static const char *const lora_targets[] = { "unet", "text", "both", NULL };  /* one less than BRUME_LORA_OF_... */
static const char *const lora_formats[] = { "diffusers", "kohya", NULL };    /* order of brume_lora_format */
static const char *const optimizers[] = { "adamw", "adam", "sgd", NULL };
static const char *const variances[] = { "fixed-small", "fixed-large", "learned-range", NULL }; /* order of brume_variance */
static const char *const bounds[] = { "none", "hybrid", "vlb", NULL };                           /* order of brume_bound */

static const char *const examples[] = {
    "brume train --data shapes --out runs/shapes",
    "brume train --data mnist-folder --preset mnist --out runs/mnist --minutes 15",
    "brume train --data shapes --cond text --out runs/text  # for brume sample runs/text --prompt \"a small red circle left of a "
    "blue square\"",
    "brume train --data shapes --out runs/shapes --resume  # goes on after Ctrl-C",
    "brume train --data mnist-folder --out runs/ncsn --schedule ncsn --cond none  # scores, sampled by annealed Langevin "
    "dynamics",
    "brume train --data mnist-folder --out runs/judge --task classifier  # for brume sample MODEL --classifier runs/judge",
    "brume train --init stable-diffusion-v1-5 --lora 8 --data pictures --cond text --out runs/style  # for brume sample ... "
    "--lora runs/style",
    "brume train --data shapes --out runs/v --objective v --schedule cosine --weighting min-snr",
    NULL
};
static const struct cli_usage usage = {
    "train",
    "",
    "Trains a denoising diffusion model (Ho et al. 2020). --out becomes a model folder that diffusers can load, with the "
    "training state beside it.",
    examples,
    0,
    0,
    NULL
};

static int check(struct train_args *a)
{
    const struct cli_usage *u = &usage;
    if (!a->out) return cli_wrong(u, "--out is needed: the folder of the run");
    if ((a->preset != NULL) + (a->model != NULL) + (a->init != NULL) > 1)
        return cli_wrong(u, "give one of --preset, --model and --init");
    if (!brume_schedule_find(a->schedule) && !brume_process_preset_find(a->schedule))
        return cli_no_choice(u, "schedule", a->schedule, cli_schedules());
    if (a->objective && !brume_objective_find(a->objective)) return cli_no_choice(u, "objective", a->objective, cli_objectives());
    if (!brume_weighting_find(a->weighting)) return cli_no_choice(u, "weighting", a->weighting, cli_weightings());
    if (a->times && !brume_time_sampling_find(a->times)) return cli_no_choice(u, "time-sampling", a->times, cli_time_samplings());
    if (a->lr_schedule && !brume_lr_schedule_find(a->lr_schedule))
        return cli_no_choice(u, "lr-schedule", a->lr_schedule, cli_lr_schedules());
    if (a->limit && !cli_bytes(a->limit, &a->memory_limit))
        return cli_wrong(u, "--memory-limit %s: expected bytes, as in 1500000, 800M or 2G", a->limit);
    int known = a->ema_write == 0;
    for (int i = 0; i < a->ema.n; i++) {
        known |= a->ema.x[i] == a->ema_write;
        for (int k = 0; k < i; k++)
            if (a->ema.x[k] == a->ema.x[i] || a->ema.x[i] == 0)
                return cli_wrong(u, "--ema: decays must differ, and those behind the first be above 0");
    }
    if (!known) return cli_wrong(u, "--ema-write: %g is none of the decays of --ema", a->ema_write);
    if (a->task == TRAIN_AUTOENCODER) {
        if (a->ema.n > 1 || a->validate_every || a->resume_from)
            return cli_wrong(u, "--task autoencoder knows one --ema, no --validate-every and no --resume-from");
        if (a->preset || a->micro_batch || a->storage || a->recompute || a->memory_limit)
            return cli_wrong(u, "--task autoencoder knows no --preset, --micro-batch, --storage, --recompute and --memory-limit");
        for (int i = 0; i <= TRAIN_WEIGHTING; i++)
            if (a->given[i])
                return cli_wrong(
                    u, "--task autoencoder adds no noise to images: it knows none of the options of noise and objective");
    }
    if (a->vae && a->task != TRAIN_DENOISER) return cli_wrong(u, "--vae is for denoisers, which then learn latents");
    if (a->lora && !a->init) return cli_wrong(u, "--lora learns beside a model's weights: give it as --init");
    if (a->lora && a->task != TRAIN_DENOISER) return cli_wrong(u, "--lora is for --task denoiser");
    if (a->data_options.width && !a->size) return cli_wrong(u, "--width needs --size, which is the height");
    if (a->channels == 2) return cli_wrong(u, "--channels: expected 1, 3 or 4, got 2");
    return CLI_GO_ON;
}

static int read_file(const char *path, struct cli_option *options, brume_json **file)
{
    return brume_json_load(path, file) == BRUME_OK ? cli_options_read(&usage, options, *file) : cli_failed();
}

static int exists(const char *folder, const char *name, char path[4096])
{
    snprintf(path, 4096, "%s/training/%s", folder, name);
    return access(path, F_OK) == 0;
}

/* A run that ended before its first checkpoint begins again. */
static int read_files(struct train_args *a, struct cli_option *options)
{
    char path[4096];
    int status = a->config ? read_file(a->config, options, &a->files[0]) : CLI_GO_ON;
    if (status != CLI_GO_ON || !a->resume || !a->out) return status;
    const int state = exists(a->out, "state.safetensors", path) || exists(a->out, "state.previous.safetensors", path);
    if (exists(a->out, "run.json", path)) status = read_file(path, options, &a->files[1]);
    else if (!state) {
        fprintf(stderr,
                "brume train: %s holds no run that could go on, neither a checkpoint nor training/run.json; begin one without "
                "--resume\n",
                a->out);
        return CLI_FAILED;
    }
    if (state || status != CLI_GO_ON) return status;
    if (!a->quiet) fprintf(stderr, "%s has no checkpoint yet; the run begins again\n", a->out);
    a->resume = 0;
    return status;
}

static int write_run(struct train_args *a, const struct cli_option *options)
{
    static const char *const not_saved[] = { "out", "resume", "config", "quiet", NULL };
    a->run = brume_json_writer_new();
    if (!a->run) {
        fprintf(stderr, "brume train: out of memory\n");
        return CLI_FAILED;
    }
    brume_json_begin_object(a->run, NULL);
    brume_json_put_string(a->run, "_brume", BRUME_VERSION);
    brume_json_put_string(a->run, "_command", usage.name);
    cli_options_write(a->run, options, not_saved);
    return CLI_GO_ON;
}

const char *train_args_run(const struct train_args *a, const brume_train_config *c, const brume_dataset *data, brume_device *d,
                           int64_t parameters)
{
    brume_device_info info;
    brume_device_get_info(d, &info);
    brume_json_put_int(a->run, "_steps", c->steps);
    brume_json_put_int(a->run, "_batch", c->batch);
    brume_json_put_int(a->run, "_parameters", parameters);
    brume_json_put_string(a->run, "_data", brume_dataset_kind(data));
    brume_json_put_int(a->run, "_images", brume_dataset_count(data));
    brume_json_put_string(a->run, "_device", info.name);
    brume_json_end(a->run);
    return brume_json_writer_text(a->run);
}

void train_args_clear(struct train_args *a)
{
    brume_json_free(a->files[0]);
    brume_json_free(a->files[1]);
    brume_json_writer_free(a->run);
}

int train_args_parse(int argc, char **argv, struct train_args *a)
{
    static const char *const watched[TRAIN_OPTIONS] = {
        [TRAIN_OBJECTIVE] = "objective", [TRAIN_SCHEDULE] = "schedule", [TRAIN_TIMESTEPS] = "timesteps",
        [TRAIN_BETA_START] = "beta-start", [TRAIN_BETA_END] = "beta-end", [TRAIN_SIGMA_MIN] = "sigma-min",
        [TRAIN_SIGMA_MAX] = "sigma-max", [TRAIN_SIGMA_DATA] = "sigma-data", [TRAIN_BETA_MIN] = "beta-min",
        [TRAIN_BETA_MAX] = "beta-max", [TRAIN_ZERO_SNR] = "zero-snr", [TRAIN_VARIANCE] = "variance", [TRAIN_BOUND] = "bound",
        [TRAIN_WEIGHTING] = "weighting", [TRAIN_LR] = "lr", [TRAIN_DECAY] = "weight-decay", [TRAIN_BETA1] = "beta1",
        [TRAIN_BETA2] = "beta2", [TRAIN_ADAM_EPS] = "adam-eps", [TRAIN_WARMUP] = "warmup", [TRAIN_CLIP] = "clip",
        [TRAIN_EMA] = "ema", [TRAIN_DROP] = "cond-drop", [TRAIN_DROPOUT] = "dropout", [TRAIN_TIME_MEAN] = "time-mean",
        [TRAIN_LR_END] = "lr-end", [TRAIN_FLIP] = "flip",
    };
    brume_train_config c;
    brume_train_config_default(&c);
    *a = (struct train_args){ .device = CLI_DEVICE_DEFAULT,
                              .data_options = CLI_DATA_DEFAULT,
                              .kl_weight = 1e-6,
                              .data = "shapes",
                              .save_every = 1000,
                              .sample_every = 500,
                              .report_every = 500,
                              .samples = 60,
                              .guidance = 2,
                              .schedule = "linear",
                              .timesteps = 1000,
                              .warmup = c.warmup,
                              .lr = c.lr,
                              .beta1 = c.beta1,
                              .beta2 = c.beta2,
                              .eps = c.eps,
                              .clip = c.clip,
                              .ema = { { c.ema_decay }, 1 },
                              .validation = 500,
                              .drop = c.cond_drop,
                              .beta_start = 1e-4,
                              .beta_end = 0.02,
                              .beta_min = 0.1,
                              .beta_max = 20,
                              .sigma_data = 0.5,
                              .weighting = "simple",
                              .snr_gamma = c.objective.snr_gamma,
                              .p2_gamma = c.objective.p2_gamma,
                              .p2_k = c.objective.p2_k };
    struct cli_option options[] = {
        OPT_GROUP("What to learn"),
        OPT_CHOICE("task", &a->task, tasks,
                   "a denoiser, which draws images, a classifier of noisy images, which guides one that draws, or an autoencoder "
                   "for latent diffusion"),
        OPT_NAME("data", &a->data, cli_data_sets(), "DATA",
                 "a folder of IDX files (MNIST), CIFAR batches, pictures or arrays (see brume data); or built in, with --cond "
                 "text shapes-text"),
        OPT_STRING("out", &a->out, "RUN", "folder of the run"),
        OPT_FLAG("resume", &a->resume, "go on from the checkpoint in --out, with the options that the run was begun with"),
        OPT_STRING("resume-from", &a->resume_from, "FILE",
                   "begin at the state in that file, such as another run's training/abort.safetensors"),
        OPT_STRING("config", &a->config, "FILE",
                   "options from a JSON file such as a run's training/run.json; the command line goes before it"),
        OPT_NAME("preset", &a->preset, cli_presets(), "NAME", cli_presets_help()),
        OPT_STRING("model", &a->model, "FILE", "config.json of a UNet2DModel instead of a preset"),
        OPT_STRING("init", &a->init, "MODEL",
                   "start from weights, config and noise schedule of a model folder; what its classes or channels do not fit is "
                   "new, and told"),
        OPT_CHOICE(
            "cond", &a->cond, conds,
            "condition on the class, or on captions; auto: on the class where the data has some, on captions with shapes-text"),
        OPT_STRING("text-encoder", &a->text_encoder, "DIR",
                   "read captions by the text encoder and tokenizer of that folder, which stay as they are; default: small ones "
                   "that learn"),
        OPT_STRING("vae", &a->vae, "DIR",
                   "learn latents of that folder's autoencoder (of brume train --task autoencoder, or vae/ of a pipeline) "
                   "instead of images; --resume takes the run's own"),
        OPT_FLOAT("cond-drop", &a->drop, 0, 1, "P", "part of the examples trained without their class or caption, for guidance"),
        OPT_INT("size", &a->size, 0, 1024, "N",
                "height and width of images; 0: the model's, or those of the data where all its images have one size"),
        OPT_INT("channels", &a->channels, 0, 4, "N", "of images: 1, 3, or 4 with opacity; 0: likewise"),
        OPT_INT("count", &a->count, 0, 1e9, "N", "use that many items of the data; 0: all"),
        OPT_INT("seed", &a->seed, 0, 9e15, "N", "seed of weights, order and noise"),
        OPT_DATA(&a->data_options),
        OPT_DATA_TRAINING(&a->data_options),

        OPT_GROUP("Noise and objective (images are in [-1, 1]; brume methods tells of each name)"),
        OPT_NAME("objective", &a->objective, cli_objectives(), "NAME",
                 "what the network learns; default: what suits the schedule"),
        OPT_NAME("schedule", &a->schedule, cli_schedules(), "NAME", "noise schedule, or process"),
        OPT_INT("timesteps", &a->timesteps, 1, 100000, "T",
                "steps of the forward process, or levels of a ladder; processes have defaults of their own"),
        OPT_FLOAT("beta-start", &a->beta_start, 1e-12, 0.999, "X", "first beta of linear schedules"),
        OPT_FLOAT("beta-end", &a->beta_end, 1e-12, 0.999, "X", "last beta of linear schedules"),
        OPT_FLAG("zero-snr", &a->zero_snr,
                 "rescale the betas so that nothing of the image is left at the last step (Lin et al. 2023); objective x0 or v"),
        OPT_FLOAT("beta-min", &a->beta_min, 0, 1e6, "X", "vp, subvp: beta at time 0"),
        OPT_FLOAT("beta-max", &a->beta_max, 0, 1e6, "X", "vp, subvp: beta at time 1"),
        OPT_FLOAT("sigma-min", &a->sigma_min, 0, 1e6, "X", "ncsn, ve, edm: smallest noise level; 0: the schedule's"),
        OPT_FLOAT("sigma-max", &a->sigma_max, 0, 1e6, "X", "ncsn, ve, edm: largest noise level; 0: the schedule's"),
        OPT_FLOAT("sigma-data", &a->sigma_data, 1e-6, 1e6, "X", "edm: standard deviation of the data"),
        OPT_NAME("weighting", &a->weighting, cli_weightings(), "NAME", "weight of the loss at each noise level"),
        OPT_FLOAT("snr-gamma", &a->snr_gamma, 1e-6, 1e6, "X", "gamma of min-snr"),
        OPT_FLOAT("p2-gamma", &a->p2_gamma, 0, 100, "X", "gamma of p2"),
        OPT_FLOAT("p2-k", &a->p2_k, 1e-6, 1e6, "X", "k of p2"),
        OPT_CHOICE("variance", &a->variance, variances,
                   "variance of a step: fixed, or learned between the two (Nichol & Dhariwal 2021)"),
        OPT_CHOICE("bound", &a->bound, bounds,
                   "variational bound in the loss: hybrid with a learned variance unless vlb, the bound alone, is asked for"),
        OPT_NAME("time-sampling", &a->times, cli_time_samplings(), "NAME",
                 "how the times of examples are drawn; default: uniform, edm: lognormal"),
        OPT_FLOAT("time-mean", &a->time_mean, -100, 100, "X", "mean of logit-normal and lognormal; default: 0 and -1.2"),
        OPT_FLOAT("time-std", &a->time_std, 0, 100, "X", "their standard deviation; 0: 1 and 1.2"),
        OPT_FLOAT("offset-noise", &a->offset_noise, 0, 100, "X", "noise added to whole channels of eps, such as 0.1"),

        OPT_GROUP("Low-rank adapters (LoRA)"),
        OPT_INT("lora", &a->lora, 0, BRUME_LORA_MAX_RANK, "RANK",
                "learn adapters of that rank on the attention of --init's model, whose weights stay as they are; 0: learn all "
                "weights"),
        OPT_FLOAT("lora-alpha", &a->lora_alpha, 0, 1e6, "A", "adapters count A / RANK times; 0: once"),
        OPT_CHOICE("lora-targets", &a->lora_targets, lora_targets, "whose attention"),
        OPT_CHOICE("lora-format", &a->lora_format, lora_formats, "names in the run's " BRUME_LORA_FILE),

        OPT_GROUP("Of an autoencoder"),
        OPT_CHOICE("reconstruction", &a->reconstruction, reconstructions,
                   "mean distance of images and what is decoded: absolute or squared"),
        OPT_FLOAT("kl-weight", &a->kl_weight, 0, 1e6, "X", "weight of the KL divergence of latents from unit normal ones"),

        OPT_GROUP("Steps"),
        OPT_INT("steps", &a->steps, 0, 1e12, "N", "optimizer steps in all; 0: as the preset says"),
        OPT_INT("batch", &a->batch, 0, 65536, "N", "images of a step; 0: as the preset says"),
        OPT_INT("micro-batch", &a->micro_batch, 0, 65536, "N",
                "images at once, a divisor of the batch: less memory, the same step up to roundings; 0: all"),
        OPT_CHOICE("optimizer", &a->optimizer, optimizers, "optimizer"),
        OPT_FLOAT("lr", &a->lr, 0, 1e12, "X", "learning rate"),
        OPT_FLOAT("weight-decay", &a->decay, 0, 10, "X", "weight decay"),
        OPT_FLOAT("beta1", &a->beta1, 0, 0.999999, "X", "first moment's decay; momentum of sgd"),
        OPT_FLOAT("beta2", &a->beta2, 0, 0.9999999, "X", "second moment's decay"),
        OPT_FLOAT("adam-eps", &a->eps, 0, 1, "X", "epsilon of Adam"),
        OPT_INT("warmup", &a->warmup, 0, 1e9, "N", "steps of linear warm-up"),
        OPT_NAME("lr-schedule", &a->lr_schedule, cli_lr_schedules(), "NAME", "learning rate after the warm-up; default constant"),
        OPT_FLOAT("lr-end", &a->lr_end, 0, 10, "X", "learning rate of the last step, or the smallest one of inverse-sqrt"),
        OPT_FLOAT("clip", &a->clip, 0, 1e9, "X", "largest norm of the gradient; 0: no clipping"),
        OPT_FLOATS("ema", &a->ema, 0, 1, "X[,X]",
                   "decay of the averaged weights; several, such as 0.999,0.9999: as many averages, the first of which the model "
                   "folder gets"),
        OPT_FLOAT("ema-write", &a->ema_write, 0, 1, "X",
                  "the one of these decays that the folder gets instead; brume sample --ema reaches the others"),
        OPT_FLOAT("dropout", &a->dropout, 0, 0.95, "P", "dropout in the residual blocks"),
        OPT_FLOAT("minutes", &a->minutes, 0, 1e6, "M", "stop after this time, with a checkpoint; 0: no limit"),
        OPT_INT("save-every", &a->save_every, 0, 1e12, "N", "steps between checkpoints; 0: only at the end"),
        OPT_INT("keep-every", &a->keep_every, 0, 1e12, "N",
                "steps between models that stay, each a folder like RUN/steps/000500 for brume sample and eval; 0: none"),
        OPT_INT("sample-every", &a->sample_every, 0, 1e12, "N", "steps between pictures; 0: only at the end"),
        OPT_INT("report-every", &a->report_every, 0, 1e12, "N",
                "steps between new versions of RUN/report.html; 0: only at the end"),
        OPT_INT("validate-every", &a->validate_every, 0, 1e12, "N",
                "steps between losses on images that training does not see, by averaged weights; 0: never"),
        OPT_INT("validation", &a->validation, 1, 1e9, "N", "how many such images"),
        OPT_STRING("validation-data", &a->validation_data, "DIR", "where they are; default: the test part of the data"),
        OPT_INT("samples", &a->samples, 0, 1024, "N", "images in such a picture; 0: none"),
        OPT_FLOAT("guidance", &a->guidance, -100, 100, "S", "guidance scale of such a picture (class and text models)"),

        OPT_GROUP("Machine"),
        OPT_STRING("memory-limit", &a->limit, "BYTES",
                   "refuse to start with more memory than that on the device, say what would fit; 800M, 2G; default: what the "
                   "device has"),
        OPT_STORAGE(&a->storage),
        OPT_FLAG("recompute", &a->recompute,
                 "keep less for the backward pass and compute it again: less memory, more time, the same bits"),
        OPT_DEVICE(&a->device),
        OPT_FLAG("quiet", &a->quiet, "say nothing but errors"),
        { 0 }
    };
    int status = cli_parse(&usage, options, argc, argv, NULL, NULL);
    if (status == CLI_GO_ON) status = read_files(a, options);
    if (status == CLI_GO_ON) status = write_run(a, options);
    if (status != CLI_GO_ON) return status;
    if (a->cond == TRAIN_COND_AUTO && !strcmp(a->data, "shapes-text")) a->cond = TRAIN_COND_TEXT;
    if (a->cond == TRAIN_COND_TEXT && !strcmp(a->data, "shapes")) a->data = "shapes-text";
    if (a->text_encoder && (a->cond != TRAIN_COND_TEXT || a->task != TRAIN_DENOISER))
        return cli_wrong(&usage, "--text-encoder reads captions: it needs --cond text");
    if (a->cond == TRAIN_COND_TEXT && a->task != TRAIN_DENOISER)
        return cli_wrong(&usage, "--cond text is for networks that draw images, not for --task %s", tasks[a->task]);
    for (int i = 0; i < TRAIN_OPTIONS; i++) a->given[i] = cli_given(options, watched[i]);
    return check(a);
}

static brume_status apply_process(const struct train_args *a, brume_train_config *c)
{
    const int network_given = a->model || a->init || a->resume;
    const brume_process_preset *process = brume_process_preset_find(a->schedule);
    brume_status s = BRUME_OK;
    if (a->given[TRAIN_SCHEDULE] && process) s = brume_train_config_process(c, process, network_given);
    else if (a->given[TRAIN_SCHEDULE] && c->scheduler.process != BRUME_PROCESS_DISCRETE) { /* of a run or model */
        const bool clip = c->scheduler.clip_sample;
        brume_scheduler_config_clear(&c->scheduler);
        c->scheduler.clip_sample = clip;
        brume_train_config_objective(c, brume_objective_find("eps"), network_given);
    }
    return s;
}

static void apply_objective(const struct train_args *a, brume_train_config *c)
{
    brume_objective *o = &c->objective;
    o->weighting = brume_weighting_find(a->weighting);
    o->snr_gamma = a->snr_gamma;
    o->p2_gamma = a->p2_gamma;
    o->p2_k = a->p2_k;
    if (a->times) o->times = brume_time_sampling_find(a->times)->value;
    if (a->given[TRAIN_TIME_MEAN]) o->time_mean = a->time_mean;
    if (a->time_std > 0) o->time_std = a->time_std;
    o->offset_noise = a->offset_noise;
    if (a->given[TRAIN_VARIANCE]) c->scheduler.variance_type = (brume_variance)a->variance;
    o->bound = a->given[TRAIN_BOUND] ? (brume_bound)a->bound
               : c->scheduler.variance_type == BRUME_VARIANCE_LEARNED_RANGE ? BRUME_BOUND_HYBRID : BRUME_BOUND_NONE;
}

brume_status train_args_apply(const struct train_args *a, brume_train_config *c)
{
    static const enum train_option of_betas[] = { TRAIN_SCHEDULE, TRAIN_TIMESTEPS, TRAIN_BETA_START, TRAIN_BETA_END };
    const brume_status s = apply_process(a, c);
    if (s != BRUME_OK) return s;
    brume_scheduler_config *k = &c->scheduler;
    for (size_t i = 0; i < sizeof of_betas / sizeof *of_betas; i++)
        if (k->trained_betas && a->given[of_betas[i]]) { /* betas written out would override what is asked for */
            free(k->trained_betas);
            k->trained_betas = NULL;
        }
    if (a->given[TRAIN_SCHEDULE] && brume_schedule_find(a->schedule))
        snprintf(k->beta_schedule, sizeof k->beta_schedule, "%s", brume_schedule_find(a->schedule)->name);
    if (a->given[TRAIN_OBJECTIVE])
        brume_train_config_objective(c, brume_objective_find(a->objective), a->model || a->init || a->resume);
    if (a->given[TRAIN_TIMESTEPS]) k->num_train_timesteps = (int32_t)a->timesteps;
    if (a->given[TRAIN_BETA_START]) k->beta_start = a->beta_start;
    if (a->given[TRAIN_BETA_END]) k->beta_end = a->beta_end;
    if (a->given[TRAIN_ZERO_SNR]) k->rescale_betas_zero_snr = a->zero_snr;
    if (a->given[TRAIN_BETA_MIN]) k->beta_min = a->beta_min;
    if (a->given[TRAIN_BETA_MAX]) k->beta_max = a->beta_max;
    if (a->sigma_min > 0) k->sigma_min = a->sigma_min;
    if (a->sigma_max > 0) k->sigma_max = a->sigma_max;
    if (a->given[TRAIN_SIGMA_DATA]) k->sigma_data = a->sigma_data;
    /* what the scaling factor is for */
    else if (c->autoencoder && a->given[TRAIN_SCHEDULE] && k->process == BRUME_PROCESS_EDM) k->sigma_data = 1;
    apply_objective(a, c);
    /* or a run that is one */
    if (a->task == TRAIN_CLASSIFIER || c->unet.architecture == BRUME_ARCHITECTURE_CLASSIFIER) brume_train_config_classifier(c);
    if (a->steps) c->steps = a->steps;
    if (a->batch) c->batch = (int32_t)a->batch;
    c->micro_batch = (int32_t)a->micro_batch;
    c->recompute = a->recompute;
    c->storage = (brume_storage)a->storage;
    c->memory_limit = a->memory_limit;
    if (a->given[TRAIN_LR]) c->lr = a->lr;
    if (a->given[TRAIN_DECAY]) c->weight_decay = a->decay;
    if (a->given[TRAIN_BETA1]) c->beta1 = a->beta1;
    if (a->given[TRAIN_BETA2]) c->beta2 = a->beta2;
    if (a->given[TRAIN_ADAM_EPS]) c->eps = a->eps;
    if (a->given[TRAIN_WARMUP]) c->warmup = a->warmup;
    if (a->lr_schedule) c->lr_schedule = brume_lr_schedule_find(a->lr_schedule);
    if (a->given[TRAIN_LR_END]) c->lr_end = a->lr_end;
    if (a->given[TRAIN_CLIP]) c->clip = a->clip;
    if (a->given[TRAIN_EMA]) {
        c->ema_decay = a->ema.x[0];
        for (int i = 1; i < a->ema.n; i++) c->ema_more[i - 1] = a->ema.x[i];
    }
    for (int i = 1; i < a->ema.n; i++)
        if (a->ema.x[i] == a->ema_write) c->ema_write = i;
    if (a->given[TRAIN_DROP]) c->cond_drop = a->drop;
    if (a->given[TRAIN_DROPOUT]) c->unet.dropout = (float)a->dropout;
    c->optimizer = (brume_optimizer)a->optimizer;
    c->lora = (brume_train_lora){ (int32_t)a->lora, a->lora_alpha, (uint32_t)a->lora_targets + 1,
                                  (brume_lora_format)a->lora_format };
    c->seed = (uint64_t)a->seed;
    return BRUME_OK;
}

brume_status train_args_ladder(const struct train_args *a, brume_train_config *c, const brume_dataset *data)
{
    const brume_process_preset *p = a->given[TRAIN_SCHEDULE] ? brume_process_preset_find(a->schedule) : NULL;
    if (!p) return BRUME_OK; /* a table of betas, or a ladder that the run or model has */
    const int ladder = c->scheduler.process == BRUME_PROCESS_NCSN || c->scheduler.process == BRUME_PROCESS_VE;
    return brume_train_config_ladder(c, data, ladder && p->sigma_max == 0 && a->sigma_max == 0,
                                     p->T == 0 && !a->given[TRAIN_TIMESTEPS]);
}
