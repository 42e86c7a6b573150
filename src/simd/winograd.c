/* SPDX-License-Identifier: MIT
 * 3x3 convolutions of stride 1, forward and data gradient, by Winograd's minimal filtering F(4x4, 3x3) (Lavin & Gray 2016): 36
 * products of matrices (tiles x channels) replace 9 per pixel, a quarter of the multiplications. */
#include "simd/winograd.h"

#include "base/pool.h"
#include "simd/conv.h"
#include "simd/tile.h"

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

struct wino {
    int64_t n, h, w, c, oh, ow, o, top, left;
    const float *src, *packed, *bias, *residual, *zeros;
    int64_t bias_step;
    float *dst;
    char *scratch;
    struct brume_winograd_cut k;
};

/* Where tile i of the grid begins in the result. */
struct at { int64_t n, y, x; };

static struct at tile_at(const struct wino *g, int64_t i)
{
    const int64_t per_image = g->k.rows * g->k.columns, r = i % per_image;
    return (struct at){ i / per_image, r / g->k.columns * 4, r % g->k.columns * 4 };
}

/* Row `t` of all 36 planes from the 6x6 source pixels of a tile. */
static void transform_source(const struct wino *g, struct at p, float *out)
{
    const float *src[36];
    int64_t column[6];
    for (int j = 0; j < 6; j++) {
        const int64_t x = p.x - g->left + j;
        column[j] = x >= 0 && x < g->w ? x * g->c : -1;
    }
    for (int i = 0; i < 6; i++) {
        const int64_t y = p.y - g->top + i;
        const int inside = y >= 0 && y < g->h;
        const float *const row = g->src + (p.n * g->h + (inside ? y : 0)) * g->w * g->c;
        for (int j = 0; j < 6; j++) src[6 * i + j] = inside && column[j] >= 0 ? row + column[j] : g->zeros;
        const int64_t x = p.x - g->left + 6, ahead = min64(g->w - x, 4) * g->c; /* what the next tile needs besides */
        if (inside)
            for (int64_t c = 0; c < ahead; c += 16) __builtin_prefetch(row + x * g->c + c);
    }
    for (int64_t c = 0; c < g->c; c += VW, out += VW) {
        vf half[36], d[6], v[6];
        if (c + VW <= g->c) {
            UNROLL(6) for (int j = 0; j < 6; j++) {
                UNROLL(6) for (int i = 0; i < 6; i++) d[i] = vload(src[6 * i + j] + c);
                wino_source(d, half + j, 6);
            }
        } else {
            for (int j = 0; j < 6; j++) {
                for (int i = 0; i < 6; i++) d[i] = vload_n(src[6 * i + j] + c, g->c - c);
                wino_source(d, half + j, 6);
            }
        }
        UNROLL(6) for (int i = 0; i < 6; i++) {
            wino_source(half + 6 * i, v, 1);
            UNROLL(6) for (int j = 0; j < 6; j++) vstore(out + (6 * i + j) * g->k.plane, v[j]);
        }
    }
}

/* The 4x4 results of a tile, channels j .. j + VW - 1, from the 36 planes of products. */
static void transform_result(const struct wino *g, struct at p, const float *products, int64_t j)
{
    vf half[24], m[6], r[4];
    const int64_t count = min64(VW, g->o - j);
    UNROLL(6) for (int e = 0; e < 6; e++) {
        UNROLL(6) for (int i = 0; i < 6; i++) m[i] = vload(products + (6 * i + e) * g->k.products);
        wino_result(m, half + e, 6);
    }
    const vf bias = g->bias ? vload_n(g->bias + p.n * g->bias_step + j, count) : (vf){ 0 };
    for (int i = 0; i < 4 && p.y + i < g->oh; i++) {
        wino_result(half + 6 * i, r, 1);
        const int64_t at = ((p.n * g->oh + p.y + i) * g->ow + p.x) * g->o + j;
        for (int e = 0; e < 4 && p.x + e < g->ow; e++) {
            vf v = r[e] + bias;
            if (g->residual) v += vload_n(g->residual + at + e * g->o, count);
            if (count == VW) vstore(g->dst + at + e * g->o, v);
            else
                for (int64_t q = 0; q < count; q++) g->dst[at + e * g->o + q] = v[q];
        }
    }
}

