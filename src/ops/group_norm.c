/* SPDX-License-Identifier: MIT
 * Group normalisation with an optional SiLU, and its gradient. Shapes: x (N, rows, C), rows = H W; statistics per (n, group).
 *
 * The mean is kept as a pair of floats (high and low part): with a large mean and a small deviation one float would be off by
 * as much as the deviation's own digits. y = act((x - hi) a + s), a = rstd w, s = b - lo a. */
#include "ops/group_norm_cl.h"
#include "ops/suits.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/pool.h"
#include "brume/ops.h"
#include "simd/norm.h"
#include "simd/simd.h"

/* ---- cpu ------------------------------------------------------------------------------------------------------------------- */

#define COLS 1024 /* columns handled at a time; their arrays lie on the stack */

struct moments { double mean, m2; };

struct job {
    const struct brume_simd_norm *simd;
    struct brume_pool *pool;
    struct brume_group_norm_dims d;
    int64_t fold;        /* rows joined to one, so that it is not short and a multiple of the vector width */
    float norm_eps;
    bool silu;
    const float *x, *w, *b, *dy;
    const float *mean;   /* (N, G, 2) */
    const float *rstd;   /* (N, G) */
    float *y, *mean_out, *rstd_out, *dx, *dw, *db;
    struct moments *parts; /* forward: (N, chunks, G) */
    float *sums;         /* backward: (N, chunks, 2, C): sum dz, sum dz t; afterwards chunk 0 holds sum dz, sum dz xhat of the
                            sample */
    float *group_means;  /* backward: (N, G, 2): means of dxhat and dxhat xhat */
    void (*first)(const struct job *, int64_t n, int64_t chunk);
    void (*middle)(const struct job *, int64_t n);
    void (*last)(const struct job *, int64_t n, int64_t chunk);
};

static int64_t fold_of(int64_t c, int width)
{
    int64_t u = 1;
    while (u * c % width || u * c < 128) u *= 2;
    return u * c <= COLS ? u : 1;
}

/* A block of columns c0 .. c0 + cw - 1 of one chunk. */
struct block { int64_t c0, cw, rows, lines, rest; const struct job *j; int64_t at, ld; };

static struct block block_of(const struct job *j, int64_t n, int64_t chunk, int64_t c0)
{
    struct block k = { .c0 = c0, .j = j };
    const int64_t r0 = chunk * j->d.chunk;
    k.cw = j->d.c - c0 < COLS ? j->d.c - c0 : COLS;
    k.rows = j->d.rows - r0 < j->d.chunk ? j->d.rows - r0 : j->d.chunk;
    k.lines = k.rows / j->fold;
    k.rest = k.rows % j->fold * k.cw;
    k.at = (n * j->d.rows + r0) * j->d.c + c0;
    k.ld = j->d.c * j->fold;
    return k;
}

/* Sums of joined rows: adds the copies of every column up in the first. */
static void unfold(const struct block *k, float *sum)
{
    for (int64_t i = 1; i < k->j->fold; i++)
        for (int64_t c = 0; c < k->cw; c++) sum[c] += sum[i * k->cw + c];
}

static void refold(const struct block *k, float *v)
{
    for (int64_t i = 1; i < k->j->fold; i++) memcpy(v + i * k->cw, v, (size_t)k->cw * sizeof *v);
}

/* Chan, Golub & LeVeque 1983, eq. 2.1: joins the moments of two sets. */
static void join(struct moments *a, double na, struct moments b, double nb)
{
    const double delta = b.mean - a->mean, f = nb / (na + nb);
    a->mean += delta * f;
    a->m2 += b.m2 + delta * delta * na * f;
}

/*
 * Moments of every group in a chunk, in one pass over memory: deviations are taken from the mean of the first rows, which is
 * read again from the cache. A shift that is itself the mean of some of the values cannot lie far off in terms of the deviation.
 */
