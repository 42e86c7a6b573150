/* SPDX-License-Identifier: MIT
 * The classes of schedulers with their defaults: those of diffusers, and brume's own for processes that diffusers has none
 * for. */
#include "diffusion/scheduler_classes.h"

#include <string.h>

#define BETAS(b0, b1, schedule) \
    "\"num_train_timesteps\": 1000, \"beta_start\": " b0 ", \"beta_end\": " b1 ", \"beta_schedule\": \"" schedule "\", " \
    "\"trained_betas\": null, "
#define DDPM_BETAS BETAS("0.0001", "0.02", "linear")
#define SD_BETAS(schedule) BETAS("0.00085", "0.012", schedule)
#define EPSILON "\"prediction_type\": \"epsilon\", "
#define CLIP(on) "\"clip_sample\": " on ", \"clip_sample_range\": 1.0, "
#define THRESHOLD "\"thresholding\": false, \"dynamic_thresholding_ratio\": 0.995, \"sample_max_value\": 1.0, "
#define SPACING(s) "\"timestep_spacing\": \"" s "\", \"steps_offset\": 0"
#define RESCALE ", \"rescale_betas_zero_snr\": false"
#define KARRAS "\"use_karras_sigmas\": false, \"use_exponential_sigmas\": false, \"use_beta_sigmas\": false, "
#define FINAL "\"final_sigmas_type\": \"zero\""
#define SOLVER "\"solver_order\": 2, "
#define DPM_SOLVER "\"algorithm_type\": \"dpmsolver++\", \"solver_type\": \"midpoint\", "
#define FLOW_SIGMAS "\"use_flow_sigmas\": false, \"flow_shift\": 1.0, "
#define SHIFTING "\"use_dynamic_shifting\": false, \"time_shift_type\": \"exponential\""
#define LAMBDA "\"lambda_min_clipped\": -Infinity, \"variance_type\": null, "
#define EDM "\"sigma_min\": 0.002, \"sigma_max\": 80.0, \"sigma_data\": 0.5, \"sigma_schedule\": \"karras\", " \
    "\"num_train_timesteps\": 1000, " EPSILON "\"rho\": 7.0, "
#define SCORE "\"prediction_type\": \"score\""

