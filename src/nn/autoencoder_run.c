/* SPDX-License-Identifier: MIT
 * Latents to images and back on a device; images whose activations would not fit are decoded in overlapping tiles. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/autoencoder.h"
#include "brume/plan.h"
#include "brume/rng.h"

/* A plan for one image. */
struct network {
    brume_graph *g;
    brume_tensor slab, in, out;
    brume_plan *p;
};

/* Tiles along one axis: where each begins in latent pixels, and the weight of each of its pixels in the image. */
struct axis {
    int64_t tiles, size;
    int64_t *begin;
    float *weight;  /* (tiles, size factor); at every pixel of the image those of its tiles sum up to 1 */
};

struct brume_latent_coder {
    brume_device *device;
    brume_autoencoder_config c;
    int64_t height, width, overlap;
    struct axis y, x;
    brume_buffer *params;
    struct network encode, whole, middle, up; /* made when first needed */
    float *features, *piece, *image;          /* of the whole latent; of a tile; its image */
    char note[256];
};

enum part { ENCODE, WHOLE, MIDDLE, UP };

static void network_free(struct network *n)
{
    brume_plan_free(n->p);
    brume_graph_free(n->g);
    *n = (struct network){ 0 };
}

/* height and width: of latents. dry: to be measured only. arena: NULL, or a plan whose arena may be used, too. */
static brume_status network_new(struct network *n, brume_device *d, const brume_autoencoder_config *c, enum part part,
                                int64_t height, int64_t width, const brume_plan *arena, int dry)
{
    const int64_t f = brume_autoencoder_factor(c), wide = c->block_out_channels[c->levels - 1];
    *n = (struct network){ .g = brume_graph_new() };
    brume_graph *g = n->g;
    if (!g) return brume_fail(BRUME_E_MEMORY, "out of memory for an autoencoder");
    n->slab = brume_slab(g, "params");
    n->in = brume_input(g, "in", BRUME_F32,
                        part == ENCODE ? BRUME_SHAPE(1, f * height, f * width, c->in_channels)
                                       : BRUME_SHAPE(1, height, width, part == UP ? wide : c->latent_channels));
    if (part == ENCODE) {
        n->out = brume_autoencoder_encode(g, c, n->slab, n->in);
    } else if (part == UP) {
        n->out = brume_autoencoder_decode_up(g, c, n->slab, n->in);
    } else {
        const brume_tensor z = brume_affine(g, n->in, (float)(1 / c->scaling_factor), (float)c->shift_factor);
        n->out = part == WHOLE ? brume_autoencoder_decode(g, c, n->slab, z) : brume_autoencoder_decode_middle(g, c, n->slab, z);
    }
    brume_output(g, n->out, "out");
    brume_status s = brume_graph_status(g);
    if (s != BRUME_OK) return brume_fail(s, "%s", brume_graph_error(g));
    const brume_tensor elsewhere[] = { n->slab, BRUME_NONE };
    const brume_plan_options options = { .elsewhere = elsewhere, .dry = dry, .arena = arena };
    return brume_plan_new(d, g, &options, &n->p);
}

/* Makes a network on its first use. The way up has the larger arena, which the middle uses, too. */
static brume_status need(brume_latent_coder *k, struct network *n, enum part part)
{
    if (n->p) return BRUME_OK;
    network_free(n);
    brume_status s = network_new(n, k->device, &k->c, part, part == UP ? k->y.size : k->height, part == UP ? k->x.size : k->width,
                                 part == MIDDLE ? k->up.p : NULL, 0);
    if (s == BRUME_OK) s = brume_plan_bind(n->p, n->slab, k->params);
    if (s != BRUME_OK) network_free(n);
    return s;
}

static brume_status run(struct network *n, const float *in, float *out)
{
    const size_t from = (size_t)brume_shape_numel(brume_tensor_shape(n->g, n->in)) * 4,
                 to = (size_t)brume_shape_numel(brume_tensor_shape(n->g, n->out)) * 4;
    brume_status s = brume_plan_write(n->p, n->in, in, from);
    if (s == BRUME_OK) s = brume_plan_run(n->p);
    return s == BRUME_OK ? brume_plan_read(n->p, n->out, out, to) : s;
}

