/* SPDX-License-Identifier: MIT
 * Gradient of conv2d by its weight: for every kernel position, (source pixels)^T x (output gradient). */
#include "brume/ops.h"
#include "ops/conv2d.h"
#include "simd/simd.h"

enum { X, DY };

struct brume_conv brume_conv2d_dw_sizes_of(const struct brume_node *n)
{
    return brume_conv2d_sizes(n->attrs, n->in_v[X]->shape, n->out_v[0]->shape, n->in_v[DY]->shape);
}

static brume_status shape(struct brume_node *n)
{
    const struct brume_conv2d_attrs *const a = n->attrs;
    brume_status s;
    if ((s = brume_want(n, X, "x", BRUME_F32, 4)) != BRUME_OK) return s;
    if ((s = brume_want(n, DY, "dy", BRUME_F32, 4)) != BRUME_OK) return s;
    const brume_shape x = n->in_v[X]->shape, dy = n->in_v[DY]->shape;
    const int64_t ho = brume_conv2d_extent(x.d[1], a->pad[0], a->pad[2], a->kh, a->stride);
    const int64_t wo = brume_conv2d_extent(x.d[2], a->pad[1], a->pad[3], a->kw, a->stride);
    if (dy.d[0] != x.d[0] || dy.d[1] != ho || dy.d[2] != wo)
        return brume_node_fail(n, BRUME_E_SHAPE, "dy expects %lld images of %lldx%lld", (long long)x.d[0], (long long)ho, (long long)wo);
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = BRUME_SHAPE(a->kh, a->kw, x.d[3], dy.d[3]);
    return BRUME_OK;
}

/* dw is linear in x and in dy: the derivative by dy is the convolution with dw's gradient as weight, by x its data gradient. */
static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    struct brume_conv2d_attrs a = *(const struct brume_conv2d_attrs *)n->attrs;
    const brume_conv2d_params p = { .stride = a.stride, .pad = { a.pad[0], a.pad[1], a.pad[2], a.pad[3] } };
    a.h = n->in_v[X]->shape.d[1], a.w = n->in_v[X]->shape.d[2];
    if (need[X]) dx[X] = brume_conv2d_dx(g, n->in[DY], dy[0], &a);
    if (need[DY]) dx[DY] = brume_conv2d(g, n->in[X], dy[0], BRUME_NONE, BRUME_NONE, &p);
}

static double flops(const struct brume_node *n)
{
    const struct brume_conv c = brume_conv2d_dw_sizes_of(n);
    return brume_conv2d_flops(&c);
}

static size_t work_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_dw_sizes_of(n);
    return brume_conv_work_dw(&c, caps->vector_width, caps->compute_units);
}

static void cpu_any(const struct brume_cpu_call *call)
{
    const struct brume_conv c = brume_conv2d_dw_sizes_of(call->node);
    call->simd->conv->dw(&c, call->in[X], call->in[DY], call->out[0], call->work, call->pool);
}

static const struct brume_variant kernels[] = {
    { .name = "any", .work_bytes = work_bytes, .cpu = cpu_any },
    { 0 },
};

static const struct brume_op op_conv2d_dw = {
    .name = "conv2d_dw", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .shape = shape, .grad = grad, .kernels = kernels, .flops = flops,
};

brume_tensor brume_conv2d_dw(brume_graph *g, brume_tensor x, brume_tensor dy, const struct brume_conv2d_attrs *a)
{
    return brume_node_add(g, &op_conv2d_dw, 2, (brume_tensor[]){ x, dy }, a, sizeof *a);
}