static void stats_chunk(const struct job *j, int64_t n, int64_t chunk)
{
    const int64_t len = j->d.c / j->d.groups;
    struct moments *parts = j->parts + (n * j->d.chunks + chunk) * j->d.groups;
    float shift[COLS], d1[COLS], d2[COLS];
    for (int64_t c0 = 0; c0 < j->d.c; c0 += COLS) {
        const struct block k = block_of(j, n, chunk, c0);
        const float *x = j->x + k.at;
        const int64_t width = k.cw * j->fold, lead = k.lines ? (k.lines < 8 ? k.lines : 8) : 0;
        const double lead_rows = lead ? (double)(lead * j->fold) : (double)k.rows;
        memset(d1, 0, (size_t)width * sizeof *d1);
        if (lead) j->simd->col_sum(lead, width, k.ld, x, d1);
        else j->simd->col_sum(1, k.rest, k.ld, x, d1);
        unfold(&k, d1);
        for (int64_t c = 0; c < k.cw;) {
            const int64_t g = (c0 + c) / len, end = (g + 1) * len - c0 < k.cw ? (g + 1) * len - c0 : k.cw;
            double s = 0;
            for (int64_t i = c; i < end; i++) s += d1[i];
            const float mean = (float)(s / (lead_rows * (double)(end - c)));
            for (; c < end; c++) shift[c] = mean;
        }
        refold(&k, shift);
        memset(d1, 0, (size_t)width * sizeof *d1);
        memset(d2, 0, (size_t)width * sizeof *d2);
        j->simd->col_dev(k.lines, width, k.ld, x, shift, d1, d2);
        if (k.rest) j->simd->col_dev(1, k.rest, k.ld, x + k.lines * k.ld, shift, d1, d2);
        unfold(&k, d1);
        unfold(&k, d2);
        for (int64_t c = 0; c < k.cw;) {
            const int64_t g = (c0 + c) / len, begin = c, end = (g + 1) * len - c0 < k.cw ? (g + 1) * len - c0 : k.cw;
            double s1 = 0, s2 = 0;
            for (; c < end; c++) {
                s1 += d1[c];
                s2 += d2[c];
            }
            const double count = (double)(k.rows * (end - begin));
            const struct moments m = { shift[begin] + s1 / count, s2 - s1 * s1 / count };
            const double before = (double)(k.rows * (c0 + begin - g * len));
            if (before == 0) parts[g] = m;
            else join(&parts[g], before, m, count);
        }
    }
}

static void stats_sample(const struct job *j, int64_t n)
{
    const int64_t groups = j->d.groups, len = j->d.c / groups;
    struct moments *all = j->parts + n * j->d.chunks * groups;
    for (int64_t g = 0; g < groups; g++) {
        struct moments m = all[g];
        for (int64_t i = 1; i < j->d.chunks; i++) {
            const int64_t before = i * j->d.chunk, rows = j->d.rows - before < j->d.chunk ? j->d.rows - before : j->d.chunk;
            join(&m, (double)(before * len), all[i * groups + g], (double)(rows * len));
        }
        double var = m.m2 / (double)(j->d.rows * len);
        if (var < 0) var = 0;
        const float hi = (float)m.mean;
        j->mean_out[(n * groups + g) * 2] = hi;
        j->mean_out[(n * groups + g) * 2 + 1] = (float)(m.mean - (double)hi);
        j->rstd_out[n * groups + g] = (float)(1.0 / sqrt(var + (double)j->norm_eps));
    }
}

/* Coefficients of y = act((x - shift) a + s) for the columns of a block; p and q (may be NULL) those of the gradient
 * dx = dz a + (x - shift) p + q = rstd (dz w - mean(dxhat) - xhat mean(dxhat xhat)). */
