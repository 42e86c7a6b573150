/* SPDX-License-Identifier: MIT
 * Convolution forward and data gradient: register tiles of MR pixels x NR channels. */
#include "simd/conv.h"

#include "base/pool.h"
#include "simd/gemm.h"
#include "simd/isa.h"
#include "simd/tile.h"
#include "simd/widen.h"

#define GROUP_TAPS 32       /* taps of one pass, at most */
#define BLOCK_TILES 16      /* tiles of one task: their sources stay in L2 */
#define BLOCK_ENTRIES 160   /* tiles x taps whose pointers are kept at a time */
#define TASK_WORK (1 << 19) /* multiply-adds that pay for waking a thread */
#define MAX_TASKS 64

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Every pixel of the result (n, oh, ow, o) sums taps of the source (n, h, w, c). A phase holds the pixels with the same row and
 * column modulo `phase`: in the data gradient of a strided convolution they meet the same taps, the others are left out.
 * by_pixel: a tile is one position of MR images, so that taps outside the image are left out for all of its rows;
 * else a tile is MR pixels that follow each other, and a pixel whose tap is outside reads the row of zeros. */
struct gather {
    int64_t n, h, w, c, oh, ow, o;
    int32_t kh, kw, phase;
    const float *src, *packed, *bias, *residual, *zeros;
    const uint16_t *half;              /* instead of packed: weights in f16 */
    int64_t bias_step;
    float *dst;
    const int32_t *row_of, *column_of; /* source row by [result row][ky], column by [result column][kx]; -1 outside */
    bool by_pixel;
    int64_t panels, tiles, blocks, block_tiles, panel_tasks, panels_each;
};

/* MR pixels of the result. */
struct tile_at {
    int rows;
    int64_t row[MR], bias_row[MR], image[MR]; /* element offsets in dst, in bias, of the source image */
    const int32_t *ys[MR], *xs[MR];           /* rows of the tables */
};

static int64_t phase_rows(const struct gather *g, int64_t p) { return (g->oh - p + g->phase - 1) / g->phase; }
static int64_t phase_columns(const struct gather *g, int64_t p) { return (g->ow - p + g->phase - 1) / g->phase; }

static int64_t phase_tiles(const struct gather *g, int64_t rows, int64_t columns)
{
    return g->by_pixel ? div_up(g->n, MR) * rows * columns : div_up(g->n * rows * columns, MR);
}

static void locate(const struct gather *g, int64_t tile, struct tile_at *t)
{
    int64_t py = 0, px = 0, rows, columns;
    for (;;) { /* few phases: a stride is small */
        rows = phase_rows(g, py);
        columns = phase_columns(g, px);
        const int64_t here = phase_tiles(g, rows, columns);
        if (tile < here) break;
        tile -= here;
        if (++px == g->phase) px = 0, py++;
    }
    const int64_t pixels = rows * columns;
    int64_t n, at;
    if (g->by_pixel) {
        n = tile / pixels * MR;
        at = tile % pixels;
        t->rows = (int)min64(MR, g->n - n);
    } else {
        n = tile * MR / pixels;
        at = tile * MR % pixels;
        t->rows = (int)min64(MR, g->n * pixels - tile * MR);
    }
    int64_t y = at / columns, x = at % columns;
    for (int r = 0; r < t->rows; r++) {
        const int64_t oy = y * g->phase + py, ox = x * g->phase + px;
        t->row[r] = ((n * g->oh + oy) * g->ow + ox) * g->o;
        t->bias_row[r] = n * g->bias_step;
        t->image[r] = n * g->h * g->w * g->c;
        t->ys[r] = g->row_of + oy * g->kh;
        t->xs[r] = g->column_of + ox * g->kw;
        if (g->by_pixel) n++;
        else if (++x == columns) {
            x = 0;
            if (++y == rows) y = 0, n++;
        }
    }
}

/* Pointers of taps tap0 .. tap1 - 1 that at least one row of the tile meets, which are counted from tap0; returns their
 * number. */
static int aim(const struct gather *g, const struct tile_at *t, int tap0, int tap1, const float **a, int32_t *tap)
{
    int count = 0;
    int ky = tap0 / g->kw, kx = tap0 % g->kw;
    for (int i = tap0; i < tap1; i++) {
        if (g->by_pixel) {
            const int64_t sy = t->ys[0][ky], sx = t->xs[0][kx];
            if (sy >= 0 && sx >= 0) {
                const float *p = g->src + t->image[0] + (sy * g->w + sx) * g->c;
                for (int r = 0; r < t->rows; r++, p += g->h * g->w * g->c) a[count * MR + r] = p;
                tap[count++] = i - tap0;
            }
        } else {
            bool met = false;
            for (int r = 0; r < t->rows; r++) {
                const int64_t sy = t->ys[r][ky], sx = t->xs[r][kx];
                const bool inside = (sy | sx) >= 0;
                a[count * MR + r] = inside ? g->src + t->image[r] + (sy * g->w + sx) * g->c : g->zeros;
                met |= inside;
            }
            if (met) tap[count++] = i - tap0;
        }
        if (++kx == g->kw) kx = 0, ky++;
    }
    return count;
}

