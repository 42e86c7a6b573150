/* SPDX-License-Identifier: MIT
 * Zeros around a tensor. */
#include <string.h>

#include "base/pool.h"
#include "brume/ops.h"
#include "ops/axes.h"
#include "ops/copy.h"

#define TASK 65536 /* floats per task */

struct pad { int64_t before[BRUME_MAX_DIMS], after[BRUME_MAX_DIMS]; };

static brume_status shape(struct brume_node *n)
{
    const struct pad *at = n->attrs;
    const brume_status st = brume_want(n, 0, "x", BRUME_F32, -1);
    if (st != BRUME_OK) return st;
    brume_shape s = n->in_v[0]->shape;
    for (int i = 0; i < s.ndim; i++) {
        if (at->before[i] < 0 || at->after[i] < 0 || at->before[i] > INT32_MAX || at->after[i] > INT32_MAX)
            return brume_node_fail(n, BRUME_E_ARG, "expected 0 to 2^31 - 1 zeros on each side, got %lld and %lld at axis %d",
                                   (long long)at->before[i], (long long)at->after[i], i);
        s.d[i] += at->before[i] + at->after[i];
    }
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = s;
    return BRUME_OK;
}

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const struct pad *at = n->attrs;
    const brume_shape s = n->in_v[0]->shape;
    if (!need[0]) return;
    dx[0] = dy[0];
    for (int i = 0; i < s.ndim; i++) dx[0] = brume_slice(g, dx[0], i, at->before[i], s.d[i]);
}

/* Five axes, outermost first; an axis without zeros joins the one before it, so that rows are as long as they can be. */
struct layout { int64_t in[5], out[5], before[5]; };

static struct layout layout_of(const struct brume_node *n)
{
    const struct pad *at = n->attrs;
    const brume_shape s = n->in_v[0]->shape;
    struct layout l;
    for (int i = 0; i < 5; i++) l.in[i] = l.out[i] = 1, l.before[i] = 0;
    int k = 4;
    for (int i = s.ndim - 1; i >= 0; i--) {
        const int64_t inner = l.in[k]; /* of the axes without zeros after this one */
        l.in[k] = s.d[i] * inner;
        l.out[k] = (s.d[i] + at->before[i] + at->after[i]) * inner;
        l.before[k] = at->before[i] * inner;
        if ((at->before[i] || at->after[i]) && k > 0) k--;
    }
    return l;
}

struct call { struct layout l; const float *x; float *y; int64_t rows, rows_per_task; };

static void task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct call *c = ctx;
    const struct layout *l = &c->l;
    const int64_t cols = l->out[4];
    for (int64_t row = t * c->rows_per_task; row < c->rows && row < (t + 1) * c->rows_per_task; row++) {
        float *y = c->y + row * cols;
        int64_t rest = row, at = 0, step = 1, inside = 1;
        for (int i = 3; i >= 0; i--) {
            const int64_t r = rest % l->out[i] - l->before[i];
            rest /= l->out[i];
            inside = inside && r >= 0 && r < l->in[i];
            at += r * step;
            step *= l->in[i];
        }
        if (!inside) {
            memset(y, 0, (size_t)cols * sizeof *y);
            continue;
        }
        memset(y, 0, (size_t)l->before[4] * sizeof *y);
        memcpy(y + l->before[4], c->x + at * l->in[4], (size_t)l->in[4] * sizeof *y);
        memset(y + l->before[4] + l->in[4], 0, (size_t)(cols - l->before[4] - l->in[4]) * sizeof *y);
    }
}

static void cpu(const struct brume_cpu_call *c)
{
    struct call k = { .l = layout_of(c->node), .x = c->in[0], .y = c->out[0] };
    k.rows = k.l.out[0] * k.l.out[1] * k.l.out[2] * k.l.out[3];
    k.rows_per_task = k.l.out[4] < TASK ? TASK / k.l.out[4] : 1;
    brume_pool_run(c->pool, (k.rows + k.rows_per_task - 1) / k.rows_per_task, task, &k);
}

static void cl(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *list)
{
    const struct layout l = layout_of(n);
    const int vec = brume_cl_vec(c, brume_gcd(brume_gcd(l.in[4], l.out[4]), l.before[4]));
    const int run = brume_cl_run(c);
    const int64_t rows = l.out[0] * l.out[1] * l.out[2] * l.out[3], runs = (l.out[4] / vec + run - 1) / run;
    struct brume_cl_launch *k = brume_cl_add(list, "copy.cl", "pad", "-DVW=%d -DRUN=%d", vec, run);
    brume_cl_size1(k, (size_t)(rows * runs), 64);
    brume_cl_in(k, 0);
    brume_cl_out(k, 0);
    brume_cl_long(k, rows);
    brume_cl_long(k, l.out[4] / vec);
    brume_cl_long(k, runs);
    brume_cl_long(k, l.in[4] / vec);
    brume_cl_long(k, l.before[4] / vec);
    for (int i = 1; i < 4; i++) brume_cl_long(k, l.out[i]);
    for (int i = 0; i < 4; i++) brume_cl_long(k, l.in[i]);
    for (int i = 0; i < 4; i++) brume_cl_long(k, l.before[i]);
}

static const struct brume_variant kernels[] = { { .name = "any", .cpu = cpu, .cl = cl }, { 0 } };

static const struct brume_op brume_op_pad = {
    .name = "pad", .tolerance = BRUME_TOL_EXACT, .n_in_min = 1, .n_in_max = 1, .n_out = 1, .shape = shape,
    .grad = grad, .kernels = kernels,
};

brume_tensor brume_pad(brume_graph *g, brume_tensor x, const int64_t *before, const int64_t *after)
{
    if (brume_graph_status(g) != BRUME_OK) return BRUME_NONE;
    const brume_shape s = brume_tensor_shape(g, x);
    struct pad at = { { 0 }, { 0 } };
    bool any = false;
    for (int i = 0; i < s.ndim; i++) {
        at.before[i] = before[i];
        at.after[i] = after[i];
        any = any || before[i] || after[i];
    }
    if (!any && brume_value_of(g, x)) return x;
    return brume_node_add(g, &brume_op_pad, 1, &x, &at, sizeof at);
}
