/* SPDX-License-Identifier: MIT
 * Weight gradient of 3x3 convolutions of stride 1 by Winograd's minimal filtering F(3x3, 4x4): the transformed 6x6 source tiles
 * and the transformed 4x4 tiles of the output gradient are multiplied in 36 products whose depth are the tiles; their sums become
 * the weights. */
#include "simd/winograd.h"

#include "base/pool.h"
#include "simd/conv.h"
#include "simd/tile.h"

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

struct grad {
    const struct brume_conv *c;
    const float *x, *dy, *zeros;
    float *dw, *sums;
    char *scratch;
    struct brume_winograd_dw_cut k;
};

/* The part of a task: channels i0 .. i1 - 1 and j0 .. j1 - 1. */
struct part { int64_t i0, i1, j0, j1; };

static struct part part_of(const struct grad *g, int64_t group)
{
    const int64_t ig = group % g->k.i_groups, pg = group / g->k.i_groups;
    return (struct part){ ig * g->k.i_group, min64(g->c->i, (ig + 1) * g->k.i_group), pg * g->k.panel_group * NR,
                          min64(g->c->o, (pg + 1) * g->k.panel_group * NR) };
}

static void transform_source(const struct grad *g, const struct part *p, int64_t n, int64_t ty, int64_t tx, float *out)
{
    const struct brume_conv *const c = g->c;
    const float *src[36];
    const int64_t x0 = tx * 4 - c->left;
    for (int i = 0; i < 6; i++) {
        const int64_t y = ty * 4 - c->top + i;
        const int inside = y >= 0 && y < c->h;
        const float *const row = g->x + (n * c->h + (inside ? y : 0)) * c->w * c->i;
        for (int j = 0; j < 6; j++) {
            const int64_t x = x0 + j;
            src[6 * i + j] = (inside && x >= 0 && x < c->w ? row + x * c->i : g->zeros) + p->i0;
        }
        for (int64_t x = x0 + 6; inside && x < min64(c->w, x0 + 10); x++) /* what the next tile needs besides */
            for (int64_t q = p->i0; q < p->i1; q += 16) __builtin_prefetch(row + x * c->i + q);
    }
    const int64_t count = p->i1 - p->i0;
    for (int64_t i = 0; i < count; i += VW, out += VW) {
        vf half[36], d[6], v[6];
        if (i + VW <= count) {
            UNROLL(6) for (int j = 0; j < 6; j++) {
                UNROLL(6) for (int r = 0; r < 6; r++) d[r] = vload(src[6 * r + j] + i);
                wino_source(d, half + j, 6);
            }
        } else {
            for (int j = 0; j < 6; j++) {
                for (int r = 0; r < 6; r++) d[r] = vload_n(src[6 * r + j] + i, count - i);
                wino_source(d, half + j, 6);
            }
        }
        UNROLL(6) for (int r = 0; r < 6; r++) {
            wino_source(half + 6 * r, v, 1);
            UNROLL(6) for (int j = 0; j < 6; j++) vstore(out + (6 * r + j) * g->k.source, v[j]);
        }
    }
}

/* The gradients lie as [panel][tile][NR] in each plane. */
static void transform_gradient(const struct grad *g, const struct part *p, int64_t n, int64_t ty, int64_t tx, float *out)
{
    const struct brume_conv *const c = g->c;
    const float *src[16];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            const int64_t y = ty * 4 + i, x = tx * 4 + j;
            src[4 * i + j] = (y < c->ho && x < c->wo ? g->dy + ((n * c->ho + y) * c->wo + x) * c->o : g->zeros) + p->j0;
        }
    const int64_t count = p->j1 - p->j0, padded = (count + NR - 1) / NR * NR;
    for (int64_t q = 0; q < padded; q += VW) {
        vf half[24], d[4], v[6];
        float *const to = out + q / NR * g->k.block * NR + q % NR;
        if (q + VW <= count) {
            UNROLL(4) for (int j = 0; j < 4; j++) {
                UNROLL(4) for (int r = 0; r < 4; r++) d[r] = vload(src[4 * r + j] + q);
                wino_gradient(d, half + j, 4);
            }
        } else {
            for (int j = 0; j < 4; j++) {
                for (int r = 0; r < 4; r++) d[r] = vload_n(src[4 * r + j] + q, max64(0, count - q));
                wino_gradient(d, half + j, 4);
            }
        }
        UNROLL(6) for (int r = 0; r < 6; r++) {
            wino_gradient(half + 4 * r, v, 1);
            UNROLL(6) for (int j = 0; j < 6; j++) vstore(to + (6 * r + j) * g->k.gradient, v[j]);
        }
    }
}

