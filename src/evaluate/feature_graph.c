/* SPDX-License-Identifier: MIT
 * Feature networks described by their config.json: layers in order, each reading those before it. */
#include "evaluate/feature_graph.h"

#include <stdio.h>
#include <string.h>

#include "brume/ops.h"

enum { MAX_IN = 16, MAX_LAYERS = 2048, NAME = 128 };

struct network {
    brume_graph *g;
    brume_tensor slab;
    const char *name[MAX_LAYERS]; /* of what was made so far; the first is "input" */
    brume_tensor made[MAX_LAYERS];
    int n;
};

struct layer { struct network *w; const brume_json *json; const char *name; brume_tensor in[MAX_IN]; int n_in; };

static brume_tensor fail(const struct layer *l, const char *text)
{
    return brume_graph_fail(l->w->g, BRUME_E_FORMAT, "%s: %s", brume_json_where(l->json), text);
}

static int64_t integer(const struct layer *l, const char *key, int64_t fallback, int64_t lo, int64_t hi)
{
    int64_t x = fallback;
    if (brume_json_get_int(l->json, key, fallback, lo, hi, &x) != BRUME_OK)
        brume_graph_fail(l->w->g, BRUME_E_FORMAT, "%s", brume_error());
    return x;
}

/* One number for both axes, or (vertical, horizontal). */
static void pair(const struct layer *l, const char *key, int64_t fallback, int64_t lo, int64_t to[2])
{
    int n = 0;
    to[0] = to[1] = fallback;
    if (brume_json_get_ints(l->json, key, 2, lo, 1024, to, &n) != BRUME_OK)
        brume_graph_fail(l->w->g, BRUME_E_FORMAT, "%s", brume_error());
    if (n == 0) to[0] = to[1] = fallback;
    if (n == 1) to[1] = to[0];
}

static int flag(const struct layer *l, const char *key, int fallback)
{
    int x = fallback;
    if (brume_json_get_bool(l->json, key, fallback, &x) != BRUME_OK)
        brume_graph_fail(l->w->g, BRUME_E_FORMAT, "%s", brume_error());
    return x;
}

static double number(const struct layer *l, const char *key, double fallback, double lo, double hi)
{
    double x = fallback;
    if (brume_json_get_double(l->json, key, fallback, lo, hi, &x) != BRUME_OK)
        brume_graph_fail(l->w->g, BRUME_E_FORMAT, "%s", brume_error());
    return x;
}

static brume_tensor param(const struct layer *l, const char *leaf, brume_shape shape, brume_layout layout)
{
    char name[NAME + 32];
    snprintf(name, sizeof name, "%s.%s", l->name, leaf);
    const brume_param_info info = { .name = name, .shape = shape, .layout = layout, .init = BRUME_INIT_ZERO };
    return brume_graph_status(l->w->g) == BRUME_OK ? brume_param(l->w->g, l->w->slab, &info) : BRUME_NONE;
}

/* Values of the last axis: channels. */
static int64_t channels(const struct layer *l)
{
    const brume_shape s = brume_tensor_shape(l->w->g, l->in[0]);
    return s.ndim ? s.d[s.ndim - 1] : 1;
}

static brume_tensor conv(const struct layer *l)
{
    int64_t kernel[2], pad[2];
    const int64_t out = integer(l, "out", 0, 1, 1 << 20), stride = integer(l, "stride", 1, 1, 1024),
                  groups = integer(l, "groups", 1, 1, 1 << 20);
    pair(l, "kernel", 0, 1, kernel);
    pair(l, "padding", 0, 0, pad);
    if (!out || !kernel[0]) return fail(l, "a conv needs \"out\" and \"kernel\"");
    if (channels(l) % groups) return fail(l, "\"groups\" must divide the channels");
    const brume_tensor w = param(l, "weight", BRUME_SHAPE(kernel[0], kernel[1], channels(l) / groups, out), BRUME_LAYOUT_CONV);
    const brume_tensor b = flag(l, "bias", 1) ? param(l, "bias", BRUME_SHAPE(out), BRUME_LAYOUT_SAME) : BRUME_NONE;
    const int32_t y = (int32_t)pad[0], x = (int32_t)pad[1];
    return brume_conv2d(l->w->g, l->in[0], w, b, BRUME_NONE,
                        &(brume_conv2d_params){ .stride = (int32_t)stride, .pad = { y, x, y, x }, .groups = (int32_t)groups });
}