static void coefficients(const struct block *k, int64_t n, float *shift, float *a, float *s, float *p, float *q)
{
    const struct job *j = k->j;
    const int64_t len = j->d.c / j->d.groups;
    /* one value is its own mean: dx is 0, not the rounding error of a difference times rstd */
    const bool single = j->d.rows * len == 1;
    for (int64_t c = 0; c < k->cw;) {
        const int64_t g = (k->c0 + c) / len, end = (g + 1) * len - k->c0 < k->cw ? (g + 1) * len - k->c0 : k->cw;
        const int64_t at = n * j->d.groups + g;
        const float hi = j->mean[at * 2], lo = j->mean[at * 2 + 1], rstd = j->rstd[at];
        float pg = 0, qg = 0;
        if (p) {
            const float m1 = j->group_means[at * 2], m2 = j->group_means[at * 2 + 1];
            pg = single ? 0 : -rstd * rstd * m2;
            qg = single ? 0 : -lo * pg - rstd * m1;
        }
        for (; c < end; c++) {
            shift[c] = hi;
            a[c] = p && single ? 0 : j->w ? rstd * j->w[k->c0 + c] : rstd;
            s[c] = (j->b ? j->b[k->c0 + c] : 0) - lo * a[c];
            if (p) {
                p[c] = pg;
                q[c] = qg;
            }
        }
    }
    if (j->fold == 1) return;
    refold(k, shift);
    refold(k, a);
    refold(k, s);
    if (p) {
        refold(k, p);
        refold(k, q);
    }
}

static void apply_chunk(const struct job *j, int64_t n, int64_t chunk)
{
    float shift[COLS], a[COLS], s[COLS];
    for (int64_t c0 = 0; c0 < j->d.c; c0 += COLS) {
        const struct block k = block_of(j, n, chunk, c0);
        const float *x = j->x + k.at;
        float *y = j->y + k.at;
        coefficients(&k, n, shift, a, s, NULL, NULL);
        j->simd->col_apply(k.lines, k.cw * j->fold, k.ld, x, shift, a, s, j->silu, y);
        if (k.rest) j->simd->col_apply(1, k.rest, k.ld, x + k.lines * k.ld, shift, a, s, j->silu, y + k.lines * k.ld);
    }
}

static void sums_chunk(const struct job *j, int64_t n, int64_t chunk)
{
    float shift[COLS], a[COLS], s[COLS], s1[COLS], s2[COLS];
    float *out = j->sums + (n * j->d.chunks + chunk) * 2 * j->d.c;
    for (int64_t c0 = 0; c0 < j->d.c; c0 += COLS) {
        const struct block k = block_of(j, n, chunk, c0);
        const float *x = j->x + k.at, *dy = j->dy + k.at;
        float *dz = j->dx + k.at; /* with silu, dz waits in dx: cheaper than to compute it twice */
        const int64_t width = k.cw * j->fold, rest = k.lines * k.ld;
        coefficients(&k, n, shift, a, s, NULL, NULL);
        memset(s1, 0, (size_t)width * sizeof *s1);
        memset(s2, 0, (size_t)width * sizeof *s2);
        j->simd->col_grad_sums(k.lines, width, k.ld, x, dy, shift, a, s, j->silu, dz, s1, s2);
        if (k.rest) j->simd->col_grad_sums(1, k.rest, k.ld, x + rest, dy + rest, shift, a, s, j->silu, dz + rest, s1, s2);
        unfold(&k, s1);
        unfold(&k, s2);
        memcpy(out + c0, s1, (size_t)k.cw * sizeof *s1);
        memcpy(out + j->d.c + c0, s2, (size_t)k.cw * sizeof *s2);
    }
}

static void sums_sample(const struct job *j, int64_t n)
{
    const int64_t c = j->d.c, len = c / j->d.groups;
    float *sums = j->sums + n * j->d.chunks * 2 * c;
    const double count = (double)(j->d.rows * len);
    for (int64_t g = 0; g < j->d.groups; g++) {
        const int64_t at = n * j->d.groups + g;
        const double lo = j->mean[at * 2 + 1], rstd = j->rstd[at];
        double m1 = 0, m2 = 0;
        for (int64_t i = g * len; i < (g + 1) * len; i++) {
            double s1 = 0, s2 = 0;
            for (int64_t k = 0; k < j->d.chunks; k++) {
                s1 += sums[k * 2 * c + i];
                s2 += sums[(k * 2 + 1) * c + i];
            }
            s2 = rstd * (s2 - lo * s1);
            sums[i] = (float)s1;
            sums[c + i] = (float)s2;
            const double w = j->w ? j->w[i] : 1;
            m1 += w * s1;
            m2 += w * s2;
        }
        j->group_means[at * 2] = (float)(m1 / count);
        j->group_means[at * 2 + 1] = (float)(m2 / count);
    }
}

