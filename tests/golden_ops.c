/* SPDX-License-Identifier: MIT
 * Runs operator goldens: usage: golden_ops [--device D]... OPS.json...   The tensors lie beside each file, in the same name with
 * .safetensors. Format: golden/ops.md of the shared folder. Layouts are turned from files' (NCHW, OIHW) to those inside. */
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/ops.h"
#include "brume/plan.h"
#include "brume/safetensors.h"
#include "devices.h"

#define MAX_FIELDS 6

enum layout { SAME, IMAGE, CONV_WEIGHT, LINEAR_WEIGHT, HEADS };

struct golden_case {
    const char *name, *op;
    json_t *attrs;
    int n;                               /* inputs */
    const char *field[MAX_FIELDS];
    brume_tensor in[MAX_FIELDS];
    brume_shape file_shape[MAX_FIELDS];  /* as the file has it */
};

struct golden_op {
    const char *op;
    double tol, grad_tol;                /* relative to the tensor's largest magnitude, as golden/ops.md suggests */
    const char *layouts;                 /* one letter an input, then one for y: s same, i image, c conv weight, l linear weight,
                                            h heads */
    brume_tensor (*build)(brume_graph *g, const struct golden_case *c);
};

static double number(const struct golden_case *c, const char *key, double fallback)
{
    const json_t *v = json_object_get(c->attrs, key);
    return json_is_boolean(v) ? json_is_true(v) : json_is_number(v) ? json_number_value(v) : fallback;
}

static brume_tensor input(const struct golden_case *c, const char *field)
{
    for (int i = 0; i < c->n; i++)
        if (!strcmp(c->field[i], field)) return c->in[i];
    return BRUME_NONE;
}

static brume_tensor build_conv2d(brume_graph *g, const struct golden_case *c)
{
    brume_conv2d_params p = { .stride = (int)number(c, "stride", 1), .groups = (int)number(c, "groups", 1) };
    const json_t *pad = json_object_get(c->attrs, "pad_tlbr");
    for (size_t i = 0; i < 4; i++) p.pad[i] = (int)json_integer_value(json_array_get(pad, i));
    return brume_conv2d(g, input(c, "x"), input(c, "w"), input(c, "b"), BRUME_NONE, &p);
}
static brume_tensor build_linear(brume_graph *g, const struct golden_case *c)
{
    return brume_linear(g, input(c, "x"), input(c, "w"), input(c, "b"));
}
static brume_tensor build_matmul(brume_graph *g, const struct golden_case *c)
{
    return brume_matmul(g, input(c, "x"), input(c, "w"), 0, (int)number(c, "trans_b", 0));
}
static brume_tensor build_group_norm(brume_graph *g, const struct golden_case *c)
{
    return brume_group_norm(g, input(c, "x"), input(c, "w"), input(c, "b"), (int)number(c, "groups", 1),
                            (float)number(c, "eps", 1e-5), BRUME_ACT_NONE);
}
static brume_tensor build_layer_norm(brume_graph *g, const struct golden_case *c)
{
    return brume_layer_norm(g, input(c, "x"), input(c, "w"), input(c, "b"), (float)number(c, "eps", 1e-5));
}
#define UNARY(name) \
    static brume_tensor build_##name(brume_graph *g, const struct golden_case *c) { return brume_##name(g, input(c, "x")); }
UNARY(silu) UNARY(relu) UNARY(mish) UNARY(gelu_erf) UNARY(gelu_tanh) UNARY(gelu_quick) UNARY(softmax) UNARY(geglu)
UNARY(avg_pool2d) UNARY(fir_upsample2) UNARY(fir_downsample2)
static brume_tensor build_sdpa(brume_graph *g, const struct golden_case *c)
{
    const brume_shape q = c->file_shape[0];
    return brume_sdpa(g, input(c, "q"), input(c, "k"), input(c, "v"), (int)q.d[1], (int)number(c, "causal", 0),
                      (float)number(c, "scale", 1 / sqrt((double)q.d[3])));
}
static brume_tensor build_upsample(brume_graph *g, const struct golden_case *c)
{
    return brume_upsample_nearest(g, input(c, "x"), (int64_t)number(c, "out_h", 0), (int64_t)number(c, "out_w", 0));
}
static brume_tensor build_embedding(brume_graph *g, const struct golden_case *c)
{
    return brume_embedding(g, input(c, "w"), input(c, "ids"));
}
static brume_tensor build_cross_entropy(brume_graph *g, const struct golden_case *c)
{
    return brume_cross_entropy(g, input(c, "x"), input(c, "labels"));
}
static brume_tensor build_mse(brume_graph *g, const struct golden_case *c)
{
    return brume_mse(g, input(c, "x"), input(c, "target"));
}
static brume_tensor build_geglu_linear(brume_graph *g, const struct golden_case *c)
{
    return brume_geglu(g, brume_linear(g, input(c, "x"), input(c, "w"), input(c, "b")));
}
static brume_tensor build_timestep(brume_graph *g, const struct golden_case *c)
{
    return brume_timestep_embedding(g, input(c, "t"), (int64_t)number(c, "dim", 0), (int)number(c, "flip_sin_to_cos", 0),
                                    (float)number(c, "freq_shift", 0));
}

