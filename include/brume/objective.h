/* SPDX-License-Identifier: MIT
 * Training objectives: which noise levels an example gets, what the network shall predict, how its error is weighed, and the loss
 * as a graph. All scalars are computed on the host in double, one row of coefficients per example, so that every process trains
 * alike. */
#ifndef BRUME_OBJECTIVE_H
#define BRUME_OBJECTIVE_H

#include "brume/api.h"
#include "brume/graph.h"
#include "brume/process.h"

BRUME_API_BEGIN

/** What a network learns to predict of x = a x0 + s eps: brume_objective_row(i) until NULL. */
typedef struct brume_objective_kind {
    const char *name;      /**< "eps", "x0", "v", "score", "flow", "edm" */
    const char *paper;     /**< paper and equation */
    const char *what;      /**< target and loss in one line */
    brume_prediction prediction; /**< what the network then predicts */
} brume_objective_kind;
const brume_objective_kind *brume_objective_row(int i);
/** NULL if there is none of that name. */
const brume_objective_kind *brume_objective_find(const char *name);
const brume_objective_kind *brume_objective_of(brume_prediction p);

struct brume_weighting_point; /* see objective.c */

/** How the error at a noise level is weighed: brume_weighting_row(i) until NULL. SNR = a^2 / s^2. */
typedef struct brume_weighting_kind {
    const char *name;      /**< "simple", "min-snr", ... */
    const char *paper;     /**< where it comes from */
    const char *what;      /**< the weight of the squared error of x0 (simple: of the prediction itself) */
    unsigned processes;    /**< bit set of 1 << brume_process_kind that it is defined for */
    double (*of_x0)(const struct brume_weighting_point *at); /**< NULL: 1 on the prediction's own error (score: s^2) */
} brume_weighting_kind;
const brume_weighting_kind *brume_weighting_row(int i);
const brume_weighting_kind *brume_weighting_find(const char *name);

/** How the times of examples are drawn: names and sources in brume_time_sampling_row(). */
typedef enum brume_time_sampling { BRUME_TIMES_DEFAULT = 0, BRUME_TIMES_UNIFORM, BRUME_TIMES_STRATIFIED,
                                   BRUME_TIMES_LOSS_SECOND_MOMENT,
                                   BRUME_TIMES_LOGIT_NORMAL, BRUME_TIMES_LOGNORMAL } brume_time_sampling;
/** A way to draw times as a row. */
typedef struct brume_time_sampling_kind {
    const char *name, *paper, *what; /**< for --times, where it comes from, and how it draws */
    brume_time_sampling value; /**< the row's value */
} brume_time_sampling_kind;
const brume_time_sampling_kind *brume_time_sampling_row(int i);
const brume_time_sampling_kind *brume_time_sampling_find(const char *name);
/** What BRUME_TIMES_DEFAULT means: lognormal for EDM, else uniform. */
brume_time_sampling brume_time_sampling_default(brume_process_kind k);

/**
 * Terms of the variational bound in the loss (Nichol & Dhariwal 2021, eqs. 15-16): none; hybrid, for learned variances: the
 * weighted error + T / 1000 times the term in bits/dim, which trains the variance only; vlb: T times the term alone, which is the
 * bound's sum.
 */
typedef enum brume_bound { BRUME_BOUND_NONE = 0, BRUME_BOUND_HYBRID, BRUME_BOUND_VLB } brume_bound;
/** "none", "hybrid", "vlb". */
const char *brume_bound_name(brume_bound b);

/** How a model is trained, beside its scheduler's process, prediction_type and variance_type. */
typedef struct brume_objective {
    const brume_weighting_kind *weighting; /**< NULL: simple */
    double snr_gamma;                      /**< 5: of min-snr */
    double p2_gamma, p2_k;                 /**< 1, 1 */
    brume_bound bound;                     /**< none */
    brume_time_sampling times;             /**< the process' default */
    double time_mean, time_std;            /**< NaN: of the row: 0 and 1 of ln(u / (1 - u)) (logit-normal), -1.2 and 1.2 of ln
                                                sigma (lognormal) */
    double offset_noise;                   /**< 0; eps += offset_noise N(0, 1) per (sample, channel), usually 0.1 */
} brume_objective;
void brume_objective_default(brume_objective *o);

/**
 * Can a model of this scheduler's config be trained so, all of its levels? BRUME_E_ARG says why not: a weighting or bound that
 * the process does not define, a prediction that is undefined at a level (eps where alpha_bar is 0 with a bound), options outside
 * ranges.
 */
brume_status brume_objective_check(const brume_objective *o, const brume_scheduler_config *c, const brume_process *p);

