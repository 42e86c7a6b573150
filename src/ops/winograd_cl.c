/* SPDX-License-Identifier: MIT
 * Launches of cl/winograd.cl and cl/winograd_dw.cl: 3x3 convolutions of stride 1 on OpenCL devices of CPU type. */
#include "ops/gemm_cl.h"

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* 3x3 with one row of zeros around. An error is relative to all terms of a tile: with more padding some results, and in images
 * below 4x4 or with few tiles some weights, would have too few of them. */
static bool same(const struct brume_conv *g)
{
    return g->kh == 3 && g->kw == 3 && g->stride == 1 && g->top == 1 && g->left == 1 && g->ho == g->h && g->wo == g->w;
}

static bool fits(const struct brume_conv *g, int64_t c, const struct brume_caps *caps)
{
    return same(g) && c % brume_tile_of(caps).vw == 0;
}

bool brume_conv_winograd_fits(const struct brume_conv *g, const struct brume_caps *caps) { return fits(g, g->i, caps); }
bool brume_conv_winograd_dx_fits(const struct brume_conv *g, const struct brume_caps *caps) { return fits(g, g->o, caps); }

/* Worth its transforms: enough channels on both sides, tiles that are mostly image, and enough of them for weights that grow
 * fourfold. */
static bool pays(const struct brume_conv *g, int64_t least)
{
    const int64_t tiles = ceil_div(g->h, 4) * ceil_div(g->w, 4);
    return g->i >= 16 && g->o >= 16 && g->h * g->w * 2 >= tiles * 16 && g->n * tiles >= least;
}

bool brume_conv_winograd_pays(const struct brume_conv *g) { return pays(g, 16); }
bool brume_conv_winograd_dx_pays(const struct brume_conv *g) { return pays(g, 24); }

static size_t pack_bytes(int64_t c, int64_t o, const struct brume_caps *caps)
{
    const struct brume_tile t = brume_tile_of(caps);
    return (size_t)(ceil_div(o, t.nr) * 36 * c * t.nr + c) * sizeof(float);
}

size_t brume_conv_winograd_pack_bytes(const struct brume_conv *g, const struct brume_caps *caps)
{
    return pack_bytes(g->i, g->o, caps);
}
size_t brume_conv_winograd_dx_pack_bytes(const struct brume_conv *g, const struct brume_caps *caps)
{
    return pack_bytes(g->o, g->i, caps);
}

static void pack(int64_t c, int64_t o, int64_t stride_k, int64_t stride_n, bool flip, const struct brume_caps *caps,
                 struct brume_cl_list *l, struct brume_cl_arg w, struct brume_cl_arg packed)
{
    struct brume_cl_launch *k = brume_tile_add(l, caps, "winograd.cl", "winograd_pack", "");
    brume_cl_size2(k, (size_t)c, (size_t)ceil_div(o, brume_tile_of(caps).nr), 8, 1);
    brume_cl_operand(k, w);
    brume_cl_operand(k, packed);
    brume_cl_int(k, c);
    brume_cl_int(k, o);
    brume_cl_long(k, c * o);
    brume_cl_int(k, stride_k);
    brume_cl_int(k, stride_n);
    brume_cl_int(k, flip);
}

void brume_conv_winograd_pack(const struct brume_conv *g, const struct brume_caps *caps, struct brume_cl_list *l,
                              struct brume_cl_arg w, struct brume_cl_arg packed)
{
    pack(g->i, g->o, g->o, 1, false, caps, l, w, packed);
}

void brume_conv_winograd_dx_pack(const struct brume_conv *g, const struct brume_caps *caps, struct brume_cl_list *l,
                                 struct brume_cl_arg w, struct brume_cl_arg packed)
{
    pack(g->o, g->i, 1, g->o, true, caps, l, w, packed);
}

/* x (h, w, c) to y (h, w, o). */
struct pass { int64_t n, h, w, c, o; bool per_sample; };

/* How the tiles are cut: blocks of `block` tiles, handed in turn to `items` work-items; in floats, sources and (sources and
 * products) of a block. */
struct cut { int64_t tiles, block, items, source, size; bool staged; };

static struct cut cut_of(const struct pass *s, const struct brume_caps *caps)
{
    const struct brume_tile t = brume_tile_of(caps);
    const int64_t units = caps->compute_units > 0 ? caps->compute_units : 1, columns = ceil_div(s->o, t.nr) * t.nr;
    struct cut k = { .tiles = s->n * ceil_div(s->h, 4) * ceil_div(s->w, 4), .items = 2 * units };
    /* Sources and products of a block stay in the second-level cache (and some of the third); few tiles are one block, cut
     * otherwise. */
    const int64_t fit = 768 * 1024 / (36 * (s->c + columns) * (int64_t)sizeof(float)), least = 4 * t.mr, most = 8 * t.mr;
    const int64_t limit = fit < least ? least : fit > most ? most : fit;
    k.staged = k.tiles <= 48 * units;
    const int64_t each = ceil_div(k.tiles, k.items);
    k.block = k.staged ? k.tiles : ceil_div(ceil_div(each, ceil_div(each, limit)), t.mr) * t.mr;
    if (k.staged) k.items = 1;
    if (k.items > ceil_div(k.tiles, k.block)) k.items = ceil_div(k.tiles, k.block);
    k.source = ceil_div(36 * (k.block * s->c + 16), 64) * 64;
    k.size = k.source + ceil_div(36 * (k.block * columns + 16), 64) * 64;
    return k;
}

