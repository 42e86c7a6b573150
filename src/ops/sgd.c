/* SPDX-License-Identifier: MIT
 * Stochastic gradient descent with momentum, in PyTorch's form, as an update in place. */
#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "graph/op.h"
#include "ops/chunks.h"
#include "ops/update.h"
#include "simd/misc.h"
#include "simd/simd.h"

enum { PARAM, M, GRAD, HYPER, SCALE };

static brume_status shape(struct brume_node *n)
{
    brume_status s = brume_update_want(n, 3, (const char *const[]){ "param", "m", "grad" });
    if (!s) s = brume_hyper_want(n, HYPER);
    if (!s) s = brume_scale_want(n, SCALE);
    return s;
}

struct job { const struct brume_simd_misc *misc; float *param, *m; const float *grad, *hyper; float scale; int64_t n; };

static void task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t i = brume_chunk_at(t);
    j->misc->sgd(brume_chunk_len(t, j->n), j->param + i, j->m + i, j->grad + i, j->scale, j->hyper[BRUME_HYPER_DECAY],
                 j->hyper[BRUME_HYPER_BETA1], j->hyper[BRUME_HYPER_LR]);
}

static void cpu_any(const struct brume_cpu_call *c)
{
    const float *scale = c->in[SCALE];
    struct job j = { c->simd->misc, (float *)c->in[PARAM], (float *)c->in[M], c->in[GRAD], c->in[HYPER], scale ? *scale : 1.0f,
                     brume_shape_numel(c->node->in_v[PARAM]->shape) };
    brume_pool_run(c->pool, brume_ceil_div(j.n, BRUME_CHUNK), task, &j);
}

static void cl_any(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    struct brume_cl_launch *k = brume_update_launch(n, c, l, "sgd");
    for (int i = PARAM; i <= SCALE; i++) brume_cl_in(k, i);
    brume_cl_long(k, brume_shape_numel(n->in_v[PARAM]->shape));
}

static double flops(const struct brume_node *n) { return 7.0 * (double)brume_shape_numel(n->in_v[PARAM]->shape); }

static const struct brume_variant kernels[] = { { .name = "any", .cpu = cpu_any, .cl = cl_any }, { 0 } };
static const struct brume_op op = {
    .name = "sgd", .tolerance = BRUME_TOL_UPDATE, .n_in_min = 5, .n_in_max = 5, .optional = 1u << SCALE,
    .updates = 1u << PARAM | 1u << M, .shape = shape, .kernels = kernels, .flops = flops,
};

void brume_sgd_update(brume_graph *g, brume_tensor param, brume_tensor m, brume_tensor grad, brume_tensor hyper,
                      brume_tensor scale)
{
    brume_node_add(g, &op, 5, (brume_tensor[]){ param, m, grad, hyper, scale }, NULL, 0);
}
