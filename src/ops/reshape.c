/* SPDX-License-Identifier: MIT
 * The same elements under another shape: an alias, it costs nothing. */
#include "brume/ops.h"
#include "graph/op.h"

struct reshape { brume_shape shape; };

static brume_status shape(struct brume_node *n)
{
    const struct reshape *at = n->attrs;
    const struct brume_value *x = n->in_v[0];
    if (brume_shape_numel(x->shape) != brume_shape_numel(at->shape)) {
        char text[96];
        return brume_node_fail(n, BRUME_E_SHAPE, "expected a shape of %lld elements, got %s",
                               (long long)brume_shape_numel(x->shape), brume_shape_text(at->shape, text));
    }
    n->out_v[0]->dtype = x->dtype;
    n->out_v[0]->shape = at->shape;
    return BRUME_OK;
}

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    if (need[0]) dx[0] = brume_reshape(g, dy[0], n->in_v[0]->shape);
}

static const struct brume_op brume_op_reshape = {
    .name = "reshape", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = BRUME_OP_ALIAS, .shape = shape, .grad = grad,
};

brume_tensor brume_reshape(brume_graph *g, brume_tensor x, brume_shape s)
{
    if (brume_graph_status(g) != BRUME_OK) return BRUME_NONE;
    if (brume_value_of(g, x) && brume_shape_equal(brume_tensor_shape(g, x), s)) return x;
    if (s.ndim < 0 || s.ndim > BRUME_MAX_DIMS)
        return brume_graph_fail(g, BRUME_E_SHAPE, "reshape: expected 0 to %d dimensions, got %d", BRUME_MAX_DIMS, (int)s.ndim);
    const struct reshape at = { s };
    return brume_node_add(g, &brume_op_reshape, 1, &x, &at, sizeof at);
}
