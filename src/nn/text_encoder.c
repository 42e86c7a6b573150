/* SPDX-License-Identifier: MIT
 * CLIP's text encoder as a graph (Radford et al. 2021, section 2.4). */
#include "brume/text_encoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/blocks.h"

static const char *path_of(char path[BRUME_NN_PATH], const char *layer, const char *leaf)
{
    snprintf(path, BRUME_NN_PATH, "%s.%s", layer, leaf);
    return path;
}

static brume_tensor attention(struct brume_nn *m, const brume_text_encoder_config *c, const char *layer, brume_tensor x)
{
    char path[BRUME_NN_PATH];
    const int64_t width = c->hidden_size;
    const brume_tensor q = brume_nn_projection(m, path_of(path, layer, "self_attn.q_proj"), x, width, true);
    const brume_tensor k = brume_nn_projection(m, path_of(path, layer, "self_attn.k_proj"), x, width, true);
    const brume_tensor v = brume_nn_projection(m, path_of(path, layer, "self_attn.v_proj"), x, width, true);
    const float scale = 1.0f / sqrtf((float)width / (float)c->num_attention_heads);
    const brume_tensor h = brume_sdpa(m->g, q, k, v, c->num_attention_heads, 1, scale);
    return brume_nn_projection(m, path_of(path, layer, "self_attn.out_proj"), h, width, true);
}

static brume_tensor mlp(struct brume_nn *m, const brume_text_encoder_config *c, const char *layer, brume_tensor x)
{
    char path[BRUME_NN_PATH];
    const brume_tensor h = brume_nn_linear(m, path_of(path, layer, "mlp.fc1"), x, c->intermediate_size);
    return brume_nn_linear(m, path_of(path, layer, "mlp.fc2"), brume_activation(m->g, h, c->hidden_act), c->hidden_size);
}

brume_tensor brume_text_encoder(brume_graph *g, const brume_text_encoder_config *c, brume_tensor slab, const char *prefix,
                                brume_tensor ids)
{
    return brume_text_encoder_adapted(g, c, slab, prefix, ids, NULL);
}

brume_tensor brume_text_encoder_adapted(brume_graph *g, const brume_text_encoder_config *c, brume_tensor slab, const char *prefix,
                                        brume_tensor ids, const brume_lora *lora)
{
    char layer[64], path[BRUME_NN_PATH];
    struct brume_nn m = { .g = g, .slab = slab, .root = prefix, .norm_eps = (float)c->layer_norm_eps, .lora = lora,
                          .lora_root = "text_encoder." };
    const brume_shape s = brume_tensor_shape(g, ids);
    /* Positions 0 .. S - 1 are the first rows of their table, the same for each text. */
    brume_tensor x = brume_nn_embedding(&m, "text_model.embeddings.token_embedding", ids, c->vocab_size, c->hidden_size);
    brume_tensor at = brume_nn_table(&m, "text_model.embeddings.position_embedding", c->max_position_embeddings, c->hidden_size);
    if (s.ndim == 2 && s.d[1] < c->max_position_embeddings) at = brume_slice(g, at, 0, 0, s.d[1]);
    x = brume_add(g, x, at);
    for (int i = 0; i < c->num_hidden_layers; i++) {
        snprintf(layer, sizeof layer, "text_model.encoder.layers.%d", i);
        x = brume_add(g, x, attention(&m, c, layer, brume_nn_layer_norm(&m, path_of(path, layer, "layer_norm1"), x, m.norm_eps)));
        x = brume_add(g, x, mlp(&m, c, layer, brume_nn_layer_norm(&m, path_of(path, layer, "layer_norm2"), x, m.norm_eps)));
    }
    return brume_nn_layer_norm(&m, "text_model.final_layer_norm", x, m.norm_eps);
}

void brume_text_encoder_pooled_rows(const brume_text_encoder_config *c, const int32_t *ids, int64_t n, int64_t s, int32_t *rows)
{
    for (int64_t i = 0; i < n; i++, ids += s) {
        int64_t row = 0;
        if (c->eos_token_id == 2) {
            for (int64_t k = 1; k < s; k++)
                if (ids[k] > ids[row]) row = k;
        } else {
            while (row < s && ids[row] != c->eos_token_id) row++;
            if (row == s) row = 0; /* transformers' argmax over no match */
        }
        rows[i] = (int32_t)(i * s + row);
    }
}

brume_tensor brume_text_encoder_pooled(brume_graph *g, brume_tensor hidden, brume_tensor rows)
{
    const brume_shape s = brume_tensor_shape(g, hidden);
    if (s.ndim != 3) return brume_embedding(g, hidden, rows); /* which complains */
    return brume_embedding(g, brume_reshape(g, hidden, BRUME_SHAPE(s.d[0] * s.d[1], s.d[2])), rows);
}

brume_tensor brume_text_encoder_project(brume_graph *g, const brume_text_encoder_config *c, brume_tensor slab, const char *prefix,
                                        brume_tensor pooled)
{
    struct brume_nn m = { .g = g, .slab = slab, .root = prefix };
    return brume_nn_matrix(&m, "text_projection", pooled, c->projection_dim);
}
