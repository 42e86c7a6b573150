/* SPDX-License-Identifier: MIT
 * The autoencoder of latent diffusion (Rombach et al. 2022): diffusers' AutoencoderKL, described by its config.json. */
#ifndef BRUME_AUTOENCODER_H
#define BRUME_AUTOENCODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "brume/api.h"
#include "brume/device.h"
#include "brume/graph.h"
#include "brume/ops.h"
#include "brume/plan.h"

BRUME_API_BEGIN

/** Most levels of resolution; configs with more are refused. */
#define BRUME_AUTOENCODER_MAX_LEVELS 10

/** Keys of config.json under their own names; defaults are those of diffusers. */
typedef struct brume_autoencoder_config {
    int32_t in_channels, out_channels; /**< 3, 3 */
    int32_t levels;                    /**< L = length of block_out_channels, 1 .. BRUME_AUTOENCODER_MAX_LEVELS; every level but
                                            the last halves the size. All are DownEncoderBlock2D and UpDecoderBlock2D: resnets
                                            without attention */
    int32_t block_out_channels[BRUME_AUTOENCODER_MAX_LEVELS]; /**< 64 */
    int32_t layers_per_block;          /**< 1; resnets of a level of the encoder, one less than of the decoder */
    brume_act act_fn;                  /**< BRUME_ACT_SILU */
    int32_t latent_channels;           /**< Z = 4 */
    int32_t norm_num_groups;           /**< 32 */
    int32_t sample_size;               /**< 32; informative only */
    double scaling_factor;             /**< 0.18215: latents are (z - shift_factor) scaling_factor; not part of encode and
                                            decode */
    double shift_factor;               /**< 0 = null */
    bool force_upcast;                 /**< true; kept for other programs, brume computes in f32 anyway */
    bool use_quant_conv, use_post_quant_conv; /**< true */
    bool mid_block_add_attention;      /**< true */
} brume_autoencoder_config;

/** Fills the defaults above: one level of 64. */
void brume_autoencoder_config_default(brume_autoencoder_config *c);
/** BRUME_E_ARG names the key, what was expected and what it holds. */
brume_status brume_autoencoder_config_check(const brume_autoencoder_config *c);
/**
 * Reads a config.json (checked as above); missing keys take their defaults.
 * where   named in messages (a path)
 * note    may be NULL; receives a sentence that lists keys nobody knows (they are ignored), or ""
 * BRUME_E_FORMAT: not JSON, or a value of the wrong kind; BRUME_E_UNSUPPORTED: another class, a block type that brume does not
 * build (named), or latents_mean and latents_std that are not null.
 */
brume_status brume_autoencoder_config_parse(const char *text, size_t length, const char *where, brume_autoencoder_config *c,
                                            char note[512]);
brume_status brume_autoencoder_config_read(const char *path, brume_autoencoder_config *c, char note[512]);
/** Writes config.json with every key, so that diffusers loads it. The file is whole or, on failure, untouched. */
brume_status brume_autoencoder_config_write(const char *path, const brume_autoencoder_config *c);

/** An image has this many times the height and width of its latent: 2^(L-1). */
int64_t brume_autoencoder_factor(const brume_autoencoder_config *c);

/**
 * Appends the encoder. The first call for a slab declares the parameters of the complete autoencoder, encoder, decoder and both
 * 1x1 convolutions, named as in diffusers' files: graphs of either half, or of both, have the same layout.
 * x   (N, H, W, in_channels), in [-1, 1] by custom; H, W >= brume_autoencoder_factor(), an odd last row or column of a level is
 *     dropped
 * Returns the moments (N, H / f, W / f, 2 Z): mean, then ln of the variance, not clamped; BRUME_NONE once g holds an error.
 */
brume_tensor brume_autoencoder_encode(brume_graph *g, const brume_autoencoder_config *c, brume_tensor slab, brume_tensor x);
/** Appends the decoder, parameters as above. z (N, h, w, Z), not scaled. Returns (N, f h, f w, out_channels). */
brume_tensor brume_autoencoder_decode(brume_graph *g, const brume_autoencoder_config *c, brume_tensor slab, brume_tensor z);
/**
 * The decoder in two parts, so that the second, whose images are large, may run on pieces: z (N, h, w, Z) to features (N, h, w,
 * C) of the lowest level, attention included; and these to the image. One after the other they are brume_autoencoder_decode().
 */
brume_tensor brume_autoencoder_decode_middle(brume_graph *g, const brume_autoencoder_config *c, brume_tensor slab,
                                             brume_tensor z);
brume_tensor brume_autoencoder_decode_up(brume_graph *g, const brume_autoencoder_config *c, brume_tensor slab,
                                         brume_tensor features);

/** Parts of moments (N, h, w, 2 Z): (N, h, w, Z); ln of the variance is clamped to [-30, 20]. */
brume_tensor brume_autoencoder_mean(brume_graph *g, brume_tensor moments);
brume_tensor brume_autoencoder_logvar(brume_graph *g, brume_tensor moments);
/** z = mean + exp(logvar / 2) eps (Kingma & Welling 2014); eps (N, h, w, Z) of unit normal noise. */
brume_tensor brume_autoencoder_sample(brume_graph *g, brume_tensor moments, brume_tensor eps);
/** KL(N(mean, exp(logvar)) || N(0, 1)) = sum (mean^2 + exp(logvar) - 1 - logvar) / 2 per image, in nats: (N). */
brume_tensor brume_autoencoder_kl(brume_graph *g, brume_tensor moments);

