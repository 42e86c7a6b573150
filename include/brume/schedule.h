/* SPDX-License-Identifier: MIT
 * Noise schedules: beta, alpha_bar and what follows from them, in double; and the scheduler_config.json that names one.
 *
 * Time is t = 0 .. T-1; alpha_bar[t] is the product of 1 - beta up to and including t; x_t = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps. */
#ifndef BRUME_SCHEDULE_H
#define BRUME_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "brume/json.h"
#include "brume/status.h"

/** What the network predicts (diffusion literature: eps, x0, v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x0). */
typedef enum brume_prediction { BRUME_PREDICT_EPS = 0, BRUME_PREDICT_X0, BRUME_PREDICT_V } brume_prediction;

/** Which of T time steps n sampling steps visit: diffusers' names. */
typedef enum brume_spacing { BRUME_SPACING_LEADING = 0, BRUME_SPACING_LINSPACE, BRUME_SPACING_TRAILING } brume_spacing;

/** Variance of an ancestral step: posterior variance, beta, or predicted by the network (2 C output channels). */
typedef enum brume_variance { BRUME_VARIANCE_FIXED_SMALL = 0, BRUME_VARIANCE_FIXED_LARGE, BRUME_VARIANCE_LEARNED_RANGE,
                              BRUME_VARIANCE_LEARNED } brume_variance;

/** Keys of scheduler_config.json under their own names; defaults are those of diffusers' DDPMScheduler, and of DDIMScheduler
 * for the keys that only it has. */
typedef struct brume_scheduler_config {
    char class_name[64];          /**< "DDPMScheduler"; says which sampler the model asks for */
    int32_t num_train_timesteps;  /**< 1000 = T */
    double beta_start, beta_end;  /**< 1e-4, 0.02 */
    char beta_schedule[32];       /**< "linear": a row of brume_schedule_row() */
    double *trained_betas;        /**< NULL, or T values that override all of the above; owned: brume_scheduler_config_clear() */
    brume_prediction prediction_type;   /**< eps: "epsilon", "sample", "v_prediction" in the file */
    brume_variance variance_type;       /**< fixed_small */
    bool clip_sample;             /**< true: predicted x0 is clamped to +- clip_sample_range */
    double clip_sample_range;     /**< 1 */
    bool thresholding;            /**< false; true: dynamic thresholding (Saharia et al. 2022) */
    double dynamic_thresholding_ratio, sample_max_value; /**< 0.995, 1 */
    bool set_alpha_to_one;        /**< true; false: alpha_bar before the first time step is alpha_bar[0] (DDIM) */
    int32_t steps_offset;         /**< 0; added to every time of leading spacing */
    brume_spacing timestep_spacing;     /**< leading */
    bool rescale_betas_zero_snr;  /**< false; true: alpha_bar[T-1] = 0 (Lin et al. 2023) */
} brume_scheduler_config;

/** Fills the defaults. Anything the struct owned before is not freed. */
void brume_scheduler_config_default(brume_scheduler_config *c);
/** Frees what the config owns and fills the defaults; on a config that was never filled the behaviour is undefined. */
void brume_scheduler_config_clear(brume_scheduler_config *c);
/** dst becomes a copy of its own; dst must hold nothing. BRUME_E_MEMORY. */
brume_status brume_scheduler_config_copy(brume_scheduler_config *dst, const brume_scheduler_config *src);

/**
 * Reads scheduler_config.json (any class that shares these keys). note (may be NULL) receives a sentence on keys that were ignored,
 * or "". BRUME_E_FORMAT, BRUME_E_ARG (a value outside its range, named), BRUME_E_UNSUPPORTED (a schedule or variance nobody knows).
 * On failure c owns nothing.
 */
brume_status brume_scheduler_config_parse(const char *text, size_t length, const char *where, brume_scheduler_config *c, char note[512]);
brume_status brume_scheduler_config_from_json(const brume_json *object, brume_scheduler_config *c, char note[512]);
brume_status brume_scheduler_config_read(const char *path, brume_scheduler_config *c, char note[512]);
/** Writes every key that the class knows. The file is whole or, on failure, untouched. */
brume_status brume_scheduler_config_write(const char *path, const brume_scheduler_config *c);

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

typedef struct brume_schedule {
    int32_t T;
    double *beta;          /**< T values */
    double *log_alpha_bar; /**< T values: sum of log1p(-beta); -inf where alpha_bar is 0 */
} brume_schedule;

/** Tables of a config, T >= 1 of any length. BRUME_E_ARG, BRUME_E_MEMORY. Freed with brume_schedule_free(); NULL is fine there. */
brume_status brume_schedule_new(const brume_scheduler_config *c, brume_schedule **out);
void brume_schedule_free(brume_schedule *s);

/** At t = 0 .. T-1, and at t = -1, "before the chain", where alpha_bar = 1. t outside is clamped. None cancels: 1 - alpha_bar = -expm1(log). */
double brume_alpha_bar(const brume_schedule *s, int32_t t);
double brume_one_minus_alpha_bar(const brume_schedule *s, int32_t t);
double brume_sigma(const brume_schedule *s, int32_t t);   /**< sqrt((1 - alpha_bar) / alpha_bar); inf where alpha_bar = 0 */
double brume_logsnr(const brume_schedule *s, int32_t t);  /**< ln(alpha_bar / (1 - alpha_bar)); lambda is half of it */

/**
 * Times of n sampling steps in descending order into t[0 .. n-1] (1 <= n <= T, else BRUME_E_ARG).
 * leading: floor(T / n) i + steps_offset; linspace: round(linspace(0, T-1, n)); trailing: round(T - i T / n) - 1; halves to even.
 */
brume_status brume_schedule_timesteps(const brume_scheduler_config *c, int32_t n, double *t);

#endif
