/* SPDX-License-Identifier: MIT
 * Layer normalisation over the last axis, and its gradient. x is (rows, D); the mean is kept as a high and a low part, because
 * one float would be off by as much as the digits of a small deviation. */
#include "ops/layer_norm.h"

#include <math.h>
#include <string.h>

#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "ops/suits.h"
#include "simd/norm.h"
#include "simd/simd.h"

struct dims { int64_t rows, d, chunk, chunks; };

/* A task takes a chunk of rows, about 64 KiB: cut by shape only. */
static struct dims dims_of(const struct brume_node *n)
{
    const brume_shape s = n->in_v[0]->shape;
    struct dims d = { .d = s.d[s.ndim - 1] };
    d.rows = brume_shape_numel(s) / d.d;
    d.chunk = 16384 / d.d;
    if (d.chunk < 16) d.chunk = 16;
    if (d.chunk > d.rows) d.chunk = d.rows;
    d.chunks = (d.rows + d.chunk - 1) / d.chunk;
    return d;
}

/* ---- cpu ------------------------------------------------------------------------------------------------------------------- */

struct job {
    const struct brume_simd_norm *simd;
    struct dims d;
    float norm_eps;
    const float *x, *w, *b, *dy;
    const float *mean_in, *rstd_in;
    float *y, *mean, *rstd, *dx;
    float *sums; /* backward: (chunks, 2, D): sum dy xhat, sum dy */
};

static void forward_task(void *ctx, int64_t task, int thread)
{
    const struct job *j = ctx;
    const int64_t d = j->d.d, begin = task * j->d.chunk, end = begin + j->d.chunk < j->d.rows ? begin + j->d.chunk : j->d.rows;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        float var;
        j->simd->row_moments(d, j->x + i * d, j->mean + 2 * i, &var);
        j->rstd[i] = (float)(1.0 / sqrt((double)var + (double)j->norm_eps));
        j->simd->row_norm(d, j->x + i * d, j->mean + 2 * i, j->rstd[i], j->w, j->b, j->y + i * d);
    }
}

static void backward_task(void *ctx, int64_t task, int thread)
{
    const struct job *j = ctx;
    const int64_t d = j->d.d, begin = task * j->d.chunk, end = begin + j->d.chunk < j->d.rows ? begin + j->d.chunk : j->d.rows;
    float *dw = j->sums + task * 2 * d;
    (void)thread;
    memset(dw, 0, (size_t)(2 * d) * sizeof *dw);
    for (int64_t i = begin; i < end; i++)
        j->simd->row_norm_grad(d, j->x + i * d, j->dy + i * d, j->mean_in + 2 * i, j->rstd_in[i], j->w, j->dx + i * d, dw,
                               dw + d);
}

static struct job job_of(const struct brume_cpu_call *call)
{
    const struct brume_layer_norm_attrs *at = call->node->attrs;
    return (struct job){ .simd = call->simd->norm, .d = dims_of(call->node), .norm_eps = at->norm_eps,
                         .x = call->in[0], .w = call->in[1], .b = call->in[2] };
}

static void cpu_forward(const struct brume_cpu_call *call)
{
    struct job j = job_of(call);
    j.y = call->out[0];
    j.mean = call->out[1];
    j.rstd = call->out[2];
    brume_pool_run(call->pool, j.d.chunks, forward_task, &j);
}

static void cpu_backward(const struct brume_cpu_call *call)
{
    struct job j = job_of(call);
    float *dw = call->out[1], *db = call->out[2];
    j.mean_in = call->in[3];
    j.rstd_in = call->in[4];
    j.dy = call->in[5];
    j.dx = call->out[0];
    j.sums = call->work;
    brume_pool_run(call->pool, j.d.chunks, backward_task, &j);
    const int64_t d = j.d.d;
    memcpy(dw, j.sums, (size_t)d * sizeof *dw);
    memcpy(db, j.sums + d, (size_t)d * sizeof *db);
    for (int64_t k = 1; k < j.d.chunks; k++)
        for (int64_t c = 0; c < d; c++) {
            dw[c] += j.sums[2 * k * d + c];
            db[c] += j.sums[(2 * k + 1) * d + c];
        }
}

