/* SPDX-License-Identifier: MIT
 * The U-Net of denoising-diffusion-pytorch 2.x: blocks of convolution, root mean square norm, activation; linear attention (Shen
 * et al. 2021) above the lowest level; keys and values of its own beside those of the pixels. Parameters have its names and
 * shapes. */
#include <math.h>
#include <stdio.h>

#include "nn/blocks.h"
#include "nn/unet2d_build.h"

#define AT(...) (snprintf(path, sizeof path, __VA_ARGS__), path)

/* x / |x| g sqrt(C) over the channels (Zhang & Sennrich 2019). */
static brume_tensor rms_norm(struct brume_nn *m, const char *prefix, brume_tensor x)
{
    brume_graph *g = m->g;
    const brume_shape s = brume_tensor_shape(g, x);
    if (s.ndim < 1) return BRUME_NONE; /* after an error */
    const int64_t c = s.d[s.ndim - 1];
    const brume_tensor w = brume_nn_param(m, prefix, "g", BRUME_SHAPE(1, c, 1, 1), BRUME_LAYOUT_SAME, BRUME_INIT_ONE, 1);
    brume_scope_push(g, "%s", prefix);
    /* F.normalize divides by max(|x|, 1e-12); this has a gradient at 0, too */
    const brume_tensor length =
        brume_sqrt(g, brume_affine(g, brume_sum(g, brume_square(g, x), 1u << (s.ndim - 1), 1), 1.0f, 1e-24f));
    x = brume_mul(g, brume_div(g, x, length), brume_affine(g, brume_reshape(g, w, BRUME_SHAPE(c)), sqrtf((float)c), 0.0f));
    brume_scope_pop(g);
    return x;
}

static brume_tensor conv(struct brume_nn *m, const char *prefix, brume_tensor x, int64_t out, int kernel)
{
    return brume_nn_conv(m, prefix, x, out, kernel, BRUME_NONE, BRUME_NONE);
}

/* A block's second half; e (N, 2 out) or BRUME_NONE: scale - 1 and shift. */
static brume_tensor finish_block(struct brume_nn *m, const char *prefix, brume_tensor h, brume_tensor e)
{
    brume_graph *g = m->g;
    char path[2 * BRUME_NN_PATH];
    h = rms_norm(m, AT("%s.norm", prefix), h);
    brume_scope_push(g, "%s", prefix);
    if (e != BRUME_NONE) {
        const brume_shape s = brume_tensor_shape(g, e);
        const int64_t n = s.d[0], c = s.ndim == 2 ? s.d[1] / 2 : 1;
        const brume_tensor scale = brume_reshape(g, brume_slice(g, e, 1, 0, c), BRUME_SHAPE(n, 1, 1, c));
        const brume_tensor shift = brume_reshape(g, brume_slice(g, e, 1, c, c), BRUME_SHAPE(n, 1, 1, c));
        h = brume_add(g, brume_mul(g, h, brume_affine(g, scale, 1.0f, 1.0f)), shift);
    }
    h = brume_silu(g, h);
    brume_scope_pop(g);
    return h;
}

static brume_tensor resnet(struct brume_nn *m, const char *prefix, brume_tensor x, int64_t out)
{
    brume_graph *g = m->g;
    const brume_shape s = brume_tensor_shape(g, x);
    char path[BRUME_NN_PATH];
    if (s.ndim != 4) return BRUME_NONE; /* after an error */
    brume_segment_begin(g);
    const brume_tensor e = brume_nn_linear(m, AT("%s.mlp.1", prefix), m->temb, 2 * out);
    brume_tensor h = conv(m, AT("%s.block1.proj", prefix), x, out, 3);
    h = finish_block(m, AT("%s.block1", prefix), h, e);
    if (m->train && m->dropout > 0.0f) {
        brume_scope_push(g, "%s", prefix);
        h = brume_dropout(g, h, m->dropout, m->train->seeds, m->train->step, m->stream++);
        brume_scope_pop(g);
    }
    h = conv(m, AT("%s.block2.proj", prefix), h, out, 3);
    h = finish_block(m, AT("%s.block2", prefix), h, BRUME_NONE);
    if (s.d[3] != out) {
        h = brume_nn_conv(m, AT("%s.res_conv", prefix), x, out, 1, BRUME_NONE, h);
    } else {
        brume_scope_push(g, "%s", prefix);
        h = brume_add(g, h, x);
        brume_scope_pop(g);
    }
    brume_segment_end(g);
    return h;
}

/* A tensor of one image for each of n. */
static brume_tensor repeat(brume_graph *g, brume_tensor x, int64_t n)
{
    return n == 1 ? x : brume_mul(g, brume_constant(g, BRUME_SHAPE(n, 1, 1), 1.0f), x);
}

