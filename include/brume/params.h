/* SPDX-License-Identifier: MIT
 * Parameters on the host: fresh values, and the way between a slab and the tensors of a file. */
#ifndef BRUME_PARAMS_H
#define BRUME_PARAMS_H

#include <stdbool.h>

#include "brume/api.h"
#include "brume/graph.h"
#include "brume/weights.h"

BRUME_API_BEGIN

/** Elements of a slab (trainable or not). */
int64_t brume_params_numel(const brume_graph *g, brume_tensor slab);

/**
 * Fills host (brume_params_numel() floats, laid out like the slab) with fresh values as diffusers draws them: weights and biases
 * U(-b, b), b = 1 / sqrt(fan_in), norms 1 and 0, embeddings N(0, 1). Parameter i uses Philox stream i of the seed, so the values
 * are the same on every machine.
 */
void brume_params_init(const brume_graph *g, brume_tensor slab, uint64_t seed, float *host);

/**
 * Where the parameters of a slab come from, one at a time, so that no copy of all of them need be on the host.
 * read: values of p, number i of the slab, laid out as inside
 */
typedef struct brume_params_source {
    void *ctx; /**< handed to read */
    brume_status (*read)(void *ctx, const brume_param_info *p, int i, float *to); /**< see above */
} brume_params_source;
/** read of fresh values, those of brume_params_init(): seed points at an uint64_t. */
brume_status brume_params_fresh(void *seed, const brume_param_info *p, int i, float *to);

/** One parameter from the file's layout to the one inside (see brume_layout), and back. Arrays of numel(info->shape) that do not
 * overlap. */
void brume_param_from_file(const brume_param_info *info, const float *file, float *inside);
void brume_param_to_file(const brume_param_info *info, const float *inside, float *file);
/** Shape in the file: (O, I, kh, kw) for (kh, kw, I, O); (O, I) for (I, O). */
brume_shape brume_param_file_shape(const brume_param_info *info);

/**
 * Fills host from a weights file. Names of old attention blocks (query, key, value, proj_attn) and their [C, C, 1, 1] weights are
 * accepted. BRUME_E_FORMAT names every parameter that is missing or has another shape (the first few, and how many).
 * note   may be NULL; receives a sentence on tensors that hold NaN or infinite values (they are loaded as they are) and one on
 *        tensors of the file that the model does not have (they are ignored), or ""
 */
brume_status brume_params_load(const brume_graph *g, brume_tensor slab, const brume_weights *w, float *host, char note[512]);

/** Whether that would find every parameter in its shape, before memory is given to them: the same errors. */
brume_status brume_params_check(const brume_graph *g, brume_tensor slab, const brume_weights *w);

/** The tensor of a file that holds a parameter, under its name or an older one (see above); NULL: none. Its shape is not looked
 * at. */
const brume_st_tensor *brume_params_find(const brume_weights *w, const char *name);
/** Whether a tensor of published files says nothing about the models that brume builds. */
bool brume_params_idle(const char *name);

/** Writes a safetensors file of f32 tensors, named and laid out as diffusers expects. Whole or absent, never torn. */
brume_status brume_params_save(const brume_graph *g, brume_tensor slab, const float *host, const char *path);

BRUME_API_END

#endif
