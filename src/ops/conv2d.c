/* SPDX-License-Identifier: MIT
 * Cross-correlation of channels-last images with zero padding, bias and residual in one pass. Groups are cut and joined by the
 * builder. */
#include "ops/conv2d.h"

#include <stdio.h>

#include "brume/ops.h"
#include "ops/cast.h"
#include "ops/gemm_cl.h"
#include "simd/simd.h"

enum { X, W, BIAS, RESIDUAL };

int64_t brume_conv2d_extent(int64_t in, int64_t before, int64_t after, int64_t kernel, int64_t stride)
{
    const int64_t room = in + before + after - kernel;
    return room < 0 ? 0 : room / stride + 1;
}

struct brume_conv brume_conv2d_sizes(const struct brume_conv2d_attrs *a, brume_shape x, brume_shape w, brume_shape y)
{
    return (struct brume_conv){ .n = x.d[0], .h = x.d[1], .w = x.d[2], .i = x.d[3], .ho = y.d[1], .wo = y.d[2], .o = y.d[3],
                                .kh = (int32_t)w.d[0], .kw = (int32_t)w.d[1], .stride = a->stride,
                                .top = a->pad[0], .left = a->pad[1] };
}

struct brume_conv brume_conv2d_sizes_of(const struct brume_node *n)
{
    return brume_conv2d_sizes(n->attrs, n->in_v[X]->shape, n->in_v[W]->shape, n->out_v[0]->shape);
}

double brume_conv2d_flops(const struct brume_conv *c)
{
    return 2.0 * (double)(c->n * c->ho * c->wo) * (double)(c->kh * c->kw) * (double)c->i * (double)c->o;
}

void brume_conv2d_key(const struct brume_node *n, char *text, size_t size)
{
    const struct brume_conv2d_attrs *a = n->attrs;
    snprintf(text, size, "stride %d pad %d,%d,%d,%d", (int)a->stride, (int)a->pad[0], (int)a->pad[1], (int)a->pad[2],
             (int)a->pad[3]);
}

