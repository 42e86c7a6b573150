/* SPDX-License-Identifier: MIT
 * Matrix products by register tiles (Goto & van de Geijn 2008): panels of B in L1, blocks of A in L2. */
#include "simd/gemm.h"

#include "base/pool.h"
#include "simd/isa.h"
#include "simd/tile.h"
#include "simd/widen.h"

#define ROW_BLOCK (16 * MR)     /* rows of one task: a block of A of ROW_BLOCK x KC stays in L2 */
#define PACK_TILES (48 / MR)   /* tiles of A packed at a time when its columns are not adjacent: 48 KiB of stack */
#define PACKED_PANELS 4        /* panels, at least, for which a task packs rows of A: packing costs about as much as one */
#define TASK_WORK (1 << 19)     /* multiply-adds that pay for waking a thread */
#define ONE_PASS (KC + KC / 4)  /* depth that is not cut for the sake of its rest */
#define PREFETCH 16            /* rows ahead while packing A */
#define PACK_WORK (1 << 15)     /* floats of B that a task packs */
#define MAX_TASKS 64

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Rows of A whose elements are adjacent along k: read in place, by pointer. */
static void block_rows(const struct brume_gemm *g, int64_t i0, int64_t i1, int64_t p0, int64_t p1)
{
    static const int32_t first_tap[1] = { 0 };
    const int64_t pass = g->k <= ONE_PASS ? g->k : KC;
    float wide[ONE_PASS * NR] __attribute__((aligned(64))); /* a panel that is kept in f16 */
    for (int64_t k0 = 0; k0 < g->k; k0 += pass) {
        const int64_t depth = min64(pass, g->k - k0);
        for (int64_t p = p0; p < p1; p++) {
            const int64_t j0 = p * NR, panel = (p * g->k + k0) * NR;
            if (g->b_half)
                for (int64_t i = 0; i < depth * NR; i += VW) vstore(wide + i, vwiden(g->b_half + panel + i));
            const float *const b = g->b_half ? wide : g->b + panel;
            const int columns = (int)min64(NR, g->n - j0);
            const struct tile_out o = { g->c + j0, k0 || !g->bias ? NULL : g->bias + j0,
                                        k0 || !g->residual ? NULL : g->residual + j0, g->alpha, g->add || k0 > 0 };
            static const int64_t no_rows[MR];
            for (int64_t i = i0; i < i1; i += MR) {
                const int rows = (int)min64(MR, i1 - i);
                const float *a[MR];
                int64_t row[MR];
                for (int r = 0; r < rows; r++) a[r] = g->a + (i + r) * g->a_row, row[r] = (i + r) * g->ldc;
                vf t[MR * 2];
                tile_pointer[rows - 1][columns <= VW](a, first_tap, 1, k0, depth, b, 0, t);
                tile_store(&o, rows, columns, row, no_rows, t);
            }
        }
    }
}

/* Tiles of A as [tile][KC][MR]; one row of k at a time, so that a transposed A is read along its rows. */
static void pack_a(const struct brume_gemm *g, int64_t i0, int64_t i1, int64_t k0, int64_t depth, float *out)
{
    for (int64_t k = 0; k < depth; k++, out += MR) {
        const float *s = g->a + i0 * g->a_row + (k0 + k) * g->a_col;
        float *o = out;
        int64_t i = i0;
        if (g->a_row == 1) {
            /* A walk across long rows is not foreseen by the processor. */
            for (int64_t q = i0; q < i1; q += 16) __builtin_prefetch(s + PREFETCH * g->a_col + (q - i0));
            for (; i + MR <= i1; i += MR, s += MR, o += KC * MR) memcpy(o, s, MR * sizeof *o);
        }
        for (; i < i1; i += MR, o += KC * MR)
            for (int r = 0; r < min64(MR, i1 - i); r++, s += g->a_row) o[r] = *s;
    }
}

static void block_packed(const struct brume_gemm *g, int64_t i0, int64_t i1, int64_t p0, int64_t p1)
{
    static const int64_t no_rows[MR];
    float ap[PACK_TILES * MR * KC];
    int32_t ka[KC], kb[KC];
    for (int k = 0; k < KC; k++) ka[k] = k * MR, kb[k] = k * NR;
    for (int64_t ib = i0; ib < i1; ib += PACK_TILES * MR) {
        const int64_t ie = min64(i1, ib + PACK_TILES * MR);
        for (int64_t k0 = 0; k0 < g->k; k0 += KC) {
            const int64_t depth = min64(KC, g->k - k0);
            pack_a(g, ib, ie, k0, depth, ap);
            for (int64_t p = p0; p < p1; p++) {
                const int64_t j0 = p * NR;
                const int columns = (int)min64(NR, g->n - j0);
                const struct tile_out o = { g->c + j0, k0 || !g->bias ? NULL : g->bias + j0,
                                            k0 || !g->residual ? NULL : g->residual + j0, g->alpha, g->add || k0 > 0 };
                for (int64_t i = ib; i < ie; i += MR) {
                    const int rows = (int)min64(MR, ie - i);
                    int64_t row[MR];
                    for (int r = 0; r < rows; r++) row[r] = (i + r) * g->ldc;
                    vf t[MR * 2];
                    tile_packed[rows - 1][columns <= VW](ap + (i - ib) * KC, g->b + (p * g->k + k0) * NR, ka, kb, depth, t);
                    tile_store(&o, rows, columns, row, no_rows, t);
                }
            }
        }
    }
}

static void block(const struct brume_gemm *g, int64_t i0, int64_t i1, int64_t p0, int64_t p1)
{
    if (g->a_col == 1) block_rows(g, i0, i1, p0, p1);
    else block_packed(g, i0, i1, p0, p1);
}

