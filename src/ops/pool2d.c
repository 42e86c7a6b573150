/* SPDX-License-Identifier: MIT
 * Maxima and means over windows of pixels, as classifiers pool. For evaluation: they have no gradient. */
#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "graph/op.h"

#include <math.h>

enum { LARGEST = 32768 };

static brume_status check(struct brume_node *n, const brume_pool2d_params *p, const int64_t *d)
{
    for (int i = 0; i < 2; i++) {
        if (p->kernel[i] < 1 || p->stride < 1 || p->pad[i] < 0)
            return brume_node_fail(n, BRUME_E_ARG, "expected a kernel and stride of at least 1 and no negative padding");
        if (p->kernel[i] > LARGEST) /* kernels count a window's pixels, and twice the padding, in int */
            return brume_node_fail(n, BRUME_E_ARG, "kernel %d is larger than %d", p->kernel[i], LARGEST);
        if (p->pad[i] >= p->kernel[i])
            return brume_node_fail(n, BRUME_E_ARG, "padding %d must be below the kernel's %d", p->pad[i], p->kernel[i]);
        if (d[1 + i] + 2 * (int64_t)p->pad[i] < p->kernel[i])
            return brume_node_fail(n, BRUME_E_SHAPE,
                                   "the image must be at least as large as the kernel (%dx%d), padding included", p->kernel[0],
                                   p->kernel[1]);
    }
    return BRUME_OK;
}

static brume_status shape(struct brume_node *n)
{
    const brume_pool2d_params *p = n->attrs;
    brume_status s = brume_want(n, 0, "x", BRUME_F32, 4);
    if (s) return s;
    const int64_t *d = n->in_v[0]->shape.d;
    if ((s = check(n, p, d))) return s;
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = BRUME_SHAPE(d[0], (d[1] + 2 * p->pad[0] - p->kernel[0]) / p->stride + 1,
                                     (d[2] + 2 * p->pad[1] - p->kernel[1]) / p->stride + 1, d[3]);
    return BRUME_OK;
}

struct job { brume_pool2d_params p; const float *x; float *y; int64_t h, w, c, oh, ow; bool max; };

/* y[k] = max(y[k], x[k]), and NaN once there is one. */
static void take_max(int64_t c, const float *restrict x, float *restrict y)
{
    for (int64_t k = 0; k < c; k++) y[k] = x[k] > y[k] || x[k] != x[k] ? x[k] : y[k];
}

static void take_sum(int64_t c, const float *restrict x, float *restrict y)
{
    for (int64_t k = 0; k < c; k++) y[k] += x[k];
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* One row of the result. */
static void task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t n = t / j->oh, top = t % j->oh * j->p.stride - j->p.pad[0], y0 = most(top, 0),
                  y1 = least(top + j->p.kernel[0], j->h);
    for (int64_t ox = 0; ox < j->ow; ox++) {
        const int64_t left = ox * j->p.stride - j->p.pad[1], x0 = most(left, 0), x1 = least(left + j->p.kernel[1], j->w);
        float *y = j->y + (t * j->ow + ox) * j->c;
        for (int64_t k = 0; k < j->c; k++) y[k] = j->max ? -INFINITY : 0;
        for (int64_t iy = y0; iy < y1; iy++)
            for (int64_t ix = x0; ix < x1; ix++)
                (j->max ? take_max : take_sum)(j->c, j->x + ((n * j->h + iy) * j->w + ix) * j->c, y);
        const float count = (float)(j->p.count_pad ? (int64_t)j->p.kernel[0] * j->p.kernel[1] : (y1 - y0) * (x1 - x0));
        for (int64_t k = 0; !j->max && k < j->c; k++) y[k] /= count;
    }
}

static const struct brume_op op_max, op_mean;

static void cpu(const struct brume_cpu_call *c)
{
    const int64_t *x = c->node->in_v[0]->shape.d, *y = c->node->out_v[0]->shape.d;
    struct job j = { *(const brume_pool2d_params *)c->node->attrs, c->in[0], c->out[0], x[1], x[2], x[3], y[1], y[2],
                     c->node->op == &op_max };
    brume_pool_run(c->pool, y[0] * y[1], task, &j);
}

static void cl(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    (void)c;
    const brume_pool2d_params *p = n->attrs;
    const brume_shape y = n->out_v[0]->shape;
    struct brume_cl_launch *k = brume_cl_add(l, "pool2d.cl", n->op == &op_max ? "max_pool2d" : "mean_pool2d", "%s", "");
    brume_cl_in(k, 0);
    brume_cl_out(k, 0);
    for (int i = 1; i < 4; i++) brume_cl_long(k, n->in_v[0]->shape.d[i]);
    brume_cl_long(k, y.d[1]);
    brume_cl_long(k, y.d[2]);
    brume_cl_long(k, brume_shape_numel(y));
    for (int i = 0; i < 2; i++) brume_cl_int(k, p->kernel[i]);
    brume_cl_int(k, p->stride);
    for (int i = 0; i < 2; i++) brume_cl_int(k, p->pad[i]);
    brume_cl_int(k, p->count_pad);
    brume_cl_size1(k, (size_t)brume_shape_numel(y), 64);
}

static double flops(const struct brume_node *n)
{
    const brume_pool2d_params *p = n->attrs;
    return (double)p->kernel[0] * p->kernel[1] * (double)brume_shape_numel(n->out_v[0]->shape);
}

static const struct brume_variant kernels[] = { { .name = "any", .cpu = cpu, .cl = cl }, { 0 } };
static const struct brume_op op_max = { .name = "max_pool2d", .tolerance = BRUME_TOL_EXACT, .n_in_min = 1, .n_in_max = 1,
                                        .n_out = 1, .shape = shape, .kernels = kernels, .flops = flops };
static const struct brume_op op_mean = { .name = "mean_pool2d", .tolerance = BRUME_TOL_SUM, .n_in_min = 1, .n_in_max = 1,
                                         .n_out = 1, .flags = BRUME_OP_TERMS, .shape = shape,
                                         .kernels = kernels, .flops = flops };

brume_tensor brume_max_pool2d(brume_graph *g, brume_tensor x, const brume_pool2d_params *p)
{
    return brume_node_add(g, &op_max, 1, &x, p, sizeof *p);
}
brume_tensor brume_mean_pool2d(brume_graph *g, brume_tensor x, const brume_pool2d_params *p)
{
    return brume_node_add(g, &op_mean, 1, &x, p, sizeof *p);
}
