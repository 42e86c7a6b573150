/* SPDX-License-Identifier: MIT
 * Weight gradient of a convolution: for every tap, (source pixels)^T x (output gradient), with pixels as the depth. */
#include "simd/conv.h"

#include "base/pool.h"
#include "simd/isa.h"
#include "simd/tile.h"

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

struct grad {
    const struct brume_conv *c;
    const float *x, *dy;
    float *dw, *partial; /* with one split the sum goes to dw at once */
    char *scratch;
    struct brume_conv_dw_cut k;
};

/* Images n0 .. n1 - 1, output rows y0 .. y1 - 1, source rows s0 .. s1 - 1. */
struct chunk { int64_t n0, n1, y0, y1, s0, s1; };

static struct chunk chunk_at(const struct grad *g, int64_t i)
{
    const struct brume_conv *const c = g->c;
    struct chunk k;
    k.n0 = i / g->k.chunks_per_image * g->k.images;
    k.n1 = min64(c->n, k.n0 + g->k.images);
    k.y0 = i % g->k.chunks_per_image * g->k.rows;
    k.y1 = min64(c->ho, k.y0 + g->k.rows);
    k.s0 = min64(c->h, max64(0, k.y0 * c->stride - c->top));
    k.s1 = max64(k.s0, min64(c->h, (k.y1 - 1) * c->stride - c->top + c->kh));
    return k;
}

/* Channels i0 .. i1 - 1 of the chunk's source pixels as [tile][pixel][MR]: with power-of-two channel counts the rows in place
 * would fall on the same cache sets. */
static void pack_source(const struct grad *g, const struct chunk *k, int64_t i0, int64_t i1, float *out)
{
    const struct brume_conv *const c = g->c;
    const int64_t pixels = (k->s1 - k->s0) * c->w, tile_step = g->k.source_pixels * MR;
    for (int64_t n = k->n0; n < k->n1; n++) {
        const float *s = g->x + (n * c->h + k->s0) * c->w * c->i + i0;
        for (int64_t p = 0; p < pixels; p++, s += c->i, out += MR) {
            float *o = out;
            int64_t i = i0;
            for (; i + MR <= i1; i += MR, o += tile_step) memcpy(o, s + (i - i0), MR * sizeof *o);
            for (; i < i1; i++) *o++ = s[i - i0];
        }
    }
}

/* Panels p0 .. p1 - 1 of the chunk's output gradient as [panel][pixel][NR]. */
static void pack_gradient(const struct grad *g, const struct chunk *k, int64_t p0, int64_t p1, float *out)
{
    const struct brume_conv *const c = g->c;
    const int64_t pixels = (k->y1 - k->y0) * c->wo;
    for (int64_t p = p0; p < p1; p++) {
        const int columns = (int)min64(NR, c->o - p * NR);
        float *o = out + (p - p0) * g->k.pixels * NR;
        for (int64_t n = k->n0; n < k->n1; n++) {
            const float *s = g->dy + ((n * c->ho + k->y0) * c->wo) * c->o + p * NR;
            for (int64_t q = 0; q < pixels; q++, s += c->o, o += NR) {
                if (columns == NR) {
                    vstore(o, vload(s));
                    vstore(o + VW, vload(s + VW));
                    continue;
                }
                for (int j = 0; j < columns; j++) o[j] = s[j];
                for (int j = columns; j < NR; j++) o[j] = 0;
            }
        }
    }
}

/* Offsets, in the packed source and the packed gradient, of the pixels whose tap (ky, kx) lies inside the image. */
static int64_t pair(const struct grad *g, const struct chunk *k, int ky, int kx, int32_t *ka, int32_t *kb)
{
    const struct brume_conv *const c = g->c;
    /* columns x with 0 <= x stride - left + kx < w */
    const int64_t x0 = max64(0, (c->left - kx + c->stride - 1) / c->stride);
    const int64_t room = c->w - 1 + c->left - kx;
    const int64_t x1 = room < 0 ? 0 : min64(c->wo, room / c->stride + 1);
    int64_t count = 0;
    for (int64_t n = k->n0; n < k->n1; n++)
        for (int64_t y = k->y0; y < k->y1; y++) {
            const int64_t s = y * c->stride - c->top + ky;
            if (s < 0 || s >= c->h) continue;
            const int64_t source = (((n - k->n0) * (k->s1 - k->s0) + s - k->s0) * c->w - c->left + kx) * MR;
            const int64_t pixel = ((n - k->n0) * (k->y1 - k->y0) + y - k->y0) * c->wo * NR;
            for (int64_t x = x0; x < x1; x++, count++) {
                ka[count] = (int32_t)(source + x * c->stride * MR);
                kb[count] = (int32_t)(pixel + x * NR);
            }
        }
    return count;
}

