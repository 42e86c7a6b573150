/* SPDX-License-Identifier: MIT
 * States of a sampler as pictures: images are pictures themselves, latents have to be decoded. And pictures as states. */
#ifndef BRUME_CLI_VIEW_H
#define BRUME_CLI_VIEW_H

#include "brume/autoencoder.h"
#include "brume/image.h"

struct view {
    int64_t h, w, c;                     /* of a state */
    int64_t factor;                      /* a picture has this many times its height and width */
    int64_t height, width, channels;     /* of a picture */
    const brume_autoencoder *autoencoder; /* NULL: states are pictures */
    brume_latent_coder *coder;
};

/* Sizes for states (h, w, c) of a model with this autoencoder, or NULL. */
void view_begin(struct view *v, const brume_autoencoder *a, int64_t h, int64_t w, int64_t c);
/* Puts the autoencoder on the device; before that, nothing can be decoded or encoded. limit: bytes of activations, beyond which
 * it decodes in tiles. */
brume_status view_open(struct view *v, brume_device *d, uint64_t limit);
void view_close(struct view *v);
/* n states (n, h, w, c) to pictures (n, height, width, channels) in [-1, 1]; allocated. */
brume_status view_pictures(const struct view *v, const float *states, int64_t n, float **pictures);
/* The same as a grid: see brume_image_grid(). */
brume_status view_grid(const struct view *v, const float *states, int64_t n, int64_t columns, int64_t scale, brume_image **out);
/* A file as a picture (height, width, channels) in [-1, 1]; allocated. */
brume_status view_read(const struct view *v, const char *path, float **picture);
/* A picture as a state, which is a latent's mean; and as a sample with noise of that seed, as diffusers encodes. */
brume_status view_state(const struct view *v, const float *picture, float *state);
brume_status view_sample(const struct view *v, const float *picture, const int64_t *seeds, int64_t n, float *states);
/* A picture of a mask as one: 1 where it is white, which means kept. A latent's pixel is what the first one of its block is, as
 * diffusers makes masks smaller. mask (h, w, c). */
void view_mask(const struct view *v, const float *picture, float *mask);

#endif
