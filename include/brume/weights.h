/* SPDX-License-Identifier: MIT
 * The weights of a model folder: one safetensors file, or an index with shards, behind one interface. */
#ifndef BRUME_WEIGHTS_H
#define BRUME_WEIGHTS_H

#include "brume/api.h"
#include "brume/safetensors.h"

BRUME_API_BEGIN

/** Tensors of a file, or of all shards that an index names. */
typedef struct brume_weights brume_weights;

/**
 * Opens the weights of a folder. stem: "diffusion_pytorch_model" (diffusers) or "model" (transformers). Looked for, in this
 * order:
 *   STEM.safetensors.index.json and its shards;  STEM.safetensors;  the only variant (STEM.fp16.safetensors, ...) of the folder.
 * variant: NULL, or "fp16", "non_ema", ... to take that one only. folder may also be a .safetensors file; stem is then ignored.
 * An index is refused (BRUME_E_FORMAT) that names files outside of the folder, by paths or by links (but for those of Hugging
 * Face's cache), tensors that are not where it says, or one that two of its shards hold.
 * Pickled weights (.bin) alone are refused with BRUME_E_UNSUPPORTED. Errors list what was looked for.
 */
brume_status brume_weights_open(const char *folder, const char *stem, const char *variant, brume_weights **out);
/** Closes; NULL is fine. Tensor descriptions go with it. */
void brume_weights_close(brume_weights *w);

/** Number of tensors, over all shards. */
int64_t brume_weights_count(const brume_weights *w);
/** Tensor i = 0 .. count - 1; NULL outside. */
const brume_st_tensor *brume_weights_at(const brume_weights *w, int64_t i);
/** The tensor of that name, or NULL. Its values: brume_st_read_f32(). */
const brume_st_tensor *brume_weights_find(const brume_weights *w, const char *name);
/** Number of files, and the i-th path. */
int brume_weights_files(const brume_weights *w);
const char *brume_weights_file(const brume_weights *w, int i);

BRUME_API_END

#endif
