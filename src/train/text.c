/* SPDX-License-Identifier: MIT
 * Captions in training: token ids for an encoder that learns; for a frozen one its results, computed once per distinct
 * caption. */
#include "train/text.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/params.h"
#include "brume/tokenizer.h"

#define CACHE_BYTES ((int64_t)1 << 30) /* beyond, texts are encoded again whenever they come */
#define LONGEST 4096                   /* bytes of a caption: no tokenizer keeps as many */

static brume_status no_memory(void) { return brume_fail(BRUME_E_MEMORY, "training: out of memory for captions"); }

brume_status brume_trainer_text_check(const brume_train_config *c)
{
    const long long width = (long long)brume_unet2d_context_dim(&c->unet);
    if (!c->text.tokenizer)
        return width ? brume_fail(BRUME_E_ARG,
                                  "training: the network reads a context of width %lld: train it with captions (--cond text)",
                                  width)
                     : BRUME_OK;
    if (width != c->text.encoder.hidden_size)
        return brume_fail(BRUME_E_ARG,
                          "training: the text encoder gives vectors of width %d, the network's cross_attention_dim is %lld",
                          c->text.encoder.hidden_size, width);
    if (brume_tokenizer_max_length(c->text.tokenizer) > c->text.encoder.max_position_embeddings ||
        brume_tokenizer_vocab_size(c->text.tokenizer) > c->text.encoder.vocab_size)
        return brume_fail(BRUME_E_ARG, "training: the tokenizer gives %d ids below %d, the text encoder takes %d below %d",
                          brume_tokenizer_max_length(c->text.tokenizer), brume_tokenizer_vocab_size(c->text.tokenizer),
                          c->text.encoder.max_position_embeddings, c->text.encoder.vocab_size);
    return brume_text_encoder_config_check(&c->text.encoder);
}

brume_tensor brume_trainer_text_build(struct brume_trainer_text *x, const brume_train_text *config, brume_graph *g,
                                      brume_tensor slab, const brume_lora *lora, int64_t n)
{
    x->config = config;
    x->ids = x->context = BRUME_NONE;
    if (!config->tokenizer) return BRUME_NONE;
    x->tokens = brume_tokenizer_max_length(config->tokenizer);
    x->width = config->encoder.hidden_size;
    if (config->frozen && !lora) return x->context = brume_input(g, "context", BRUME_F32, BRUME_SHAPE(n, x->tokens, x->width));
    x->ids = brume_input(g, "ids", BRUME_I32, BRUME_SHAPE(n, x->tokens));
    const brume_tensor hidden = brume_text_encoder_adapted(g, &config->encoder, slab, "text_encoder.", x->ids, lora);
    x->n_params = brume_graph_status(g) == BRUME_OK ? brume_params_numel(g, slab) : 0;
    return hidden;
}

brume_status brume_trainer_text_allocate(struct brume_trainer_text *x, brume_device *d, int64_t n)
{
    if (!x->config->tokenizer) return BRUME_OK;
    x->items = calloc((size_t)n, sizeof *x->items);
    x->id_values = calloc((size_t)(n * x->tokens), sizeof *x->id_values);
    if (!x->items || !x->id_values) return no_memory();
    if (x->context == BRUME_NONE) return BRUME_OK;
    x->context_values = calloc((size_t)(n * x->tokens * x->width), sizeof *x->context_values);
    if (!x->context_values) return no_memory();
    return brume_text_run_new(d, &x->config->encoder, x->config->frozen->params, x->tokens, &x->frozen);
}

void brume_trainer_text_free(struct brume_trainer_text *x)
{
    for (int64_t i = 0; i < x->cache.room; i++) free(x->cache.hidden[i]);
    free(x->cache.ids);
    free(x->cache.hidden);
    free(x->items);
    free(x->id_values);
    free(x->context_values);
    brume_text_run_free(x->frozen);
}

/* The place of a text, or the free one where it belongs. */
static int64_t place(const struct brume_text_cache *c, const int32_t *ids, int32_t tokens)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (int32_t k = 0; k < tokens; k++) hash = (hash ^ (uint32_t)ids[k]) * 1099511628211u;
    int64_t at = (int64_t)((hash ^ (hash >> 32)) & (uint64_t)(c->room - 1));
    while (c->hidden[at] && memcmp(c->ids + at * tokens, ids, (size_t)tokens * sizeof *ids)) at = (at + 1) & (c->room - 1);
    return at;
}

static brume_status grow(struct brume_text_cache *c, int32_t tokens)
{
    struct brume_text_cache more = { .room = c->room ? 2 * c->room : 64, .used = c->used };
    more.ids = malloc((size_t)(more.room * tokens) * sizeof *more.ids);
    more.hidden = calloc((size_t)more.room, sizeof *more.hidden);
    if (!more.ids || !more.hidden) {
        free(more.ids);
        free(more.hidden);
        return no_memory();
    }
    for (int64_t i = 0; i < c->room; i++) {
        if (!c->hidden[i]) continue;
        const int64_t at = place(&more, c->ids + i * tokens, tokens);
        memcpy(more.ids + at * tokens, c->ids + i * tokens, (size_t)tokens * sizeof *more.ids);
        more.hidden[at] = c->hidden[i];
    }
    free(c->ids);
    free(c->hidden);
    *c = more;
    return BRUME_OK;
}

static brume_status encode_frozen(struct brume_trainer_text *x, const int32_t *ids, float *hidden)
{
    struct brume_text_cache *c = &x->cache;
    const int64_t bytes = (int64_t)x->tokens * x->width * (int64_t)sizeof *hidden;
    brume_status s = 2 * (c->used + 1) > c->room ? grow(c, x->tokens) : BRUME_OK;
    if (s != BRUME_OK) return s;
    const int64_t at = place(c, ids, x->tokens);
    if (c->hidden[at]) {
        memcpy(hidden, c->hidden[at], (size_t)bytes);
        return BRUME_OK;
    }
    if ((s = brume_text_run_encode(x->frozen, ids, hidden)) != BRUME_OK || (c->used + 1) * bytes > CACHE_BYTES) return s;
    if (!(c->hidden[at] = malloc((size_t)bytes))) return no_memory();
    memcpy(c->hidden[at], hidden, (size_t)bytes);
    memcpy(c->ids + at * x->tokens, ids, (size_t)x->tokens * sizeof *ids);
    c->used++;
    return BRUME_OK;
}

brume_status brume_trainer_text_set(struct brume_trainer_text *x, const brume_dataset *data, int32_t i, bool dropped)
{
    char caption[LONGEST] = "";
    if (!x->config->tokenizer) return BRUME_OK;
    int32_t *ids = x->id_values + (int64_t)i * x->tokens;
    brume_status s = dropped || !data ? BRUME_OK : brume_dataset_caption(data, x->items[i], caption, sizeof caption);
    if (s == BRUME_OK) s = brume_tokenizer_encode(x->config->tokenizer, caption, ids, NULL);
    return s == BRUME_OK && x->context != BRUME_NONE
               ? encode_frozen(x, ids, x->context_values + (int64_t)i * x->tokens * x->width)
               : s;
}

brume_status brume_trainer_text_write(const struct brume_trainer_text *x, brume_plan *plan, int64_t n)
{
    if (!x->config->tokenizer) return BRUME_OK;
    const size_t count = (size_t)(n * x->tokens);
    if (x->ids != BRUME_NONE) return brume_plan_write(plan, x->ids, x->id_values, count * sizeof *x->id_values);
    return brume_plan_write(plan, x->context, x->context_values, count * (size_t)x->width * sizeof *x->context_values);
}
