/* SPDX-License-Identifier: MIT
 * The U-Net of improved-diffusion and guided-diffusion (Nichol & Dhariwal 2021; Dhariwal & Nichol 2021) as UNet2DModel. */
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
static const struct brume_rule downsample[] = { { .theirs = "op", .ours = { "conv" } }, { 0 } };
static const struct brume_rule upsample[] = { { .theirs = "conv", .ours = { "conv" } }, { 0 } };

/* Size `axis` of a tensor that must be there. */
static int64_t size(struct brume_renaming *r, const char *name, int axis)
{
    const brume_st_tensor *t = brume_renaming_find(r, "%s", name);
    if (t && t->ndim > axis && t->shape[axis] > 0 && t->shape[axis] <= 1 << 20) return t->shape[axis];
    if (!t) brume_renaming_fail(r, BRUME_E_FORMAT, "tensor '%s%s' is missing", r->their_root, name);
    else brume_renaming_fail(r, BRUME_E_FORMAT, "tensor '%s' has no usable size in dimension %d", t->name, axis);
    return 1;
}

/* Two tensors are asked for, so that a file without one of them is not taken for another network but has it named as missing. */
static bool is_attention(const struct brume_renaming *r, const char *module)
{
    return brume_renaming_find(r, "%s.qkv.weight", module) || brume_renaming_find(r, "%s.norm.weight", module);
}

static bool is_resnet(const struct brume_renaming *r, const char *side, int i, int m)
{
    return brume_renaming_find(r, "%s.%d.%d.in_layers.0.weight", side, i, m) || brume_renaming_find(r, "%s.%d.%d.in_layers.2.weight", side, i, m);
}

/* Upsampler of output block i: number of its module, or 0. A convolution of its own, or a resnet. */
static int upsampler(const struct brume_renaming *r, int i, bool *by_resnet)
{
    for (int m = 1; m <= 2; m++) {
        *by_resnet = is_resnet(r, "output_blocks", i, m);
        if (*by_resnet || brume_renaming_find(r, "output_blocks.%d.%d.conv.weight", i, m)) return m;
    }
    return 0;
}

/* Levels, layers and the way of resampling: every level but the last ends on an upsampler. */
static void infer_levels(struct brume_renaming *r, brume_unet2d_config *c, bool *by_resnet)
{
    int blocks = 0, ups = 0;
    *by_resnet = false;
    while (is_resnet(r, "output_blocks", blocks, 0)) {
        bool resnet_up;
        if (upsampler(r, blocks, &resnet_up)) ups++, *by_resnet |= resnet_up;
        blocks++;
    }
    c->levels = ups + 1;
    if (!blocks) {
        brume_renaming_fail(r, BRUME_E_FORMAT, "tensor '%soutput_blocks.0.0.in_layers.0.weight' is missing%s", r->their_root,
                            brume_renaming_find(r, "out.0.weight") ? "; this is a classifier or an encoder alone" : "");
        return;
    }
    c->layers_per_block = blocks / c->levels - 1;
    if (c->levels > BRUME_UNET2D_MAX_LEVELS || blocks % c->levels || c->layers_per_block < 1) {
        brume_renaming_fail(r, BRUME_E_FORMAT, "%d output blocks with %d upsamplers are no U-Net of equal levels%s", blocks, ups,
                            ups ? "" : " (resampling without weights has no counterpart in UNet2DModel)");
        return;
    }
    const int inputs = 1 + c->levels * c->layers_per_block + c->levels - 1;
    for (int i = 1; i < inputs && r->status == BRUME_OK; i++)
        if (!is_resnet(r, "input_blocks", i, 0) && !brume_renaming_find(r, "input_blocks.%d.0.op.weight", i))
            brume_renaming_fail(r, BRUME_E_FORMAT, "input block %d has no weights ('input_blocks.%d.0.in_layers.0.weight'), but %d levels of %d layers need it",
                                i, i, c->levels, c->layers_per_block);
}

