/* SPDX-License-Identifier: MIT
 * Samplers: from noise to images by calling a denoiser. Scalars are computed on the host in double; on the device a step is one
 * linear combination of tensors, where asked a clamp, and unit normal noise from each image's own seed. */
#ifndef BRUME_SAMPLER_H
#define BRUME_SAMPLER_H

#include <stdint.h>

#include "brume/api.h"
#include "brume/device.h"
#include "brume/graph.h"
#include "brume/process.h"
#include "brume/schedule.h"

BRUME_API_BEGIN

/**
 * What a sampler asks: a network, or anything else that predicts. Buffers hold f32 (N, ...) of the shape that the sampler was
 * made for and belong to its device.
 */
typedef struct brume_denoiser {
    void *self; /**< handed to the functions */
    /**
     * out = prediction for the noisy images x = a x0 + s eps at a level. x must be left as it is; out is another buffer.
     * variance: NULL, or receives the variance channels of a network that learned them (see brume_variance), same shape as x.
     */
    brume_status (*predict)(void *self, brume_buffer *x, const brume_level *level, brume_buffer *out, brume_buffer *variance);
    brume_prediction prediction_type; /**< what predict gives */
    int has_variance;  /**< the network predicts variance channels */
    /**
     * NULL, or the product with the Jacobian that likelihoods ask for: out = J^T v, J = d prediction / d x (rows: outputs), for N
     * vectors v, one per image; and m = the prediction itself. x and v must be left as they are; all buffers differ.
     */
    brume_status (*vjp)(void *self, brume_buffer *x, const brume_level *level, brume_buffer *v, brume_buffer *m,
                        brume_buffer *out);
} brume_denoiser;

/** A classifier of noisy images: out = gradient of log p(y | x) with respect to x at a level, y being its own business. */
typedef struct brume_classifier_gradient {
    void *self;        /**< handed to gradient */
    brume_status (*gradient)(void *self, brume_buffer *x, const brume_level *level, brume_buffer *out); /**< see above */
    double scale;      /**< 1: as derived */
} brume_classifier_gradient;

/** Where noise comes from. fill: writes unit normal noise of the sampler's shape; draw counts 0, 1, ... in order of use. */
typedef struct brume_noise_source {
    void *self; /**< handed to fill */
    brume_status (*fill)(void *self, int draw, brume_buffer *out); /**< see above */
} brume_noise_source;

/** Philox streams (see brume_normal) that samplers use with an image's seed: start noise (step 0), and noise of draw k (step
 * k). */
enum { BRUME_STREAM_START = 0x100, BRUME_STREAM_STEP = 0x101 };

/** What brume_sampler_options_default() leaves asks for the row's default. */
typedef struct brume_sampler_options {
    const char *name;                        /**< a row of brume_sampler_row(): "ddpm", "ddim", ... */
    int32_t steps;                           /**< 1 .. T; 0 = the row's default, at most T */
    double eta;                              /**< ddim: 0 deterministic .. 1 ancestral noise; ancestral and SDE solvers: scale of
                                                  the noise */
    int use_clipped_model_output;            /**< ddim: 1: eps is derived again from the clipped x0 */
    const brume_scheduler_config *scheduler; /**< process, spacing, clipping, solver options; read during brume_sampler_new()
                                                  only */
    double strength;                         /**< 0 or 1: from noise; between: from given images, noised to that part of the way
                                                  (SDEdit) */
    const int32_t *sections;                 /**< ddpm, repaint: T cut in n_sections equal parts with that many steps each; NULL:
                                                  by spacing */
    int32_t n_sections;                      /**< 0: sections are not used */
    int32_t order;                           /**< lms: 1 .. 4; 0 = 4 */
    double mu;                               /**< flow: dynamic shift */
    double s_churn, s_min, s_max, s_noise;   /**< edm samplers (Karras et al. 2022, alg. 2): 0, 0, inf, 1; s_max and s_noise 0 =
                                                  default */
    int32_t langevin_steps;                  /**< ald: steps per level; 0 = the row's default */
    double langevin_step;                    /**< ald: step size at the last level; 0 = the row's default */
    int denoise_last;                        /**< ald, pc: one noise-free step in the end; -1 = the row's default */
    double snr;                              /**< Langevin corrector; 0 = the scheduler's */
    int32_t correct_steps;                   /**< corrector steps per predictor step; -1 = the scheduler's */
    const char *predictor, *corrector;       /**< pc: "reverse_diffusion", "euler_maruyama", "ancestral"; "langevin", "ald",
                                                  "none"; NULL = default */
    int probability_flow;                    /**< pc: the ODE instead of the SDE */
    double rtol, atol;                       /**< ode; 0 = 1e-5 */
    int32_t jump_length, jump_n_sample;      /**< repaint; 0 = 10, 10 */
} brume_sampler_options;

