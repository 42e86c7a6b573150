/* SPDX-License-Identifier: MIT
 * Internals of UNet2DModel shared by its files. */
#ifndef BRUME_NN_UNET2D_BUILD_H
#define BRUME_NN_UNET2D_BUILD_H

#include "brume/unet2d.h"

#define BRUME_UNET2D_MAX_LAYERS 32

/* Groups of NCSN++'s norms, and of every norm of a level where norm_num_groups is null. */
static inline int brume_unet2d_quarter(int64_t channels) { return channels / 4 < 32 ? (int)(channels / 4) : 32; }
/* Groups of mid block and conv_norm_out. */
static inline int brume_unet2d_groups(const brume_unet2d_config *c, int level)
{
    return c->norm_num_groups ? c->norm_num_groups : brume_unet2d_quarter(c->block_out_channels[level]);
}
static inline bool brume_unet2d_is_skip(brume_unet2d_block b) { return b == BRUME_BLOCK_SKIP || b == BRUME_BLOCK_ATTENTION_SKIP; }
/* Groups of norm1 of resnet j of an NCSN++ up block: prev channels come from below, skip from the way down. The released code of the
 * attention block misplaces a parenthesis; checkpoints depend on it. */
static inline int brume_unet2d_skip_up_groups(brume_unet2d_block b, int64_t prev, int64_t skip)
{
    if (b == BRUME_BLOCK_SKIP) return brume_unet2d_quarter(prev + skip);
    return prev + skip / 4 < 32 ? (int)(prev + skip / 4) : 32;
}

/* "UNet2DModel", "BrumeMLP" or "BrumeNoisyClassifier"; NULL for an architecture that nobody knows. */
const char *brume_unet2d_class_name(const brume_unet2d_config *c);

/* Builds the network for the smallest image and returns its slab: the layout of the parameters. Errors stick to g. */
brume_tensor brume_unet2d_on_paper(brume_graph *g, const brume_unet2d_config *c);

#endif