static brume_status shape(struct brume_node *n)
{
    const struct brume_conv2d_attrs *const a = n->attrs;
    brume_status s;
    if ((s = brume_want(n, X, "x", BRUME_F32, 4)) != BRUME_OK) return s;
    if ((s = brume_want(n, W, "weight", BRUME_F32, 4)) != BRUME_OK) return s;
    if (n->in_v[BIAS] && (s = brume_want(n, BIAS, "bias", BRUME_F32, -1)) != BRUME_OK) return s;
    if (n->in_v[RESIDUAL] && (s = brume_want(n, RESIDUAL, "residual", BRUME_F32, 4)) != BRUME_OK) return s;
    const brume_shape x = n->in_v[X]->shape, w = n->in_v[W]->shape;
    if (w.d[2] != x.d[3])
        return brume_node_fail(n, BRUME_E_SHAPE, "weight expects %lld input channels, x has %lld", (long long)w.d[2],
                               (long long)x.d[3]);
    if (a->stride < 1) return brume_node_fail(n, BRUME_E_ARG, "stride expects at least 1, got %d", a->stride);
    for (int i = 0; i < 4; i++)
        if (a->pad[i] < 0 || a->pad[i] >= w.d[i % 2])
            return brume_node_fail(n, BRUME_E_ARG, "pad[%d] expects at least 0, got %d", i, a->pad[i]);
    const int64_t ho = brume_conv2d_extent(x.d[1], a->pad[0], a->pad[2], w.d[0], a->stride);
    const int64_t wo = brume_conv2d_extent(x.d[2], a->pad[1], a->pad[3], w.d[1], a->stride);
    if (ho < 1 || wo < 1)
        return brume_node_fail(n, BRUME_E_SHAPE, "the %lldx%lld kernel does not fit into the padded image of %lldx%lld",
                               (long long)w.d[0], (long long)w.d[1], (long long)(x.d[1] + a->pad[0] + a->pad[2]),
                               (long long)(x.d[2] + a->pad[1] + a->pad[3]));
    const brume_shape y = BRUME_SHAPE(x.d[0], ho, wo, w.d[3]);
    if (n->in_v[BIAS]) {
        const brume_shape b = n->in_v[BIAS]->shape;
        if (!brume_shape_equal(b, BRUME_SHAPE(w.d[3])) && !brume_shape_equal(b, BRUME_SHAPE(x.d[0], w.d[3]))) {
            char text[96];
            return brume_node_fail(n, BRUME_E_SHAPE, "bias expects shape %lld or %lldx%lld, it has %s", (long long)w.d[3],
                                   (long long)x.d[0], (long long)w.d[3], brume_shape_text(b, text));
        }
    }
    if (n->in_v[RESIDUAL] && !brume_shape_equal(n->in_v[RESIDUAL]->shape, y)) {
        char want[96], text[96];
        return brume_node_fail(n, BRUME_E_SHAPE, "residual expects the result's shape %s, it has %s", brume_shape_text(y, want),
                               brume_shape_text(n->in_v[RESIDUAL]->shape, text));
    }
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = y;
    return BRUME_OK;
}

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    struct brume_conv2d_attrs a = *(const struct brume_conv2d_attrs *)n->attrs;
    const brume_shape x = n->in_v[X]->shape, w = n->in_v[W]->shape;
    a.h = x.d[1], a.w = x.d[2], a.kh = w.d[0], a.kw = w.d[1];
    if (need[X]) dx[X] = brume_conv2d_dx(g, dy[0], n->in[W], &a);
    if (need[W]) dx[W] = brume_conv2d_dw(g, n->in[X], dy[0], &a);
    if (need[BIAS]) dx[BIAS] = brume_sum(g, dy[0], n->in_v[BIAS]->shape.ndim == 2 ? 6 : 7, 0); /* over H, W, and N for (O) */
    if (need[RESIDUAL]) dx[RESIDUAL] = dy[0];
}

static double flops(const struct brume_node *n)
{
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    return brume_conv2d_flops(&c);
}

static size_t work_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    (void)caps;
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    return brume_conv_work(&c);
}

static size_t pack_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    return (size_t)brume_conv_packed(&c, caps->vector_width) * sizeof(float);
}

static void cpu_pack(const struct brume_cpu_call *call, void *packed)
{
    const struct brume_conv c = brume_conv2d_sizes_of(call->node);
    call->simd->conv->pack(&c, call->in[W], packed, call->pool);
}

static void cpu_simd(const struct brume_cpu_call *call)
{
    const struct brume_conv c = brume_conv2d_sizes_of(call->node);
    const struct brume_value *const bias = call->node->in_v[BIAS];
    call->simd->conv->forward(&c, call->in[X], call->packed, call->in[BIAS], bias && bias->shape.ndim == 2 ? c.o : 0,
                              call->in[RESIDUAL], call->out[0], call->work, call->pool);
}

static bool fits_half(const struct brume_node *n, const struct brume_caps *caps)
{
    (void)caps;
    return brume_was_half(n, W);
}

static size_t half_pack_bytes(const struct brume_node *n, const struct brume_caps *caps) { return pack_bytes(n, caps) / 2; }

static void half_pack(const struct brume_cpu_call *call, void *packed)
{
    const struct brume_conv c = brume_conv2d_sizes_of(call->node);
    call->simd->conv->pack_half(&c, call->in[W], packed, call->pool);
}

static void cpu_half(const struct brume_cpu_call *call)
{
    const struct brume_conv c = brume_conv2d_sizes_of(call->node);
    const struct brume_value *const bias = call->node->in_v[BIAS];
    call->simd->conv->forward_half(&c, call->in[X], call->packed, call->in[BIAS], bias && bias->shape.ndim == 2 ? c.o : 0,
                                   call->in[RESIDUAL], call->out[0], call->work, call->pool);
}

