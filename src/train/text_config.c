/* SPDX-License-Identifier: MIT
 * What reads captions: tokenizer and encoder, made for a data set or taken from a folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/train.h"

enum { ITEMS = 65536, MERGES = 512, LONGEST = 77, LAYERS = 2, HEAD = 16, CAPTION_BYTES = 4096 };

static void free_texts(char **texts, int64_t n)
{
    for (int64_t i = 0; texts && i < n; i++) free(texts[i]);
    free(texts);
}

static brume_status read_captions(const brume_dataset *data, int64_t n, char ***out)
{
    char text[CAPTION_BYTES];
    char **texts = *out = calloc((size_t)n, sizeof *texts);
    brume_status s = texts ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "no memory for %lld captions", (long long)n);
    for (int64_t i = 0; s == BRUME_OK && i < n; i++) {
        s = brume_dataset_caption(data, i, text, sizeof text);
        if (s == BRUME_OK && !(texts[i] = strdup(text)))
            s = brume_fail(BRUME_E_MEMORY, "no memory for %lld captions", (long long)n);
    }
    return s;
}

/* Room for the longest text with its start and end. */
static brume_status longest(const brume_tokenizer *t, char *const *texts, int64_t n, int32_t *length)
{
    int32_t ids[LONGEST];
    brume_encoding e;
    brume_status s = BRUME_OK;
    *length = 2;
    for (int64_t i = 0; s == BRUME_OK && i < n; i++) {
        s = brume_tokenizer_encode(t, texts[i], ids, &e);
        if (s == BRUME_OK && e.n_used > *length) *length = (int32_t)e.n_used;
    }
    return s;
}

static void fit_encoder(brume_train_config *c, const brume_tokenizer *t, int32_t width)
{
    brume_text_encoder_config *e = &c->text.encoder;
    brume_text_encoder_config_default(e);
    e->hidden_size = width;
    e->intermediate_size = 4 * width;
    e->num_hidden_layers = LAYERS;
    e->num_attention_heads = width % HEAD ? 1 : width / HEAD;
    e->max_position_embeddings = brume_tokenizer_max_length(t);
    e->vocab_size = brume_tokenizer_vocab_size(t);
    e->bos_token_id = brume_tokenizer_start_id(t);
    e->eos_token_id = brume_tokenizer_end_id(t);
    e->pad_token_id = brume_tokenizer_pad_id(t);
}

brume_status brume_train_config_text(brume_train_config *c, const brume_dataset *data, brume_tokenizer **tokenizer)
{
    const int64_t n = brume_dataset_count(data) < ITEMS ? brume_dataset_count(data) : ITEMS,
                  width = brume_unet2d_context_dim(&c->unet);
    char **texts = NULL;
    int32_t length = 0;
    *tokenizer = NULL;
    if (!width)
        return brume_fail(BRUME_E_ARG,
                          "captions need a network with cross-attention: a UNet2DConditionModel, as that of preset shapes-text");
    brume_status s = brume_dataset_check_captions(data);
    if (s == BRUME_OK) s = read_captions(data, n, &texts);
    if (s == BRUME_OK) s = brume_tokenizer_train((const char *const *)texts, n, MERGES, LONGEST, tokenizer);
    if (s == BRUME_OK) s = longest(*tokenizer, texts, n, &length);
    if (s == BRUME_OK) s = brume_tokenizer_set_max_length(*tokenizer, length);
    free_texts(texts, n);
    if (s != BRUME_OK) {
        brume_tokenizer_free(*tokenizer);
        *tokenizer = NULL;
        return s;
    }
    fit_encoder(c, *tokenizer, (int32_t)width);
    c->text.tokenizer = *tokenizer;
    c->text.frozen = NULL;
    return BRUME_OK;
}

brume_status brume_train_config_text_load(brume_train_config *c, const char *folder, brume_tokenizer **tokenizer,
                                          brume_text_model **frozen, char note[1100])
{
    char encoder[4096], words[4096], path[4200];
    *tokenizer = NULL;
    if (frozen) *frozen = NULL;
    if (note) note[0] = 0;
    snprintf(encoder, sizeof encoder, "%s/text_encoder", folder);
    snprintf(words, sizeof words, "%s/tokenizer", folder);
    if (!brume_is_folder(encoder)) snprintf(encoder, sizeof encoder, "%s", folder);
    if (!brume_is_folder(words)) snprintf(words, sizeof words, "%s", folder);
    snprintf(path, sizeof path, "%s/config.json", encoder);
    brume_status s = frozen ? brume_text_model_load(encoder, NULL, frozen, note)
                            : brume_text_encoder_config_read(path, &c->text.encoder, NULL);
    if (s == BRUME_OK && frozen) c->text.encoder = (*frozen)->config;
    if (s == BRUME_OK) s = brume_tokenizer_load(words, tokenizer);
    if (s == BRUME_OK && brume_tokenizer_max_length(*tokenizer) > c->text.encoder.max_position_embeddings)
        s = brume_tokenizer_set_max_length(*tokenizer, c->text.encoder.max_position_embeddings);
    c->text.tokenizer = *tokenizer;
    c->text.frozen = frozen ? *frozen : NULL;
    return s;
}
