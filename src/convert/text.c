/* SPDX-License-Identifier: MIT
 * The text encoders of Stable Diffusion 1.x (CLIP, Radford et al. 2021) and 2.x (OpenCLIP) and their modules in CLIPTextModel. */
#include "convert/text.h"

#include <stdio.h>
#include <string.h>

#include "brume/params.h"

/* Names of one kind of encoder, below "cond_stage_model.". */
struct names {
    const char *root, *layers;           /* of modules beside the layers, and of layers */
    const struct brume_rule *ends, *layer;
    const char *hidden, *wide;           /* telling tensors: token embedding, and the first linear layer of layer 0 */
    const char *positions;
};

#define SAME(name, f) { .theirs = name, .ours = { name }, .flags = f }
static const struct brume_rule clip_ends[] = {
    SAME("embeddings.token_embedding", RULE_NO_BIAS), SAME("embeddings.position_embedding", RULE_NO_BIAS),
    SAME("final_layer_norm", 0), { 0 },
};
static const struct brume_rule clip_layer[] = {
    SAME("layer_norm1", 0), SAME("self_attn.q_proj", 0), SAME("self_attn.k_proj", 0), SAME("self_attn.v_proj", 0),
    SAME("self_attn.out_proj", 0), SAME("layer_norm2", 0), SAME("mlp.fc1", 0), SAME("mlp.fc2", 0), { 0 },
};
static const struct brume_rule open_ends[] = {
    { .theirs = "token_embedding", .ours = { "embeddings.token_embedding" }, .flags = RULE_NO_BIAS },
    { .theirs = "positional_embedding", .ours = { "embeddings.position_embedding" }, .flags = RULE_NO_BIAS | RULE_BARE },
    { .theirs = "ln_final", .ours = { "final_layer_norm" } },
    { 0 },
};
static const struct brume_rule open_layer[] = {
    { .theirs = "ln_1", .ours = { "layer_norm1" } },
    { .theirs = "attn.in_proj", .ours = { "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj" }, .flags = RULE_FLAT },
    { .theirs = "attn.out_proj", .ours = { "self_attn.out_proj" } },
    { .theirs = "ln_2", .ours = { "layer_norm2" } },
    { .theirs = "mlp.c_fc", .ours = { "mlp.fc1" } },
    { .theirs = "mlp.c_proj", .ours = { "mlp.fc2" } },
    { 0 },
};
static const struct names clip = { "transformer.text_model", "transformer.text_model.encoder.layers", clip_ends, clip_layer,
                                   "embeddings.token_embedding.weight", "mlp.fc1.weight",
                                   "embeddings.position_embedding.weight" };
/* transformers 5 leaves the word text_model out */
static const struct names flat_clip = { "transformer", "transformer.encoder.layers", clip_ends, clip_layer,
                                        "embeddings.token_embedding.weight", "mlp.fc1.weight",
                                        "embeddings.position_embedding.weight" };
static const struct names open_clip = { "model", "model.transformer.resblocks", open_ends, open_layer,
                                        "token_embedding.weight", "mlp.c_fc.weight", "positional_embedding" };

/* By the token embedding or, where that is missing, a layer's first norm. */
static bool is(const struct brume_renaming *r, const struct names *n)
{
    return brume_renaming_find(r, "%s.%s", n->root, n->hidden) ||
           brume_renaming_find(r, "%s.0.%s.weight", n->layers, n->layer[0].theirs);
}

static void rename_all(struct brume_renaming *r, const struct names *n, int layers)
{
    char from[96], to[96];
    brume_rename(r, n->ends, n->root, "text_model");
    for (int i = 0; i < layers; i++) {
        snprintf(from, sizeof from, "%s.%d", n->layers, i);
        snprintf(to, sizeof to, "text_model.encoder.layers.%d", i);
        brume_rename(r, n->layer, from, to);
    }
}

static int32_t size(struct brume_renaming *r, const char *module, const char *leaf, int axis)
{
    char name[160];
    snprintf(name, sizeof name, "%s.%s", module, leaf);
    return (int32_t)brume_renaming_size(r, name, axis);
}