static const struct golden_op table[] = {
    { "conv2d", 1e-5, 2e-5, "icsi", build_conv2d }, { "linear", 1e-5, 2e-5, "slss", build_linear },
    { "matmul", 1e-5, 2e-5, "sss", build_matmul }, { "group_norm", 1e-5, 2e-5, "issi", build_group_norm },
    { "layer_norm", 1e-5, 2e-5, "ssss", build_layer_norm }, { "silu", 1e-6, 1e-6, "ss", build_silu },
    { "relu", 1e-6, 1e-6, "ss", build_relu }, { "mish", 1e-6, 1e-6, "ss", build_mish },
    { "gelu_erf", 1e-6, 1e-6, "ss", build_gelu_erf }, { "gelu_tanh", 1e-6, 1e-6, "ss", build_gelu_tanh },
    { "gelu_quick", 1e-6, 1e-6, "ss", build_gelu_quick }, { "softmax", 1e-5, 2e-5, "ss", build_softmax },
    { "sdpa", 1e-5, 2e-5, "hhhh", build_sdpa }, { "upsample_nearest", 1e-6, 1e-6, "ii", build_upsample },
    { "avg_pool2d", 1e-6, 1e-6, "ii", build_avg_pool2d }, { "embedding", 1e-6, 1e-6, "sss", build_embedding },
    { "cross_entropy", 1e-6, 2e-5, "sss", build_cross_entropy }, { "mse", 1e-6, 1e-6, "sss", build_mse },
    { "geglu", 1e-6, 1e-6, "ss", build_geglu }, { "geglu_linear", 1e-5, 2e-5, "slss", build_geglu_linear },
    { "timestep_embedding", 2e-4, 0, "ss", build_timestep }, { "fir_upsample2", 1e-6, 1e-6, "ii", build_fir_upsample2 },
    { "fir_downsample2", 1e-6, 1e-6, "ii", build_fir_downsample2 },
};

static enum layout layout_of(char letter)
{
    return letter == 'i' ? IMAGE : letter == 'c' ? CONV_WEIGHT : letter == 'l' ? LINEAR_WEIGHT : letter == 'h' ? HEADS : SAME;
}

/* Axis i of the inside order is axis perm[i] of the file's. Returns the shape inside. */
static brume_shape inside(enum layout l, brume_shape file, int perm[BRUME_MAX_DIMS])
{
    static const int orders[][BRUME_MAX_DIMS] = { { 0, 1, 2, 3, 4 }, { 0, 2, 3, 1 }, { 2, 3, 1, 0 }, { 1, 0 }, { 0, 2, 1, 3 } };
    brume_shape s = file;
    for (int i = 0; i < file.ndim; i++) perm[i] = orders[l][i];
    if (l == IMAGE && file.ndim == 3) { perm[1] = 2; perm[2] = 1; }
    for (int i = 0; i < file.ndim; i++) s.d[i] = file.d[perm[i]];
    if (l == IMAGE && file.ndim == 3) s = BRUME_SHAPE(s.d[0], s.d[1], 1, s.d[2]);
    if (l == HEADS) s = BRUME_SHAPE(s.d[0], s.d[1], s.d[2] * s.d[3]);
    return s;
}

/* Copies between the two orders; forward: file to inside. */
static void reorder(enum layout l, brume_shape file, const float *src, float *dst, int forward)
{
    int perm[BRUME_MAX_DIMS];
    int64_t stride[BRUME_MAX_DIMS], at[BRUME_MAX_DIMS] = { 0 }, step = 1;
    inside(l, file, perm);
    for (int i = file.ndim - 1; i >= 0; i--) {
        stride[i] = step;
        step *= file.d[i];
    }
    for (int64_t e = 0; e < step; e++) {
        int64_t f = 0;
        for (int i = 0; i < file.ndim; i++) f += at[i] * stride[perm[i]];
        if (forward) dst[e] = src[f];
        else dst[f] = src[e];
        for (int i = file.ndim - 1; i >= 0 && ++at[i] == file.d[perm[i]]; i--) at[i] = 0;
    }
}

struct run { /* one case on one device */
    const struct golden_op *op;
    struct golden_case c;
    const brume_safetensors *file;
    brume_plan *plan;
    char why[600];
};

