/* SPDX-License-Identifier: MIT
 * 3x3 convolutions of stride 1, forward and data gradient, by Winograd's minimal filtering F(4x4, 3x3) (Lavin & Gray 2016): 36
 * products of matrices (tiles x channels) replace 9 per pixel, a quarter of the multiplications. */
#include "simd/winograd.h"

#include "base/pool.h"
#include "simd/conv.h"
#include "simd/tile.h"
#include "simd/widen.h"

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
void ISA(brume_winograd_forward)(const struct brume_conv *c, const float *x, const float *packed, const float *bias,
                                 int64_t bias_step, const float *residual, float *y, void *work, struct brume_pool *pool)
{
    struct wino g = { .n = c->n, .h = c->h, .w = c->w, .c = c->i, .oh = c->ho, .ow = c->wo, .o = c->o,
                      .top = c->top, .left = c->left, .src = x, .packed = packed, .bias = bias, .residual = residual,
                      .bias_step = bias_step, .dst = y, .k = brume_winograd_cut(c->n, c->i, c->ho, c->wo, c->o, VW) };
    run(&g, work, pool);
}

/* dx[s] = sum over t of dy[s + top - t] w[t] = sum over t' of dy[s - (2 - top) + t'] w[2 - t']: a convolution with turned
 * weights. */
extern void ISA(brume_winograd_data_gradient)(const struct brume_conv *c, const float *dy, const float *packed, float *dx,
                                              void *work, struct brume_pool *pool);
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
    const uint16_t *half; /* instead of w */
    float *packed;
    int64_t depth, columns, row_step, column_step, tap_step; /* tap_step < 0: turned by 180 degrees */
};

static inline vf load_weights(const struct pack *k, int64_t at, int64_t count)
{
    if (count == VW && k->half) return vwiden(k->half + at);
    if (count == VW && k->column_step == 1) return vload(k->w + at);
    vf v = { 0 };
    for (int64_t q = 0; q < count; q++) v[q] = k->half ? brume_half_widen(k->half[at + q]) : k->w[at + q * k->column_step];
    return v;
}

/* Weights of channel c for panel p, all 36 planes. */
static inline void transform_weights(const struct pack *k, int64_t p, int64_t c, float *out, int64_t plane)
{
    for (int v = 0; v < 2; v++) {
        const int64_t j = p * NR + v * VW, count = min64(VW, k->columns - j);
        vf g[3], half[18], u[6];
        UNROLL(3) for (int x = 0; x < 3; x++) {
            UNROLL(3)
            for (int y = 0; y < 3; y++) g[y] =
                load_weights(k, (y * 3 + x) * k->tap_step + c * k->row_step + j * k->column_step, count);
            wino_weight(g, half + x, 3);
        }
        UNROLL(6) for (int i = 0; i < 6; i++) {
            wino_weight(half + 3 * i, u, 1);
            UNROLL(6) for (int e = 0; e < 6; e++) vstore(out + (6 * i + e) * plane + v * VW, u[e]);
        }
    }
}

/* Some channels of one panel. */
static void pack_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct pack *const k = ctx;
    const int64_t parts = (k->depth + 15) / 16, p = task / parts, c0 = task % parts * 16;
    const int64_t plane = brume_winograd_plane(k->depth, k->columns, NR);
    for (int64_t c = c0; c < min64(k->depth, c0 + 16); c++)
        transform_weights(k, p, c, k->packed + (p * k->depth + c) * NR, plane);
}

static void pack(struct pack *k, struct brume_pool *pool)
{
    brume_pool_run(pool, (k->columns + NR - 1) / NR * ((k->depth + 15) / 16), pack_task, k);
}

extern void ISA(brume_winograd_pack)(const struct brume_conv *c, const float *w, float *packed, struct brume_pool *pool);
void ISA(brume_winograd_pack)(const struct brume_conv *c, const float *w, float *packed, struct brume_pool *pool)
{
    struct pack k = { w, NULL, packed, c->i, c->o, c->o, 1, c->i * c->o };
    pack(&k, pool);
}

extern void ISA(brume_winograd_pack_half)(const struct brume_conv *c, const uint16_t *w, float *packed, struct brume_pool *pool);
void ISA(brume_winograd_pack_half)(const struct brume_conv *c, const uint16_t *w, float *packed, struct brume_pool *pool)
{
    struct pack k = { NULL, w, packed, c->i, c->o, c->o, 1, c->i * c->o };
    pack(&k, pool);
}

extern void ISA(brume_winograd_pack_dx)(const struct brume_conv *c, const float *w, float *packed, struct brume_pool *pool);
void ISA(brume_winograd_pack_dx)(const struct brume_conv *c, const float *w, float *packed, struct brume_pool *pool)
{
    struct pack k = { w + 8 * c->i * c->o, NULL, packed, c->o, c->i, 1, c->o, -c->i * c->o };
    pack(&k, pool);
}

#define DEPTH BRUME_WINOGRAD_DEPTH
#define PANELS BRUME_WINOGRAD_PANELS

/* Sources of all tiles, and weights that are transformed when their turn comes. */
struct fused { struct wino g; struct pack weights; float *sources; size_t thread_bytes; };