static void dx_chunk(const struct job *j, int64_t n, int64_t chunk)
{
    float shift[COLS], a[COLS], s[COLS], p[COLS], q[COLS];
    for (int64_t c0 = 0; c0 < j->d.c; c0 += COLS) {
        const struct block k = block_of(j, n, chunk, c0);
        const int64_t rest = k.lines * k.ld;
        const float *x = j->x + k.at;
        float *dx = j->dx + k.at;
        const float *dz = j->silu ? dx : j->dy + k.at;
        coefficients(&k, n, shift, a, s, p, q);
        j->simd->col_grad(k.lines, k.cw * j->fold, k.ld, x, dz, shift, a, p, q, dx);
        if (k.rest) j->simd->col_grad(1, k.rest, k.ld, x + rest, dz + rest, shift, a, p, q, dx + rest);
    }
}

static void whole_sample(void *ctx, int64_t n, int thread)
{
    const struct job *j = ctx;
    (void)thread;
    for (int64_t k = 0; k < j->d.chunks; k++) j->first(j, n, k);
    j->middle(j, n);
    for (int64_t k = 0; k < j->d.chunks; k++) j->last(j, n, k);
}

static void first_task(void *ctx, int64_t task, int thread)
{
    const struct job *j = ctx;
    (void)thread;
    j->first(j, task / j->d.chunks, task % j->d.chunks);
}

static void last_task(void *ctx, int64_t task, int thread)
{
    const struct job *j = ctx;
    (void)thread;
    j->last(j, task / j->d.chunks, task % j->d.chunks);
}

/* The sums are the same in either order of work; with enough samples a whole one per task finds its values in the cache again. */
static void run_job(const struct job *j)
{
    const int64_t tasks = j->d.n * j->d.chunks;
    if (tasks == j->d.n || j->d.n >= 2 * brume_pool_threads(j->pool)) {
        brume_pool_run(j->pool, j->d.n, whole_sample, (void *)j);
        return;
    }
    brume_pool_run(j->pool, tasks, first_task, (void *)j);
    for (int64_t n = 0; n < j->d.n; n++) j->middle(j, n);
    brume_pool_run(j->pool, tasks, last_task, (void *)j);
}

static struct job job_of(const struct brume_cpu_call *call)
{
    const struct brume_group_norm_attrs *at = call->node->attrs;
    struct job j = { .simd = call->simd->norm, .pool = call->pool, .d = brume_group_norm_dims_of(call->node),
                     .norm_eps = at->norm_eps, .silu = at->act == BRUME_ACT_SILU, .x = call->in[0],
                     .w = call->in[1], .b = call->in[2] };
    j.fold = fold_of(j.d.c, j.simd->vector_width);
    return j;
}

static void cpu_forward(const struct brume_cpu_call *call)
{
    struct job j = job_of(call);
    j.y = call->out[0];
    j.mean = j.mean_out = call->out[1];
    j.rstd = j.rstd_out = call->out[2];
    j.parts = call->work;
    j.first = stats_chunk;
    j.middle = stats_sample;
    j.last = apply_chunk;
    run_job(&j);
}

