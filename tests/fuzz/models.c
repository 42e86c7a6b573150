/* SPDX-License-Identifier: MIT
 * Model folders, adapters that are merged into a model, files of other programs. */
#include <stdlib.h>
#include <string.h>

#include "brume/convert.h"
#include "brume/lora.h"
#include "brume/model.h"
#include "fuzz.h"

void fuzz_model(const uint8_t *data, size_t n)
{
    brume_model *m;
    fuzz_unpack(data, n);
    if (brume_model_load(fuzz_folder(), NULL, &m) != BRUME_OK) return;
    fuzz_use_text(m->note);
    (void)brume_model_fingerprint(m);
    brume_model_free(m);
}

/* A small network with cross-attention and a text encoder. */
static brume_model *tiny_model(void)
{
    brume_unet2d_config u;
    brume_text_encoder_config t;
    brume_model *m;
    brume_unet2d_condition_config_default(&u);
    u.levels = 1;
    u.block_out_channels[0] = 4;
    u.down_block_types[0] = u.up_block_types[0] = BRUME_BLOCK_CROSS_ATTENTION;
    u.layers_per_block = 1;
    u.norm_num_groups = 2;
    u.attention_head_dim = 2;
    u.cross_attention_dim = 4;
    brume_text_encoder_config_default(&t);
    t.hidden_size = t.projection_dim = 4;
    t.intermediate_size = 8;
    t.num_hidden_layers = 1;
    t.num_attention_heads = 2;
    t.vocab_size = 16;
    t.max_position_embeddings = 8;
    t.bos_token_id = 14;
    t.eos_token_id = 15;
    if (brume_model_new(&u, NULL, 1, &m) != BRUME_OK || brume_text_model_new(&t, 1, &m->text_encoder) != BRUME_OK) fuzz_broken(brume_error());
    return m;
}

void fuzz_lora(const uint8_t *data, size_t n)
{
    static brume_model *m;
    static float *fresh;
    char note[256];
    if (!m) {
        m = tiny_model();
        fresh = malloc((size_t)m->n_params * sizeof *fresh);
        memcpy(fresh, m->params, (size_t)m->n_params * sizeof *fresh);
    }
    const brume_status s = brume_lora_merge(m, fuzz_put("adapters.safetensors", data, n), 0.5, note);
    if (s != BRUME_OK && memcmp(fresh, m->params, (size_t)m->n_params * sizeof *fresh)) fuzz_broken("a refused file changed the model");
    memcpy(m->params, fresh, (size_t)m->n_params * sizeof *fresh);
}

/* An archive with model.safetensors, to a folder; or a folder, to a single file. */
void fuzz_convert(const uint8_t *data, size_t n)
{
    char note[512];
    size_t length;
    const uint8_t *file = fuzz_entry(data, n, "model.safetensors", &length), *given = fuzz_entry(data, n, "options", &length);
    const unsigned bits = given && length ? given[0] : 0;
    const brume_convert_options o = { .keep_dtype = bits & 1, .heads = bits & 2 ? 2 : 0, .head_channels = bits & 4 ? 4 : 0, .new_attention_order = bits & 8,
                                      .image_size = bits & 16 ? 16 : 0, .self_condition = bits & 32, .averages = bits & 64 };
    fuzz_unpack(data, n);
    if (file) (void)brume_convert_to_folder(fuzz_path("model.safetensors"), fuzz_path("folder"), &o, note);
    else (void)brume_convert_to_single(fuzz_folder(), fuzz_path("single.safetensors"), &o, note);
}
