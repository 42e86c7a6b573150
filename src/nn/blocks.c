/* SPDX-License-Identifier: MIT
 * Building blocks of U-Nets: resnets, attention, resampling. */
#include "nn/blocks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/lora.h"

brume_tensor brume_nn_param(struct brume_nn *m, const char *prefix, const char *leaf, brume_shape shape, brume_layout layout,
                            brume_init init, int64_t fan_in)
{
    char name[2 * BRUME_NN_PATH];
    snprintf(name, sizeof name, "%s%s.%s", m->root, prefix, leaf);
    for (int i = 0; m->declared && i < brume_param_count(m->g, m->slab); i++)
        if (!strcmp(brume_param_at(m->g, m->slab, i)->name, name)) return brume_param_at(m->g, m->slab, i)->tensor;
    const brume_param_info info = { .name = name, .shape = shape, .layout = layout, .init = init,
                                    .fan_in = fan_in, .init_scale = 1.0f, .trainable = 1 };
    return brume_param(m->g, m->slab, &info);
}

static int64_t channels(struct brume_nn *m, brume_tensor x)
{
    const brume_shape s = brume_tensor_shape(m->g, x);
    return s.ndim > 0 ? s.d[s.ndim - 1] : 1; /* a scalar only stands for BRUME_NONE after an error */
}

brume_tensor brume_nn_linear(struct brume_nn *m, const char *prefix, brume_tensor x, int64_t out)
{
    const int64_t in = channels(m, x);
    const brume_tensor w =
        brume_nn_param(m, prefix, "weight", BRUME_SHAPE(in, out), BRUME_LAYOUT_LINEAR, BRUME_INIT_UNIFORM_FAN_IN, in);
    const brume_tensor b = brume_nn_param(m, prefix, "bias", BRUME_SHAPE(out), BRUME_LAYOUT_SAME, BRUME_INIT_UNIFORM_FAN_IN, in);
    brume_scope_push(m->g, "%s", prefix);
    const brume_tensor y = brume_linear(m->g, x, w, b);
    brume_scope_pop(m->g);
    return y;
}

static brume_tensor conv(struct brume_nn *m, const char *prefix, brume_tensor x, int64_t out, int kernel,
                         const brume_conv2d_params *p, brume_tensor bias_add, brume_tensor residual)
{
    const int64_t in = channels(m, x), fan_in = in * kernel * kernel;
    const brume_tensor w = brume_nn_param(m, prefix, "weight", BRUME_SHAPE(kernel, kernel, in, out), BRUME_LAYOUT_CONV,
                                          BRUME_INIT_UNIFORM_FAN_IN, fan_in);
    brume_tensor b = brume_nn_param(m, prefix, "bias", BRUME_SHAPE(out), BRUME_LAYOUT_SAME, BRUME_INIT_UNIFORM_FAN_IN, fan_in);
    brume_scope_push(m->g, "%s", prefix);
    if (bias_add != BRUME_NONE) b = brume_add(m->g, bias_add, b);
    const brume_tensor y = brume_conv2d(m->g, x, w, b, residual, p);
    brume_scope_pop(m->g);
    return y;
}

brume_tensor brume_nn_conv(struct brume_nn *m, const char *prefix, brume_tensor x, int64_t out, int kernel, brume_tensor bias_add,
                           brume_tensor residual)
{
    const int32_t p = kernel / 2;
    return conv(m, prefix, x, out, kernel, &(brume_conv2d_params){ .stride = 1, .pad = { p, p, p, p }, .groups = 1 }, bias_add,
                residual);
}

brume_tensor brume_nn_group_norm(struct brume_nn *m, const char *prefix, brume_tensor x, int groups, brume_act act)
{
    const int64_t c = channels(m, x);
    const brume_tensor w = brume_nn_param(m, prefix, "weight", BRUME_SHAPE(c), BRUME_LAYOUT_SAME, BRUME_INIT_ONE, 1);
    const brume_tensor b = brume_nn_param(m, prefix, "bias", BRUME_SHAPE(c), BRUME_LAYOUT_SAME, BRUME_INIT_ZERO, 1);
    const bool fused = act == BRUME_ACT_NONE || act == BRUME_ACT_SILU;
    brume_scope_push(m->g, "%s", prefix);
    brume_tensor y = brume_group_norm(m->g, x, w, b, groups, m->norm_eps, fused ? act : BRUME_ACT_NONE);
    if (!fused) y = brume_activation(m->g, y, act);
    brume_scope_pop(m->g);
    return y;
}

