/* SPDX-License-Identifier: MIT
 * Batched matrix product of the last two axes, either operand transposed or not. */
#include <stdio.h>

#include "brume/ops.h"
#include "ops/gemm_cl.h"
#include "simd/conv.h"
#include "simd/gemm.h"
#include "simd/simd.h"

enum { A, B };

struct attrs { int32_t trans_a, trans_b; };

/* y (batch, m, n) = op(a) (batch, m, k) op(b) (batch, k, n) */
struct sizes { int64_t batch, m, n, k; };

static struct sizes sizes_of(const struct brume_node *node)
{
    const struct attrs *const t = node->attrs;
    const brume_shape a = node->in_v[A]->shape, b = node->in_v[B]->shape;
    struct sizes s = { .batch = 1 };
    for (int i = 0; i + 2 < a.ndim; i++) s.batch *= a.d[i];
    s.m = a.d[a.ndim - (t->trans_a ? 1 : 2)];
    s.k = a.d[a.ndim - (t->trans_a ? 2 : 1)];
    s.n = b.d[b.ndim - (t->trans_b ? 2 : 1)];
    return s;
}

static brume_status shape(struct brume_node *n)
{
    brume_status s;
    if ((s = brume_want(n, A, "a", BRUME_F32, -1)) != BRUME_OK) return s;
    if ((s = brume_want(n, B, "b", BRUME_F32, -1)) != BRUME_OK) return s;
    const struct attrs *const t = n->attrs;
    const brume_shape a = n->in_v[A]->shape, b = n->in_v[B]->shape;
    if (a.ndim < 2 || b.ndim < 2) return brume_node_fail(n, BRUME_E_SHAPE, "a and b need at least two axes");
    if (a.ndim != b.ndim) return brume_node_fail(n, BRUME_E_SHAPE, "a has %d axes, b has %d: they must agree", a.ndim, b.ndim);
    for (int i = 0; i + 2 < a.ndim; i++)
        if (a.d[i] != b.d[i])
            return brume_node_fail(n, BRUME_E_SHAPE, "leading axis %d is %lld in a and %lld in b: they must agree", i,
                                   (long long)a.d[i], (long long)b.d[i]);
    const struct sizes k = sizes_of(n);
    const int64_t kb = b.d[b.ndim - (t->trans_b ? 1 : 2)];
    if (kb != k.k)
        return brume_node_fail(n, BRUME_E_SHAPE, "b expects %lld columns of op(a), a has %lld (trans_a %d, trans_b %d)",
                               (long long)kb, (long long)k.k, t->trans_a, t->trans_b);
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = a;
    n->out_v[0]->shape.d[a.ndim - 2] = k.m;
    n->out_v[0]->shape.d[a.ndim - 1] = k.n;
    return BRUME_OK;
}

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const struct attrs *const t = n->attrs;
    const brume_tensor a = n->in[A], b = n->in[B];
    if (need[A]) dx[A] = t->trans_a ? brume_matmul(g, b, dy[0], t->trans_b, 1) : brume_matmul(g, dy[0], b, 0, !t->trans_b);
    if (need[B]) dx[B] = t->trans_b ? brume_matmul(g, dy[0], a, 1, t->trans_a) : brume_matmul(g, a, dy[0], !t->trans_a, 0);
}

static double flops(const struct brume_node *n)
{
    const struct sizes s = sizes_of(n);
    return 2.0 * (double)s.batch * (double)s.m * (double)s.n * (double)s.k;
}

static size_t pack_bytes(const struct brume_node *n, const struct brume_caps *c)
{
    const struct sizes s = sizes_of(n);
    return (size_t)(s.batch * brume_gemm_packed(s.k, s.n, c->vector_width)) * sizeof(float);
}

static void cpu_pack(const struct brume_cpu_call *c, void *packed)
{
    const struct attrs *const t = c->node->attrs;
    const struct sizes s = sizes_of(c->node);
    c->simd->gemm->pack(s.k, s.n, c->in[B], t->trans_b ? 1 : s.n, t->trans_b ? s.k : 1, s.batch, s.k * s.n, packed, c->pool);
}

static void cpu_simd(const struct brume_cpu_call *c)
{
    const struct attrs *const t = c->node->attrs;
    const struct sizes s = sizes_of(c->node);
    const struct brume_gemm g = { .m = s.m, .n = s.n, .k = s.k, .a = c->in[A], .a_row = t->trans_a ? 1 : s.k,
                                  .a_col = t->trans_a ? s.m : 1, .b = c->packed, .c = c->out[0], .ldc = s.n, .alpha = 1.0f };
    c->simd->gemm->run(&g, s.batch, s.m * s.k, brume_gemm_packed(s.k, s.n, c->simd->vector_width), s.m * s.n, c->pool);
}

static struct brume_product product_of(const struct brume_node *n)
{
    const struct attrs *const t = n->attrs;
    const struct sizes s = sizes_of(n);
    return (struct brume_product){ .m = s.m, .n = s.n, .k = s.k, .batch = s.batch, .trans_a = t->trans_a, .trans_b = t->trans_b,
                                   .a = brume_at_in(A), .b = brume_at_in(B), .bias = brume_at_in(-1), .res = brume_at_in(-1),
                                   .y = brume_at_out(0) };
}

