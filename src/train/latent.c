/* SPDX-License-Identifier: MIT
 * Latents of training examples. Unless the data are augmented, items never change: each is encoded when it first comes, and its
 * mean and variance are kept. What is random is drawn from the example's counter, so that it does not matter which items were
 * kept. */
#include "train/latent.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/hash.h"
#include "brume/rng.h"

#define CACHE_BYTES ((int64_t)1 << 30) /* beyond, images are encoded again whenever they come */

static brume_status no_memory(void) { return brume_fail(BRUME_E_MEMORY, "training: out of memory for latents"); }

brume_status brume_trainer_latent_fits(const brume_autoencoder_config *c, const brume_dataset *data)
{
    const int32_t h = brume_dataset_height(data), w = brume_dataset_width(data), channels = brume_dataset_channels(data);
    const long long f = brume_autoencoder_factor(c);
    if (h % f || w % f)
        return brume_fail(BRUME_E_SHAPE,
                          "the autoencoder makes latents of 1/%lld of an image's size and needs images whose sides are multiples "
                          "of %lld, those of '%s' are %dx%d; use another --size or other images",
                          f, f, brume_dataset_kind(data), w, h);
    if (channels != c->in_channels)
        return brume_fail(BRUME_E_SHAPE, "the autoencoder takes images of %d channels, those of '%s' have %d", c->in_channels,
                          brume_dataset_kind(data), channels);
    return BRUME_OK;
}

brume_status brume_trainer_latent_check(const brume_train_config *c, const brume_dataset *data)
{
    if (!c->autoencoder) return BRUME_OK;
    const brume_autoencoder_config *a = &c->autoencoder->config;
    const int64_t f = brume_autoencoder_factor(a);
    const int32_t *size = c->unet.sample_size;
    const brume_status s = data ? brume_trainer_latent_fits(a, data) : BRUME_OK;
    if (s != BRUME_OK) return s;
    if (c->unet.in_channels != a->latent_channels)
        return brume_fail(BRUME_E_SHAPE, "training: the autoencoder has %d latent channels, the U-Net takes %d",
                          a->latent_channels, c->unet.in_channels);
    if (data && (brume_dataset_height(data) != size[0] * f || brume_dataset_width(data) != size[1] * f))
        return brume_fail(BRUME_E_SHAPE,
                          "training: images of %dx%d have latents of %lldx%lld, the config's sample_size is %dx%d: see "
                          "brume_train_config_fit()",
                          brume_dataset_width(data), brume_dataset_height(data), (long long)(brume_dataset_width(data) / f),
                          (long long)(brume_dataset_height(data) / f), size[1], size[0]);
    return BRUME_OK;
}

uint64_t brume_trainer_latent_hash(const brume_autoencoder *a)
{
    const double scale[2] = { a->config.scaling_factor, a->config.shift_factor };
    return brume_hash_values(brume_hash_values(0, a->params, (size_t)a->n_params, sizeof *a->params), scale, 2, sizeof *scale);
}

brume_status brume_trainer_latent_open(struct brume_trainer_latent *x, brume_device *d, const brume_train_config *c,
                                       const brume_dataset *data, int64_t n)
{
    *x = (struct brume_trainer_latent){ .autoencoder = c->autoencoder, .data = data, .seed = c->seed };
    if (!c->autoencoder) return BRUME_OK;
    const brume_autoencoder_config *a = &c->autoencoder->config;
    const int64_t h = c->unet.sample_size[0], w = c->unet.sample_size[1], f = brume_autoencoder_factor(a);
    x->pixels = h * w;
    x->image = h * f * w * f * a->in_channels;
    if (!data) return brume_latent_coder_new(d, c->autoencoder, h, w, NULL, &x->coder);
    x->moments = calloc((size_t)brume_dataset_count(data), sizeof *x->moments);
    x->image_values = malloc((size_t)(x->image * (brume_dataset_augments(data) ? n : 1)) * sizeof *x->image_values);
    x->own = malloc((size_t)(3 * x->pixels * a->latent_channels) * sizeof *x->own);
    x->items = malloc((size_t)n * sizeof *x->items);
    if (!x->moments || !x->image_values || !x->own || !x->items) return no_memory();
    return brume_latent_coder_new(d, c->autoencoder, h, w, NULL, &x->coder);
}

void brume_trainer_latent_close(struct brume_trainer_latent *x)
{
    for (int64_t i = 0; x->moments && i < brume_dataset_count(x->data); i++) free(x->moments[i]);
    brume_latent_coder_free(x->coder);
    free(x->moments);
    free(x->image_values);
    free(x->own);
    free(x->items);
}

/* Moments of an item; kept if there is room. */
static brume_status moments_of(struct brume_trainer_latent *x, int64_t item, const float **out)
{
    const size_t bytes = (size_t)(2 * x->pixels * x->autoencoder->config.latent_channels) * sizeof(float);
    *out = x->moments[item];
    if (*out) return BRUME_OK;
    brume_status s = brume_dataset_get(x->data, item, x->image_values, NULL);
    if (s == BRUME_OK) s = brume_latent_coder_moments(x->coder, x->image_values, 1, x->own);
    if (s != BRUME_OK) return s;
    *out = x->own;
    if ((x->kept + 1) * (int64_t)bytes > CACHE_BYTES) return BRUME_OK;
    if (!(x->moments[item] = malloc(bytes))) return no_memory();
    memcpy(x->moments[item], x->own, bytes);
    x->kept++;
    return BRUME_OK;
}

brume_status brume_trainer_latent_read(struct brume_trainer_latent *x, brume_loader *l, int64_t first, int64_t n, float *latents,
                                       int64_t *labels, int64_t *items)
{
    if (!items) items = x->items;
    const int64_t count = x->pixels * x->autoencoder->config.latent_channels;
    float *eps = x->own + 2 * count;
    const float *moments;
    const int augments = brume_dataset_augments(x->data);
    brume_status s = brume_loader_read(l, first, n, augments ? x->image_values : NULL, labels, items);
    for (int64_t i = 0; s == BRUME_OK && i < n; i++) {
        if (augments) s = brume_latent_coder_moments(x->coder, x->image_values + i * x->image, 1, x->own), moments = x->own;
        else s = moments_of(x, items[i], &moments);
        if (s != BRUME_OK) return s;
        brume_fill_normal(brume_seed_mix(x->seed, (uint64_t)(first + i)), BRUME_STREAM_TRAIN_LATENT, 0, 0, count, eps);
        brume_latents_sample(&x->autoencoder->config, moments, x->pixels, eps, latents + i * count);
    }
    return s;
}