/* Layers, less the last of a complete OpenCLIP: Stable Diffusion 2.x reads the one before it. */
static int count_layers(struct brume_renaming *r, const struct names *n)
{
    int layers = 0;
    while (brume_renaming_find(r, "%s.%d.%s.weight", n->layers, layers, n->layer[0].theirs) ||
           brume_renaming_find(r, "%s.%d.%s", n->layers, layers, n->wide)) layers++;
    if (n != &open_clip || layers < 2 || !brume_renaming_find(r, "model.text_projection")) return layers;
    char last[96];
    snprintf(last, sizeof last, "%s.%d.", n->layers, --layers);
    brume_renaming_ignore(r, last);
    return layers;
}

static void infer(struct brume_renaming *r, const struct names *n, const brume_convert_options *o, brume_text_encoder_config *c)
{
    char first[96];
    snprintf(first, sizeof first, "%s.0", n->layers);
    brume_text_encoder_config_default(c);
    c->vocab_size = size(r, n->root, n->hidden, 0);
    c->hidden_size = c->projection_dim = size(r, n->root, n->hidden, 1);
    c->max_position_embeddings = size(r, n->root, n->positions, 0);
    c->intermediate_size = size(r, first, n->wide, 0);
    c->num_hidden_layers = count_layers(r, n);
    c->num_attention_heads = o->text_heads ? o->text_heads : c->hidden_size / 64;
    c->hidden_act = n == &open_clip ? BRUME_ACT_GELU_ERF : BRUME_ACT_GELU_QUICK;
    c->bos_token_id = c->vocab_size - 2;
    c->eos_token_id = c->vocab_size - 1;
    if (r->status != BRUME_OK) return;
    if (c->num_attention_heads < 1 || c->hidden_size % c->num_attention_heads)
        brume_renaming_fail(r, BRUME_E_ARG, "a text encoder of width %d cannot be cut into %s; give --text-heads N",
                            c->hidden_size, o->text_heads ? "so many heads" : "heads of 64");
    else if (brume_text_encoder_config_check(c) != BRUME_OK)
        brume_renaming_fail(r, BRUME_E_UNSUPPORTED, "as CLIPTextModel: %s", brume_error());
}

static void compare(struct brume_renaming *r, const brume_text_encoder_config *c)
{
    brume_graph *g = brume_graph_new();
    const brume_tensor slab = brume_slab(g, "params");
    brume_text_encoder(g, c, slab, "", brume_input(g, "ids", BRUME_I32, BRUME_SHAPE(1, 1)));
    brume_renaming_compare(r, g, slab, "CLIPTextModel");
}

void brume_convert_text(struct brume_renaming *r, const brume_convert_options *o, brume_text_encoder_config *c)
{
    static const char *const idle[] = { "logit_scale", "text_projection", "transformer.text_projection",
                                        "transformer.logit_scale", "transformer.text_model.embeddings.position_ids",
                                        "transformer.embeddings.position_ids", "model.logit_scale",
                                        "model.text_projection", "model.attn_mask" };
    const struct names *const known[] = { &clip, &flat_clip, &open_clip };
    const struct names *n = NULL;
    for (int i = 0; i < 3 && !n; i++)
        if (is(r, known[i])) n = known[i];
    if (!n) {
        brume_renaming_complete(r, "CLIPTextModel"); /* names a tensor */
        return;
    }
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++) brume_renaming_ignore(r, idle[i]);
    infer(r, n, o, c);
    if (r->status == BRUME_OK) rename_all(r, n, c->num_hidden_layers);
    brume_renaming_complete(r, "CLIPTextModel");
    if (r->status == BRUME_OK) compare(r, c);
}

void brume_convert_text_back(struct brume_renaming *r, const brume_text_encoder_config *c)
{
    if (c->projection) brume_renaming_fail(r, BRUME_E_UNSUPPORTED, "the text encoder's projection has no counterpart there");
    else if (c->hidden_act != BRUME_ACT_GELU_QUICK && c->hidden_act != BRUME_ACT_GELU_ERF)
        brume_renaming_fail(r, BRUME_E_UNSUPPORTED, "the text encoder's hidden_act has no counterpart there");
    else if (c->layer_norm_eps != 1e-5)
        brume_renaming_fail(r, BRUME_E_UNSUPPORTED, "the text encoder's layer_norm_eps has no counterpart there");
    if (r->status == BRUME_OK) compare(r, c);
    if (r->status == BRUME_OK) rename_all(r, c->hidden_act == BRUME_ACT_GELU_ERF ? &open_clip : &clip, c->num_hidden_layers);
    brume_renaming_complete(r, r->layout);
}
