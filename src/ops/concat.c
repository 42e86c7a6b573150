/* SPDX-License-Identifier: MIT
 * Joins tensors along one axis. Seen as matrices (axes before, axis and those after), rows of the parts stand side by side. */
#include "brume/ops.h"
#include "ops/axes.h"
#include "ops/copy.h"

#define MAX_PARTS 16

struct concat { int axis; };

static brume_status shape(struct brume_node *n)
{
    const struct concat *at = n->attrs;
    brume_shape s = BRUME_SCALAR;
    for (int i = 0; i < n->n_in; i++) {
        const brume_status st = brume_want(n, i, "every part", BRUME_F32, -1);
        if (st != BRUME_OK) return st;
        const brume_shape x = n->in_v[i]->shape;
        if (i == 0) {
            s = x;
            if (at->axis >= s.ndim) return brume_node_fail(n, BRUME_E_ARG, "axis is outside 0 .. %d", s.ndim - 1);
            continue;
        }
        for (int d = 0; d < s.ndim; d++)
            if (x.ndim != s.ndim || (d != at->axis && x.d[d] != s.d[d]))
                return brume_node_fail(n, BRUME_E_SHAPE, "part %d: all axes but axis %d must agree with part 0", i, at->axis);
        s.d[at->axis] += x.d[at->axis];
    }
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = s;
    return BRUME_OK;
}

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const struct concat *at = n->attrs;
    int64_t start = 0;
    for (int i = 0; i < n->n_in; i++) {
        const int64_t length = n->in_v[i]->shape.d[at->axis];
        if (need[i]) dx[i] = brume_slice(g, dy[0], at->axis, start, length);
        start += length;
    }
}

static int64_t row_of(brume_shape s, int axis) { return brume_extent(s, axis, s.ndim); }

static void cpu(const struct brume_cpu_call *c)
{
    const struct brume_node *n = c->node;
    const int axis = ((const struct concat *)n->attrs)->axis;
    const int64_t rows = brume_extent(n->out_v[0]->shape, 0, axis), stride = row_of(n->out_v[0]->shape, axis);
    float *y = c->out[0];
    for (int i = 0; i < n->n_in; i++) {
        const int64_t cols = row_of(n->in_v[i]->shape, axis);
        brume_cpu_copy_rows(c->pool, rows, cols, c->in[i], cols, y, stride);
        y += cols;
    }
}

static void cl(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    const int axis = ((const struct concat *)n->attrs)->axis;
    const int64_t rows = brume_extent(n->out_v[0]->shape, 0, axis), stride = row_of(n->out_v[0]->shape, axis);
    int64_t at = 0;
    for (int i = 0; i < n->n_in; i++) {
        const int64_t cols = row_of(n->in_v[i]->shape, axis);
        brume_cl_copy_rows(l, c, i, rows, cols, 0, cols, at, stride);
        at += cols;
    }
}

static const struct brume_variant kernels[] = { { .name = "any", .cpu = cpu, .cl = cl }, { 0 } };

static const struct brume_op brume_op_concat = {
    .name = "concat", .tolerance = BRUME_TOL_EXACT, .n_in_min = 1, .n_in_max = MAX_PARTS, .n_out = 1, .shape = shape,
    .grad = grad, .kernels = kernels,
};

brume_tensor brume_concat(brume_graph *g, int n, const brume_tensor *xs, int axis)
{
    if (brume_graph_status(g) != BRUME_OK) return BRUME_NONE;
    if (n < 1 || n > MAX_PARTS) return brume_graph_fail(g, BRUME_E_ARG, "concat: expected 1 to %d tensors, got %d", MAX_PARTS, n);
    const struct concat at = { brume_axis(brume_tensor_shape(g, xs[0]), axis) };
    if (at.axis < 0 && brume_value_of(g, xs[0]))
        return brume_graph_fail(g, BRUME_E_ARG, "concat: axis %d is outside the tensor", axis);
    if (n == 1 && brume_value_of(g, xs[0])) return xs[0];
    return brume_node_add(g, &brume_op_concat, n, xs, &at, sizeof at);
}