/* Images of one pixel, or rows. */
static brume_tensor linear(const struct layer *l)
{
    const brume_shape s = brume_tensor_shape(l->w->g, l->in[0]);
    const int64_t out = integer(l, "out", 0, 1, 1 << 20);
    if (!out) return fail(l, "a linear layer needs \"out\"");
    if (s.ndim == 4 && s.d[1] * s.d[2] > 1)
        return fail(l, "a linear layer reads one pixel; over an image it is a conv with a kernel of the image's size");
    const brume_tensor x = brume_reshape(l->w->g, l->in[0], BRUME_SHAPE(s.d[0], channels(l)));
    const brume_tensor w = param(l, "weight", BRUME_SHAPE(channels(l), out), BRUME_LAYOUT_LINEAR);
    return brume_linear(l->w->g, x, w, flag(l, "bias", 1) ? param(l, "bias", BRUME_SHAPE(out), BRUME_LAYOUT_SAME) : BRUME_NONE);
}

static brume_tensor scale_shift(const struct layer *l)
{
    const brume_tensor w = param(l, "weight", BRUME_SHAPE(channels(l)), BRUME_LAYOUT_SAME),
                       b = param(l, "bias", BRUME_SHAPE(channels(l)), BRUME_LAYOUT_SAME);
    return brume_add(l->w->g, brume_mul(l->w->g, l->in[0], w), b);
}

/* (x - running_mean) / sqrt(running_var + eps) * weight + bias: the moments are those of training. */
static brume_tensor batch_norm(const struct layer *l)
{
    brume_graph *g = l->w->g;
    const brume_shape c = BRUME_SHAPE(channels(l));
    const float eps = (float)number(l, "eps", 1e-5, 1e-12, 1);
    const brume_tensor mean = param(l, "running_mean", c, BRUME_LAYOUT_SAME), var = param(l, "running_var", c, BRUME_LAYOUT_SAME);
    brume_tensor x = brume_div(g, brume_sub(g, l->in[0], mean), brume_sqrt(g, brume_affine(g, var, 1, eps)));
    if (!flag(l, "affine", 1)) return x;
    const brume_tensor w = param(l, "weight", c, BRUME_LAYOUT_SAME), b = param(l, "bias", c, BRUME_LAYOUT_SAME);
    return brume_add(g, brume_mul(g, x, w), b);
}

static brume_tensor group_norm(const struct layer *l)
{
    const brume_tensor w = param(l, "weight", BRUME_SHAPE(channels(l)), BRUME_LAYOUT_SAME),
                       b = param(l, "bias", BRUME_SHAPE(channels(l)), BRUME_LAYOUT_SAME);
    return brume_group_norm(l->w->g, l->in[0], w, b, (int)integer(l, "groups", 32, 1, 1 << 20),
                            (float)number(l, "eps", 1e-5, 1e-12, 1), BRUME_ACT_NONE);
}

static brume_tensor pool(const struct layer *l, int max)
{
    int64_t kernel[2], pad[2];
    pair(l, "kernel", 2, 1, kernel);
    pair(l, "padding", 0, 0, pad);
    const brume_pool2d_params p = { .kernel = { (int32_t)kernel[0], (int32_t)kernel[1] },
                                    .stride = (int32_t)integer(l, "stride", kernel[0], 1, 1024),
                                    .pad = { (int32_t)pad[0], (int32_t)pad[1] }, .count_pad = flag(l, "count_include_pad", 1) };
    return max ? brume_max_pool2d(l->w->g, l->in[0], &p) : brume_mean_pool2d(l->w->g, l->in[0], &p);
}

static brume_tensor max_pool(const struct layer *l) { return pool(l, 1); }
static brume_tensor avg_pool(const struct layer *l) { return pool(l, 0); }

static brume_tensor global_avg_pool(const struct layer *l)
{
    if (brume_tensor_shape(l->w->g, l->in[0]).ndim != 4) return fail(l, "global_avg_pool reads an image");
    return brume_mean(l->w->g, l->in[0], 1u << 1 | 1u << 2, 0);
}

static brume_tensor concat(const struct layer *l) { return brume_concat(l->w->g, l->n_in, l->in, -1); }

static brume_tensor add(const struct layer *l)
{
    brume_tensor x = l->in[0];
    for (int i = 1; i < l->n_in; i++) x = brume_add(l->w->g, x, l->in[i]);
    return x;
}

static brume_tensor relu(const struct layer *l) { return brume_relu(l->w->g, l->in[0]); }
static brume_tensor silu(const struct layer *l) { return brume_silu(l->w->g, l->in[0]); }
static brume_tensor gelu(const struct layer *l) { return brume_gelu_erf(l->w->g, l->in[0]); }
static brume_tensor sigmoid(const struct layer *l) { return brume_sigmoid(l->w->g, l->in[0]); }
static brume_tensor tanh_(const struct layer *l) { return brume_tanh(l->w->g, l->in[0]); }