static bool fits_winograd(const struct brume_node *n, const struct brume_caps *caps)
{
    (void)caps;
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    return brume_winograd_fits(&c);
}

static bool suits_winograd(const struct brume_node *n, const struct brume_caps *caps)
{
    (void)caps;
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    return brume_winograd_suits(&c);
}

static size_t winograd_work(const struct brume_node *n, const struct brume_caps *caps, bool half)
{
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    return brume_winograd_fused(&c, half) ? brume_winograd_fused_work(&c, caps->vector_width, caps->compute_units)
                                          : brume_winograd_work(&c, caps->vector_width, caps->compute_units);
}

static size_t winograd_packed(const struct brume_node *n, const struct brume_caps *caps, bool half)
{
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    return brume_winograd_fused(&c, half) ? 0 : (size_t)brume_winograd_packed(&c, caps->vector_width) * sizeof(float);
}

static size_t winograd_work_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    return winograd_work(n, caps, false);
}
static size_t winograd_pack_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    return winograd_packed(n, caps, false);
}

static bool winograd_pack_cheap(const struct brume_node *n, const struct brume_caps *caps)
{
    (void)caps;
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    return brume_winograd_pack_cheap(&c);
}

static void winograd_pack(const struct brume_cpu_call *call, void *packed)
{
    const struct brume_conv c = brume_conv2d_sizes_of(call->node);
    call->simd->conv->winograd_pack(&c, call->in[W], packed, call->pool);
}

static void winograd(const struct brume_cpu_call *call, bool half)
{
    const struct brume_conv c = brume_conv2d_sizes_of(call->node);
    const struct brume_value *const bias = call->node->in_v[BIAS];
    const int64_t bias_step = bias && bias->shape.ndim == 2 ? c.o : 0;
    if (brume_winograd_fused(&c, half))
        call->simd->conv->winograd_fused(&c, call->in[X], call->in[W], half, call->in[BIAS], bias_step, call->in[RESIDUAL],
                                         call->out[0], call->work, call->pool);
    else
        call->simd->conv->winograd(&c, call->in[X], call->packed, call->in[BIAS], bias_step, call->in[RESIDUAL], call->out[0],
                                   call->work, call->pool);
}

static void cpu_winograd(const struct brume_cpu_call *call) { winograd(call, false); }

static bool fits_winograd_half(const struct brume_node *n, const struct brume_caps *caps)
{
    return brume_was_half(n, W) && fits_winograd(n, caps);
}
static size_t winograd_half_work_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    return winograd_work(n, caps, true);
}
static size_t winograd_half_pack_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    return winograd_packed(n, caps, true);
}

/* Kept, they would take eight times the memory that weights of f16 shall take. */
static bool winograd_half_pack_cheap(const struct brume_node *n, const struct brume_caps *caps)
{
    (void)n, (void)caps;
    return true;
}

static void winograd_half_pack(const struct brume_cpu_call *call, void *packed)
{
    const struct brume_conv c = brume_conv2d_sizes_of(call->node);
    call->simd->conv->winograd_pack_half(&c, call->in[W], packed, call->pool);
}

static void cpu_winograd_half(const struct brume_cpu_call *call) { winograd(call, true); }

static struct brume_cl_arg cl_bias(const struct brume_node *n) { return brume_at_in(n->in_v[BIAS] ? BIAS : -1); }
static struct brume_cl_arg cl_residual(const struct brume_node *n) { return brume_at_in(n->in_v[RESIDUAL] ? RESIDUAL : -1); }
static bool per_sample(const struct brume_node *n) { return n->in_v[BIAS] && n->in_v[BIAS]->shape.ndim == 2; }

static size_t tile_pack_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    return brume_conv_tile_pack_bytes(&c, caps);
}

