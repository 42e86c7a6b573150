/* SPDX-License-Identifier: MIT
 * Model files of other programs as diffusers folders. */
#ifndef BRUME_CONVERT_H
#define BRUME_CONVERT_H

#include <stdbool.h>
#include <stdint.h>

#include "brume/safetensors.h"

/** What the tensors of a file do not tell. */
typedef struct brume_convert_options {
    bool keep_dtype;           /**< weights in the types of the file (F32, F16, BF16; others become F32) */
    brume_st_dtype dtype;      /**< unless keep_dtype: F32, F16 or BF16 */
    int32_t heads;             /**< attention heads of every level, or 0 */
    int32_t head_channels;     /**< or channels of a head, or 0; one of the two must be given where there is attention */
    bool new_attention_order;  /**< q, k, v outermost in the stacked projection (guided-diffusion's use_new_attention_order); false: the heads */
    int32_t image_size;        /**< height and width that the model was made for; 0: unknown */
    const char *schedule;      /**< "linear" or "squaredcos_cap_v2", or another beta_schedule; NULL: "linear" */
    int32_t timesteps;         /**< training time steps; 0: 1000 */
    const char *prediction;    /**< "epsilon" (NULL), "sample" or "v_prediction" */
} brume_convert_options;

/**
 * Reads a safetensors file with the state dict of a U-Net of improved-diffusion or guided-diffusion (input_blocks, middle_block,
 * output_blocks) and writes a pipeline folder with a UNet2DModel, tensor by tensor: the weights are never in memory all at once.
 * note receives what was assumed. Nothing is written unless every tensor of the file has its place.
 * BRUME_E_FORMAT: a layout that nobody knows, or a tensor of the layout is missing, named. BRUME_E_UNSUPPORTED: a tensor that has no
 * counterpart in UNet2DModel, named; all of denoising-diffusion-pytorch is (it normalises behind each convolution).
 * BRUME_E_ARG: heads are needed, or do not divide.
 */
brume_status brume_convert_to_folder(const char *file, const char *folder, const brume_convert_options *o, char note[512]);

#endif
