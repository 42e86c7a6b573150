/* SPDX-License-Identifier: MIT
 * Gradient of conv2d by its input: a convolution of the output gradient with the transposed weights. */
#include "brume/ops.h"
#include "ops/conv2d.h"
#include "simd/simd.h"

enum { DY, W };

struct brume_conv brume_conv2d_dx_sizes_of(const struct brume_node *n)
{
    return brume_conv2d_sizes(n->attrs, n->out_v[0]->shape, n->in_v[W]->shape, n->in_v[DY]->shape);
}

static brume_status shape(struct brume_node *n)
{
    const struct brume_conv2d_attrs *const a = n->attrs;
    brume_status s;
    if ((s = brume_want(n, DY, "dy", BRUME_F32, 4)) != BRUME_OK) return s;
    if ((s = brume_want(n, W, "weight", BRUME_F32, 4)) != BRUME_OK) return s;
    const brume_shape dy = n->in_v[DY]->shape, w = n->in_v[W]->shape;
    const int64_t ho = brume_conv2d_extent(a->h, a->pad[0], a->pad[2], w.d[0], a->stride);
    const int64_t wo = brume_conv2d_extent(a->w, a->pad[1], a->pad[3], w.d[1], a->stride);
    if (dy.d[1] != ho || dy.d[2] != wo || dy.d[3] != w.d[3])
        return brume_node_fail(n, BRUME_E_SHAPE, "dy expects %lldx%lld pixels of %lld channels", (long long)ho, (long long)wo, (long long)w.d[3]);
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = BRUME_SHAPE(dy.d[0], a->h, a->w, w.d[2]);
    return BRUME_OK;
}

/* dx is linear in dy and in w: the derivative by dy is the convolution itself, by w the weight gradient with dx's gradient as image. */
static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    struct brume_conv2d_attrs a = *(const struct brume_conv2d_attrs *)n->attrs;
    const brume_conv2d_params p = { .stride = a.stride, .pad = { a.pad[0], a.pad[1], a.pad[2], a.pad[3] } };
    a.kh = n->in_v[W]->shape.d[0], a.kw = n->in_v[W]->shape.d[1];
    if (need[DY]) dx[DY] = brume_conv2d(g, dy[0], n->in[W], BRUME_NONE, BRUME_NONE, &p);
    if (need[W]) dx[W] = brume_conv2d_dw(g, dy[0], n->in[DY], &a);
}

static double flops(const struct brume_node *n)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    return brume_conv2d_flops(&c);
}

static size_t work_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    (void)caps;
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    return brume_conv_work_dx(&c);
}

static size_t pack_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    return (size_t)brume_conv_packed_dx(&c, caps->vector_width) * sizeof(float);
}

static void cpu_pack(const struct brume_cpu_call *call, void *packed)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(call->node);
    call->simd->conv->pack_dx(&c, call->in[W], packed, call->pool);
}

static void cpu_any(const struct brume_cpu_call *call)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(call->node);
    call->simd->conv->dx(&c, call->in[DY], call->packed, call->out[0], call->work, call->pool);
}

static const struct brume_variant kernels[] = {
    { .name = "any", .work_bytes = work_bytes, .pack_input = W, .pack_bytes = pack_bytes, .cpu_pack = cpu_pack, .cpu = cpu_any },
    { 0 },
};

static const struct brume_op op_conv2d_dx = {
    .name = "conv2d_dx", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .shape = shape, .grad = grad, .kernels = kernels, .flops = flops,
};

brume_tensor brume_conv2d_dx(brume_graph *g, brume_tensor dy, brume_tensor w, const struct brume_conv2d_attrs *a)
{
    return brume_node_add(g, &op_conv2d_dx, 2, (brume_tensor[]){ dy, w }, a, sizeof *a);
}
