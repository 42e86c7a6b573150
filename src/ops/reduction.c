/* SPDX-License-Identifier: MIT
 * Reductions on the cpu; see reduction.h. Two shapes of work: rows of summed elements (r[2] > 1), each summed along memory; and
 * rows of kept elements (r[2] = 1), which are added up. Both are cut into tasks by shape; where several tasks share a result, a
 * second pass adds their parts in order. */
#include "ops/reduction.h"

#include <math.h>

#include "base/pool.h"
#include "simd/simd.h"
#include "simd/vec.h"

#define TASK 32768 /* floats per task */

struct brume_reduction brume_reduction_of(brume_shape s, uint32_t axes)
{
    struct brume_reduction d = { .k = { 1, 1, 1 }, .r = { 1, 1, 1 }, .scale = 1.0f };
    int at = 2;          /* group being filled, from the innermost */
    bool keeping = false; /* its kept part was begun */
    for (int i = s.ndim - 1; i >= 0; i--) {
        if (s.d[i] == 1) continue;
        const bool summed = axes >> i & 1;
        if (summed && keeping) {
            at--;
            keeping = false;
        }
        if (summed) d.r[at] *= s.d[i];
        else d.k[at] *= s.d[i], keeping = true;
    }
    return d;
}

static int64_t cut(int64_t n, int64_t part) { return (n + part - 1) / part; }

/* ---- rows of summed elements ---- */

/* A result is the sum of r0 r1 segments of r2 elements, cut into pieces of at most TASK. A task takes pieces_per_task pieces of
 * one result, or all pieces of results_per_task results. */
struct along {
    int64_t results, segments, pieces_per_segment, pieces, pieces_per_task, tasks_per_result, results_per_task, tasks;
};

static struct along along_of(const struct brume_reduction *d)
{
    struct along a = { .results = d->k[0] * d->k[1] * d->k[2], .segments = d->r[0] * d->r[1], .results_per_task = 1 };
    const int64_t piece = d->r[2] < TASK ? d->r[2] : TASK;
    a.pieces_per_segment = cut(d->r[2], piece);
    a.pieces = a.segments * a.pieces_per_segment;
    a.pieces_per_task = TASK / piece;
    if (a.pieces <= a.pieces_per_task) {
        a.results_per_task = a.pieces_per_task / a.pieces;
        a.pieces_per_task = a.pieces;
    }
    a.tasks_per_result = cut(a.pieces, a.pieces_per_task);
    a.tasks = a.tasks_per_result == 1 ? cut(a.results, a.results_per_task) : a.results * a.tasks_per_result;
    return a;
}

struct job {
    const struct brume_reduction *d;
    const struct brume_simd_vec *vec;
    const float *x;
    float *y;
    double *partial;   /* along: [result][task of it] */
    float *rows;       /* across: [result row][chunk][k2] */
    struct along a;
    int64_t chunk, chunks, width, widths; /* across: rows per task, tasks along rows, columns per task, tasks along columns */
};

static float finish(const struct brume_reduction *d, double sum)
{
    return (float)((d->square ? sqrt(sum) : sum) * (double)d->scale);
}

static double sum_pieces(const struct job *j, int64_t result, int64_t first, int64_t last)
{
    const struct brume_reduction *d = j->d;
    const int64_t k2 = result % d->k[2], k1 = result / d->k[2] % d->k[1], k0 = result / d->k[2] / d->k[1];
    double sum = 0;
    for (int64_t p = first; p < last; p++) {
        const int64_t segment = p / j->a.pieces_per_segment, begin = p % j->a.pieces_per_segment * TASK;
        const int64_t r1 = segment % d->r[1], r0 = segment / d->r[1], left = d->r[2] - begin;
        const float *x = j->x + ((((k0 * d->r[0] + r0) * d->k[1] + k1) * d->r[1] + r1) * d->k[2] + k2) * d->r[2] + begin;
        sum += (d->square ? j->vec->sum_squares : j->vec->sum)(left < TASK ? left : TASK, x);
    }
    return sum;
}

static void along_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const struct along *a = &j->a;
    if (a->tasks_per_result > 1) {
        const int64_t first = task % a->tasks_per_result * a->pieces_per_task, last = first + a->pieces_per_task;
        j->partial[task] = sum_pieces(j, task / a->tasks_per_result, first, last < a->pieces ? last : a->pieces);
        return;
    }
    for (int64_t i = task * a->results_per_task; i < a->results && i < (task + 1) * a->results_per_task; i++)
        j->y[i] = finish(j->d, sum_pieces(j, i, 0, a->pieces));
}

