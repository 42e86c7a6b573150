/* SPDX-License-Identifier: MIT
 * The smallest network with cross-attention that tests train. */
#ifndef TESTS_TRAIN_TINY_H
#define TESTS_TRAIN_TINY_H

#include "brume/train.h"

static inline void tiny_text_config(brume_train_config *c)
{
    brume_train_config_default(c);
    brume_unet2d_condition_config_default(&c->unet);
    c->unet.levels = 2;
    for (int i = 0; i < 2; i++) {
        c->unet.block_out_channels[i] = i ? 16 : 8;
        c->unet.down_block_types[i] = c->unet.up_block_types[1 - i] = i ? BRUME_BLOCK_CROSS_ATTENTION : BRUME_BLOCK_RESNET;
    }
    c->unet.layers_per_block = 1;
    c->unet.norm_num_groups = 4;
    c->unet.attention_head_dim = 2;
    c->unet.cross_attention_dim = 16;
    c->batch = 4;
    c->warmup = 0;
    c->seed = 7;
}

#endif