/** Columns of an example's row. */
enum {
    BRUME_COEF_A, BRUME_COEF_S,         /* x = A x0 + S eps is what the network sees */
    BRUME_COEF_X0, BRUME_COEF_EPS,      /* target = X0 x0 + EPS eps */
    BRUME_COEF_WEIGHT,                  /* of the mean squared error */
    BRUME_COEF_BOUND,                   /* of the bound's term; those below are used with a bound only */
    BRUME_COEF_RATIO, BRUME_COEF_RATIO_V, /* ln(variance / posterior variance) = RATIO + RATIO_V v, v the variance channels */
    BRUME_COEF_KL,                      /* squared error of the mean, in posterior variances, = KL (prediction - target)^2 */
    BRUME_COEF_DECODER,                 /* t = 0: mean = x0 + DECODER (prediction - target) */
    BRUME_COEF_LOG_STD,                 /* ln of the posterior's standard deviation (that of t = 1 at t = 0) */
    BRUME_COEF_FIRST,                   /* 1 at t = 0, else 0 */
    BRUME_COEF_COUNT
};

/**
 * Row of an example at the process' own time u (see brume/process.h), and the time t that the network takes. importance: factor
 * of the weights, 1 / (T p) of unevenly drawn times.
 */
void brume_objective_example(const brume_objective *o, const brume_scheduler_config *c, const brume_process *p, double u,
                             double importance, float coef[BRUME_COEF_COUNT], float *t);

/* ---- the loss as a graph --------------------------------------------------------------------------------------------------- */

/** Unit normal noise of the given shape (N, ..., C): brume_normal() of BRUME_STREAM_TRAIN_NOISE, and of .._OFFSET if offset noise
 * is asked for. */
brume_tensor brume_objective_noise(brume_graph *g, const brume_objective *o, brume_tensor seeds, brume_tensor step,
                                   brume_shape shape);
/** x = a x0 + s eps, what the network is given. coef: (N, BRUME_COEF_COUNT). */
brume_tensor brume_objective_mix(brume_graph *g, brume_tensor x0, brume_tensor eps, brume_tensor coef);

/** Coefficients of one example's loss. */
typedef struct brume_loss {
    brume_tensor target;   /**< (N, ..., C): what the network shall predict */
    brume_tensor loss;     /**< scalar: mean over the samples of weight error [+ bound weight bound] */
    brume_tensor weighted; /**< (N): what that is the mean of */
    brume_tensor error;    /**< (N): mean squared error of the prediction, not weighed */
    brume_tensor bound;    /**< (N): terms of the bound, bits/dim; BRUME_NONE without */
} brume_loss;
/**
 * The loss of a network's output out (N, ..., C), or (N, ..., 2 C) with variance channels v behind the prediction if variance is
 * BRUME_VARIANCE_LEARNED_RANGE: ln variance = w ln beta + (1 - w) ln posterior variance, w = (v + 1) / 2.
 */
brume_loss brume_objective_loss(brume_graph *g, const brume_objective *o, brume_variance variance, brume_tensor x0,
                                brume_tensor eps, brume_tensor coef, brume_tensor out);

/* ---- times of examples ----------------------------------------------------------------------------------------------------- */

/** Draws the times of training examples. */
typedef struct brume_time_sampler brume_time_sampler;

/** For o->times. BRUME_E_ARG: loss-second-moment needs a process of numbered levels (discrete, NCSN). p must outlive it. */
brume_status brume_time_sampler_new(const brume_objective *o, const brume_scheduler_config *c, const brume_process *p,
                                    brume_time_sampler **out);
void brume_time_sampler_free(brume_time_sampler *s);
/**
 * The process' own time of example i of the n of a step: a function of the seeds of step and example, and of what was learnt.
 * *importance: see brume_objective_example().
 */
double brume_time_sampler_draw(brume_time_sampler *s, uint64_t step_seed, uint64_t example_seed, int32_t i, int32_t n,
                               double *importance);
/** The own time at a part of the way from clean to noise, 0 < part <= 1: every time alike, of EDM every ln sigma, however times
 * are drawn in training. */
double brume_time_sampler_at(const brume_time_sampler *s, double part);
/** 1 if brume_time_sampler_learn() is to be told the losses of all examples, without their importance, after each step. */
int brume_time_sampler_learns(const brume_time_sampler *s);
void brume_time_sampler_learn(brume_time_sampler *s, double u, double loss);
/**
 * What was learnt, for checkpoints: *n floats owned by s; NULL if nothing ever is. After writing there call
 * brume_time_sampler_restored(): BRUME_E_FORMAT for what cannot have been learnt, then s must not be used on.
 */
float *brume_time_sampler_state(brume_time_sampler *s, int64_t *n);
brume_status brume_time_sampler_restored(brume_time_sampler *s);

BRUME_API_END

#endif
