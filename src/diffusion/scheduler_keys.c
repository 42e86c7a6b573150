/* SPDX-License-Identifier: MIT
 * The table of keys of scheduler_config.json. */
#include "diffusion/scheduler_keys.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "diffusion/solver_coef.h"

static const struct brume_key_word predictions[] = {
    { "epsilon", BRUME_PREDICT_EPS }, { "sample", BRUME_PREDICT_X0 }, { "v_prediction", BRUME_PREDICT_V },
    { "score", BRUME_PREDICT_SCORE }, { "flow_prediction", BRUME_PREDICT_FLOW }, { 0 }
};
/* diffusers' EDM classes call the preconditioned F "epsilon"; their "v_prediction" is F with the opposite sign, which brume does
 * not have */
static const struct brume_key_word edm_predictions[] = {
    { "epsilon", BRUME_PREDICT_EDM }, { "edm", BRUME_PREDICT_EDM }, { "sample", BRUME_PREDICT_X0 },
    { "score", BRUME_PREDICT_SCORE }, { "flow_prediction", BRUME_PREDICT_FLOW }, { "plain_epsilon", BRUME_PREDICT_EPS },
    { "plain_v", BRUME_PREDICT_V }, { 0 }
};
static const struct brume_key_word variances[] = {
    { "fixed_small", BRUME_VARIANCE_FIXED_SMALL }, { "fixed_small_log", BRUME_VARIANCE_FIXED_SMALL },
    { "fixed_large", BRUME_VARIANCE_FIXED_LARGE }, { "learned_range", BRUME_VARIANCE_LEARNED_RANGE },
    { "learned", BRUME_VARIANCE_LEARNED }, { 0 }
};
static const struct brume_key_word spacings[] = {
    { "leading", BRUME_SPACING_LEADING }, { "linspace", BRUME_SPACING_LINSPACE }, { "trailing", BRUME_SPACING_TRAILING }, { 0 }
};
static const struct brume_key_word ends[] = {
    { "zero", BRUME_FINAL_ZERO }, { "sigma_min", BRUME_FINAL_SIGMA_MIN }, { 0 }
};
static const struct brume_key_word algorithms[] = {
    { "dpmsolver++", BRUME_DPMSOLVERPP }, { "dpmsolver", BRUME_DPMSOLVER }, { "sde-dpmsolver++", BRUME_SDE_DPMSOLVERPP }, { 0 }
};
/* As in diffusers, a solver type of another family means the plain one of this. */
static const struct brume_key_word solvers[] = {
    { "midpoint", BRUME_SOLVER_MIDPOINT }, { "heun", BRUME_SOLVER_HEUN }, { "bh1", BRUME_SOLVER_MIDPOINT },
    { "bh2", BRUME_SOLVER_MIDPOINT }, { "logrho", BRUME_SOLVER_MIDPOINT }, { 0 }
};
/* DEIS in log rho is the multistep DPM-Solver whose polynomial in lambda is integrated exactly. */
static const struct brume_key_word deis_algorithms[] = {
    { "deis", BRUME_DPMSOLVER }, { "dpmsolver", BRUME_DPMSOLVER }, { "dpmsolver++", BRUME_DPMSOLVER }, { 0 }
};
static const struct brume_key_word deis_solvers[] = {
    { "logrho", BRUME_SOLVER_HEUN }, { "midpoint", BRUME_SOLVER_HEUN }, { "heun", BRUME_SOLVER_HEUN },
    { "bh1", BRUME_SOLVER_HEUN }, { "bh2", BRUME_SOLVER_HEUN }, { 0 }
};
static const struct brume_key_word unipc_solvers[] = {
    { "bh2", BRUME_SOLVER_BH2 }, { "bh1", BRUME_SOLVER_BH1 }, { "midpoint", BRUME_SOLVER_BH2 }, { "heun", BRUME_SOLVER_BH2 },
    { "logrho", BRUME_SOLVER_BH2 }, { 0 }
};
static const struct brume_key_word sigma_schedules[] = {
    { "karras", BRUME_SIGMAS_KARRAS }, { "exponential", BRUME_SIGMAS_EXPONENTIAL },
    { "polyexponential", BRUME_SIGMAS_POLYEXPONENTIAL }, { "vp", BRUME_SIGMAS_VP }, { "geometric", BRUME_SIGMAS_GEOMETRIC },
    { 0 }
};
static const struct brume_key_word interpolations[] = {
    { "linear", false }, { "log_linear", true }, { 0 }
};
static const struct brume_key_word time_shifts[] = {
    { "exponential", false }, { "linear", true }, { 0 }
};