static void tile_pack(const struct brume_node *n, const struct brume_caps *caps, struct brume_cl_list *l)
{
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    brume_conv_tile_pack(&c, caps, l, brume_at_in(W), brume_at_packed(0));
}

static void cl_tile(const struct brume_node *n, const struct brume_caps *caps, struct brume_cl_list *l)
{
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    brume_conv_tile(&c, caps, l, brume_at_in(X), brume_at_packed(0), cl_bias(n), per_sample(n), cl_residual(n), brume_at_out(0));
}

static bool fits_cl_winograd(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    return brume_fits_tile(n, caps) && brume_conv_winograd_fits(&c, caps);
}

static bool suits_cl_winograd(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    return caps->cpu_type && brume_conv_winograd_pays(&c);
}

static size_t cl_winograd_work_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    return brume_conv_winograd_work(&c, caps);
}

static size_t cl_winograd_pack_bytes(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    return brume_conv_winograd_pack_bytes(&c, caps);
}

static void cl_winograd_pack(const struct brume_node *n, const struct brume_caps *caps, struct brume_cl_list *l)
{
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    brume_conv_winograd_pack(&c, caps, l, brume_at_in(W), brume_at_packed(0));
}

static void cl_winograd(const struct brume_node *n, const struct brume_caps *caps, struct brume_cl_list *l)
{
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    brume_conv_winograd(&c, caps, l, brume_at_in(X), brume_at_packed(0), cl_bias(n), per_sample(n), cl_residual(n),
                        brume_at_out(0));
}

static bool fits_clblast(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    return brume_fits_clblast(n, caps) && brume_conv_is_product(&c);
}

static void cl_clblast(const struct brume_node *n, const struct brume_caps *caps, struct brume_cl_list *l)
{
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    const struct brume_product p = { .m = c.n * c.ho * c.wo, .n = c.o, .k = c.i, .batch = 1,
                                     .bias_rows = per_sample(n) ? c.ho * c.wo : 0, .a = brume_at_in(X), .b = brume_at_in(W),
                                     .bias = cl_bias(n), .res = cl_residual(n), .y = brume_at_out(0) };
    brume_product_clblast(&p, caps, l);
}

static void cl_local(const struct brume_node *n, const struct brume_caps *caps, struct brume_cl_list *l)
{
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    brume_conv_local(&c, caps, l, brume_at_in(X), brume_at_in(W), cl_bias(n), per_sample(n), cl_residual(n), brume_at_out(0));
}

static void cl_any(const struct brume_node *n, const struct brume_caps *caps, struct brume_cl_list *l)
{
    const struct brume_conv c = brume_conv2d_sizes_of(n);
    brume_conv_any(&c, caps, l, brume_at_in(X), brume_at_in(W), cl_bias(n), per_sample(n), cl_residual(n), brume_at_out(0));
}

