/* SPDX-License-Identifier: MIT
 * OpenCL launches of attention. */
#include "ops/sdpa_cl.h"


#define LOCAL_CHANNELS 256 /* results of a head in registers: 4 per 32 channels and work-item, twice that backward */

bool brume_sdpa_fits_local(const struct brume_node *n, const struct brume_caps *c)
{
    return c->max_work_group >= 256 && c->local_bytes >= 14 * 1024 && brume_sdpa_dims_of(n).d <= LOCAL_CHANNELS;
}

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t aligned(int64_t floats) { return ceil_div(floats * 4, 256) * 256; }

static void sizes(struct brume_cl_launch *k, const struct brume_node *n, const struct brume_sdpa_dims *d)
{
    const struct brume_sdpa_attrs *at = n->attrs;
    brume_cl_int(k, d->sq);
    brume_cl_int(k, d->sk);
    brume_cl_int(k, d->d);
    brume_cl_int(k, at->causal != 0);
    brume_cl_float(k, at->scale);
}

/* ---- tile: cl/sdpa_tile.cl ------------------------------------------------------------------------------------------------- */

struct tile { int vw, mr, nr, rows; };

/* The register tile of gemm_tile.cl; a work-item takes four of them below each other. */
static struct tile tile_of(const struct brume_caps *c)
{
    const int vw = c->vector_width >= 16 ? 16 : c->vector_width >= 8 ? 8 : 4, mr = vw == 16 ? 8 : 6;
    return (struct tile){ vw, mr, 2 * vw, 4 * mr };
}

static struct brume_cl_launch *add_tile(struct brume_cl_list *l, const struct brume_caps *c, const char *kernel)
{
    const struct tile t = tile_of(c);
    return brume_cl_add(l, "sdpa_tile.cl", kernel, "-DVW=%d -DMR=%d -DNV=2", t.vw, t.mr);
}

static int64_t cols_floats(const struct brume_sdpa_dims *d, const struct tile *t, int64_t s)
{
    return d->b * d->heads * ceil_div(s, t->nr) * t->nr * d->d;
}

/* Panels of rows are needed only where NR does not divide D: their floats, or 0. */
static int64_t rows_floats(const struct brume_sdpa_dims *d, const struct tile *t, int64_t s)
{
    return d->d % t->nr ? d->b * d->heads * s * ceil_div(d->d, t->nr) * t->nr : 0;
}

static void pack(struct brume_cl_list *l, const struct brume_caps *c, const struct brume_sdpa_dims *d, const char *kernel,
                 int input, int64_t s, int64_t to)
{
    const struct tile t = tile_of(c);
    const bool cols = kernel[sizeof "sdpa_pack_" - 1] == 'c';
    struct brume_cl_launch *k = add_tile(l, c, kernel);
    brume_cl_size3(k, (size_t)(cols ? d->d : s), (size_t)ceil_div(cols ? s : d->d, t.nr), (size_t)(d->b * d->heads), 16, 1, 1);
    brume_cl_in(k, input);
    brume_cl_work(k, to);
    brume_cl_int(k, s);
    brume_cl_int(k, d->d);
    brume_cl_int(k, d->heads);
}

/* An operand read by rows: the input itself, or its panels at byte `packed` of the workspace. */
static void operand(struct brume_cl_launch *k, const struct brume_sdpa_dims *d, const struct tile *t, int input, int64_t packed)
{
    if (d->d % t->nr) brume_cl_work(k, packed);
    else brume_cl_in(k, input);
}

/* Distances of its rows, panels, heads, samples. */
static void steps(struct brume_cl_launch *k, const struct brume_sdpa_dims *d, const struct tile *t, int64_t s)
{
    const bool packed = d->d % t->nr != 0;
    const int64_t head = ceil_div(d->d, t->nr) * t->nr * s;
    brume_cl_long(k, packed ? t->nr : d->ld);
    brume_cl_long(k, packed ? t->nr * s : t->nr);
    brume_cl_long(k, packed ? head : d->d);
    brume_cl_long(k, packed ? head * d->heads : s * d->ld);
}

