/* SPDX-License-Identifier: MIT
 * The U-Net of improved-diffusion, guided-diffusion and latent-diffusion (Nichol & Dhariwal 2021; Dhariwal & Nichol 2021; Rombach
 * et al. 2022) and its modules in UNet2DModel or UNet2DConditionModel. */
#include "convert/unet.h"

#include <stdio.h>

#include "brume/params.h"

static const struct brume_rule ends[] = {
    { .theirs = "time_embed.0", .ours = { "time_embedding.linear_1" } },
    { .theirs = "time_embed.2", .ours = { "time_embedding.linear_2" } },
    { .theirs = "label_emb", .ours = { "class_embedding" }, .flags = RULE_OPTIONAL | RULE_NO_BIAS },
    { .theirs = "input_blocks.0.0", .ours = { "conv_in" } },
    { .theirs = "out.0", .ours = { "conv_norm_out" } },
    { .theirs = "out.2", .ours = { "conv_out" } },
    { 0 },
};
static const struct brume_rule resnet[] = {
    { .theirs = "in_layers.0", .ours = { "norm1" } },
    { .theirs = "in_layers.2", .ours = { "conv1" } },
    { .theirs = "emb_layers.1", .ours = { "time_emb_proj" } },
    { .theirs = "out_layers.0", .ours = { "norm2" } },
    { .theirs = "out_layers.3", .ours = { "conv2" } },
    { .theirs = "skip_connection", .ours = { "conv_shortcut" }, .flags = RULE_OPTIONAL },
    { 0 },
};
static const struct brume_rule attention[] = {
    { .theirs = "norm", .ours = { "group_norm" } },
    { .theirs = "qkv", .ours = { "to_q", "to_k", "to_v" }, .ndim = 3 },
    { .theirs = "proj_out", .ours = { "to_out.0" }, .ndim = 3 },
    { 0 },
};
/* SpatialTransformer; the same names on both sides. */
#define SAME(name, f) { .theirs = name, .ours = { name }, .flags = f }
static const struct brume_rule transformer[] = { SAME("norm", 0), SAME("proj_in", 0), SAME("proj_out", 0), { 0 } };
static const struct brume_rule transformer_block[] = {
    SAME("norm1", 0), SAME("attn1.to_q", RULE_NO_BIAS), SAME("attn1.to_k", RULE_NO_BIAS), SAME("attn1.to_v", RULE_NO_BIAS),
    SAME("attn1.to_out.0", 0), SAME("norm2", 0), SAME("attn2.to_q", RULE_NO_BIAS), SAME("attn2.to_k", RULE_NO_BIAS),
    SAME("attn2.to_v", RULE_NO_BIAS), SAME("attn2.to_out.0", 0), SAME("norm3", 0), SAME("ff.net.0.proj", 0),
    SAME("ff.net.2", 0), { 0 },
};
static const struct brume_rule downsample[] = { { .theirs = "op", .ours = { "conv" } }, { 0 } };
static const struct brume_rule upsample[] = { { .theirs = "conv", .ours = { "conv" } }, { 0 } };

/* Attention of a level of the way down, its counterpart of the way up, or (level == levels) the middle. */
static void attend(struct brume_renaming *r, const brume_unet2d_config *c, int level, const char *theirs, const char *ours)
{
    const int last = c->levels - 1, at = level > last ? last : level;
    char from[96], to[96];
    if (c->architecture == BRUME_ARCHITECTURE_UNET) {
        if (level > last ? c->add_attention : c->down_block_types[level] == BRUME_BLOCK_ATTENTION)
            brume_rename(r, attention, theirs, ours);
        return;
    }
    if (level <= last && c->down_block_types[level] != BRUME_BLOCK_CROSS_ATTENTION) return;
    const int depth = c->level_transformer_layers[at] ? c->level_transformer_layers[at] : c->transformer_layers_per_block;
    brume_rename(r, transformer, theirs, ours);
    for (int k = 0; k < depth; k++) {
        snprintf(from, sizeof from, "%s.transformer_blocks.%d", theirs, k);
        snprintf(to, sizeof to, "%s.transformer_blocks.%d", ours, k);
        brume_rename(r, transformer_block, from, to);
    }
}

/* A resnet and, where there is one, its attention: modules 0 and 1 of a block. */
static void block(struct brume_renaming *r, const brume_unet2d_config *c, int level, const char *side, int at, const char *ours,
                  int i, int j)
{
    char from[64], to[64];
    snprintf(from, sizeof from, "%s.%d.0", side, at);
    snprintf(to, sizeof to, "%s.%d.resnets.%d", ours, i, j);
    brume_rename(r, resnet, from, to);
    snprintf(from, sizeof from, "%s.%d.1", side, at);
    snprintf(to, sizeof to, "%s.%d.attentions.%d", ours, i, j);
    attend(r, c, level, from, to);
}

