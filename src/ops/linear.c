/* SPDX-License-Identifier: MIT
 * y = x w + bias over the last axis. The gradient is made of matrix products and a sum. */
#include "brume/ops.h"
#include "ops/cast.h"
#include "ops/gemm_cl.h"
#include "simd/gemm.h"
#include "simd/simd.h"

enum { X, W, BIAS };

static int64_t rows_of(brume_shape x)
{
    int64_t rows = 1;
    for (int i = 0; i + 1 < x.ndim; i++) rows *= x.d[i];
    return rows;
}

static brume_status shape(struct brume_node *n)
{
    brume_status s;
    if ((s = brume_want(n, X, "x", BRUME_F32, -1)) != BRUME_OK) return s;
    if ((s = brume_want(n, W, "weight", BRUME_F32, 2)) != BRUME_OK) return s;
    if (n->in_v[BIAS] && (s = brume_want(n, BIAS, "bias", BRUME_F32, 1)) != BRUME_OK) return s;
    const brume_shape x = n->in_v[X]->shape, w = n->in_v[W]->shape;
    if (x.ndim < 1) return brume_node_fail(n, BRUME_E_SHAPE, "x needs at least one axis, it is a scalar");
    if (x.d[x.ndim - 1] != w.d[0])
        return brume_node_fail(n, BRUME_E_SHAPE, "weight expects %lld input channels, x has %lld", (long long)w.d[0],
                               (long long)x.d[x.ndim - 1]);
    if (n->in_v[BIAS] && n->in_v[BIAS]->shape.d[0] != w.d[1])
        return brume_node_fail(n, BRUME_E_SHAPE, "bias expects %lld channels as weight gives, it has %lld", (long long)w.d[1],
                               (long long)n->in_v[BIAS]->shape.d[0]);
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = x;
    n->out_v[0]->shape.d[x.ndim - 1] = w.d[1];
    return BRUME_OK;
}

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const brume_shape x = n->in_v[X]->shape, w = n->in_v[W]->shape;
    const int64_t rows = rows_of(x);
    const brume_tensor d = brume_reshape(g, dy[0], BRUME_SHAPE(rows, w.d[1]));
    if (need[X]) dx[X] = brume_reshape(g, brume_matmul(g, d, n->in[W], 0, 1), x);
    if (need[W]) dx[W] = brume_matmul(g, brume_reshape(g, n->in[X], BRUME_SHAPE(rows, w.d[0])), d, 1, 0);
    if (need[BIAS]) dx[BIAS] = brume_sum(g, d, 1, 0);
}

static double flops(const struct brume_node *n)
{
    return 2.0 * (double)brume_shape_numel(n->in_v[X]->shape) * (double)n->in_v[W]->shape.d[1];
}

static size_t pack_bytes(const struct brume_node *n, const struct brume_caps *c)
{
    const brume_shape w = n->in_v[W]->shape;
    return (size_t)brume_gemm_packed(w.d[0], w.d[1], c->vector_width) * sizeof(float);
}

static void cpu_pack(const struct brume_cpu_call *c, void *packed)
{
    const brume_shape w = c->node->in_v[W]->shape;
    c->simd->gemm->pack(w.d[0], w.d[1], c->in[W], w.d[1], 1, 1, 0, packed, c->pool);
}

static void cpu_simd(const struct brume_cpu_call *c)
{
    const brume_shape x = c->node->in_v[X]->shape, w = c->node->in_v[W]->shape;
    const struct brume_gemm g = { .m = rows_of(x), .n = w.d[1], .k = w.d[0], .a = c->in[X], .a_row = w.d[0],
                                  .a_col = 1, .b = c->packed, .c = c->out[0], .ldc = w.d[1], .bias = c->in[BIAS], .alpha = 1.0f };
    c->simd->gemm->run(&g, 1, 0, 0, 0, c->pool);
}

static bool fits_half(const struct brume_node *n, const struct brume_caps *c)
{
    (void)c;
    return brume_was_half(n, W);
}

static size_t half_pack_bytes(const struct brume_node *n, const struct brume_caps *c) { return pack_bytes(n, c) / 2; }

static void half_pack(const struct brume_cpu_call *c, void *packed)
{
    const brume_shape w = c->node->in_v[W]->shape;
    c->simd->gemm->pack_half(w.d[0], w.d[1], c->in[W], packed, c->pool);
}

static void cpu_half(const struct brume_cpu_call *c)
{
    const brume_shape x = c->node->in_v[X]->shape, w = c->node->in_v[W]->shape;
    const struct brume_gemm g = { .m = rows_of(x), .n = w.d[1], .k = w.d[0], .a = c->in[X], .a_row = w.d[0],
                                  .a_col = 1, .b_half = c->packed, .c = c->out[0], .ldc = w.d[1],
                                  .bias = c->in[BIAS], .alpha = 1.0f };
    c->simd->gemm->run(&g, 1, 0, 0, 0, c->pool);
}

static struct brume_product product_of(const struct brume_node *n)
{
    const brume_shape x = n->in_v[X]->shape, w = n->in_v[W]->shape;
    return (struct brume_product){ .m = rows_of(x), .n = w.d[1], .k = w.d[0], .batch = 1,
                                   .a = brume_at_in(X), .b = brume_at_in(W), .bias = brume_at_in(n->in_v[BIAS] ? BIAS : -1),
                                   .res = brume_at_in(-1), .y = brume_at_out(0) };
}

BRUME_PRODUCT_LAUNCHES(product_of)

static const struct brume_variant kernels[] = {
    { .name = "half", .fits = fits_half, .half = true, .pack_input = W, .pack_bytes = half_pack_bytes,
      .cpu_pack = half_pack, .cpu = cpu_half },
    { .name = "simd", .pack_input = W, .pack_bytes = pack_bytes, .cpu_pack = cpu_pack, .cpu = cpu_simd },
    { .name = "tile", .rows = &brume_tile_rows, .fits = brume_fits_tile, .suits = brume_suits_cpu, .pack_input = W,
      .pack_bytes = tile_pack_bytes, .cl_pack = tile_pack, .cl = cl_tile },
    { .name = "clblast", .fits = brume_fits_clblast, .suits = brume_suits_gpu, .cl = cl_clblast },
    { .name = "local", .rows = &brume_local_rows, .fits = brume_fits_local, .suits = brume_suits_gpu, .cl = cl_local },
    { .name = "any", .cl = cl_any },
    { 0 },
};

static const struct brume_op op_linear = {
    .name = "linear", .tolerance = BRUME_TOL_PRODUCT, .n_in_min = 2, .n_in_max = 3, .optional = 1u << BIAS, .n_out = 1,
    .flags = BRUME_OP_TERMS, .shape = shape, .grad = grad, .kernels = kernels, .flops = flops,
};

brume_tensor brume_linear(brume_graph *g, brume_tensor x, brume_tensor w, brume_tensor bias)
{
    return brume_node_add(g, &op_linear, 3, (brume_tensor[]){ x, w, bias }, NULL, 0);
}
