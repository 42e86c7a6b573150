/* SPDX-License-Identifier: MIT
 * Nearest-neighbour resizing of images. Output d reads input floor(d in / out), in integers, so that every device agrees. */
#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "graph/op.h"
#include "ops/chunks.h"
#include "simd/misc.h"
#include "simd/simd.h"

#include <string.h>

struct attrs { int64_t h, w; }; /* of the result */

#define MAX_SIDE 65535 /* products of two sides fit 32 bits in the kernel */

static brume_status shape(struct brume_node *n)
{
    const struct attrs *a = n->attrs;
    const brume_status s = brume_want(n, 0, "x", BRUME_F32, 4);
    if (s) return s;
    if (a->h < 1 || a->w < 1)
        return brume_node_fail(n, BRUME_E_SHAPE, "the result must be at least 1x1, got %lldx%lld", (long long)a->h,
                               (long long)a->w);
    const int64_t *d = n->in_v[0]->shape.d;
    if (a->h > MAX_SIDE || a->w > MAX_SIDE || d[1] > MAX_SIDE || d[2] > MAX_SIDE)
        return brume_node_fail(n, BRUME_E_SHAPE, "an image side may have up to %d pixels", MAX_SIDE);
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = BRUME_SHAPE(d[0], a->h, a->w, d[3]);
    return BRUME_OK;
}

/* small: the image on the input side; big: on the output side of the forward pass (it may be smaller, too). */
struct job { const struct brume_simd_misc *misc; const float *from; float *to; int64_t h, w, c, big_h, big_w; };

static void forward_task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t n = t / j->big_h, oy = t % j->big_h;
    const float *x = j->from + (n * j->h + oy * j->h / j->big_h) * j->w * j->c;
    float *y = j->to + t * j->big_w * j->c;
    for (int64_t ox = 0; ox < j->big_w; ox++, y += j->c) memcpy(y, x + ox * j->w / j->big_w * j->c, (size_t)j->c * sizeof *y);
}

static struct job job_of(const struct brume_cpu_call *c, brume_shape in, brume_shape out)
{
    return (struct job){ c->simd->misc, c->in[0], c->out[0], in.d[1], in.d[2], in.d[3], out.d[1], out.d[2] };
}

static void cpu_forward(const struct brume_cpu_call *c)
{
    const brume_shape x = c->node->in_v[0]->shape, y = c->node->out_v[0]->shape;
    struct job j = job_of(c, x, y);
    brume_pool_run(c->pool, y.d[0] * y.d[1], forward_task, &j);
}

static void launch(const struct brume_caps *c, struct brume_cl_list *l, const char *kernel, brume_shape x, brume_shape y,
                   brume_shape result)
{
    const int vw = brume_cl_width(c);
    const int64_t span = brume_cl_span(c, y.d[3]);
    struct brume_cl_launch *k = brume_cl_add(l, "resample.cl", kernel, "-DVW=%d", vw);
    brume_cl_in(k, 0);
    brume_cl_out(k, 0);
    for (int i = 1; i < 4; i++) brume_cl_long(k, x.d[i]);
    for (int i = 1; i < 3; i++) brume_cl_long(k, y.d[i]);
    brume_cl_long(k, result.d[0] * result.d[1] * result.d[2]);
    brume_cl_long(k, span);
    brume_cl_size1(k, (size_t)(brume_ceil_div(result.d[3], span) * result.d[0] * result.d[1] * result.d[2]), 64);
}

static void cl_forward(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    const brume_shape x = n->in_v[0]->shape, y = n->out_v[0]->shape;
    launch(c, l, "upsample_nearest", x, y, y);
}

/* ---- gradient: every input pixel sums the outputs that read it ------------------------------------------------------------- */

static brume_status grad_shape(struct brume_node *n)
{
    const struct attrs *a = n->attrs;
    const brume_status s = brume_want(n, 0, "dy", BRUME_F32, 4);
    if (s) return s;
    const int64_t *d = n->in_v[0]->shape.d;
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = BRUME_SHAPE(d[0], a->h, a->w, d[3]);
    return BRUME_OK;
}

/* The outputs d with floor(d in / out) == i are ceil(i out / in) <= d < ceil((i + 1) out / in). */
static int64_t first_reader(int64_t i, int64_t in, int64_t out) { return brume_ceil_div(i * out, in); }

static void backward_task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t n = t / j->h, y = t % j->h, y0 = first_reader(y, j->h, j->big_h), y1 = first_reader(y + 1, j->h, j->big_h);
    const float *dy = j->from + (n * j->big_h + y0) * j->big_w * j->c;
    float *dx = j->to + t * j->w * j->c;
    for (int64_t x = 0; x < j->w; x++, dx += j->c) {
        const int64_t x0 = first_reader(x, j->w, j->big_w), x1 = first_reader(x + 1, j->w, j->big_w);
        j->misc->sum_window(j->c, y1 - y0, x1 - x0, j->big_w * j->c, 1.0f, dy + x0 * j->c, dx);
    }
}

static void cpu_backward(const struct brume_cpu_call *c)
{
    const brume_shape dy = c->node->in_v[0]->shape, dx = c->node->out_v[0]->shape;
    struct job j = job_of(c, dx, dy);
    brume_pool_run(c->pool, dx.d[0] * dx.d[1], backward_task, &j);
}

static void cl_backward(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    const brume_shape dy = n->in_v[0]->shape, dx = n->out_v[0]->shape;
    launch(c, l, "upsample_nearest_grad", dx, dy, dx);
}

static double grad_flops(const struct brume_node *n) { return (double)brume_shape_numel(n->in_v[0]->shape); }

static const struct brume_variant grad_kernels[] = { { .name = "any", .cpu = cpu_backward, .cl = cl_backward }, { 0 } };
static const struct brume_op op_grad = {
    .name = "upsample_nearest_grad", .tolerance = BRUME_TOL_SUM, .n_in_min = 1, .n_in_max = 1, .n_out = 1,
    .flags = BRUME_OP_TERMS, .shape = grad_shape, .kernels = grad_kernels, .flops = grad_flops,
};

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const struct attrs a = { n->in_v[0]->shape.d[1], n->in_v[0]->shape.d[2] };
    if (need[0]) dx[0] = brume_node_add(g, &op_grad, 1, dy, &a, sizeof a);
}

static const struct brume_variant kernels[] = { { .name = "any", .cpu = cpu_forward, .cl = cl_forward }, { 0 } };
static const struct brume_op op = {
    .name = "upsample_nearest", .tolerance = BRUME_TOL_EXACT, .n_in_min = 1, .n_in_max = 1, .n_out = 1, .shape = shape,
    .grad = grad, .kernels = kernels,
};

brume_tensor brume_upsample_nearest(brume_graph *g, brume_tensor x, int64_t out_h, int64_t out_w)
{
    const struct attrs a = { out_h, out_w };
    return brume_node_add(g, &op, 1, &x, &a, sizeof a);
}
