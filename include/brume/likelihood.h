/* SPDX-License-Identifier: MIT
 * How probable a model finds given images: the variational bound of discrete models, and the exact density of the
 * probability-flow ODE.
 *
 * Images are f32 in [-1, 1], level k of 256 being 2 k / 255 - 1, shape (N, ...); D is the number of values of one image. bits/dim
 * is -log2 P(image) / D of the 8-bit image. */
#ifndef BRUME_LIKELIHOOD_H
#define BRUME_LIKELIHOOD_H

#include <stdint.h>

#include "brume/api.h"
#include "brume/device.h"
#include "brume/graph.h"
#include "brume/sampler.h"
#include "brume/schedule.h"

BRUME_API_BEGIN

/** Philox streams used with an image's seed: noise of the bound at time t (step t), times of its batch, uniform dequantisation,
 * probes. */
enum { BRUME_STREAM_BOUND = 0x110, BRUME_STREAM_BOUND_TIMES = 0x111, BRUME_STREAM_DEQUANTISE = 0x112,
       BRUME_STREAM_PROBE = 0x113 };

/** Mean of n values and its standard error, deviation / sqrt(n) with n - 1 degrees of freedom (NaN for n < 2). */
void brume_mean_error(const double *value, int64_t n, double *mean, double *error);

/* ---- variational bound (Ho et al. 2020, eq. 5) ----------------------------------------------------------------------------- */

/** Distribution function of the decoder: (1 + tanh(sqrt(2/pi) (v + 0.044715 v^3))) / 2 as released, or the exact normal one. */
typedef enum brume_normal_cdf { BRUME_CDF_TANH = 0, BRUME_CDF_EXACT } brume_normal_cdf;

/**
 * Natural logarithm of P(x), x a level in [-1, 1], under N(mean, exp(2 log_std)) integrated over its bin of half width 1/255; the
 * first and last bin are open (Ho et al. 2020, eq. 13). Not below log 1e-12.
 */
double brume_discretised_gaussian(double x, double mean, double log_std, brume_normal_cdf cdf);

/**
 * One term of the bound, per image, in bits/dim: for t > 0 the KL divergence of p(x_{t-1} | x_t) from q(x_{t-1} | x_t, x0), for t
 * = 0 the decoder's -log P(x0 | x_1).
 * c            variance_type and, where clip_sample is set, the range that the predicted x0 is clamped to; s its schedule
 * images, per  N images of `per` values
 * x0, xt       x_t = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) noise
 * prediction   what the network said of x_t, of type p;  variance: its variance channels (learned variances), else NULL
 * bits         N results
 * BRUME_E_ARG: t outside 0 .. T-1, variance missing. BRUME_E_NUMERIC: alpha_bar = 0 leaves x0 undefined.
 */
brume_status brume_vlb_term(const brume_scheduler_config *c, const brume_schedule *s, brume_prediction p, brume_normal_cdf cdf,
                            int32_t t, int64_t images, int64_t per, const float *x0, const float *xt, const float *prediction,
                            const float *variance, double *bits);

/** The term L_T, KL(q(x_T | x0) || N(0, 1)) in bits/dim, per image. No network in it. */
void brume_vlb_prior(const brume_schedule *s, int64_t images, int64_t per, const float *x0, double *bits);

/** How the variational bound is computed; { 0 } gives the defaults. */
typedef struct brume_vlb_options {
    const brume_scheduler_config *scheduler; /**< a discrete process; read during brume_vlb_new() only */
    brume_normal_cdf cdf;                    /**< tanh */
    /**
     * Network calls per image for the terms 0 < t < T; 0 or >= T-1: all of them, the complete sum. Else that many times (at least
     * 2, made even) are drawn in proportion to the terms that normal data of variance 1/4 have, stratified, in two independent
     * halves: unbiased, and the difference of the halves tells the error.
     */
    int32_t terms;
} brume_vlb_options;

/** In bits/dim. total = prior + middle + decoder. */
typedef struct brume_vlb_image {
    double prior;   /**< L_T */
    double middle;  /**< sum of L_t over 0 < t < T */
    double decoder; /**< L_0 */
    double total;   /**< the sum, in bits per dimension */
} brume_vlb_image;

