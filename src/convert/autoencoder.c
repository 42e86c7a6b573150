/* SPDX-License-Identifier: MIT
 * The autoencoder of latent-diffusion (Rombach et al. 2022) and its modules in AutoencoderKL. */
#include "convert/autoencoder.h"

#include <stdio.h>

static const struct brume_rule resnet[] = {
    { .theirs = "norm1", .ours = { "norm1" } },
    { .theirs = "conv1", .ours = { "conv1" } },
    { .theirs = "norm2", .ours = { "norm2" } },
    { .theirs = "conv2", .ours = { "conv2" } },
    { .theirs = "nin_shortcut", .ours = { "conv_shortcut" }, .flags = RULE_OPTIONAL },
    { 0 },
};
static const struct brume_rule attention[] = {
    { .theirs = "norm", .ours = { "group_norm" } },
    { .theirs = "q", .ours = { "to_q" }, .ndim = 4 },
    { .theirs = "k", .ours = { "to_k" }, .ndim = 4 },
    { .theirs = "v", .ours = { "to_v" }, .ndim = 4 },
    { .theirs = "proj_out", .ours = { "to_out.0" }, .ndim = 4 },
    { 0 },
};
static const struct brume_rule ends[] = {
    { .theirs = "conv_in", .ours = { "conv_in" } },
    { .theirs = "norm_out", .ours = { "conv_norm_out" } },
    { .theirs = "conv_out", .ours = { "conv_out" } },
    { 0 },
};
static const struct brume_rule conv[] = { { .theirs = "conv", .ours = { "conv" } }, { 0 } };
static const struct brume_rule quant[] = { { .theirs = "quant_conv", .ours = { "quant_conv" } }, { 0 } };
static const struct brume_rule post_quant[] = { { .theirs = "post_quant_conv", .ours = { "post_quant_conv" } }, { 0 } };

static void half(struct brume_renaming *r, const brume_autoencoder_config *c, const char *name, bool down)
{
    char from[64], to[64];
#define AT(into, ...) (snprintf(into, sizeof into, __VA_ARGS__), into)
    brume_rename(r, ends, name, name);
    for (int k = 0; k < 2; k++)
        brume_rename(r, resnet, AT(from, "%s.mid.block_%d", name, k + 1), AT(to, "%s.mid_block.resnets.%d", name, k));
    if (c->mid_block_add_attention)
        brume_rename(r, attention, AT(from, "%s.mid.attn_1", name), AT(to, "%s.mid_block.attentions.0", name));
    for (int i = 0; i < c->levels; i++) {
        /* theirs are counted from the full size on both ways, ours from the beginning */
        const int level = down ? i : c->levels - 1 - i;
        const char *way = down ? "down" : "up";
        for (int j = 0; j < c->layers_per_block + !down; j++)
            brume_rename(r, resnet, AT(from, "%s.%s.%d.block.%d", name, way, level, j),
                         AT(to, "%s.%s_blocks.%d.resnets.%d", name, way, i, j));
        if (i < c->levels - 1)
            brume_rename(r, conv, AT(from, "%s.%s.%d.%ssample", name, way, level, way),
                         AT(to, "%s.%s_blocks.%d.%ssamplers.0", name, way, i, way));
    }
}

static void rename_all(struct brume_renaming *r, const brume_autoencoder_config *c)
{
    half(r, c, "encoder", true);
    half(r, c, "decoder", false);
    if (c->use_quant_conv) brume_rename(r, quant, "", "");
    if (c->use_post_quant_conv) brume_rename(r, post_quant, "", "");
}

static void infer(struct brume_renaming *r, brume_autoencoder_config *c)
{
    brume_autoencoder_config_default(c);
    c->levels = 0;
    /* Two tensors are asked for each time, so that a file without one of them has it named as missing. */
    while (c->levels < BRUME_AUTOENCODER_MAX_LEVELS && (brume_renaming_find(r, "decoder.up.%d.block.0.norm1.weight", c->levels) ||
                                                        brume_renaming_find(r, "decoder.up.%d.block.0.conv1.weight", c->levels)))
        c->levels++;
    if (!c->levels) {
        brume_renaming_fail(r, BRUME_E_FORMAT, "tensor '%sdecoder.up.0.block.0.norm1.weight' is missing", r->their_root);
        return;
    }
    c->layers_per_block = 0;
    while (brume_renaming_find(r, "encoder.down.0.block.%d.norm1.weight", c->layers_per_block) ||
           brume_renaming_find(r, "encoder.down.0.block.%d.conv1.weight", c->layers_per_block)) c->layers_per_block++;
    for (int i = 0; i < c->levels; i++) {
        char name[64];
        c->block_out_channels[i] = (int32_t)brume_renaming_size(r, AT(name, "encoder.down.%d.block.0.conv1.weight", i), 0);
    }
    c->in_channels = (int32_t)brume_renaming_size(r, "encoder.conv_in.weight", 1);
    c->out_channels = (int32_t)brume_renaming_size(r, "decoder.conv_out.weight", 0);
    c->latent_channels = (int32_t)brume_renaming_size(r, "decoder.conv_in.weight", 1);
    c->use_quant_conv = brume_renaming_find(r, "quant_conv.weight") || brume_renaming_find(r, "quant_conv.bias");
    c->use_post_quant_conv = brume_renaming_find(r, "post_quant_conv.weight") || brume_renaming_find(r, "post_quant_conv.bias");
    c->mid_block_add_attention =
        brume_renaming_find(r, "encoder.mid.attn_1.q.weight") || brume_renaming_find(r, "encoder.mid.attn_1.norm.weight");
    if (r->status == BRUME_OK && brume_autoencoder_config_check(c) != BRUME_OK)
        brume_renaming_fail(r, BRUME_E_UNSUPPORTED, "as AutoencoderKL: %s", brume_error());
}

static void compare(struct brume_renaming *r, const brume_autoencoder_config *c)
{
    brume_graph *g = brume_graph_new();
    const brume_tensor slab = brume_slab(g, "params");
    brume_autoencoder_decode(g, c, slab, brume_input(g, "z", BRUME_F32, BRUME_SHAPE(1, 1, 1, c->latent_channels)));
    brume_renaming_compare(r, g, slab, "AutoencoderKL");
}

void brume_convert_autoencoder(struct brume_renaming *r, brume_autoencoder_config *c)
{
    brume_renaming_ignore(r, "loss.");
    infer(r, c);
    if (r->status == BRUME_OK) rename_all(r, c);
    brume_renaming_complete(r, "AutoencoderKL");
    if (r->status == BRUME_OK) compare(r, c);
}

void brume_convert_autoencoder_back(struct brume_renaming *r, const brume_autoencoder_config *c)
{
    const char *key = c->act_fn != BRUME_ACT_SILU ? "act_fn"
                      : c->norm_num_groups != 32  ? "norm_num_groups"
                      : c->shift_factor != 0      ? "shift_factor"
                                                  : NULL;
    if (key) brume_renaming_fail(r, BRUME_E_UNSUPPORTED, "the autoencoder's %s has no counterpart there", key);
    if (r->status == BRUME_OK) compare(r, c);
    if (r->status == BRUME_OK) rename_all(r, c);
    brume_renaming_complete(r, r->layout);
}
