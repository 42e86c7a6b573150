/* SPDX-License-Identifier: MIT
 * Inside of an autoencoder's trainer, shared by step and run. */
#ifndef BRUME_TRAIN_AUTOENCODER_H
#define BRUME_TRAIN_AUTOENCODER_H

#include "brume/autoencoder_train.h"
#include "train/trainer.h"

struct brume_autoencoder_trainer {
    brume_device *device;
    const brume_dataset *data;
    brume_train_config config;
    brume_autoencoder_objective objective;
    brume_autoencoder_config autoencoder;
    brume_loader *loader;
    brume_graph *graph;
    brume_plan *plan;
    brume_tensor x, eps, slab, loss, reconstruction, kl;
    brume_tensor keep, share, grad;         /* with several ranks: inputs of the sum of gradients, and that */
    struct brume_update update;             /* with several ranks a plan of its own */
    struct brume_ranks ranks;
    int32_t part;                           /* images of a step that this rank takes */
    int64_t done, n_params, latent, image;  /* values of a latent and of an image */
    float *images, *noise;
    struct brume_resumed resumed;
};

#endif
