/* SPDX-License-Identifier: MIT
 * Sums and means over axes, and the sum down to a broadcast shape. */
#include "brume/ops.h"
#include "ops/ew.h"
#include "ops/reduction.h"

/* out is the shape of the result, kept that of the result with the summed axes as 1. */
struct reduce { struct brume_reduction how; brume_shape out, kept; };

static brume_status shape(struct brume_node *n)
{
    const struct reduce *at = n->attrs;
    const brume_status st = brume_want(n, 0, "x", BRUME_F32, -1);
    if (st != BRUME_OK) return st;
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = at->out;
    return BRUME_OK;
}

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const struct reduce *at = n->attrs;
    if (need[0]) dx[0] = brume_expand(g, brume_reshape(g, dy[0], at->kept), n->in_v[0]->shape, at->how.scale);
}

static double flops(const struct brume_node *n) { return (double)brume_shape_numel(n->in_v[0]->shape); }

static const struct brume_op brume_op_sum = {
    .name = "sum", .tolerance = BRUME_TOL_SUM, .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = BRUME_OP_TERMS, .shape = shape,
    .grad = grad, .kernels = brume_reduction_kernels, .flops = flops,
};

static brume_tensor reduce(brume_graph *g, brume_tensor x, uint32_t axes, int keepdims, bool mean)
{
    if (brume_graph_status(g) != BRUME_OK) return BRUME_NONE;
    const brume_shape s = brume_tensor_shape(g, x);
    if (axes >> s.ndim)
        return brume_graph_fail(g, BRUME_E_ARG, "%s: axes 0x%x name an axis beyond the tensor's %d", mean ? "mean" : "sum",
                                (unsigned)axes, (int)s.ndim);
    struct reduce at = { .how = brume_reduction_of(s, axes), .kept = s };
    int64_t count = 1;
    for (int i = 0; i < s.ndim; i++) {
        const bool summed = axes >> i & 1;
        if (summed) {
            count *= s.d[i];
            at.kept.d[i] = 1;
        }
        if (!summed || keepdims) at.out.d[at.out.ndim++] = at.kept.d[i];
    }
    if (count == 1 && brume_value_of(g, x)) return brume_reshape(g, x, at.out);
    if (mean) at.how.scale = 1.0f / (float)count;
    return brume_node_add(g, &brume_op_sum, 1, &x, &at, sizeof at);
}

brume_tensor brume_sum(brume_graph *g, brume_tensor x, uint32_t axes, int keepdims)
{
    return reduce(g, x, axes, keepdims, false);
}
brume_tensor brume_mean(brume_graph *g, brume_tensor x, uint32_t axes, int keepdims)
{
    return reduce(g, x, axes, keepdims, true);
}

brume_tensor brume_sum_to(brume_graph *g, brume_tensor x, brume_shape target)
{
    if (brume_graph_status(g) != BRUME_OK) return BRUME_NONE;
    const brume_shape s = brume_tensor_shape(g, x);
    brume_shape both;
    if (!brume_shape_broadcast(target, s, &both) || !brume_shape_equal(both, s)) {
        char a[96], b[96];
        return brume_graph_fail(g, BRUME_E_SHAPE, "sum_to: %s does not broadcast to the tensor's shape %s",
                                brume_shape_text(target, a), brume_shape_text(s, b));
    }
    struct reduce at = { .out = target, .kept = s };
    uint32_t axes = 0;
    int64_t count = 1;
    for (int i = 0; i < s.ndim; i++) {
        const int j = i - (s.ndim - target.ndim);
        if (j >= 0 && target.d[j] == s.d[i]) continue;
        axes |= 1u << i;
        at.kept.d[i] = 1;
        count *= s.d[i];
    }
    if (count == 1 && brume_value_of(g, x)) return brume_reshape(g, x, target);
    at.how = brume_reduction_of(s, axes);
    return brume_node_add(g, &brume_op_sum, 1, &x, &at, sizeof at);
}
