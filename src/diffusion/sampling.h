/* SPDX-License-Identifier: MIT
 * What samplers are written with: the state of a run, and the few things done on the device. Each call returns the first failure. */
#ifndef BRUME_DIFFUSION_SAMPLING_H
#define BRUME_DIFFUSION_SAMPLING_H

#include "brume/sampler.h"

#define BRUME_SAMPLING_TERMS 6

struct brume_sampling {
    brume_sampler *sampler;
    const brume_schedule *schedule;
    const brume_scheduler_config *config;
    const double *t;               /* times of the network calls */
    int32_t n;
    double eta;
    int use_clipped_model_output;
    brume_prediction prediction;   /* of the denoiser */
    brume_buffer *x, *m, *x0, *z;  /* state; prediction; predicted x0; noise */
    /* below: the run's own */
    brume_buffer *spare;           /* becomes x when a step is done */
    const brume_denoiser *denoiser;
    const brume_noise_source *noise;
    int draws;
    int32_t done;
    brume_sampler_observer *observe;
    void *ctx;
};

/* A linear combination of tensors: terms are added by brume_terms_add(); one with coefficient 0 is left out. */
struct brume_terms { int n; double coef[BRUME_SAMPLING_TERMS]; brume_buffer *x[BRUME_SAMPLING_TERMS]; };
void brume_terms_add(struct brume_terms *s, double coef, brume_buffer *x);

/* m = prediction for x at time t */
brume_status brume_sampling_predict(struct brume_sampling *s, double t);
/* x0 from x = a x0 + b eps and m, clipped or thresholded as the config says. BRUME_E_NUMERIC where a = 0 leaves x0 undefined. */
brume_status brume_sampling_x0(struct brume_sampling *s, double a, double b);
/* 1 if x0 is changed by clipping or thresholding, so that it must be formed */
int brume_sampling_clips(const struct brume_sampling *s);
/* z = the next draw of unit normal noise */
brume_status brume_sampling_noise(struct brume_sampling *s);
/* x = the terms (which may hold x itself); then the observer is called, with x0 if has_x0. */
brume_status brume_sampling_step(struct brume_sampling *s, const struct brume_terms *terms, int has_x0);

/* x0 = *cx x + *cm m, and eps likewise, for x = a x0 + b eps (diffusion literature, table of parameterisations); not finite where undefined. */
void brume_x0_coef(brume_prediction p, double a, double b, double *cx, double *cm);
void brume_eps_coef(brume_prediction p, double a, double b, double *cx, double *cm);

/* rows */
brume_status brume_run_ddpm(struct brume_sampling *s);
brume_status brume_run_ddim(struct brume_sampling *s);
brume_status brume_run_ddim_inverse(struct brume_sampling *s);

#endif
