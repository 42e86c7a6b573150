/* SPDX-License-Identifier: MIT
 * A residual multilayer perceptron as a denoiser of points: the smallest network on which all of diffusion can be tried. */
#include <stdio.h>

#include "nn/blocks.h"

brume_tensor brume_nn_mlp(struct brume_nn *m, brume_tensor x, int64_t out, int64_t width, int layers)
{
    brume_graph *g = m->g;
    const brume_shape s = brume_tensor_shape(g, x);
    char path[BRUME_NN_PATH];
    brume_tensor h = brume_nn_linear(m, "linear_in", brume_reshape(g, x, BRUME_SHAPE(s.d[0], s.d[1] * s.d[2] * s.d[3])), width);
    for (int i = 0; i < layers; i++) { /* h += linear_2(act(linear_1(act(h)) + time_emb_proj(act(time embedding)))) */
        snprintf(path, sizeof path, "blocks.%d.linear_1", i);
        brume_tensor y = brume_nn_linear(m, path, brume_activation(g, h, m->act), width);
        snprintf(path, sizeof path, "blocks.%d.time_emb_proj", i);
        y = brume_activation(g, brume_add(g, y, brume_nn_linear(m, path, m->temb, width)), m->act);
        snprintf(path, sizeof path, "blocks.%d.linear_2", i);
        h = brume_add(g, h, brume_nn_linear(m, path, y, width));
    }
    h = brume_nn_linear(m, "linear_out", brume_activation(g, h, m->act), s.d[1] * s.d[2] * out);
    return brume_reshape(g, h, BRUME_SHAPE(s.d[0], s.d[1], s.d[2], out));
}
