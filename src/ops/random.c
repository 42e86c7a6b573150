/* SPDX-License-Identifier: MIT
 * Noise: normal and uniform numbers from Philox4x32-10, the same bits on every device. */
#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "graph/op.h"
#include "ops/chunks.h"
#include "ops/random.h"
#include "ops/suits.h"
#include "simd/misc.h"
#include "simd/simd.h"

struct attrs { uint32_t stream; brume_shape shape; };

static brume_status shape(struct brume_node *n)
{
    const struct attrs *a = n->attrs;
    brume_status s = brume_want(n, 0, "seeds", BRUME_I64, 1);
    if (!s) s = brume_want(n, 1, "step", BRUME_I32, -1);
    if (s) return s;
    if (brume_shape_numel(n->in_v[1]->shape) != 1) return brume_node_fail(n, BRUME_E_SHAPE, "step expects one element");
    if (a->shape.ndim < 1 || a->shape.ndim > BRUME_MAX_DIMS || a->shape.d[0] != n->in_v[0]->shape.d[0])
        return brume_node_fail(n, BRUME_E_SHAPE, "the shape must begin with the number of samples, %lld seeds were given",
                               (long long)n->in_v[0]->shape.d[0]);
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = a->shape;
    return BRUME_OK;
}

struct job {
    void (*row)(int64_t n, const struct brume_noise_at *at, float *y);
    const int64_t *seeds;
    float *y;
    int64_t len, per_sample; /* elements and tasks of one sample */
    uint32_t stream, step;
};

static void task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t sample = t / j->per_sample, part = t % j->per_sample, at = brume_chunk_at(part);
    const struct brume_noise_at where = { (uint64_t)j->seeds[sample], (uint64_t)at / 4, j->stream, j->step };
    j->row(brume_chunk_len(part, j->len), &where, j->y + sample * j->len + at);
}

static void run(const struct brume_cpu_call *c, void (*row)(int64_t n, const struct brume_noise_at *at, float *y))
{
    const struct attrs *a = c->node->attrs;
    const int64_t samples = a->shape.d[0], len = brume_shape_numel(a->shape) / samples;
    struct job j = { row, c->in[0], c->out[0], len, brume_ceil_div(len, BRUME_CHUNK), a->stream,
                     (uint32_t)*(const int32_t *)c->in[1] };
    brume_pool_run(c->pool, samples * j.per_sample, task, &j);
}

static void cpu_normal(const struct brume_cpu_call *c) { run(c, c->simd->noise->normal); }
static void cpu_uniform(const struct brume_cpu_call *c) { run(c, c->simd->noise->uniform); }

static void launch(const struct brume_node *n, struct brume_cl_list *l, const char *kernel, int lanes)
{
    const struct attrs *a = n->attrs;
    const int64_t samples = a->shape.d[0], len = brume_shape_numel(a->shape) / samples;
    struct brume_cl_launch *k = brume_cl_add(l, "random.cl", kernel, "%s", brume_cl_lanes_text(lanes));
    brume_cl_in(k, 0);
    brume_cl_in(k, 1);
    brume_cl_out(k, 0);
    brume_cl_int(k, (int32_t)a->stream);
    brume_cl_long(k, len);
    brume_cl_size2(k, (size_t)brume_ceil_div(len, 4 * lanes), (size_t)samples, 64, 1);
}

static void cl_normal(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    (void)c;
    launch(n, l, "noise_normal", 1);
}
static void cl_uniform(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    (void)c;
    launch(n, l, "noise_uniform", 1);
}
static void lanes_normal(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    launch(n, l, "noise_normal", brume_cl_lanes(c));
}
static void lanes_uniform(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    launch(n, l, "noise_uniform", brume_cl_lanes(c));
}

static const struct brume_variant normal_kernels[] = {
    { .name = "lanes", .suits = brume_suits_cpu, .cl = lanes_normal },
    { .name = "any", .cpu = cpu_normal, .cl = cl_normal },
    { 0 },
};
static const struct brume_variant uniform_kernels[] = {
    { .name = "lanes", .suits = brume_suits_cpu, .cl = lanes_uniform },
    { .name = "any", .cpu = cpu_uniform, .cl = cl_uniform },
    { 0 },
};

static const struct brume_op op_normal = {
    .name = "normal", .tolerance = BRUME_TOL_EXACT, .n_in_min = 2, .n_in_max = 2, .n_out = 1, .shape = shape,
    .kernels = normal_kernels,
};
static const struct brume_op op_uniform = {
    .name = "uniform", .tolerance = BRUME_TOL_EXACT, .n_in_min = 2, .n_in_max = 2, .n_out = 1, .shape = shape,
    .kernels = uniform_kernels,
};

brume_tensor brume_normal(brume_graph *g, brume_tensor seeds, brume_tensor step, uint32_t stream, brume_shape s)
{
    const struct attrs a = { stream, s };
    return brume_node_add(g, &op_normal, 2, (brume_tensor[]){ seeds, step }, &a, sizeof a);
}

brume_tensor brume_uniform(brume_graph *g, brume_tensor seeds, brume_tensor step, uint32_t stream, brume_shape s)
{
    const struct attrs a = { stream, s };
    return brume_node_add(g, &op_uniform, 2, (brume_tensor[]){ seeds, step }, &a, sizeof a);
}