/** All defaults, no name and no scheduler. */
void brume_sampler_options_default(brume_sampler_options *o);

/** Which options a sampler looks at. */
typedef enum brume_sampler_flag {
    BRUME_SAMPLER_TAKES_IMAGE = 1,  /**< x is an image on entry, not noise (inversion) */
    BRUME_SAMPLER_OWN_GUIDANCE = 2, /**< uses the classifier's gradient in its own way (mean shift) */
    BRUME_SAMPLER_OWN_MASK = 4,     /**< puts known data in itself */
    BRUME_SAMPLER_NEEDS_MASK = 8,   /**< nothing but inpainting */
    BRUME_SAMPLER_ADAPTIVE = 16,    /**< steps are chosen by the error: the number of calls is not known before */
} brume_sampler_flag;

struct brume_sampling; /* a run in progress: src/diffusion/sampling.h */

typedef struct brume_sampler_kind {
    const char *name;            /**< for --sampler */
    const char *paper;           /**< paper and equation */
    const char *what;            /**< one line: the update, or what it is good for */
    const char *scheduler_class; /**< diffusers' class whose defaults it takes, or NULL */
    const char *edm_class;       /**< the class that means this row for models of the process EDM, or NULL */
    int32_t default_steps;       /**< steps where none are given */
    double default_eta;          /**< eta where none is given */
    unsigned processes;          /**< bit set of 1 << brume_process_kind that it can sample */
    unsigned flags;              /**< brume_sampler_flag */
    int grid, state;             /**< see src/diffusion/sampling.h */
    brume_status (*run)(struct brume_sampling *s); /**< the sampler itself */
    /** Network calls of a run that does n steps; NULL: n. */
    int32_t (*calls)(const brume_scheduler_config *c, const struct brume_sampler_options *o, int32_t n);
    /** Keys that this row sets over the class' defaults (dpmpp_3m: solver_order = 3); NULL: none. */
    void (*adjust)(brume_scheduler_config *c);
} brume_sampler_kind;
/** The i-th sampler; NULL past the end. */
const brume_sampler_kind *brume_sampler_row(int i);
/** By name; '-' counts as '_'. NULL if there is none. */
const brume_sampler_kind *brume_sampler_find(const char *name);
/** The row that a scheduler's class and keys ask for, else the first of its class, else the first that samples its process; NULL
 * if none. */
const brume_sampler_kind *brume_sampler_for_config(const brume_scheduler_config *c);
/**
 * out = how row k samples the model described by a config: the model's own keys, the row's defaults for the rest. The row that
 * the config asks for takes it as it is; rows of the same class, or of another process (whose grid the model's config describes),
 * set their own keys only. out must hold nothing.
 */
brume_status brume_sampler_config(const brume_sampler_kind *k, const brume_scheduler_config *model, brume_scheduler_config *out);

/** A sampler planned for a batch of images on a device. */
typedef struct brume_sampler brume_sampler;

/**
 * Plans for images of shape (N, ...) on device d, which must outlive the sampler. BRUME_E_ARG names an unknown sampler (and those
 * known), an option outside its range, or a process that the sampler is not for; BRUME_E_UNSUPPORTED an option that this sampler
 * cannot follow.
 */
