/* SPDX-License-Identifier: MIT
 * Softmax over the last axis, and its gradient dx = y (dy - sum y dy). */
#include "ops/softmax.h"

#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "ops/suits.h"
#include "simd/norm.h"
#include "simd/simd.h"

struct dims { int64_t rows, d, chunk, chunks; };

static struct dims dims_of(const struct brume_node *n)
{
    const brume_shape s = n->in_v[0]->shape;
    struct dims d = { .d = s.d[s.ndim - 1] };
    d.rows = brume_shape_numel(s) / d.d;
    d.chunk = d.d < 8192 ? 8192 / d.d : 1;
    d.chunks = (d.rows + d.chunk - 1) / d.chunk;
    return d;
}

/* ---- cpu ------------------------------------------------------------------------------------------------------------------- */

struct job { const struct brume_simd_norm *simd; struct dims d; const float *x, *dy; float *y; };

static void forward_task(void *ctx, int64_t task, int thread)
{
    const struct job *j = ctx;
    const int64_t d = j->d.d, begin = task * j->d.chunk, end = begin + j->d.chunk < j->d.rows ? begin + j->d.chunk : j->d.rows;
    (void)thread;
    for (int64_t i = begin; i < end; i++) j->simd->row_softmax(d, j->x + i * d, j->y + i * d);
}

static void backward_task(void *ctx, int64_t task, int thread)
{
    const struct job *j = ctx;
    const int64_t d = j->d.d, begin = task * j->d.chunk, end = begin + j->d.chunk < j->d.rows ? begin + j->d.chunk : j->d.rows;
    (void)thread;
    for (int64_t i = begin; i < end; i++) j->simd->row_softmax_grad(d, j->x + i * d, j->dy + i * d, j->y + i * d);
}

static void cpu_forward(const struct brume_cpu_call *call)
{
    struct job j = { call->simd->norm, dims_of(call->node), call->in[0], NULL, call->out[0] };
    brume_pool_run(call->pool, j.d.chunks, forward_task, &j);
}

static void cpu_backward(const struct brume_cpu_call *call)
{
    struct job j = { call->simd->norm, dims_of(call->node), call->in[0], call->in[1], call->out[0] };
    brume_pool_run(call->pool, j.d.chunks, backward_task, &j);
}

/* ---- OpenCL: cl/softmax.cl ------------------------------------------------------------------------------------------------- */

/* vw floats per vector; `share` work-items to a row. */
static void cl_rows(const struct brume_node *n, struct brume_cl_list *l, const char *kernel, int vw, int share)
{
    const struct dims d = dims_of(n);
    struct brume_cl_launch *k = brume_cl_add(l, "softmax.cl", kernel, "-DVW=%d -DLOCAL=%d", vw, share);
    brume_cl_size1(k, (size_t)(d.rows * share), share > 1 ? (size_t)share : vw > 1 ? 1 : 64);
    for (int i = 0; i < n->n_in; i++) brume_cl_in(k, i);
    brume_cl_out(k, 0);
    brume_cl_long(k, d.rows);
    brume_cl_int(k, d.d);
}

static int vector_width(const struct brume_caps *c) { return c->vector_width < 16 ? c->vector_width : 16; }

#define WAY(name, vw, share)                                                                                          \
    static void cl_forward_##name(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)    \
    {                                                                                                                 \
        (void)c;                                                                                                      \
        cl_rows(n, l, "softmax_rows", vw, share);                                                                     \
    }                                                                                                                 \
    static void cl_backward_##name(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)   \
    {                                                                                                                 \
        (void)c;                                                                                                      \
        cl_rows(n, l, "softmax_grad", vw, share);                                                                     \
    }
WAY(vector, vector_width(c), 1)
WAY(local, 1, 64)
WAY(any, 1, 1)

static const struct brume_variant forward_kernels[] = {
    { .name = "vector", .suits = brume_suits_cpu, .cl = cl_forward_vector },
    { .name = "local", .fits = brume_fits_group64, .suits = brume_suits_gpu, .cl = cl_forward_local },
    { .name = "any", .cpu = cpu_forward, .cl = cl_forward_any },
    { 0 },
};
static const struct brume_variant backward_kernels[] = {
    { .name = "vector", .suits = brume_suits_cpu, .cl = cl_backward_vector },
    { .name = "local", .fits = brume_fits_group64, .suits = brume_suits_gpu, .cl = cl_backward_local },
    { .name = "any", .cpu = cpu_backward, .cl = cl_backward_any },
    { 0 },
};

/* ---- op -------------------------------------------------------------------------------------------------------------------- */

static brume_status shape(struct brume_node *n)
{
    const brume_status s = brume_want(n, 0, "x", BRUME_F32, -1);
    if (s) return s;
    if (n->in_v[0]->shape.ndim < 1) return brume_node_fail(n, BRUME_E_SHAPE, "x expects (..., D), got a scalar");
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = n->in_v[0]->shape;
    return BRUME_OK;
}

static brume_status grad_shape(struct brume_node *n)
{
    const brume_status s = shape(n);
    if (s) return s;
    if (!brume_shape_equal(n->in_v[0]->shape, n->in_v[1]->shape))
        return brume_node_fail(n, BRUME_E_SHAPE, "dy must have the shape of y");
    return BRUME_OK;
}

static double flops(const struct brume_node *n) { return 12.0 * (double)brume_shape_numel(n->in_v[0]->shape); }
static double grad_flops(const struct brume_node *n) { return 4.0 * (double)brume_shape_numel(n->in_v[0]->shape); }

const struct brume_op brume_op_softmax_grad = {
    .name = "softmax_grad", .tolerance = BRUME_TOL_ATTENTION, .n_in_min = 2, .n_in_max = 2, .n_out = 1, .shape = grad_shape,
    .kernels = backward_kernels, .flops = grad_flops,
};

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const brume_tensor in[2] = { n->out[0], dy[0] };
    if (need[0] && dy[0] != BRUME_NONE) dx[0] = brume_node_add(g, &brume_op_softmax_grad, 2, in, NULL, 0);
}

const struct brume_op brume_op_softmax = {
    .name = "softmax", .tolerance = BRUME_TOL_ATTENTION, .n_in_min = 1, .n_in_max = 1, .n_out = 1, .shape = shape, .grad = grad,
    .kernels = forward_kernels, .flops = flops,
};

brume_tensor brume_softmax(brume_graph *g, brume_tensor x) { return brume_node_add(g, &brume_op_softmax, 1, &x, NULL, 0); }