static void gather_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct gather *const g = ctx;
    const int64_t p0 = task % g->panel_tasks * g->panels_each, p1 = min64(g->panels, p0 + g->panels_each);
    const int64_t first = task / g->panel_tasks * g->block_tiles;
    const int tiles = (int)min64(g->block_tiles, g->tiles - first), taps = g->kh * g->kw;
    /* one pass: some taps of all channels, or some channels of one tap */
    const int group = (int)max64(1, min64(min64(taps, GROUP_TAPS), min64(KC / g->c, BLOCK_ENTRIES / g->block_tiles)));
    const int64_t slices = div_up(g->c, KC), slice = div_up(g->c, slices), tap_step = g->c * NR;

    struct tile_at at[BLOCK_TILES];
    float wide[KC * NR] __attribute__((aligned(64))); /* weights of a pass that are kept in f16 */
    const float *a[BLOCK_ENTRIES * MR];
    int32_t tap[BLOCK_ENTRIES];
    int count[BLOCK_TILES];
    for (int t = 0; t < tiles; t++) locate(g, first + t, &at[t]);
    for (int tap0 = 0; tap0 < taps; tap0 += group) {
        for (int t = 0; t < tiles; t++)
            count[t] = aim(g, &at[t], tap0, (int)min64(taps, tap0 + group), a + t * group * MR, tap + t * group);
        for (int64_t c0 = 0; c0 < g->c; c0 += slice) {
            const bool begin = tap0 == 0 && c0 == 0;
            for (int64_t p = p0; p < p1; p++) {
                const int columns = (int)min64(NR, g->o - p * NR);
                const struct tile_out o = { g->dst + p * NR, begin && g->bias ? g->bias + p * NR : NULL,
                                            begin && g->residual ? g->residual + p * NR : NULL, 1.0f, !begin };
                const int64_t depth = min64(slice, g->c - c0), first_row = (p * taps + tap0) * tap_step + c0 * NR;
                const float *b = g->half ? wide : g->packed + first_row;
                if (g->half) /* some taps of all channels, or one tap: adjacent */
                    for (int64_t i = 0; i < depth * NR * min64(group, taps - tap0); i += VW)
                        vstore(wide + i, vwiden(g->half + first_row + i));
                for (int t = 0; t < tiles; t++) {
                    vf acc[MR * 2];
                    tile_pointer[at[t].rows - 1][columns <= VW](a + t * group * MR, tap + t * group, count[t], c0, depth, b,
                                                                tap_step, acc);
                    tile_store(&o, at[t].rows, columns, at[t].row, at[t].bias_row, acc);
                }
            }
        }
    }
}

/* Share of taps that lie inside the image. */
static double share_inside(const struct gather *g)
{
    int64_t ys = 0, xs = 0;
    for (int64_t i = 0; i < g->oh * g->kh; i++) ys += g->row_of[i] >= 0;
    for (int64_t i = 0; i < g->ow * g->kw; i++) xs += g->column_of[i] >= 0;
    return (double)ys * (double)xs * g->phase * g->phase / ((double)g->oh * g->kh * g->ow * g->kw);
}

static void gather(struct gather *g, struct brume_pool *pool)
{
    const int taps = g->kh * g->kw;
    g->by_pixel = g->n >= MR && share_inside(g) < 0.93;
    g->panels = div_up(g->o, NR);
    g->tiles = 0;
    for (int64_t py = 0; py < min64(g->phase, g->oh); py++)
        for (int64_t px = 0; px < min64(g->phase, g->ow); px++)
            g->tiles += phase_tiles(g, phase_rows(g, py), phase_columns(g, px));
    const int64_t group = max64(1, min64(min64(taps, GROUP_TAPS), KC / g->c));
    g->block_tiles = min64(BLOCK_TILES, BLOCK_ENTRIES / group);
    const double work = (double)g->tiles * MR * (double)g->c * taps * (double)(g->panels * NR);
    const int64_t want = min64(MAX_TASKS, 1 + (int64_t)(work / TASK_WORK));
    g->blocks = div_up(g->tiles, g->block_tiles);
    g->panels_each = div_up(g->panels, min64(g->panels, div_up(want, g->blocks)));
    g->panel_tasks = div_up(g->panels, g->panels_each);
    brume_pool_run(pool, g->blocks * g->panel_tasks, gather_task, g);
}

