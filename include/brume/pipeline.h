/* SPDX-License-Identifier: MIT
 * Text to image: what stands between a prompt and the denoiser of a brume_model. */
#ifndef BRUME_PIPELINE_H
#define BRUME_PIPELINE_H

#include "brume/api.h"
#include "brume/model.h"

BRUME_API_BEGIN

/** What cross-attention reads of some prompts, on the host. */
typedef struct brume_prompt_context {
    int64_t n, tokens, width; /**< N prompts, S ids each, X = hidden_size */
    float *context;           /**< (N, S, X) */
    int32_t *ids;             /**< (N, S) */
    int64_t *n_cut;           /**< (N): tokens at the end of a prompt for which there was no room; 0: all were read */
} brume_prompt_context;

/**
 * Runs m's tokenizer and text encoder on device d. The empty prompt "" is the usual null context of guidance.
 * A prompt's result does not depend on the others.
 * BRUME_E_UNSUPPORTED: m has no tokenizer or no text encoder; BRUME_E_SHAPE: its U-Net reads contexts of another width.
 */
brume_status brume_prompt_encode(brume_device *d, const brume_model *m, const char *const *prompts, int64_t n,
                                 brume_prompt_context **out);
/** Frees; NULL is fine. */
void brume_prompt_context_free(brume_prompt_context *p);

BRUME_API_END

#endif
