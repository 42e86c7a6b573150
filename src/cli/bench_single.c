/* SPDX-License-Identifier: MIT
 * Subjects of brume bench that are one operator, and its gradients. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "brume/ops.h"
#include "brume/rng.h"

#define MAX_IN 3

struct single { brume_graph *g; const brume_tensor *in; const struct bench_op *o; };

static int64_t channels(const struct single *s)
{
    const brume_shape x = brume_tensor_shape(s->g, s->in[0]);
    return x.ndim ? x.d[x.ndim - 1] : 1;
}

/* Half the kernel of zeros around, as networks have it. */
static brume_tensor conv2d(const struct single *s)
{
    const brume_shape w = brume_tensor_shape(s->g, s->in[1]);
    const int32_t y = (int32_t)(w.d[0] - 1) / 2, x = (int32_t)(w.d[1] - 1) / 2;
    const brume_conv2d_params p = { .stride = (int32_t)s->o->stride, .pad = { y, x, y, x }, .groups = 1 };
    return brume_conv2d(s->g, s->in[0], s->in[1], BRUME_NONE, BRUME_NONE, &p);
}

static brume_tensor linear(const struct single *s) { return brume_linear(s->g, s->in[0], s->in[1], BRUME_NONE); }
static brume_tensor matmul(const struct single *s) { return brume_matmul(s->g, s->in[0], s->in[1], 0, 0); }
static brume_tensor silu(const struct single *s) { return brume_silu(s->g, s->in[0]); }
static brume_tensor add(const struct single *s) { return brume_add(s->g, s->in[0], s->in[1]); }
static brume_tensor softmax(const struct single *s) { return brume_softmax(s->g, s->in[0]); }
static brume_tensor layer_norm(const struct single *s) { return brume_layer_norm(s->g, s->in[0], s->in[1], s->in[2], 1e-5f); }
static brume_tensor group_norm(const struct single *s)
{
    return brume_group_norm(s->g, s->in[0], s->in[1], s->in[2], (int)s->o->groups, 1e-5f, BRUME_ACT_SILU);
}
static brume_tensor sdpa(const struct single *s)
{
    const double d = (double)channels(s) / (double)s->o->heads;
    return brume_sdpa(s->g, s->in[0], s->in[1], s->in[2], (int)s->o->heads, 0, (float)(1 / sqrt(d)));
}
static brume_tensor upsample(const struct single *s)
{
    const brume_shape x = brume_tensor_shape(s->g, s->in[0]);
    return brume_upsample_nearest(s->g, s->in[0], 2 * x.d[1], 2 * x.d[2]);
}

static const struct row {
    const char *name, *usage;
    int shapes;    /* that the caller gives */
    int scales;    /* further inputs of one value per channel */
    brume_tensor (*build)(const struct single *s);
} rows[] = {
    { "conv2d", "conv2d NxHxWxI,KHxKWxIxO", 2, 0, conv2d },
    { "linear", "linear ...xI,IxO", 2, 0, linear },
    { "matmul", "matmul ...xMxK,...xKxN", 2, 0, matmul },
    { "group_norm", "group_norm NxHxWxC (with SiLU)", 1, 2, group_norm },
    { "layer_norm", "layer_norm ...xC", 1, 2, layer_norm },
    { "softmax", "softmax ...xC", 1, 0, softmax },
    { "sdpa", "sdpa BxSxC,BxSxC,BxSxC (q, k, v)", 3, 0, sdpa },
    { "silu", "silu ...", 1, 0, silu },
    { "add", "add ...,...", 2, 0, add },
    { "upsample_nearest", "upsample_nearest NxHxWxC (by 2)", 1, 0, upsample },
};
#define N_ROWS ((int)(sizeof rows / sizeof *rows))

const char *bench_op_usage(int i) { return i < N_ROWS ? rows[i].usage : NULL; }

static const struct row *find(const char *name)
{
    for (int i = 0; i < N_ROWS; i++)
        if (!strcmp(rows[i].name, name)) return &rows[i];
    return NULL;
}

/* "16x32x32x64,3x3x64x64" into shapes; returns their number, or -1. */
static int parse_shapes(const char *text, brume_shape shapes[MAX_IN])
{
    int n = 0;
    for (;;) {
        if (n == MAX_IN) return -1;
        brume_shape s = { 0 };
        for (;;) {
            char *end;
            const long long d = strtoll(text, &end, 10);
            if (end == text || *text < '0' || *text > '9' || d < 1 || d > (1 << 30) || s.ndim == BRUME_MAX_DIMS) return -1;
            s.d[s.ndim++] = d;
            text = end;
            if (*text != 'x') break;
            text++;
        }
        shapes[n++] = s;
        if (!*text) return n;
        if (*text++ != ',') return -1;
    }
}

static brume_status run(struct bench_subject *s)
{
    const brume_status st = brume_plan_run(s->plan);
    return st == BRUME_OK ? brume_device_finish(s->device) : st;
}

const char *bench_op_expected(const struct bench_op *o)
{
    const struct row *r = find(o->name);
    brume_shape shapes[MAX_IN];
    if (!r) return "an operator that is listed under --help";
    return parse_shapes(o->shapes, shapes) == r->shapes ? NULL : r->usage;
}

static brume_status fill(struct bench_subject *s, brume_tensor t, uint64_t seed)
{
    const int64_t n = brume_shape_numel(brume_tensor_shape(s->graph, t));
    float *x = malloc((size_t)n * sizeof *x);
    if (!x) return BRUME_E_MEMORY;
    brume_fill_normal(seed, 1, 0, 0, n, x);
    const brume_status st = brume_plan_write(s->plan, t, x, (size_t)n * sizeof *x);
    free(x);
    return st;
}

brume_status bench_op(brume_device *d, int mode, const struct bench_op *o, struct bench_subject *s)
{
    static const char *const names[MAX_IN + 1] = { "x", "second", "third", "dy" };
    *s = (struct bench_subject){ .device = d, .step = run };
    const struct row *r = find(o->name);
    brume_shape shapes[MAX_IN];
    parse_shapes(o->shapes, shapes);
    brume_graph *g = s->graph = brume_graph_new();
    if (!g) return BRUME_E_MEMORY;
    brume_tensor in[MAX_IN + 1], dx[MAX_IN];
    for (int i = 0; i < r->shapes + r->scales; i++) {
        const brume_shape shape = i < r->shapes ? shapes[i] : BRUME_SHAPE(shapes[0].d[shapes[0].ndim - 1]);
        in[i] = i && mode == BENCH_INFER ? brume_persistent(g, names[i], BRUME_F32, shape)
                                         : brume_input(g, names[i], BRUME_F32, shape);
    }
    int inputs = r->shapes + r->scales;
    const brume_tensor y = r->build(&(struct single){ g, in, o });
    if (mode == BENCH_TRAIN && y != BRUME_NONE) {
        in[inputs] = brume_input(g, names[MAX_IN], BRUME_F32, brume_tensor_shape(g, y));
        brume_grad(g, y, in[inputs], inputs, in, dx);
        for (int i = 0; i < inputs; i++)
            if (dx[i] != BRUME_NONE) brume_output(g, dx[i], "gradient");
        inputs++;
    }
    brume_output(g, y, "y");
    brume_status st = brume_plan_new(d, g, NULL, &s->plan);
    for (int i = 0; i < inputs && st == BRUME_OK; i++) st = fill(s, in[i], (uint64_t)i);
    return st;
}