/* A convolution of single pixels is a matrix product; the packed weights are the same. */
static bool is_product(const struct brume_conv *c) { return c->kh == 1 && c->kw == 1 && c->stride == 1; }

extern const struct brume_simd_gemm ISA(brume_simd_gemm);

static float *zero_row(void *work, int64_t channels)
{
    float *const z = work;
    for (int64_t i = 0; i < channels; i++) z[i] = 0;
    return z;
}

static int32_t *after_zeros(void *work, int64_t channels) { return (int32_t *)((char *)work + (channels * 4 + 63) / 64 * 64); }

static void forward_table(int32_t *at, int64_t out, int32_t k, int32_t stride, int32_t before, int64_t in)
{
    for (int64_t o = 0; o < out; o++)
        for (int32_t t = 0; t < k; t++) {
            const int64_t s = o * stride - before + t;
            *at++ = s >= 0 && s < in ? (int32_t)s : -1;
        }
}

/* dx[s] sums dy[o] over o stride - before + t = s. */
static void backward_table(int32_t *at, int64_t in, int32_t k, int32_t stride, int32_t before, int64_t out)
{
    for (int64_t s = 0; s < in; s++)
        for (int32_t t = 0; t < k; t++) {
            const int64_t o = s + before - t;
            *at++ = o >= 0 && o % stride == 0 && o / stride < out ? (int32_t)(o / stride) : -1;
        }
}

static void forward_any(const struct brume_conv *c, const float *x, const float *packed, const uint16_t *half, const float *bias,
                        int64_t bias_step, const float *residual, float *y, void *work, struct brume_pool *pool)
{
    if (is_product(c) && (!bias || !bias_step || c->n == 1)) {
        const struct brume_gemm g = { .m = c->n * c->h * c->w, .n = c->o, .k = c->i, .a = x, .a_row = c->i, .a_col = 1,
                                      .b = packed, .b_half = half, .c = y, .ldc = c->o, .bias = bias,
                                      .residual = residual, .alpha = 1.0f };
        ISA(brume_simd_gemm).run(&g, 1, 0, 0, 0, pool);
        return;
    }
    int32_t *const rows = after_zeros(work, c->i), *const columns = rows + c->ho * c->kh;
    forward_table(rows, c->ho, c->kh, c->stride, c->top, c->h);
    forward_table(columns, c->wo, c->kw, c->stride, c->left, c->w);
    struct gather g = { .n = c->n, .h = c->h, .w = c->w, .c = c->i, .oh = c->ho, .ow = c->wo, .o = c->o, .kh = c->kh, .kw = c->kw,
                        .phase = 1, .src = x, .packed = packed, .half = half, .bias = bias, .residual = residual,
                        .zeros = zero_row(work, c->i), .bias_step = bias_step, .dst = y, .row_of = rows, .column_of = columns };
    gather(&g, pool);
}

static void forward(const struct brume_conv *c, const float *x, const float *packed, const float *bias, int64_t bias_step,
                    const float *residual, float *y, void *work, struct brume_pool *pool)
{
    forward_any(c, x, packed, NULL, bias, bias_step, residual, y, work, pool);
}

static void forward_half(const struct brume_conv *c, const float *x, const uint16_t *packed, const float *bias, int64_t bias_step,
                         const float *residual, float *y, void *work, struct brume_pool *pool)
{
    forward_any(c, x, NULL, packed, bias, bias_step, residual, y, work, pool);
}

static void data_gradient(const struct brume_conv *c, const float *dy, const float *packed, float *dx, void *work,
                          struct brume_pool *pool)
{
    if (is_product(c)) {
        const struct brume_gemm g = { .m = c->n * c->h * c->w, .n = c->i, .k = c->o, .a = dy, .a_row = c->o,
                                      .a_col = 1, .b = packed, .c = dx, .ldc = c->i, .alpha = 1.0f };
        ISA(brume_simd_gemm).run(&g, 1, 0, 0, 0, pool);
        return;
    }
    int32_t *const rows = after_zeros(work, c->o), *const columns = rows + c->h * c->kh;
    backward_table(rows, c->h, c->kh, c->stride, c->top, c->ho);
    backward_table(columns, c->w, c->kw, c->stride, c->left, c->wo);
    struct gather g = { .n = c->n, .h = c->ho, .w = c->wo, .c = c->o, .oh = c->h, .ow = c->w, .o = c->i, .kh = c->kh, .kw = c->kw,
                        .phase = c->stride, .src = dy, .packed = packed, .zeros = zero_row(work, c->o), .dst = dx, .row_of = rows,
                        .column_of = columns };
    gather(&g, pool);
}

