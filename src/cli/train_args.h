/* SPDX-License-Identifier: MIT
 * What `brume train` can be asked for: the values of its options. */
#ifndef BRUME_CLI_TRAIN_ARGS_H
#define BRUME_CLI_TRAIN_ARGS_H

#include "brume/json.h"
#include "brume/train.h"
#include "data_options.h"
#include "device_options.h"
#include "options.h"

enum train_option { /* numbers of options whose absence matters; see train_args.given */
    TRAIN_OBJECTIVE, TRAIN_SCHEDULE, TRAIN_TIMESTEPS, TRAIN_BETA_START, TRAIN_BETA_END, TRAIN_SIGMA_MIN, TRAIN_SIGMA_MAX,
    TRAIN_SIGMA_DATA, TRAIN_BETA_MIN,
    TRAIN_BETA_MAX, TRAIN_ZERO_SNR, TRAIN_VARIANCE, TRAIN_BOUND, TRAIN_WEIGHTING, TRAIN_LR, TRAIN_DECAY, TRAIN_BETA1,
    TRAIN_BETA2, TRAIN_ADAM_EPS,
    TRAIN_WARMUP, TRAIN_CLIP, TRAIN_EMA, TRAIN_DROP, TRAIN_DROPOUT, TRAIN_TIME_MEAN, TRAIN_LR_END, TRAIN_FLIP, TRAIN_OPTIONS
};

enum { TRAIN_DENOISER, TRAIN_CLASSIFIER, TRAIN_AUTOENCODER }; /* train_args.task */

enum train_cond { TRAIN_COND_AUTO, TRAIN_COND_NONE, TRAIN_COND_CLASS, TRAIN_COND_TEXT };

struct train_args {
    struct cli_device device;
    struct cli_data data_options;
    const char *config, *resume_from, *validation_data, *limit, *text_encoder, *vae, *data, *out, *preset, *model, *init,
        *schedule, *objective, *weighting, *times, *lr_schedule;
    int task, reconstruction, cond, optimizer, storage, recompute, resume, quiet, variance, bound, zero_snr, lora_targets,
        lora_format;
    int64_t lora, steps, batch, micro_batch, timesteps, warmup, seed, size, channels, count, save_every, keep_every, sample_every,
        report_every, samples, validate_every, validation;
    uint64_t memory_limit;
    double lora_alpha, kl_weight, lr, decay, beta1, beta2, eps, clip, drop, dropout, guidance, minutes, beta_start, beta_end,
        beta_min, beta_max;
    double sigma_min, sigma_max, sigma_data, snr_gamma, p2_gamma, p2_k, time_mean, time_std, offset_noise, lr_end;
    struct cli_floats ema;
    double ema_write;
    int given[TRAIN_OPTIONS];
    brume_json *files[2];   /* what strings point into: of --config, of the run */
    brume_json_writer *run; /* the options, as the run folder keeps them: an object that is not ended yet */
};

/*
 * Parses the command line into a; what it does not say is said by --config, and with --resume by the run. Returns CLI_GO_ON or
 * the exit status. Free what it holds by train_args_clear(), either way.
 */
int train_args_parse(int argc, char **argv, struct train_args *a);
void train_args_clear(struct train_args *a);
/* What the options say over what preset, model or run say. */
brume_status train_args_apply(const struct train_args *a, brume_train_config *c);
/* The part of that for which the data are asked: noise levels by NCSNv2's rules, where none are given. */
brume_status train_args_ladder(const struct train_args *a, brume_train_config *c, const brume_dataset *data);

/* The run's options, and what they came to, for training/run.json; owned by a. NULL without memory: the run goes without. To be
 * asked for once. */
const char *train_args_run(const struct train_args *a, const brume_train_config *c, const brume_dataset *data, brume_device *d,
                           int64_t parameters);

#endif
