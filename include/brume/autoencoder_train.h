/* SPDX-License-Identifier: MIT
 * Training of autoencoders for latent diffusion (Rombach et al. 2022), without the adversarial and perceptual losses of that
 * paper. */
#ifndef BRUME_AUTOENCODER_TRAIN_H
#define BRUME_AUTOENCODER_TRAIN_H

#include "brume/api.h"
#include "brume/autoencoder.h"
#include "brume/train.h"

BRUME_API_BEGIN

/** What the difference of image and reconstruction is measured by: mean of |e|, or of e^2. */
typedef enum brume_reconstruction { BRUME_RECONSTRUCTION_L1 = 0, BRUME_RECONSTRUCTION_L2 } brume_reconstruction;

/** loss = mean |x - y| or (x - y)^2 over all values of x, y = decode(sample(encode(x))), + kl_weight KL per image / values per
 * image. */
typedef struct brume_autoencoder_objective {
    brume_reconstruction reconstruction; /**< how the difference is measured */
    double kl_weight;                  /**< >= 0; 1e-6 in the paper: latents whose variance is barely held */
} brume_autoencoder_objective;

/** A training run of an autoencoder: graph, plan, optimizer state, on one device. */
typedef struct brume_autoencoder_trainer brume_autoencoder_trainer;

/**
 * Plans a training step on the images of data, in [-1, 1]; d and data must outlive it. Of c, only batch, steps, optimizer and its
 * settings, learning rate, clip, ema_decay and seed are read. Parameters are fresh, or init's (may be NULL; of the same config).
 * BRUME_E_ARG: images whose sides are no multiples of brume_autoencoder_factor(), or whose channels are not those of ac.
 */
brume_status brume_autoencoder_trainer_new(brume_device *d, const brume_train_config *c, const brume_autoencoder_config *ac,
                                           const brume_autoencoder_objective *o, const brume_dataset *data,
                                           const brume_autoencoder *init, brume_autoencoder_trainer **out);
void brume_autoencoder_trainer_free(brume_autoencoder_trainer *t);
/** One step: a function of the state before it and of (seed, step). BRUME_E_NUMERIC if the loss is not finite. */
brume_status brume_autoencoder_trainer_step(brume_autoencoder_trainer *t, brume_train_result *r);
/** The averaged (or, if ema is 0, the raw) parameters as an autoencoder of its own; free it. */
brume_status brume_autoencoder_trainer_get(brume_autoencoder_trainer *t, int ema, brume_autoencoder **out);

/** Steps done since the beginning of the run. */
int64_t brume_autoencoder_trainer_steps_done(const brume_autoencoder_trainer *t);

/**
 * Writes a checkpoint: FOLDER/training/state.safetensors, then the averaged autoencoder into FOLDER, its scaling factor estimated
 * from 64 items of the data. Each file is whole or as it was before. note: a number kept in the state, given back by resume.
 */
brume_status brume_autoencoder_trainer_save(brume_autoencoder_trainer *t, const char *folder, int64_t note);
/** Goes on from a checkpoint of the same autoencoder, objective, seed, batch and optimizer; the message names what differs. note
 * may be NULL. */
brume_status brume_autoencoder_trainer_resume(brume_autoencoder_trainer *t, const char *folder, int64_t *note);
/** A PNG of the first items, at most count, above what the averaged autoencoder makes of their means; rows of at most 10. */
brume_status brume_autoencoder_trainer_preview(brume_autoencoder_trainer *t, int32_t count, const char *path);
/** A whole run, as brume_train_run(): the config is the trainer's. */
brume_status brume_autoencoder_run(brume_autoencoder_trainer *t, const brume_run_options *o);

/**
 * Sets a->config.scaling_factor to 1 / the standard deviation of all values of sampled latents of the first `images` items of
 * data (Rombach et al. 2022, appendix G), and shift_factor to 0. BRUME_E_NUMERIC: they do not vary.
 */
brume_status brume_autoencoder_estimate_scaling(brume_device *d, brume_autoencoder *a, const brume_dataset *data, int64_t images,
                                                uint64_t seed);

BRUME_API_END

#endif