static void grad_task(void *ctx, int64_t task, int thread)
{
    const struct grad *const g = ctx;
    const struct brume_conv *const c = g->c;
    const int64_t split = task % g->k.splits, ig = task / g->k.splits % g->k.i_groups, pg = task / g->k.splits / g->k.i_groups;
    const int64_t i0 = ig * g->k.i_group, i1 = min64(c->i, i0 + g->k.i_group), panels = (c->o + NR - 1) / NR;
    const int64_t p0 = pg * g->k.panel_group, p1 = min64(panels, p0 + g->k.panel_group);
    char *const scratch = g->scratch + (size_t)thread * g->k.thread_bytes;
    float *const xs = (float *)scratch;
    float *const ys = xs + (g->k.source_pixels * g->k.i_group + 15) / 16 * 16;
    int32_t *const ka = (int32_t *)(ys + (g->k.pixels * g->k.panel_group * NR + 15) / 16 * 16), *const kb = ka + g->k.pixels;
    float *const sum = g->k.splits > 1 ? g->partial + split * c->kh * c->kw * c->i * c->o : g->dw;

    const int64_t each = (g->k.chunks + g->k.splits - 1) / g->k.splits, last = min64(g->k.chunks, (split + 1) * each);
    for (int64_t chunk = split * each; chunk < last; chunk++) {
        const struct chunk k = chunk_at(g, chunk);
        pack_source(g, &k, i0, i1, xs);
        pack_gradient(g, &k, p0, p1, ys);
        for (int tap = 0; tap < c->kh * c->kw; tap++) {
            const int64_t depth = pair(g, &k, tap / c->kw, tap % c->kw, ka, kb);
            if (!depth && chunk > split * each) continue;
            for (int64_t p = p0; p < p1; p++) {
                const int columns = (int)min64(NR, c->o - p * NR);
                const struct tile_out o = { sum + p * NR, NULL, NULL, 1.0f, chunk > split * each };
                for (int64_t i = i0; i < i1; i += MR) {
                    const int rows = (int)min64(MR, i1 - i);
                    int64_t row[MR];
                    for (int r = 0; r < rows; r++) row[r] = (tap * c->i + i + r) * c->o;
                    vf t[MR * 2];
                    tile_packed[rows - 1][columns <= VW](xs + (i - i0) * g->k.source_pixels, ys + (p - p0) * g->k.pixels * NR, ka,
                                                         kb, depth, t);
                    tile_store(&o, rows, columns, row, row, t);
                }
            }
        }
    }
}

#define ADD_BLOCK 4096

static void add_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct grad *const g = ctx;
    const int64_t size = g->c->i * g->c->o * g->c->kh * g->c->kw, begin = task * ADD_BLOCK, end = min64(size, begin + ADD_BLOCK);
    memcpy(g->dw + begin, g->partial + begin, (size_t)(end - begin) * sizeof *g->dw);
    for (int64_t s = 1; s < g->k.splits; s++) {
        const float *const q = g->partial + s * size;
        int64_t i = begin;
        for (; i + VW <= end; i += VW) vstore(g->dw + i, vload(g->dw + i) + vload(q + i));
        for (; i < end; i++) g->dw[i] += q[i];
    }
}

extern void ISA(brume_conv_weight_gradient)(const struct brume_conv *c, const float *x, const float *dy, float *dw, void *work,
                                            struct brume_pool *pool);
void ISA(brume_conv_weight_gradient)(const struct brume_conv *c, const float *x, const float *dy, float *dw, void *work,
                                     struct brume_pool *pool)
{
    struct grad g = { c, x, dy, dw, work, NULL, brume_conv_dw_cut(c, VW) };
    g.scratch = (char *)work + g.k.partial_bytes;
    brume_pool_run(pool, g.k.splits * g.k.i_groups * g.k.panel_groups, grad_task, &g);
    if (g.k.splits > 1) brume_pool_run(pool, (c->i * c->o * c->kh * c->kw + ADD_BLOCK - 1) / ADD_BLOCK, add_task, &g);
}