/* Activations of a part for this size. */
static brume_status measure(brume_device *d, const brume_autoencoder_config *c, enum part part, int64_t height, int64_t width,
                            uint64_t *bytes)
{
    struct network n;
    brume_plan_stats stats = { 0 };
    const brume_status s = network_new(&n, d, c, part, height, width, NULL, 1);
    if (s == BRUME_OK) brume_plan_get_stats(n.p, &stats);
    *bytes = stats.arena_bytes;
    network_free(&n);
    return s;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* The side of tiles, or one that is as large as the latent. */
static brume_status choose_tile(brume_latent_coder *k, const brume_latent_options *o, int64_t *tile, uint64_t *whole)
{
    const int64_t all = k->height > k->width ? k->height : k->width;
    uint64_t bytes = 0;
    *whole = 0;
    *tile = o->tile ? o->tile : all;
    if (o->tile && (o->tile < 0 || o->tile <= 2 * k->overlap))
        return brume_fail(BRUME_E_ARG, "a tile of %lld latent pixels must be larger than 2 overlaps of %lld", (long long)o->tile,
                          (long long)k->overlap);
    if (o->tile || !o->memory_limit) return BRUME_OK;
    brume_status s = measure(k->device, &k->c, WHOLE, k->height, k->width, whole);
    if (s != BRUME_OK || *whole <= o->memory_limit) return s;
    for (*tile = all - 1;; *tile = *tile * 4 / 5) {
        if (*tile < 3 * k->overlap) *tile = 3 * k->overlap;
        s = measure(k->device, &k->c, UP, least(*tile, k->height), least(*tile, k->width), &bytes);
        if (s != BRUME_OK || bytes <= o->memory_limit) return s;
        if (*tile <= 3 * k->overlap || *tile >= all)
            return brume_fail(
                BRUME_E_MEMORY,
                "decoding in tiles of %lld latent pixels takes %.1f MiB of activations, and %.1f MiB are allowed; allow more, "
                "or a smaller overlap",
                (long long)*tile, (double)bytes / (1 << 20), (double)o->memory_limit / (1 << 20));
    }
}

/* Tiles of one size, evenly spaced, that share at least overlap. Weights fall linearly to 0 at edges within the image. */
static brume_status axis_new(struct axis *a, int64_t length, int64_t tile, int64_t overlap, int64_t factor)
{
    a->size = least(tile, length);
    a->tiles = a->size == length ? 1 : (length - overlap + a->size - overlap - 1) / (a->size - overlap);
    const int64_t pixels = a->size * factor;
    a->begin = calloc((size_t)a->tiles, sizeof *a->begin);
    a->weight = calloc((size_t)(a->tiles * pixels), sizeof *a->weight);
    float *sum = calloc((size_t)(length * factor), sizeof *sum);
    const bool there = a->begin && a->weight && sum;
    for (int64_t i = 0; i < a->tiles && there; i++) {
        a->begin[i] = a->tiles > 1 ? i * (length - a->size) / (a->tiles - 1) : 0;
        const float ramp = (float)(overlap * factor);
        for (int64_t p = 0; p < pixels; p++) {
            float w = 1.0f;
            if (i > 0 && (float)p + 0.5f < ramp) w = ((float)p + 0.5f) / ramp;
            if (i < a->tiles - 1 && (float)(pixels - p) - 0.5f < ramp) w = ((float)(pixels - p) - 0.5f) / ramp;
            a->weight[i * pixels + p] = w;
            sum[a->begin[i] * factor + p] += w;
        }
    }
    for (int64_t i = 0; i < a->tiles && there; i++)
        for (int64_t p = 0; p < pixels; p++) a->weight[i * pixels + p] /= sum[a->begin[i] * factor + p];
    free(sum);
    return there ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "out of memory for tiles");
}

static bool tiled(const brume_latent_coder *k) { return k->y.tiles * k->x.tiles > 1; }

