/* SPDX-License-Identifier: MIT
 * Gated GELU (Shazeer 2020): halves (a, b) of the last axis give a gelu_erf(b). */
#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "graph/op.h"
#include "ops/chunks.h"
#include "ops/ew.h"
#include "simd/misc.h"
#include "simd/simd.h"

static brume_status shape(struct brume_node *n)
{
    const brume_status s = brume_want(n, 0, "x", BRUME_F32, -1);
    if (s) return s;
    brume_shape y = n->in_v[0]->shape;
    if (y.ndim < 1 || y.d[y.ndim - 1] % 2) return brume_node_fail(n, BRUME_E_SHAPE, "the last axis of x must be even");
    y.d[y.ndim - 1] /= 2;
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = y;
    return BRUME_OK;
}

struct job { const struct brume_simd *simd; const float *x, *dy; float *out; int64_t rows, width, per_task; };

/* Rows of x hold 2 width values; tasks of about BRUME_CHUNK values. */
static struct job job_of(const struct brume_cpu_call *c)
{
    const brume_shape x = c->node->in_v[0]->shape;
    const int64_t width = x.d[x.ndim - 1] / 2;
    return (struct job){ c->simd, c->in[0], c->node->n_in > 1 ? c->in[1] : NULL, c->out[0],
                         brume_shape_numel(x) / (2 * width), width, brume_ceil_div(BRUME_CHUNK, 2 * width) };
}

static void forward_task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t w = j->width, end = (t + 1) * j->per_task < j->rows ? (t + 1) * j->per_task : j->rows;
    for (int64_t r = t * j->per_task; r < end; r++) {
        const float *a = j->x + r * 2 * w, *b = a + w;
        float *y = j->out + r * w;
        j->simd->ew[EW_gelu_erf](w, &b, y, NULL);
        j->simd->misc->mul(w, a, y);
    }
}

static void cpu_forward(const struct brume_cpu_call *c)
{
    struct job j = job_of(c);
    brume_pool_run(c->pool, brume_ceil_div(j.rows, j.per_task), forward_task, &j);
}

static void launch(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l, const char *kernel)
{
    const brume_shape x = n->in_v[0]->shape;
    const int64_t width = x.d[x.ndim - 1] / 2, rows = brume_shape_numel(x) / (2 * width), vw = brume_cl_width(c);
    struct brume_cl_launch *k = brume_cl_add(l, "geglu.cl", kernel, "-DVW=%d", (int)vw);
    for (int i = 0; i < n->n_in; i++) brume_cl_in(k, i);
    brume_cl_out(k, 0);
    brume_cl_long(k, rows);
    brume_cl_long(k, width);
    brume_cl_size1(k, (size_t)(rows * brume_ceil_div(width, vw)), 64);
}

static void cl_forward(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    launch(n, c, l, "geglu");
}

/* ---- gradient: inputs x, dy ------------------------------------------------------------------------------------------------ */

static brume_status grad_shape(struct brume_node *n)
{
    brume_status s = brume_want(n, 0, "x", BRUME_F32, -1);
    if (!s) s = brume_want(n, 1, "dy", BRUME_F32, -1);
    if (s) return s;
    if (brume_shape_numel(n->in_v[0]->shape) != 2 * brume_shape_numel(n->in_v[1]->shape))
        return brume_node_fail(n, BRUME_E_SHAPE, "dy expects half of x's values");
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = n->in_v[0]->shape;
    return BRUME_OK;
}

/* da = gelu(b) dy, db = gelu'(b) dy a */
static void backward_task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t w = j->width, end = (t + 1) * j->per_task < j->rows ? (t + 1) * j->per_task : j->rows;
    for (int64_t r = t * j->per_task; r < end; r++) {
        const float *a = j->x + r * 2 * w, *const b_dy[2] = { a + w, j->dy + r * w };
        float *da = j->out + r * 2 * w;
        j->simd->ew[EW_gelu_erf](w, b_dy, da, NULL);
        j->simd->misc->mul(w, b_dy[1], da);
        j->simd->ew[EW_gelu_erf_grad](w, b_dy, da + w, NULL);
        j->simd->misc->mul(w, a, da + w);
    }
}

static void cpu_backward(const struct brume_cpu_call *c)
{
    struct job j = job_of(c);
    brume_pool_run(c->pool, brume_ceil_div(j.rows, j.per_task), backward_task, &j);
}

static void cl_backward(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    launch(n, c, l, "geglu_grad");
}

static double flops(const struct brume_node *n) { return 20.0 * (double)brume_shape_numel(n->in_v[0]->shape); }

static const struct brume_variant grad_kernels[] = { { .name = "any", .cpu = cpu_backward, .cl = cl_backward }, { 0 } };
static const struct brume_op op_grad = {
    .name = "geglu_grad", .tolerance = BRUME_TOL_ELEMENTWISE, .n_in_min = 2, .n_in_max = 2, .n_out = 1, .shape = grad_shape,
    .kernels = grad_kernels, .flops = flops,
};

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    if (need[0]) dx[0] = brume_node_add(g, &op_grad, 2, (brume_tensor[]){ n->in[0], dy[0] }, NULL, 0);
}

static const struct brume_variant kernels[] = { { .name = "any", .cpu = cpu_forward, .cl = cl_forward }, { 0 } };
static const struct brume_op op = {
    .name = "geglu", .tolerance = BRUME_TOL_ELEMENTWISE, .n_in_min = 1, .n_in_max = 1, .n_out = 1, .shape = shape, .grad = grad,
    .kernels = kernels, .flops = flops,
};

brume_tensor brume_geglu(brume_graph *g, brume_tensor x) { return brume_node_add(g, &op, 1, &x, NULL, 0); }
