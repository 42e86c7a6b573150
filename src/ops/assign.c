/* SPDX-License-Identifier: MIT
 * Copies a tensor into a persistent one. */
#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "graph/op.h"

#include <string.h>

#define TASK 262144 /* bytes per task */

/* Inputs: dst, x. */
static brume_status shape(struct brume_node *n)
{
    const struct brume_value *dst = n->in_v[0], *x = n->in_v[1];
    if (dst->dtype != x->dtype) return brume_node_fail(n, BRUME_E_SHAPE, "x has another type than the tensor that it goes to");
    if (!brume_shape_equal(dst->shape, x->shape))
        return brume_node_fail(n, BRUME_E_SHAPE, "x has another shape than the tensor that it goes to");
    return BRUME_OK;
}

static int64_t bytes_of(const struct brume_node *n)
{
    return brume_shape_numel(n->in_v[0]->shape) * brume_dtype_bytes(n->in_v[0]->dtype);
}

static void task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct brume_cpu_call *c = ctx;
    const int64_t first = t * TASK, left = bytes_of(c->node) - first;
    memcpy((char *)c->in[0] + first, (const char *)c->in[1] + first, (size_t)(left < TASK ? left : TASK));
}

static void cpu(const struct brume_cpu_call *c)
{
    if (c->in[0] != c->in[1]) brume_pool_run(c->pool, (bytes_of(c->node) + TASK - 1) / TASK, task, (void *)c);
}

static void cl(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    (void)c;
    const int64_t numel = brume_shape_numel(n->in_v[0]->shape);
    struct brume_cl_launch *k =
        brume_cl_add(l, "assign.cl", brume_dtype_bytes(n->in_v[0]->dtype) == 8 ? "assign_64" : "assign_32", "%s", "");
    brume_cl_size1(k, (size_t)numel, 64);
    brume_cl_in(k, 0);
    brume_cl_in(k, 1);
    brume_cl_long(k, numel);
}

static const struct brume_variant kernels[] = { { .name = "any", .cpu = cpu, .cl = cl }, { 0 } };

static const struct brume_op brume_op_assign = {
    .name = "assign", .tolerance = BRUME_TOL_EXACT, .n_in_min = 2, .n_in_max = 2, .n_out = 0, .updates = 1,
    .shape = shape, .kernels = kernels,
};

void brume_assign(brume_graph *g, brume_tensor dst, brume_tensor x)
{
    const brume_tensor in[2] = { dst, x };
    brume_node_add(g, &brume_op_assign, 2, in, NULL, 0);
}
