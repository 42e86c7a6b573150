/* SPDX-License-Identifier: MIT
 * Launches of cl/gemm_tile.cl: products and convolutions on OpenCL devices of CPU type. */
#include "ops/gemm_cl.h"

/* Parameters for devices of CPU type: rows of the tile, vectors in a row. 16 vector registers hold the first three (accumulators,
 * a row of vectors, one scalar), 32 registers also the others. */
static const struct { const char *name; int mr, nv; } tiles[] = {
    { "6x2", 6, 2 },
    { "4x3", 4, 3 },
    { "12x1", 12, 1 },   /* few columns */
    { "8x2", 8, 2 },
    { "14x2", 14, 2 },
};
enum { N_TILES = sizeof tiles / sizeof *tiles, TILE_16 = 1, TILE_32 = 4 };

static const char *row_name(int row) { return tiles[row - 1].name; }

/* Without 32 registers the larger ones would spill: right, but of no use. */
static bool row_fits(int row, const struct brume_caps *c) { return row < TILE_32 || c->vector_width >= 16; }

const struct brume_rows brume_tile_rows = { N_TILES, row_name, row_fits };

struct brume_tile brume_tile_of(const struct brume_caps *c)
{
    const int vw = c->vector_width >= 16 ? 16 : c->vector_width >= 8 ? 8 : 4;
    const int row = c->row ? c->row : vw == 16 ? TILE_32 : TILE_16;
    return (struct brume_tile){ vw, tiles[row - 1].mr, tiles[row - 1].nv, tiles[row - 1].nv * vw };
}

struct brume_cl_launch *brume_tile_add(struct brume_cl_list *l, const struct brume_caps *c, const char *file, const char *kernel,
                                       const char *more)
{
    const struct brume_tile t = brume_tile_of(c);
    return brume_cl_add(l, file, kernel, "-DVW=%d -DMR=%d -DNV=%d%s", t.vw, t.mr, t.nv, more);
}

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* B[batch][tap][k][n] with strides into panels; see gemm_tile_pack. */
struct pack { int64_t taps, k, n, batch, stride_tap, stride_k, stride_n, stride_batch; };

static size_t pack_bytes(const struct pack *p, const struct brume_caps *c)
{
    const struct brume_tile t = brume_tile_of(c);
    return (size_t)(p->batch * ceil_div(p->n, t.nr) * p->taps * p->k * t.nr + p->k) * sizeof(float);
}

static void pack(const struct pack *p, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg b,
                 struct brume_cl_arg packed)
{
    struct brume_cl_launch *k = brume_tile_add(l, c, "gemm_tile.cl", "gemm_tile_pack", "");
    brume_cl_size3(k, (size_t)(p->taps * p->k), (size_t)ceil_div(p->n, brume_tile_of(c).nr) + 1, (size_t)p->batch, 16, 1, 1);
    brume_cl_operand(k, b);
    brume_cl_operand(k, packed);
    brume_cl_int(k, p->taps);
    brume_cl_int(k, p->k);
    brume_cl_int(k, p->n);
    brume_cl_long(k, p->stride_tap);
    brume_cl_int(k, p->stride_k);
    brume_cl_int(k, p->stride_n);
    brume_cl_long(k, p->stride_batch);
}

static struct pack product_pack(const struct brume_product *p)
{
    return (struct pack){ 1, p->k, p->n, p->batch, 0, p->trans_b ? 1 : p->n, p->trans_b ? p->k : 1, p->k * p->n };
}

size_t brume_product_tile_pack_bytes(const struct brume_product *p, const struct brume_caps *c)
{
    const struct pack s = product_pack(p);
    return pack_bytes(&s, c);
}

void brume_product_tile_pack(const struct brume_product *p, const struct brume_caps *c, struct brume_cl_list *l,
                             struct brume_cl_arg packed)
{
    const struct pack s = product_pack(p);
    pack(&s, c, l, p->b, packed);
}

