/* SPDX-License-Identifier: MIT
 * Internals of UNet2DModel and UNet2DConditionModel shared by their files. */
#ifndef BRUME_NN_UNET2D_BUILD_H
#define BRUME_NN_UNET2D_BUILD_H

#include "brume/unet2d.h"
#include "nn/config_table.h"
#include "nn/network_file.h"

#define BRUME_UNET2D_MAX_LAYERS 32

/* Groups of NCSN++'s norms, and of every norm of a level where norm_num_groups is null. */
static inline int brume_unet2d_quarter(int64_t channels) { return channels / 4 < 32 ? (int)(channels / 4) : 32; }
/* Groups of mid block and conv_norm_out. */
static inline int brume_unet2d_groups(const brume_unet2d_config *c, int level)
{
    return c->norm_num_groups ? c->norm_num_groups : brume_unet2d_quarter(c->block_out_channels[level]);
}
static inline bool brume_unet2d_is_skip(brume_unet2d_block b) { return b == BRUME_BLOCK_SKIP || b == BRUME_BLOCK_ATTENTION_SKIP; }
/* Groups of norm1 of resnet j of an NCSN++ up block: prev channels come from below, skip from the way down. The released code of
 * the attention block misplaces a parenthesis; checkpoints depend on it. */
static inline int brume_unet2d_skip_up_groups(brume_unet2d_block b, int64_t prev, int64_t skip)
{
    if (b == BRUME_BLOCK_SKIP) return brume_unet2d_quarter(prev + skip);
    return prev + skip / 4 < 32 ? (int)(prev + skip / 4) : 32;
}

/* What a level of the way down has, after overrides. */
static inline int brume_unet2d_layers(const brume_unet2d_config *c, int level)
{
    return c->architecture == BRUME_ARCHITECTURE_CONDITION && c->level_layers[level] ? c->level_layers[level]
                                                                                     : c->layers_per_block;
}
static inline int brume_unet2d_heads(const brume_unet2d_config *c, int level)
{
    return c->level_attention_heads[level] ? c->level_attention_heads[level] : c->attention_head_dim;
}
static inline int brume_unet2d_depth(const brume_unet2d_config *c, int level)
{
    return c->level_transformer_layers[level] ? c->level_transformer_layers[level] : c->transformer_layers_per_block;
}

/* Words of keys that both models have. */
extern const struct brume_config_word brume_unet2d_act_names[], brume_unet2d_shift_types[];

/* Keys of UNet2DConditionModel, in unet2d_condition_config.c. */
extern const struct brume_config_key brume_unet2d_condition_keys[];
extern const char *const brume_unet2d_condition_other_keys[];
/* Defaults of the keys that may be lists. */
void brume_unet2d_condition_level_defaults(brume_unet2d_config *c);
/* The keys and the lists with an entry per level; what brume does not build is refused by the key's name. Needs c->levels. */
brume_status brume_unet2d_condition_read(const brume_json *root, brume_unet2d_config *c);
void brume_unet2d_condition_write(brume_json_writer *w, const brume_unet2d_config *c);
/* What is special: block types, heads, contexts of one width. After the checks that all share. */
brume_status brume_unet2d_condition_check(const brume_unet2d_config *c);

/* Widths of BRUME_ARCHITECTURE_LUCIDRAINS: into level i; of the middle for i = levels. */
static inline int64_t brume_unet2d_lucidrains_width(const brume_unet2d_config *c, int i)
{
    return i ? c->block_out_channels[i - 1] : c->init_dim ? c->init_dim : c->dim;
}
#define BRUME_UNET2D_MAX_FULL_HEADS 16 /* brume_concat() joins so many */

/* Keys of BRUME_ARCHITECTURE_LUCIDRAINS, in lucidrains_config.c; lists and checks as above. */
extern const struct brume_config_key brume_unet2d_lucidrains_keys[];
extern const char *const brume_unet2d_lucidrains_other_keys[];
brume_status brume_unet2d_lucidrains_read(const brume_json *root, brume_unet2d_config *c);
void brume_unet2d_lucidrains_write(brume_json_writer *w, const brume_unet2d_config *c);
brume_status brume_unet2d_lucidrains_check(const brume_unet2d_config *c);

/* Its config is a brume_unet2d_config. */
extern const struct brume_network_kind brume_unet2d_network;

#endif