static const struct brume_variant kernels[] = {
    { .name = "winograd_half", .fits = fits_winograd_half, .suits = suits_winograd, .work_bytes = winograd_half_work_bytes,
      .pack_input = W, .half = true, .pack_bytes = winograd_half_pack_bytes, .pack_cheap = winograd_half_pack_cheap,
      .cpu_pack = winograd_half_pack, .cpu = cpu_winograd_half },
    { .name = "winograd", .fits = fits_winograd, .suits = suits_winograd, .work_bytes = winograd_work_bytes, .pack_input = W,
      .pack_bytes = winograd_pack_bytes, .pack_cheap = winograd_pack_cheap, .cpu_pack = winograd_pack, .cpu = cpu_winograd },
    { .name = "half", .fits = fits_half, .work_bytes = work_bytes, .pack_input = W, .half = true,
      .pack_bytes = half_pack_bytes, .cpu_pack = half_pack, .cpu = cpu_half },
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

static const struct brume_op op_conv2d = {
    .name = "conv2d", .tolerance = BRUME_TOL_PRODUCT, .n_in_min = 2, .n_in_max = 4, .optional = 1u << BIAS | 1u << RESIDUAL,
    .n_out = 1, .flags = BRUME_OP_TERMS, .shape = shape, .grad = grad, .kernels = kernels, .flops = flops,
    .key = brume_conv2d_key,
};

/* Group j convolves its own slice of the input channels with its own slice of the output channels. */
static brume_tensor grouped(brume_graph *g, const brume_tensor in[4], const struct brume_conv2d_attrs *a, int groups)
{
    const brume_shape x = brume_tensor_shape(g, in[X]), w = brume_tensor_shape(g, in[W]);
    if (x.ndim != 4 || w.ndim != 4 || x.d[3] % groups || w.d[3] % groups) {
        char tx[96], tw[96];
        return brume_graph_fail(
            g, BRUME_E_SHAPE,
            "conv2d: groups = %d must divide the channels of x (N, H, W, I) and weight (kh, kw, I / groups, O); x %s, weight %s",
            groups, brume_shape_text(x, tx), brume_shape_text(w, tw));
    }
    const int64_t i = x.d[3] / groups, o = w.d[3] / groups;
    brume_tensor joined = BRUME_NONE, part[16];
    for (int j = 0, n = 0; j < groups; j++) {
        const brume_tensor slice[4] = {
            brume_slice(g, in[X], 3, j * i, i), brume_slice(g, in[W], 3, j * o, o),
            in[BIAS] == BRUME_NONE ? BRUME_NONE : brume_slice(g, in[BIAS], -1, j * o, o),
            in[RESIDUAL] == BRUME_NONE ? BRUME_NONE : brume_slice(g, in[RESIDUAL], 3, j * o, o),
        };
        part[n++] = brume_node_add(g, &op_conv2d, 4, slice, a, sizeof *a);
        if (n == 16 || j == groups - 1) { /* concat takes 16 at most */
            joined = n == 1 ? part[0] : brume_concat(g, n, part, 3);
            part[0] = joined;
            n = 1;
        }
    }
    return joined;
}

/* Kernels pad by less than their own size, so that every line of the result has a tap inside the image; zeros beyond that become
 * a node of their own, and leave a->pad. */
static brume_tensor pad_wide(brume_graph *g, brume_tensor x, brume_tensor w, struct brume_conv2d_attrs *a)
{
    const brume_shape k = brume_tensor_shape(g, w);
    int64_t extra[4], any = 0;
    if (brume_tensor_shape(g, x).ndim != 4 || k.ndim != 4) return x; /* refused by shape() */
    for (int i = 0; i < 4; i++) {
        extra[i] = a->pad[i] >= k.d[i % 2] ? a->pad[i] - (k.d[i % 2] - 1) : 0;
        a->pad[i] -= (int32_t)extra[i];
        any |= extra[i];
    }
    return any ? brume_pad(g, x, (int64_t[]){ 0, extra[0], extra[1], 0 }, (int64_t[]){ 0, extra[2], extra[3], 0 }) : x;
}

brume_tensor brume_conv2d(brume_graph *g, brume_tensor x, brume_tensor w, brume_tensor bias, brume_tensor residual,
                          const brume_conv2d_params *p)
{
    struct brume_conv2d_attrs a = { .stride = p->stride, .pad = { p->pad[0], p->pad[1], p->pad[2], p->pad[3] } };
    if (brume_graph_status(g) != BRUME_OK) return BRUME_NONE;
    const brume_tensor in[4] = { pad_wide(g, x, w, &a), w, bias, residual };
    if (p->groups < 0) return brume_graph_fail(g, BRUME_E_ARG, "conv2d: groups expects at least 1, got %d", p->groups);
    if (p->groups > 1 && x != BRUME_NONE && w != BRUME_NONE) return grouped(g, in, &a, p->groups);
    return brume_node_add(g, &op_conv2d, 4, in, &a, sizeof a);
}
