/* SPDX-License-Identifier: MIT
 * OpenCL source for chains of elementwise functions.
 *
 * Chains of the same structure (expressions, wiring, kinds of access) share one kernel: sizes, strides and parameters are
 * arguments. The text is a function of the set of structures alone, so that compiled programs are found again by any cache.
 *
 * "flat" kernels: one element per work-item; an input that repeats along some axis divides the element's index.
 * "rows" kernels, for CPU devices: a work-item does pieces of rows of the innermost axis with floatN vectors (the tensors may
 * overlap, so that compilers would leave a loop over floats scalar). */
#include "base/hash.h"
#include "opencl/internal.h"
#include "opencl/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEM_MIN 1024     /* elements per work-item of a "rows" kernel: bounds that balance launch cost and load */
#define ITEM_MAX 8192
#define SHORTEST_ROW 32   /* shorter rows would be mostly tails */

/* How an input is read. */
enum access { WHOLE, SCALAR, STRIDED };

static enum access access_of(const struct brume_fused *f, int input)
{
    int64_t dense = 1;
    bool whole = true, scalar = true;
    for (int d = f->ndim - 1; d >= 0; d--) {
        if (f->dims[d] > 1) {
            whole &= f->stride[input][d] == dense;
            scalar &= f->stride[input][d] == 0;
        }
        dense *= f->dims[d];
    }
    return whole ? WHOLE : scalar ? SCALAR : STRIDED;
}

static int64_t numel(const struct brume_fused *f)
{
    int64_t n = 1;
    for (int d = 0; d < f->ndim; d++) n *= f->dims[d];
    return n;
}

/* What a kernel's text depends on. */
struct structure {
    const struct brume_fused *f;
    bool rows;          /* a "rows" kernel */
    int width;          /* floats per vector of a "rows" kernel */
    bool baked;         /* parameters stand in the text: there are too many for arguments */
    int outer;          /* axes before the innermost one that strided inputs walk; 0 if no input is strided */
    enum access access[BRUME_FUSED_MAX_IN];
};

static int vector_width(const struct brume_caps *caps) { return caps->vector_width >= 16 ? 16 : 8; }

static struct structure structure_of(const struct brume_caps *caps, const struct brume_fused *f)
{
    struct structure s = { .f = f };
    int strided = 0, params = 0;
    for (int i = 0; i < f->n_in; i++) {
        s.access[i] = access_of(f, i);
        strided += s.access[i] == STRIDED;
    }
    if (strided) s.outer = f->ndim - 1;
    for (int j = 0; j < f->n_ops; j++) params += f->op[j].ew->n_param;
    s.baked = 1 + f->n_in + 3 + BRUME_MAX_DIMS + strided * BRUME_MAX_DIMS + params > BRUME_CL_MAX_ARGS;
    s.width = vector_width(caps);
    s.rows = caps->cpu_type && (!strided || f->dims[f->ndim - 1] >= SHORTEST_ROW);
    for (int i = 0; i < f->n_in && strided; i++) /* rows read vectors: neighbours must be neighbours in memory, or one value */
        s.rows &= s.access[i] != STRIDED || f->stride[i][f->ndim - 1] == 0 || f->stride[i][f->ndim - 1] == 1;
    return s;
}

static void put_param(struct brume_cl_text *t, const struct structure *s, int op, int k)
{
    uint32_t bits;
    memcpy(&bits, &s->f->op[op].p[k], sizeof bits);
    if (s->baked) brume_cl_put(t, "as_float(0x%08xu)", (unsigned)bits);
    else brume_cl_put(t, "p%d_%d", op, k);
}

