/* SPDX-License-Identifier: MIT
 * What a U-Net of improved-diffusion, guided-diffusion or latent-diffusion is, from the names and shapes of its tensors. */
#include <stdio.h>

#include "convert/unet.h"

/* Two tensors are asked for, so that a file without one of them is not taken for another network but has it named as missing. */
static bool is_attention(const struct brume_renaming *r, const char *module)
{
    return brume_renaming_find(r, "%s.qkv.weight", module) || brume_renaming_find(r, "%s.norm.weight", module);
}

static bool is_transformer(const struct brume_renaming *r, const char *module)
{
    return brume_renaming_find(r, "%s.proj_in.weight", module) ||
           brume_renaming_find(r, "%s.transformer_blocks.0.attn2.to_k.weight", module);
}

static bool is_resnet(const struct brume_renaming *r, const char *side, int i, int m)
{
    return brume_renaming_find(r, "%s.%d.%d.in_layers.0.weight", side, i, m) ||
           brume_renaming_find(r, "%s.%d.%d.in_layers.2.weight", side, i, m);
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
            brume_renaming_fail(
                r, BRUME_E_FORMAT,
                "input block %d has no weights ('%sinput_blocks.%d.0.%s.weight'), but %d levels of %d layers need it", i,
                r->their_root, i, i % (c->layers_per_block + 1) ? "in_layers.0" : "op", c->levels, c->layers_per_block);
}

static void infer_blocks(struct brume_renaming *r, brume_unet2d_config *c, bool by_resnet)
{
    const bool condition = c->architecture == BRUME_ARCHITECTURE_CONDITION;
    const brume_unet2d_block plain = by_resnet && !condition ? BRUME_BLOCK_RESNET_RESAMPLE : BRUME_BLOCK_RESNET;
    for (int i = 0; i < c->levels && r->status == BRUME_OK; i++) {
        char name[64];
        const int at = 1 + i * (c->layers_per_block + 1);
        snprintf(name, sizeof name, "input_blocks.%d.0.out_layers.3.weight", at);
        c->block_out_channels[i] = (int32_t)brume_renaming_size(r, name, 0);
        snprintf(name, sizeof name, "input_blocks.%d.1", at);
        const bool attends = condition ? is_transformer(r, name) : is_attention(r, name);
        c->down_block_types[i] = c->up_block_types[c->levels - 1 - i] = !attends    ? plain
                                                                        : condition ? BRUME_BLOCK_CROSS_ATTENTION
                                                                                    : BRUME_BLOCK_ATTENTION;
    }
    c->downsample_type = c->upsample_type = by_resnet ? BRUME_RESAMPLE_RESNET : BRUME_RESAMPLE_CONV;
    c->add_attention = condition || is_attention(r, "middle_block.1");
    c->resnet_time_scale_shift =
        brume_renaming_size(r, "input_blocks.1.0.emb_layers.1.weight", 0) == 2 * (int64_t)c->block_out_channels[0]
            ? BRUME_TIME_SCALE_SHIFT
            : BRUME_TIME_DEFAULT;
    /* else diffusers leaves out the norm in the middle */
    if (c->resnet_time_scale_shift == BRUME_TIME_SCALE_SHIFT && !condition) c->attn_norm_num_groups = 32;
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
            brume_renaming_fail(r, BRUME_E_ARG, "attention over %lld channels cannot be cut by %lld", (long long)here,
                                (long long)unit);
        else if (place && !o->head_channels && here != width)
            brume_renaming_fail(r, BRUME_E_UNSUPPORTED,
                                "%d heads at widths %lld and %lld have heads of two sizes, UNet2DModel has one "
                                "attention_head_dim for all levels: no counterpart",
                                o->heads, (long long)width, (long long)here);
        place = "attention";
        width = here;
    }
    if (r->status != BRUME_OK || !place) return;
    if (!o->heads && !o->head_channels) {
        brume_renaming_fail(r, BRUME_E_ARG,
                            "the tensors do not tell the number of attention heads; give --heads N (improved-diffusion: 4) or "
                            "--head-channels N (guided-diffusion: 64)");
        return;
    }
    c->attention_head_dim = o->head_channels ? o->head_channels : (int32_t)(width / o->heads);
    /* QKVAttentionLegacy: heads outermost, then q, k, v; the new order: q, k, v outermost */
    r->stack_block = o->new_attention_order ? 0 : c->attention_head_dim;
}

/* Layers of the transformer of a module. */
static int depth_of(const struct brume_renaming *r, const char *module)
{
    int n = 0;
    while (n < 64 && brume_renaming_find(r, "%s.transformer_blocks.%d.norm1.weight", module, n)) n++;
    return n ? n : 1;
}

