/* SPDX-License-Identifier: MIT
 * How Winograd convolutions are cut into tasks, and the memory that this takes. */
#include "simd/conv.h"

#define ROUND 12               /* tiles of a block: a multiple of every MR */
#define BLOCK_BYTES (768 << 10) /* sources and products of a block: L2 and some of L3 */
#define MAX_BLOCK 48
#define STAGED 96

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
static size_t round64(size_t n) { return (n + 63) / 64 * 64; }

struct brume_winograd_cut brume_winograd_cut(int64_t n, int64_t c, int64_t oh, int64_t ow, int64_t o, int vector_width)
{
    struct brume_winograd_cut k = { .rows = div_up(oh, 4), .columns = div_up(ow, 4) };
    const int64_t nr = 2 * vector_width, columns = div_up(o, nr) * nr;
    k.tiles = n * k.rows * k.columns;
    k.ld = div_up(c, vector_width) * vector_width;
    k.staged = k.tiles <= STAGED;
    const int64_t block = max64(2 * ROUND, min64(BLOCK_BYTES / (36 * 4 * (k.ld + columns)) / ROUND * ROUND, MAX_BLOCK));
    k.block = k.staged ? k.tiles : block;
    k.blocks = div_up(k.tiles, k.block);
    /* One cache line more than a power of two: the 36 planes are written at the same time. */
    k.plane = div_up(k.block * k.ld, 16) * 16 + 16;
    k.products = div_up(k.block * columns, 16) * 16 + 16;
    k.thread_bytes = (size_t)(36 * (k.plane + k.products)) * 4;
    return k;
}

/* With two rows of padding a corner is one tap of nine, but its error is that of all nine: outside the tolerance. */
bool brume_winograd_fits(const struct brume_conv *c)
{
    return c->kh == 3 && c->kw == 3 && c->stride == 1 && c->top == 1 && c->left == 1 && c->ho == c->h && c->wo == c->w &&
           c->h >= 4 && c->w >= 4 && c->i >= 8 && c->o >= 8;
}

/* 36 products per tile instead of 9 per pixel; with few tiles reading (and packing) the four times larger weights costs more than
 * that saves. */
static bool suits(const struct brume_conv *c, int64_t least)
{
    const int64_t tiles = div_up(c->ho, 4) * div_up(c->wo, 4);
    return c->i >= 16 && c->o >= 16 && tiles * c->n >= least && tiles * 36 * 2 <= c->ho * c->wo * 9;
}

/* An image of one tile needs a third fewer taps than its size says: fewer are saved, for copies of weights that take as much
 * memory. */
bool brume_winograd_suits(const struct brume_conv *c) { return suits(c, c->ho <= 4 && c->wo <= 4 ? 32 : 16); }
bool brume_winograd_suits_gradient(const struct brume_conv *c) { return suits(c, 32); }

bool brume_winograd_pack_cheap(const struct brume_conv *c) { return c->n * div_up(c->ho, 4) * div_up(c->wo, 4) >= 256; }

#define FUSED_TILES 192
#define FUSED_BYTES (32 << 20) /* weights beyond what caches hold would be read from memory in every run */

bool brume_winograd_fused(const struct brume_conv *c, bool half)
{
    return c->n * div_up(c->ho, 4) * div_up(c->wo, 4) <= FUSED_TILES && (half || c->i * c->o >= FUSED_BYTES / (36 * 4));
}

/* A row of zeros, the sources of all tiles, then of every thread a part of the weights and the products of its panels. */
size_t brume_winograd_fused_work(const struct brume_conv *c, int vector_width, int threads)
{
    const struct brume_winograd_cut k = brume_winograd_cut(c->n, c->i, c->ho, c->wo, c->o, vector_width);
    const int64_t nr = 2 * vector_width, plane = div_up(k.tiles * k.ld, 16) * 16 + 16;
    return round64((size_t)k.ld * 4) + (size_t)(36 * plane) * 4 +
           (size_t)(36 * (brume_winograd_part(nr) + BRUME_WINOGRAD_PANELS * k.tiles * nr)) * 4 * (size_t)threads;
}

