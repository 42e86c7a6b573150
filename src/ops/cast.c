/* SPDX-License-Identifier: MIT
 * f32 to f16 and back. */
#include "ops/cast.h"

#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "graph/op.h"
#include "ops/chunks.h"
#include "simd/half.h"
#include "simd/simd.h"

struct attrs { brume_dtype to; };

static brume_status shape(struct brume_node *n)
{
    const struct attrs *a = n->attrs;
    if (a->to != BRUME_F16 && a->to != BRUME_F32) return brume_node_fail(n, BRUME_E_ARG, "casts go to f16 or f32");
    const brume_status s = brume_want(n, 0, "x", a->to == BRUME_F16 ? BRUME_F32 : BRUME_F16, -1);
    n->out_v[0]->dtype = a->to;
    n->out_v[0]->shape = n->in_v[0]->shape;
    return s;
}

struct job { const struct brume_simd_half *half; const void *x; void *y; int64_t n; brume_dtype to; };

static void task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t i = brume_chunk_at(t), n = brume_chunk_len(t, j->n);
    if (j->to == BRUME_F16) j->half->narrow(n, (const float *)j->x + i, (uint16_t *)j->y + i);
    else j->half->widen(n, (const uint16_t *)j->x + i, (float *)j->y + i);
}

static void cpu_any(const struct brume_cpu_call *c)
{
    struct job j = { c->simd->half, c->in[0], c->out[0], brume_shape_numel(c->node->out_v[0]->shape), c->node->out_v[0]->dtype };
    brume_pool_run(c->pool, brume_ceil_div(j.n, BRUME_CHUNK), task, &j);
}

static void cl_any(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    const int vw = brume_cl_width(c);
    const int64_t numel = brume_shape_numel(n->out_v[0]->shape);
    struct brume_cl_launch *k = brume_cl_add(l, "cast.cl", n->out_v[0]->dtype == BRUME_F16 ? "narrow" : "widen", "-DVW=%d", vw);
    brume_cl_size1(k, (size_t)brume_ceil_div(numel, vw), 64);
    brume_cl_in(k, 0);
    brume_cl_out(k, 0);
    brume_cl_long(k, numel);
}

static const struct brume_variant kernels[] = { { .name = "any", .cpu = cpu_any, .cl = cl_any }, { 0 } };
static const struct brume_op op = { .name = "cast", .tolerance = BRUME_TOL_EXACT, .n_in_min = 1, .n_in_max = 1, .n_out = 1,
                                    .shape = shape, .kernels = kernels };

brume_tensor brume_cast(brume_graph *g, brume_tensor x, brume_dtype to)
{
    return brume_node_add(g, &op, 1, &x, &(struct attrs){ to }, sizeof(struct attrs));
}

bool brume_was_half(const struct brume_node *n, int input)
{
    const struct brume_node *from = n->in_v[input] ? n->in_v[input]->producer : NULL;
    return from && from->op == &op && from->in_v[0]->dtype == BRUME_F16;
}
