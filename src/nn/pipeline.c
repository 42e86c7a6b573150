/* SPDX-License-Identifier: MIT
 * Prompts to contexts. */
#include "brume/pipeline.h"

#include <stdlib.h>

#include "base/fail.h"

static brume_status encode(brume_text_run *e, const brume_model *m, const char *prompt, int64_t i, brume_prompt_context *p)
{
    brume_encoding fit;
    int32_t *ids = p->ids + i * p->tokens;
    brume_status s = brume_tokenizer_encode(m->tokenizer, prompt, ids, &fit);
    if (s != BRUME_OK) return s;
    p->n_cut[i] = fit.n_cut;
    for (int64_t k = 0; k < p->tokens; k++)
        if (ids[k] >= m->text_encoder->config.vocab_size)
            return brume_fail(BRUME_E_ARG, "the tokenizer makes id %d, but the text encoder has a vocab_size of %d", ids[k],
                              m->text_encoder->config.vocab_size);
    return brume_text_run_encode(e, ids, p->context + p->tokens * p->width * i);
}

static brume_status check(const brume_model *m, const char *const *prompts, int64_t n)
{
    if (!m->tokenizer || !m->text_encoder)
        return brume_fail(BRUME_E_UNSUPPORTED, "the model has no %s, so it reads no prompts",
                          m->tokenizer ? "text encoder" : "tokenizer");
    const int64_t reads = brume_unet2d_context_dim(&m->unet), makes = m->text_encoder->config.hidden_size;
    if (reads && reads != makes)
        return brume_fail(BRUME_E_SHAPE, "the U-Net reads contexts of width %lld, the text encoder makes %lld", (long long)reads,
                          (long long)makes);
    if (n < 1) return brume_fail(BRUME_E_ARG, "expected at least one prompt, got %lld", (long long)n);
    for (int64_t i = 0; i < n; i++)
        if (!prompts[i]) return brume_fail(BRUME_E_ARG, "prompt %lld is missing; the empty prompt is \"\"", (long long)i);
    return BRUME_OK;
}

static brume_status context_new(const brume_model *m, int64_t n, brume_prompt_context **out)
{
    brume_prompt_context *p = *out = calloc(1, sizeof *p);
    if (!p) return brume_fail(BRUME_E_MEMORY, "out of memory for prompts");
    p->n = n;
    p->tokens = brume_tokenizer_max_length(m->tokenizer);
    p->width = m->text_encoder->config.hidden_size;
    p->context = calloc((size_t)(n * p->tokens * p->width), sizeof *p->context);
    p->ids = calloc((size_t)(n * p->tokens), sizeof *p->ids);
    p->n_cut = calloc((size_t)n, sizeof *p->n_cut);
    return p->context && p->ids && p->n_cut ? BRUME_OK
                                            : brume_fail(BRUME_E_MEMORY, "out of memory for %lld prompts", (long long)n);
}

brume_status brume_prompt_encode(brume_device *d, const brume_model *m, const char *const *prompts, int64_t n,
                                 brume_prompt_context **out)
{
    brume_text_run *e = NULL;
    *out = NULL;
    brume_status s = check(m, prompts, n);
    if (s != BRUME_OK) return s;
    s = context_new(m, n, out);
    if (s == BRUME_OK) s = brume_text_run_new(d, &m->text_encoder->config, m->text_encoder->params, (int32_t)(*out)->tokens, &e);
    for (int64_t i = 0; i < n && s == BRUME_OK; i++) s = encode(e, m, prompts[i], i, *out);
    brume_text_run_free(e);
    if (s != BRUME_OK) {
        brume_prompt_context_free(*out);
        *out = NULL;
    }
    return s;
}

void brume_prompt_context_free(brume_prompt_context *p)
{
    if (!p) return;
    free(p->context);
    free(p->ids);
    free(p->n_cut);
    free(p);
}
