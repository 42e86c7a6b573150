/* SPDX-License-Identifier: MIT
 * AdamW (Loshchilov & Hutter 2019) and Adam (Kingma & Ba 2015) as an update in place. */
#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "graph/op.h"
#include "ops/chunks.h"
#include "ops/update.h"
#include "simd/misc.h"
#include "simd/simd.h"

enum { PARAM, M, V, GRAD, HYPER, SCALE };

struct attrs { int decoupled; };

static brume_status shape(struct brume_node *n)
{
    brume_status s = brume_update_want(n, 4, (const char *const[]){ "param", "m", "v", "grad" });
    if (!s) s = brume_hyper_want(n, HYPER);
    if (!s) s = brume_scale_want(n, SCALE);
    return s;
}

struct job { const struct brume_simd_misc *misc; float *param, *m, *v; const float *grad; int64_t n; struct brume_adamw c; };

static void task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t i = brume_chunk_at(t);
    j->misc->adamw(brume_chunk_len(t, j->n), j->param + i, j->m + i, j->v + i, j->grad + i, &j->c);
}

static void cpu_any(const struct brume_cpu_call *c)
{
    const struct attrs *a = c->node->attrs;
    const float *h = c->in[HYPER], *scale = c->in[SCALE];
    const float decay = h[BRUME_HYPER_DECAY];
    struct job j = { c->simd->misc, (float *)c->in[PARAM], (float *)c->in[M], (float *)c->in[V], c->in[GRAD],
                     brume_shape_numel(c->node->in_v[PARAM]->shape),
                     { .grad_scale = scale ? *scale : 1.0f, .beta1 = h[BRUME_HYPER_BETA1], .beta2 = h[BRUME_HYPER_BETA2],
                       .eps = h[BRUME_HYPER_EPS], .decay = a->decoupled ? h[BRUME_HYPER_LR] * decay : 0.0f,
                       .l2 = a->decoupled ? 0.0f : decay, .step = h[BRUME_HYPER_LR] / h[BRUME_HYPER_BIAS1],
                       .inv_bias2 = 1.0f / h[BRUME_HYPER_BIAS2] } };
    brume_pool_run(c->pool, brume_ceil_div(j.n, BRUME_CHUNK), task, &j);
}

static void cl_any(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    const struct attrs *a = n->attrs;
    struct brume_cl_launch *k = brume_update_launch(n, c, l, "adamw");
    for (int i = PARAM; i <= HYPER; i++) brume_cl_in(k, i);
    brume_cl_in(k, SCALE);
    brume_cl_long(k, brume_shape_numel(n->in_v[PARAM]->shape));
    brume_cl_int(k, a->decoupled);
}

static double flops(const struct brume_node *n) { return 15.0 * (double)brume_shape_numel(n->in_v[PARAM]->shape); }

static const struct brume_variant kernels[] = { { .name = "any", .cpu = cpu_any, .cl = cl_any }, { 0 } };
static const struct brume_op op = {
    .name = "adamw", .tolerance = BRUME_TOL_UPDATE, .n_in_min = 6, .n_in_max = 6, .optional = 1u << SCALE,
    .updates = 1u << PARAM | 1u << M | 1u << V, .shape = shape, .kernels = kernels, .flops = flops,
};

void brume_adamw_update(brume_graph *g, brume_tensor param, brume_tensor m, brume_tensor v, brume_tensor grad, brume_tensor hyper,
                        brume_tensor scale, int decoupled)
{
    const struct attrs a = { decoupled != 0 };
    brume_node_add(g, &op, 6, (brume_tensor[]){ param, m, v, grad, hyper, scale }, &a, sizeof a);
}
