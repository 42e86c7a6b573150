/* SPDX-License-Identifier: MIT
 * Samplers: from noise to images by calling a denoiser. Scalars are computed on the host in double; on the device a step is one
 * linear combination of tensors, where asked a clamp, and unit normal noise from each image's own seed. */
#ifndef BRUME_SAMPLER_H
#define BRUME_SAMPLER_H

#include <stdint.h>

#include "brume/device.h"
#include "brume/graph.h"
#include "brume/schedule.h"

/**
 * What a sampler asks: a network, or anything else that predicts. Buffers hold f32 (N, ...) of the shape that the sampler was made
 * for and belong to its device.
 */
typedef struct brume_denoiser {
    void *self;
    /** out = prediction for the noisy images x at time t (a time step, may be fractional). x must be left as it is; out is another buffer. */
    brume_status (*predict)(void *self, brume_buffer *x, double t, brume_buffer *out);
    brume_prediction prediction_type;
} brume_denoiser;

/** Where noise comes from. fill: writes unit normal noise of the sampler's shape; draw counts 0, 1, ... in order of use. */
typedef struct brume_noise_source {
    void *self;
    brume_status (*fill)(void *self, int draw, brume_buffer *out);
} brume_noise_source;

/** Philox streams (see brume_normal) that samplers use with an image's seed: start noise (step 0), and noise of draw k (step k). */
enum { BRUME_STREAM_START = 0x100, BRUME_STREAM_STEP = 0x101 };

typedef struct brume_sampler_options {
    const char *name;                        /**< a row of brume_sampler_row(): "ddpm", "ddim", ... */
    int32_t steps;                           /**< number of network calls, 1 .. T; 0 = the row's default, at most T */
    double eta;                              /**< ddim: 0 deterministic .. 1 ancestral noise; < 0 = the row's default */
    int use_clipped_model_output;            /**< ddim: 1: eps is derived again from the clipped x0 */
    const brume_scheduler_config *scheduler; /**< schedule, spacing, clipping, variance; read during brume_sampler_new() only */
} brume_sampler_options;

struct brume_sampling; /* a run in progress: src/diffusion/sampling.h */

typedef struct brume_sampler_kind {
    const char *name;
    const char *paper;           /**< paper and equation */
    const char *scheduler_class; /**< diffusers' class that asks for it, or NULL */
    int32_t default_steps;
    double default_eta;
    brume_status (*run)(struct brume_sampling *s);
} brume_sampler_kind;
/** The i-th sampler; NULL past the end. */
const brume_sampler_kind *brume_sampler_row(int i);
const brume_sampler_kind *brume_sampler_find(const char *name);
/** The row for a scheduler's class name; NULL if none. */
const brume_sampler_kind *brume_sampler_for_class(const char *class_name);

typedef struct brume_sampler brume_sampler;

/**
 * Plans for images of shape (N, ...) on device d, which must outlive the sampler. BRUME_E_ARG names an unknown sampler (and those known)
 * or an option outside its range; BRUME_E_UNSUPPORTED an option of the scheduler that this sampler cannot follow.
 */
brume_status brume_sampler_new(brume_device *d, const brume_sampler_options *o, brume_shape shape, brume_sampler **out);
void brume_sampler_free(brume_sampler *s);

/** Times at which the denoiser is called, in order; *n values owned by the sampler. */
const double *brume_sampler_timesteps(const brume_sampler *s, int32_t *n);
/** The sampler's schedule, owned by it. */
const brume_schedule *brume_sampler_schedule(const brume_sampler *s);

/** Unit normal start noise of every image from its seed (host array of N) into x: brume_normal(seeds, step 0, BRUME_STREAM_START). */
brume_status brume_sampler_start(brume_sampler *s, const int64_t *seeds, brume_buffer *x);

/**
 * Called after every step with its number i = 1 .. n, the state x after it and, where the sampler formed it, the predicted x0 (else NULL);
 * both may be read. Anything but BRUME_OK ends the run with that status. Called once before the first step with i = 0.
 */
typedef brume_status brume_sampler_observer(void *ctx, int32_t i, int32_t n, brume_buffer *x, brume_buffer *x0);

/**
 * Samples: x holds the start noise (N, ...), scaled to the sampler's prior (all rows so far: unit normal), and receives the result.
 * seeds     host array of N: noise of the steps, image by image, so that an image does not depend on its batch; may be NULL if noise is given
 * noise     NULL: from seeds; else asked instead (tests)
 * observe   may be NULL
 * Runs again with other seeds need no new sampler. A status of the denoiser or the observer is passed on.
 */
brume_status brume_sampler_run(brume_sampler *s, const brume_denoiser *d, const int64_t *seeds, const brume_noise_source *noise, brume_buffer *x,
                               brume_sampler_observer *observe, void *ctx);

#endif
