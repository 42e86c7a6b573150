/* SPDX-License-Identifier: MIT
 * Prompts to contexts. */
#include "brume/pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/params.h"

/* The text encoder for one prompt at a time: what a prompt becomes depends on nothing else. */
struct encoder {
    brume_graph *g;
    brume_plan *plan;
    brume_tensor ids, hidden;
};

static void encoder_close(struct encoder *e)
{
    brume_plan_free(e->plan);
    brume_graph_free(e->g);
}

static brume_status encoder_open(struct encoder *e, brume_device *d, const brume_text_model *m, int64_t tokens)
{
    *e = (struct encoder){ .g = brume_graph_new() };
    if (!e->g) return brume_fail(BRUME_E_MEMORY, "out of memory for a text encoder");
    const brume_tensor slab = brume_slab(e->g, "params");
    e->ids = brume_input(e->g, "ids", BRUME_I32, BRUME_SHAPE(1, tokens));
    e->hidden = brume_text_encoder(e->g, &m->config, slab, "", e->ids);
    brume_output(e->g, e->hidden, "context");
    brume_status s = brume_graph_status(e->g);
    if (s != BRUME_OK) return brume_fail(s, "%s", brume_graph_error(e->g));
    s = brume_plan_new(d, e->g, NULL, &e->plan);
    /* A projection lies behind the parameters that this graph reads. */
    return s == BRUME_OK ? brume_plan_write(e->plan, slab, m->params, (size_t)brume_params_numel(e->g, slab) * sizeof *m->params) : s;
}

static brume_status encode(const struct encoder *e, const brume_model *m, const char *prompt, int64_t i, brume_prompt_context *p)
{
    brume_encoding fit;
    int32_t *ids = p->ids + i * p->tokens;
    brume_status s = brume_tokenizer_encode(m->tokenizer, prompt, ids, &fit);
    if (s != BRUME_OK) return s;
    p->n_cut[i] = fit.n_cut;
    for (int64_t k = 0; k < p->tokens; k++)
        if (ids[k] >= m->text_encoder->config.vocab_size)
            return brume_fail(BRUME_E_ARG, "the tokenizer makes id %d, but the text encoder has a vocab_size of %d", ids[k], m->text_encoder->config.vocab_size);
    s = brume_plan_write(e->plan, e->ids, ids, (size_t)p->tokens * sizeof *ids);
    if (s == BRUME_OK) s = brume_plan_run(e->plan);
    const size_t row = (size_t)(p->tokens * p->width);
    return s == BRUME_OK ? brume_plan_read(e->plan, e->hidden, p->context + row * (size_t)i, row * sizeof *p->context) : s;
}

static brume_status check(const brume_model *m, const char *const *prompts, int64_t n)
{
    if (!m->tokenizer || !m->text_encoder)
        return brume_fail(BRUME_E_UNSUPPORTED, "the model has no %s, so it reads no prompts", m->tokenizer ? "text encoder" : "tokenizer");
    const int64_t reads = brume_unet2d_context_dim(&m->unet), makes = m->text_encoder->config.hidden_size;
    if (reads && reads != makes)
        return brume_fail(BRUME_E_SHAPE, "the U-Net reads contexts of width %lld, the text encoder makes %lld", (long long)reads, (long long)makes);
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
    return p->context && p->ids && p->n_cut ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "out of memory for %lld prompts", (long long)n);
}

brume_status brume_prompt_encode(brume_device *d, const brume_model *m, const char *const *prompts, int64_t n, brume_prompt_context **out)
{
    struct encoder e = { 0 };
    *out = NULL;
    brume_status s = check(m, prompts, n);
    if (s != BRUME_OK) return s;
    s = context_new(m, n, out);
    if (s == BRUME_OK) s = encoder_open(&e, d, m->text_encoder, (*out)->tokens);
    for (int64_t i = 0; i < n && s == BRUME_OK; i++) s = encode(&e, m, prompts[i], i, *out);
    encoder_close(&e);
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
