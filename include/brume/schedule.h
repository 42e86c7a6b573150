/* SPDX-License-Identifier: MIT
 * Noise schedules: beta, alpha_bar and what follows from them, in double; and the scheduler_config.json that names one.
 *
 * Time is t = 0 .. T-1; alpha_bar[t] is the product of 1 - beta up to and including t; x_t = sqrt(alpha_bar) x0 + sqrt(1 -
 * alpha_bar) eps. */
#ifndef BRUME_SCHEDULE_H
#define BRUME_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "brume/api.h"
#include "brume/json.h"
#include "brume/status.h"

BRUME_API_BEGIN

/**
 * What the network predicts of x = a x0 + s eps: eps, x0, v = a eps - s x0 (Salimans & Ho 2022), score = -eps / s (Song et al.
 * 2021), flow u = eps - x0 (Lipman et al. 2022), or F of a preconditioned denoiser (Karras et al. 2022, eq. 7).
 */
typedef enum brume_prediction { BRUME_PREDICT_EPS = 0, BRUME_PREDICT_X0, BRUME_PREDICT_V, BRUME_PREDICT_SCORE, BRUME_PREDICT_FLOW,
                                BRUME_PREDICT_EDM } brume_prediction;

/** Which of T time steps n sampling steps visit: diffusers' names. */
typedef enum brume_spacing { BRUME_SPACING_LEADING = 0, BRUME_SPACING_LINSPACE, BRUME_SPACING_TRAILING } brume_spacing;

/** Variance of an ancestral step: posterior variance, beta, or predicted by the network (2 C output channels). */
typedef enum brume_variance { BRUME_VARIANCE_FIXED_SMALL = 0, BRUME_VARIANCE_FIXED_LARGE, BRUME_VARIANCE_LEARNED_RANGE,
                              BRUME_VARIANCE_LEARNED } brume_variance;

/** How noise grows with time; see brume/process.h. */
typedef enum brume_process_kind { BRUME_PROCESS_DISCRETE = 0, BRUME_PROCESS_FLOW, BRUME_PROCESS_EDM,
                                  BRUME_PROCESS_NCSN, BRUME_PROCESS_VP,
                                  BRUME_PROCESS_SUBVP, BRUME_PROCESS_VE } brume_process_kind;

/** Noise levels between the largest and the smallest (Karras et al. 2022, eq. 5 and table 1; k-diffusion). */
typedef enum brume_sigmas { BRUME_SIGMAS_TABLE = 0 /* those of the times */, BRUME_SIGMAS_KARRAS,
                            BRUME_SIGMAS_EXPONENTIAL, BRUME_SIGMAS_LU,
                            BRUME_SIGMAS_POLYEXPONENTIAL, BRUME_SIGMAS_VP, BRUME_SIGMAS_GEOMETRIC } brume_sigmas;

/** Noise that the last step of a sampler ends at: none, or that of the first time step. */
typedef enum brume_final_sigma { BRUME_FINAL_ZERO = 0, BRUME_FINAL_SIGMA_MIN } brume_final_sigma;
/** What multistep solvers integrate: the x0 form (DPM-Solver++), the eps form (DPM-Solver), or the x0 form of the SDE. */
typedef enum brume_algorithm { BRUME_DPMSOLVERPP = 0, BRUME_DPMSOLVER, BRUME_SDE_DPMSOLVERPP } brume_algorithm;
/** How solvers of order 2 take the slope between two times: DPM-Solver's midpoint or Heun, UniPC's B(h) = h or e^h - 1. */
typedef enum brume_solver_type { BRUME_SOLVER_MIDPOINT = 0, BRUME_SOLVER_HEUN, BRUME_SOLVER_BH1,
                                 BRUME_SOLVER_BH2 } brume_solver_type;

enum { BRUME_CORRECTOR_STEPS = 64 }; /**< steps that disable_corrector can name */

/**
 * Keys of scheduler_config.json under their own names; every class has its own defaults (brume_scheduler_config_class()). What
 * the class does not know keeps a harmless value. The first block describes the model, the others how it is sampled.
 */
