/* SPDX-License-Identifier: MIT
 * Gradient of conv2d by its weight: for every kernel position, (source pixels)^T x (output gradient). */
#include "brume/ops.h"
#include "ops/conv2d.h"
#include "ops/gemm_cl.h"
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
        return brume_node_fail(n, BRUME_E_SHAPE, "dy expects %lld images of %lldx%lld", (long long)x.d[0], (long long)ho,
                               (long long)wo);
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

static void cpu_simd(const struct brume_cpu_call *call)
{
    const struct brume_conv c = brume_conv2d_dw_sizes_of(call->node);
    call->simd->conv->dw(&c, call->in[X], call->in[DY], call->out[0], call->work, call->pool);
}

static size_t tile_work_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_dw_sizes_of(n);
    return brume_conv_tile_dw_work(&c, caps);
}

static void cl_tile(const struct brume_node *n, const struct brume_caps *caps, struct brume_cl_list *l)
{
    const struct brume_conv c = brume_conv2d_dw_sizes_of(n);
    brume_conv_tile_dw(&c, caps, l, brume_at_in(X), brume_at_in(DY), brume_at_work(0), brume_at_out(0));
}

static bool fits_cl_winograd(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_dw_sizes_of(n);
    return brume_fits_tile(n, caps) && brume_conv_winograd_dw_fits(&c, caps);
}

static bool suits_cl_winograd(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_dw_sizes_of(n);
    return caps->cpu_type && brume_conv_winograd_dw_pays(&c);
}

static size_t cl_winograd_work_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_dw_sizes_of(n);
    return brume_conv_winograd_dw_work(&c, caps);
}

static void cl_winograd(const struct brume_node *n, const struct brume_caps *caps, struct brume_cl_list *l)
{
    const struct brume_conv c = brume_conv2d_dw_sizes_of(n);
    brume_conv_winograd_dw(&c, caps, l, brume_at_in(X), brume_at_in(DY), brume_at_out(0));
}

static bool fits_clblast(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_dw_sizes_of(n);
    return brume_fits_clblast(n, caps) && brume_conv_is_product(&c);
}

static void cl_clblast(const struct brume_node *n, const struct brume_caps *caps, struct brume_cl_list *l)
{
    const struct brume_conv c = brume_conv2d_dw_sizes_of(n);
    const struct brume_product p = { .m = c.i, .n = c.o, .k = c.n * c.ho * c.wo, .batch = 1, .trans_a = true, .a = brume_at_in(X),
                                     .b = brume_at_in(DY), .bias = brume_at_in(-1), .res = brume_at_in(-1),
                                     .y = brume_at_out(0) };
    brume_product_clblast(&p, caps, l);
}

static size_t local_work_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_dw_sizes_of(n);
    return brume_conv_local_dw_work(&c, caps);
}

static void cl_local(const struct brume_node *n, const struct brume_caps *caps, struct brume_cl_list *l)
{
    const struct brume_conv c = brume_conv2d_dw_sizes_of(n);
    brume_conv_local_dw(&c, caps, l, brume_at_in(X), brume_at_in(DY), brume_at_work(0), brume_at_out(0));
}

static size_t any_work_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    (void)caps;
    const struct brume_conv c = brume_conv2d_dw_sizes_of(n);
    return brume_conv_any_dw_work(&c);
}

static void cl_any(const struct brume_node *n, const struct brume_caps *caps, struct brume_cl_list *l)
{
    const struct brume_conv c = brume_conv2d_dw_sizes_of(n);
    brume_conv_any_dw(&c, caps, l, brume_at_in(X), brume_at_in(DY), brume_at_work(0), brume_at_out(0));
}

static bool fits_winograd(const struct brume_node *n, const struct brume_caps *caps)
{
    (void)caps;
    const struct brume_conv c = brume_conv2d_dw_sizes_of(n);
    return brume_winograd_fits(&c);
}

static bool suits_winograd(const struct brume_node *n, const struct brume_caps *caps)
{
    (void)caps;
    const struct brume_conv c = brume_conv2d_dw_sizes_of(n);
    return brume_winograd_suits_gradient(&c);
}

static size_t winograd_work_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_dw_sizes_of(n);
    return brume_winograd_work_dw(&c, caps->vector_width, caps->compute_units);
}

static void cpu_winograd(const struct brume_cpu_call *call)
{
    const struct brume_conv c = brume_conv2d_dw_sizes_of(call->node);
    call->simd->conv->winograd_dw(&c, call->in[X], call->in[DY], call->out[0], call->work, call->pool);
}

static const struct brume_variant kernels[] = {
    { .name = "winograd", .fits = fits_winograd, .suits = suits_winograd,
      .work_bytes = winograd_work_bytes, .cpu = cpu_winograd },
    { .name = "simd", .work_bytes = work_bytes, .cpu = cpu_simd },
    { .name = "winograd", .fits = fits_cl_winograd, .suits = suits_cl_winograd,
      .work_bytes = cl_winograd_work_bytes, .cl = cl_winograd },
    { .name = "tile", .rows = &brume_tile_rows, .fits = brume_fits_tile, .suits = brume_suits_cpu,
      .work_bytes = tile_work_bytes, .cl = cl_tile },
    { .name = "clblast", .fits = fits_clblast, .suits = brume_suits_gpu, .cl = cl_clblast },
    { .name = "local", .rows = &brume_local_rows, .fits = brume_fits_local, .suits = brume_suits_gpu,
      .work_bytes = local_work_bytes, .cl = cl_local },
    { .name = "any", .work_bytes = any_work_bytes, .cl = cl_any },
    { 0 },
};

static const struct brume_op op_conv2d_dw = {
    .name = "conv2d_dw", .tolerance = BRUME_TOL_PRODUCT, .n_in_min = 2, .n_in_max = 2, .n_out = 1, .flags = BRUME_OP_TERMS,
    .shape = shape, .grad = grad, .kernels = kernels, .flops = flops, .key = brume_conv2d_key,
};

brume_tensor brume_conv2d_dw(brume_graph *g, brume_tensor x, brume_tensor dy, const struct brume_conv2d_attrs *a)
{
    return brume_node_add(g, &op_conv2d_dw, 2, (brume_tensor[]){ x, dy }, a, sizeof *a);
}