/* Ones where a head meets itself: (heads, 1, heads, 1). Rows of heads + 1 values, each with its one in front, cut off after
 * heads^2. */
static brume_tensor diagonal(brume_graph *g, int64_t heads)
{
    const brume_tensor one = brume_constant(g, BRUME_SHAPE(heads, 1), 1.0f);
    const brume_tensor rows = brume_pad(g, one, (const int64_t[]){ 0, 0 }, (const int64_t[]){ 0, heads });
    return brume_reshape(g, brume_slice(g, brume_reshape(g, rows, BRUME_SHAPE(heads * (heads + 1))), 0, 0, heads * heads),
                         BRUME_SHAPE(heads, 1, heads, 1));
}

/*
 * softmax(q) over a head's channels, softmax(k) over pixels: out = q (k^T v), linear in the number of pixels. x (N, S, C)
 * normalised, w (C, 3 H D), mem (2, H, D, M). Keys and values are made transposed, (N, H D, S), since softmax works along the
 * last axis; k^T v of all heads stand on the diagonal of one matrix, so that q keeps its layout.
 */
static brume_tensor linear_attention(brume_graph *g, brume_tensor x, brume_tensor w, brume_tensor mem, int64_t heads, int64_t dim)
{
    const brume_shape s = brume_tensor_shape(g, x);
    const int64_t n = s.d[0], pixels = s.d[1], c = s.d[2], inner = heads * dim, tokens = brume_tensor_shape(g, mem).d[3];
    brume_tensor q = brume_linear(g, x, brume_slice(g, w, 1, 0, inner), BRUME_NONE);
    q = brume_reshape(g, brume_softmax(g, brume_reshape(g, q, BRUME_SHAPE(n, pixels, heads, dim))),
                      BRUME_SHAPE(n, pixels, inner));
    const brume_tensor w_kv =
        repeat(g, brume_reshape(g, brume_slice(g, w, 1, inner, 2 * inner), BRUME_SHAPE(1, c, 2 * inner)), n);
    const brume_tensor kv = brume_matmul(g, w_kv, x, 1, 1);
    brume_tensor half[2];
    for (int i = 0; i < 2; i++) {
        const brume_tensor own = repeat(g, brume_reshape(g, brume_slice(g, mem, 0, i, 1), BRUME_SHAPE(1, inner, tokens)), n);
        half[i] = brume_concat(g, 2, (const brume_tensor[]){ own, brume_slice(g, kv, 1, i * inner, inner) }, 2);
    }
    const brume_shape per_head = BRUME_SHAPE(n, heads, dim, tokens + pixels);
    const brume_tensor k = brume_reshape(g, brume_softmax(g, half[0]), per_head), v = brume_reshape(g, half[1], per_head);
    const brume_tensor context = brume_affine(g, brume_matmul(g, k, v, 0, 1), 1.0f / sqrtf((float)dim), 0.0f);
    const brume_tensor all = brume_mul(g, brume_reshape(g, context, BRUME_SHAPE(n, heads, dim, 1, dim)), diagonal(g, heads));
    return brume_matmul(g, q, brume_reshape(g, all, BRUME_SHAPE(n, inner, inner)), 0, 0);
}

/* The usual one; mem (2, H, M, D). */
static brume_tensor full_attention(brume_graph *g, brume_tensor x, brume_tensor w, brume_tensor mem, int64_t heads, int64_t dim)
{
    const int64_t n = brume_tensor_shape(g, x).d[0], inner = heads * dim, tokens = brume_tensor_shape(g, mem).d[2];
    const brume_tensor qkv = brume_linear(g, x, w, BRUME_NONE);
    brume_tensor half[2];
    for (int i = 0; i < 2; i++) {
        const brume_tensor all = brume_reshape(g, brume_slice(g, mem, 0, i, 1), BRUME_SHAPE(heads, tokens, dim));
        brume_tensor own[BRUME_UNET2D_MAX_FULL_HEADS];
        for (int64_t h = 0; h < heads; h++) own[h] = brume_slice(g, all, 0, h, 1);
        /* heads beside each other, as in q */
        const brume_tensor joined = heads > 1 ? brume_concat(g, (int)heads, own, 2) : own[0];
        half[i] =
            brume_concat(g, 2, (const brume_tensor[]){ repeat(g, joined, n), brume_slice(g, qkv, 2, (i + 1) * inner, inner) }, 1);
    }
    return brume_sdpa(g, brume_slice(g, qkv, 2, 0, inner), half[0], half[1], (int)heads, 0, 1.0f / sqrtf((float)dim));
}

