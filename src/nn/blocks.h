/* SPDX-License-Identifier: MIT
 * Building blocks of U-Nets, with parameters named as in diffusers. Images are (N, H, W, C). */
#ifndef BRUME_NN_BLOCKS_H
#define BRUME_NN_BLOCKS_H

#include "brume/lora.h"
#include "brume/unet2d.h"

#define BRUME_NN_PATH 160 /* room for the longest parameter name */

/* A network under construction. */
struct brume_nn {
    brume_graph *g;
    brume_tensor slab;
    const char *root;                   /* begins every parameter's name: "", or of a second network in a slab "text_encoder." */
    brume_act act;
    float norm_eps, dropout;
    bool scale_shift;
    bool declared;                      /* the slab holds all parameters already: they are found by name */
    brume_tensor temb;                  /* act(time embedding) (N, E): every resnet starts from it, so it is computed once;
                                           BRUME_NONE: there is no time */
    brume_tensor context;               /* (N, S, X), or BRUME_NONE: what cross-attention reads */
    const brume_dropout_source *train;  /* NULL: evaluation */
    const brume_lora *lora;             /* adapters of attention's projections, or NULL */
    const char *lora_root;              /* begins their names: "unet." or "text_encoder." */
    uint32_t stream;                    /* of the next dropout */
};

enum brume_nn_mode { BRUME_NN_KEEP, BRUME_NN_DOWN, BRUME_NN_UP, BRUME_NN_FIR_DOWN, BRUME_NN_FIR_UP };

/* The trainable parameter PREFIX.leaf. */
brume_tensor brume_nn_param(struct brume_nn *m, const char *prefix, const char *leaf, brume_shape shape, brume_layout layout,
                            brume_init init, int64_t fan_in);
/* PREFIX.weight and PREFIX.bias, (I, O) and (O); y = x w + b. */
brume_tensor brume_nn_linear(struct brume_nn *m, const char *prefix, brume_tensor x, int64_t out);
/* Square kernel (odd, "same" padding). bias_add (N, O) is added to the bias of each sample, residual (N, H, W, O) to the result;
 * or BRUME_NONE. */
brume_tensor brume_nn_conv(struct brume_nn *m, const char *prefix, brume_tensor x, int64_t out, int kernel, brume_tensor bias_add,
                           brume_tensor residual);
brume_tensor brume_nn_group_norm(struct brume_nn *m, const char *prefix, brume_tensor x, int groups, brume_act act);
/* Table of rows: PREFIX.weight (rows, width). */
brume_tensor brume_nn_embedding(struct brume_nn *m, const char *prefix, brume_tensor ids, int64_t rows, int64_t width);
/* The table alone. */
brume_tensor brume_nn_table(struct brume_nn *m, const char *prefix, int64_t rows, int64_t width);
/* PREFIX.weight (I, O) without a bias: y = x w. */
brume_tensor brume_nn_matrix(struct brume_nn *m, const char *prefix, brume_tensor x, int64_t out);
/* A linear layer of attention, with or without a bias: the one that m->lora adapts. */
brume_tensor brume_nn_projection(struct brume_nn *m, const char *prefix, brume_tensor x, int64_t out, bool bias);
brume_tensor brume_nn_layer_norm(struct brume_nn *m, const char *prefix, brume_tensor x, float norm_eps);
/* linear_2(act(linear_1(x))) */
brume_tensor brume_nn_time_mlp(struct brume_nn *m, const char *prefix, brume_tensor x, int64_t width, brume_act act);

/* Variations of ResnetBlock2D. */
struct brume_nn_resnet {
    int groups, groups_out;   /* of norm1 and norm2 */
    enum brume_nn_mode mode;  /* resampling between norm1 and conv1 */
    float scale;              /* the result is divided by it */
    bool shortcut;            /* a 1x1 convolution on the residual even where the width stays */
};
brume_tensor brume_nn_resnet(struct brume_nn *m, const char *prefix, brume_tensor x, int64_t out,
                             const struct brume_nn_resnet *r);
/* Self-attention over pixels, with residual. head_dim 0: one head. groups 0: no normalisation. The result is divided by scale. */
brume_tensor brume_nn_attention(struct brume_nn *m, const char *prefix, brume_tensor x, int groups, int head_dim, float scale);

/* Transformer2D: self-attention, attention to the context and a gated feed-forward, in that order and depth times, over
 * pixels. */
struct brume_nn_transformer {
    int groups, heads, depth;
    bool linear;              /* projections are stored as linear layers, not as 1x1 convolutions */
    bool only_cross;          /* the first attention reads the context, too */
};
brume_tensor brume_nn_transformer2d(struct brume_nn *m, const char *prefix, brume_tensor x, const struct brume_nn_transformer *t);
/* PREFIX.conv, stride 2; pad 1: all around, 0: bottom and right only. */
brume_tensor brume_nn_downsample(struct brume_nn *m, const char *prefix, brume_tensor x, int pad);
/* Nearest to height x width, or x 2, then PREFIX.conv. */
brume_tensor brume_nn_upsample_to(struct brume_nn *m, const char *prefix, brume_tensor x, int64_t height, int64_t width);
brume_tensor brume_nn_upsample(struct brume_nn *m, const char *prefix, brume_tensor x);

/* The U-Net of BRUME_ARCHITECTURE_LUCIDRAINS: x (N, H, W, in_channels) and t (N) to (N, H, W, out_channels). */
brume_tensor brume_nn_lucidrains(struct brume_nn *m, const brume_unet2d_config *c, brume_tensor x, brume_tensor t);

/* Residual multilayer perceptron over all values of an image: x (N, H, W, C) to (N, H, W, out); layers blocks of that width. */
brume_tensor brume_nn_mlp(struct brume_nn *m, brume_tensor x, int64_t out, int64_t width, int layers);

#endif
