/* SPDX-License-Identifier: MIT
 * Transformer2D of latent diffusion: pixels attend to each other and to a context (Rombach et al. 2022, sec. 3.3). */
#include <math.h>
#include <stdio.h>

#include "nn/blocks.h"

#define AT(leaf) (snprintf(path, sizeof path, "%s.%s", prefix, leaf), path)

static const float group_norm_eps = 1e-6f, layer_norm_eps = 1e-5f; /* whatever norm_eps says */

/* x + attention of norm(x) to `to`, or to itself where that is BRUME_NONE. */
static brume_tensor attend(struct brume_nn *m, const char *prefix, const char *norm, brume_tensor x, brume_tensor to, int heads)
{
    brume_graph *g = m->g;
    const brume_shape s = brume_tensor_shape(g, x);
    const int64_t c = s.ndim == 3 ? s.d[2] : heads; /* a scalar after an error */
    char path[BRUME_NN_PATH];
    const brume_tensor h = brume_nn_layer_norm(m, norm, x, layer_norm_eps);
    if (to == BRUME_NONE) to = h;
    const brume_tensor q = brume_nn_projection(m, AT("to_q"), h, c, false);
    const brume_tensor k = brume_nn_projection(m, AT("to_k"), to, c, false);
    const brume_tensor v = brume_nn_projection(m, AT("to_v"), to, c, false);
    brume_scope_push(g, "%s", prefix);
    brume_tensor y = brume_sdpa(g, q, k, v, heads, 0, (float)(1.0 / sqrt((double)(c / heads))));
    brume_scope_pop(g);
    y = brume_nn_projection(m, AT("to_out.0"), y, c, true);
    brume_scope_push(g, "%s", prefix);
    y = brume_add(g, y, x);
    brume_scope_pop(g);
    return y;
}

/* x (N, S, C), S pixels. */
static brume_tensor block(struct brume_nn *m, const char *prefix, brume_tensor x, const struct brume_nn_transformer *t)
{
    brume_graph *g = m->g;
    const brume_shape s = brume_tensor_shape(g, x);
    const int64_t c = s.ndim == 3 ? s.d[2] : t->heads;
    char path[2 * BRUME_NN_PATH], norm[2 * BRUME_NN_PATH];
    snprintf(norm, sizeof norm, "%s.norm1", prefix);
    x = attend(m, AT("attn1"), norm, x, t->only_cross ? m->context : BRUME_NONE, t->heads);
    snprintf(norm, sizeof norm, "%s.norm2", prefix);
    x = attend(m, AT("attn2"), norm, x, m->context, t->heads);
    brume_tensor h = brume_nn_layer_norm(m, AT("norm3"), x, layer_norm_eps);
    h = brume_nn_linear(m, AT("ff.net.0.proj"), h, 8 * c);
    brume_scope_push(g, "%s.ff", prefix);
    h = brume_geglu(g, h);
    brume_scope_pop(g);
    h = brume_nn_linear(m, AT("ff.net.2"), h, c);
    brume_scope_push(g, "%s.ff", prefix);
    h = brume_add(g, h, x);
    brume_scope_pop(g);
    return h;
}

brume_tensor brume_nn_transformer2d(struct brume_nn *m, const char *prefix, brume_tensor x, const struct brume_nn_transformer *t)
{
    brume_graph *g = m->g;
    const brume_shape s = brume_tensor_shape(g, x);
    if (s.ndim != 4) return BRUME_NONE; /* after an error */
    const int64_t n = s.d[0], pixels = s.d[1] * s.d[2], c = s.d[3], inner = c / t->heads * t->heads;
    const float norm_eps = m->norm_eps;
    char path[BRUME_NN_PATH];
    brume_segment_begin(g);
    m->norm_eps = group_norm_eps;
    brume_tensor h = brume_nn_group_norm(m, AT("norm"), x, t->groups, BRUME_ACT_NONE);
    m->norm_eps = norm_eps;
    if (!t->linear) h = brume_nn_conv(m, AT("proj_in"), h, inner, 1, BRUME_NONE, BRUME_NONE);
    h = brume_reshape(g, h, BRUME_SHAPE(n, pixels, t->linear ? c : inner));
    if (t->linear) h = brume_nn_linear(m, AT("proj_in"), h, inner);
    for (int k = 0; k < t->depth; k++) {
        snprintf(path, sizeof path, "%s.transformer_blocks.%d", prefix, k);
        h = block(m, path, h, t);
    }
    if (t->linear) {
        h = brume_nn_linear(m, AT("proj_out"), h, c);
        brume_scope_push(g, "%s", prefix);
        h = brume_add(g, brume_reshape(g, h, s), x);
        brume_scope_pop(g);
    } else {
        h = brume_nn_conv(m, AT("proj_out"), brume_reshape(g, h, BRUME_SHAPE(n, s.d[1], s.d[2], inner)), c, 1, BRUME_NONE, x);
    }
    brume_segment_end(g);
    return h;
}