static const struct kind { const char *name; int most_in; brume_tensor (*build)(const struct layer *l); } kinds[] = {
    { "conv", 1, conv },
    { "linear", 1, linear },
    { "scale_shift", 1, scale_shift },
    { "batch_norm", 1, batch_norm },
    { "group_norm", 1, group_norm },
    { "relu", 1, relu },
    { "silu", 1, silu },
    { "gelu", 1, gelu },
    { "sigmoid", 1, sigmoid },
    { "tanh", 1, tanh_ },
    { "max_pool", 1, max_pool },
    { "avg_pool", 1, avg_pool },
    { "global_avg_pool", 1, global_avg_pool },
    { "concat", MAX_IN, concat },
    { "add", MAX_IN, add },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const struct kind *kind_of(const struct layer *l)
{
    const char *type = brume_json_string(brume_json_find(l->json, "type"), "");
    char known[256] = "";
    for (int i = 0; i < KINDS; i++) {
        if (!strcmp(kinds[i].name, type)) return &kinds[i];
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", kinds[i].name);
    }
    brume_graph_fail(l->w->g, BRUME_E_UNSUPPORTED, "%s: there is no layer of type '%s'; expected one of %s",
                     brume_json_where(l->json), type, known);
    return NULL;
}

static void read_from(struct layer *l, const char *name)
{
    for (int i = l->w->n - 1; i >= 0; i--)
        if (!strcmp(l->w->name[i], name)) {
            l->in[l->n_in++] = l->w->made[i];
            return;
        }
    brume_graph_fail(l->w->g, BRUME_E_FORMAT, "%s: there is no layer '%s' before this one", brume_json_where(l->json), name);
}

/* "inputs": a name or several; without, the layer before. */
static void find_inputs(struct layer *l, const struct kind *k)
{
    const brume_json *from = brume_json_find(l->json, "inputs");
    if (brume_json_is_null(from)) {
        l->in[l->n_in++] = l->w->made[l->w->n - 1];
        return;
    }
    if (brume_json_typeof(from) == BRUME_JSON_STRING) {
        read_from(l, brume_json_string(from, ""));
        return;
    }
    if (brume_json_typeof(from) != BRUME_JSON_ARRAY || brume_json_count(from) < 1 || brume_json_count(from) > k->most_in) {
        brume_graph_fail(l->w->g, BRUME_E_FORMAT, "%s: expected the name of a layer, or a list of 1 to %d",
                         brume_json_where(from), k->most_in);
        return;
    }
    for (int64_t i = 0; i < brume_json_count(from); i++) read_from(l, brume_json_string(brume_json_at(from, i), ""));
}

static void build(struct network *w, const brume_json *json)
{
    struct layer l = { .w = w, .json = json, .name = brume_json_string(brume_json_find(json, "name"), "") };
    const struct kind *k = kind_of(&l);
    if (!k) return;
    if (strlen(l.name) >= NAME) {
        fail(&l, "the layer's name is too long");
        return;
    }
    find_inputs(&l, k);
    if (brume_graph_status(w->g) != BRUME_OK) return;
    brume_scope_push(w->g, "%s", l.name[0] ? l.name : k->name);
    w->made[w->n] = k->build(&l);
    brume_scope_pop(w->g);
    w->name[w->n++] = l.name;
}

brume_tensor brume_feature_graph(brume_graph *g, const brume_json *root, brume_tensor slab, brume_tensor x)
{
    const brume_json *layers = brume_json_find(root, "layers");
    struct network w = { .g = g, .slab = slab, .name = { "input" }, .made = { x }, .n = 1 };
    const int64_t n = brume_json_count(layers);
    if (brume_json_typeof(layers) != BRUME_JSON_ARRAY || n < 1 || n >= MAX_LAYERS)
        return brume_graph_fail(g, BRUME_E_FORMAT, "%s: expected \"layers\", a list of 1 to %d layers", brume_json_where(root),
                                MAX_LAYERS - 1);
    for (int64_t i = 0; i < n && brume_graph_status(g) == BRUME_OK; i++) build(&w, brume_json_at(layers, i));
    const brume_shape s = brume_tensor_shape(g, w.made[w.n - 1]);
    if (brume_graph_status(g) != BRUME_OK) return BRUME_NONE;
    return brume_reshape(g, w.made[w.n - 1], BRUME_SHAPE(s.d[0], brume_shape_numel(s) / s.d[0]));
}
