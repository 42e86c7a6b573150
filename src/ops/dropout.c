/* SPDX-License-Identifier: MIT
 * Dropout (Srivastava et al. 2014). The mask is drawn from counters, so the gradient draws it again instead of keeping it. */
#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "graph/op.h"
#include "ops/chunks.h"
#include "ops/random.h"
#include "ops/suits.h"
#include "simd/misc.h"
#include "simd/simd.h"

#include <math.h>

struct attrs { uint32_t stream; float p; };

static brume_status shape(struct brume_node *n)
{
    const struct attrs *a = n->attrs;
    brume_status s = brume_want(n, 0, "x", BRUME_F32, -1);
    if (!s) s = brume_want(n, 1, "seeds", BRUME_I64, 1);
    if (!s) s = brume_want(n, 2, "step", BRUME_I32, -1);
    if (s) return s;
    if (!(a->p >= 0 && a->p < 1))
        return brume_node_fail(n, BRUME_E_ARG, "p must be at least 0 and below 1, got %g", (double)a->p);
    const brume_shape x = n->in_v[0]->shape;
    if (x.ndim < 1 || x.d[0] != n->in_v[1]->shape.d[0])
        return brume_node_fail(n, BRUME_E_SHAPE, "x must begin with the number of samples, %lld seeds were given",
                               (long long)n->in_v[1]->shape.d[0]);
    if (brume_shape_numel(n->in_v[2]->shape) != 1) return brume_node_fail(n, BRUME_E_SHAPE, "step expects one element");
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = x;
    return BRUME_OK;
}

/* A word below this drops its element: probability p to 2^-32. */
static uint32_t threshold(float p) { return (uint32_t)ceil((double)p * 4294967296.0); }

struct job {
    const struct brume_simd_noise *noise;
    const float *x;
    const int64_t *seeds;
    float *y, scale;
    int64_t len, per_sample;
    uint32_t stream, step, threshold;
};

static void task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t sample = t / j->per_sample, part = t % j->per_sample, at = brume_chunk_at(part);
    const struct brume_noise_at where = { (uint64_t)j->seeds[sample], (uint64_t)at / 4, j->stream, j->step };
    const int64_t first = sample * j->len + at;
    j->noise->dropout(brume_chunk_len(part, j->len), &where, j->threshold, j->scale, j->x + first, j->y + first);
}

static float keep_scale(float p) { return (float)(1.0 / (1.0 - (double)p)); }

static void cpu_any(const struct brume_cpu_call *c)
{
    const struct attrs *a = c->node->attrs;
    const brume_shape s = c->node->in_v[0]->shape;
    const int64_t len = brume_shape_numel(s) / s.d[0];
    struct job j = { c->simd->noise, c->in[0], c->in[1], c->out[0], keep_scale(a->p), len, brume_ceil_div(len, BRUME_CHUNK),
                     a->stream, (uint32_t)*(const int32_t *)c->in[2], threshold(a->p) };
    brume_pool_run(c->pool, s.d[0] * j.per_sample, task, &j);
}

static void launch(const struct brume_node *n, struct brume_cl_list *l, int lanes)
{
    const struct attrs *a = n->attrs;
    const brume_shape s = n->in_v[0]->shape;
    const int64_t len = brume_shape_numel(s) / s.d[0];
    struct brume_cl_launch *k = brume_cl_add(l, "random.cl", "dropout", "%s", brume_cl_lanes_text(lanes));
    for (int i = 0; i < 3; i++) brume_cl_in(k, i);
    brume_cl_out(k, 0);
    brume_cl_int(k, (int32_t)a->stream);
    brume_cl_long(k, len);
    brume_cl_int(k, (int32_t)threshold(a->p));
    brume_cl_float(k, keep_scale(a->p));
    brume_cl_size2(k, (size_t)brume_ceil_div(len, 4 * lanes), (size_t)s.d[0], 64, 1);
}

static void cl_any(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l) { (void)c; launch(n, l, 1); }
static void cl_lanes(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    launch(n, l, brume_cl_lanes(c));
}

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const struct attrs *a = n->attrs;
    if (need[0]) dx[0] = brume_dropout(g, dy[0], a->p, n->in[1], n->in[2], a->stream);
}

static const struct brume_variant kernels[] = {
    { .name = "lanes", .suits = brume_suits_cpu, .cl = cl_lanes },
    { .name = "any", .cpu = cpu_any, .cl = cl_any },
    { 0 },
};

static const struct brume_op op = {
    .name = "dropout", .tolerance = BRUME_TOL_EXACT, .n_in_min = 3, .n_in_max = 3, .n_out = 1, .flags = BRUME_OP_INPLACE0,
    .shape = shape, .grad = grad, .kernels = kernels,
};

brume_tensor brume_dropout(brume_graph *g, brume_tensor x, float p, brume_tensor seeds, brume_tensor step, uint32_t stream)
{
    const struct attrs a = { stream, p };
    return brume_node_add(g, &op, 3, (brume_tensor[]){ x, seeds, step }, &a, sizeof a);
}