/* One block: its first tile, their number, and the planes of sources and of products. */
struct block { int64_t first, tiles; float *sources, *products; };

static struct block block_of(const struct wino *g, int64_t i, int thread)
{
    float *const scratch = (float *)(g->scratch + (size_t)thread * g->k.thread_bytes);
    return (struct block){ i * g->k.block, min64(g->k.block, g->k.tiles - i * g->k.block), scratch, scratch + 36 * g->k.plane };
}

static void sources(const struct wino *g, const struct block *b, int64_t t0, int64_t t1)
{
    for (int64_t t = t0; t < t1; t++) transform_source(g, tile_at(g, b->first + t), b->sources + t * g->k.ld);
}

/* Plane e, panels p0 .. p1 - 1. */
static void multiply(const struct wino *g, const struct block *b, int e, int64_t p0, int64_t p1)
{
    static const int32_t first_tap[1] = { 0 };
    const float *const weights = g->packed + e * brume_winograd_plane(g->c, g->o, NR);
    for (int64_t p = p0; p < p1; p++) {
        const int half = g->o - p * NR <= VW;
        for (int64_t t = 0; t < b->tiles; t += MR) {
            const int rows = (int)min64(MR, b->tiles - t);
            const float *a[MR];
            for (int r = 0; r < rows; r++) a[r] = b->sources + e * g->k.plane + (t + r) * g->k.ld;
            tile_pointer[rows - 1][half](a, first_tap, 1, 0, g->c, weights + p * g->c * NR, 0,
                                         (vf *)(b->products + e * g->k.products + (p * g->k.block + t) * NR));
        }
    }
}

static void results(const struct wino *g, const struct block *b, int64_t t0, int64_t t1)
{
    for (int64_t t = t0; t < t1; t++) {
        const struct at at = tile_at(g, b->first + t);
        for (int64_t j = 0; j < g->o; j += VW) transform_result(g, at, b->products + (j / NR * g->k.block + t) * NR + j % NR, j);
    }
}

static void block_task(void *ctx, int64_t task, int thread)
{
    const struct wino *const g = ctx;
    const struct block b = block_of(g, task, thread);
    sources(g, &b, 0, b.tiles);
    for (int e = 0; e < 36; e++) multiply(g, &b, e, 0, (g->o + NR - 1) / NR);
    results(g, &b, 0, b.tiles);
}

#define STAGE_TILES 4
#define STAGE_PANELS 8

static void sources_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct wino *const g = ctx;
    const struct block b = block_of(g, 0, 0);
    sources(g, &b, task * STAGE_TILES, min64(b.tiles, (task + 1) * STAGE_TILES));
}

static void multiply_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct wino *const g = ctx;
    const struct block b = block_of(g, 0, 0);
    const int64_t p0 = task / 36 * STAGE_PANELS;
    multiply(g, &b, (int)(task % 36), p0, min64((g->o + NR - 1) / NR, p0 + STAGE_PANELS));
}

static void results_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct wino *const g = ctx;
    const struct block b = block_of(g, 0, 0);
    results(g, &b, task * STAGE_TILES, min64(b.tiles, (task + 1) * STAGE_TILES));
}

static void run(struct wino *g, void *work, struct brume_pool *pool)
{
    float *const zeros = work;
    for (int64_t i = 0; i < g->k.ld; i++) zeros[i] = 0;
    g->zeros = zeros;
    g->scratch = (char *)work + (size_t)((g->k.ld * 4 + 63) / 64 * 64);
    if (!g->k.staged) {
        brume_pool_run(pool, g->k.blocks, block_task, g);
        return;
    }
    const int64_t tasks = (g->k.tiles + STAGE_TILES - 1) / STAGE_TILES, panels = (g->o + NR - 1) / NR;
    brume_pool_run(pool, tasks, sources_task, g);
    brume_pool_run(pool, (panels + STAGE_PANELS - 1) / STAGE_PANELS * 36, multiply_task, g);
    brume_pool_run(pool, tasks, results_task, g);
}

