/* SPDX-License-Identifier: MIT
 * Low-rank adapters (LoRA, Hu et al. 2022) on the linear layers of attention: built beside frozen weights, merged into them, and
 * on disk. */
#ifndef BRUME_LORA_H
#define BRUME_LORA_H

#include "brume/api.h"
#include "brume/graph.h"

BRUME_API_BEGIN

struct brume_model; /* brume/model.h */

#define BRUME_LORA_MAX_RANK 4096
/** The file within a run or a folder, as diffusers names it. */
#define BRUME_LORA_FILE "pytorch_lora_weights.safetensors"

/**
 * What a network under construction adds to every to_q, to_k, to_v and to_out.0 of its attention (of text encoders q_proj,
 * k_proj, v_proj and out_proj): y = x W + bias + alpha / rank (x A) B (Hu et al. 2022, sec. 4.1).
 *
 * A (I, rank) begins as U(-b, b), b = 1 / sqrt(I), which is kaiming_uniform(a = sqrt 5), what peft and kohya draw; B (rank, O)
 * begins as zero, so that a fresh adapter changes nothing. Both are parameters of a slab of their own: brume_grad_slab() of it
 * leaves the network's weights alone. They are named as diffusers' files do:
 * "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight", ... ".lora_B.weight".
 */
typedef struct brume_lora {
    brume_tensor slab;        /**< that holds A and B of every layer */
    int32_t rank;             /**< 1 .. BRUME_LORA_MAX_RANK, else BRUME_E_ARG sticks to the graph */
    double alpha;             /**< the product is scaled by alpha / rank */
} brume_lora;

/**
 * Merges the adapters of a slab into the weights that they stand beside: W += scale alpha / rank A B, every sum in double and
 * rounded once.
 * adapters  host values of l->slab, a slab of g
 * params    host values of the slab `weights` of g, changed in place
 * BRUME_E_ARG: an adapter has no weight in that slab; BRUME_E_MEMORY.
 */
brume_status brume_lora_add(const brume_graph *g, const brume_lora *l, const float *adapters, double scale, brume_tensor weights,
                            float *params);

/** Names and layout of adapters in a file. */
typedef enum brume_lora_format {
    BRUME_LORA_DIFFUSERS = 0, /**< what diffusers' load_lora_weights() and peft read; there alpha is the rank, so B is written
                                   times alpha / rank */
    BRUME_LORA_KOHYA          /**< "lora_unet_..._to_q.lora_down.weight", ".lora_up.weight" and ".alpha": kohya's sd-scripts and
                                   most user interfaces */
} brume_lora_format;
/** "diffusers", "kohya". */
const char *brume_lora_format_name(brume_lora_format f);

/** Writes the adapters of a slab as safetensors, f32. The file is whole or as it was before. */
brume_status brume_lora_save(const char *path, const brume_graph *g, const brume_lora *l, const float *adapters,
                             brume_lora_format format);

/**
 * Merges a file of adapters into the weights of a model on the host (U-Net and text encoder): W += scale alpha / rank B A.
 *
 * path   a safetensors file, or a folder that holds BRUME_LORA_FILE. Names of diffusers (lora_A / lora_B, lora.down / lora.up,
 *        processor.to_q_lora, lora_linear_layer) and of kohya are read. Alpha: the file's, in kohya's tensors or in diffusers'
 *        metadata; where it has none, the rank. Adapters of any linear layer or convolution are merged, not of attention alone.
 * note   may be NULL; receives how many layers changed, the ranks, and whether tensors hold NaN or infinite values
 *
 * Nothing is ignored, and nothing is changed unless everything fits. BRUME_E_FORMAT names the tensor: half of an adapter is
 * missing, ranks or shapes do not fit. BRUME_E_UNSUPPORTED: a tensor that is no low-rank adapter (DoRA, LoHa, LoKr, ...), or
 * belongs to a layer that the model has not.
 */
brume_status brume_lora_merge(struct brume_model *m, const char *path, double scale, char note[256]);

BRUME_API_END

#endif
