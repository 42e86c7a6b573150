/* SPDX-License-Identifier: MIT
 * Adds a tensor to a persistent one, or starts the sum anew: gradients of a batch that comes in parts. */
#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "graph/op.h"
#include "ops/chunks.h"
#include "ops/update.h"
#include "simd/simd.h"
#include "simd/vec.h"

#include <string.h>

enum { SUM, X, KEEP };

static brume_status shape(struct brume_node *n)
{
    const brume_status s = brume_update_want(n, 2, (const char *const[]){ "sum", "x" });
    return s ? s : brume_scale_want(n, KEEP);
}

struct job { const struct brume_simd_vec *vec; float *sum; const float *x; bool keep; int64_t n; };

static void task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t i = brume_chunk_at(t), n = brume_chunk_len(t, j->n);
    if (j->keep) j->vec->axpy(n, 1.0f, j->x + i, j->sum + i);
    else memcpy(j->sum + i, j->x + i, (size_t)n * sizeof *j->sum);
}

static void cpu_any(const struct brume_cpu_call *c)
{
    struct job j = { c->simd->vec, (float *)c->in[SUM], c->in[X], *(const float *)c->in[KEEP] != 0.0f,
                     brume_shape_numel(c->node->in_v[SUM]->shape) };
    brume_pool_run(c->pool, brume_ceil_div(j.n, BRUME_CHUNK), task, &j);
}

static void cl_any(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    struct brume_cl_launch *k = brume_update_launch(n, c, l, "accumulate");
    for (int i = SUM; i <= KEEP; i++) brume_cl_in(k, i);
    brume_cl_long(k, brume_shape_numel(n->in_v[SUM]->shape));
}

static const struct brume_variant kernels[] = { { .name = "any", .cpu = cpu_any, .cl = cl_any }, { 0 } };
static const struct brume_op op = {
    .name = "accumulate", .tolerance = BRUME_TOL_UPDATE, .n_in_min = 3, .n_in_max = 3, .updates = 1u << SUM,
    .shape = shape, .kernels = kernels,
};

void brume_accumulate(brume_graph *g, brume_tensor sum, brume_tensor x, brume_tensor keep)
{
    brume_node_add(g, &op, 3, (brume_tensor[]){ sum, x, keep }, NULL, 0);
}