static void put_signature(struct brume_cl_text *t, const struct structure *s)
{
    const struct brume_fused *f = s->f;
    brume_cl_put(t, "(TENSOR(y)");
    for (int i = 0; i < f->n_in; i++) brume_cl_put(t, ", TENSOR(x%d)", i);
    if (s->rows) brume_cl_put(t, ", const long rows, const long row, const long piece, const long n");
    else brume_cl_put(t, ", const long n");
    for (int d = 0; d <= s->outer && s->outer; d++) brume_cl_put(t, ", const int dim%d", d);
    for (int i = 0; i < f->n_in; i++)
        for (int d = 0; d <= s->outer && s->access[i] == STRIDED; d++) brume_cl_put(t, ", const int s%d_%d", i, d);
    for (int j = 0; j < f->n_ops && !s->baked; j++)
        for (int k = 0; k < f->op[j].ew->n_param; k++) brume_cl_put(t, ", const float p%d_%d", j, k);
    brume_cl_put(t, ")\n{\n    BIND(y);\n");
    for (int i = 0; i < f->n_in; i++) brume_cl_put(t, "    CBIND(x%d);\n", i);
}

/* The chain: v<k> are the inputs, w<j> the results. */
static void put_chain(struct brume_cl_text *t, const struct structure *s, const char *type, const char *indent)
{
    const struct brume_fused *f = s->f;
    for (int j = 0; j < f->n_ops; j++) {
        brume_cl_put(t, "%s%sw%d = ew%d%s(", indent, type, j, f->op[j].ew->row, s->rows ? "v" : "");
        for (int a = 0; a < f->op[j].ew->n_in; a++) {
            const int from = f->op[j].arg[a];
            brume_cl_put(t, "%s%c%d", a ? ", " : "", from < f->n_in ? 'v' : 'w', from < f->n_in ? from : from - f->n_in);
        }
        for (int k = 0; k < f->op[j].ew->n_param; k++) {
            brume_cl_put(t, k || f->op[j].ew->n_in ? ", " : "");
            put_param(t, s, j, k);
        }
        brume_cl_put(t, ");\n");
    }
}

/* Element offset of each strided input from `at`, which counts steps of axes 0 .. last (row-major). */
static void put_offsets(struct brume_cl_text *t, const struct structure *s, const char *indent, int last)
{
    for (int i = 0; i < s->f->n_in; i++)
        if (s->access[i] == STRIDED) brume_cl_put(t, "%slong o%d = 0;\n", indent, i);
    for (int d = last; d >= 0; d--) {
        if (d > 0) brume_cl_put(t, "%sconst uint c%d = at %% (uint)dim%d;\n%sat /= (uint)dim%d;\n", indent, d, d, indent, d);
        else brume_cl_put(t, "%sconst uint c0 = at;\n", indent);
        for (int i = 0; i < s->f->n_in; i++)
            if (s->access[i] == STRIDED) brume_cl_put(t, "%so%d += (long)c%d * s%d_%d;\n", indent, i, d, i, d);
    }
}

static void put_flat(struct brume_cl_text *t, const struct structure *s)
{
    const struct brume_fused *f = s->f;
    put_signature(t, s);
    brume_cl_put(t, "    const size_t i = get_global_id(0);\n    if (i >= (size_t)n) return;\n");
    if (s->outer) {
        brume_cl_put(t, "    uint at = (uint)i;\n");
        put_offsets(t, s, "    ", s->outer);
    }
    for (int i = 0; i < f->n_in; i++) {
        if (s->access[i] == STRIDED) brume_cl_put(t, "    const float v%d = x%d[o%d];\n", i, i, i);
        else brume_cl_put(t, "    const float v%d = x%d[%s];\n", i, i, s->access[i] == WHOLE ? "i" : "0");
    }
    put_chain(t, s, "const float ", "    ");
    brume_cl_put(t, "    y[i] = w%d;\n}\n", f->n_ops - 1);
}

/* One vector of every input at column j of row r; in the tail from the copies in private arrays. */
static void put_vector_loads(struct brume_cl_text *t, const struct structure *s, bool tail)
{
    const struct brume_fused *f = s->f;
    for (int i = 0; i < f->n_in; i++) {
        const bool walks = s->access[i] == WHOLE || f->stride[i][f->ndim - 1] != 0;
        brume_cl_put(t, "            const float%d v%d = ", s->width, i);
        if (s->access[i] == SCALAR) brume_cl_put(t, "x%d[0];\n", i);
        else if (!walks) brume_cl_put(t, "x%d[o%d];\n", i, i);
        else if (tail) brume_cl_put(t, "PLOAD(t%d);\n", i);
        else if (s->access[i] == WHOLE) brume_cl_put(t, "VLOAD(x%d + r * row + j);\n", i);
        else brume_cl_put(t, "VLOAD(x%d + o%d + j);\n", i, i);
    }
}