static void grid_tile(struct brume_cl_launch *k, const struct brume_sdpa_dims *d, const struct tile *t, int64_t s)
{
    brume_cl_size3(k, (size_t)ceil_div(s, t->rows), (size_t)d->heads, (size_t)d->b, 1, 1, 1);
}

size_t brume_sdpa_tile_work(const struct brume_node *n, const struct brume_caps *c)
{
    const struct brume_sdpa_dims d = brume_sdpa_dims_of(n);
    const struct tile t = tile_of(c);
    return (size_t)(aligned(cols_floats(&d, &t, d.sk)) + aligned(rows_floats(&d, &t, d.sk)));
}

void brume_sdpa_tile(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    const struct brume_sdpa_dims d = brume_sdpa_dims_of(n);
    const struct tile t = tile_of(c);
    const int64_t rows_at = aligned(cols_floats(&d, &t, d.sk));
    pack(l, c, &d, "sdpa_pack_cols", 1, d.sk, 0);
    if (d.d % t.nr) pack(l, c, &d, "sdpa_pack_rows", 2, d.sk, rows_at);
    struct brume_cl_launch *k = add_tile(l, c, "sdpa_tile");
    grid_tile(k, &d, &t, d.sq);
    brume_cl_in(k, 0);
    brume_cl_work(k, 0);
    operand(k, &d, &t, 2, rows_at);
    brume_cl_out(k, 0);
    brume_cl_out(k, 1);
    sizes(k, n, &d);
    steps(k, &d, &t, d.sk);
}

/* delta, then the panels of the pass over queries, whose place those of the pass over keys take afterwards. */
struct grad_layout { int64_t cols1, cols2, rows1, rows2, end; };

static struct grad_layout grad_layout_of(const struct brume_sdpa_dims *d, const struct tile *t, int64_t s)
{
    struct grad_layout y;
    y.cols1 = aligned(d->b * d->heads * d->sq);
    y.cols2 = y.cols1 + aligned(cols_floats(d, t, s));
    y.rows1 = y.cols2 + aligned(cols_floats(d, t, s));
    y.rows2 = y.rows1 + aligned(rows_floats(d, t, s));
    y.end = y.rows2 + aligned(rows_floats(d, t, s));
    return y;
}

size_t brume_sdpa_tile_grad_work(const struct brume_node *n, const struct brume_caps *c)
{
    const struct brume_sdpa_dims d = brume_sdpa_dims_of(n);
    const struct tile t = tile_of(c);
    return (size_t)grad_layout_of(&d, &t, d.sq > d.sk ? d.sq : d.sk).end;
}

void brume_sdpa_tile_grad(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    enum { Q, K, V, O, LSE, DO };
    const struct brume_sdpa_dims d = brume_sdpa_dims_of(n);
    const struct tile t = tile_of(c);
    const bool rows = d.d % t.nr != 0;
    struct brume_cl_launch *k = add_tile(l, c, "sdpa_delta");
    brume_cl_size3(k, (size_t)d.sq, (size_t)d.heads, (size_t)d.b, 16, 1, 1);
    brume_cl_in(k, O);
    brume_cl_in(k, DO);
    brume_cl_work(k, 0);
    brume_cl_int(k, d.sq);
    brume_cl_int(k, d.d);

    struct grad_layout y = grad_layout_of(&d, &t, d.sk);
    pack(l, c, &d, "sdpa_pack_cols", K, d.sk, y.cols1);
    pack(l, c, &d, "sdpa_pack_cols", V, d.sk, y.cols2);
    if (rows) pack(l, c, &d, "sdpa_pack_rows", K, d.sk, y.rows1);
    k = add_tile(l, c, "sdpa_tile_dq");
    grid_tile(k, &d, &t, d.sq);
    brume_cl_in(k, Q);
    brume_cl_in(k, DO);
    brume_cl_work(k, y.cols1);
    brume_cl_work(k, y.cols2);
    operand(k, &d, &t, K, y.rows1);
    brume_cl_in(k, LSE);
    brume_cl_work(k, 0);
    brume_cl_out(k, 0);
    sizes(k, n, &d);
    steps(k, &d, &t, d.sk);

    y = grad_layout_of(&d, &t, d.sq);
    pack(l, c, &d, "sdpa_pack_cols", Q, d.sq, y.cols1);
    pack(l, c, &d, "sdpa_pack_cols", DO, d.sq, y.cols2);
    if (rows) pack(l, c, &d, "sdpa_pack_rows", Q, d.sq, y.rows1);
    if (rows) pack(l, c, &d, "sdpa_pack_rows", DO, d.sq, y.rows2);
    k = add_tile(l, c, "sdpa_tile_dkv");
    grid_tile(k, &d, &t, d.sk);
    brume_cl_in(k, K);
    brume_cl_in(k, V);
    brume_cl_work(k, y.cols1);
    brume_cl_work(k, y.cols2);
    operand(k, &d, &t, Q, y.rows1);
    operand(k, &d, &t, DO, y.rows2);
    brume_cl_in(k, LSE);
    brume_cl_work(k, 0);
    brume_cl_out(k, 1);
    brume_cl_out(k, 2);
    sizes(k, n, &d);
    steps(k, &d, &t, d.sq);
}