static size_t work_bytes(const struct pass *s, const struct brume_caps *caps)
{
    const struct cut k = cut_of(s, caps);
    return (size_t)(k.items * k.size) * sizeof(float);
}

/* operands: x, packed weights, bias, res, y. */
static void run_blocks(const struct pass *s, const struct cut *k, const struct brume_caps *caps, struct brume_cl_list *l,
                       const struct brume_cl_arg operands[5])
{
    struct brume_cl_launch *q = brume_tile_add(l, caps, "winograd.cl", "winograd_blocks", "");
    brume_cl_size1(q, (size_t)k->items, 1);
    for (int i = 0; i < 5; i++) brume_cl_operand(q, operands[i]);
    brume_cl_work(q, 0);
    const int64_t v[] = { s->n, s->h, s->w, s->c, s->o, s->per_sample, k->block, k->items };
    brume_cl_ints(q, (int)(sizeof v / sizeof *v), v);
    brume_cl_long(q, k->size);
}

static void run_stages(const struct pass *s, const struct cut *k, const struct brume_caps *caps, struct brume_cl_list *l,
                       const struct brume_cl_arg operands[5])
{
    const int64_t products = k->source * (int64_t)sizeof(float);
    struct brume_cl_launch *q = brume_tile_add(l, caps, "winograd.cl", "winograd_sources", "");
    brume_cl_size1(q, (size_t)k->tiles, 1);
    brume_cl_operand(q, operands[0]);
    brume_cl_operand(q, operands[1]);
    brume_cl_work(q, 0);
    brume_cl_ints(q, 5, (const int64_t[]){ k->tiles, s->h, s->w, s->c, s->o });
    q = brume_tile_add(l, caps, "winograd.cl", "winograd_products", "");
    brume_cl_size2(q, (size_t)ceil_div(s->o, brume_tile_of(caps).nr), 36, 1, 1);
    brume_cl_work(q, 0);
    brume_cl_operand(q, operands[1]);
    brume_cl_work(q, products);
    brume_cl_ints(q, 3, (const int64_t[]){ k->tiles, s->c, s->o });
    q = brume_tile_add(l, caps, "winograd.cl", "winograd_results", "");
    brume_cl_size1(q, (size_t)k->tiles, 1);
    brume_cl_work(q, products);
    for (int i = 2; i < 5; i++) brume_cl_operand(q, operands[i]);
    brume_cl_ints(q, 5, (const int64_t[]){ k->tiles, s->h, s->w, s->o, s->per_sample });
}

static void run(const struct pass *s, const struct brume_caps *caps, struct brume_cl_list *l,
                const struct brume_cl_arg operands[5])
{
    const struct cut k = cut_of(s, caps);
    if (k.staged) run_stages(s, &k, caps, l, operands);
    else run_blocks(s, &k, caps, l, operands);
}

static struct pass forward(const struct brume_conv *g, bool per_sample)
{
    return (struct pass){ g->n, g->h, g->w, g->i, g->o, per_sample };
}
static struct pass backward(const struct brume_conv *g) { return (struct pass){ g->n, g->h, g->w, g->o, g->i, false }; }

size_t brume_conv_winograd_work(const struct brume_conv *g, const struct brume_caps *caps)
{
    const struct pass s = forward(g, false);
    return work_bytes(&s, caps);
}

size_t brume_conv_winograd_dx_work(const struct brume_conv *g, const struct brume_caps *caps)
{
    const struct pass s = backward(g);
    return work_bytes(&s, caps);
}

void brume_conv_winograd(const struct brume_conv *g, const struct brume_caps *caps, struct brume_cl_list *l,
                         struct brume_cl_arg x, struct brume_cl_arg packed, struct brume_cl_arg bias, bool per_sample,
                         struct brume_cl_arg res, struct brume_cl_arg y)
{
    const struct pass s = forward(g, per_sample);
    run(&s, caps, l, (const struct brume_cl_arg[]){ x, packed, bias, res, y });
}