void brume_product_tile(const struct brume_product *p, const struct brume_caps *c, struct brume_cl_list *l,
                        struct brume_cl_arg packed)
{
    const struct brume_tile t = brume_tile_of(c);
    struct brume_cl_launch *k = brume_tile_add(l, c, "gemm_tile.cl", "gemm_tile", "");
    brume_cl_size3(k, (size_t)ceil_div(p->m, t.mr), (size_t)ceil_div(p->n, t.nr), (size_t)p->batch, 1, 1, 1);
    brume_cl_operand(k, p->a);
    brume_cl_operand(k, packed);
    brume_cl_operand(k, p->bias);
    brume_cl_operand(k, p->res);
    brume_cl_operand(k, p->y);
    brume_cl_int(k, p->m);
    brume_cl_int(k, p->n);
    brume_cl_int(k, p->k);
    brume_cl_int(k, p->trans_a ? 1 : p->k);
    brume_cl_int(k, p->trans_a ? p->m : 1);
    brume_cl_long(k, p->m * p->k);
    brume_cl_int(k, p->bias_rows);
}

static struct pack conv_pack(const struct brume_conv *g)
{
    return (struct pack){ g->kh * g->kw, g->i, g->o, 1, g->i * g->o, g->o, 1, 0 };
}

static struct pack conv_dx_pack(const struct brume_conv *g)
{
    return (struct pack){ g->kh * g->kw, g->o, g->i, 1, g->i * g->o, 1, g->o, 0 };
}

size_t brume_conv_tile_pack_bytes(const struct brume_conv *g, const struct brume_caps *c)
{
    const struct pack s = conv_pack(g);
    return pack_bytes(&s, c);
}

void brume_conv_tile_pack(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg w,
                          struct brume_cl_arg packed)
{
    const struct pack s = conv_pack(g);
    pack(&s, c, l, w, packed);
}

size_t brume_conv_tile_dx_pack_bytes(const struct brume_conv *g, const struct brume_caps *c)
{
    const struct pack s = conv_dx_pack(g);
    return pack_bytes(&s, c);
}

void brume_conv_tile_dx_pack(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l,
                             struct brume_cl_arg w, struct brume_cl_arg packed)
{
    const struct pack s = conv_dx_pack(g);
    pack(&s, c, l, w, packed);
}

/* A 1x1 convolution: panels of one tap are those of a product, whose rows need no search for their pixels. */
static struct brume_product conv_product(int64_t m, int64_t n, int64_t k, struct brume_cl_arg a, struct brume_cl_arg bias,
                                         int64_t bias_rows, struct brume_cl_arg res, struct brume_cl_arg y)
{
    return (struct brume_product){ .batch = 1, .m = m, .n = n, .k = k, .a = a, .bias = bias,
                                   .bias_rows = bias_rows, .res = res, .y = y };
}

void brume_conv_tile(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg x,
                     struct brume_cl_arg packed, struct brume_cl_arg bias, bool per_sample, struct brume_cl_arg res,
                     struct brume_cl_arg y)
{
    if (brume_conv_is_product(g)) {
        const struct brume_product p =
            conv_product(g->n * g->ho * g->wo, g->o, g->i, x, bias, per_sample ? g->ho * g->wo : 0, res, y);
        brume_product_tile(&p, c, l, packed);
        return;
    }
    const struct brume_tile t = brume_tile_of(c);
    struct brume_cl_launch *k = brume_tile_add(l, c, "gemm_tile.cl", "conv_tile", "");
    brume_cl_size3(k, (size_t)ceil_div(g->n * g->ho * g->wo, t.mr), (size_t)ceil_div(g->o, t.nr), 1, 1, 1, 1);
    brume_cl_operand(k, x);
    brume_cl_operand(k, packed);
    brume_cl_operand(k, bias);
    brume_cl_operand(k, res);
    brume_cl_operand(k, y);
    const int64_t v[] = { g->n, g->h, g->w, g->i, g->ho, g->wo, g->o, g->kh, g->kw, g->stride, 1, -g->top, -g->left, 1,
                          per_sample ? g->ho * g->wo : 0 };
    brume_cl_ints(k, (int)(sizeof v / sizeof *v), v);
}

