/* SPDX-License-Identifier: MIT
 * Noise processes: x = a x0 + s eps at every time, for discrete schedules, NCSN ladders, SDEs, EDM and flow matching, in double.
 *
 * A process has its own time u: discrete 0 .. T-1 (may be fractional: ln sigma is linear between table entries); NCSN the level 0
 * .. L-1, the largest sigma first; VP, sub-VP and VE SDEs t in [0, 1]; EDM sigma itself; flow sigma in [0, 1]. */
#ifndef BRUME_PROCESS_H
#define BRUME_PROCESS_H

#include "brume/api.h"
#include "brume/schedule.h"

BRUME_API_BEGIN

/** How noisy the input of a network is: x = a x0 + s eps. */
typedef struct brume_level {
    double t;      /**< time as the network takes it: u (discrete), sigma (VE, NCSN), 999 u (VP, sub-VP), ln(sigma) / 4 (EDM), T
                        sigma (flow) */
    double a, s;   /**< of the network's input; EDM: c_in and c_in sigma */
    int32_t call;  /**< number of the network call within a sampling run, from 0 */
} brume_level;

/** A noise process with its tables, made of a scheduler's config. */
typedef struct brume_process brume_process;

/** From a scheduler's config, which is read during the call only. BRUME_E_ARG, BRUME_E_MEMORY. */
brume_status brume_process_new(const brume_scheduler_config *c, brume_process **out);
void brume_process_free(brume_process *p);
brume_process_kind brume_process_get_kind(const brume_process *p);
/** "discrete", "flow", "edm", "ncsn", "vp", "subvp", "ve". */
const char *brume_process_kind_name(brume_process_kind k);
/** The discrete schedule; NULL of other processes. Owned by p. */
const brume_schedule *brume_process_schedule(const brume_process *p);

/** The level at the process' own time u; ends are clamped. */
brume_level brume_process_level(const brume_process *p, double u);
/** The level at a part of the way: 0 the clean image (a = 1, s = 0), 1 the noisiest; between, equal steps of the process' own
 * time (EDM: of ln sigma). */
brume_level brume_process_along(const brume_process *p, double part);
/** The level whose noise-to-signal ratio s / a is sigma; sigma is clamped to the process' range for the time only. */
brume_level brume_process_level_of_sigma(const brume_process *p, double sigma);
/** The process' own time u where s / a = sigma; clamped. */
double brume_process_time_of_sigma(const brume_process *p, double sigma);
/** Smallest and largest s / a: of a discrete table (where alpha_bar is 0: that of 2^-24, 4096), at an SDE's ends, at sigma = 1/T
 * and 1 - 1/T (flow). */
void brume_process_sigma_range(const brume_process *p, double *lo, double *hi);
/** Standard deviation of the prior of x: sigma_max of NCSN, VE and EDM (whose state is x0 + sigma eps), else 1. */
double brume_process_prior_std(const brume_process *p);

/**
 * dx = drift x dt + diffusion dw at time u in [0, 1] (Song et al. 2021, eqs. 9 and 11, app. B-C). Discrete schedules count as the
 * VP SDE whose log alpha is piecewise linear, times (i + 1) / T. Returns 0 for processes that are no such SDE.
 */
int brume_process_sde(const brume_process *p, double u, double *drift, double *diffusion);
/** The level at time u in [0, 1] of that SDE. NCSN: a VE SDE whose sigma grows from the ladder's smallest to its largest
 * level. */
brume_level brume_process_sde_level(const brume_process *p, double u);
/**
 * beta of the VP and sub-VP SDEs cut in n steps, at time u: entry floor(u (n - 1)) of n equal steps from beta_min / n to beta_max
 * / n (Song et al. 2021, app. B); it must be below 1, so n above beta_max. NaN of other processes.
 */
double brume_process_discrete_beta(const brume_process *p, double u, int32_t n);
/** Time in [0, 1] at which the VP SDE with linear beta has ln(a / s) = lambda (Lu et al. 2022a, app. D.4). */
double brume_vp_time_of_lambda(double lambda, double beta_min, double beta_max);

/** x0 = *cx x + *cm m of a prediction m at a level, and eps likewise (literature: table of parameterisations). Not finite where
 * undefined. */
void brume_prediction_x0(brume_prediction p, const brume_level *l, double *cx, double *cm);
void brume_prediction_eps(brume_prediction p, const brume_level *l, double *cx, double *cm);
/** The other way: prediction m = *c0 x0 + *ce eps. */
void brume_prediction_of(brume_prediction p, const brume_level *l, double *c0, double *ce);
/** "epsilon", "sample", "v_prediction", "score", "flow_prediction", "edm". */
const char *brume_prediction_name(brume_prediction p);

/** Preconditioning D(y) = c_skip y + c_out F(c_in y, c_noise) (Karras et al. 2022, table 1, EDM column) and the loss weight
 * lambda. */
typedef struct brume_edm_coef {
    double c_skip, c_out; /**< of x and of F in the denoised image */
    double c_in, c_noise; /**< of the network's input, and what it is told of the noise */
    double weight;        /**< of the loss */
} brume_edm_coef;
brume_edm_coef brume_edm_precondition(double sigma, double sigma_data);

BRUME_API_END

#endif
