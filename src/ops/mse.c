/* SPDX-License-Identifier: MIT
 * Mean squared error. Its gradient is elementwise, so that it fuses with what comes before and after. */
#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "graph/op.h"
#include "ops/chunks.h"
#include "ops/loss.h"
#include "simd/misc.h"
#include "simd/simd.h"
#include "ops/suits.h"

static brume_status shape(struct brume_node *n)
{
    brume_status s = brume_want(n, 0, "x", BRUME_F32, -1);
    if (!s) s = brume_want(n, 1, "target", BRUME_F32, -1);
    if (s) return s;
    if (!brume_shape_equal(n->in_v[0]->shape, n->in_v[1]->shape))
        return brume_node_fail(n, BRUME_E_SHAPE, "x and target must have one shape");
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = BRUME_SCALAR;
    return BRUME_OK;
}

static int64_t count(const struct brume_node *n) { return brume_shape_numel(n->in_v[0]->shape); }

struct job { const struct brume_simd_misc *misc; const float *x, *target; double *part; int64_t n; };

static void task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t at = brume_chunk_at(t);
    j->part[t] = j->misc->sum_sq_diff(brume_chunk_len(t, j->n), j->x + at, j->target + at);
}

static void cpu_any(const struct brume_cpu_call *c)
{
    struct job j = { c->simd->misc, c->in[0], c->in[1], c->work, count(c->node) };
    const int64_t tasks = brume_ceil_div(j.n, BRUME_CHUNK);
    brume_pool_run(c->pool, tasks, task, &j);
    double sum = 0;
    for (int64_t t = 0; t < tasks; t++) sum += j.part[t];
    *(float *)c->out[0] = (float)(sum / (double)j.n);
}

#define CL_PART 256 /* elements of one OpenCL work-item */

static int64_t cl_parts(const struct brume_node *n) { return brume_ceil_div(count(n), CL_PART); }

static size_t work_bytes(const struct brume_node *n, const struct brume_caps *c)
{
    return c->opencl ? brume_cl_sum_bytes(cl_parts(n)) : (size_t)brume_ceil_div(count(n), BRUME_CHUNK) * sizeof(double);
}

static void launch(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l, bool stretch)
{
    const int64_t parts = cl_parts(n);
    const int vw = brume_cl_width(c);
    struct brume_cl_launch *k = brume_cl_add(l, "loss.cl", "sum_sq_diff", "-DVW=%d", vw);
    brume_cl_in(k, 0);
    brume_cl_in(k, 1);
    brume_cl_work(k, 0);
    brume_cl_long(k, count(n));
    brume_cl_long(k, parts);
    brume_cl_long(k, stretch ? CL_PART : vw);
    brume_cl_long(k, stretch ? vw : parts * vw);
    brume_cl_long(k, stretch ? CL_PART : count(n));
    brume_cl_size1(k, (size_t)parts, 64);
    brume_cl_mean(l, parts, (float)count(n), vw);
}

/* "stretch": on a CPU an item reads a stretch of its own; "any": on a GPU neighbours read neighbours. */
static void cl_stretch(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l) { launch(n, c, l, true); }
static void cl_any(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l) { launch(n, c, l, false); }

/* d/dx = 2 (x - target) / n, d/dtarget = -d/dx */
static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const float f = (float)(2.0 / (double)count(n));
    for (int i = 0; i < 2; i++)
        if (need[i]) dx[i] = brume_mul(g, brume_affine(g, brume_sub(g, n->in[i], n->in[1 - i]), f, 0), dy[0]);
}

static double flops(const struct brume_node *n) { return 3.0 * (double)count(n); }

static const struct brume_variant kernels[] = {
    { .name = "stretch", .suits = brume_suits_cpu, .work_bytes = work_bytes, .cl = cl_stretch },
    { .name = "any", .work_bytes = work_bytes, .cpu = cpu_any, .cl = cl_any },
    { 0 },
};
static const struct brume_op op = {
    .name = "mse", .tolerance = BRUME_TOL_SUM, .n_in_min = 2, .n_in_max = 2, .n_out = 1, .shape = shape, .grad = grad,
    .kernels = kernels, .flops = flops,
};

brume_tensor brume_mse(brume_graph *g, brume_tensor x, brume_tensor target)
{
    return brume_node_add(g, &op, 2, (brume_tensor[]){ x, target }, NULL, 0);
}