brume_tensor brume_nn_table(struct brume_nn *m, const char *prefix, int64_t rows, int64_t width)
{
    return brume_nn_param(m, prefix, "weight", BRUME_SHAPE(rows, width), BRUME_LAYOUT_SAME, BRUME_INIT_NORMAL, 1);
}

brume_tensor brume_nn_matrix(struct brume_nn *m, const char *prefix, brume_tensor x, int64_t out)
{
    const int64_t in = channels(m, x);
    const brume_tensor w =
        brume_nn_param(m, prefix, "weight", BRUME_SHAPE(in, out), BRUME_LAYOUT_LINEAR, BRUME_INIT_UNIFORM_FAN_IN, in);
    brume_scope_push(m->g, "%s", prefix);
    const brume_tensor y = brume_linear(m->g, x, w, BRUME_NONE);
    brume_scope_pop(m->g);
    return y;
}

brume_tensor brume_nn_projection(struct brume_nn *m, const char *prefix, brume_tensor x, int64_t out, bool bias)
{
    const brume_tensor y = bias ? brume_nn_linear(m, prefix, x, out) : brume_nn_matrix(m, prefix, x, out);
    return m->lora ? brume_nn_lora(m, prefix, x, y) : y;
}

brume_tensor brume_nn_layer_norm(struct brume_nn *m, const char *prefix, brume_tensor x, float norm_eps)
{
    const int64_t c = channels(m, x);
    const brume_tensor w = brume_nn_param(m, prefix, "weight", BRUME_SHAPE(c), BRUME_LAYOUT_SAME, BRUME_INIT_ONE, 1);
    const brume_tensor b = brume_nn_param(m, prefix, "bias", BRUME_SHAPE(c), BRUME_LAYOUT_SAME, BRUME_INIT_ZERO, 1);
    brume_scope_push(m->g, "%s", prefix);
    const brume_tensor y = brume_layer_norm(m->g, x, w, b, norm_eps);
    brume_scope_pop(m->g);
    return y;
}

brume_tensor brume_nn_embedding(struct brume_nn *m, const char *prefix, brume_tensor ids, int64_t rows, int64_t width)
{
    const brume_tensor w = brume_nn_table(m, prefix, rows, width);
    brume_scope_push(m->g, "%s", prefix);
    const brume_tensor y = brume_embedding(m->g, w, ids);
    brume_scope_pop(m->g);
    return y;
}

brume_tensor brume_nn_time_mlp(struct brume_nn *m, const char *prefix, brume_tensor x, int64_t width, brume_act act)
{
    char path[BRUME_NN_PATH];
    snprintf(path, sizeof path, "%s.linear_1", prefix);
    const brume_tensor h = brume_activation(m->g, brume_nn_linear(m, path, x, width), act);
    snprintf(path, sizeof path, "%s.linear_2", prefix);
    return brume_nn_linear(m, path, h, width);
}

static brume_tensor resample(struct brume_nn *m, brume_tensor x, enum brume_nn_mode mode)
{
    const brume_shape s = brume_tensor_shape(m->g, x);
    if (mode == BRUME_NN_DOWN) return brume_avg_pool2d(m->g, x);
    if (mode == BRUME_NN_UP && s.ndim == 4) return brume_upsample_nearest(m->g, x, 2 * s.d[1], 2 * s.d[2]);
    if (mode == BRUME_NN_FIR_DOWN) return brume_fir_downsample2(m->g, x);
    if (mode == BRUME_NN_FIR_UP) return brume_fir_upsample2(m->g, x);
    return x;
}

