/* SPDX-License-Identifier: MIT
 * How Winograd convolutions are cut into tasks, and the memory that this takes. */
#include "simd/conv.h"

#define ROUND 12               /* tiles of a block: a multiple of every MR */
#define BLOCK_BYTES (768 << 10) /* sources and products of a block: L2 and some of L3 */
#define MAX_BLOCK 48
#define TASKS 8

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
    int64_t block = BLOCK_BYTES / (36 * 4 * (k.ld + columns)) / ROUND * ROUND;
    block = max64(2 * ROUND, min64(block, MAX_BLOCK));
    k.block = min64(block, div_up(div_up(k.tiles, TASKS), ROUND) * ROUND);
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
    return c->kh == 3 && c->kw == 3 && c->stride == 1 && c->top == 1 && c->left == 1 && c->ho == c->h && c->wo == c->w && c->i >= 8 &&
           c->o >= 8;
}

/* 36 products per tile instead of 9 per pixel; with few tiles reading the four times larger weights costs more than that saves. */
bool brume_winograd_suits(const struct brume_conv *c)
{
    const int64_t tiles = div_up(c->ho, 4) * div_up(c->wo, 4);
    return c->i >= 16 && c->o >= 16 && tiles * c->n >= 32 && tiles * 36 * 2 <= c->ho * c->wo * 9;
}

int64_t brume_winograd_packed(const struct brume_conv *c, int vector_width)
{
    const int64_t nr = 2 * vector_width;
    return 36 * div_up(c->o, nr) * nr * c->i;
}

int64_t brume_winograd_packed_dx(const struct brume_conv *c, int vector_width)
{
    const int64_t nr = 2 * vector_width;
    return 36 * div_up(c->i, nr) * nr * c->o;
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