static void rename_all(struct brume_renaming *r, const brume_unet2d_config *c)
{
    const int L = c->levels, n = c->layers_per_block;
    const bool condition = c->architecture == BRUME_ARCHITECTURE_CONDITION,
               by_resnet = !condition && c->downsample_type == BRUME_RESAMPLE_RESNET;
    const bool mid = condition || c->add_attention;
    char from[64], to[64];
    brume_rename(r, ends, "", "");
    for (int i = 0; i < L; i++) {
        for (int j = 0; j < n; j++) block(r, c, i, "input_blocks", 1 + i * (n + 1) + j, "down_blocks", i, j);
        if (i == L - 1) continue;
        snprintf(from, sizeof from, "input_blocks.%d.0", (i + 1) * (n + 1));
        snprintf(to, sizeof to, "down_blocks.%d.downsamplers.0", i);
        brume_rename(r, by_resnet ? resnet : downsample, from, to);
    }
    brume_rename(r, resnet, "middle_block.0", "mid_block.resnets.0");
    attend(r, c, L, "middle_block.1", "mid_block.attentions.0");
    brume_rename(r, resnet, mid ? "middle_block.2" : "middle_block.1", "mid_block.resnets.1");
    for (int i = 0; i < L; i++) {
        const brume_unet2d_block type = c->down_block_types[L - 1 - i];
        for (int j = 0; j <= n; j++) block(r, c, L - 1 - i, "output_blocks", i * (n + 1) + j, "up_blocks", i, j);
        if (i == L - 1) continue;
        snprintf(from, sizeof from, "output_blocks.%d.%d", i * (n + 1) + n,
                 type == BRUME_BLOCK_ATTENTION || type == BRUME_BLOCK_CROSS_ATTENTION ? 2 : 1);
        snprintf(to, sizeof to, "up_blocks.%d.upsamplers.0", i);
        brume_rename(r, by_resnet ? resnet : upsample, from, to);
    }
}

static void compare(struct brume_renaming *r, const brume_unet2d_config *c)
{
    brume_graph *g = brume_graph_new();
    const int64_t side = (int64_t)1 << (c->levels - 1);
    const brume_tensor slab = brume_slab(g, "params");
    const brume_unet2d_inputs in = brume_unet2d_declare_inputs(g, c, 1, side, side, 1);
    brume_unet2d(g, c, slab, &in, NULL);
    brume_renaming_compare(r, g, slab, brume_unet2d_class_name(c));
}

void brume_convert_unet2d(struct brume_renaming *r, const brume_convert_options *o, brume_unet2d_config *c)
{
    brume_convert_unet2d_infer(r, o, c);
    if (r->status == BRUME_OK) rename_all(r, c);
    brume_renaming_complete(r, brume_unet2d_class_name(c));
    if (r->status == BRUME_OK) compare(r, c);
}

/* What a UNet2DConditionModel may be that the layout has no place for, by the name of its key; NULL: nothing. */
static const char *inexpressible(const brume_unet2d_config *c)
{
    const int L = c->levels;
    bool even = true, layers = true, crossed = false;
    for (int i = 0; i < L; i++) {
        even = even && c->up_block_types[i] == c->down_block_types[L - 1 - i];
        layers = layers && (!c->level_layers[i] || c->level_layers[i] == c->layers_per_block);
        crossed = crossed || c->only_cross_attention[i];
    }
    return !even                                      ? "up_block_types (not down_block_types backwards)"
           : !layers                                  ? "layers_per_block (of several sizes)"
           : !c->mid_block || !c->mid_cross_attention ? "mid_block_type"
           : crossed                                  ? "only_cross_attention"
           : c->conv_in_kernel != 3                   ? "conv_in_kernel"
           : c->conv_out_kernel != 3                  ? "conv_out_kernel"
           : c->class_embed_type != BRUME_CLASS_NONE && c->class_embed_type != BRUME_CLASS_TABLE ? "class_embed_type"
           : c->act_fn != BRUME_ACT_SILU                                                         ? "act_fn"
           : c->norm_num_groups != 32                                                            ? "norm_num_groups"
           : c->norm_eps != 1e-5                                                                 ? "norm_eps"
           : c->center_input_sample                                                              ? "center_input_sample"
           : c->downsample_padding != 1                                                          ? "downsample_padding"
           : c->mid_block_scale_factor != 1                                                      ? "mid_block_scale_factor"
           : !c->flip_sin_to_cos                                                                 ? "flip_sin_to_cos"
           : c->freq_shift != 0                                                                  ? "freq_shift"
                                                                                                 : NULL;
}

void brume_convert_unet2d_back(struct brume_renaming *r, const brume_unet2d_config *c)
{
    const char *key = c->architecture == BRUME_ARCHITECTURE_CONDITION ? inexpressible(c) : NULL;
    if (c->architecture != BRUME_ARCHITECTURE_CONDITION)
        brume_renaming_fail(r, BRUME_E_UNSUPPORTED, "the network is no UNet2DConditionModel; only these have a way back");
    else if (key) brume_renaming_fail(r, BRUME_E_UNSUPPORTED, "the network's %s has no counterpart there", key);
    if (r->status == BRUME_OK) compare(r, c);
    if (r->status == BRUME_OK) rename_all(r, c);
    brume_renaming_complete(r, r->layout);
}
