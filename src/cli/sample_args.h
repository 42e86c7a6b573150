/* SPDX-License-Identifier: MIT
 * What `brume sample` can be asked for: the values of its options. */
#ifndef BRUME_CLI_SAMPLE_ARGS_H
#define BRUME_CLI_SAMPLE_ARGS_H

#include "brume/sampler.h"
#include "device_options.h"
#include "options.h"
#include "record.h"

struct sample_args {
    struct cli_device device;
    const char *out, *classes, *init_noise, *save_tensors, *strip, *x0_strip, *forward_strip, *film, *trajectories, *field,
        *weights;
    const char *init_image, *mask, *interpolate, *classifier, *prompt, *negative_prompt;
    const char *guidance_interval, *steps_list, *samplers, *table;
    int quiet, storage, reproject, variance, spacing, sigmas, solver_type, final_sigma, clip;
    struct cli_list loras;
    int64_t n, batch, seed, columns, scale, size, strip_images, strip_columns, negative, frame_ms;
    double guidance, guidance_w, rescale, threshold, threshold_max, classifier_scale, rho, sigma_min, sigma_max, interval[2];
    int64_t steps, reference_steps, order, langevin_steps, correct_steps, jump_length, jump_n_sample;
    const char *sampler, *predictor, *corrector, *respacing;
    double ema, eta, strength, s_churn, s_min, s_max, s_noise, langevin_step, snr, rtol, atol, flow_mu;
    int denoise_last, probability_flow;
    int32_t sections[64], n_sections;
    const char *limit;           /* memory_limit as it was given */
    uint64_t memory_limit;       /* bytes of activations in decoding latents; 0: as large as the U-Net */
    const char *replay;          /* a picture to draw again, with its record */
    struct record record;
    int keep_x0;                 /* estimates of x0 are formed as in the drawing that is repeated */
    struct cli_option *options;  /* the table that was parsed */
    char **texts;                /* values that came from the record */
    int n_texts;
};

/* What holds without any option. */
void sample_args_default(struct sample_args *a);
/* Parses the command line into a; *folder is the model. Returns CLI_GO_ON or the exit status. Free a in any case. */
int sample_args_parse(int argc, char **argv, struct sample_args *a, const struct cli_usage **u, const char **folder);
void sample_args_free(struct sample_args *a);
/* What the options say over the scheduler's config, and to the sampler. o->name and o->scheduler are left to the caller. */
void sample_args_apply(const struct sample_args *a, brume_scheduler_config *c, brume_sampler_options *o);

#endif
