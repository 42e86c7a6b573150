/* SPDX-License-Identifier: MIT
 * The Euclidean length of a tensor: a reduction of squares over everything. */
#include "brume/ops.h"
#include "ops/reduction.h"

static brume_status shape(struct brume_node *n)
{
    const brume_status st = brume_want(n, 0, "x", BRUME_F32, -1);
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = BRUME_SCALAR;
    return st;
}

static double flops(const struct brume_node *n) { return 2.0 * (double)brume_shape_numel(n->in_v[0]->shape); }

static const struct brume_op brume_op_l2_norm = {
    .name = "l2_norm", .tolerance = BRUME_TOL_SUM, .n_in_min = 1, .n_in_max = 1, .n_out = 1, .shape = shape,
    .kernels = brume_reduction_kernels, .flops = flops,
};

brume_tensor brume_l2_norm(brume_graph *g, brume_tensor x)
{
    struct brume_reduction all = brume_reduction_of(brume_tensor_shape(g, x), ~0u);
    all.square = true;
    return brume_node_add(g, &brume_op_l2_norm, 1, &x, &all, sizeof all);
}