brume_tensor brume_nn_resnet(struct brume_nn *m, const char *prefix, brume_tensor x, int64_t out, const struct brume_nn_resnet *r)
{
    brume_graph *g = m->g;
    const int64_t in = channels(m, x), n = brume_tensor_shape(g, m->temb).d[0];
    char path[BRUME_NN_PATH];
    brume_segment_begin(g);
#define AT(leaf) (snprintf(path, sizeof path, "%s.%s", prefix, leaf), path)

    brume_tensor h = brume_nn_group_norm(m, AT("norm1"), x, r->groups, m->act);
    brume_scope_push(g, "%s", prefix);
    h = resample(m, h, r->mode);
    x = resample(m, x, r->mode);
    brume_scope_pop(g);

    const brume_tensor e =
        m->temb == BRUME_NONE ? BRUME_NONE : brume_nn_linear(m, AT("time_emb_proj"), m->temb, m->scale_shift ? 2 * out : out);
    if (!m->scale_shift) {
        /* conv1(h) + e is conv1 with a bias per sample: no pass of its own over the image */
        h = brume_nn_conv(m, AT("conv1"), h, out, 3, e, BRUME_NONE);
        h = brume_nn_group_norm(m, AT("norm2"), h, r->groups_out, m->act);
    } else {
        h = brume_nn_conv(m, AT("conv1"), h, out, 3, BRUME_NONE, BRUME_NONE);
        h = brume_nn_group_norm(m, AT("norm2"), h, r->groups_out, BRUME_ACT_NONE);
        brume_scope_push(g, "%s", prefix);
        const brume_tensor s = brume_reshape(g, brume_slice(g, e, 1, 0, out), BRUME_SHAPE(n, 1, 1, out));
        const brume_tensor b = brume_reshape(g, brume_slice(g, e, 1, out, out), BRUME_SHAPE(n, 1, 1, out));
        h = brume_activation(g, brume_add(g, brume_mul(g, h, brume_affine(g, s, 1.0f, 1.0f)), b), m->act);
        brume_scope_pop(g);
    }
    if (m->train && m->dropout > 0.0f) {
        brume_scope_push(g, "%s", prefix);
        h = brume_dropout(g, h, m->dropout, m->train->seeds, m->train->step, m->stream++);
        brume_scope_pop(g);
    }
    if (in != out || r->shortcut) x = brume_nn_conv(m, AT("conv_shortcut"), x, out, 1, BRUME_NONE, BRUME_NONE);
    h = brume_nn_conv(m, AT("conv2"), h, out, 3, BRUME_NONE, x);
    if (r->scale != 1.0f) h = brume_affine(g, h, 1.0f / r->scale, 0.0f);
    brume_segment_end(g);
    return h;
}

brume_tensor brume_nn_attention(struct brume_nn *m, const char *prefix, brume_tensor x, int groups, int head_dim, float scale)
{
    brume_graph *g = m->g;
    const brume_shape s = brume_tensor_shape(g, x);
    const int64_t c = channels(m, x), d = head_dim ? head_dim : c, heads = c / d, inner = heads * d;
    if (s.ndim != 4) return BRUME_NONE; /* after an error */
    char path[BRUME_NN_PATH];
    brume_segment_begin(g);

    brume_tensor h = groups ? brume_nn_group_norm(m, AT("group_norm"), x, groups, BRUME_ACT_NONE) : x;
    h = brume_reshape(g, h, BRUME_SHAPE(s.d[0], s.d[1] * s.d[2], c));
    const brume_tensor q = brume_nn_projection(m, AT("to_q"), h, inner, true);
    const brume_tensor k = brume_nn_projection(m, AT("to_k"), h, inner, true);
    const brume_tensor v = brume_nn_projection(m, AT("to_v"), h, inner, true);
    brume_scope_push(g, "%s", prefix);
    h = brume_sdpa(g, q, k, v, (int)heads, 0, (float)(1.0 / sqrt((double)d)));
    brume_scope_pop(g);
    h = brume_nn_projection(m, AT("to_out.0"), h, c, true);
    brume_scope_push(g, "%s", prefix);
    h = brume_add(g, brume_reshape(g, h, s), x);
    if (scale != 1.0f) h = brume_affine(g, h, 1.0f / scale, 0.0f);
    brume_scope_pop(g);
    brume_segment_end(g);
    return h;
}

brume_tensor brume_nn_downsample(struct brume_nn *m, const char *prefix, brume_tensor x, int pad)
{
    char path[BRUME_NN_PATH];
    const brume_conv2d_params p = { .stride = 2, .pad = { pad, pad, 1, 1 }, .groups = 1 };
    return conv(m, AT("conv"), x, channels(m, x), 3, &p, BRUME_NONE, BRUME_NONE);
}

brume_tensor brume_nn_upsample_to(struct brume_nn *m, const char *prefix, brume_tensor x, int64_t height, int64_t width)
{
    char path[BRUME_NN_PATH];
    brume_segment_begin(m->g);
    brume_scope_push(m->g, "%s", prefix);
    x = brume_upsample_nearest(m->g, x, height, width);
    brume_scope_pop(m->g);
    x = brume_nn_conv(m, AT("conv"), x, channels(m, x), 3, BRUME_NONE, BRUME_NONE);
    brume_segment_end(m->g);
    return x;
}

brume_tensor brume_nn_upsample(struct brume_nn *m, const char *prefix, brume_tensor x)
{
    const brume_shape s = brume_tensor_shape(m->g, x);
    return s.ndim == 4 ? brume_nn_upsample_to(m, prefix, x, 2 * s.d[1], 2 * s.d[2]) : BRUME_NONE; /* after an error */
}
