/* SPDX-License-Identifier: MIT
 * A part of a tensor along one axis. */
#include "brume/ops.h"
#include "ops/axes.h"
#include "ops/copy.h"

struct slice { int axis; int64_t start, length; };

static brume_status shape(struct brume_node *n)
{
    const struct slice *at = n->attrs;
    const brume_status st = brume_want(n, 0, "x", BRUME_F32, -1);
    if (st != BRUME_OK) return st;
    brume_shape s = n->in_v[0]->shape;
    if (at->start < 0 || at->length < 1 || at->start > s.d[at->axis] - at->length)
        return brume_node_fail(n, BRUME_E_ARG, "expected a part of 0 .. %lld along axis %d, got start %lld, length %lld",
                               (long long)s.d[at->axis] - 1, at->axis, (long long)at->start, (long long)at->length);
    s.d[at->axis] = at->length;
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = s;
    return BRUME_OK;
}

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const struct slice *at = n->attrs;
    int64_t before[BRUME_MAX_DIMS] = { 0 }, after[BRUME_MAX_DIMS] = { 0 };
    before[at->axis] = at->start;
    after[at->axis] = n->in_v[0]->shape.d[at->axis] - at->start - at->length;
    if (need[0]) dx[0] = brume_pad(g, dy[0], before, after);
}

/* As matrices: rows = the axes before, columns = the axis and those after. */
struct part { int64_t rows, cols, x_off, x_stride; };

static struct part part_of(const struct brume_node *n)
{
    const struct slice *at = n->attrs;
    const brume_shape s = n->in_v[0]->shape;
    const int64_t inner = brume_extent(s, at->axis + 1, s.ndim);
    return (struct part){ brume_extent(s, 0, at->axis), at->length * inner, at->start * inner, s.d[at->axis] * inner };
}

static void cpu(const struct brume_cpu_call *c)
{
    const struct part p = part_of(c->node);
    brume_cpu_copy_rows(c->pool, p.rows, p.cols, (const float *)c->in[0] + p.x_off, p.x_stride, c->out[0], p.cols);
}

static void cl(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    const struct part p = part_of(n);
    brume_cl_copy_rows(l, c, 0, p.rows, p.cols, p.x_off, p.x_stride, 0, p.cols);
}

static const struct brume_variant kernels[] = { { .name = "any", .cpu = cpu, .cl = cl }, { 0 } };

static const struct brume_op brume_op_slice = {
    .name = "slice", .tolerance = BRUME_TOL_EXACT, .n_in_min = 1, .n_in_max = 1, .n_out = 1, .shape = shape,
    .grad = grad, .kernels = kernels,
};

brume_tensor brume_slice(brume_graph *g, brume_tensor x, int axis, int64_t start, int64_t length)
{
    if (brume_graph_status(g) != BRUME_OK) return BRUME_NONE;
    const brume_shape s = brume_tensor_shape(g, x);
    const struct slice at = { brume_axis(s, axis), start, length };
    if (brume_value_of(g, x)) {
        if (at.axis < 0) return brume_graph_fail(g, BRUME_E_ARG, "slice: axis %d is outside the tensor's %d", axis, (int)s.ndim);
        if (start == 0 && length == s.d[at.axis]) return x;
    }
    return brume_node_add(g, &brume_op_slice, 1, &x, &at, sizeof at);
}