static brume_status set_up(brume_latent_coder *k, const brume_autoencoder *a, const brume_latent_options *o)
{
    const int64_t f = brume_autoencoder_factor(&k->c), wide = k->c.block_out_channels[k->c.levels - 1];
    const int64_t count = brume_autoencoder_param_count(&k->c);
    if (k->height < 1 || k->width < 1 || o->overlap < 0)
        return brume_fail(BRUME_E_ARG, "latents of %lld x %lld and an overlap of %lld: sizes must be positive",
                          (long long)k->height, (long long)k->width, (long long)o->overlap);
    /* the text is there */
    if (count == 0) return brume_autoencoder_config_check(&k->c) != BRUME_OK ? BRUME_E_ARG : BRUME_E_MEMORY;
    if (count != a->n_params)
        return brume_fail(BRUME_E_ARG, "the autoencoder's config describes %lld parameters, it holds %lld", (long long)count,
                          (long long)a->n_params);
    int64_t tile = 0;
    uint64_t whole = 0;
    brume_status s = choose_tile(k, o, &tile, &whole);
    if (s == BRUME_OK) s = axis_new(&k->y, k->height, tile, k->overlap, f);
    if (s == BRUME_OK) s = axis_new(&k->x, k->width, tile, k->overlap, f);
    if (s == BRUME_OK) s = brume_buffer_new(k->device, (size_t)count * 4, &k->params);
    if (s == BRUME_OK) s = brume_buffer_write(k->params, 0, a->params, (size_t)count * 4);
    if (s != BRUME_OK || !tiled(k)) return s;
    k->features = malloc((size_t)(k->height * k->width * wide) * 4);
    k->piece = malloc((size_t)(k->y.size * k->x.size * wide) * 4);
    k->image = malloc((size_t)(k->y.size * k->x.size * f * f * k->c.out_channels) * 4);
    if (!k->features || !k->piece || !k->image) return brume_fail(BRUME_E_MEMORY, "out of memory for tiles");
    const int used =
        snprintf(k->note, sizeof k->note, "images are decoded in %lld x %lld tiles of %lld x %lld pixels", (long long)k->y.tiles,
                 (long long)k->x.tiles, (long long)(k->y.size * f), (long long)(k->x.size * f));
    if (whole)
        snprintf(k->note + used, sizeof k->note - (size_t)used, ", as activations of the whole would take %.1f MiB",
                 (double)whole / (1 << 20));
    return BRUME_OK;
}

brume_status brume_latent_coder_new(brume_device *d, const brume_autoencoder *a, int64_t height, int64_t width,
                                    const brume_latent_options *options, brume_latent_coder **out)
{
    const brume_latent_options none = { 0 };
    brume_latent_coder *k = calloc(1, sizeof *k);
    *out = NULL;
    if (!k) return brume_fail(BRUME_E_MEMORY, "out of memory for an autoencoder");
    if (!options) options = &none;
    k->device = d;
    k->c = a->config;
    k->height = height;
    k->width = width;
    k->overlap = options->overlap ? options->overlap : 8;
    const brume_status s = set_up(k, a, options);
    if (s != BRUME_OK) brume_latent_coder_free(k);
    else *out = k;
    return s;
}

void brume_latent_coder_free(brume_latent_coder *k)
{
    if (!k) return;
    network_free(&k->encode);
    network_free(&k->whole);
    network_free(&k->middle);
    network_free(&k->up);
    brume_buffer_free(k->params);
    free(k->y.begin);
    free(k->y.weight);
    free(k->x.begin);
    free(k->x.weight);
    free(k->features);
    free(k->piece);
    free(k->image);
    free(k);
}

const char *brume_latent_coder_note(const brume_latent_coder *k) { return k->note; }

/* Adds a tile, weighted, to the image. */
static void blend(const brume_latent_coder *k, int64_t i, int64_t j, float *image)
{
    const int64_t f = brume_autoencoder_factor(&k->c), c = k->c.out_channels, rows = k->y.size * f, columns = k->x.size * f;
    const float *wy = k->y.weight + i * rows, *wx = k->x.weight + j * columns, *from = k->image;
    for (int64_t y = 0; y < rows; y++) {
        float *to = image + ((k->y.begin[i] * f + y) * k->width * f + k->x.begin[j] * f) * c;
        for (int64_t x = 0; x < columns; x++) {
            const float w = wy[y] * wx[x];
            for (int64_t q = 0; q < c; q++) *to++ += w * *from++;
        }
    }
}

static brume_status decode_tiles(brume_latent_coder *k, const float *latent, float *image)
{
    const int64_t f = brume_autoencoder_factor(&k->c), wide = k->c.block_out_channels[k->c.levels - 1];
    brume_status s = need(k, &k->up, UP);
    if (s == BRUME_OK) s = need(k, &k->middle, MIDDLE);
    if (s == BRUME_OK) s = run(&k->middle, latent, k->features);
    memset(image, 0, (size_t)(k->height * f * k->width * f * k->c.out_channels) * 4);
    for (int64_t i = 0; i < k->y.tiles && s == BRUME_OK; i++)
        for (int64_t j = 0; j < k->x.tiles && s == BRUME_OK; j++) {
            for (int64_t y = 0; y < k->y.size; y++)
                memcpy(k->piece + y * k->x.size * wide, k->features + ((k->y.begin[i] + y) * k->width + k->x.begin[j]) * wide,
                       (size_t)(k->x.size * wide) * 4);
            s = run(&k->up, k->piece, k->image);
            if (s == BRUME_OK) blend(k, i, j, image);
        }
    return s;
}

