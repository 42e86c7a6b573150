/* SPDX-License-Identifier: MIT
 * Launches of cl/gemm_local.cl: products and convolutions on GPUs. */
#include "ops/gemm_cl.h"

/* Tile (bm, bn) of a work-group, terms per turn, results per work-item (tm, tn), floats per vector; how near a large tile comes
 * to the peak, a guess from the ratio of multiply-adds to local memory reads. Rate 0: only tuning takes it. */
struct block { const char *name; int bm, bn, bk, tm, tn, vw; double rate; };

/* Parameters for GPUs, large tiles first. Work-groups have at most 256 work-items, local memory is at most 16 KiB: what every GPU
 * has. */
static const struct block blocks[] = {
    { "128x128x8", 128, 128, 8, 8, 8, 4, 1.0 },
    { "128x64x16", 128, 64, 16, 8, 8, 4, 0 },
    { "64x64x16", 64, 64, 16, 8, 4, 4, 0.85 },
    { "64x64x16v2", 64, 64, 16, 4, 4, 2, 0 },    /* twice the work-items with half the registers, for drivers that have few */
    { "64x32x16", 64, 32, 16, 8, 4, 4, 0.8 },
    { "32x32x16", 32, 32, 16, 4, 4, 4, 0.6 },
};
enum { N_BLOCKS = sizeof blocks / sizeof *blocks };

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static int threads(const struct block *b) { return b->bm / b->tm * (b->bn / b->tn); }

static bool runs(const struct block *b, const struct brume_caps *c)
{
    return (size_t)threads(b) <= c->max_work_group &&
           (size_t)b->bk * (size_t)(b->bm + b->bn + 8) * sizeof(float) <= c->local_bytes;
}

static const char *row_name(int row) { return blocks[row - 1].name; }
static bool row_fits(int row, const struct brume_caps *c) { return runs(&blocks[row - 1], c); }

const struct brume_rows brume_local_rows = { N_BLOCKS, row_name, row_fits };

bool brume_local_runs(const struct brume_caps *c) { return runs(&blocks[N_BLOCKS - 1], c); }

/* The block that is asked for, else the one that promises most for m x n results computed `times` times: useful part of its tiles
 * x its rate x devices kept busy. */
static const struct block *choose(const struct brume_caps *c, int64_t m, int64_t n, int64_t times)
{
    const struct block *best = &blocks[c->row ? c->row - 1 : N_BLOCKS - 1];
    double most = 0;
    if (c->row) return best;
    for (int i = 0; i < N_BLOCKS; i++) {
        const struct block *b = &blocks[i];
        if (!runs(b, c)) continue;
        const double groups = (double)ceil_div(m, b->bm) * (double)ceil_div(n, b->bn), wanted = 2.0 * c->compute_units;
        const double useful = (double)m * (double)n / (groups * b->bm * b->bn);
        const double busy = groups * (double)times < wanted ? groups * (double)times / wanted : 1.0;
        if (useful * b->rate * busy > most) {
            most = useful * b->rate * busy;
            best = b;
        }
    }
    return best;
}

static struct brume_cl_launch *add(struct brume_cl_list *l, const struct block *b, const char *kernel, const char *more,
                                   int64_t m, int64_t n, int64_t times)
{
    struct brume_cl_launch *k = brume_cl_add(l, "gemm_local.cl", kernel, "-DBM=%d -DBN=%d -DBK=%d -DTM=%d -DTN=%d -DVW=%d%s",
                                             b->bm, b->bn, b->bk, b->tm, b->tn, b->vw, more);
    const size_t tx = (size_t)(b->bn / b->tn), ty = (size_t)(b->bm / b->tm);
    brume_cl_size3(k, (size_t)ceil_div(n, b->bn) * tx, (size_t)ceil_div(m, b->bm) * ty, (size_t)times, tx, ty, 1);
    return k;
}

void brume_product_local(const struct brume_product *p, const struct brume_caps *c, struct brume_cl_list *l)
{
    static const char *const forms[2][2] = { { "", " -DBT" }, { " -DAT", " -DAT -DBT" } };
    const struct block *b = choose(c, p->m, p->n, p->batch);
    struct brume_cl_launch *k = add(l, b, "gemm_local", forms[p->trans_a][p->trans_b], p->m, p->n, p->batch);
    brume_cl_operand(k, p->a);
    brume_cl_operand(k, p->b);
    brume_cl_operand(k, p->bias);
    brume_cl_operand(k, p->res);
    brume_cl_operand(k, p->y);
    const int64_t v[] = { p->m, p->n, p->k, p->bias_rows };
    brume_cl_ints(k, (int)(sizeof v / sizeof *v), v);
}