struct pack {
    const struct brume_conv *c;
    const float *w;
    float *packed;
    int64_t depth, columns, row_step, column_step; /* of one tap's matrix in w */
};

static void pack_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct pack *const k = ctx;
    const int64_t taps = (int64_t)k->c->kh * k->c->kw, p = task / taps, tap = task % taps;
    const int columns = (int)min64(NR, k->columns - p * NR);
    const float *s = k->w + tap * k->c->i * k->c->o + p * NR * k->column_step;
    float *out = k->packed + task * k->depth * NR;
    for (int64_t i = 0; i < k->depth; i++, s += k->row_step, out += NR) {
        if (columns == NR && k->column_step == 1) {
            vstore(out, vload(s));
            vstore(out + VW, vload(s + VW));
            continue;
        }
        for (int j = 0; j < columns; j++) out[j] = s[j * k->column_step];
        for (int j = columns; j < NR; j++) out[j] = 0;
    }
}

static void pack(const struct brume_conv *c, const float *w, float *packed, struct brume_pool *pool)
{
    struct pack k = { c, w, packed, c->i, c->o, c->o, 1 };
    brume_pool_run(pool, div_up(c->o, NR) * c->kh * c->kw, pack_task, &k);
}

struct pack_half { const struct brume_conv *c; const uint16_t *w; uint16_t *packed; };

static void pack_half_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct pack_half *const k = ctx;
    const int64_t taps = (int64_t)k->c->kh * k->c->kw, p = task / taps, tap = task % taps, columns = min64(NR, k->c->o - p * NR);
    const uint16_t *s = k->w + tap * k->c->i * k->c->o + p * NR;
    uint16_t *out = k->packed + task * k->c->i * NR;
    for (int64_t i = 0; i < k->c->i; i++, s += k->c->o, out += NR) {
        memset(out, 0, NR * sizeof *out);
        memcpy(out, s, (size_t)columns * sizeof *out);
    }
}

static void pack_half(const struct brume_conv *c, const uint16_t *w, uint16_t *packed, struct brume_pool *pool)
{
    struct pack_half k = { c, w, packed };
    brume_pool_run(pool, div_up(c->o, NR) * c->kh * c->kw, pack_half_task, &k);
}

static void pack_dx(const struct brume_conv *c, const float *w, float *packed, struct brume_pool *pool)
{
    struct pack k = { c, w, packed, c->o, c->i, 1, c->o };
    brume_pool_run(pool, div_up(c->i, NR) * c->kh * c->kw, pack_task, &k);
}

/* conv_dw.c, winograd.c, winograd_dw.c */
typedef void pack_fn(const struct brume_conv *c, const float *w, float *packed, struct brume_pool *pool);
typedef void forward_fn(const struct brume_conv *c, const float *x, const float *packed, const float *bias, int64_t bias_step,
                        const float *residual, float *y, void *work, struct brume_pool *pool);
typedef void pack_half_fn(const struct brume_conv *c, const uint16_t *w, float *packed, struct brume_pool *pool);
typedef void fused_fn(const struct brume_conv *c, const float *x, const void *w, bool half, const float *bias, int64_t bias_step,
                      const float *residual, float *y, void *work, struct brume_pool *pool);
typedef void gradient_fn(const struct brume_conv *c, const float *dy, const float *other, float *out, void *work,
                         struct brume_pool *pool);
extern gradient_fn ISA(brume_conv_weight_gradient), ISA(brume_winograd_data_gradient), ISA(brume_winograd_weight_gradient);
extern forward_fn ISA(brume_winograd_forward);
extern pack_fn ISA(brume_winograd_pack), ISA(brume_winograd_pack_dx);
extern pack_half_fn ISA(brume_winograd_pack_half);
extern fused_fn ISA(brume_winograd_fused);

extern const struct brume_simd_conv ISA(brume_simd_conv);
const struct brume_simd_conv ISA(brume_simd_conv) = {
    .pack = pack, .pack_dx = pack_dx, .forward = forward, .pack_half = pack_half, .forward_half = forward_half,
    .dx = data_gradient, .dw = ISA(brume_conv_weight_gradient), .winograd_pack = ISA(brume_winograd_pack),
    .winograd_pack_dx = ISA(brume_winograd_pack_dx), .winograd = ISA(brume_winograd_forward),
    .winograd_pack_half = ISA(brume_winograd_pack_half), .winograd_fused = ISA(brume_winograd_fused),
    .winograd_dx = ISA(brume_winograd_data_gradient), .winograd_dw = ISA(brume_winograd_weight_gradient),
};