enum { DISCRETE = 1 << BRUME_PROCESS_DISCRETE, LADDER = 1 << BRUME_PROCESS_EDM | 1 << BRUME_PROCESS_NCSN | 1 << BRUME_PROCESS_VE,
       BETA_SDE = 1 << BRUME_PROCESS_VP | 1 << BRUME_PROCESS_SUBVP, ANY_MODEL = 0x7f };

#define AT(field) .at = offsetof(brume_scheduler_config, field)
static const struct brume_scheduler_key keys[] = {
    { "num_train_timesteps", KEY_INTEGER, AT(num_train_timesteps), 1, 10000000, .model = ANY_MODEL },
    { "beta_start", KEY_REAL, AT(beta_start), 0, 1, .model = DISCRETE },
    { "beta_end", KEY_REAL, AT(beta_end), 0, 1, .model = DISCRETE },
    { "trained_betas", KEY_BETAS, .model = DISCRETE },
    { "beta_schedule", KEY_SCHEDULE, .model = DISCRETE },
    { "rescale_betas_zero_snr", KEY_FLAG, AT(rescale_betas_zero_snr), .model = DISCRETE },
    { "prediction_type", KEY_WORD, AT(prediction_type), .words = edm_predictions, .only = "EDM", .model = ANY_MODEL },
    { "prediction_type", KEY_WORD, AT(prediction_type), .words = predictions, .model = ANY_MODEL },
    { "variance_type", KEY_WORD, AT(variance_type), .words = variances, .model = ANY_MODEL },
    { "beta_min", KEY_REAL, AT(beta_min), 0, FLT_MAX, .model = BETA_SDE },
    { "beta_max", KEY_REAL, AT(beta_max), 0, FLT_MAX, .model = BETA_SDE },
    { "sigma_min", KEY_NULLABLE, AT(sigma_min), FLT_MIN, FLT_MAX, .model = LADDER },
    { "sigma_max", KEY_NULLABLE, AT(sigma_max), FLT_MIN, FLT_MAX, .model = LADDER },
    { "sigma_data", KEY_REAL, AT(sigma_data), FLT_MIN, FLT_MAX, .model = 1 << BRUME_PROCESS_EDM },
    { "clip_sample", KEY_FLAG, AT(clip_sample) },
    { "clip_sample_range", KEY_REAL, AT(clip_sample_range), DBL_MIN, FLT_MAX },
    { "thresholding", KEY_FLAG, AT(thresholding) },
    { "dynamic_thresholding_ratio", KEY_REAL, AT(dynamic_thresholding_ratio), 0, 1 },
    { "sample_max_value", KEY_REAL, AT(sample_max_value), 1, FLT_MAX },
    { "set_alpha_to_one", KEY_FLAG, AT(set_alpha_to_one) },
    { "steps_offset", KEY_INTEGER, AT(steps_offset), 0, INT_MAX / 2 },
    { "timestep_spacing", KEY_WORD, AT(timestep_spacing), .words = spacings },
    { "use_karras_sigmas", KEY_SIGMAS, .sigmas = BRUME_SIGMAS_KARRAS },
    { "use_exponential_sigmas", KEY_SIGMAS, .sigmas = BRUME_SIGMAS_EXPONENTIAL },
    { "use_lu_lambdas", KEY_SIGMAS, .sigmas = BRUME_SIGMAS_LU },
    { "sigma_schedule", KEY_WORD, AT(sigmas), .words = sigma_schedules },
    { "rho", KEY_REAL, AT(rho), 1e-3, 1e3 },
    { "final_sigmas_type", KEY_WORD, AT(final_sigmas_type), .words = ends },
    { "interpolation_type", KEY_WORD_FLAG, AT(interpolation_log_linear), .words = interpolations },
    { "algorithm_type", KEY_WORD, AT(algorithm_type), .words = deis_algorithms, .only = "DEIS" },
    { "algorithm_type", KEY_WORD, AT(algorithm_type), .words = algorithms },
    { "solver_type", KEY_WORD, AT(solver_type), .words = unipc_solvers, .only = "UniPC" },
    { "solver_type", KEY_WORD, AT(solver_type), .words = deis_solvers, .only = "DEIS" },
    { "solver_type", KEY_WORD, AT(solver_type), .words = solvers },
    { "exact_third_order", KEY_FLAG, AT(exact_third_order) },
    { "solver_order", KEY_INTEGER, AT(solver_order), 1, BRUME_SOLVER_MAX_ORDER, .only = "UniPC" },
    { "solver_order", KEY_INTEGER, AT(solver_order), 1, 3 },
    { "lower_order_final", KEY_FLAG, AT(lower_order_final) },
    { "euler_at_final", KEY_FLAG, AT(euler_at_final) },
    { "lambda_min_clipped", KEY_REAL, AT(lambda_min_clipped), -INFINITY, FLT_MAX },
    { .name = "disable_corrector", .type = KEY_STEPS },
    { "skip_prk_steps", KEY_FLAG, AT(skip_prk_steps) },
    { "original_inference_steps", KEY_INTEGER, AT(original_inference_steps), 1, 10000000 },
    { "timestep_scaling", KEY_REAL, AT(timestep_scaling), 0, FLT_MAX },
    { "shift", KEY_REAL, AT(shift), FLT_MIN, FLT_MAX, .model = 1 << BRUME_PROCESS_FLOW },
    { "use_flow_sigmas", KEY_FLAG, AT(use_flow_sigmas) },
    { "flow_shift", KEY_REAL, AT(shift), FLT_MIN, FLT_MAX },
    { "use_dynamic_shifting", KEY_FLAG, AT(use_dynamic_shifting), .only = "FlowMatch" },
    { "time_shift_type", KEY_WORD_FLAG, AT(linear_time_shift), .words = time_shifts, .only = "FlowMatch" },
    { "shift_terminal", KEY_NULLABLE, AT(shift_terminal), 0, 1 - DBL_EPSILON, .only = "FlowMatch" },
    { "stochastic_sampling", KEY_FLAG, AT(stochastic_sampling) },
    { "snr", KEY_REAL, AT(snr), FLT_MIN, FLT_MAX },
    { "correct_steps", KEY_INTEGER, AT(correct_steps), 0, 1000000 },
    { "sampling_eps", KEY_REAL, AT(sampling_eps), 1e-12, 0.999, .model = BETA_SDE | 1 << BRUME_PROCESS_VE },
    { .name = "use_beta_sigmas", .type = KEY_FIXED },
    { .name = "use_dynamic_shifting", .type = KEY_FIXED },
    { .name = "timestep_type", .type = KEY_FIXED },
    { .name = "invert_sigmas", .type = KEY_FIXED },
    { .name = "predict_x0", .type = KEY_FIXED },
    { .name = "solver_p", .type = KEY_FIXED },
    { .name = "time_shift_type", .type = KEY_WITHOUT },
    { .name = "shift_terminal", .type = KEY_WITHOUT },
    { .name = "base_shift", .type = KEY_WITHOUT },  /* of these, callers of diffusers make mu */
    { .name = "max_shift", .type = KEY_WITHOUT },
    { .name = "base_image_seq_len", .type = KEY_WITHOUT },
    { .name = "max_image_seq_len", .type = KEY_WITHOUT },
    { .name = "eta", .type = KEY_WITHOUT },         /* RePaintScheduler; brume's sampler draws with the posterior variance of the
                                                       paper */
};