static void put_tail_copies(struct brume_cl_text *t, const struct structure *s)
{
    const struct brume_fused *f = s->f;
    for (int i = 0; i < f->n_in; i++) {
        if (s->access[i] == SCALAR || (s->access[i] == STRIDED && f->stride[i][f->ndim - 1] == 0)) continue;
        brume_cl_put(t, "            float t%d[%d];\n", i, s->width);
        brume_cl_put(t, "            for (int k = 0; k < %d; k++) t%d[k] = k < m ? x%d[", s->width, i, i);
        if (s->access[i] == WHOLE) brume_cl_put(t, "r * row + j + k] : 0.0f;\n");
        else brume_cl_put(t, "o%d + j + k] : 0.0f;\n", i);
    }
}

static void put_rows(struct brume_cl_text *t, const struct structure *s)
{
    const int last = s->f->n_ops - 1, w = s->width;
    char type[32];
    snprintf(type, sizeof type, "const float%d ", w);
    put_signature(t, s);
    brume_cl_put(t, "    const long begin = (long)get_global_id(0) * piece, end = min(begin + piece, row);\n");
    brume_cl_put(t, "    const long first = (long)get_global_id(1) * rows, last = min(first + rows, n);\n");
    brume_cl_put(t, "    for (long r = first; r < last; r++) {\n");
    if (s->outer) {
        brume_cl_put(t, "        uint at = (uint)r;\n");
        put_offsets(t, s, "        ", s->outer - 1);
    }
    brume_cl_put(t, "        long j = begin;\n        for (; j + %d <= end; j += %d) {\n", w, w);
    put_vector_loads(t, s, false);
    put_chain(t, s, type, "            ");
    brume_cl_put(t, "            VSTORE(w%d, y + r * row + j);\n        }\n        if (j < end) {\n", last);
    brume_cl_put(t, "            const int m = (int)(end - j);\n");
    put_tail_copies(t, s);
    put_vector_loads(t, s, true);
    put_chain(t, s, type, "            ");
    brume_cl_put(t, "            float t[%d];\n            PSTORE(w%d, t);\n", w, last);
    brume_cl_put(t, "            for (int k = 0; k < m; k++) y[r * row + j + k] = t[k];\n        }\n    }\n}\n");
}

static void size_launch(struct brume_cl_launch *k, const struct brume_caps *caps, const struct structure *s)
{
    const struct brume_fused *f = s->f;
    const int64_t n = numel(f);
    brume_cl_out(k, 0);
    for (int i = 0; i < f->n_in; i++) brume_cl_in(k, i);
    if (s->rows) {
        /* Without a strided input all axes are one row. */
        const int64_t row = s->outer ? f->dims[f->ndim - 1] : n, n_rows = n / row;
        int64_t item = n / (8 * (caps->compute_units > 0 ? caps->compute_units : 1));
        item = item < ITEM_MIN ? ITEM_MIN : item > ITEM_MAX ? ITEM_MAX : item / 64 * 64;
        const int64_t piece = row < item ? row : item, rows = row < item ? item / row : 1;
        brume_cl_long(k, rows);
        brume_cl_long(k, row);
        brume_cl_long(k, piece);
        brume_cl_long(k, n_rows);
        brume_cl_size2(k, (size_t)((row + piece - 1) / piece), (size_t)((n_rows + rows - 1) / rows), 1, 1);
    } else {
        brume_cl_long(k, n);
        brume_cl_size1(k, (size_t)n, 64);
    }
    for (int d = 0; d <= s->outer && s->outer; d++) brume_cl_int(k, f->dims[d]);
    for (int i = 0; i < f->n_in; i++)
        for (int d = 0; d <= s->outer && s->access[i] == STRIDED; d++) brume_cl_int(k, f->stride[i][d]);
    for (int j = 0; j < f->n_ops && !s->baked; j++)
        for (int p = 0; p < f->op[j].ew->n_param; p++) brume_cl_float(k, f->op[j].p[p]);
}

struct kernel { uint64_t hash; char *body; int chain; };