brume_status brume_latent_coder_get_stats(brume_latent_coder *k, brume_plan_stats *stats)
{
    brume_status s = tiled(k) ? need(k, &k->up, UP) : need(k, &k->whole, WHOLE);
    if (s == BRUME_OK && tiled(k)) s = need(k, &k->middle, MIDDLE);
    if (s != BRUME_OK) return s;
    brume_plan_get_stats(tiled(k) ? k->up.p : k->whole.p, stats);
    stats->persistent_bytes = (uint64_t)brume_autoencoder_param_count(&k->c) * 4;
    if (!tiled(k)) return BRUME_OK;
    brume_plan_stats middle;
    brume_plan_get_stats(k->middle.p, &middle);
    stats->arena_bytes += middle.arena_bytes; /* beyond what it borrows */
    stats->packed_bytes += middle.packed_bytes;
    stats->input_bytes += middle.input_bytes;
    stats->flops = middle.flops + (double)(k->y.tiles * k->x.tiles) * stats->flops;
    return BRUME_OK;
}

brume_status brume_latent_coder_decode(brume_latent_coder *k, const float *latents, int64_t n, float *images)
{
    const int64_t f = brume_autoencoder_factor(&k->c), area = k->height * k->width;
    brume_status s = tiled(k) ? BRUME_OK : need(k, &k->whole, WHOLE);
    for (int64_t i = 0; i < n && s == BRUME_OK; i++) {
        const float *latent = latents + i * area * k->c.latent_channels;
        float *image = images + i * area * f * f * k->c.out_channels;
        s = tiled(k) ? decode_tiles(k, latent, image) : run(&k->whole, latent, image);
    }
    return s;
}

brume_status brume_latent_coder_moments(brume_latent_coder *k, const float *images, int64_t n, float *moments)
{
    const int64_t f = brume_autoencoder_factor(&k->c), area = k->height * k->width;
    brume_status s = need(k, &k->encode, ENCODE);
    for (int64_t i = 0; i < n && s == BRUME_OK; i++)
        s = run(&k->encode, images + i * area * f * f * k->c.in_channels, moments + i * area * 2 * k->c.latent_channels);
    return s;
}

/* The formula of brume_autoencoder_sample() on the host, where moments are kept. */
void brume_latents_sample(const brume_autoencoder_config *c, const float *moments, int64_t pixels, const float *eps,
                          float *latents)
{
    const int64_t channels = c->latent_channels;
    const float scale = (float)c->scaling_factor, shift = (float)(-c->shift_factor * c->scaling_factor);
    for (int64_t p = 0; p < pixels; p++, moments += 2 * channels)
        for (int64_t q = 0; q < channels; q++) {
            const float logvar = moments[channels + q] < -30.0f  ? -30.0f
                                 : moments[channels + q] > 20.0f ? 20.0f
                                                                 : moments[channels + q];
            const float z = eps ? moments[q] + expf(0.5f * logvar) * eps[p * channels + q] : moments[q];
            latents[p * channels + q] = z * scale + shift;
        }
}

brume_status brume_latent_coder_encode(brume_latent_coder *k, const float *images, int64_t n, const uint64_t *seeds,
                                       float *latents)
{
    const int64_t f = brume_autoencoder_factor(&k->c), area = k->height * k->width, count = area * k->c.latent_channels;
    float *moments = malloc((size_t)(3 * count) * sizeof *moments), *eps = moments ? moments + 2 * count : NULL;
    brume_status s = moments ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "out of memory for an image's latents");
    for (int64_t i = 0; i < n && s == BRUME_OK; i++) {
        if (seeds) brume_fill_normal(seeds[i], 0, 0, 0, count, eps);
        s = brume_latent_coder_moments(k, images + i * area * f * f * k->c.in_channels, 1, moments);
        if (s == BRUME_OK) brume_latents_sample(&k->c, moments, area, seeds ? eps : NULL, latents + i * count);
    }
    free(moments);
    return s;
}

brume_status brume_latents_decode(brume_device *d, const brume_autoencoder *a, const float *latents, brume_shape shape,
                                  const brume_latent_options *options, float *images, char note[256])
{
    brume_latent_coder *k = NULL;
    if (note) note[0] = 0;
    if (shape.ndim != 4 || shape.d[3] != a->config.latent_channels)
        return brume_fail(BRUME_E_SHAPE, "latents must be (N, h, w, %d), got %d dimensions, the last of %lld",
                          a->config.latent_channels, shape.ndim, shape.ndim > 0 ? (long long)shape.d[shape.ndim - 1] : 1);
    brume_status s = brume_latent_coder_new(d, a, shape.d[1], shape.d[2], options, &k);
    if (s == BRUME_OK && note) snprintf(note, 256, "%s", brume_latent_coder_note(k));
    if (s == BRUME_OK) s = brume_latent_coder_decode(k, latents, shape.d[0], images);
    brume_latent_coder_free(k);
    return s;
}