static size_t backward_work(const struct brume_node *n, const struct brume_caps *caps)
{
    const struct dims d = dims_of(n);
    (void)caps;
    return (size_t)(d.chunks * 2 * d.d) * sizeof(float);
}

/* ---- OpenCL: cl/layer_norm.cl ---------------------------------------------------------------------------------------------- */

/* vw floats per vector; `share` work-items to a row. */
static void cl_forward(const struct brume_node *n, struct brume_cl_list *l, int vw, int share)
{
    const struct brume_layer_norm_attrs *at = n->attrs;
    const struct dims d = dims_of(n);
    struct brume_cl_launch *k = brume_cl_add(l, "layer_norm.cl", "ln_rows", "-DVW=%d -DLOCAL=%d", vw, share);
    brume_cl_size1(k, (size_t)(d.rows * share), share > 1 ? (size_t)share : vw > 1 ? 1 : 64);
    for (int i = 0; i < 3; i++) brume_cl_in(k, i);
    for (int i = 0; i < 3; i++) brume_cl_out(k, i);
    brume_cl_long(k, d.rows);
    brume_cl_int(k, d.d);
    brume_cl_float(k, at->norm_eps);
}

static void cl_backward(const struct brume_node *n, struct brume_cl_list *l, int vw, int share)
{
    const struct dims d = dims_of(n);
    struct brume_cl_launch *k = brume_cl_add(l, "layer_norm.cl", "ln_grad_rows", "-DVW=%d -DLOCAL=%d", vw, share);
    brume_cl_size1(k, (size_t)(d.rows * share), share > 1 ? (size_t)share : vw > 1 ? 1 : 64);
    brume_cl_in(k, 0);
    brume_cl_in(k, 1);
    for (int i = 3; i < 6; i++) brume_cl_in(k, i);
    brume_cl_out(k, 0);
    brume_cl_long(k, d.rows);
    brume_cl_int(k, d.d);
    k = brume_cl_add(l, "layer_norm.cl", "ln_grad_params", "-DVW=%d -DLOCAL=%d", vw, share);
    brume_cl_size2(k, (size_t)d.d, (size_t)d.chunks, 64, 1);
    brume_cl_in(k, 0);
    for (int i = 3; i < 6; i++) brume_cl_in(k, i);
    brume_cl_work(k, 0);
    brume_cl_long(k, d.rows);
    brume_cl_int(k, d.d);
    brume_cl_int(k, d.chunk);
    k = brume_cl_add(l, "layer_norm.cl", "ln_grad_sum", "-DVW=%d -DLOCAL=%d", vw, share);
    brume_cl_size1(k, (size_t)d.d, 64);
    brume_cl_work(k, 0);
    brume_cl_out(k, 1);
    brume_cl_out(k, 2);
    brume_cl_int(k, d.d);
    brume_cl_int(k, d.chunks);
}

static int vector_width(const struct brume_caps *c) { return c->vector_width < 16 ? c->vector_width : 16; }

#define WAY(name, vw, share)                                                                                          \
    static void cl_forward_##name(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)    \
    {                                                                                                                 \
        (void)c;                                                                                                      \
        cl_forward(n, l, vw, share);                                                                                  \
    }                                                                                                                 \
    static void cl_backward_##name(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)   \
    {                                                                                                                 \
        (void)c;                                                                                                      \
        cl_backward(n, l, vw, share);                                                                                 \
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
    { .name = "vector", .suits = brume_suits_cpu, .work_bytes = backward_work, .cl = cl_backward_vector },
    { .name = "local", .fits = brume_fits_group64, .suits = brume_suits_gpu, .work_bytes = backward_work,
      .cl = cl_backward_local },
    { .name = "any", .work_bytes = backward_work, .cpu = cpu_backward, .cl = cl_backward_any },
    { 0 },
};

/* ---- op -------------------------------------------------------------------------------------------------------------------- */