/* ---- local: cl/sdpa_local.cl; row: cl/sdpa.cl ------------------------------------------------------------------------------ */

static struct brume_cl_launch *add_rows(struct brume_cl_list *l, const struct brume_sdpa_dims *d, bool local, const char *kernel,
                                        int64_t s)
{
    struct brume_cl_launch *k;
    if (local) {
        k = brume_cl_add(l, "sdpa_local.cl", kernel, "-DDT=%d", (int)ceil_div(d->d, 32));
        brume_cl_size3(k, (size_t)(256 * ceil_div(s, 32)), (size_t)d->heads, (size_t)d->b, 256, 1, 1);
    } else {
        k = brume_cl_add(l, "sdpa.cl", kernel, "%s", "");
        brume_cl_size3(k, (size_t)s, (size_t)d->heads, (size_t)d->b, 64, 1, 1);
    }
    return k;
}

static void forward(const struct brume_node *n, struct brume_cl_list *l, bool local)
{
    const struct brume_sdpa_dims d = brume_sdpa_dims_of(n);
    struct brume_cl_launch *k = add_rows(l, &d, local, local ? "sdpa_local" : "sdpa_row", d.sq);
    for (int i = 0; i < 3; i++) brume_cl_in(k, i);
    brume_cl_out(k, 0);
    brume_cl_out(k, 1);
    sizes(k, n, &d);
}

static void backward(const struct brume_node *n, struct brume_cl_list *l, bool local)
{
    const struct brume_sdpa_dims d = brume_sdpa_dims_of(n);
    struct brume_cl_launch *k = add_rows(l, &d, false, "sdpa_row_delta", d.sq);
    brume_cl_in(k, 3);
    brume_cl_in(k, 5);
    brume_cl_work(k, 0);
    brume_cl_int(k, d.sq);
    brume_cl_int(k, d.d);
    for (int pass = 0; pass < 2; pass++) {
        const char *const kernel = pass ? local ? "sdpa_local_dkv" : "sdpa_row_dkv" : local ? "sdpa_local_dq" : "sdpa_row_dq";
        k = add_rows(l, &d, local, kernel, pass ? d.sk : d.sq);
        for (int i = 0; i < 3; i++) brume_cl_in(k, i);
        brume_cl_in(k, 4);
        brume_cl_in(k, 5);
        brume_cl_work(k, 0);
        brume_cl_out(k, pass);
        if (pass) brume_cl_out(k, 2);
        sizes(k, n, &d);
    }
}

size_t brume_sdpa_grad_work(const struct brume_node *n, const struct brume_caps *c)
{
    const struct brume_sdpa_dims d = brume_sdpa_dims_of(n);
    (void)c;
    return (size_t)(d.b * d.heads * d.sq) * sizeof(float);
}

#define WAY(name, is_local)                                                                                         \
    void brume_sdpa_##name(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)          \
    {                                                                                                               \
        (void)c;                                                                                                    \
        forward(n, l, is_local);                                                                                    \
    }                                                                                                               \
    void brume_sdpa_##name##_grad(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)   \
    {                                                                                                               \
        (void)c;                                                                                                    \
        backward(n, l, is_local);                                                                                   \
    }
WAY(local, true)
WAY(row, false)