void brume_conv_winograd_dx(const struct brume_conv *g, const struct brume_caps *caps, struct brume_cl_list *l,
                            struct brume_cl_arg dy, struct brume_cl_arg packed, struct brume_cl_arg dx)
{
    const struct pass s = backward(g);
    run(&s, caps, l, (const struct brume_cl_arg[]){ dy, packed, brume_at_in(-1), brume_at_in(-1), dx });
}

/* A weight gradient: tiles in chunks of t, whose transforms (floats each, then the sums) lie one after another in the
 * workspace. */
struct dw { int64_t tiles_y, tiles_x, tiles, t, chunks, source, result, sums, panels, rows; };

static struct dw dw_of(const struct brume_conv *g, const struct brume_caps *caps)
{
    const struct brume_tile t = brume_tile_of(caps);
    struct dw s = { .tiles_y = ceil_div(g->ho, 4), .tiles_x = ceil_div(g->wo, 4), .rows = t.vw == 16 ? 8 : 4,
                    .panels = ceil_div(g->o, t.nr) };
    s.tiles = g->n * s.tiles_y * s.tiles_x;
    /* One of the 36 products should find its operands in the second-level cache (256 KiB); not too many launches. */
    s.t = 65536 / (g->i + g->o);
    if (s.t < 64) s.t = 64;
    if (s.t < ceil_div(s.tiles, 8)) s.t = ceil_div(s.tiles, 8);
    s.chunks = ceil_div(s.tiles, s.t);
    s.t = ceil_div(s.tiles, s.chunks);
    s.source = ceil_div(36 * g->i * (s.t + 2), 64) * 64;
    s.result = ceil_div(36 * s.panels * t.nr * (s.t + 2), 64) * 64;
    s.sums = 36 * g->i * s.panels * t.nr;
    return s;
}

bool brume_conv_winograd_dw_fits(const struct brume_conv *g, const struct brume_caps *caps)
{
    const struct brume_tile t = brume_tile_of(caps);
    return same(g) && g->h >= 4 && g->w >= 4 && g->n * ceil_div(g->h, 4) * ceil_div(g->w, 4) >= 8 && g->i % t.vw == 0 &&
           g->o % t.vw == 0;
}

bool brume_conv_winograd_dw_pays(const struct brume_conv *g) { return pays(g, 24); }

size_t brume_conv_winograd_dw_work(const struct brume_conv *g, const struct brume_caps *caps)
{
    const struct dw s = dw_of(g, caps);
    return (size_t)(s.source + s.result + s.sums) * sizeof(float);
}

static void transform(const struct dw *s, const struct brume_caps *caps, struct brume_cl_list *l, struct brume_cl_arg from,
                      int64_t h, int64_t w, int64_t c, int64_t top, int64_t left, bool grad, int64_t first, int64_t count)
{
    struct brume_cl_launch *k = brume_tile_add(l, caps, "winograd_dw.cl", "winograd_dw_transform", "");
    brume_cl_size1(k, (size_t)count, 1);
    brume_cl_operand(k, from);
    brume_cl_work(k, grad ? s->source * (int64_t)sizeof(float) : 0);
    const int64_t v[] = { h, w, c, s->tiles_y, s->tiles_x, top, left, grad, first, count, s->t };
    brume_cl_ints(k, (int)(sizeof v / sizeof *v), v);
}

void brume_conv_winograd_dw(const struct brume_conv *g, const struct brume_caps *caps, struct brume_cl_list *l,
                            struct brume_cl_arg x, struct brume_cl_arg dy, struct brume_cl_arg dw)
{
    const struct dw s = dw_of(g, caps);
    const int64_t result = s.source * (int64_t)sizeof(float), sums = result + s.result * (int64_t)sizeof(float);
    for (int64_t first = 0; first < s.tiles; first += s.t) {
        const int64_t count = first + s.t < s.tiles ? s.t : s.tiles - first;
        transform(&s, caps, l, x, g->h, g->w, g->i, 1, 1, false, first, count);
        transform(&s, caps, l, dy, g->ho, g->wo, g->o, 0, 0, true, first, count);
        struct brume_cl_launch *k = brume_tile_add(l, caps, "winograd_dw.cl", "winograd_dw_products", "");
        brume_cl_size3(k, (size_t)(g->i / s.rows), (size_t)s.panels, 36, 1, 1, 1);
        brume_cl_work(k, 0);
        brume_cl_work(k, result);
        brume_cl_work(k, sums);
        const int64_t v[] = { g->i, count, s.t, first > 0 };
        brume_cl_ints(k, (int)(sizeof v / sizeof *v), v);
    }
    struct brume_cl_launch *k = brume_tile_add(l, caps, "winograd_dw.cl", "winograd_dw_finish", "");
    brume_cl_size2(k, (size_t)g->i, (size_t)s.panels, 8, 1);
    brume_cl_work(k, sums);
    brume_cl_operand(k, dw);
    brume_cl_int(k, g->i);
    brume_cl_int(k, g->o);
}
