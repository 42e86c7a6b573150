/* SPDX-License-Identifier: MIT
 * Training of autoencoders for latent diffusion (Rombach et al. 2022), without the adversarial and perceptual losses of that paper. */
#ifndef BRUME_AUTOENCODER_TRAIN_H
#define BRUME_AUTOENCODER_TRAIN_H

#include "brume/autoencoder.h"
#include "brume/train.h"

typedef enum brume_reconstruction { BRUME_RECONSTRUCTION_L1 = 0, BRUME_RECONSTRUCTION_L2 } brume_reconstruction;

/** loss = mean |x - y| or (x - y)^2 over all values of x, y = decode(sample(encode(x))), + kl_weight KL per image / values per image. */
typedef struct brume_autoencoder_objective {
    brume_reconstruction reconstruction;
    double kl_weight;                  /**< >= 0; 1e-6 in the paper: latents whose variance is barely held */
} brume_autoencoder_objective;

typedef struct brume_autoencoder_trainer brume_autoencoder_trainer;
/** kl: in nats per image. */
typedef struct brume_autoencoder_result { double loss, reconstruction, kl, grad_norm, lr; } brume_autoencoder_result;

/**
 * Plans a training step on the images of data, in [-1, 1]; d and data must outlive it. Of c, only batch, steps, optimizer and its settings, learning
 * rate, clip, ema_decay and seed are read. Parameters are fresh, or init's (may be NULL; of the same config).
 * BRUME_E_ARG: images whose sides are no multiples of brume_autoencoder_factor(), or whose channels are not those of ac.
 */
brume_status brume_autoencoder_trainer_new(brume_device *d, const brume_train_config *c, const brume_autoencoder_config *ac,
                                           const brume_autoencoder_objective *o, const brume_dataset *data, const brume_autoencoder *init,
                                           brume_autoencoder_trainer **out);
void brume_autoencoder_trainer_free(brume_autoencoder_trainer *t);
/** One step: a function of the state before it and of (seed, step). BRUME_E_NUMERIC if the loss is not finite. */
brume_status brume_autoencoder_trainer_step(brume_autoencoder_trainer *t, brume_autoencoder_result *r);
/** The averaged (or, if ema is 0, the raw) parameters as an autoencoder of its own; free it. */
brume_status brume_autoencoder_trainer_get(brume_autoencoder_trainer *t, int ema, brume_autoencoder **out);

/**
 * Sets a->config.scaling_factor to 1 / the standard deviation of all values of sampled latents of the first `images` items of data (Rombach et al.
 * 2022, appendix G), and shift_factor to 0. BRUME_E_NUMERIC: they do not vary.
 */
brume_status brume_autoencoder_estimate_scaling(brume_device *d, brume_autoencoder *a, const brume_dataset *data, int64_t images, uint64_t seed);

#endif
