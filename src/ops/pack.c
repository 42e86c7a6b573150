/* SPDX-License-Identifier: MIT
 * Joins tensors, flattened, into one vector at given offsets. Where the plan let a producer write its part in place, the part's
 * address is already the destination and nothing is copied. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "graph/op.h"

#define TASK 65536       /* floats per task */
#define PER_LAUNCH 8     /* parts copied by one OpenCL launch (cl/pack.cl) */

static brume_status shape(struct brume_node *n)
{
    /* The offsets stand behind the struct; this is the first time that their copy inside the graph can be named. */
    struct brume_pack_attrs *at = (struct brume_pack_attrs *)n->attrs;
    at->offsets = (const int64_t *)(at + 1);
    int64_t end = 0;
    for (int i = 0; i < n->n_in; i++) {
        const brume_status st = brume_want(n, i, "every part", BRUME_F32, -1);
        if (st != BRUME_OK) return st;
        if (at->offsets[i] < end)
            return brume_node_fail(n, BRUME_E_ARG, "part %d begins at %lld, before the end %lld of the part in front", i,
                                   (long long)at->offsets[i], (long long)end);
        end = at->offsets[i] + brume_shape_numel(n->in_v[i]->shape);
    }
    if (end > at->size)
        return brume_node_fail(n, BRUME_E_SHAPE, "the parts end at %lld, beyond the size %lld", (long long)end,
                               (long long)at->size);
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = BRUME_SHAPE(at->size);
    return BRUME_OK;
}

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const struct brume_pack_attrs *at = n->attrs;
    for (int i = 0; i < n->n_in; i++) {
        const brume_shape s = n->in_v[i]->shape;
        if (need[i]) dx[i] = brume_reshape(g, brume_slice(g, dy[0], 0, at->offsets[i], brume_shape_numel(s)), s);
    }
}

/* The gap behind part i (-1: before the first). */
static int64_t gap_after(const struct brume_node *n, int i, int64_t *begin)
{
    const struct brume_pack_attrs *at = n->attrs;
    *begin = i < 0 ? 0 : at->offsets[i] + brume_shape_numel(n->in_v[i]->shape);
    return (i + 1 < n->n_in ? at->offsets[i + 1] : at->size) - *begin;
}

static void task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct brume_cpu_call *c = ctx;
    const struct brume_node *n = c->node;
    const struct brume_pack_attrs *at = n->attrs;
    const int64_t first = t * TASK, last = first + TASK; /* of the result */
    float *y = c->out[0];
    for (int i = -1; i < n->n_in; i++) {
        int64_t begin, end;
        if (i >= 0 && (const float *)c->in[i] != y + at->offsets[i]) {
            begin = at->offsets[i] > first ? at->offsets[i] : first;
            end = at->offsets[i] + brume_shape_numel(n->in_v[i]->shape);
            if (end > last) end = last;
            if (begin < end)
                memcpy(y + begin, (const float *)c->in[i] + (begin - at->offsets[i]), (size_t)(end - begin) * sizeof *y);
        }
        end = gap_after(n, i, &begin);
        end += begin;
        if (begin < first) begin = first;
        if (end > last) end = last;
        if (begin < end) memset(y + begin, 0, (size_t)(end - begin) * sizeof *y);
    }
}

static void cpu(const struct brume_cpu_call *c)
{
    const struct brume_pack_attrs *at = c->node->attrs;
    brume_pool_run(c->pool, (at->size + TASK - 1) / TASK, task, (void *)c);
}

/* Launches take PER_LAUNCH parts each; a part is followed by its gap, so that the first launch also has the gap in front of
 * all. */
static void cl(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    (void)c;
    const struct brume_pack_attrs *at = n->attrs;
    for (int i = 0; i < n->n_in; i += PER_LAUNCH) {
        struct brume_cl_launch *k = brume_cl_add(l, "pack.cl", "pack", "%s", "");
        const int m = n->n_in - i < PER_LAUNCH ? n->n_in - i : PER_LAUNCH;
        int64_t gap, most = 0;
        for (int j = 0; j < m; j++) {
            const int64_t numel = brume_shape_numel(n->in_v[i + j]->shape), hole = gap_after(n, i + j, &gap);
            if (numel > most) most = numel;
            if (hole > most) most = hole;
        }
        const int64_t front = i == 0 ? gap_after(n, -1, &gap) : 0;
        if (front > most) most = front;
        /* A work-item takes up to 16 elements of every part, far apart: little work where parts lie in place already. */
        brume_cl_size1(k, (size_t)((most + 15) / 16), 64);
        brume_cl_out(k, 0);
        brume_cl_int(k, m);
        brume_cl_long(k, (most + 15) / 16);
        brume_cl_long(k, front);
        for (int j = 0; j < PER_LAUNCH; j++) {
            const int q = j < m ? i + j : i;
            brume_cl_in(k, q);
            brume_cl_long(k, at->offsets[q]);
            brume_cl_long(k, brume_shape_numel(n->in_v[q]->shape));
            brume_cl_long(k, gap_after(n, q, &gap));
        }
    }
}

static const struct brume_variant kernels[] = { { .name = "any", .cpu = cpu, .cl = cl }, { 0 } };

static const struct brume_op brume_op_pack = {
    .name = "pack", .tolerance = BRUME_TOL_EXACT, .n_in_min = 1, .n_in_max = INT_MAX, .n_out = 1, .flags = BRUME_OP_PACK,
    .shape = shape, .grad = grad, .kernels = kernels,
};

brume_tensor brume_pack(brume_graph *g, int n, const brume_tensor *xs, const int64_t *offsets, int64_t size)
{
    if (brume_graph_status(g) != BRUME_OK) return BRUME_NONE;
    if (n < 1) return brume_graph_fail(g, BRUME_E_ARG, "pack: expected at least 1 tensor, got %d", n);
    const size_t bytes = sizeof(struct brume_pack_attrs) + (size_t)n * sizeof *offsets;
    struct brume_pack_attrs *at = malloc(bytes);
    if (!at) return brume_graph_fail(g, BRUME_E_MEMORY, "pack: out of memory");
    at->offsets = NULL;
    at->size = size;
    memcpy(at + 1, offsets, (size_t)n * sizeof *offsets);
    const brume_tensor y = brume_node_add(g, &brume_op_pack, n, xs, at, bytes);
    free(at);
    return y;
}