/* Heads of Stable Diffusion 1.x are 8, of 2.x (known by its linear projections) 64 channels wide. */
static void infer_level_heads(struct brume_renaming *r, const brume_convert_options *o, brume_unet2d_config *c)
{
    const int width = o->head_channels ? o->head_channels : o->heads ? 0 : c->use_linear_projection ? 64 : 0;
    c->attention_head_dim = o->heads ? o->heads : 8;
    for (int i = 0; i < c->levels; i++) {
        const int channels = c->block_out_channels[i], heads = width ? channels / width : c->attention_head_dim;
        if (c->down_block_types[i] != BRUME_BLOCK_CROSS_ATTENTION && i < c->levels - 1) continue;
        if (heads < 1 || channels % heads || (width && channels % width)) {
            brume_renaming_fail(r, BRUME_E_ARG,
                                "attention over %d channels cannot be cut into heads %s %d; give --heads N or --head-channels N",
                                channels, width ? "of" : "by the number of", width ? width : heads);
            return;
        }
    }
    for (int i = 0; i < c->levels && width; i++)
        c->level_attention_heads[i] = c->block_out_channels[i] / width > 0 ? c->block_out_channels[i] / width : 1;
}

static void infer_transformers(struct brume_renaming *r, const brume_convert_options *o, brume_unet2d_config *c)
{
    const brume_st_tensor *in = brume_renaming_find(r, "middle_block.1.proj_in.weight");
    bool even = true;
    c->use_linear_projection = in && in->ndim == 2;
    c->cross_attention_dim = (int32_t)brume_renaming_size(r, "middle_block.1.transformer_blocks.0.attn2.to_k.weight", 1);
    c->transformer_layers_per_block = depth_of(r, "middle_block.1");
    for (int i = 0; i < c->levels; i++) {
        char name[64];
        snprintf(name, sizeof name, "input_blocks.%d.1", 1 + i * (c->layers_per_block + 1));
        if (c->down_block_types[i] == BRUME_BLOCK_CROSS_ATTENTION) c->level_transformer_layers[i] = depth_of(r, name);
        even = even && (!c->level_transformer_layers[i] || c->level_transformer_layers[i] == c->transformer_layers_per_block);
    }
    for (int i = 0; i < c->levels && even; i++) c->level_transformer_layers[i] = 0;
    infer_level_heads(r, o, c);
}

void brume_convert_unet2d_infer(struct brume_renaming *r, const brume_convert_options *o, brume_unet2d_config *c)
{
    bool by_resnet;
    if (is_transformer(r, "middle_block.1") || is_transformer(r, "input_blocks.1.1")) brume_unet2d_condition_config_default(c);
    else brume_unet2d_config_default(c);
    infer_levels(r, c, &by_resnet);
    if (r->status != BRUME_OK) return;
    infer_blocks(r, c, by_resnet);
    c->in_channels = (int32_t)brume_renaming_size(r, "input_blocks.0.0.weight", 1);
    c->out_channels = (int32_t)brume_renaming_size(r, "out.2.weight", 0);
    const int64_t time = brume_renaming_size(r, "time_embed.0.weight", 1),
                  first = brume_renaming_size(r, "input_blocks.0.0.weight", 0);
    if (r->status == BRUME_OK && (time != c->block_out_channels[0] || first != c->block_out_channels[0])) {
        brume_renaming_fail(r, BRUME_E_UNSUPPORTED,
                            "tensor 'time_embed.0.weight' takes %lld values and 'input_blocks.0.0.weight' gives %lld, but the "
                            "first level has %d channels: %s has one number for all three",
                            (long long)time, (long long)first, c->block_out_channels[0], brume_unet2d_class_name(c));
        return;
    }
    const int64_t width = brume_renaming_size(r, "time_embed.0.weight", 0);
    if (width != 4 * time) c->time_embedding_dim = (int32_t)width;
    if (brume_renaming_find(r, "label_emb.weight")) {
        c->num_class_embeds = (int32_t)brume_renaming_size(r, "label_emb.weight", 0);
        c->class_embed_type = BRUME_CLASS_TABLE;
    }
    c->sample_size[0] = c->sample_size[1] = o->image_size;
    if (c->architecture == BRUME_ARCHITECTURE_CONDITION) infer_transformers(r, o, c);
    else infer_heads(r, o, c);
    if (r->status == BRUME_OK && brume_unet2d_config_check(c) != BRUME_OK)
        brume_renaming_fail(r, BRUME_E_UNSUPPORTED, "as %s: %s", brume_unet2d_class_name(c), brume_error());
}
