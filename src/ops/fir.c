/* SPDX-License-Identifier: MIT
 * FIR resampling by 2 with [1, 3, 3, 1] along both axes and zeros outside (Song et al. 2021, NCSN++).
 *   down: y[o] = sum_i k[i] x[2 o - 1 + i],  i = 0..3;   up, its transpose: y[p] = sum over i and o with 2 o - 1 + i = p of k[i]
 *   x[o].
 * Each is the gradient of the other, so both take a gain: weights are gain k k^T / 64. */
#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "graph/op.h"
#include "ops/chunks.h"
#include "simd/misc.h"
#include "simd/simd.h"

static const float taps[4] = { 1, 3, 3, 1 };

struct attrs { float gain; int64_t h, w; }; /* up: size of the result, 2 H or 2 H + 1 */

struct job { const struct brume_simd_misc *misc; const float *x; float *y; int64_t h, w, c, out_h, out_w; float gain; };

static struct job job_of(const struct brume_cpu_call *c)
{
    const struct attrs *a = c->node->attrs;
    const int64_t *x = c->node->in_v[0]->shape.d, *y = c->node->out_v[0]->shape.d;
    return (struct job){ c->simd->misc, c->in[0], c->out[0], x[1], x[2], x[3], y[1], y[2], a->gain / 64 };
}

static void launch(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l, const char *kernel)
{
    const struct attrs *a = n->attrs;
    const brume_shape x = n->in_v[0]->shape, y = n->out_v[0]->shape;
    const int vw = brume_cl_width(c);
    const int64_t span = brume_cl_span(c, y.d[3]);
    struct brume_cl_launch *k = brume_cl_add(l, "resample.cl", kernel, "-DVW=%d", vw);
    brume_cl_in(k, 0);
    brume_cl_out(k, 0);
    for (int i = 1; i < 4; i++) brume_cl_long(k, x.d[i]);
    for (int i = 1; i < 3; i++) brume_cl_long(k, y.d[i]);
    brume_cl_long(k, y.d[0] * y.d[1] * y.d[2]);
    brume_cl_long(k, span);
    brume_cl_float(k, a->gain / 64);
    brume_cl_size1(k, (size_t)(brume_ceil_div(y.d[3], span) * y.d[0] * y.d[1] * y.d[2]), 64);
}

static brume_tensor down_with(brume_graph *g, brume_tensor x, float gain);
static brume_tensor up_with(brume_graph *g, brume_tensor x, float gain, int64_t h, int64_t w);

/* ---- down ------------------------------------------------------------------------------------------------------------------ */

static brume_status down_shape(struct brume_node *n)
{
    const brume_status s = brume_want(n, 0, "x", BRUME_F32, 4);
    if (s) return s;
    const int64_t *d = n->in_v[0]->shape.d;
    if (d[1] < 2 || d[2] < 2)
        return brume_node_fail(n, BRUME_E_SHAPE, "the image must be at least 2x2, got %lldx%lld", (long long)d[1],
                               (long long)d[2]);
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = BRUME_SHAPE(d[0], d[1] / 2, d[2] / 2, d[3]);
    return BRUME_OK;
}

static void down_task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t n = t / j->out_h, oy = t % j->out_h;
    float *y = j->y + t * j->out_w * j->c;
    for (int64_t ox = 0; ox < j->out_w; ox++, y += j->c) {
        const float *px[16];
        float w[16];
        int count = 0;
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < 4; k++) {
                const int64_t sy = 2 * oy - 1 + i, sx = 2 * ox - 1 + k;
                if (sy < 0 || sy >= j->h || sx < 0 || sx >= j->w) continue;
                px[count] = j->x + ((n * j->h + sy) * j->w + sx) * j->c;
                w[count++] = taps[i] * taps[k] * j->gain;
            }
        j->misc->combine(j->c, count, px, w, y);
    }
}

static void cpu_down(const struct brume_cpu_call *c)
{
    struct job j = job_of(c);
    brume_pool_run(c->pool, c->node->out_v[0]->shape.d[0] * j.out_h, down_task, &j);
}

static void cl_down(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    launch(n, c, l, "fir_down");
}

static void down_grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const struct attrs *a = n->attrs;
    if (need[0]) dx[0] = up_with(g, dy[0], a->gain, n->in_v[0]->shape.d[1], n->in_v[0]->shape.d[2]);
}

