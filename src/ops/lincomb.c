/* SPDX-License-Identifier: MIT
 * Linear combination of up to eight tensors with coefficients that lie on the device: the update of every sampler. */
#include <string.h>

#include "base/pool.h"
#include "brume/ops.h"
#include "ops/axes.h"
#include "graph/cl_launch.h"
#include "simd/simd.h"
#include "simd/vec.h"

#define MAX_TERMS 8
#define TASK 16384 /* floats per task */

/* Inputs: coef, x_0, x_1, ... */
static brume_status shape(struct brume_node *n)
{
    const int terms = n->n_in - 1;
    brume_status st = brume_want(n, 0, "coef", BRUME_F32, -1);
    for (int j = 0; st == BRUME_OK && j < terms; j++) st = brume_want(n, 1 + j, "every x", BRUME_F32, -1);
    if (st != BRUME_OK) return st;
    const brume_shape c = n->in_v[0]->shape, x = n->in_v[1]->shape;
    for (int j = 1; j < terms; j++)
        if (!brume_shape_equal(n->in_v[1 + j]->shape, x))
            return brume_node_fail(n, BRUME_E_SHAPE, "x %d has another shape than x 0", j);
    const bool shared = c.ndim == 1 && c.d[0] == terms, own = c.ndim == 2 && x.ndim >= 1 && c.d[0] == x.d[0] && c.d[1] == terms;
    if (!shared && !own)
        return brume_node_fail(n, BRUME_E_SHAPE, "coef expects shape (%d), or (N, %d) for x's first axis N", terms, terms);
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = x;
    return BRUME_OK;
}

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const brume_shape c = n->in_v[0]->shape, x = n->in_v[1]->shape;
    if (need[0]) brume_graph_fail(g, BRUME_E_UNSUPPORTED, "lincomb '%s' has no gradient for coef", n->name);
    for (int j = 1; j < n->n_in; j++) {
        if (!need[j]) continue;
        brume_shape one = { .ndim = x.ndim }; /* (1, 1, ...) or (N, 1, ...): repeats over the rest of x */
        for (int i = 0; i < x.ndim; i++) one.d[i] = 1;
        if (c.ndim == 2) one.d[0] = c.d[0];
        dx[j] = brume_mul(g, dy[0], brume_reshape(g, brume_slice(g, n->in[0], c.ndim - 1, j - 1, 1), one));
    }
}

/* Rows of elements that share their coefficients. */
static int64_t rows_of(const struct brume_node *n) { return n->in_v[0]->shape.ndim == 2 ? n->in_v[0]->shape.d[0] : 1; }

struct job { const struct brume_cpu_call *c; int terms; int64_t cols, cuts; };

static void task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *k = ctx;
    const struct brume_simd_vec *v = k->c->simd->vec;
    const int64_t row = t / k->cuts, begin = t % k->cuts * TASK, n = k->cols - begin < TASK ? k->cols - begin : TASK,
                  at = row * k->cols + begin;
    const float *coef = (const float *)k->c->in[0] + row * k->terms;
    float *y = (float *)k->c->out[0] + at;
    bool first = true;
    for (int j = 0; j < k->terms; j++) {
        if (coef[j] == 0.0f) continue;
        (first ? v->scale : v->axpy)(n, coef[j], (const float *)k->c->in[1 + j] + at, y);
        first = false;
    }
    if (first) memset(y, 0, (size_t)n * sizeof *y);
}

static void cpu(const struct brume_cpu_call *c)
{
    struct job k = { .c = c, .terms = c->node->n_in - 1 };
    const int64_t rows = rows_of(c->node);
    k.cols = brume_shape_numel(c->node->out_v[0]->shape) / rows;
    k.cuts = (k.cols + TASK - 1) / TASK;
    brume_pool_run(c->pool, rows * k.cuts, task, &k);
}

static void cl(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    const int terms = n->n_in - 1;
    const int64_t rows = rows_of(n), cols = brume_shape_numel(n->out_v[0]->shape) / rows;
    const int vec = brume_cl_vec(c, cols);
    struct brume_cl_launch *k = brume_cl_add(l, "lincomb.cl", "lincomb", "-DVW=%d", vec);
    brume_cl_size1(k, (size_t)(rows * (cols / vec)), 64);
    brume_cl_out(k, 0);
    brume_cl_in(k, 0);
    brume_cl_long(k, rows * (cols / vec));
    brume_cl_long(k, cols / vec);
    brume_cl_int(k, terms);
    for (int j = 0; j < MAX_TERMS; j++) brume_cl_in(k, 1 + (j < terms ? j : 0));
}

static double flops(const struct brume_node *n) { return 2.0 * (n->n_in - 1) * (double)brume_shape_numel(n->out_v[0]->shape); }

static const struct brume_variant kernels[] = { { .name = "any", .cpu = cpu, .cl = cl }, { 0 } };

static const struct brume_op brume_op_lincomb = {
    .name = "lincomb", .tolerance = BRUME_TOL_SUM, .n_in_min = 2, .n_in_max = 1 + MAX_TERMS, .n_out = 1, .flags = BRUME_OP_TERMS,
    .shape = shape, .grad = grad, .kernels = kernels, .flops = flops,
};

brume_tensor brume_lincomb(brume_graph *g, int n, const brume_tensor *xs, brume_tensor coef)
{
    if (brume_graph_status(g) != BRUME_OK) return BRUME_NONE;
    if (n < 1 || n > MAX_TERMS)
        return brume_graph_fail(g, BRUME_E_ARG, "lincomb: expected 1 to %d tensors, got %d", MAX_TERMS, n);
    brume_tensor in[1 + MAX_TERMS] = { coef };
    memcpy(in + 1, xs, (size_t)n * sizeof *xs);
    return brume_node_add(g, &brume_op_lincomb, 1 + n, in, NULL, 0);
}