typedef struct brume_scheduler_config {
    char class_name[64];          /**< "DDPMScheduler"; says which process and sampler the model asks for */
    brume_process_kind process;   /**< follows from the class */
    int32_t num_train_timesteps;  /**< 1000 = T; number of levels L of an NCSN ladder */
    double beta_start, beta_end;  /**< 1e-4, 0.02 */
    char beta_schedule[32];       /**< "linear": a row of brume_schedule_row() */
    double *trained_betas;        /**< NULL, or T values that override all of the above; owned: brume_scheduler_config_clear() */
    bool rescale_betas_zero_snr;  /**< false; true: alpha_bar[T-1] = 0 (Lin et al. 2023) */
    brume_prediction prediction_type;   /**< eps: "epsilon", "sample", "v_prediction", "score", "flow_prediction" in the file */
    brume_variance variance_type;       /**< fixed_small */
    double beta_min, beta_max;    /**< 0.1, 20: VP and sub-VP SDE */
    double sigma_min, sigma_max;  /**< VE, NCSN, EDM: ends of the noise; discrete: ends of karras and exponential grids, NaN = of
                                       the schedule */
    double sigma_data;            /**< 0.5: standard deviation of the data (EDM) */

    bool clip_sample;             /**< true: predicted x0 is clamped to +- clip_sample_range */
    double clip_sample_range;     /**< 1 */
    bool thresholding;            /**< false; true: dynamic thresholding (Saharia et al. 2022) */
    double dynamic_thresholding_ratio, sample_max_value; /**< 0.995, 1 */
    bool set_alpha_to_one;        /**< true; false: alpha_bar before the first time step is alpha_bar[0] (DDIM) */
    int32_t steps_offset;         /**< 0; added to every time of leading spacing */
    brume_spacing timestep_spacing;     /**< leading */

    brume_sigmas sigmas;          /**< use_karras_sigmas, use_exponential_sigmas, use_lu_lambdas; or sigma_schedule (EDM) */
    double rho;                   /**< 7 */
    brume_final_sigma final_sigmas_type; /**< zero */
    bool interpolation_log_linear;       /**< Euler's interpolation_type "log_linear" */
    brume_algorithm algorithm_type;      /**< dpmsolver++ */
    brume_solver_type solver_type;       /**< midpoint; bh2 of UniPC */
    int32_t solver_order;         /**< 2 */
    bool lower_order_final, euler_at_final; /**< the last steps are of lower order; the last step is Euler's */
    bool exact_third_order;       /**< false; true: the coefficient of the second difference in DPM-Solver++ 3M that makes it
                                       third order */
    double lambda_min_clipped;    /**< -inf */
    int32_t disable_corrector[BRUME_CORRECTOR_STEPS], n_disable_corrector; /**< steps without UniPC's corrector */
    bool skip_prk_steps;          /**< false: PNDM starts with Runge-Kutta steps */
    int32_t original_inference_steps; /**< 50 (LCM) */
    double timestep_scaling;      /**< 10 (LCM) */
    double shift;                 /**< 1 (flow) */
    bool use_flow_sigmas;         /**< solvers of diffusers on a flow model; the process is then flow. shift is flow_shift in the
                                       file */
    bool use_dynamic_shifting;    /**< flow: shift by mu, which is given with the run */
    bool linear_time_shift;       /**< false: shift by exp(mu); true: by mu itself (time_shift_type "linear") */
    double shift_terminal;        /**< NaN: none */
    bool stochastic_sampling;     /**< flow */
    double snr;                   /**< 0.15: signal-to-noise ratio of the Langevin corrector (VE) */
    int32_t correct_steps;        /**< 1 */
    double sampling_eps;          /**< smallest time of SDE samplers: 1e-3 VP, 1e-5 VE */
} brume_scheduler_config;

/** Fills c with the defaults of a class. BRUME_E_UNSUPPORTED names an unknown class and lists the known. c must hold nothing.
 * BRUME_E_MEMORY. */
brume_status brume_scheduler_config_class(const char *class_name, brume_scheduler_config *c);
/**
 * dst = the same model as src (process, betas, prediction, variance), sampled as class_name does by default; clipping and
 * thresholding go along where that class knows them, as in diffusers. BRUME_E_ARG if that class is for another process. dst must
 * hold nothing.
 */
brume_status brume_scheduler_config_convert(const brume_scheduler_config *src, const char *class_name,
                                            brume_scheduler_config *dst);
/** Names of the known classes: i = 0, 1, ... until NULL. */
const char *brume_scheduler_class_name(int i);

/** Fills the defaults of DDPMScheduler. Anything the struct owned before is not freed. */
void brume_scheduler_config_default(brume_scheduler_config *c);
/** Frees what the config owns and fills the defaults; on a config that was never filled the behaviour is undefined. */
void brume_scheduler_config_clear(brume_scheduler_config *c);
/** dst becomes a copy of its own; dst must hold nothing. BRUME_E_MEMORY. */
brume_status brume_scheduler_config_copy(brume_scheduler_config *dst, const brume_scheduler_config *src);

/**
 * Reads scheduler_config.json: the defaults of its class, then its keys. A class that is not known is read as DDPMScheduler with
 * the keys it shares. note (may be NULL) receives a sentence on that and on keys that were ignored, or "". BRUME_E_FORMAT
 * (another type, a value outside its range), BRUME_E_UNSUPPORTED (a word nobody knows, or a key whose value asks for what brume
 * cannot do, named). On failure c owns nothing.
 */
brume_status brume_scheduler_config_parse(const char *text, size_t length, const char *where, brume_scheduler_config *c,
                                          char note[512]);
