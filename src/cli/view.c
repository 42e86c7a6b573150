/* SPDX-License-Identifier: MIT
 * States of a sampler as pictures, and back. */
#include "view.h"

#include <stdlib.h>
#include <string.h>

#include "brume/rng.h"

void view_begin(struct view *v, const brume_autoencoder *a, int64_t h, int64_t w, int64_t c)
{
    const int64_t f = a ? brume_autoencoder_factor(&a->config) : 1;
    *v = (struct view){ .h = h,
                        .w = w,
                        .c = c,
                        .factor = f,
                        .height = f * h,
                        .width = f * w,
                        .channels = a ? a->config.out_channels : c,
                        .autoencoder = a };
}

brume_status view_open(struct view *v, brume_device *d, uint64_t limit)
{
    const brume_latent_options o = { .memory_limit = limit };
    return v->autoencoder ? brume_latent_coder_new(d, v->autoencoder, v->h, v->w, &o, &v->coder) : BRUME_OK;
}

void view_close(struct view *v) { brume_latent_coder_free(v->coder); }

brume_status view_pictures(const struct view *v, const float *states, int64_t n, float **pictures)
{
    const size_t bytes = (size_t)(n * v->height * v->width * v->channels) * sizeof **pictures;
    *pictures = malloc(bytes);
    if (!*pictures) return BRUME_E_MEMORY;
    if (v->coder) return brume_latent_coder_decode(v->coder, states, n, *pictures);
    memcpy(*pictures, states, bytes);
    return BRUME_OK;
}

brume_status view_grid(const struct view *v, const float *states, int64_t n, int64_t columns, int64_t scale, brume_image **out)
{
    float *pictures = NULL;
    brume_status s = v->coder ? view_pictures(v, states, n, &pictures) : BRUME_OK;
    if (s == BRUME_OK)
        s = brume_image_grid(pictures ? pictures : states, n, (int32_t)v->height, (int32_t)v->width, (int32_t)v->channels,
                             (int32_t)columns, (int32_t)scale, out);
    free(pictures);
    return s;
}

brume_status view_read(const struct view *v, const char *path, float **picture)
{
    brume_image *im = NULL;
    *picture = malloc((size_t)(v->height * v->width * v->channels) * sizeof **picture);
    if (!*picture) return BRUME_E_MEMORY;
    const brume_status s = brume_image_read(path, &im);
    if (s == BRUME_OK) brume_image_fit(im, (int32_t)v->height, (int32_t)v->width, (int32_t)v->channels, *picture);
    brume_image_free(im);
    return s;
}

brume_status view_state(const struct view *v, const float *picture, float *state)
{
    if (v->coder) return brume_latent_coder_encode(v->coder, picture, 1, NULL, state);
    memcpy(state, picture, (size_t)(v->h * v->w * v->c) * sizeof *state);
    return BRUME_OK;
}

brume_status view_sample(const struct view *v, const float *picture, const int64_t *seeds, int64_t n, float *states)
{
    const int64_t count = v->h * v->w * v->c;
    brume_status s = BRUME_OK;
    if (!v->coder) {
        for (int64_t i = 0; i < n; i++) memcpy(states + i * count, picture, (size_t)count * sizeof *states);
        return s;
    }
    float *moments = malloc((size_t)(3 * count) * sizeof *moments), *eps = moments ? moments + 2 * count : NULL;
    s = moments ? brume_latent_coder_moments(v->coder, picture, 1, moments) : BRUME_E_MEMORY;
    for (int64_t i = 0; i < n && s == BRUME_OK; i++) {
        brume_fill_normal((uint64_t)seeds[i], 0, 0, 0, count, eps); /* as brume_latent_coder_encode() */
        brume_latents_sample(&v->autoencoder->config, moments, v->h * v->w, eps, states + i * count);
    }
    free(moments);
    return s;
}

void view_mask(const struct view *v, const float *picture, float *mask)
{
    for (int64_t i = 0; i < v->h * v->w; i++) {
        const int64_t y = i / v->w * v->factor, x = i % v->w * v->factor;
        float sum = 0;
        for (int64_t k = 0; k < v->channels; k++) sum += picture[(y * v->width + x) * v->channels + k];
        for (int64_t k = 0; k < v->c; k++) mask[i * v->c + k] = sum > 0 ? 1 : 0;
    }
}