/* With residual. level: of the way down. */
static brume_tensor attention(struct brume_nn *m, const brume_unet2d_config *c, const char *prefix, brume_tensor x, int level,
                              bool full)
{
    brume_graph *g = m->g;
    const brume_shape s = brume_tensor_shape(g, x);
    const int64_t heads = c->level_attention_heads[level], dim = c->level_head_dim[level], inner = heads * dim,
                  tokens = c->num_mem_kv;
    char path[BRUME_NN_PATH];
    if (s.ndim != 4) return BRUME_NONE; /* after an error */
    const int64_t width = s.d[3];
    brume_segment_begin(g);
    brume_tensor h = rms_norm(m, AT("%s.norm", prefix), x);
    const brume_shape mem_shape = full ? BRUME_SHAPE(2, heads, tokens, dim) : BRUME_SHAPE(2, heads, dim, tokens);
    const brume_tensor mem = brume_nn_param(m, prefix, "mem_kv", mem_shape, BRUME_LAYOUT_SAME, BRUME_INIT_NORMAL, 1);
    brume_tensor w = brume_nn_param(m, AT("%s.to_qkv", prefix), "weight", BRUME_SHAPE(1, 1, width, 3 * inner), BRUME_LAYOUT_CONV,
                                    BRUME_INIT_UNIFORM_FAN_IN, width);
    brume_scope_push(g, "%s", prefix);
    w = brume_reshape(g, w, BRUME_SHAPE(width, 3 * inner));
    h = brume_reshape(g, h, BRUME_SHAPE(s.d[0], s.d[1] * s.d[2], width));
    h = full ? full_attention(g, h, w, mem, heads, dim) : linear_attention(g, h, w, mem, heads, dim);
    h = brume_reshape(g, h, BRUME_SHAPE(s.d[0], s.d[1], s.d[2], inner));
    brume_scope_pop(g);
    if (full) {
        h = brume_nn_conv(m, AT("%s.to_out", prefix), h, width, 1, BRUME_NONE, x);
    } else {
        h = conv(m, AT("%s.to_out.0", prefix), h, width, 1);
        h = rms_norm(m, AT("%s.to_out.1", prefix), h);
        brume_scope_push(g, "%s", prefix);
        h = brume_add(g, h, x);
        brume_scope_pop(g);
    }
    brume_segment_end(g);
    return h;
}

/*
 * Pixels of 2 x 2 become channels, channel c of pixel p number 4 c + p, then a 1x1 convolution (O, 4 C, 1, 1): a convolution of 2
 * x 2 with stride 2, once the weight (4 C, O) is (4, C, O).
 */
static brume_tensor downsample(struct brume_nn *m, const char *prefix, brume_tensor x, int64_t out)
{
    brume_graph *g = m->g;
    const brume_shape s = brume_tensor_shape(g, x);
    if (s.ndim != 4) return BRUME_NONE; /* after an error */
    const int64_t c = s.d[3];
    const brume_conv2d_params p = { .stride = 2, .groups = 1 };
    const brume_tensor w =
        brume_nn_param(m, prefix, "weight", BRUME_SHAPE(1, 1, 4 * c, out), BRUME_LAYOUT_CONV, BRUME_INIT_UNIFORM_FAN_IN, 4 * c);
    const brume_tensor b =
        brume_nn_param(m, prefix, "bias", BRUME_SHAPE(out), BRUME_LAYOUT_SAME, BRUME_INIT_UNIFORM_FAN_IN, 4 * c);
    brume_scope_push(g, "%s", prefix);
    const brume_tensor by_channel = brume_reshape(g, w, BRUME_SHAPE(c, 4, out));
    brume_tensor pixel[4];
    for (int i = 0; i < 4; i++) pixel[i] = brume_reshape(g, brume_slice(g, by_channel, 1, i, 1), BRUME_SHAPE(1, c, out));
    const brume_tensor by_pixel = brume_reshape(g, brume_concat(g, 4, pixel, 0), BRUME_SHAPE(2, 2, c, out));
    x = brume_conv2d(g, x, by_pixel, b, BRUME_NONE, &p);
    brume_scope_pop(g);
    return x;
}

static brume_tensor upsample(struct brume_nn *m, const char *prefix, brume_tensor x, int64_t out)
{
    const brume_shape s = brume_tensor_shape(m->g, x);
    if (s.ndim != 4) return BRUME_NONE; /* after an error */
    brume_segment_begin(m->g);
    brume_scope_push(m->g, "%s", prefix);
    x = brume_upsample_nearest(m->g, x, 2 * s.d[1], 2 * s.d[2]);
    brume_scope_pop(m->g);
    x = conv(m, prefix, x, out, 3);
    brume_segment_end(m->g);
    return x;
}