static void grad_task(void *ctx, int64_t task, int thread)
{
    static const int64_t no_rows[MR];
    const struct grad *const g = ctx;
    const struct part p = part_of(g, task / g->k.splits);
    const int64_t split = task % g->k.splits, each = (g->k.blocks + g->k.splits - 1) / g->k.splits, ldc = g->k.panel_group * NR;
    float *const sources = (float *)(g->scratch + (size_t)thread * g->k.thread_bytes), *const gradients =
                                                                                           sources + 36 * g->k.source;
    int32_t *const ka = (int32_t *)(gradients + 36 * g->k.gradient), *const kb = ka + g->k.block;
    float *const sum = g->sums + task * g->k.sum * 36;
    for (int64_t t = 0; t < g->k.block; t++) ka[t] = (int32_t)(t * g->k.ld), kb[t] = (int32_t)(t * NR);

    for (int64_t b = split * each; b < min64(g->k.blocks, (split + 1) * each); b++) {
        const int64_t first = b * g->k.block, tiles = min64(g->k.block, g->k.tiles - first);
        for (int64_t t = 0; t < tiles; t++) {
            const int64_t per_image = g->k.rows * g->k.columns, n = (first + t) / per_image, r = (first + t) % per_image;
            transform_source(g, &p, n, r / g->k.columns, r % g->k.columns, sources + t * g->k.ld);
            transform_gradient(g, &p, n, r / g->k.columns, r % g->k.columns, gradients + t * NR);
        }
        for (int e = 0; e < 36; e++)
            for (int64_t j = p.j0; j < p.j1; j += NR) {
                const struct tile_out o = { sum + e * g->k.sum + (j - p.j0), NULL, NULL, 1.0f, b > split * each };
                const float *const d = gradients + e * g->k.gradient + (j - p.j0) * g->k.block;
                for (int64_t i = p.i0; i < p.i1; i += MR) {
                    const int rows = (int)min64(MR, p.i1 - i);
                    int64_t row[MR];
                    for (int r = 0; r < rows; r++) row[r] = (i - p.i0 + r) * ldc;
                    vf acc[MR * 2];
                    tile_packed[rows - 1][0](sources + e * g->k.source + (i - p.i0), d, ka, kb, tiles, acc);
                    tile_store(&o, rows, NR, row, no_rows, acc);
                }
            }
    }
}

/* One row (input channel) of all nine weight matrices. */
static void weight_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct grad *const g = ctx;
    const struct brume_conv *const c = g->c;
    const int64_t ig = task / g->k.i_group, i = task;
    for (int64_t pg = 0; pg < g->k.panel_groups; pg++) {
        const int64_t group = pg * g->k.i_groups + ig;
        const struct part p = part_of(g, group);
        const float *const from = g->sums + group * g->k.splits * g->k.sum * 36 + (i - p.i0) * g->k.panel_group * NR;
        for (int64_t j = p.j0; j < p.j1; j += VW) {
            vf half[18], m[6], w[3];
            for (int e = 0; e < 6; e++) {
                for (int r = 0; r < 6; r++) {
                    const float *s = from + (6 * r + e) * g->k.sum + (j - p.j0);
                    m[r] = vload(s);
                    for (int64_t q = 1; q < g->k.splits; q++) m[r] += vload(s + q * g->k.sum * 36);
                }
                wino_weight_gradient(m, half + e, 6);
            }
            for (int ky = 0; ky < 3; ky++) {
                wino_weight_gradient(half + 6 * ky, w, 1);
                for (int kx = 0; kx < 3; kx++) {
                    float *const to = g->dw + ((ky * 3 + kx) * c->i + i) * c->o + j;
                    if (j + VW <= c->o) vstore(to, w[kx]);
                    else
                        for (int64_t q = 0; q < c->o - j; q++) to[q] = w[kx][q];
                }
            }
        }
    }
}

extern void ISA(brume_winograd_weight_gradient)(const struct brume_conv *c, const float *x, const float *dy, float *dw,
                                                void *work, struct brume_pool *pool);
void ISA(brume_winograd_weight_gradient)(const struct brume_conv *c, const float *x, const float *dy, float *dw, void *work,
                                         struct brume_pool *pool)
{
    float *const zeros = work;
    const int64_t most = max64(c->i, c->o);
    for (int64_t i = 0; i < most; i++) zeros[i] = 0;
    struct grad g = { .c = c, .x = x, .dy = dy, .zeros = zeros, .dw = dw, .k = brume_winograd_dw_cut(c, VW) };
    g.sums = zeros + (most + 15) / 16 * 16;
    g.scratch = (char *)g.sums + g.k.sum_bytes;
    brume_pool_run(pool, g.k.splits * g.k.i_groups * g.k.panel_groups, grad_task, &g);
    brume_pool_run(pool, c->i, weight_task, &g);
}