static const struct brume_scheduler_class rows[] = {
    { "DDPMScheduler", BRUME_PROCESS_DISCRETE,
      "{" DDPM_BETAS "\"variance_type\": \"fixed_small\", " EPSILON CLIP("true") THRESHOLD SPACING("leading") RESCALE "}" },
    { "DDIMScheduler", BRUME_PROCESS_DISCRETE,
      "{" DDPM_BETAS EPSILON CLIP("true") "\"set_alpha_to_one\": true, " THRESHOLD SPACING("leading") RESCALE "}" },
    { "DDIMInverseScheduler", BRUME_PROCESS_DISCRETE,
      "{" DDPM_BETAS EPSILON CLIP("true") "\"set_alpha_to_one\": true, " SPACING("leading") RESCALE "}" },
    { "PNDMScheduler", BRUME_PROCESS_DISCRETE,
      "{" DDPM_BETAS EPSILON "\"skip_prk_steps\": false, \"set_alpha_to_one\": false, " SPACING("leading") "}" },
    { "LCMScheduler", BRUME_PROCESS_DISCRETE,
      "{" SD_BETAS("scaled_linear") EPSILON CLIP("false") THRESHOLD "\"set_alpha_to_one\": true, "
      "\"original_inference_steps\": 50, "
      "\"timestep_scaling\": 10.0, " SPACING("leading") RESCALE "}" },
    { "EulerDiscreteScheduler", BRUME_PROCESS_DISCRETE,
      "{" DDPM_BETAS EPSILON "\"interpolation_type\": \"linear\", \"timestep_type\": \"discrete\", \"sigma_min\": null, "
      "\"sigma_max\": null, "
      KARRAS FINAL ", " SPACING("linspace") RESCALE "}" },
    { "EulerAncestralDiscreteScheduler", BRUME_PROCESS_DISCRETE, "{" DDPM_BETAS EPSILON SPACING("linspace") RESCALE "}" },
    { "HeunDiscreteScheduler", BRUME_PROCESS_DISCRETE, "{" SD_BETAS("linear") EPSILON CLIP("false") KARRAS SPACING("linspace")
      "}" },
    { "KDPM2DiscreteScheduler", BRUME_PROCESS_DISCRETE, "{" SD_BETAS("linear") EPSILON KARRAS SPACING("linspace") "}" },
    { "KDPM2AncestralDiscreteScheduler", BRUME_PROCESS_DISCRETE, "{" SD_BETAS("linear") EPSILON KARRAS SPACING("linspace") "}" },
    { "LMSDiscreteScheduler", BRUME_PROCESS_DISCRETE, "{" DDPM_BETAS EPSILON KARRAS SPACING("linspace") "}" },
    { "DPMSolverMultistepScheduler", BRUME_PROCESS_DISCRETE,
      "{" DDPM_BETAS SOLVER EPSILON THRESHOLD DPM_SOLVER "\"lower_order_final\": true, \"euler_at_final\": false, "
      "\"use_lu_lambdas\": false, "
      KARRAS FLOW_SIGMAS FINAL ", " LAMBDA SPACING("linspace") RESCALE ", " SHIFTING "}" },
    { "DPMSolverSinglestepScheduler", BRUME_PROCESS_DISCRETE,
      "{" DDPM_BETAS SOLVER EPSILON THRESHOLD DPM_SOLVER "\"lower_order_final\": false, " KARRAS FLOW_SIGMAS FINAL ", " LAMBDA
      SHIFTING "}" },
    { "DEISMultistepScheduler", BRUME_PROCESS_DISCRETE, /* the last two keys say what diffusers has in its code */
      "{" DDPM_BETAS SOLVER EPSILON THRESHOLD "\"algorithm_type\": \"deis\", \"solver_type\": \"logrho\", "
      "\"lower_order_final\": true, "
      KARRAS FLOW_SIGMAS SPACING("linspace") ", " SHIFTING ", \"final_sigmas_type\": \"sigma_min\", "
      "\"exact_third_order\": true}" },
    { "UniPCMultistepScheduler", BRUME_PROCESS_DISCRETE,
      "{" DDPM_BETAS SOLVER EPSILON THRESHOLD "\"predict_x0\": true, \"solver_type\": \"bh2\", \"lower_order_final\": true, "
      "\"disable_corrector\": [], \"solver_p\": null, \"sigma_min\": null, \"sigma_max\": null, \"shift_terminal\": null, "
      KARRAS FLOW_SIGMAS FINAL ", " SPACING("linspace") RESCALE ", " SHIFTING "}" },
    { "RePaintScheduler", BRUME_PROCESS_DISCRETE, "{" DDPM_BETAS EPSILON "\"eta\": 0.0, \"clip_sample\": true}" },
    { "FlowMatchEulerDiscreteScheduler", BRUME_PROCESS_FLOW,
      "{\"num_train_timesteps\": 1000, \"prediction_type\": \"flow_prediction\", \"shift\": 1.0, \"shift_terminal\": null, "
      "\"base_shift\": 0.5, "
      "\"max_shift\": 1.15, \"base_image_seq_len\": 256, \"max_image_seq_len\": 4096, \"invert_sigmas\": false, "
      "\"stochastic_sampling\": false, "
      KARRAS SHIFTING "}" },
    { "FlowMatchHeunDiscreteScheduler", BRUME_PROCESS_FLOW,
      "{\"num_train_timesteps\": 1000, \"prediction_type\": \"flow_prediction\", \"shift\": 1.0}" },
    { "EDMEulerScheduler", BRUME_PROCESS_EDM, "{" EDM FINAL "}" },
    { "EDMDPMSolverMultistepScheduler", BRUME_PROCESS_EDM,
      "{" EDM SOLVER THRESHOLD DPM_SOLVER "\"lower_order_final\": true, \"euler_at_final\": false, " FINAL "}" },
    { "ScoreSdeVeScheduler", BRUME_PROCESS_VE,
      "{\"num_train_timesteps\": 2000, \"snr\": 0.15, \"sigma_min\": 0.01, \"sigma_max\": 1348.0, \"sampling_eps\": 1e-05, "
      "\"correct_steps\": 1, "
      SCORE "}" },
    { "ScoreSdeVpScheduler", BRUME_PROCESS_VP,
      "{\"num_train_timesteps\": 2000, \"beta_min\": 0.1, \"beta_max\": 20, \"sampling_eps\": 0.001, " SCORE "}" },
    { "ScoreSdeSubVpScheduler", BRUME_PROCESS_SUBVP,
      "{\"num_train_timesteps\": 2000, \"beta_min\": 0.1, \"beta_max\": 20, \"sampling_eps\": 0.001, " SCORE "}" },
    { "NCSNScheduler", BRUME_PROCESS_NCSN, "{\"num_train_timesteps\": 10, \"sigma_min\": 0.01, \"sigma_max\": 1.0, " SCORE "}" },
};
enum { N_ROWS = sizeof rows / sizeof *rows };

const struct brume_scheduler_class brume_scheduler_class_unknown = {
    NULL, BRUME_PROCESS_DISCRETE,
    "{" DDPM_BETAS "\"variance_type\": \"fixed_small\", " EPSILON CLIP("true") "\"set_alpha_to_one\": true, " THRESHOLD
    SPACING("leading") RESCALE "}",
};

const struct brume_scheduler_class *brume_scheduler_class_row(int i) { return i >= 0 && i < N_ROWS ? &rows[i] : NULL; }

const struct brume_scheduler_class *brume_scheduler_class_find(const char *name)
{
    for (int i = 0; i < N_ROWS; i++)
        if (!strcmp(rows[i].name, name)) return &rows[i];
    return NULL;
}

const char *brume_scheduler_class_name(int i) { return i >= 0 && i < N_ROWS ? rows[i].name : NULL; }

const struct brume_scheduler_class *brume_scheduler_class_or_unknown(const char *name)
{
    const struct brume_scheduler_class *class = brume_scheduler_class_find(name);
    return class ? class : &brume_scheduler_class_unknown;
}

brume_status brume_scheduler_class_defaults(const struct brume_scheduler_class *class, brume_json **out)
{
    return brume_json_parse(class->defaults, strlen(class->defaults), class->name ? class->name : "DDPMScheduler", out);
}
