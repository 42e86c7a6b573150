/* SPDX-License-Identifier: MIT
 * Rows of a table chosen by ids, and the gradient of the table, where repeated ids add up in the order of the ids. */
#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "graph/op.h"
#include "ops/chunks.h"
#include "simd/misc.h"
#include "simd/simd.h"

#include <math.h>
#include <string.h>

/* Values of one row of the table; rows are everything after its first axis. */
static int64_t width(brume_shape table) { return brume_shape_numel(table) / table.d[0]; }

/* ids.shape + table.shape[1:] */
static brume_status shape(struct brume_node *n)
{
    brume_status s = brume_want(n, 0, "table", BRUME_F32, -1);
    if (!s) s = brume_want(n, 1, "ids", BRUME_I32, -1);
    if (s) return s;
    const brume_shape table = n->in_v[0]->shape, ids = n->in_v[1]->shape;
    if (table.ndim < 1) return brume_node_fail(n, BRUME_E_SHAPE, "the table must have at least one dimension");
    if (ids.ndim + table.ndim - 1 > BRUME_MAX_DIMS)
        return brume_node_fail(n, BRUME_E_SHAPE, "the result would have more than %d dimensions", BRUME_MAX_DIMS);
    brume_shape *y = &n->out_v[0]->shape;
    *y = ids;
    for (int i = 1; i < table.ndim; i++) y->d[y->ndim++] = table.d[i];
    n->out_v[0]->dtype = BRUME_F32;
    return BRUME_OK;
}

#define ROWS 64 /* ids of one task */

struct job {
    const struct brume_simd_misc *misc;
    const float *from;
    const int32_t *ids;
    float *to;
    int64_t rows, n_ids, width, per_task;
};

static void gather_task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t end = (t + 1) * ROWS < j->n_ids ? (t + 1) * ROWS : j->n_ids;
    for (int64_t i = t * ROWS; i < end; i++) {
        float *y = j->to + i * j->width;
        const int32_t id = j->ids[i];
        if (id >= 0 && id < j->rows) memcpy(y, j->from + id * j->width, (size_t)j->width * sizeof *y);
        else for (int64_t k = 0; k < j->width; k++) y[k] = NAN;
    }
}

static void cpu_gather(const struct brume_cpu_call *c)
{
    const brume_shape table = c->node->in_v[0]->shape;
    struct job j = { c->simd->misc, c->in[0], c->in[1], c->out[0], table.d[0],
                     brume_shape_numel(c->node->in_v[1]->shape), width(table), 0 };
    brume_pool_run(c->pool, brume_ceil_div(j.n_ids, ROWS), gather_task, &j);
}

static void cl_gather(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    const brume_shape table = n->in_v[0]->shape;
    const int64_t ids = brume_shape_numel(n->in_v[1]->shape), w = width(table);
    struct brume_cl_launch *k = brume_cl_add(l, "embedding.cl", "gather", "-DVW=%d", brume_cl_width(c));
    brume_cl_in(k, 0);
    brume_cl_in(k, 1);
    brume_cl_out(k, 0);
    brume_cl_long(k, table.d[0]);
    brume_cl_long(k, w);
    brume_cl_long(k, ids * w);
    brume_cl_size1(k, (size_t)(ids * w), 64);
}

/* ---- gradient of the table: inputs dy, ids --------------------------------------------------------------------------------- */

struct grad_attrs { brume_shape table; };

static brume_status grad_shape(struct brume_node *n)
{
    const struct grad_attrs *a = n->attrs;
    brume_status s = brume_want(n, 0, "dy", BRUME_F32, -1);
    if (!s) s = brume_want(n, 1, "ids", BRUME_I32, -1);
    if (s) return s;
    if (brume_shape_numel(n->in_v[0]->shape) != brume_shape_numel(n->in_v[1]->shape) * width(a->table))
        return brume_node_fail(n, BRUME_E_SHAPE, "dy expects one row of %lld for every id", (long long)width(a->table));
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = a->table;
    return BRUME_OK;
}