/* ---- rows of kept elements ---- */

static void set_chunks(struct job *j)
{
    const struct brume_reduction *d = j->d;
    j->width = d->k[2] < 4096 ? d->k[2] : 4096;
    j->widths = cut(d->k[2], j->width);
    j->chunk = TASK / j->width < 32 ? 32 : TASK / j->width;
    if (j->chunk > 1024) j->chunk = 1024; /* the parts of a chunk are added in f32 */
    j->chunks = cut(d->r[0] * d->r[1], j->chunk);
}

static void across_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const struct brume_reduction *d = j->d;
    const int64_t column = task % j->widths * j->width, part = task / j->widths, chunk = part % j->chunks,
                  result = part / j->chunks;
    const int64_t n = d->k[2] - column < j->width ? d->k[2] - column : j->width, rows = d->r[0] * d->r[1];
    const int64_t k1 = result % d->k[1], k0 = result / d->k[1];
    float *y = (j->chunks > 1 ? j->rows + part * d->k[2] : j->y + result * d->k[2]) + column;
    const int64_t begin = chunk * j->chunk, end = begin + j->chunk < rows ? begin + j->chunk : rows;
    for (int64_t r = begin; r < end;) {
        const int64_t r0 = r / d->r[1], r1 = r % d->r[1], run = d->r[1] - r1 < end - r ? d->r[1] - r1 : end - r;
        const float *x = j->x + (((k0 * d->r[0] + r0) * d->k[1] + k1) * d->r[1] + r1) * d->k[2] + column;
        j->vec->add_rows(run, n, x, d->k[2], y, r > begin);
        r += run;
    }
    if (j->chunks == 1 && d->scale != 1.0f) j->vec->scale(n, d->scale, y, y);
}

static void across_finish(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const struct brume_reduction *d = j->d;
    const int64_t column = task % j->widths * j->width, result = task / j->widths;
    const int64_t n = d->k[2] - column < j->width ? d->k[2] - column : j->width;
    for (int64_t i = column; i < column + n; i++) {
        double sum = 0;
        for (int64_t c = 0; c < j->chunks; c++) sum += (double)j->rows[(result * j->chunks + c) * d->k[2] + i];
        j->y[result * d->k[2] + i] = finish(d, sum);
    }
}

/* Squares are only ever summed over everything, along memory. */
static bool is_along(const struct brume_reduction *d) { return d->r[2] > 1 || d->k[2] == 1; }

static size_t cpu_work(const struct brume_reduction *d)
{
    struct job j = { .d = d };
    if (is_along(d)) {
        const struct along a = along_of(d);
        return a.tasks_per_result > 1 ? (size_t)a.tasks * sizeof(double) : 0;
    }
    set_chunks(&j);
    return j.chunks > 1 ? (size_t)(d->k[0] * d->k[1] * j.chunks * d->k[2]) * sizeof(float) : 0;
}

static void cpu(const struct brume_cpu_call *c)
{
    const struct brume_reduction *d = c->node->attrs;
    struct job j = { .d = d, .vec = c->simd->vec, .x = c->in[0], .y = c->out[0], .partial = c->work, .rows = c->work };
    if (is_along(d)) {
        j.a = along_of(d);
        brume_pool_run(c->pool, j.a.tasks, along_task, &j);
        if (j.a.tasks_per_result == 1) return;
        for (int64_t i = 0; i < j.a.results; i++) {
            double sum = 0;
            for (int64_t t = 0; t < j.a.tasks_per_result; t++) sum += j.partial[i * j.a.tasks_per_result + t];
            j.y[i] = finish(d, sum);
        }
        return;
    }
    set_chunks(&j);
    brume_pool_run(c->pool, d->k[0] * d->k[1] * j.chunks * j.widths, across_task, &j);
    if (j.chunks > 1) brume_pool_run(c->pool, d->k[0] * d->k[1] * j.widths, across_finish, &j);
}

static size_t work(const struct brume_node *n, const struct brume_caps *c)
{
    return c->opencl ? brume_reduction_cl_work(n->attrs, c) : cpu_work(n->attrs);
}

const struct brume_variant brume_reduction_kernels[] = { { .name = "any", .work_bytes = work, .cpu = cpu,
                                                           .cl = brume_reduction_cl }, { 0 } };