struct run {
    const struct brume_gemm *g;
    int64_t step_a, step_b, step_c, rows_each, row_tasks, panel_tasks, panels, panels_each;
};

static void run_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct run *const r = ctx;
    struct brume_gemm g = *r->g;
    const int64_t pt = task % r->panel_tasks, it = task / r->panel_tasks % r->row_tasks, j = task / r->panel_tasks / r->row_tasks;
    g.a += j * r->step_a;
    if (g.b) g.b += j * r->step_b;
    else g.b_half += j * r->step_b;
    g.c += j * r->step_c;
    if (g.residual) g.residual += j * r->step_c;
    block(&g, it * r->rows_each, min64(g.m, (it + 1) * r->rows_each), pt * r->panels_each,
          min64(r->panels, (pt + 1) * r->panels_each));
}

static void run(const struct brume_gemm *g, int64_t batch, int64_t step_a, int64_t step_b, int64_t step_c,
                struct brume_pool *pool)
{
    struct run r = { .g = g, .step_a = step_a, .step_b = step_b, .step_c = step_c };
    r.rows_each = ROW_BLOCK;
    r.row_tasks = div_up(g->m, ROW_BLOCK);
    r.panels = div_up(g->n, NR);
    const int64_t want = min64(MAX_TASKS, 1 + (int64_t)((double)g->m * g->n * g->k * batch / TASK_WORK));
    int64_t cut = min64(r.panels, div_up(want, r.row_tasks * batch));
    if (g->a_col != 1 && cut > 1) {
        /* Every task packs its rows of A: fewer rows for more panels. */
        const int64_t pairs = div_up(g->m, 2 * MR);
        cut = min64(cut, div_up(r.panels, PACKED_PANELS));
        r.rows_each = div_up(pairs, min64(pairs, div_up(want, cut * batch))) * 2 * MR;
        r.rows_each = min64(r.rows_each, ROW_BLOCK);
        r.row_tasks = div_up(g->m, r.rows_each);
    }
    r.panels_each = div_up(r.panels, cut);
    r.panel_tasks = div_up(r.panels, r.panels_each);
    brume_pool_run(pool, r.row_tasks * r.panel_tasks * batch, run_task, &r);
}

struct pack {
    int64_t k, n, b_row, b_col, step_b, panels, rows_each, row_tasks;
    const float *b;
    float *packed;
};

/* Rows k0 .. k1 - 1 of all panels. Along a row, where its elements are adjacent, so that memory is read in one stream. */
static void pack_rows(const struct pack *c, const float *b, int64_t k0, int64_t k1, float *packed)
{
    const int64_t whole = c->b_col == 1 ? c->n / NR : 0;
    for (int64_t i = k0; i < k1; i++) {
        const float *s = b + i * c->b_row;
        float *out = packed + i * NR;
        for (int64_t p = 0; p < whole; p++, s += NR, out += c->k * NR) {
            vstore(out, vload(s));
            vstore(out + VW, vload(s + VW));
        }
    }
    for (int64_t p = whole; p < c->panels; p++) {
        const float *const s = b + p * NR * c->b_col;
        const int columns = (int)min64(NR, c->n - p * NR);
        float *out = packed + (p * c->k + k0) * NR;
        for (int64_t i = k0; i < k1; i++, out += NR) {
            for (int j = 0; j < columns; j++) out[j] = s[i * c->b_row + j * c->b_col];
            for (int j = columns; j < NR; j++) out[j] = 0;
        }
    }
}

static void pack_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct pack *const c = ctx;
    const int64_t j = task / c->row_tasks, k0 = task % c->row_tasks * c->rows_each;
    pack_rows(c, c->b + j * c->step_b, k0, min64(c->k, k0 + c->rows_each), c->packed + j * c->panels * NR * c->k);
}

static void pack(int64_t k, int64_t n, const float *b, int64_t b_row, int64_t b_col, int64_t batch, int64_t step_b, float *packed,
                 struct brume_pool *pool)
{
    struct pack c = { .k = k, .n = n, .b_row = b_row, .b_col = b_col, .step_b = step_b, .b = b, .packed = packed };
    c.panels = div_up(n, NR);
    c.row_tasks = div_up(k, min64(k, 1 + PACK_WORK / (c.panels * NR)));
    c.rows_each = div_up(k, c.row_tasks);
    brume_pool_run(pool, c.row_tasks * batch, pack_task, &c);
}

struct pack_half { int64_t k, n, rows_each; const uint16_t *b; uint16_t *packed; };

/* Some rows of all panels, the last one padded with zeros. */
static void pack_half_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct pack_half *const c = ctx;
    const int64_t panels = div_up(c->n, NR);
    for (int64_t i = task * c->rows_each; i < min64(c->k, (task + 1) * c->rows_each); i++)
        for (int64_t p = 0; p < panels; p++) {
            const int64_t columns = min64(NR, c->n - p * NR);
            uint16_t *const out = c->packed + (p * c->k + i) * NR;
            memset(out, 0, NR * sizeof *out);
            memcpy(out, c->b + i * c->n + p * NR, (size_t)columns * sizeof *out);
        }
}

static void pack_half(int64_t k, int64_t n, const uint16_t *b, uint16_t *packed, struct brume_pool *pool)
{
    struct pack_half c = { .k = k, .n = n, .b = b, .packed = packed };
    c.rows_each = min64(k, 1 + PACK_WORK / (div_up(n, NR) * NR));
    brume_pool_run(pool, div_up(k, c.rows_each), pack_half_task, &c);
}

extern const struct brume_simd_gemm ISA(brume_simd_gemm);
const struct brume_simd_gemm ISA(brume_simd_gemm) = { run, pack, pack_half };
