/* SPDX-License-Identifier: MIT
 * Exponential moving average of parameters, as an update in place. */
#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "graph/op.h"
#include "ops/chunks.h"
#include "ops/update.h"
#include "simd/misc.h"
#include "simd/simd.h"

enum { EMA, PARAM, DECAY };

static brume_status shape(struct brume_node *n)
{
    const brume_status s = brume_update_want(n, 2, (const char *const[]){ "ema", "param" });
    return s ? s : brume_scale_want(n, DECAY);
}

struct job { const struct brume_simd_misc *misc; float *ema; const float *param; float decay; int64_t n; };

static void task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t i = brume_chunk_at(t);
    j->misc->ema(brume_chunk_len(t, j->n), j->ema + i, j->param + i, j->decay);
}

static void cpu_any(const struct brume_cpu_call *c)
{
    struct job j = { c->simd->misc, (float *)c->in[EMA], c->in[PARAM], *(const float *)c->in[DECAY],
                     brume_shape_numel(c->node->in_v[EMA]->shape) };
    brume_pool_run(c->pool, brume_ceil_div(j.n, BRUME_CHUNK), task, &j);
}

static void cl_any(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    struct brume_cl_launch *k = brume_update_launch(n, c, l, "ema");
    for (int i = EMA; i <= DECAY; i++) brume_cl_in(k, i);
    brume_cl_long(k, brume_shape_numel(n->in_v[EMA]->shape));
}

static double flops(const struct brume_node *n) { return 3.0 * (double)brume_shape_numel(n->in_v[EMA]->shape); }

static const struct brume_variant kernels[] = { { .name = "any", .cpu = cpu_any, .cl = cl_any }, { 0 } };
static const struct brume_op op = {
    .name = "ema", .tolerance = BRUME_TOL_UPDATE, .n_in_min = 3, .n_in_max = 3, .updates = 1u << EMA, .shape = shape,
    .kernels = kernels, .flops = flops,
};

void brume_ema_update(brume_graph *g, brume_tensor ema, brume_tensor param, brume_tensor decay)
{
    brume_node_add(g, &op, 3, (brume_tensor[]){ ema, param, decay }, NULL, 0);
}
