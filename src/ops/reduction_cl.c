/* SPDX-License-Identifier: MIT
 * Reductions on OpenCL; see reduction.h and cl/reduce.cl. Passes shrink the number of terms until one remains; partial sums lie
 * in the workspace, those of even and odd passes in two halves. */
#include "ops/axes.h"
#include "ops/reduction.h"

#define GROUP 64   /* work-items that sum together (reduce.cl) */
#define SERIAL 256 /* up to so many terms one work-item sums alone */
#define ROWS 64    /* rows per work-item of a pass over rows of kept elements */
#define NARROW 32  /* rows of fewer kept elements are folded */
#define FOLD 16

static int64_t cut(int64_t n, int64_t part) { return (n + part - 1) / part; }

/* Where a pass reads or writes: the tensor or a half of the workspace. */
enum { TENSOR = -1 };

static void end(struct brume_cl_launch *k, int64_t to, float scale, int root)
{
    if (to == TENSOR) brume_cl_out(k, 0);
    else brume_cl_work(k, to);
    brume_cl_float(k, to == TENSOR ? scale : 1.0f);
    brume_cl_int(k, to == TENSOR && root);
}

static void begin(struct brume_cl_launch *k, int64_t from)
{
    if (from == TENSOR) brume_cl_in(k, 0);
    else brume_cl_work(k, from);
}

/* One pass of the plan: from d's terms to `parts` partial sums for each result. l NULL: only counts. */
static int64_t pass(const struct brume_reduction *d, const struct brume_caps *c, struct brume_cl_list *l, int64_t from,
                    int64_t to, int64_t parts, int64_t per_part, bool square, bool root)
{
    const int64_t terms = d->r[0] * d->r[1] * d->r[2];
    if (!l) return 0;
    struct brume_cl_launch *k;
    if (d->r[2] == 1 && d->k[2] > 1) {
        const int vec = brume_cl_vec(c, d->k[2]);
        k = brume_cl_add(l, "reduce.cl", "add_rows", "-DVW=%d", vec);
        brume_cl_size1(k, (size_t)(d->k[0] * d->k[1] * parts * (d->k[2] / vec)), 64);
        begin(k, from);
        end(k, to, d->scale, root);
        brume_cl_long(k, d->k[0] * d->k[1] * parts * (d->k[2] / vec));
        brume_cl_long(k, d->k[2] / vec);
        brume_cl_long(k, parts);
        brume_cl_long(k, per_part);
        brume_cl_long(k, d->k[1]);
        brume_cl_long(k, d->r[0]);
        brume_cl_long(k, d->r[1]);
        return 0;
    }
    const int64_t results = d->k[0] * d->k[1] * d->k[2];
    const bool flat = d->r[0] == 1 && d->r[1] == 1, serial = terms <= SERIAL;
    /* Parts begin at multiples of GROUP, so at whole vectors where a result is one segment. */
    const int vec = serial || flat ? brume_cl_vec(c, d->r[2]) : 1;
    if (!serial && flat && c->cpu_type) {
        k = brume_cl_add(l, "reduce.cl", "sum_parts", "-DVW=%d", vec);
        brume_cl_size1(k, (size_t)(results * parts), 1);
        begin(k, from);
        end(k, to, d->scale, root);
        brume_cl_long(k, results * parts);
        brume_cl_long(k, parts);
        brume_cl_long(k, per_part / vec);
        brume_cl_int(k, square);
        brume_cl_long(k, d->r[2] / vec);
        return 0;
    }
    k = brume_cl_add(l, "reduce.cl", serial ? "sum_serial" : "sum_group", "-DVW=%d", vec);
    if (serial) brume_cl_size1(k, (size_t)results, 64);
    else brume_cl_size1(k, (size_t)(results * parts) * GROUP, GROUP);
    begin(k, from);
    end(k, to, d->scale, root);
    brume_cl_long(k, results);
    if (!serial) {
        brume_cl_long(k, parts);
        brume_cl_long(k, per_part / vec);
    }
    brume_cl_int(k, square);
    for (int i = 1; i < 3; i++) brume_cl_long(k, d->k[i]);
    for (int i = 0; i < 3; i++) brume_cl_long(k, i == 2 ? d->r[i] / vec : d->r[i]);
    return 0;
}

/* Runs or, with l NULL, measures all passes; returns the bytes of workspace. */
static size_t passes(const struct brume_reduction *first, const struct brume_caps *c, struct brume_cl_list *l)
{
    struct brume_reduction d = *first;
    const bool across = d.r[2] == 1 && d.k[2] > 1;
    int64_t from = TENSOR, free_at = 0;
    for (bool square = d.square;; square = false) {
        const int64_t terms = d.r[0] * d.r[1] * d.r[2], results = d.k[0] * d.k[1] * d.k[2];
        if (across && from == TENSOR && d.k[2] < NARROW && d.r[1] % FOLD == 0 && d.r[1] > FOLD && terms > SERIAL) {
            /* Few kept elements: FOLD rows count as one wide row, whose sum is FOLD rows of partial sums. */
            struct brume_reduction wide = d;
            wide.r[1] /= FOLD;
            wide.k[2] *= FOLD;
            const int64_t wide_terms = wide.r[0] * wide.r[1], per_part = wide_terms <= SERIAL ? wide_terms : ROWS,
                          parts = cut(wide_terms, per_part);
            pass(&wide, c, l, from, free_at, parts, per_part, false, false);
            from = free_at;
            free_at += cut(results * FOLD * parts * 4, 256) * 256;
            d.k[0] *= d.k[1], d.k[1] = 1, d.r[0] = 1, d.r[1] = FOLD * parts;
            continue;
        }
        const int64_t per_part = terms <= SERIAL ? terms : across ? ROWS : GROUP * 16 * 32, parts = cut(terms, per_part);
        const int64_t to = parts == 1 ? TENSOR : free_at;
        pass(&d, c, l, from, to, parts, per_part, square, first->square);
        if (parts == 1) return (size_t)free_at;
        free_at += cut(results * parts * 4, 256) * 256;
        from = to;
        /* The parts of a result stand side by side, or in rows of k2. */
        if (across) d.k[0] *= d.k[1], d.k[1] = 1, d.r[0] = 1, d.r[1] = parts;
        else d.k[0] = d.k[1] = 1, d.k[2] = results, d.r[0] = d.r[1] = 1, d.r[2] = parts;
    }
}

size_t brume_reduction_cl_work(const struct brume_reduction *d, const struct brume_caps *c) { return passes(d, c, NULL); }
void brume_reduction_cl(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    passes(n->attrs, c, l);
}