/* t (N) to its embedding (N, 4 dim), before the activation. Learned or random: [t, sin(2 pi w t), cos(2 pi w t)]. */
static brume_tensor embed(struct brume_nn *m, const brume_unet2d_config *c, brume_tensor t)
{
    brume_graph *g = m->g;
    const int64_t n = brume_tensor_shape(g, t).d[0], half = c->learned_sinusoidal_dim / 2, width = brume_unet2d_embedding_dim(c);
    brume_tensor e;
    if (half) {
        const brume_tensor w =
            brume_nn_param(m, "time_mlp.0", "weights", BRUME_SHAPE(half), BRUME_LAYOUT_SAME, BRUME_INIT_NORMAL, 1);
        brume_scope_push(g, "time_mlp.0");
        const brume_tensor column = brume_reshape(g, t, BRUME_SHAPE(n, 1));
        const brume_tensor angle =
            brume_affine(g, brume_mul(g, column, c->random_fourier_features ? brume_stop_gradient(g, w) : w), 6.28318531f, 0.0f);
        e = brume_concat(g, 3, (const brume_tensor[]){ column, brume_sin(g, angle), brume_cos(g, angle) }, 1);
    } else {
        brume_scope_push(g, "time_mlp.0");
        e = brume_timestep_embedding(g, t, c->dim, 0, 1.0f);
    }
    brume_scope_pop(g);
    e = brume_gelu_erf(g, brume_nn_linear(m, "time_mlp.1", e, width));
    return brume_nn_linear(m, "time_mlp.3", e, width);
}

static brume_tensor join(struct brume_nn *m, const char *prefix, brume_tensor x, brume_tensor skip)
{
    brume_scope_push(m->g, "%s", prefix);
    x = brume_concat(m->g, 2, (const brume_tensor[]){ x, skip }, 3);
    brume_scope_pop(m->g);
    return x;
}

brume_tensor brume_nn_lucidrains(struct brume_nn *m, const brume_unet2d_config *c, brume_tensor x, brume_tensor t)
{
    brume_graph *g = m->g;
    const int L = c->levels;
    const int64_t first = brume_unet2d_lucidrains_width(c, 0);
    brume_tensor skips[2 * BRUME_UNET2D_MAX_LEVELS];
    char path[BRUME_NN_PATH];
    m->temb = brume_silu(g, embed(m, c, t));
    if (c->self_condition) { /* no estimate of x0 is at hand: zeros, as half of its training has them */
        const brume_tensor none = brume_constant(g, brume_tensor_shape(g, x), 0.0f);
        x = brume_concat(g, 2, (const brume_tensor[]){ none, x }, 3);
    }
    const brume_tensor start = x = conv(m, "init_conv", x, first, 7);
    for (int i = 0; i < L; i++) {
        const int64_t in = brume_unet2d_lucidrains_width(c, i), out = brume_unet2d_lucidrains_width(c, i + 1);
        skips[2 * i] = x = resnet(m, AT("downs.%d.0", i), x, in);
        x = resnet(m, AT("downs.%d.1", i), x, in);
        skips[2 * i + 1] = x = attention(m, c, AT("downs.%d.2", i), x, i, c->full_attention[i]);
        x = i < L - 1 ? downsample(m, AT("downs.%d.3.1", i), x, out) : conv(m, AT("downs.%d.3", i), x, out, 3);
    }
    const int64_t mid = brume_unet2d_lucidrains_width(c, L);
    x = resnet(m, "mid_block1", x, mid);
    x = attention(m, c, "mid_attn", x, L - 1, true);
    x = resnet(m, "mid_block2", x, mid);
    for (int i = 0; i < L; i++) {
        const int level = L - 1 - i;
        const int64_t in = brume_unet2d_lucidrains_width(c, level), out = brume_unet2d_lucidrains_width(c, level + 1);
        for (int j = 0; j < 2; j++) {
            AT("ups.%d.%d", i, j);
            x = resnet(m, path, join(m, path, x, skips[2 * level + 1 - j]), out);
        }
        x = attention(m, c, AT("ups.%d.2", i), x, level, c->full_attention[level]);
        x = level ? upsample(m, AT("ups.%d.3.1", i), x, in) : conv(m, AT("ups.%d.3", i), x, in, 3);
    }
    x = resnet(m, "final_res_block", join(m, "final_res_block", x, start), first);
    return conv(m, "final_conv", x, c->out_channels, 1);
}
