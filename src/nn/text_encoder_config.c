/* SPDX-License-Identifier: MIT
 * The config.json of CLIPTextModel. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "brume/json.h"
#include "brume/text_encoder.h"
#include "nn/config_table.h"

static const struct brume_config_word act_names[] = { { "quick_gelu", BRUME_ACT_GELU_QUICK },
                                                      { "gelu", BRUME_ACT_GELU_ERF }, { 0 } };

#define AT(field) offsetof(brume_text_encoder_config, field)
static const struct brume_config_key keys[] = {
    { "bos_token_id", BRUME_CONFIG_INT, AT(bos_token_id), 49406, -1, INT_MAX, true, NULL },
    { "eos_token_id", BRUME_CONFIG_INT, AT(eos_token_id), 49407, -1, INT_MAX, true, NULL },
    { "hidden_act", BRUME_CONFIG_WORD, AT(hidden_act), BRUME_ACT_GELU_QUICK, 0, 0, false, act_names },
    { "hidden_size", BRUME_CONFIG_INT, AT(hidden_size), 512, 1, BRUME_CONFIG_MAX_WIDTH, false, NULL },
    { "intermediate_size", BRUME_CONFIG_INT, AT(intermediate_size), 2048, 1, BRUME_CONFIG_MAX_WIDTH, false, NULL },
    { "layer_norm_eps", BRUME_CONFIG_REAL, AT(layer_norm_eps), 1e-5, 1e-30, 1, false, NULL },
    { "max_position_embeddings", BRUME_CONFIG_INT, AT(max_position_embeddings), 77, 1, 1 << 16, false, NULL },
    { "num_attention_heads", BRUME_CONFIG_INT, AT(num_attention_heads), 8, 1, BRUME_CONFIG_MAX_WIDTH, false, NULL },
    { "num_hidden_layers", BRUME_CONFIG_INT, AT(num_hidden_layers), 12, 1, 1024, false, NULL },
    { "pad_token_id", BRUME_CONFIG_INT, AT(pad_token_id), 1, -1, INT_MAX, true, NULL },
    { "projection_dim", BRUME_CONFIG_INT, AT(projection_dim), 512, 1, BRUME_CONFIG_MAX_WIDTH, false, NULL },
    { "vocab_size", BRUME_CONFIG_INT, AT(vocab_size), 49408, 1, 1 << 24, false, NULL },
    { 0 },
};
/* Of training, of the file, or without meaning for one text model alone. */
static const char *const other_keys[] = { "architectures", "attention_dropout", "dropout", "dtype",
                                          "initializer_factor", "initializer_range", "model_type", "torch_dtype",
                                          "transformers_version", NULL };
static const char plain[] = "CLIPTextModel", projected[] = "CLIPTextModelWithProjection";

void brume_text_encoder_config_default(brume_text_encoder_config *c)
{
    memset(c, 0, sizeof *c);
    brume_config_defaults(keys, c);
}

brume_status brume_text_encoder_config_check(const brume_text_encoder_config *c)
{
    const brume_status s = brume_config_check(keys, c);
    if (s != BRUME_OK || c->hidden_size % c->num_attention_heads == 0) return s;
    return brume_fail(BRUME_E_ARG, "num_attention_heads is %d, which does not divide hidden_size %d", c->num_attention_heads,
                      c->hidden_size);
}

brume_status brume_text_encoder_config_read(const char *path, brume_text_encoder_config *c, char note[512])
{
    brume_json *root = NULL;
    char ignored[512];
    brume_text_encoder_config_default(c);
    brume_status s = brume_json_load(path, &root);
    if (s != BRUME_OK) return s;
    const char *class_name = brume_json_string(brume_json_at(brume_json_find(root, "architectures"), 0), plain);
    c->projection = !strcmp(class_name, projected);
    if (!c->projection && strcmp(class_name, plain))
        s = brume_fail(BRUME_E_UNSUPPORTED, "%s: a model of class %.80s; text encoders are %s or %s", path, class_name, plain,
                       projected);
    if (s == BRUME_OK) s = brume_config_read(root, keys, c);
    if (s == BRUME_OK && (s = brume_text_encoder_config_check(c)) != BRUME_OK) s = brume_fail_in(BRUME_E_FORMAT, "%s", path);
    brume_config_note_unknown(root, keys, other_keys, ignored);
    if (note) memcpy(note, ignored, sizeof ignored);
    brume_json_free(root);
    return s;
}

brume_status brume_text_encoder_config_write(const char *path, const brume_text_encoder_config *c)
{
    brume_status s = brume_text_encoder_config_check(c);
    if (s != BRUME_OK) return s;
    brume_json_writer *w = brume_json_writer_new();
    if (!w) return brume_fail(BRUME_E_MEMORY, "%s: out of memory while writing", path);
    brume_json_begin_object(w, NULL);
    brume_json_begin_array(w, "architectures", 1);
    brume_json_put_string(w, NULL, c->projection ? projected : plain);
    brume_json_end(w);
    brume_config_write(w, keys, c);
    brume_json_put_string(w, "model_type", "clip_text_model");
    brume_json_put_string(w, "dtype", "float32");
    brume_json_end(w);
    s = brume_json_writer_save(w, path);
    brume_json_writer_free(w);
    return s;
}