brume_status brume_scheduler_config_from_json(const brume_json *object, brume_scheduler_config *c, char note[512]);
brume_status brume_scheduler_config_read(const char *path, brume_scheduler_config *c, char note[512]);
/**
 * Writes every key that the class knows, and those that describe the model beside them; what is read back is equal. The file is
 * whole or, on failure, untouched.
 */
brume_status brume_scheduler_config_write(const char *path, const brume_scheduler_config *c);
/** The same as an object of a document under construction; name: its key, or NULL for the root. */
brume_status brume_scheduler_config_put(brume_json_writer *w, const char *name, const brume_scheduler_config *c);

/** A schedule as a row: brume_schedule_row(i) for i = 0, 1, ... until NULL. */
typedef struct brume_schedule_kind {
    const char *name;   /**< in beta_schedule and for --schedule */
    const char *alias;  /**< another accepted name, or NULL */
    const char *paper;  /**< who made it, and the formula */
    /** Fills beta[0 .. T-1], T = c->num_train_timesteps. */
    void (*fill)(const brume_scheduler_config *c, double *beta);
} brume_schedule_kind;
const brume_schedule_kind *brume_schedule_row(int i);
/** The row of that name or alias; NULL if none. */
const brume_schedule_kind *brume_schedule_find(const char *name);

/** Tables of a schedule of T discrete times. */
typedef struct brume_schedule {
    int32_t T;             /**< time steps */
    double *beta;          /**< T values */
    double *log_alpha_bar; /**< T values: sum of log1p(-beta); -inf where alpha_bar is 0 */
} brume_schedule;

/** Tables of a config, T >= 1 of any length. BRUME_E_ARG, BRUME_E_MEMORY. Freed with brume_schedule_free(); NULL is fine
 * there. */
brume_status brume_schedule_new(const brume_scheduler_config *c, brume_schedule **out);
void brume_schedule_free(brume_schedule *s);

/** At t = 0 .. T-1, and at t = -1, "before the chain", where alpha_bar = 1. t outside is clamped. None cancels: 1 - alpha_bar =
 * -expm1(log). */
double brume_alpha_bar(const brume_schedule *s, int32_t t);
double brume_one_minus_alpha_bar(const brume_schedule *s, int32_t t);
double brume_sigma(const brume_schedule *s, int32_t t);   /**< sqrt((1 - alpha_bar) / alpha_bar); inf where alpha_bar = 0 */
double brume_logsnr(const brume_schedule *s, int32_t t);  /**< ln(alpha_bar / (1 - alpha_bar)); lambda is half of it */

/** q(x_p | x_t, x0) = N(x0 x0 + x x_t, variance), p < t or p = -1; beta = 1 - alpha_bar[t] / alpha_bar[p] of the stretch (Ho et
 * al. 2020, eqs. 6, 7). */
typedef struct brume_posterior {
    double x0, x;          /**< factors of x0 and x_t in the mean */
    double beta, variance; /**< of the stretch from p to t; of the posterior */
} brume_posterior;
brume_posterior brume_schedule_posterior(const brume_schedule *s, int32_t t, int32_t p);

/** x_p = x0 x0 + eps eps + noise z; noise = eta sqrt((1-P)/(1-A) (1 - A/P)), A = alpha_bar[t], P = alpha_bar[p] (Song et al.
 * 2021, eqs. 12, 16). */
typedef struct brume_ddim_coef {
    double x0, eps, noise; /**< factors of the estimate of x0, of the prediction and of fresh noise */
} brume_ddim_coef;
brume_ddim_coef brume_schedule_ddim(const brume_schedule *s, int32_t t, int32_t p, double eta);

/**
 * Times of n sampling steps in descending order into t[0 .. n-1] (1 <= n <= T, else BRUME_E_ARG).
 * leading: floor(T / n) i + steps_offset; linspace: round(linspace(0, T-1, n)); trailing: round(T - i T / n) - 1; halves to even,
 * where roundings of T / n do not decide (as in diffusers).
 */
brume_status brume_schedule_timesteps(const brume_scheduler_config *c, int32_t n, double *t);
/**
 * Times of a respaced process (improved-diffusion): 0 .. T-1 is cut in n_sections nearly equal parts, and counts[i] times, both
 * ends among them, are taken evenly from part i. Ascending into t (room for the sum of counts), *n of them, without doubles.
 * BRUME_E_ARG.
 */
brume_status brume_schedule_sections(int32_t T, const int32_t *counts, int32_t n_sections, double *t, int32_t *n);
/** improved-diffusion's "ddimN": the times 0, k, 2 k, ... of the first whole stride k that gives n of them below T; BRUME_E_ARG
 * if none does. */
brume_status brume_schedule_strided(int32_t T, int32_t n, double *t);

BRUME_API_END

#endif