static double down_flops(const struct brume_node *n) { return 32.0 * (double)brume_shape_numel(n->out_v[0]->shape); }

static const struct brume_variant down_kernels[] = { { .name = "any", .cpu = cpu_down, .cl = cl_down }, { 0 } };
static const struct brume_op op_down = {
    .name = "fir_downsample2", .tolerance = BRUME_TOL_SUM, .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = BRUME_OP_TERMS,
    .shape = down_shape, .grad = down_grad, .kernels = down_kernels, .flops = down_flops,
};

static brume_tensor down_with(brume_graph *g, brume_tensor x, float gain)
{
    const struct attrs a = { gain, 0, 0 };
    return brume_node_add(g, &op_down, 1, &x, &a, sizeof a);
}

brume_tensor brume_fir_downsample2(brume_graph *g, brume_tensor x) { return down_with(g, x, 1); }

/* ---- up -------------------------------------------------------------------------------------------------------------------- */

static brume_status up_shape(struct brume_node *n)
{
    const struct attrs *a = n->attrs;
    const brume_status s = brume_want(n, 0, "x", BRUME_F32, 4);
    if (s) return s;
    const int64_t *d = n->in_v[0]->shape.d;
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = BRUME_SHAPE(d[0], a->h ? a->h : 2 * d[1], a->w ? a->w : 2 * d[2], d[3]);
    return BRUME_OK;
}

/* The (at most two) inputs that output p reads along an axis of `size` inputs, with their taps; returns their number, at least
 * 1. */
static int up_taps(int64_t p, int64_t size, int64_t at[2], float w[2])
{
    const int64_t o = p / 2, other = p % 2 ? o + 1 : o - 1; /* p = 2 o - 1 + i: i = 1 or 2 for o, 3 or 0 for its neighbour */
    int n = 0;
    if (o < size) {
        at[n] = o;
        w[n++] = 3;
    }
    if (other >= 0 && other < size) {
        at[n] = other;
        w[n++] = 1;
    }
    return n;
}

static void up_task(void *ctx, int64_t t, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t n = t / j->out_h;
    int64_t sy[2], sx[2];
    float wy[2], wx[2];
    const int ny = up_taps(t % j->out_h, j->h, sy, wy);
    float *y = j->y + t * j->out_w * j->c;
    for (int64_t ox = 0; ox < j->out_w; ox++, y += j->c) {
        const int nx = up_taps(ox, j->w, sx, wx);
        const float *px[4];
        float w[4];
        for (int i = 0; i < ny; i++)
            for (int k = 0; k < nx; k++) {
                px[i * nx + k] = j->x + ((n * j->h + sy[i]) * j->w + sx[k]) * j->c;
                w[i * nx + k] = wy[i] * wx[k] * j->gain;
            }
        j->misc->combine(j->c, ny * nx, px, w, y);
    }
}

static void cpu_up(const struct brume_cpu_call *c)
{
    struct job j = job_of(c);
    brume_pool_run(c->pool, c->node->out_v[0]->shape.d[0] * j.out_h, up_task, &j);
}

static void cl_up(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l) { launch(n, c, l, "fir_up"); }

static void up_grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const struct attrs *a = n->attrs;
    if (need[0]) dx[0] = down_with(g, dy[0], a->gain);
}

static double up_flops(const struct brume_node *n) { return 8.0 * (double)brume_shape_numel(n->out_v[0]->shape); }

static const struct brume_variant up_kernels[] = { { .name = "any", .cpu = cpu_up, .cl = cl_up }, { 0 } };
static const struct brume_op op_up = {
    .name = "fir_upsample2", .tolerance = BRUME_TOL_SUM, .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = BRUME_OP_TERMS,
    .shape = up_shape, .grad = up_grad, .kernels = up_kernels, .flops = up_flops,
};

static brume_tensor up_with(brume_graph *g, brume_tensor x, float gain, int64_t h, int64_t w)
{
    const struct attrs a = { gain, h, w };
    return brume_node_add(g, &op_up, 1, &x, &a, sizeof a);
}

brume_tensor brume_fir_upsample2(brume_graph *g, brume_tensor x) { return up_with(g, x, 4, 0, 0); }