static void fused_sources_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct fused *const f = ctx;
    const struct block b = { .tiles = f->g.k.tiles, .sources = f->sources };
    sources(&f->g, &b, task * STAGE_TILES, min64(b.tiles, (task + 1) * STAGE_TILES));
}

/* A part of the next weights that multiplying plane e leaves time to fetch: rows e * 16 .. of DEPTH x 9. */
static void prefetch(const struct pack *k, int64_t p, int64_t c0, int e)
{
    for (int64_t q = e * (DEPTH * 9 / 36); q < (e + 1) * (DEPTH * 9 / 36); q++) {
        const int64_t c = c0 + q / 9, at = q % 9 * k->tap_step + c * k->row_step + p * NR;
        if (c >= k->depth) return;
        if (k->half) __builtin_prefetch(k->half + at);
        else __builtin_prefetch(k->w + at);
    }
}

/* Channels c0 .. c0 + depth - 1 of panel p: products are set, or added to. */
static void multiply_part(const struct fused *f, int64_t p, int64_t c0, int64_t depth, const float *part, float *products)
{
    static const int32_t first_tap[1] = { 0 };
    const struct wino *const g = &f->g;
    const int half = g->o - p * NR <= VW;
    for (int e = 0; e < 36; e++) {
        prefetch(&f->weights, p, c0 + DEPTH, e);
        for (int64_t t = 0; t < g->k.tiles; t += MR) {
            const int rows = (int)min64(MR, g->k.tiles - t);
            const float *a[MR];
            vf *const out = (vf *)(products + (e * g->k.tiles + t) * NR), sum[2 * MR];
            for (int r = 0; r < rows; r++) a[r] = f->sources + e * g->k.plane + (t + r) * g->k.ld;
            tile_pointer[rows - 1][half](a, first_tap, 1, c0, depth, part + e * brume_winograd_part(NR), 0, c0 ? sum : out);
            for (int r = 0; c0 && r < 2 * rows; r += 1 + half) out[r] += sum[r];
        }
    }
}

static void fused_task(void *ctx, int64_t task, int thread)
{
    const struct fused *const f = ctx;
    const struct wino *const g = &f->g;
    float *const part = (float *)(g->scratch + (size_t)thread * f->thread_bytes), *const products =
                                                                                      part + 36 * brume_winograd_part(NR);
    const int64_t p0 = task * PANELS, p1 = min64((g->o + NR - 1) / NR, p0 + PANELS);
    for (int64_t c0 = 0; c0 < g->c; c0 += DEPTH) {
        const int64_t depth = min64(DEPTH, g->c - c0);
        for (int64_t p = p0; p < p1; p++) {
            for (int64_t c = 0; c < depth; c++) transform_weights(&f->weights, p, c0 + c, part + c * NR, brume_winograd_part(NR));
            multiply_part(f, p, c0, depth, part, products + (p - p0) * 36 * g->k.products);
        }
    }
    for (int64_t p = p0; p < p1; p++)
        for (int64_t t = 0; t < g->k.tiles; t++) {
            const float *const from = products + (p - p0) * 36 * g->k.products + t * NR;
            transform_result(g, tile_at(g, t), from, p * NR);
            if (g->o - p * NR > VW) transform_result(g, tile_at(g, t), from + VW, p * NR + VW);
        }
}

extern void ISA(brume_winograd_fused)(const struct brume_conv *c, const float *x, const void *w, bool half, const float *bias,
                                      int64_t bias_step, const float *residual, float *y, void *work, struct brume_pool *pool);
void ISA(brume_winograd_fused)(const struct brume_conv *c, const float *x, const void *w, bool half, const float *bias,
                               int64_t bias_step, const float *residual, float *y, void *work, struct brume_pool *pool)
{
    struct fused f = { .g = { .n = c->n, .h = c->h, .w = c->w, .c = c->i, .oh = c->ho, .ow = c->wo, .o = c->o,
                              .top = c->top, .left = c->left, .src = x, .bias = bias, .residual = residual,
                              .bias_step = bias_step, .dst = y, .k = brume_winograd_cut(c->n, c->i, c->ho, c->wo, c->o, VW) },
                       .weights = { half ? NULL : w, half ? w : NULL, NULL, c->i, c->o, c->o, 1, c->i * c->o } };
    struct brume_winograd_cut *const k = &f.g.k;
    float *const zeros = work;
    for (int64_t i = 0; i < k->ld; i++) zeros[i] = 0;
    k->plane = (k->tiles * k->ld + 15) / 16 * 16 + 16;
    k->products = k->tiles * NR;
    k->block = k->tiles;
    f.g.zeros = zeros;
    f.sources = (float *)((char *)work + (size_t)((k->ld * 4 + 63) / 64 * 64));
    f.g.scratch = (char *)(f.sources + 36 * k->plane);
    f.thread_bytes = (size_t)(36 * (brume_winograd_part(NR) + PANELS * k->products)) * 4;
    brume_pool_run(pool, (k->tiles + STAGE_TILES - 1) / STAGE_TILES, fused_sources_task, &f);
    brume_pool_run(pool, ((c->o + NR - 1) / NR + PANELS - 1) / PANELS, fused_task, &f);
}