static void infer_blocks(struct brume_renaming *r, brume_unet2d_config *c, bool by_resnet)
{
    for (int i = 0; i < c->levels && r->status == BRUME_OK; i++) {
        char name[64];
        const int at = 1 + i * (c->layers_per_block + 1);
        snprintf(name, sizeof name, "input_blocks.%d.0.out_layers.3.weight", at);
        c->block_out_channels[i] = (int32_t)size(r, name, 0);
        snprintf(name, sizeof name, "input_blocks.%d.1", at);
        const bool attends = is_attention(r, name);
        c->down_block_types[i] = c->up_block_types[c->levels - 1 - i] = attends ? BRUME_BLOCK_ATTENTION
                                                                      : by_resnet ? BRUME_BLOCK_RESNET_RESAMPLE : BRUME_BLOCK_RESNET;
    }
    c->downsample_type = c->upsample_type = by_resnet ? BRUME_RESAMPLE_RESNET : BRUME_RESAMPLE_CONV;
    c->add_attention = is_attention(r, "middle_block.1");
    c->resnet_time_scale_shift = size(r, "input_blocks.1.0.emb_layers.1.weight", 0) == 2 * (int64_t)c->block_out_channels[0] ? BRUME_TIME_SCALE_SHIFT
                                                                                                                     : BRUME_TIME_DEFAULT;
    if (c->resnet_time_scale_shift == BRUME_TIME_SCALE_SHIFT) c->attn_norm_num_groups = 32; /* else diffusers leaves out the norm in the middle */
}

/* Heads do not show in the tensors. UNet2DModel knows one width of head for all levels. */
static void infer_heads(struct brume_renaming *r, const brume_convert_options *o, brume_unet2d_config *c)
{
    const char *place = NULL;
    int64_t width = 0;
    for (int i = 0; i <= c->levels && r->status == BRUME_OK; i++) {
        const bool mid = i == c->levels;
        if (mid ? !c->add_attention : c->down_block_types[i] != BRUME_BLOCK_ATTENTION) continue;
        const int64_t here = c->block_out_channels[mid ? i - 1 : i];
        const int64_t unit = o->head_channels ? o->head_channels : o->heads ? o->heads : 1;
        if (here % unit)
            brume_renaming_fail(r, BRUME_E_ARG, "attention over %lld channels cannot be cut by %lld", (long long)here, (long long)unit);
        else if (place && !o->head_channels && here != width)
            brume_renaming_fail(r, BRUME_E_UNSUPPORTED,
                                "%d heads at widths %lld and %lld have heads of two sizes, UNet2DModel has one attention_head_dim for all levels: no counterpart",
                                o->heads, (long long)width, (long long)here);
        place = "attention";
        width = here;
    }
    if (r->status != BRUME_OK || !place) return;
    if (!o->heads && !o->head_channels) {
        brume_renaming_fail(r, BRUME_E_ARG, "the tensors do not tell the number of attention heads; give --heads N (improved-diffusion: 4) or "
                                            "--head-channels N (guided-diffusion: 64)");
        return;
    }
    c->attention_head_dim = o->head_channels ? o->head_channels : (int32_t)(width / o->heads);
    /* QKVAttentionLegacy: heads outermost, then q, k, v; the new order: q, k, v outermost */
    r->stack_block = o->new_attention_order ? 0 : c->attention_head_dim;
}

static void infer(struct brume_renaming *r, const brume_convert_options *o, brume_unet2d_config *c)
{
    bool by_resnet;
    brume_unet2d_config_default(c);
    infer_levels(r, c, &by_resnet);
    if (r->status != BRUME_OK) return;
    infer_blocks(r, c, by_resnet);
    c->in_channels = (int32_t)size(r, "input_blocks.0.0.weight", 1);
    c->out_channels = (int32_t)size(r, "out.2.weight", 0);
    const int64_t time = size(r, "time_embed.0.weight", 1), first = size(r, "input_blocks.0.0.weight", 0);
    if (r->status == BRUME_OK && (time != c->block_out_channels[0] || first != c->block_out_channels[0])) {
        brume_renaming_fail(r, BRUME_E_UNSUPPORTED,
                            "tensor 'time_embed.0.weight' takes %lld values and 'input_blocks.0.0.weight' gives %lld, but the first level has %d channels: "
                            "UNet2DModel has one number for all three", (long long)time, (long long)first, c->block_out_channels[0]);
        return;
    }
    const int64_t width = size(r, "time_embed.0.weight", 0);
    if (width != 4 * time) c->time_embedding_dim = (int32_t)width;
    if (brume_renaming_find(r, "label_emb.weight")) {
        c->num_class_embeds = (int32_t)size(r, "label_emb.weight", 0);
        c->class_embed_type = BRUME_CLASS_TABLE;
    }
    c->sample_size[0] = c->sample_size[1] = o->image_size;
    infer_heads(r, o, c);
    if (r->status == BRUME_OK && brume_unet2d_config_check(c) != BRUME_OK) brume_renaming_fail(r, BRUME_E_UNSUPPORTED, "as UNet2DModel: %s", brume_error());
}