static brume_shape shape_of(const brume_st_tensor *t)
{
    brume_shape s = { .ndim = t->ndim };
    for (int i = 0; i < t->ndim && i < BRUME_MAX_DIMS; i++) s.d[i] = t->shape[i];
    return s;
}

static const brume_st_tensor *tensor(struct run *r, const char *prefix, const char *field)
{
    char name[300];
    snprintf(name, sizeof name, "%s.%s%s", r->c.name, prefix, field);
    const brume_st_tensor *t = brume_safetensors_find(r->file, name);
    if (!t) snprintf(r->why, sizeof r->why, "the file has no tensor '%s'", name);
    return t;
}

static bool device_call(struct run *r, brume_status s)
{
    if (s != BRUME_OK) snprintf(r->why, sizeof r->why, "%s: %s", brume_status_name(s), brume_error());
    return s == BRUME_OK;
}

static bool write_tensor(struct run *r, brume_tensor to, const brume_st_tensor *t, enum layout l)
{
    const size_t n = (size_t)t->count;
    bool ok = false;
    if (t->dtype == BRUME_ST_I64 || t->dtype == BRUME_ST_I32) {
        int64_t *wide = malloc(n * sizeof *wide);
        int32_t *narrow = malloc(n * sizeof *narrow);
        if (wide && narrow && device_call(r, brume_st_read_i64(t, 0, t->count, wide))) {
            for (size_t i = 0; i < n; i++) narrow[i] = (int32_t)wide[i];
            ok = device_call(r, brume_plan_write(r->plan, to, narrow, n * sizeof *narrow));
        }
        free(wide);
        free(narrow);
    } else {
        float *a = malloc(n * sizeof *a), *b = malloc(n * sizeof *b);
        if (a && b && device_call(r, brume_st_read_f32(t, 0, t->count, a))) {
            reorder(l, shape_of(t), a, b, 1);
            ok = device_call(r, brume_plan_write(r->plan, to, b, n * sizeof *b));
        }
        free(a);
        free(b);
    }
    return ok;
}

/* Compares a result with the file's tensor; the worst element counts, NaN fails. */
static bool compare(struct run *r, brume_tensor from, const brume_st_tensor *t, enum layout l, double tol)
{
    const size_t n = (size_t)t->count;
    float *want = malloc(n * sizeof *want), *got = malloc(n * sizeof *got), *inner = malloc(n * sizeof *inner);
    bool ok = want && got && inner && device_call(r, brume_st_read_f32(t, 0, t->count, want)) &&
              device_call(r, brume_plan_read(r->plan, from, inner, n * sizeof *inner));
    if (ok) {
        reorder(l, shape_of(t), inner, got, 0);
        double most = 0, worst = -1;
        size_t at = 0;
        for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)want[i]));
        for (size_t i = 0; i < n; i++) {
            const double e = got[i] == want[i] ? 0 : fabs((double)got[i] - want[i]);
            if (!(e <= worst)) { worst = e; at = i; }
            if (isnan(e)) break;
        }
        /* The absolute part is for results that are exactly 0 in theory: there f32 leaves some ulps of terms of order 1. */
        ok = worst <= 0.1 * tol + tol * most;
        if (!ok)
            snprintf(r->why, sizeof r->why, "%s[%zu]: got %.9g, want %.9g; worst error %.3g of max %.3g, allowed %.3g", t->name,
                     at, (double)got[at], (double)want[at], worst, most, 0.1 * tol + tol * most);
    }
    free(want);
    free(got);
    free(inner);
    return ok;
}

static bool run_built(struct run *r, brume_tensor y, brume_tensor dy, const brume_tensor *dx)
{
    const char *l = r->op->layouts;
    const enum layout y_layout = layout_of(l[strlen(l) - 1]);
    const brume_st_tensor *t;
    for (int i = 0; i < r->c.n; i++)
        if (!(t = tensor(r, "", r->c.field[i])) || !write_tensor(r, r->c.in[i], t, layout_of(l[i]))) return false;
    if (dy != BRUME_NONE && (!(t = tensor(r, "", "dy")) || !write_tensor(r, dy, t, y_layout))) return false;
    if (!device_call(r, brume_plan_run(r->plan))) return false;
    if (!(t = tensor(r, "", "y")) || !compare(r, y, t, y_layout, r->op->tol)) return false;
    for (int i = 0; i < r->c.n; i++)
        if (dx[i] != BRUME_NONE &&
            (!(t = tensor(r, "d", r->c.field[i])) || !compare(r, dx[i], t, layout_of(l[i]), r->op->grad_tol)))
            return false;
    return device_call(r, brume_plan_check_guards(r->plan));
}