/* Each task owns some rows of the table and looks through all ids, so that no two tasks add to one row. */
static void scatter_task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t first = t * j->per_task, end = first + j->per_task < j->rows ? first + j->per_task : j->rows;
    memset(j->to + first * j->width, 0, (size_t)((end - first) * j->width) * sizeof *j->to);
    for (int64_t i = 0; i < j->n_ids; i++)
        if (j->ids[i] >= first && j->ids[i] < end) j->misc->add(j->width, j->from + i * j->width, j->to + j->ids[i] * j->width);
}

static void cpu_scatter(const struct brume_cpu_call *c)
{
    const struct grad_attrs *a = c->node->attrs;
    const int64_t rows = a->table.d[0];
    struct job j = { c->simd->misc, c->in[0], c->in[1], c->out[0], rows,
                     brume_shape_numel(c->node->in_v[1]->shape), width(a->table), brume_ceil_div(rows, 64) };
    brume_pool_run(c->pool, brume_ceil_div(rows, j.per_task), scatter_task, &j);
}

static void cl_scatter(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    const struct grad_attrs *a = n->attrs;
    const int64_t w = width(a->table);
    const int vw = brume_cl_width(c);
    struct brume_cl_launch *k = brume_cl_add(l, "embedding.cl", "scatter", "-DVW=%d", vw);
    brume_cl_in(k, 0);
    brume_cl_in(k, 1);
    brume_cl_out(k, 0);
    brume_cl_long(k, a->table.d[0]);
    brume_cl_long(k, w);
    brume_cl_long(k, brume_shape_numel(n->in_v[1]->shape));
    brume_cl_size2(k, (size_t)brume_ceil_div(w, vw), (size_t)a->table.d[0], 16, 4);
}

static const struct brume_variant grad_kernels[] = { { .name = "any", .cpu = cpu_scatter, .cl = cl_scatter }, { 0 } };
static const struct brume_op op_grad = {
    .name = "embedding_grad", .tolerance = BRUME_TOL_SUM, .n_in_min = 2, .n_in_max = 2, .n_out = 1, .flags = BRUME_OP_TERMS,
    .shape = grad_shape, .kernels = grad_kernels,
};

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const struct grad_attrs a = { n->in_v[0]->shape };
    if (need[0]) dx[0] = brume_node_add(g, &op_grad, 2, (brume_tensor[]){ dy[0], n->in[1] }, &a, sizeof a);
}

static const struct brume_variant kernels[] = { { .name = "any", .cpu = cpu_gather, .cl = cl_gather }, { 0 } };
static const struct brume_op op = {
    .name = "embedding", .tolerance = BRUME_TOL_EXACT, .n_in_min = 2, .n_in_max = 2, .n_out = 1, .shape = shape,
    .grad = grad, .kernels = kernels,
};

brume_tensor brume_embedding(brume_graph *g, brume_tensor table, brume_tensor ids)
{
    if (brume_graph_status(g) == BRUME_OK && brume_tensor_shape(g, table).ndim != 2)
        return brume_graph_fail(g, BRUME_E_SHAPE, "embedding: the table expects 2 dimensions, got %d",
                                brume_tensor_shape(g, table).ndim);
    return brume_node_add(g, &op, 2, (brume_tensor[]){ table, ids }, NULL, 0);
}

brume_tensor brume_gather(brume_graph *g, brume_tensor table, brume_tensor t)
{
    const int ndim = brume_tensor_shape(g, table).ndim;
    if (brume_graph_status(g) == BRUME_OK && (ndim < 1 || ndim > 2))
        return brume_graph_fail(g, BRUME_E_SHAPE, "gather: the table expects 1 or 2 dimensions, got %d", ndim);
    if (brume_graph_status(g) == BRUME_OK && brume_tensor_shape(g, t).ndim != 1)
        return brume_graph_fail(g, BRUME_E_SHAPE, "gather: t expects 1 dimension, got %d", brume_tensor_shape(g, t).ndim);
    return brume_node_add(g, &op, 2, (brume_tensor[]){ table, t }, NULL, 0);
}
