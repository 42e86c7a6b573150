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

static struct brume_reduction reduction(const struct brume_node *n)
{
    struct brume_reduction d = brume_reduction_of(n->in_v[0]->shape, ~0u);
    d.square = true;
    return d;
}

static size_t work(const struct brume_node *n, const struct brume_caps *c)
{
    const struct brume_reduction d = reduction(n);
    return c->opencl ? brume_reduction_cl_work(&d, c) : brume_reduction_cpu_work(&d);
}

static void cpu(const struct brume_cpu_call *c)
{
    const struct brume_reduction d = reduction(c->node);
    brume_reduction_cpu(&d, c);
}

static void cl(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    const struct brume_reduction d = reduction(n);
    brume_reduction_cl(&d, c, l);
}

static double flops(const struct brume_node *n) { return 2.0 * (double)brume_shape_numel(n->in_v[0]->shape); }

static const struct brume_variant kernels[] = { { .name = "any", .work_bytes = work, .cpu = cpu, .cl = cl }, { 0 } };

static const struct brume_op brume_op_l2_norm = {
    .name = "l2_norm", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .shape = shape, .kernels = kernels, .flops = flops,
};

brume_tensor brume_l2_norm(brume_graph *g, brume_tensor x) { return brume_node_add(g, &brume_op_l2_norm, 1, &x, NULL, 0); }
