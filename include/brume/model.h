/* SPDX-License-Identifier: MIT
 * Models on disk: diffusers folders with a UNet2DModel or UNet2DConditionModel, its weights and its scheduler; and a network as a
 * denoiser for samplers. */
#ifndef BRUME_MODEL_H
#define BRUME_MODEL_H

#include "brume/api.h"
#include "brume/autoencoder.h"
#include "brume/device.h"
#include "brume/params.h"
#include "brume/plan.h"
#include "brume/sampler.h"
#include "brume/schedule.h"
#include "brume/text_encoder.h"
#include "brume/tokenizer.h"
#include "brume/unet2d.h"

BRUME_API_BEGIN

/** A model on the host: configs and weights of a folder. */
typedef struct brume_model {
    brume_unet2d_config unet;         /**< of the denoiser, or the classifier */
    brume_scheduler_config scheduler; /**< defaults if has_scheduler is 0 */
    int has_scheduler;                /**< 0: the folder has no scheduler_config.json */
    int64_t n_params;                 /**< floats in params */
    float *params;                    /**< n_params values laid out like the slab of brume_unet2d() */
    brume_autoencoder *autoencoder;   /**< of latent diffusion, in vae/, owned; or NULL: the U-Net makes images itself */
    brume_text_model *text_encoder;   /**< in text_encoder/, owned; or NULL */
    brume_tokenizer *tokenizer;       /**< in tokenizer/, owned; or NULL. After loading its texts are no longer than the text
                                           encoder takes */
    char note[1536];                  /**< what was ignored while loading, or "" */
} brume_model;

/** A fresh model: params as brume_params_init(seed). scheduler may be NULL. */
brume_status brume_model_new(const brume_unet2d_config *c, const brume_scheduler_config *scheduler, uint64_t seed,
                             brume_model **out);

/**
 * Loads a folder: a pipeline (model_index.json with unet/ and scheduler/), a flat pipeline (all files in one folder), or a bare
 * model (config.json and weights; a scheduler_config.json beside them or in scheduler/ is taken). Sharded and f16/bf16 weights
 * too.
 * variant   NULL, or which weights: "fp16", "non_ema", ...
 * Errors name the file and the key or tensor. BRUME_E_UNSUPPORTED: another class of model, named.
 */
brume_status brume_model_load(const char *folder, const char *variant, brume_model **out);

/**
 * Writes a pipeline folder that diffusers loads: model_index.json, unet/config.json, unet/diffusion_pytorch_model.safetensors,
 * scheduler/scheduler_config.json, and the other parts that m has, in vae/, text_encoder/ and tokenizer/.
 * With all of these and a UNet2DConditionModel it is a StableDiffusionPipeline; with some a "BrumePipeline", whose parts load one
 * by one. Folders are created; each file is whole or as it was before.
 */
brume_status brume_model_save(const brume_model *m, const char *folder);
void brume_model_free(brume_model *m);
/**
 * 64 bits that tell whether all weights (U-Net, autoencoder, text encoder) equal those of another model, whatever files they came
 * from; no protection against forgery. params must be there. The configs do not count but for the sizes.
 */
uint64_t brume_model_fingerprint(const brume_model *m);
/** Frees the parameters alone, once they are on a device: params becomes NULL. */
void brume_model_drop_params(brume_model *m);

/**
 * Classifier-free guidance (Ho & Salimans 2022): e = e_u + scale (e_c - e_u), the same in eps, x0, v, score or flow. The paper's
 * own weight w is scale - 1: (1 + w) e_c - w e_u, see brume_guidance_from_w().
 */
typedef struct brume_guidance {
    double scale;          /**< 1: no guidance, one network call for N images; else one call for 2 N, [uncond, cond] */
    double rescale;        /**< phi: part of the result whose standard deviation per image is brought back to that of e_c (Lin et
                                al. 2023, eqs. 15, 16) */
    double sigma_lo, sigma_hi; /**< guide only where s / a is within (Kynkaanniemi et al. 2024); sigma_hi = 0: everywhere */
} brume_guidance;

/** How a network is asked by a sampler. */
typedef struct brume_unet2d_denoiser_options {
    brume_prediction prediction_type; /**< what the network predicts */
    const int32_t *labels;     /**< N class numbers, or NULL for an unconditional model; copied */
    int32_t null_label;        /**< the class that stands for "no class" in guidance (by custom the last row), or the negative
                                    condition */
    const float *context;      /**< (N, tokens, brume_unet2d_context_dim()) for a model with cross-attention, else NULL; copied */
    int64_t tokens;            /**< rows of the context per image, >= 1 */
    const float *null_context; /**< with guidance: the context that stands for "none", or the negative one; copied */
    bool null_context_each;    /**< false: null_context is (tokens, X), the same for all images; true: (N, tokens, X) */
    brume_guidance guidance;   /**< scale 1: none */
    brume_buffer *weights;     /**< NULL, or a buffer of d that holds the parameters and outlives the denoiser: no copy is made,
                                    params is ignored, and every call sees its values of that time */
    brume_params_source source; /**< where parameters come from, one by one, if params is NULL */
    brume_storage storage;     /**< f16: weights (where they are a copy) and what waits within the network, see
                                    brume_store_half() */
    const brume_plan *arena;   /**< see brume_plan_options.arena */
    bool derivative;           /**< plans the product with the Jacobian, too (brume_denoiser.vjp: likelihoods); no guidance
                                    then */
} brume_unet2d_denoiser_options;

/** A U-Net planned for a batch on a device, as samplers ask it. */
typedef struct brume_unet2d_denoiser brume_unet2d_denoiser;

/** The scale of the paper's weight w: 1 + w. */
double brume_guidance_from_w(double w);

/**
 * Plans the network for images (N, H, W, C). params: the slab on the host (copied to the device: the caller may free it), see
 * brume_model.params; NULL where options name another origin.
 * d must outlive it.
 */
brume_status brume_unet2d_denoiser_new(brume_device *d, const brume_unet2d_config *c, const float *params, brume_shape images,
                                       const brume_unet2d_denoiser_options *o, brume_unet2d_denoiser **out);
void brume_unet2d_denoiser_free(brume_unet2d_denoiser *n);
/** Other labels (N) for the next run. */
brume_status brume_unet2d_denoiser_set_labels(brume_unet2d_denoiser *n, const int32_t *labels);
/** Other contexts for the next run, laid out as in the options; null_context may be NULL without guidance. */
brume_status brume_unet2d_denoiser_set_context(brume_unet2d_denoiser *n, const float *context, const float *null_context,
                                               bool null_context_each);
/** Memory and work of one network call. */
void brume_unet2d_denoiser_get_stats(const brume_unet2d_denoiser *n, brume_plan_stats *stats);
/** The plan of one network call, for profiles; owned by n. Its inputs are those of the last call. */
brume_plan *brume_unet2d_denoiser_plan(brume_unet2d_denoiser *n);
/** What brume_sampler_run() takes; owned by n. */
const brume_denoiser *brume_unet2d_denoiser_get(const brume_unet2d_denoiser *n);

BRUME_API_END

#endif
