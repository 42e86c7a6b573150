/* SPDX-License-Identifier: MIT
 * Model files of other programs as diffusers folders, and back. */
#ifndef BRUME_CONVERT_H
#define BRUME_CONVERT_H

#include <stdbool.h>
#include <stdint.h>

#include "brume/api.h"
#include "brume/safetensors.h"

BRUME_API_BEGIN

/** What the tensors of a file do not tell. */
typedef struct brume_convert_options {
    bool keep_dtype;           /**< weights in the types of the file (F32, F16, BF16; others become F32) */
    brume_st_dtype dtype;      /**< unless keep_dtype: F32, F16 or BF16 */
    int32_t heads;             /**< attention heads of every level, or 0 */
    int32_t head_channels;     /**< or channels of a head, or 0; one of the two must be given where there is attention */
    bool new_attention_order;  /**< q, k, v outermost in the stacked projection (guided-diffusion's use_new_attention_order);
                                    false: the heads */
    int32_t image_size;        /**< height and width that the model was made for; 0: unknown */
    const char *schedule;      /**< of denoising-diffusion-pytorch "sigmoid" (NULL), "cosine" or "linear" in its sense; of others
                                    "linear" or "squaredcos_cap_v2", or another beta_schedule; NULL: "linear"; of a single file
                                    its betas, or Stable Diffusion's "scaled_linear" from 0.00085 to 0.012 */
    int32_t timesteps;         /**< training time steps; 0: 1000, or as many as the file has betas */
    const char *prediction;    /**< "epsilon", "sample" or "v_prediction"; NULL: epsilon, but v_prediction of Stable Diffusion 2.x
                                    with 4 channels */
    bool self_condition;       /**< of denoising-diffusion-pytorch with equal channels in and out: half of those in are for an
                                    estimate of x0 */
    /* of single files: */
    bool averages;             /**< the network's moving averages ("model_ema.") */
    int32_t text_heads;        /**< attention heads of the text encoder; 0: as many as there are 64 channels */
    const char *tokenizer;     /**< NULL, or the folder of the tokenizer that goes into the result */
    const char *variant;       /**< of a folder: NULL, or which weights: "fp16", ... */
} brume_convert_options;

/**
 * Reads a safetensors file with the state dict of a U-Net of improved-diffusion or guided-diffusion (input_blocks, middle_block,
 * output_blocks) or denoising-diffusion-pytorch (downs, ups), or a single file of latent-diffusion or Stable Diffusion 1.x or 2.x
 * (model.diffusion_model, first_stage_model, cond_stage_model), and writes a pipeline folder with a UNet2DModel,
 * UNet2DConditionModel or BrumeLucidrainsUnet and, from single files, an AutoencoderKL and a CLIPTextModel, tensor by tensor: the
 * weights are never in memory all at once. note receives what was assumed and what is wanting. Nothing is written unless every
 * tensor of the file has its place. BRUME_E_FORMAT: a layout that nobody knows, or a tensor of the layout is missing, named.
 * BRUME_E_UNSUPPORTED: a tensor that has no counterpart in these models, named.
 * BRUME_E_ARG: heads are needed, or do not divide; a tokenizer that does not go with the text encoder.
 */
brume_status brume_convert_to_folder(const char *file, const char *folder, const brume_convert_options *o, char note[512]);

/**
 * The way back from a folder with unet (a UNet2DConditionModel), vae and text_encoder to a single file as Stable Diffusion 1.x
 * has it, or with an OpenCLIP text encoder (hidden_act "gelu") as 2.x. The file holds the schedule's betas and, where it is not
 * 0.18215, the scale of the latents, too. Of o only types and variant count. note receives what the file cannot hold. Converted
 * to a folder again, the weights have the same bits. BRUME_E_UNSUPPORTED: a key of a config, or a tensor, that has no counterpart
 * there, named. BRUME_E_IO: a part is not there.
 */
brume_status brume_convert_to_single(const char *folder, const char *file, const brume_convert_options *o, char note[512]);

BRUME_API_END

#endif