static void cpu_backward(const struct brume_cpu_call *call)
{
    struct job j = job_of(call);
    j.mean = call->in[3];
    j.rstd = call->in[4];
    j.dy = call->in[5];
    j.dx = call->out[0];
    j.dw = call->out[1];
    j.db = call->out[2];
    j.sums = call->work;
    j.group_means = j.sums + j.d.n * j.d.chunks * 2 * j.d.c;
    j.first = sums_chunk;
    j.middle = sums_sample;
    j.last = dx_chunk;
    run_job(&j);
    const int64_t step = j.d.chunks * 2 * j.d.c;
    memcpy(j.db, j.sums, (size_t)j.d.c * sizeof *j.db);
    memcpy(j.dw, j.sums + j.d.c, (size_t)j.d.c * sizeof *j.dw);
    for (int64_t n = 1; n < j.d.n; n++)
        for (int64_t c = 0; c < j.d.c; c++) {
            j.db[c] += j.sums[n * step + c];
            j.dw[c] += j.sums[n * step + j.d.c + c];
        }
}

static size_t forward_work(const struct brume_node *node, const struct brume_caps *caps)
{
    if (caps->opencl) return brume_group_norm_any_work(node, caps);
    const struct brume_group_norm_dims d = brume_group_norm_dims_of(node);
    return (size_t)(d.n * d.chunks * d.groups) * sizeof(struct moments);
}

static size_t backward_work(const struct brume_node *node, const struct brume_caps *caps)
{
    if (caps->opencl) return brume_group_norm_any_grad_work(node, caps);
    const struct brume_group_norm_dims d = brume_group_norm_dims_of(node);
    return (size_t)(d.n * d.chunks * 2 * d.c + d.n * d.groups * 2) * sizeof(float);
}

static const struct brume_variant forward_kernels[] = {
    { .name = "sample", .suits = brume_group_norm_sample_suits, .work_bytes = brume_group_norm_sample_work,
      .cl = brume_group_norm_sample },
    { .name = "vector", .suits = brume_suits_cpu, .work_bytes = brume_group_norm_vector_work, .cl = brume_group_norm_vector },
    { .name = "local", .fits = brume_fits_group64, .suits = brume_suits_gpu, .work_bytes = brume_group_norm_local_work,
      .cl = brume_group_norm_local },
    { .name = "any", .work_bytes = forward_work, .cpu = cpu_forward, .cl = brume_group_norm_any },
    { 0 },
};
static const struct brume_variant backward_kernels[] = {
    { .name = "sample", .suits = brume_group_norm_sample_suits, .work_bytes = brume_group_norm_sample_grad_work,
      .cl = brume_group_norm_sample_grad },
    { .name = "vector", .suits = brume_suits_cpu, .work_bytes = brume_group_norm_vector_grad_work,
      .cl = brume_group_norm_vector_grad },
    { .name = "local", .fits = brume_fits_group64, .suits = brume_suits_gpu,
      .work_bytes = brume_group_norm_local_grad_work, .cl = brume_group_norm_local_grad },
    { .name = "any", .work_bytes = backward_work, .cpu = cpu_backward, .cl = brume_group_norm_any_grad },
    { 0 },
};

/* ---- op -------------------------------------------------------------------------------------------------------------------- */

static brume_status check(struct brume_node *n)
{
    const struct brume_group_norm_attrs *at = n->attrs;
    brume_status s;
    if ((s = brume_want(n, 0, "x", BRUME_F32, -1))) return s;
    const brume_shape x = n->in_v[0]->shape;
    if (x.ndim < 2) return brume_node_fail(n, BRUME_E_SHAPE, "x expects (N, ..., C), got %d dimensions", x.ndim);
    const int64_t c = x.d[x.ndim - 1];
    if (!n->in_v[1] != !n->in_v[2]) return brume_node_fail(n, BRUME_E_ARG, "weight and bias are given both or not at all");
    for (int i = 1; i <= 2 && n->in_v[1]; i++) {
        const char *what = i == 1 ? "weight" : "bias";
        if ((s = brume_want(n, i, what, BRUME_F32, 1))) return s;
        if (n->in_v[i]->shape.d[0] != c)
            return brume_node_fail(n, BRUME_E_SHAPE, "%s expects %lld values, one per channel of x, got %lld", what, (long long)c,
                                   (long long)n->in_v[i]->shape.d[0]);
    }
    if (at->groups < 1 || c % at->groups)
        return brume_node_fail(n, BRUME_E_SHAPE, "groups must divide the %lld channels of x, got %d", (long long)c, at->groups);
    if (!(at->norm_eps > 0)) return brume_node_fail(n, BRUME_E_ARG, "norm_eps must be above 0, got %g", (double)at->norm_eps);
    if (at->act != BRUME_ACT_NONE && at->act != BRUME_ACT_SILU)
        return brume_node_fail(n, BRUME_E_ARG, "act must be none or silu; apply brume_activation() after the norm for others");
    return BRUME_OK;
}