static brume_status check(struct brume_node *n)
{
    const struct brume_layer_norm_attrs *at = n->attrs;
    brume_status s;
    if ((s = brume_want(n, 0, "x", BRUME_F32, -1))) return s;
    const brume_shape x = n->in_v[0]->shape;
    if (x.ndim < 1) return brume_node_fail(n, BRUME_E_SHAPE, "x expects (..., D), got a scalar");
    if (!n->in_v[1] != !n->in_v[2]) return brume_node_fail(n, BRUME_E_ARG, "weight and bias are given both or not at all");
    for (int i = 1; i <= 2 && n->in_v[1]; i++) {
        const char *what = i == 1 ? "weight" : "bias";
        if ((s = brume_want(n, i, what, BRUME_F32, 1))) return s;
        if (n->in_v[i]->shape.d[0] != x.d[x.ndim - 1])
            return brume_node_fail(n, BRUME_E_SHAPE, "%s expects %lld values, as x's last axis has, got %lld", what,
                                   (long long)x.d[x.ndim - 1], (long long)n->in_v[i]->shape.d[0]);
    }
    if (!(at->norm_eps > 0)) return brume_node_fail(n, BRUME_E_ARG, "norm_eps must be above 0, got %g", (double)at->norm_eps);
    return BRUME_OK;
}

static brume_status shape(struct brume_node *n)
{
    const brume_status s = check(n);
    if (s) return s;
    const struct dims d = dims_of(n);
    for (int k = 0; k < 3; k++) n->out_v[k]->dtype = BRUME_F32;
    n->out_v[0]->shape = n->in_v[0]->shape;
    n->out_v[1]->shape = BRUME_SHAPE(d.rows, 2);
    n->out_v[2]->shape = BRUME_SHAPE(d.rows);
    return BRUME_OK;
}

static brume_status grad_shape(struct brume_node *n)
{
    const brume_status s = check(n);
    if (s) return s;
    const brume_shape x = n->in_v[0]->shape;
    if (!brume_shape_equal(n->in_v[5]->shape, x)) return brume_node_fail(n, BRUME_E_SHAPE, "dy must have the shape of x");
    for (int k = 0; k < 3; k++) {
        n->out_v[k]->dtype = BRUME_F32;
        n->out_v[k]->shape = k ? BRUME_SHAPE(x.d[x.ndim - 1]) : x;
    }
    return BRUME_OK;
}

static double flops(const struct brume_node *n) { return 7.0 * (double)brume_shape_numel(n->in_v[0]->shape); }
static double grad_flops(const struct brume_node *n) { return 12.0 * (double)brume_shape_numel(n->in_v[0]->shape); }

/* norm_eps makes no kernel faster. */
static void key(const struct brume_node *n, char *text, size_t size)
{
    (void)n, (void)size;
    *text = 0;
}

const struct brume_op brume_op_layer_norm_grad = {
    .name = "layer_norm_grad", .tolerance = BRUME_TOL_NORM, .n_in_min = 6, .n_in_max = 6, .optional = 6, .n_out = 3,
    .shape = grad_shape, .kernels = backward_kernels, .flops = grad_flops, .key = key,
};

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const brume_tensor in[6] = { n->in[0], n->in[1], n->in[2], n->out[1], n->out[2], dy[0] };
    if (dy[0] == BRUME_NONE) return;
    const brume_tensor d = brume_node_add(g, &brume_op_layer_norm_grad, 6, in, n->attrs, sizeof(struct brume_layer_norm_attrs));
    for (int i = 0; i < 3; i++)
        if (need[i] && d != BRUME_NONE) dx[i] = d + i;
}

const struct brume_op brume_op_layer_norm = {
    .name = "layer_norm", .tolerance = BRUME_TOL_NORM, .n_in_min = 3, .n_in_max = 3, .optional = 6, .n_out = 3, .shape = shape,
    .grad = grad, .kernels = forward_kernels, .flops = flops, .key = key,
};

brume_tensor brume_layer_norm(brume_graph *g, brume_tensor x, brume_tensor w, brume_tensor b, float norm_eps)
{
    const struct brume_layer_norm_attrs at = { norm_eps };
    const brume_tensor in[3] = { x, w, b };
    return brume_node_add(g, &brume_op_layer_norm, 3, in, &at, sizeof at);
}
