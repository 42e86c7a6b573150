/* SPDX-License-Identifier: MIT
 * Means of 2x2 pixels; an odd trailing row or column is dropped, and has gradient 0. */
#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "graph/op.h"
#include "ops/chunks.h"
#include "simd/misc.h"
#include "simd/simd.h"

#include <string.h>

static brume_status shape(struct brume_node *n)
{
    const brume_status s = brume_want(n, 0, "x", BRUME_F32, 4);
    if (s) return s;
    const int64_t *d = n->in_v[0]->shape.d;
    if (d[1] < 2 || d[2] < 2)
        return brume_node_fail(n, BRUME_E_SHAPE, "the image must be at least 2x2, got %lldx%lld", (long long)d[1],
                               (long long)d[2]);
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = BRUME_SHAPE(d[0], d[1] / 2, d[2] / 2, d[3]);
    return BRUME_OK;
}

/* h, w: the image before pooling */
struct job { const struct brume_simd_misc *misc; const float *from; float *to; int64_t h, w, c; };

static void forward_task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t oh = j->h / 2, ow = j->w / 2, n = t / oh, oy = t % oh;
    const float *x = j->from + (n * j->h + 2 * oy) * j->w * j->c;
    float *y = j->to + t * ow * j->c;
    for (int64_t ox = 0; ox < ow; ox++) j->misc->sum_window(j->c, 2, 2, j->w * j->c, 0.25f, x + 2 * ox * j->c, y + ox * j->c);
}

static void cpu_forward(const struct brume_cpu_call *c)
{
    const brume_shape x = c->node->in_v[0]->shape;
    struct job j = { c->simd->misc, c->in[0], c->out[0], x.d[1], x.d[2], x.d[3] };
    brume_pool_run(c->pool, x.d[0] * (x.d[1] / 2), forward_task, &j);
}

static void launch(const struct brume_caps *c, struct brume_cl_list *l, const char *kernel, brume_shape x, brume_shape result)
{
    const int vw = brume_cl_width(c);
    const int64_t span = brume_cl_span(c, result.d[3]);
    struct brume_cl_launch *k = brume_cl_add(l, "resample.cl", kernel, "-DVW=%d", vw);
    brume_cl_in(k, 0);
    brume_cl_out(k, 0);
    for (int i = 1; i < 4; i++) brume_cl_long(k, x.d[i]);
    brume_cl_long(k, brume_shape_numel(result) / result.d[3]);
    brume_cl_long(k, span);
    brume_cl_size1(k, (size_t)(brume_ceil_div(result.d[3], span) * (brume_shape_numel(result) / result.d[3])), 64);
}

static void cl_forward(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    launch(c, l, "avg_pool2d", n->in_v[0]->shape, n->out_v[0]->shape);
}

/* ---- gradient -------------------------------------------------------------------------------------------------------------- */

struct grad_attrs { int64_t h, w; };

static brume_status grad_shape(struct brume_node *n)
{
    const struct grad_attrs *a = n->attrs;
    const brume_status s = brume_want(n, 0, "dy", BRUME_F32, 4);
    if (s) return s;
    const int64_t *d = n->in_v[0]->shape.d;
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = BRUME_SHAPE(d[0], a->h, a->w, d[3]);
    return BRUME_OK;
}

static void backward_task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t oh = j->h / 2, ow = j->w / 2, n = t / j->h, y = t % j->h, row = j->w * j->c;
    float *dx = j->to + t * row;
    if (y / 2 >= oh) {
        memset(dx, 0, (size_t)row * sizeof *dx);
        return;
    }
    const float *dy = j->from + (n * oh + y / 2) * ow * j->c;
    for (int64_t x = 0; x < 2 * ow; x++) j->misc->scale(j->c, 0.25f, dy + x / 2 * j->c, dx + x * j->c);
    memset(dx + 2 * ow * j->c, 0, (size_t)(row - 2 * ow * j->c) * sizeof *dx);
}

static void cpu_backward(const struct brume_cpu_call *c)
{
    const brume_shape dx = c->node->out_v[0]->shape;
    struct job j = { c->simd->misc, c->in[0], c->out[0], dx.d[1], dx.d[2], dx.d[3] };
    brume_pool_run(c->pool, dx.d[0] * dx.d[1], backward_task, &j);
}

static void cl_backward(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    launch(c, l, "avg_pool2d_grad", n->out_v[0]->shape, n->out_v[0]->shape);
}

static const struct brume_variant grad_kernels[] = { { .name = "any", .cpu = cpu_backward, .cl = cl_backward }, { 0 } };
static const struct brume_op op_grad = {
    .name = "avg_pool2d_grad", .tolerance = BRUME_TOL_SUM, .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = BRUME_OP_TERMS,
    .shape = grad_shape, .kernels = grad_kernels,
};

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const struct grad_attrs a = { n->in_v[0]->shape.d[1], n->in_v[0]->shape.d[2] };
    if (need[0]) dx[0] = brume_node_add(g, &op_grad, 1, dy, &a, sizeof a);
}

static double flops(const struct brume_node *n) { return 4.0 * (double)brume_shape_numel(n->out_v[0]->shape); }

static const struct brume_variant kernels[] = { { .name = "any", .cpu = cpu_forward, .cl = cl_forward }, { 0 } };
static const struct brume_op op = {
    .name = "avg_pool2d", .tolerance = BRUME_TOL_SUM, .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = BRUME_OP_TERMS,
    .shape = shape, .grad = grad, .kernels = kernels, .flops = flops,
};

brume_tensor brume_avg_pool2d(brume_graph *g, brume_tensor x) { return brume_node_add(g, &op, 1, &x, NULL, 0); }