static int by_text(const void *pa, const void *pb)
{
    const struct kernel *a = pa, *b = pb;
    return strcmp(a->body, b->body);
}

static int by_row(const void *pa, const void *pb)
{
    const struct brume_ew *const *a = pa, *const *b = pb;
    return ((*a)->row > (*b)->row) - ((*a)->row < (*b)->row);
}

static void put_function(struct brume_cl_text *t, const struct brume_ew *ew, const char *type, const char *suffix)
{
    brume_cl_put(t, "static inline %s ew%d%s(", type, ew->row, suffix);
    for (int a = 0; a < ew->n_in; a++) brume_cl_put(t, "%sconst %s %c", a ? ", " : "", type, 'a' + a);
    for (int p = 0; p < ew->n_param; p++) brume_cl_put(t, "%sconst float p%d", p || ew->n_in ? ", " : "", p);
    brume_cl_put(t, ")\n{\n    return %s;\n}\n", ew->expr);
}

/* The functions that the chains use, each once, in the order of ew.def; for vectors too where there are "rows" kernels. */
static bool put_functions(struct brume_cl_text *t, const struct brume_caps *caps, const struct brume_fused *const *chains, int n)
{
    size_t total = 0, used = 0;
    for (int c = 0; c < n; c++) total += (size_t)chains[c]->n_ops;
    const struct brume_ew **ew = malloc((total + 1) * sizeof(*ew));
    if (!ew) return false;
    for (int c = 0; c < n; c++)
        for (int j = 0; j < chains[c]->n_ops; j++) ew[used++] = chains[c]->op[j].ew;
    qsort(ew, used, sizeof(*ew), by_row);
    for (size_t i = 0; i < used; i++) {
        if (i && ew[i]->row == ew[i - 1]->row) continue;
        put_function(t, ew[i], "float", "");
        if (caps->cpu_type) put_function(t, ew[i], vector_width(caps) == 16 ? "float16" : "float8", "v");
    }
    free(ew);
    return true;
}

#define NAME_BYTES 32

brume_status brume_cl_fused(const struct brume_caps *caps, const struct brume_fused *const *chains, int n, char **source,
                            char **names, struct brume_cl_launch *launches)
{
    struct kernel *kernels = calloc((size_t)n, sizeof *kernels);
    char *name = calloc((size_t)n, NAME_BYTES);
    struct brume_cl_text all = { 0 };
    bool failed = !kernels || !name || !put_functions(&all, caps, chains, n);
    for (int c = 0; c < n && !failed; c++) {
        const struct structure s = structure_of(caps, chains[c]);
        struct brume_cl_text t = { 0 };
        if (s.rows) put_rows(&t, &s);
        else put_flat(&t, &s);
        failed = t.failed;
        kernels[c] = (struct kernel){ failed ? 0 : brume_fnv1a(t.at, t.n), t.at, c };
        size_launch(&launches[c], caps, &s);
        if (caps->cpu_type) snprintf(launches[c].defines, sizeof launches[c].defines, "-DVW=%d", s.width);
    }
    if (!failed) {
        qsort(kernels, (size_t)n, sizeof *kernels, by_text);
        for (int i = 0; i < n; i++) {
            char *own = name + (size_t)kernels[i].chain * NAME_BYTES;
            snprintf(own, NAME_BYTES, "chain_%016llx", (unsigned long long)kernels[i].hash);
            launches[kernels[i].chain].kernel = own;
            if (i && !strcmp(kernels[i].body, kernels[i - 1].body)) continue;
            if (strstr(kernels[i].body, "get_global_id(1)"))
                brume_cl_put(&all, "__attribute__((reqd_work_group_size(1, 1, 1)))\n");
            brume_cl_put(&all, "__kernel void %s%s", own, kernels[i].body);
        }
        failed = all.failed;
    }
    for (int c = 0; c < n && kernels; c++) free(kernels[c].body);
    free(kernels);
    if (failed) {
        free(name);
        free(all.at);
        return brume_fail(BRUME_E_MEMORY, "cannot allocate the source of %d elementwise kernels", n);
    }
    *source = all.at;
    *names = name;
    return BRUME_OK;
}