/** Number of parameters; 0 if the config cannot be built: see brume_error(). */
int64_t brume_autoencoder_param_count(const brume_autoencoder_config *c);

/** An autoencoder on the host. */
typedef struct brume_autoencoder {
    brume_autoencoder_config config;   /**< what the parameters are of */
    int64_t n_params;                  /**< floats in params */
    float *params;                     /**< n_params values laid out like the slab */
} brume_autoencoder;

/** Fresh parameters as brume_params_init(seed). */
brume_status brume_autoencoder_new(const brume_autoencoder_config *c, uint64_t seed, brume_autoencoder **out);
/**
 * Loads config.json and weights of a folder, or of its sub-folder vae (pipelines). Legacy names of attention, shards, f16 and
 * bf16 are read, too.
 * variant   NULL, or which weights: "fp16", ...
 * note      may be NULL; receives what was ignored, or ""
 */
brume_status brume_autoencoder_load(const char *folder, const char *variant, brume_autoencoder **out, char note[1100]);
/** Writes config.json and diffusion_pytorch_model.safetensors into the folder, which is made if missing. */
brume_status brume_autoencoder_save(const brume_autoencoder *a, const char *folder);
void brume_autoencoder_free(brume_autoencoder *a);

/** How images are decoded. All zero: whole, whatever that takes. */
typedef struct brume_latent_options {
    uint64_t memory_limit;             /**< bytes of activations that decoding may take; beyond, it goes in tiles. 0: no limit */
    int64_t tile;                      /**< side of a tile in latent pixels; 0: the largest that memory_limit allows */
    int64_t overlap;                   /**< latent pixels that neighbouring tiles share at least; 0: 8 */
} brume_latent_options;

/** An autoencoder on a device, for latents of one size. */
typedef struct brume_latent_coder brume_latent_coder;

/**
 * Plans for latents (height, width); images have f = brume_autoencoder_factor() times that. Parameters are copied to d, which
 * must outlive the coder; a may be freed. options may be NULL.
 *
 * In tiles, only the decoder's way up is cut: the middle with its attention sees the whole latent. Neighbours are blended
 * linearly over what they share. What remains different from the whole are the statistics of group normalisation, which are those
 * of a tile (and, close to a seam, zeros beyond the tile's edge, where its weight goes to 0). The smaller a tile the more: 6% of
 * the image's root mean square were measured with random weights and white latents in tiles of 24 x 24 latent pixels, away from
 * seams.
 * BRUME_E_MEMORY: not even tiles of 3 overlaps fit, with need and limit. BRUME_E_ARG: a tile that is not larger than 2 overlaps.
 */
brume_status brume_latent_coder_new(brume_device *d, const brume_autoencoder *a, int64_t height, int64_t width,
                                    const brume_latent_options *options, brume_latent_coder **out);
void brume_latent_coder_free(brume_latent_coder *c);
/** "" or that and how images are decoded in tiles, to be told to the user. Owned by c. */
const char *brume_latent_coder_note(const brume_latent_coder *c);
/** Memory and work of decoding one image (plans are made if none has been decoded yet): arena_bytes of the largest plan, flops of
 * all tiles. */
brume_status brume_latent_coder_get_stats(brume_latent_coder *c, brume_plan_stats *stats);
/** n latents (n, h, w, Z), as a diffusion model makes them, to images (n, f h, f w, out_channels): decode(latents /
 * scaling_factor + shift_factor). */
brume_status brume_latent_coder_decode(brume_latent_coder *c, const float *latents, int64_t n, float *images);
/**
 * n images (n, f h, f w, in_channels) to latents: (z - shift_factor) scaling_factor, always whole. seeds: z of image i is a
 * sample with noise brume_fill_normal(seeds[i], 0, 0, ...); NULL: z is the mean.
 */
brume_status brume_latent_coder_encode(brume_latent_coder *c, const float *images, int64_t n, const uint64_t *seeds,
                                       float *latents);
/** n images (n, f h, f w, in_channels) to moments (n, h, w, 2 Z), see brume_autoencoder_encode(). Those of an image have the same
 * bits in any call. */
brume_status brume_latent_coder_moments(brume_latent_coder *c, const float *images, int64_t n, float *moments);
/** What encode makes of the moments (pixels, 2 Z): latents (pixels, Z) with noise eps (pixels, Z), or, if that is NULL, of the
 * mean. */
void brume_latents_sample(const brume_autoencoder_config *c, const float *moments, int64_t pixels, const float *eps,
                          float *latents);

/** All of it at once: latents of shape (N, h, w, Z) to images; note may be NULL, see brume_latent_coder_note(). */
brume_status brume_latents_decode(brume_device *d, const brume_autoencoder *a, const float *latents, brume_shape shape,
                                  const brume_latent_options *options, float *images, char note[256]);

BRUME_API_END

#endif