const struct brume_scheduler_key *brume_scheduler_key_row(int i)
{
    return i < (int)(sizeof keys / sizeof *keys) ? &keys[i] : NULL;
}

const struct brume_scheduler_key *brume_scheduler_key_find(const char *name, const char *class_name)
{
    const struct brume_scheduler_key *k;
    for (int i = 0; (k = brume_scheduler_key_row(i)); i++)
        if (!strcmp(k->name, name) && (!k->only || !strncmp(k->only, class_name, strlen(k->only)))) return k;
    return NULL;
}

size_t brume_scheduler_key_size(const struct brume_scheduler_key *k)
{
    switch (k->type) {
    case KEY_FLAG: case KEY_WORD_FLAG: return sizeof(bool);
    case KEY_REAL: case KEY_NULLABLE: return sizeof(double);
    default: return sizeof(int32_t);
    }
}

const brume_scheduler_config brume_scheduler_unset = {
    .class_name = "DDPMScheduler", .num_train_timesteps = 1000, .beta_start = 1e-4, .beta_end = 0.02, .beta_schedule = "linear",
    .beta_min = 0.1, .beta_max = 20, .sigma_min = NAN, .sigma_max = NAN, .sigma_data = 0.5, .clip_sample_range = 1,
    .dynamic_thresholding_ratio = 0.995, .sample_max_value = 1, .set_alpha_to_one = true, .rho = 7, .solver_order = 2,
    .lower_order_final = true, .lambda_min_clipped = -INFINITY, .original_inference_steps = 50, .timestep_scaling = 10,
    .shift = 1, .shift_terminal = NAN, .snr = 0.16, .correct_steps = 1, .sampling_eps = 1e-3,
};
