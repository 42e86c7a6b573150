/* SPDX-License-Identifier: MIT
 * Images on their way into a step of latent diffusion: to moments of the autoencoder, once, and to a fresh sample of these at
 * every use. */
#ifndef BRUME_TRAIN_LATENT_H
#define BRUME_TRAIN_LATENT_H

#include "brume/train.h"

struct brume_trainer_latent {
    const brume_autoencoder *autoencoder; /* NULL: the images themselves are learnt */
    const brume_dataset *data;
    brume_latent_coder *coder;
    uint64_t seed;                  /* of the run */
    int64_t pixels, image, kept;    /* pixels of a latent, values of an image, items whose moments are kept */
    float **moments;                /* by item, (h, w, 2 Z); NULL: not encoded yet, or no room for it */
    float *image_values, *own;      /* of one item (of a part, where the data are augmented): image; of one item: moments that
                                       there is no room for, and noise */
    int64_t *items;                 /* of a part */
};

/* Whether the autoencoder can encode these images. */
brume_status brume_trainer_latent_fits(const brume_autoencoder_config *c, const brume_dataset *data);
/* The same, and whether the config's network is one for such latents. data may be NULL. */
brume_status brume_trainer_latent_check(const brume_train_config *c, const brume_dataset *data);
/* Tells autoencoders apart: latents of another are another data set. */
uint64_t brume_trainer_latent_hash(const brume_autoencoder *a);
/* For parts of n examples. Without an autoencoder nothing is done. */
brume_status brume_trainer_latent_open(struct brume_trainer_latent *x, brume_device *d, const brume_train_config *c,
                                       const brume_dataset *data, int64_t n);
void brume_trainer_latent_close(struct brume_trainer_latent *x);
/* As brume_loader_read(), but latents: of the example at a position with noise of its seed, brume_seed_mix(seed of the run,
 * position). */
brume_status brume_trainer_latent_read(struct brume_trainer_latent *x, brume_loader *l, int64_t first, int64_t n, float *latents,
                                       int64_t *labels, int64_t *items);

#endif