void brume_conv_local(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg x,
                      struct brume_cl_arg w, struct brume_cl_arg bias, bool per_sample, struct brume_cl_arg res,
                      struct brume_cl_arg y)
{
    const int64_t pixels = g->n * g->ho * g->wo;
    struct brume_cl_launch *k = add(l, choose(c, pixels, g->o, 1), "conv_local", "", pixels, g->o, 1);
    brume_cl_operand(k, x);
    brume_cl_operand(k, w);
    brume_cl_operand(k, bias);
    brume_cl_operand(k, res);
    brume_cl_operand(k, y);
    const int64_t v[] = { g->n, g->h, g->w, g->i, g->ho, g->wo, g->o, g->kh, g->kw, g->stride, 1, -g->top, -g->left, 1,
                          per_sample ? g->ho * g->wo : 0 };
    brume_cl_ints(k, (int)(sizeof v / sizeof *v), v);
}

void brume_conv_local_dx(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg dy,
                         struct brume_cl_arg w, struct brume_cl_arg dx)
{
    const int64_t phases = g->stride * g->stride, pixels = g->n * ceil_div(g->h, g->stride) * ceil_div(g->w, g->stride);
    struct brume_cl_launch *k = add(l, choose(c, pixels, g->i, phases), "conv_local", " -DBT", pixels, g->i, phases);
    brume_cl_operand(k, dy);
    brume_cl_operand(k, w);
    brume_cl_operand(k, brume_at_in(-1));
    brume_cl_operand(k, brume_at_in(-1));
    brume_cl_operand(k, dx);
    const int64_t v[] = { g->n, g->ho, g->wo, g->o, g->h, g->w, g->i, g->kh, g->kw, 1, -1, g->top, g->left, g->stride, 0 };
    brume_cl_ints(k, (int)(sizeof v / sizeof *v), v);
}

/* Weight gradients have few results and many terms: splits keep the device busy, each with at least 256 pixels, so that partial
 * results stay cheap beside the products. */
static int64_t dw_splits(const struct brume_conv *g, const struct brume_caps *c, const struct block *b)
{
    const int64_t pixels = g->n * g->ho * g->wo;
    const int64_t groups = ceil_div(g->i, b->bm) * ceil_div(g->o, b->bn) * g->kh * g->kw;
    const int64_t wanted = ceil_div(4 * c->compute_units, groups), most = ceil_div(pixels, 256);
    const int64_t splits = wanted < most ? wanted : most;
    return ceil_div(pixels, ceil_div(pixels, splits)); /* none may be empty */
}

static const struct block *dw_block(const struct brume_conv *g, const struct brume_caps *c)
{
    return choose(c, g->i, g->o, g->kh * g->kw * ceil_div(g->n * g->ho * g->wo, 256));
}

size_t brume_conv_local_dw_work(const struct brume_conv *g, const struct brume_caps *c)
{
    const int64_t splits = dw_splits(g, c, dw_block(g, c));
    return splits > 1 ? (size_t)(splits * g->kh * g->kw * g->i * g->o) * sizeof(float) : 0;
}

void brume_conv_local_dw(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg x,
                         struct brume_cl_arg dy, struct brume_cl_arg work, struct brume_cl_arg dw)
{
    const struct block *b = dw_block(g, c);
    const int64_t taps = g->kh * g->kw, pixels = g->n * g->ho * g->wo, splits = dw_splits(g, c, b);
    struct brume_cl_launch *k = add(l, b, "conv_local_dw", "", g->i, g->o, taps * splits);
    brume_cl_operand(k, x);
    brume_cl_operand(k, dy);
    brume_cl_operand(k, splits > 1 ? work : dw);
    const int64_t v[] = { g->h, g->w, g->i, g->ho, g->wo, g->o, g->kw, taps, g->stride, g->top, g->left, pixels,
                          ceil_div(pixels, splits) };
    brume_cl_ints(k, (int)(sizeof v / sizeof *v), v);
    if (splits > 1) brume_cl_sum_splits(l, c, work, dw, taps * g->i * g->o, splits);
}