static brume_status shape(struct brume_node *n)
{
    const struct brume_group_norm_attrs *at = n->attrs;
    const brume_status s = check(n);
    if (s) return s;
    const brume_shape x = n->in_v[0]->shape;
    for (int k = 0; k < 3; k++) n->out_v[k]->dtype = BRUME_F32;
    n->out_v[0]->shape = x;
    n->out_v[1]->shape = BRUME_SHAPE(x.d[0], at->groups, 2);
    n->out_v[2]->shape = BRUME_SHAPE(x.d[0], at->groups);
    return BRUME_OK;
}

static brume_status grad_shape(struct brume_node *n)
{
    const brume_status s = check(n);
    if (s) return s;
    const brume_shape x = n->in_v[0]->shape;
    if (!brume_shape_equal(n->in_v[5]->shape, x)) return brume_node_fail(n, BRUME_E_SHAPE, "dy must have the shape of x");
    for (int k = 0; k < 3; k++) {
        n->out_v[k]->dtype = BRUME_F32;
        n->out_v[k]->shape = k ? BRUME_SHAPE(x.d[x.ndim - 1]) : x;
    }
    return BRUME_OK;
}

static double flops(const struct brume_node *n)
{
    const struct brume_group_norm_attrs *at = n->attrs;
    return (double)brume_shape_numel(n->in_v[0]->shape) * (at->act ? 14 : 7);
}

static double grad_flops(const struct brume_node *n)
{
    const struct brume_group_norm_attrs *at = n->attrs;
    return (double)brume_shape_numel(n->in_v[0]->shape) * (at->act ? 40 : 12);
}

static void key(const struct brume_node *n, char *text, size_t size)
{
    const struct brume_group_norm_attrs *a = n->attrs;
    snprintf(text, size, "groups %d act %d", a->groups, (int)a->act);
}

const struct brume_op brume_op_group_norm_grad = {
    .name = "group_norm_grad", .tolerance = BRUME_TOL_NORM, .n_in_min = 6, .n_in_max = 6, .optional = 6, .n_out = 3,
    .shape = grad_shape, .kernels = backward_kernels, .flops = grad_flops, .key = key,
};

static void grad(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need)
{
    const brume_tensor in[6] = { n->in[0], n->in[1], n->in[2], n->out[1], n->out[2], dy[0] };
    if (dy[0] == BRUME_NONE) return;
    const brume_tensor d = brume_node_add(g, &brume_op_group_norm_grad, 6, in, n->attrs, sizeof(struct brume_group_norm_attrs));
    for (int i = 0; i < 3; i++)
        if (need[i] && d != BRUME_NONE) dx[i] = d + i;
}

const struct brume_op brume_op_group_norm = {
    .name = "group_norm", .tolerance = BRUME_TOL_NORM, .n_in_min = 3, .n_in_max = 3, .optional = 6, .n_out = 3, .shape = shape,
    .grad = grad, .kernels = forward_kernels, .flops = flops, .key = key,
};

brume_tensor brume_group_norm(brume_graph *g, brume_tensor x, brume_tensor w, brume_tensor b, int groups, float norm_eps,
                              brume_act act)
{
    const struct brume_group_norm_attrs at = { groups, norm_eps, act };
    const brume_tensor in[3] = { x, w, b };
    return brume_node_add(g, &brume_op_group_norm, 3, in, &at, sizeof at);
}