/* A resnet and, where there is one, its attention: modules 0 and 1 of a block. */
static void block(struct brume_renaming *r, const char *side, int at, const char *ours, int i, int j, bool attends)
{
    char from[64], to[64];
    snprintf(from, sizeof from, "%s.%d.0", side, at);
    snprintf(to, sizeof to, "%s.%d.resnets.%d", ours, i, j);
    brume_rename(r, resnet, from, to);
    if (!attends) return;
    snprintf(from, sizeof from, "%s.%d.1", side, at);
    snprintf(to, sizeof to, "%s.%d.attentions.%d", ours, i, j);
    brume_rename(r, attention, from, to);
}

static void rename_all(struct brume_renaming *r, const brume_unet2d_config *c)
{
    const int L = c->levels, n = c->layers_per_block;
    const bool by_resnet = c->downsample_type == BRUME_RESAMPLE_RESNET;
    char from[64], to[64];
    brume_rename(r, ends, "", "");
    for (int i = 0; i < L; i++) {
        const bool attends = c->down_block_types[i] == BRUME_BLOCK_ATTENTION;
        for (int j = 0; j < n; j++) block(r, "input_blocks", 1 + i * (n + 1) + j, "down_blocks", i, j, attends);
        if (i == L - 1) continue;
        snprintf(from, sizeof from, "input_blocks.%d.0", (i + 1) * (n + 1));
        snprintf(to, sizeof to, "down_blocks.%d.downsamplers.0", i);
        brume_rename(r, by_resnet ? resnet : downsample, from, to);
    }
    brume_rename(r, resnet, "middle_block.0", "mid_block.resnets.0");
    if (c->add_attention) brume_rename(r, attention, "middle_block.1", "mid_block.attentions.0");
    brume_rename(r, resnet, c->add_attention ? "middle_block.2" : "middle_block.1", "mid_block.resnets.1");
    for (int i = 0; i < L; i++) {
        const bool attends = c->up_block_types[i] == BRUME_BLOCK_ATTENTION;
        for (int j = 0; j <= n; j++) block(r, "output_blocks", i * (n + 1) + j, "up_blocks", i, j, attends);
        if (i == L - 1) continue;
        snprintf(from, sizeof from, "output_blocks.%d.%d", i * (n + 1) + n, attends ? 2 : 1);
        snprintf(to, sizeof to, "up_blocks.%d.upsamplers.0", i);
        brume_rename(r, by_resnet ? resnet : upsample, from, to);
    }
}

/* Every parameter of the network that the config describes must be there in its shape. */
static void compare(struct brume_renaming *r, const brume_unet2d_config *c)
{
    brume_graph *g = brume_graph_new();
    const int64_t side = brume_unet2d_multiple(c);
    const brume_tensor slab = brume_slab(g, "params");
    const brume_unet2d_inputs in = brume_unet2d_declare_inputs(g, c, 1, side, side, 0);
    brume_unet2d(g, c, slab, &in, NULL);
    if (!g) brume_renaming_fail(r, BRUME_E_MEMORY, "no memory for the network");
    else if (brume_graph_status(g) != BRUME_OK) brume_renaming_fail(r, brume_graph_status(g), "%s", brume_graph_error(g));
    for (int i = 0; r->status == BRUME_OK && i < brume_param_count(g, slab); i++) {
        const brume_param_info *p = brume_param_at(g, slab, i);
        const brume_shape want = brume_param_file_shape(p);
        const struct brume_renamed *got = brume_renaming_result(r, p->name);
        bool same = got && got->ndim == want.ndim;
        for (int d = 0; same && d < want.ndim; d++) same = got->shape[d] == want.d[d];
        if (!got) brume_renaming_fail(r, BRUME_E_FORMAT, "nothing becomes '%s' of UNet2DModel: a tensor is missing", p->name);
        else if (!same)
            brume_renaming_fail(r, BRUME_E_UNSUPPORTED, "tensor '%s' has another shape than '%s' of the UNet2DModel that the other tensors describe",
                                got->from->name, p->name);
    }
    brume_graph_free(g);
}

void brume_convert_unet2d(struct brume_renaming *r, const brume_convert_options *o, brume_unet2d_config *c)
{
    infer(r, o, c);
    if (r->status == BRUME_OK) rename_all(r, c);
    brume_renaming_complete(r, "UNet2DModel");
    if (r->status == BRUME_OK) compare(r, c);
}