/* The weight gradient of a linear layer: long sums, split. */
static bool fits_dw(const struct brume_node *n, const struct brume_caps *c)
{
    const struct brume_product p = product_of(n);
    struct brume_conv g;
    (void)c;
    return brume_product_as_dw(&p, &g);
}

/* With so large a result there is work enough without splitting. */
static bool suits_dw(const struct brume_node *n, const struct brume_caps *c)
{
    const struct sizes s = sizes_of(n);
    (void)c;
    return s.k >= 2 * (s.m > s.n ? s.m : s.n);
}

static size_t dw_work_bytes(const struct brume_node *n, const struct brume_caps *c)
{
    const struct brume_product p = product_of(n);
    struct brume_conv g;
    return brume_product_as_dw(&p, &g) ? brume_conv_work_dw(&g, c->vector_width, c->compute_units) : 0;
}

static void cpu_dw(const struct brume_cpu_call *c)
{
    const struct brume_product p = product_of(c->node);
    struct brume_conv g;
    if (brume_product_as_dw(&p, &g)) c->simd->conv->dw(&g, c->in[A], c->in[B], c->out[0], c->work, c->pool);
}

static bool fits_tile_dw(const struct brume_node *n, const struct brume_caps *c)
{
    const struct brume_product p = product_of(n);
    struct brume_conv g;
    return brume_fits_tile(n, c) && brume_product_as_dw(&p, &g);
}

static bool fits_local_dw(const struct brume_node *n, const struct brume_caps *c)
{
    const struct brume_product p = product_of(n);
    struct brume_conv g;
    return brume_fits_local(n, c) && brume_product_as_dw(&p, &g);
}

static size_t tile_dw_work_bytes(const struct brume_node *n, const struct brume_caps *c)
{
    const struct brume_product p = product_of(n);
    struct brume_conv g;
    return brume_product_as_dw(&p, &g) ? brume_conv_tile_dw_work(&g, c) : 0;
}

static size_t local_dw_work_bytes(const struct brume_node *n, const struct brume_caps *c)
{
    const struct brume_product p = product_of(n);
    struct brume_conv g;
    return brume_product_as_dw(&p, &g) ? brume_conv_local_dw_work(&g, c) : 0;
}

static void cl_tile_dw(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    const struct brume_product p = product_of(n);
    struct brume_conv g;
    if (brume_product_as_dw(&p, &g)) brume_conv_tile_dw(&g, c, l, p.a, p.b, brume_at_work(0), p.y);
}

static void cl_local_dw(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    const struct brume_product p = product_of(n);
    struct brume_conv g;
    if (brume_product_as_dw(&p, &g)) brume_conv_local_dw(&g, c, l, p.a, p.b, brume_at_work(0), p.y);
}

BRUME_PRODUCT_LAUNCHES(product_of)

static const struct brume_variant kernels[] = {
    { .name = "simd_dw", .fits = fits_dw, .suits = suits_dw, .work_bytes = dw_work_bytes, .cpu = cpu_dw },
    { .name = "simd", .pack_input = B, .pack_bytes = pack_bytes, .cpu_pack = cpu_pack, .cpu = cpu_simd },
    { .name = "tile_dw", .rows = &brume_tile_rows, .fits = fits_tile_dw, .suits = brume_suits_cpu,
      .work_bytes = tile_dw_work_bytes, .cl = cl_tile_dw },
    { .name = "tile", .rows = &brume_tile_rows, .fits = brume_fits_tile, .suits = brume_suits_cpu, .pack_input = B,
      .pack_bytes = tile_pack_bytes, .cl_pack = tile_pack, .cl = cl_tile },
    { .name = "clblast", .fits = brume_fits_clblast, .suits = brume_suits_gpu, .cl = cl_clblast },
    { .name = "local_dw", .rows = &brume_local_rows, .fits = fits_local_dw, .suits = brume_suits_gpu,
      .work_bytes = local_dw_work_bytes, .cl = cl_local_dw },
    { .name = "local", .rows = &brume_local_rows, .fits = brume_fits_local, .suits = brume_suits_gpu, .cl = cl_local },
    { .name = "any", .cl = cl_any },
    { 0 },
};

static void key(const struct brume_node *n, char *text, size_t size)
{
    const struct attrs *a = n->attrs;
    snprintf(text, size, "%s%s", a->trans_a ? "A" : "a", a->trans_b ? "B" : "b"); /* capitals: transposed */
}

static const struct brume_op op_matmul = {
    .name = "matmul", .tolerance = BRUME_TOL_PRODUCT, .n_in_min = 2, .n_in_max = 2, .n_out = 1, .flags = BRUME_OP_TERMS,
    .shape = shape, .grad = grad, .kernels = kernels, .flops = flops, .key = key,
};

brume_tensor brume_matmul(brume_graph *g, brume_tensor a, brume_tensor b, int trans_a, int trans_b)
{
    const struct attrs t = { trans_a != 0, trans_b != 0 };
    return brume_node_add(g, &op_matmul, 2, (brume_tensor[]){ a, b }, &t, sizeof t);
}