void brume_conv_tile_dx(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg dy,
                        struct brume_cl_arg packed, struct brume_cl_arg dx)
{
    if (brume_conv_is_product(g)) {
        const struct brume_product p = conv_product(g->n * g->h * g->w, g->i, g->o, dy, brume_at_in(-1), 0, brume_at_in(-1), dx);
        brume_product_tile(&p, c, l, packed);
        return;
    }
    const struct brume_tile t = brume_tile_of(c);
    const int64_t largest = g->n * ceil_div(g->h, g->stride) * ceil_div(g->w, g->stride);
    struct brume_cl_launch *k = brume_tile_add(l, c, "gemm_tile.cl", "conv_tile", "");
    brume_cl_size3(k, (size_t)ceil_div(largest, t.mr), (size_t)ceil_div(g->i, t.nr), (size_t)(g->stride * g->stride), 1, 1, 1);
    brume_cl_operand(k, dy);
    brume_cl_operand(k, packed);
    brume_cl_operand(k, brume_at_in(-1));
    brume_cl_operand(k, brume_at_in(-1));
    brume_cl_operand(k, dx);
    const int64_t v[] = { g->n, g->ho, g->wo, g->o, g->h, g->w, g->i, g->kh, g->kw, 1, -1, g->top, g->left, g->stride, 0 };
    brume_cl_ints(k, (int)(sizeof v / sizeof *v), v);
}

/* How a weight gradient is cut: tiles of the channels; lines of at most q pixels, some lines per split and block. */
struct cut { int64_t lines, h, w, p, q, total, per_split, splits, per_block, tiles; bool swap, narrow; };

static struct cut cut_of(const struct brume_conv *g, const struct brume_caps *c)
{
    const struct brume_tile t = brume_tile_of(c);
    struct cut s = { .lines = g->n * g->ho, .h = g->h, .w = g->w, .p = g->ho, .q = g->wo, .total = g->n * g->ho * g->wo };
    if (brume_conv_is_product(g)) { /* any lines will do: longer ones cost less */
        s.q = s.w = 64;
        s.lines = s.p = s.h = ceil_div(s.total, s.q);
    }
    /* A split's pixels of both operands stay in the second-level cache (256 KiB) while all tiles run over them, but every split
     * costs one partial result, so it should not have less than 256 pixels. A block's lines stay in the first-level cache. */
    const int64_t fit = 65536 / (g->i + g->o), pixels = fit > 256 ? fit : 256;
    s.splits = ceil_div(s.lines, ceil_div(pixels, s.q));
    s.per_split = ceil_div(s.lines, s.splits);
    s.splits = ceil_div(s.lines, s.per_split);
    s.per_block = ceil_div(64, s.q);
    s.swap = g->o < t.nr && g->i > g->o;
    const int64_t rows = s.swap ? g->o : g->i, cols = s.swap ? g->i : g->o;
    s.tiles = ceil_div(rows, t.mr) * ceil_div(cols, t.nr);
    s.narrow = cols < t.nr;
    return s;
}

size_t brume_conv_tile_dw_work(const struct brume_conv *g, const struct brume_caps *c)
{
    const struct cut s = cut_of(g, c);
    const struct brume_tile t = brume_tile_of(c);
    return (size_t)(s.splits * s.tiles * g->kh * g->kw * t.mr * t.nr) * sizeof(float);
}

void brume_conv_tile_dw(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg x,
                        struct brume_cl_arg dy, struct brume_cl_arg work, struct brume_cl_arg dw)
{
    const struct brume_tile t = brume_tile_of(c);
    const struct cut s = cut_of(g, c);
    const int64_t taps = g->kh * g->kw;
    struct brume_cl_launch *k = brume_tile_add(l, c, "conv_tile_dw.cl", "conv_tile_dw", s.narrow ? " -DNARROW" : "");
    brume_cl_size2(k, (size_t)s.tiles, (size_t)s.splits, 1, 1);
    brume_cl_operand(k, x);
    brume_cl_operand(k, dy);
    brume_cl_operand(k, work);
    const int64_t v[] = { s.lines, s.h, s.w, g->i, s.p, s.q, g->o, g->kh, g->kw, g->stride, g->top, g->left, s.total,
                          s.per_split, s.per_block, s.swap };
    brume_cl_ints(k, (int)(sizeof v / sizeof *v), v);
    k = brume_tile_add(l, c, "conv_tile_dw.cl", "conv_tile_dw_sum", "");
    brume_cl_size1(k, (size_t)(s.tiles * taps * t.mr), 16);
    brume_cl_operand(k, work);
    brume_cl_operand(k, dw);
    const int64_t u[] = { g->i, g->o, taps, s.splits, s.swap };
    brume_cl_ints(k, (int)(sizeof u / sizeof *u), u);
}
