/* SPDX-License-Identifier: MIT
 * Gradient of conv2d by its input: a convolution of the output gradient with the transposed weights. */
#include "brume/ops.h"
#include "ops/conv2d.h"
#include "ops/gemm_cl.h"
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
        return brume_node_fail(n, BRUME_E_SHAPE, "dy expects %lldx%lld pixels of %lld channels", (long long)ho, (long long)wo,
                               (long long)w.d[3]);
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = BRUME_SHAPE(dy.d[0], a->h, a->w, w.d[2]);
    return BRUME_OK;
}

/* dx is linear in dy and in w: the derivative by dy is the convolution itself, by w the weight gradient with dx's gradient as
 * image. */
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

static void cpu_simd(const struct brume_cpu_call *call)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(call->node);
    call->simd->conv->dx(&c, call->in[DY], call->packed, call->out[0], call->work, call->pool);
}

static bool fits_winograd(const struct brume_node *n, const struct brume_caps *caps)
{
    (void)caps;
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    return brume_winograd_fits(&c);
}

static bool suits_winograd(const struct brume_node *n, const struct brume_caps *caps)
{
    (void)caps;
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    return brume_winograd_suits_gradient(&c);
}

static size_t winograd_work_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    return brume_winograd_work_dx(&c, caps->vector_width, caps->compute_units);
}

static size_t winograd_pack_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    return (size_t)brume_winograd_packed_dx(&c, caps->vector_width) * sizeof(float);
}

static void winograd_pack(const struct brume_cpu_call *call, void *packed)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(call->node);
    call->simd->conv->winograd_pack_dx(&c, call->in[W], packed, call->pool);
}

static void cpu_winograd(const struct brume_cpu_call *call)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(call->node);
    call->simd->conv->winograd_dx(&c, call->in[DY], call->packed, call->out[0], call->work, call->pool);
}

static size_t tile_pack_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    return brume_conv_tile_dx_pack_bytes(&c, caps);
}

static void tile_pack(const struct brume_node *n, const struct brume_caps *caps, struct brume_cl_list *l)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    brume_conv_tile_dx_pack(&c, caps, l, brume_at_in(W), brume_at_packed(0));
}

static void cl_tile(const struct brume_node *n, const struct brume_caps *caps, struct brume_cl_list *l)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    brume_conv_tile_dx(&c, caps, l, brume_at_in(DY), brume_at_packed(0), brume_at_out(0));
}

static bool fits_cl_winograd(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    return brume_fits_tile(n, caps) && brume_conv_winograd_dx_fits(&c, caps);
}

static bool suits_cl_winograd(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    return caps->cpu_type && brume_conv_winograd_dx_pays(&c);
}

static size_t cl_winograd_work_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    return brume_conv_winograd_dx_work(&c, caps);
}

static size_t cl_winograd_pack_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    return brume_conv_winograd_dx_pack_bytes(&c, caps);
}

static void cl_winograd_pack(const struct brume_node *n, const struct brume_caps *caps, struct brume_cl_list *l)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    brume_conv_winograd_dx_pack(&c, caps, l, brume_at_in(W), brume_at_packed(0));
}

static void cl_winograd(const struct brume_node *n, const struct brume_caps *caps, struct brume_cl_list *l)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    brume_conv_winograd_dx(&c, caps, l, brume_at_in(DY), brume_at_packed(0), brume_at_out(0));
}

static bool fits_clblast(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    return brume_fits_clblast(n, caps) && brume_conv_is_product(&c);
}

static void cl_clblast(const struct brume_node *n, const struct brume_caps *caps, struct brume_cl_list *l)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    const struct brume_product p = { .m = c.n * c.ho * c.wo, .n = c.i, .k = c.o, .batch = 1,
                                     .trans_b = true, .a = brume_at_in(DY), .b = brume_at_in(W), .bias = brume_at_in(-1),
                                     .res = brume_at_in(-1), .y = brume_at_out(0) };
    brume_product_clblast(&p, caps, l);
}

static void cl_local(const struct brume_node *n, const struct brume_caps *caps, struct brume_cl_list *l)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    brume_conv_local_dx(&c, caps, l, brume_at_in(DY), brume_at_in(W), brume_at_out(0));
}

static void cl_any(const struct brume_node *n, const struct brume_caps *caps, struct brume_cl_list *l)
{
    const struct brume_conv c = brume_conv2d_dx_sizes_of(n);
    brume_conv_any_dx(&c, caps, l, brume_at_in(DY), brume_at_in(W), brume_at_out(0));
}

static const struct brume_variant kernels[] = {
    { .name = "winograd", .fits = fits_winograd, .suits = suits_winograd, .work_bytes = winograd_work_bytes, .pack_input = W,
      .pack_bytes = winograd_pack_bytes, .cpu_pack = winograd_pack, .cpu = cpu_winograd },
    { .name = "simd", .work_bytes = work_bytes, .pack_input = W, .pack_bytes = pack_bytes,
      .cpu_pack = cpu_pack, .cpu = cpu_simd },
    { .name = "winograd", .fits = fits_cl_winograd, .suits = suits_cl_winograd,
      .work_bytes = cl_winograd_work_bytes, .pack_input = W, .pack_bytes = cl_winograd_pack_bytes,
      .cl_pack = cl_winograd_pack, .cl = cl_winograd },
    { .name = "tile", .rows = &brume_tile_rows, .fits = brume_fits_tile, .suits = brume_suits_cpu, .pack_input = W,
      .pack_bytes = tile_pack_bytes, .cl_pack = tile_pack, .cl = cl_tile },
    { .name = "clblast", .fits = fits_clblast, .suits = brume_suits_gpu, .cl = cl_clblast },
    { .name = "local", .rows = &brume_local_rows, .fits = brume_fits_local, .suits = brume_suits_gpu, .cl = cl_local },
    { .name = "any", .cl = cl_any },
    { 0 },
};

static const struct brume_op op_conv2d_dx = {
    .name = "conv2d_dx", .tolerance = BRUME_TOL_PRODUCT, .n_in_min = 2, .n_in_max = 2, .n_out = 1, .flags = BRUME_OP_TERMS,
    .shape = shape, .grad = grad, .kernels = kernels, .flops = flops, .key = brume_conv2d_key,
};

brume_tensor brume_conv2d_dx(brume_graph *g, brume_tensor dy, brume_tensor w, const struct brume_conv2d_attrs *a)
{
    return brume_node_add(g, &op_conv2d_dx, 2, (brume_tensor[]){ dy, w }, a, sizeof *a);
}