brume_status brume_sampler_new(brume_device *d, const brume_sampler_options *o, brume_shape shape, brume_sampler **out);
void brume_sampler_free(brume_sampler *s);

/** Steps of a run as brume_sampler_options.steps counts them, the default filled in. */
int32_t brume_sampler_steps(const brume_sampler *s);
/** Times of the grid, in order; *n values owned by the sampler (multi-stage samplers ask at times between as well). */
const double *brume_sampler_timesteps(const brume_sampler *s, int32_t *n);
/** s / a of the grid and its end: *n values (one more than times where an end is appended), owned by the sampler. */
const double *brume_sampler_sigmas(const brume_sampler *s, int32_t *n);
/** What unit normal noise is multiplied with at the start of a run. */
double brume_sampler_start_scale(const brume_sampler *s);
/** The sampler's process, owned by it. */
const brume_process *brume_sampler_process(const brume_sampler *s);
/** Network calls of a run; 0 if that is known only afterwards (adaptive steps). */
int32_t brume_sampler_calls(const brume_sampler *s);

/** Unit normal start noise of every image from its seed (host array of N) into x: brume_normal(seeds, step 0,
 * BRUME_STREAM_START). */
brume_status brume_sampler_start(brume_sampler *s, const int64_t *seeds, brume_buffer *x);

/** What an observer sees after a network call and its update. */
typedef struct brume_sampler_event {
    int32_t call, calls;   /**< network calls so far, and in all (0: not known) */
    int32_t step, steps;   /**< steps done, and in all (0: not known) */
    double progress;       /**< 0 .. 1: part of the run that is done */
    int complete;          /**< 0: x is an intermediate stage of a multi-stage step */
    double view_scale;     /**< x times this has unit variance at the noisy end and is x0 at the clean one: for pictures */
    brume_level level;     /**< of the last network call; of event 0: of the start */
    brume_buffer *x;       /**< state; may be read */
    brume_buffer *x0;      /**< x0 estimate of the last call (Tweedie's formula), or NULL before the first; may be read */
} brume_sampler_event;
/** Anything but BRUME_OK ends the run with that status. Called once before the first call with call = 0 and step = 0. */
typedef brume_status brume_sampler_observer(void *ctx, const brume_sampler_event *e);

/** What a run is given. */
typedef struct brume_sampler_input {
    const brume_denoiser *denoiser;              /**< what predicts */
    const brume_classifier_gradient *classifier; /**< NULL: no classifier guidance; ddpm shifts the mean, all others shift eps
                                                      (ADM, algs. 1, 2) */
    const int64_t *seeds;             /**< host array of N: noise of the steps, image by image; may be NULL if noise is given */
    const brume_noise_source *noise;  /**< NULL: from seeds; else asked instead (tests) */
    brume_buffer *known;              /**< x0 given (N, ...): strength < 1, inpainting; else NULL */
    brume_buffer *mask;               /**< (N, ...), 1 where known holds: inpainting by replacement; else NULL */
    brume_sampler_observer *observe;  /**< may be NULL */
    void *ctx;                        /**< handed to event */
    int want_x0;                      /**< form the x0 estimate for the observer even where the sampler does not need it */
} brume_sampler_input;

/** Counts of the last run: network calls; accepted and rejected steps of an adaptive sampler; draws of noise on the way. */
typedef struct brume_sampler_stats {
    int32_t calls;              /**< of the denoiser */
    int32_t accepted, rejected; /**< steps of adaptive samplers */
    int32_t draws;              /**< of noise on the way */
} brume_sampler_stats;
void brume_sampler_get_stats(const brume_sampler *s, brume_sampler_stats *stats);

/**
 * Samples: x holds unit normal noise (N, ...) (samplers that go from image to noise: the image) and receives the result.
 * Runs again with other seeds need no new sampler. A status of the denoiser, the classifier or the observer is passed on.
 */
brume_status brume_sampler_run(brume_sampler *s, const brume_sampler_input *in, brume_buffer *x);

BRUME_API_END

#endif
