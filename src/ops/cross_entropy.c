/* SPDX-License-Identifier: MIT
 * Cross entropy of logits and labels: mean over rows of logsumexp(x) - x[label]. A label outside 0..C-1 gives NaN. */
#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "graph/op.h"
#include "ops/chunks.h"
#include "ops/loss.h"

#include <math.h>

/* Inputs x, labels, and for the gradient dy. */
static brume_status check(const struct brume_node *n)
{
    brume_status s = brume_want(n, 0, "x", BRUME_F32, 2);
    if (!s) s = brume_want(n, 1, "labels", BRUME_I32, 1);
    if (!s && n->in_v[0]->shape.d[0] != n->in_v[1]->shape.d[0])
        s = brume_node_fail(n, BRUME_E_SHAPE, "x has %lld rows, there are %lld labels", (long long)n->in_v[0]->shape.d[0],
                            (long long)n->in_v[1]->shape.d[0]);
    return s;
}

static brume_status shape(struct brume_node *n)
{
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = BRUME_SCALAR;
    return check(n);
}

static brume_status grad_shape(struct brume_node *n)
{
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = n->in_v[0]->shape;
    return check(n);
}

struct job { const float *x; const int32_t *labels; const float *dy; double *part; float *dx; int64_t rows, classes; };

/* ln sum exp x, the largest element taken out first so that no exponential overflows (double: rows are short and few). */
static double log_sum_exp(const float *x, int64_t n)
{
    double top = -INFINITY, s = 0;
    for (int64_t i = 0; i < n; i++)
        if (x[i] > top) top = (double)x[i];
    if (isinf(top)) top = 0;
    for (int64_t i = 0; i < n; i++) s += exp((double)x[i] - top);
    return top + log(s);
}

static void task(void *ctx, int64_t r, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const float *x = j->x + r * j->classes;
    const int32_t label = j->labels[r];
    j->part[r] = label >= 0 && label < j->classes ? log_sum_exp(x, j->classes) - (double)x[label] : NAN;
}

static void cpu_any(const struct brume_cpu_call *c)
{
    const brume_shape s = c->node->in_v[0]->shape;
    struct job j = { c->in[0], c->in[1], NULL, c->work, NULL, s.d[0], s.d[1] };
    brume_pool_run(c->pool, j.rows, task, &j);
    double sum = 0;
    for (int64_t r = 0; r < j.rows; r++) sum += j.part[r];
    *(float *)c->out[0] = (float)(sum / (double)j.rows);
}

static size_t work_bytes(const struct brume_node *n, const struct brume_caps *c)
{
    const int64_t rows = n->in_v[0]->shape.d[0];
    return c->opencl ? brume_cl_sum_bytes(rows) : (size_t)rows * sizeof(double);
}

static void cl_any(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    const brume_shape s = n->in_v[0]->shape;
    const int vw = brume_cl_width(c);
    struct brume_cl_launch *k = brume_cl_add(l, "loss.cl", "cross_entropy_rows", "-DVW=%d", vw);
    brume_cl_in(k, 0);
    brume_cl_in(k, 1);
    brume_cl_work(k, 0);
    brume_cl_long(k, s.d[0]);
    brume_cl_long(k, s.d[1]);
    brume_cl_size1(k, (size_t)s.d[0], 32);
    brume_cl_mean(l, s.d[0], (float)s.d[0], vw);
}

/* ---- gradient: (softmax(x) - onehot(label)) dy / rows ---------------------------------------------------------------------- */

static void grad_task(void *ctx, int64_t r, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const float *x = j->x + r * j->classes;
    float *dx = j->dx + r * j->classes;
    const int32_t label = j->labels[r];
    const double lse = log_sum_exp(x, j->classes);
    const double f = label >= 0 && label < j->classes ? (double)*j->dy / (double)j->rows : NAN;
    for (int64_t i = 0; i < j->classes; i++) dx[i] = (float)((exp((double)x[i] - lse) - (i == label)) * f);
}

static void cpu_grad(const struct brume_cpu_call *c)
{
    const brume_shape s = c->node->in_v[0]->shape;
    struct job j = { c->in[0], c->in[1], c->in[2], NULL, c->out[0], s.d[0], s.d[1] };
    brume_pool_run(c->pool, j.rows, grad_task, &j);
}

static void cl_grad(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    const brume_shape s = n->in_v[0]->shape;
    struct brume_cl_launch *k = brume_cl_add(l, "loss.cl", "cross_entropy_grad", "-DVW=%d", brume_cl_width(c));
    for (int i = 0; i < 3; i++) brume_cl_in(k, i);
    brume_cl_out(k, 0);
    brume_cl_long(k, s.d[0]);
    brume_cl_long(k, s.d[1]);
    brume_cl_size1(k, (size_t)s.d[0], 32);
}

static const struct brume_variant grad_kernels[] = { { .name = "any", .cpu = cpu_grad, .cl = cl_grad }, { 0 } };
static const struct brume_op op_grad = {
    .name = "cross_entropy_grad", .tolerance = BRUME_TOL_CROSS_ENTROPY, .n_in_min = 3, .n_in_max = 3, .n_out = 1,
    .shape = grad_shape, .kernels = grad_kernels,
};

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    if (need[0]) dx[0] = brume_node_add(g, &op_grad, 3, (brume_tensor[]){ n->in[0], n->in[1], dy[0] }, NULL, 0);
}

static const struct brume_variant kernels[] = { { .name = "any", .work_bytes = work_bytes, .cpu = cpu_any,
                                                  .cl = cl_any }, { 0 } };
static const struct brume_op op = {
    .name = "cross_entropy", .tolerance = BRUME_TOL_CROSS_ENTROPY, .n_in_min = 2, .n_in_max = 2, .n_out = 1, .shape = shape,
    .grad = grad, .kernels = kernels,
};

brume_tensor brume_cross_entropy(brume_graph *g, brume_tensor x, brume_tensor labels)
{
    return brume_node_add(g, &op, 2, (brume_tensor[]){ x, labels }, NULL, 0);
}
