/* SPDX-License-Identifier: MIT
 * Low-rank adapters in graphs and slabs: what attention's linear layers add, and merging that into their weights. */
#include "nn/lora.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/ops.h"

static const char down_leaf[] = ".lora_A.weight", up_leaf[] = ".lora_B.weight";

static brume_tensor param(struct brume_nn *m, const char *prefix, const char *leaf, int64_t in, int64_t out, brume_init init)
{
    char name[2 * BRUME_NN_PATH];
    snprintf(name, sizeof name, "%s%s%s", m->lora_root, prefix, leaf);
    const brume_param_info info = { .name = name, .shape = BRUME_SHAPE(in, out), .layout = BRUME_LAYOUT_LINEAR,
                                    .init = init, .fan_in = in, .init_scale = 1.0f, .trainable = 1 };
    return brume_param(m->g, m->lora->slab, &info);
}

brume_tensor brume_nn_lora(struct brume_nn *m, const char *prefix, brume_tensor x, brume_tensor y)
{
    brume_graph *g = m->g;
    const brume_lora *l = m->lora;
    const brume_shape sx = brume_tensor_shape(g, x), sy = brume_tensor_shape(g, y);
    if (l->rank < 1 || l->rank > BRUME_LORA_MAX_RANK)
        return brume_graph_fail(g, BRUME_E_ARG, "lora: the rank must be 1 to %d, got %d", BRUME_LORA_MAX_RANK, l->rank);
    if (!sx.ndim || !sy.ndim) return BRUME_NONE; /* after an error */
    const brume_tensor down = param(m, prefix, down_leaf, sx.d[sx.ndim - 1], l->rank, BRUME_INIT_UNIFORM_FAN_IN);
    const brume_tensor up = param(m, prefix, up_leaf, l->rank, sy.d[sy.ndim - 1], BRUME_INIT_ZERO);
    brume_scope_push(g, "%s.lora", prefix);
    const brume_tensor d = brume_linear(g, brume_linear(g, x, down, BRUME_NONE), up, BRUME_NONE);
    y = brume_add(g, y, brume_affine(g, d, (float)(l->alpha / l->rank), 0.0f));
    brume_scope_pop(g);
    return y;
}

/* A convolution is a linear layer per tap of its kernel. */
brume_status brume_lora_add_pair(const struct brume_lora_pair *pair, const brume_param_info *weight_info, float *weight)
{
    const int64_t *d = weight_info->shape.d, rank = pair->rank;
    const bool conv = weight_info->layout == BRUME_LAYOUT_CONV;
    const int64_t taps = conv ? d[0] * d[1] : 1, in = conv ? d[2] : d[0], out = conv ? d[3] : d[1];
    const int64_t by_rank = pair->file ? in * taps : 1, by_in = pair->file ? taps : rank;
    double *sum = malloc((size_t)out * sizeof *sum);
    /* (rank, O), so that the inner loop runs over neighbours */
    float *up = pair->file ? malloc((size_t)(rank * out) * sizeof *up) : NULL;
    brume_status s = sum && (up || !pair->file) ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "out of memory while merging adapters");
    for (int64_t r = 0; s == BRUME_OK && up && r < rank; r++)
        for (int64_t o = 0; o < out; o++) up[r * out + o] = pair->up[o * rank + r];
    for (int64_t row = 0; s == BRUME_OK && row < taps * in; row++) {
        const int64_t k = row / in, i = row % in;
        memset(sum, 0, (size_t)out * sizeof *sum);
        for (int64_t r = 0; r < rank; r++) {
            const double a = pair->down[r * by_rank + i * by_in + k];
            const float *b = (up ? up : pair->up) + r * out;
            for (int64_t o = 0; o < out; o++) sum[o] += a * b[o];
        }
        for (int64_t o = 0; o < out; o++) weight[row * out + o] = (float)(weight[row * out + o] + pair->factor * sum[o]);
    }
    free(sum);
    free(up);
    return s;
}

/* The weight that an adapter's A stands beside. */
static const brume_param_info *beside(const brume_graph *g, brume_tensor weights, const char *down)
{
    char name[2 * BRUME_NN_PATH];
    snprintf(name, sizeof name, "%.*s.weight", (int)(strlen(down) - strlen(down_leaf)), down);
    const char *bare = strchr(name, '.') + 1; /* in a slab of its own, or of the network that names nothing in front */
    for (int i = 0; i < brume_param_count(g, weights); i++) {
        const brume_param_info *p = brume_param_at(g, weights, i);
        if (!strcmp(p->name, name) || !strcmp(p->name, bare)) return p;
    }
    return NULL;
}

brume_status brume_lora_add(const brume_graph *g, const brume_lora *l, const float *adapters, double scale, brume_tensor weights,
                            float *params)
{
    brume_status s = BRUME_OK;
    for (int i = 0; s == BRUME_OK && i + 1 < brume_param_count(g, l->slab); i += 2) {
        const brume_param_info *down = brume_param_at(g, l->slab, i), *up = brume_param_at(g, l->slab, i + 1),
                               *w = beside(g, weights, down->name);
        if (!w) return brume_fail(BRUME_E_ARG, "lora: the slab of weights has nothing beside '%s'", down->name);
        const struct brume_lora_pair pair = { adapters + down->offset, adapters + up->offset, l->rank, false,
                                              scale * l->alpha / l->rank };
        s = brume_lora_add_pair(&pair, w, params + w->offset);
    }
    return s;
}