int64_t brume_winograd_packed(const struct brume_conv *c, int vector_width)
{
    const int64_t nr = 2 * vector_width;
    return 36 * brume_winograd_plane(c->i, c->o, nr);
}

int64_t brume_winograd_packed_dx(const struct brume_conv *c, int vector_width)
{
    const int64_t nr = 2 * vector_width;
    return 36 * brume_winograd_plane(c->o, c->i, nr);
}

/* A row of zeros, then the threads' blocks. */
size_t brume_winograd_work(const struct brume_conv *c, int vector_width, int threads)
{
    const struct brume_winograd_cut k = brume_winograd_cut(c->n, c->i, c->ho, c->wo, c->o, vector_width);
    return round64((size_t)k.ld * 4) + k.thread_bytes * (size_t)min64(threads, k.blocks);
}

size_t brume_winograd_work_dx(const struct brume_conv *c, int vector_width, int threads)
{
    const struct brume_winograd_cut k = brume_winograd_cut(c->n, c->o, c->h, c->w, c->i, vector_width);
    return round64((size_t)k.ld * 4) + k.thread_bytes * (size_t)min64(threads, k.blocks);
}

#define DW_BLOCK 96            /* tiles of one pass */
#define DW_GROUP 96            /* channels of a task, on either side */
#define DW_TASKS 16
#define DW_SUM_BYTES (24 << 20)

struct brume_winograd_dw_cut brume_winograd_dw_cut(const struct brume_conv *c, int vector_width)
{
    struct brume_winograd_dw_cut k = { .rows = div_up(c->ho, 4), .columns = div_up(c->wo, 4) };
    const int64_t nr = 2 * vector_width, panels = div_up(c->o, nr);
    k.tiles = c->n * k.rows * k.columns;
    k.i_groups = div_up(c->i, DW_GROUP);
    k.i_group = div_up(div_up(c->i, k.i_groups), ROUND) * ROUND;
    k.i_groups = div_up(c->i, k.i_group);
    k.panel_groups = div_up(c->o, DW_GROUP);
    k.panel_group = div_up(panels, k.panel_groups);
    k.panel_groups = div_up(panels, k.panel_group);
    k.block = div_up(k.tiles, div_up(k.tiles, DW_BLOCK));
    k.blocks = div_up(k.tiles, k.block);

    k.ld = div_up(k.i_group, vector_width) * vector_width;
    k.source = div_up(k.block * k.ld, 16) * 16 + 16;
    k.gradient = div_up(k.block * k.panel_group * nr, 16) * 16 + 16;
    k.sum = k.i_group * k.panel_group * nr;
    const int64_t groups = k.i_groups * k.panel_groups;
    int64_t splits = min64(div_up(DW_TASKS, groups), max64(1, k.blocks / 2));
    splits = min64(splits, max64(1, (int64_t)DW_SUM_BYTES / (groups * k.sum * 36 * 4)));
    k.splits = div_up(k.blocks, div_up(k.blocks, splits));
    k.thread_bytes = (size_t)(36 * (k.source + k.gradient)) * 4 + round64((size_t)k.block * 8);
    k.sum_bytes = round64((size_t)(k.splits * groups * k.sum * 36) * 4);
    return k;
}

/* A row of zeros, the sums, then the threads' blocks. */
size_t brume_winograd_work_dw(const struct brume_conv *c, int vector_width, int threads)
{
    const struct brume_winograd_dw_cut k = brume_winograd_dw_cut(c, vector_width);
    return round64((size_t)max64(c->i, c->o) * 4) + k.sum_bytes +
           k.thread_bytes * (size_t)min64(threads, k.splits * k.i_groups * k.panel_groups);
}