static bool run_case(struct run *r, brume_device *d, int poison)
{
    brume_graph *g = brume_graph_new();
    struct golden_case *c = &r->c;
    brume_tensor wrt[MAX_FIELDS], dx[MAX_FIELDS], grads[MAX_FIELDS], dy = BRUME_NONE;
    int n = 0, perm[BRUME_MAX_DIMS];
    bool ok = g != NULL;
    for (int i = 0; ok && i < c->n; i++) {
        const brume_st_tensor *t = tensor(r, "", c->field[i]);
        if (!(ok = t != NULL)) break;
        c->file_shape[i] = shape_of(t);
        const bool integer = t->dtype == BRUME_ST_I64 || t->dtype == BRUME_ST_I32;
        c->in[i] = brume_input(g, c->field[i], integer ? BRUME_I32 : BRUME_F32,
                               inside(layout_of(r->op->layouts[i]), c->file_shape[i], perm));
        dx[i] = BRUME_NONE;
        if (!integer && strcmp(c->op, "timestep_embedding")) wrt[n++] = c->in[i];
    }
    brume_tensor y = ok ? r->op->build(g, c) : BRUME_NONE;
    if (ok && n) {
        if (brume_tensor_shape(g, y).ndim) dy = brume_input(g, "dy", BRUME_F32, brume_tensor_shape(g, y));
        brume_grad(g, y, dy, n, wrt, grads);
        for (int i = 0, k = 0; i < c->n; i++)
            if (k < n && wrt[k] == c->in[i]) {
                dx[i] = grads[k++];
                brume_output(g, dx[i], "gradient");
            }
    }
    brume_output(g, y, "y");
    const brume_plan_options options = { .poison = poison };
    if (ok && (ok = device_call(r, brume_plan_new(d, g, &options, &r->plan)))) ok = run_built(r, y, dy, dx);
    brume_plan_free(r->plan);
    r->plan = NULL;
    brume_graph_free(g);
    return ok;
}

/* Fills r from one entry of "cases"; returns false (with r->why) if its form or op is unknown. */
static bool read_case(struct run *r, const json_t *entry)
{
    r->c.name = json_string_value(json_object_get(entry, "name"));
    r->c.op = json_string_value(json_object_get(entry, "op"));
    r->c.attrs = json_object_get(entry, "attrs");
    const json_t *inputs = json_object_get(entry, "inputs");
    snprintf(r->why, sizeof r->why, "malformed case: name, op and inputs are needed");
    if (!r->c.name || !r->c.op || !json_is_array(inputs) || json_array_size(inputs) > MAX_FIELDS) return false;
    r->c.n = (int)json_array_size(inputs);
    for (int i = 0; i < r->c.n; i++)
        if (!(r->c.field[i] = json_string_value(json_array_get(inputs, (size_t)i)))) return false;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].op, r->c.op)) r->op = &table[i];
    snprintf(r->why, sizeof r->why, "unknown op '%s'", r->c.op);
    return r->op != NULL;
}

static void run_file(const char *path, const struct test_devices *devices, long *passed, long *failed)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    char data[4096];
    const size_t stem = strlen(path) > 5 && !strcmp(path + strlen(path) - 5, ".json") ? strlen(path) - 5 : strlen(path);
    snprintf(data, sizeof data, "%.*s.safetensors", (int)stem, path);
    brume_safetensors *file = NULL;
    if (!root || brume_safetensors_open(data, &file) != BRUME_OK) {
        fprintf(stderr, "%s: %s\n", path, root ? brume_error() : error.text);
        ++*failed;
    }
    const json_t *cases = json_object_get(root, "cases");
    for (int d = 0; file && d < devices->n; d++)
        for (size_t i = 0; i < json_array_size(cases); i++)
            for (int poison = 0; poison < 2; poison++) {
                struct run r = { .file = file };
                const bool ok = read_case(&r, json_array_get(cases, i)) && run_case(&r, devices->at[d].device, poison);
                ok ? ++*passed : ++*failed;
                if (!ok)
                    printf("FAILED %s on %s%s: %s\n", r.c.name ? r.c.name : "(case)", devices->at[d].where,
                           poison ? " (poisoned)" : "", r.why);
            }
    brume_safetensors_close(file);
    json_decref(root);
}

int main(int argc, char **argv)
{
    struct test_devices devices;
    long passed = 0, failed = 0;
    test_devices_open(&devices, &argc, argv, 0);
    if (argc < 2) {
        fprintf(stderr, "usage: golden_ops [--device D]... OPS.json...\n");
        return 2;
    }
    for (int i = 1; i < argc; i++) run_file(argv[i], &devices, &passed, &failed);
    test_devices_close(&devices);
    printf("%ld passed, %ld failed\n", passed, failed);
    return failed || !passed ? 1 : 0;
}