extern void ISA(brume_winograd_forward)(const struct brume_conv *c, const float *x, const float *packed, const float *bias,
                                        int64_t bias_step, const float *residual, float *y, void *work, struct brume_pool *pool);
void ISA(brume_winograd_forward)(const struct brume_conv *c, const float *x, const float *packed, const float *bias, int64_t bias_step,
                                 const float *residual, float *y, void *work, struct brume_pool *pool)
{
    struct wino g = { .n = c->n, .h = c->h, .w = c->w, .c = c->i, .oh = c->ho, .ow = c->wo, .o = c->o, .top = c->top, .left = c->left,
                      .src = x, .packed = packed, .bias = bias, .residual = residual, .bias_step = bias_step, .dst = y,
                      .k = brume_winograd_cut(c->n, c->i, c->ho, c->wo, c->o, VW) };
    run(&g, work, pool);
}

/* dx[s] = sum over t of dy[s + top - t] w[t] = sum over t' of dy[s - (2 - top) + t'] w[2 - t']: a convolution with turned weights. */
extern void ISA(brume_winograd_data_gradient)(const struct brume_conv *c, const float *dy, const float *packed, float *dx, void *work,
                                              struct brume_pool *pool);
void ISA(brume_winograd_data_gradient)(const struct brume_conv *c, const float *dy, const float *packed, float *dx, void *work,
                                       struct brume_pool *pool)
{
    struct wino g = { .n = c->n, .h = c->ho, .w = c->wo, .c = c->o, .oh = c->h, .ow = c->w, .o = c->i, .top = 2 - c->top,
                      .left = 2 - c->left, .src = dy, .packed = packed, .dst = dx,
                      .k = brume_winograd_cut(c->n, c->o, c->h, c->w, c->i, VW) };
    run(&g, work, pool);
}

struct pack {
    const float *w;
    float *packed;
    int64_t depth, columns, row_step, column_step, tap_step; /* tap_step < 0: turned by 180 degrees */
};

/* All 36 planes of one panel. */
static void pack_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct pack *const k = ctx;
    const int64_t parts = (k->depth + 15) / 16, p = task / parts, c0 = task % parts * 16;
    const int64_t plane = brume_winograd_plane(k->depth, k->columns, NR);
    for (int64_t c = c0; c < min64(k->depth, c0 + 16); c++)
        for (int v = 0; v < 2; v++) {
            const int64_t j = p * NR + v * VW, count = min64(VW, k->columns - j);
            vf g[3], half[18], u[6];
            for (int x = 0; x < 3; x++) {
                for (int y = 0; y < 3; y++) {
                    const float *const s = k->w + (y * 3 + x) * k->tap_step + c * k->row_step + j * k->column_step;
                    if (count == VW && k->column_step == 1) g[y] = vload(s);
                    else {
                        g[y] = (vf){ 0 };
                        for (int64_t q = 0; q < count; q++) g[y][q] = s[q * k->column_step];
                    }
                }
                wino_weight(g, half + x, 3);
            }
            for (int i = 0; i < 6; i++) {
                wino_weight(half + 3 * i, u, 1);
                for (int e = 0; e < 6; e++) vstore(k->packed + (6 * i + e) * plane + (p * k->depth + c) * NR + v * VW, u[e]);
            }
        }
}

static void pack(struct pack *k, struct brume_pool *pool)
{
    brume_pool_run(pool, (k->columns + NR - 1) / NR * ((k->depth + 15) / 16), pack_task, k);
}

extern void ISA(brume_winograd_pack)(const struct brume_conv *c, const float *w, float *packed, struct brume_pool *pool);
void ISA(brume_winograd_pack)(const struct brume_conv *c, const float *w, float *packed, struct brume_pool *pool)
{
    struct pack k = { w, packed, c->i, c->o, c->o, 1, c->i * c->o };
    pack(&k, pool);
}

extern void ISA(brume_winograd_pack_dx)(const struct brume_conv *c, const float *w, float *packed, struct brume_pool *pool);
void ISA(brume_winograd_pack_dx)(const struct brume_conv *c, const float *w, float *packed, struct brume_pool *pool)
{
    struct pack k = { w + 8 * c->i * c->o, packed, c->o, c->i, 1, c->o, -c->i * c->o };
    pack(&k, pool);
}
