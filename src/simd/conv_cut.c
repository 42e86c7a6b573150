/* SPDX-License-Identifier: MIT
 * How convolutions are cut into tasks, and the memory that this takes. */
#include "simd/conv.h"

#define DEPTH 256              /* pixels of one pass of the weight gradient: two panels of them stay in L1 */
#define I_GROUP 96             /* input channels of a task: a multiple of every MR */
#define O_GROUP 128            /* output channels of a task */
#define TASKS 32
#define TASK_WORK (1 << 21)    /* multiply-adds that make another partial sum worth its addition */
#define PARTIAL_BYTES (16 << 20)
#define MAX_MR 12

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
static size_t round64(size_t n) { return (n + 63) / 64 * 64; }

int64_t brume_conv_packed(const struct brume_conv *c, int vector_width)
{
    const int64_t nr = 2 * vector_width;
    return div_up(c->o, nr) * nr * c->kh * c->kw * c->i;
}

int64_t brume_conv_packed_dx(const struct brume_conv *c, int vector_width)
{
    const int64_t nr = 2 * vector_width;
    return div_up(c->i, nr) * nr * c->kh * c->kw * c->o;
}

/* A row of zeros, and the tables of source row by (result row, ky) and source column by (result column, kx). */
size_t brume_conv_work(const struct brume_conv *c)
{
    return round64((size_t)c->i * 4) + (size_t)(c->ho * c->kh + c->wo * c->kw) * 4;
}

size_t brume_conv_work_dx(const struct brume_conv *c)
{
    return round64((size_t)c->o * 4) + (size_t)(c->h * c->kh + c->w * c->kw) * 4;
}

struct brume_conv_dw_cut brume_conv_dw_cut(const struct brume_conv *c, int vector_width)
{
    struct brume_conv_dw_cut k = { 0 };
    const int64_t nr = 2 * vector_width, pixels = c->ho * c->wo, panels = div_up(c->o, nr);
    if (pixels * 2 <= DEPTH) {
        k.images = div_up(c->n, div_up(c->n, min64(c->n, DEPTH / pixels)));
        k.rows = c->ho;
        k.chunks_per_image = 1;
        k.chunks = div_up(c->n, k.images);
    } else {
        k.images = 1;
        k.rows = div_up(c->ho, div_up(c->ho, max64(1, DEPTH / c->wo)));
        k.chunks_per_image = div_up(c->ho, k.rows);
        k.chunks = c->n * k.chunks_per_image;
    }
    k.pixels = k.images * k.rows * c->wo;
    k.source_pixels = k.images * min64(c->h, (k.rows - 1) * c->stride + c->kh) * c->w;
    k.i_groups = div_up(c->i, I_GROUP);
    k.i_group = div_up(div_up(c->i, k.i_groups), MAX_MR) * MAX_MR;
    k.i_groups = div_up(c->i, k.i_group);
    k.panel_groups = div_up(c->o, O_GROUP);
    k.panel_group = div_up(panels, k.panel_groups);
    k.panel_groups = div_up(panels, k.panel_group);

    const double weights = (double)c->kh * c->kw * c->i * c->o;
    int64_t splits = div_up(TASKS, k.i_groups * k.panel_groups);
    splits = min64(splits, 1 + (int64_t)min64(1 << 20, (int64_t)(weights * c->n * pixels / TASK_WORK)));
    splits = min64(splits, max64(1, (int64_t)(PARTIAL_BYTES / (4 * weights))));
    splits = min64(splits, k.chunks);
    k.splits = div_up(k.chunks, div_up(k.chunks, splits));
    k.partial_bytes = k.splits > 1 ? round64((size_t)k.splits * (size_t)weights * 4) : 0;
    k.thread_bytes = round64((size_t)(k.source_pixels * k.i_group) * 4) + round64((size_t)(k.pixels * k.panel_group * nr) * 4) +
                   round64((size_t)k.pixels * 8);
    return k;
}

size_t brume_conv_work_dw(const struct brume_conv *c, int vector_width, int threads)
{
    const struct brume_conv_dw_cut k = brume_conv_dw_cut(c, vector_width);
    return k.partial_bytes + k.thread_bytes * (size_t)min64(threads, k.splits * k.i_groups * k.panel_groups);
}