/** done of all network calls of a batch. Anything but BRUME_OK ends the run with that status. */
typedef brume_status brume_likelihood_observer(void *ctx, int32_t done, int32_t all);

/** The variational bound planned for a batch. */
typedef struct brume_vlb brume_vlb;
/** For batches of shape (N, ...) on device d, which must outlive it. BRUME_E_ARG: not a discrete process. */
brume_status brume_vlb_new(brume_device *d, const brume_vlb_options *o, brume_shape shape, brume_vlb **out);
void brume_vlb_free(brume_vlb *v);
/** Network calls of a batch. */
int32_t brume_vlb_calls(const brume_vlb *v);
/**
 * The bound of N images. x0: N D values on the host. seeds: of the noise, one per image; the times follow from the first.
 * sampling_error: NULL, or the standard error that drawing times, which all images of a batch share, leaves in their mean; 0 if
 * complete.
 */
brume_status brume_vlb_run(brume_vlb *v, const brume_denoiser *denoiser, const float *x0, const int64_t *seeds,
                           brume_vlb_image *out, double *sampling_error, brume_likelihood_observer *observe, void *ctx);
/** Mean term at every t = 0 .. T-1 over all images so far, bits/dim; NaN where t was not visited. *n = T values owned by v. */
const double *brume_vlb_by_time(brume_vlb *v, int32_t *n);

/* ---- probability-flow ODE (Song et al. 2021, app. D.2, eqs. 39 and 40) ----------------------------------------------------- */

/** How the divergence is found: v^T J v with v of random signs, or normal (Hutchinson 1990), or the trace of J itself by D
 * products. */
typedef enum brume_divergence { BRUME_PROBE_SIGNS = 0, BRUME_PROBE_NORMAL, BRUME_PROBE_EXACT } brume_divergence;

/** How the probability-flow ODE is solved; { 0 } gives the defaults. */
typedef struct brume_ode_likelihood_options {
    const brume_scheduler_config *scheduler; /**< any process; sampling_eps is where data are taken to be; read during _new()
                                                  only */
    double rtol, atol;                       /**< 0 = 1e-5 */
    brume_divergence probe;                  /**< vectors, or none */
    int32_t probes;                          /**< vectors v, kept for the whole solve and averaged over; 0 = 1 */
} brume_ode_likelihood_options;

/** In nats, of the density of the values given; log_p = prior + change. */
typedef struct brume_ode_image {
    double log_p;   /**< ln p(x) in nats */
    double prior;   /**< log density of the noise that the image flows to, under N(0, std^2 I), std = brume_process_prior_std() */
    double change;  /**< integral of the divergence from data to noise */
} brume_ode_image;

/** Solver of the probability-flow ODE, planned for a batch. */
typedef struct brume_ode_likelihood brume_ode_likelihood;
/** For batches of shape (N, ...) on device d, which must outlive it. BRUME_E_ARG, BRUME_E_SHAPE, BRUME_E_MEMORY. */
brume_status brume_ode_likelihood_new(brume_device *d, const brume_ode_likelihood_options *o, brume_shape shape,
                                      brume_ode_likelihood **out);
void brume_ode_likelihood_free(brume_ode_likelihood *l);
/**
 * Log densities of N images x (host). seeds: of the probes. latent: NULL, or receives the noise that each image flows to.
 * J^T v is the denoiser's vjp, or central differences where it has none. The steps obey one error norm over the batch.
 * stats: NULL, or network calls and steps. observe counts calls, all being 0.
 */
brume_status brume_ode_likelihood_run(brume_ode_likelihood *l, const brume_denoiser *denoiser, const float *x,
                                      const int64_t *seeds, brume_ode_image *out, float *latent, brume_sampler_stats *stats,
                                      brume_likelihood_observer *observe, void *ctx);

/**
 * bits/dim of an 8-bit image from the log density (nats) of its dequantised values: -log_p / (D ln 2) + 7. A level is 1/128 wide
 * in [-1, 1), so that log2 128 = 7 bits turn density into probability.
 */
double brume_bits_per_dim(double log_p, int64_t dims);
/** Uniform dequantisation of one image (Theis et al. 2016): level k becomes (k + u) / 128 - 1, u uniform in [0, 1) from the
 * seed. */
void brume_dequantise(const float *x, int64_t n, int64_t seed, float *out);

BRUME_API_END

#endif
