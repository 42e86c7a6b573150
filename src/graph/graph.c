/* SPDX-License-Identifier: MIT
 * Building graphs: values, nodes, scopes, and the error that sticks. */
#include "graph/graph.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* of one slab: Stable Diffusion XL has 1680. A config may ask for any number, and its graph is built before its weights are
 * looked at */
#define MAX_PARAMS (1 << 16)

brume_graph *brume_graph_new(void) { return calloc(1, sizeof(brume_graph)); }

static void node_free(struct brume_node *n)
{
    if (!n) return;
    free(n->name);
    free(n->in);
    free((void *)n->in_v);
    free((void *)n->attrs);
    free(n);
}

void brume_graph_free(brume_graph *g)
{
    if (!g) return;
    for (int i = 0; i < g->n_nodes; i++) node_free(g->nodes[i]);
    for (int i = 0; i < g->n_values; i++) {
        free(g->values[i]->name);
        free(g->values[i]);
    }
    for (int i = 0; i < g->n_slabs; i++) {
        free(g->slabs[i].params);
        free(g->slabs[i].slots);
    }
    free(g->slabs);
    free(g->nodes);
    free(g->values);
    free(g);
}

brume_status brume_graph_status(const brume_graph *g) { return g ? g->status : BRUME_E_MEMORY; }
const char *brume_graph_error(const brume_graph *g) { return g ? g->error : "no graph: out of memory"; }

static void stick(brume_graph *g, brume_status s, const char *text)
{
    if (g->status != BRUME_OK) return;
    g->status = s;
    snprintf(g->error, sizeof g->error, "%s", text);
    brume_fail(s, "%s", text);
}

brume_tensor brume_graph_fail(brume_graph *g, brume_status s, const char *fmt, ...)
{
    char text[900];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (g && g->status == BRUME_OK) {
        char full[1024];
        if (g->scope[0]) snprintf(full, sizeof full, "%.700s (in '%.300s')", text, g->scope);
        else snprintf(full, sizeof full, "%s", text);
        stick(g, s, full);
    }
    return BRUME_NONE;
}

static brume_tensor out_of_memory(brume_graph *g)
{
    stick(g, BRUME_E_MEMORY, "out of memory while building a graph");
    return BRUME_NONE;
}

/* Makes room for one more element of `size` bytes in *array. */
static int grow(void *array, int n, int *cap, size_t size)
{
    if (n < *cap) return 1;
    const int next = *cap ? *cap * 2 : 64;
    void *p = realloc(*(void **)array, (size_t)next * size);
    if (!p) return 0;
    *(void **)array = p;
    *cap = next;
    return 1;
}

static struct brume_value *value_new(brume_graph *g, enum brume_value_kind kind, brume_dtype dtype, brume_shape shape,
                                     const char *name)
{
    struct brume_value *v = calloc(1, sizeof *v);
    char *copy = name ? strdup(name) : NULL;
    if (!v || (name && !copy) || !grow(&g->values, g->n_values, &g->cap_values, sizeof *g->values)) {
        free(v);
        free(copy);
        return NULL;
    }
    v->id = g->n_values;
    v->kind = kind;
    v->dtype = dtype;
    v->shape = shape;
    v->name = copy;
    v->slab = BRUME_NONE;
    g->values[g->n_values++] = v;
    return v;
}

/* Values of a tensor or of all parameters: so few that no product of sizes overflows 64 bits, and that even 8 bytes for each can
 * be addressed. */
#define MOST_VALUES (SIZE_MAX > UINT32_MAX ? (int64_t)1 << 40 : (int64_t)1 << 28)

static int shape_ok(brume_shape s)
{
    if (s.ndim < 0 || s.ndim > BRUME_MAX_DIMS) return 0;
    int64_t n = 1;
    for (int i = 0; i < s.ndim; i++) {
        if (s.d[i] < 1 || s.d[i] > MOST_VALUES / n) return 0;
        n *= s.d[i];
    }
    return 1;
}

static brume_tensor leaf(brume_graph *g, enum brume_value_kind kind, const char *name, brume_dtype dtype, brume_shape shape)
{
    if (!g || g->status != BRUME_OK) return BRUME_NONE;
    char text[96];
    if (!shape_ok(shape))
        return brume_graph_fail(g, BRUME_E_SHAPE,
                                "tensor '%s': every dimension must be at least 1, at most %d of them and %lld values, got %s",
                                name, BRUME_MAX_DIMS, (long long)MOST_VALUES,
                                shape.ndim < 0 || shape.ndim > BRUME_MAX_DIMS ? "too many" : brume_shape_text(shape, text));
    for (int i = 0; i < g->n_values; i++)
        if (g->values[i]->kind == kind && g->values[i]->name && !strcmp(g->values[i]->name, name))
            return brume_graph_fail(g, BRUME_E_ARG, "tensor '%s': the graph already has one of that name", name);
    struct brume_value *v = value_new(g, kind, dtype, shape, name);
    return v ? v->id : out_of_memory(g);
}

brume_tensor brume_input(brume_graph *g, const char *name, brume_dtype dtype, brume_shape shape)
{
    return leaf(g, BRUME_VALUE_INPUT, name, dtype, shape);
}

brume_tensor brume_persistent(brume_graph *g, const char *name, brume_dtype dtype, brume_shape shape)
{
    return leaf(g, BRUME_VALUE_PERSISTENT, name, dtype, shape);
}

void brume_output(brume_graph *g, brume_tensor t, const char *name)
{
    if (!g || g->status != BRUME_OK || t == BRUME_NONE) return;
    struct brume_value *v = g->values[t];
    v->is_output = true;
    if (name && v->kind == BRUME_VALUE_NODE) {
        char *copy = strdup(name);
        if (!copy) { out_of_memory(g); return; }
        free(v->name);
        v->name = copy;
    }
}

brume_tensor brume_slab(brume_graph *g, const char *name)
{
    const brume_tensor t = leaf(g, BRUME_VALUE_SLAB, name, BRUME_F32, BRUME_SHAPE(1));
    if (t == BRUME_NONE) return t;
    if (!grow(&g->slabs, g->n_slabs, &g->cap_slabs, sizeof *g->slabs)) return out_of_memory(g);
    g->slabs[g->n_slabs++] = (struct brume_slab_info){ .slab = t };
    g->values[t]->shape.d[0] = 0; /* grows with every parameter */
    return t;
}

static struct brume_slab_info *slab_info(const brume_graph *g, brume_tensor slab)
{
    for (int i = 0; g && i < g->n_slabs; i++)
        if (g->slabs[i].slab == slab) return &g->slabs[i];
    return NULL;
}

/* Where a name is, or would be. */
static uint32_t find_slot(const struct brume_slab_info *s, const char *name)
{
    uint32_t i = (uint32_t)(brume_fnv1a(name, strlen(name)) * 0x9e3779b97f4a7c15u >> 40) & s->mask;
    while (s->slots[i] >= 0 && strcmp(s->params[s->slots[i]].name, name)) i = (i + 1) & s->mask;
    return i;
}

/* Half of the slots stay empty. */
static int grow_slots(struct brume_slab_info *s)
{
    if (s->mask && (uint32_t)s->n < s->mask / 2) return 1;
    const uint32_t slots = s->mask ? 2 * (s->mask + 1) : 256;
    int32_t *fresh = malloc(slots * sizeof *fresh);
    if (!fresh) return 0;
    free(s->slots);
    s->slots = memset(fresh, 0xff, slots * sizeof *fresh);
    s->mask = slots - 1;
    for (int32_t i = 0; i < s->n; i++) s->slots[find_slot(s, s->params[i].name)] = i;
    return 1;
}

brume_tensor brume_param(brume_graph *g, brume_tensor slab, const brume_param_info *info)
{
    if (!g || g->status != BRUME_OK) return BRUME_NONE;
    struct brume_slab_info *s = slab_info(g, slab);
    if (!s) return brume_graph_fail(g, BRUME_E_ARG, "parameter '%s': the tensor given is not a slab", info->name);
    if (!shape_ok(info->shape))
        return brume_graph_fail(g, BRUME_E_SHAPE, "parameter '%s': a dimension is below 1, or it has more than %lld values",
                                info->name, (long long)MOST_VALUES);
    if (s->n == MAX_PARAMS)
        return brume_graph_fail(
            g, BRUME_E_UNSUPPORTED,
            "parameter '%s': more than %d parameters; are all numbers of the model's config as they should be?", info->name,
            MAX_PARAMS);
    if (brume_shape_numel(info->shape) > MOST_VALUES - g->values[slab]->shape.d[0])
        return brume_graph_fail(
            g, BRUME_E_UNSUPPORTED,
            "parameter '%s': more than %lld values of all parameters; are all numbers of the model's config as they should be?",
            info->name, (long long)MOST_VALUES);
    if (!grow_slots(s)) return out_of_memory(g);
    const uint32_t slot = find_slot(s, info->name);
    if (s->slots[slot] >= 0)
        return brume_graph_fail(g, BRUME_E_ARG, "parameter '%s': the slab already has one of that name", info->name);
    if (s->used_by)
        return brume_graph_fail(g, BRUME_E_ARG, "parameter '%s': its slab was used by '%s' and cannot grow any more", info->name,
                                s->used_by);
    struct brume_value *v = value_new(g, BRUME_VALUE_PARAM, BRUME_F32, info->shape, info->name);
    if (!v || !grow(&s->params, s->n, &s->cap, sizeof *s->params)) return out_of_memory(g);
    struct brume_value *owner = g->values[slab];
    v->slab = slab;
    v->offset = owner->shape.d[0];
    owner->shape.d[0] += brume_shape_numel(info->shape);
    s->slots[slot] = s->n;
    brume_param_info *p = &s->params[s->n++];
    *p = *info;
    p->name = v->name;
    p->offset = v->offset;
    p->tensor = v->id;
    return v->id;
}

int brume_param_count(const brume_graph *g, brume_tensor slab)
{
    const struct brume_slab_info *s = slab_info(g, slab);
    return s ? s->n : 0;
}

const brume_param_info *brume_param_at(const brume_graph *g, brume_tensor slab, int i)
{
    const struct brume_slab_info *s = slab_info(g, slab);
    return s && i >= 0 && i < s->n ? &s->params[i] : NULL;
}

const struct brume_value *brume_value_of(const brume_graph *g, brume_tensor t)
{
    return g && t >= 0 && t < g->n_values ? g->values[t] : NULL;
}

brume_shape brume_tensor_shape(const brume_graph *g, brume_tensor t)
{
    const struct brume_value *v = brume_value_of(g, t);
    return v ? v->shape : BRUME_SCALAR;
}

brume_dtype brume_tensor_dtype(const brume_graph *g, brume_tensor t)
{
    const struct brume_value *v = brume_value_of(g, t);
    return v ? v->dtype : BRUME_F32;
}

const char *brume_tensor_name(const brume_graph *g, brume_tensor t)
{
    const struct brume_value *v = brume_value_of(g, t);
    if (!v) return "(none)";
    return v->name ? v->name : v->producer ? v->producer->name : "(unnamed)";
}

int brume_graph_node_count(const brume_graph *g) { return g->n_nodes; }
const struct brume_node *brume_graph_node(const brume_graph *g, int i) { return g->nodes[i]; }
int brume_graph_value_count(const brume_graph *g) { return g->n_values; }

void brume_scope_push(brume_graph *g, const char *fmt, ...)
{
    if (!g || g->scope_depth >= (int)(sizeof g->scope_end / sizeof *g->scope_end)) {
        if (g) g->scope_depth++;
        return;
    }
    const size_t end = strlen(g->scope);
    g->scope_end[g->scope_depth++] = end;
    if (end) snprintf(g->scope + end, sizeof g->scope - end, ".");
    const size_t at = strlen(g->scope);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(g->scope + at, sizeof g->scope - at, fmt, ap);
    va_end(ap);
}

void brume_scope_pop(brume_graph *g)
{
    if (!g || g->scope_depth == 0) return;
    if (--g->scope_depth < (int)(sizeof g->scope_end / sizeof *g->scope_end)) g->scope[g->scope_end[g->scope_depth]] = 0;
}

void brume_segment_begin(brume_graph *g)
{
    if (g && g->segment_depth++ == 0) g->n_segments++;
}

void brume_segment_end(brume_graph *g)
{
    if (g && g->segment_depth > 0) g->segment_depth--;
}

void brume_graph_recompute(brume_graph *g, int on)
{
    if (g) g->recompute = on != 0;
}

bool brume_graph_recomputes(const brume_graph *g) { return g->recompute; }

/* The graph that owns a node while its shape rule runs: shape rules see the node only. */
static _Thread_local brume_graph *shaping;

brume_status brume_node_fail(const struct brume_node *n, brume_status s, const char *fmt, ...)
{
    char text[600], shapes[360] = "";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t at = 0;
    for (int i = 0; i < n->n_in && at < sizeof shapes - 100; i++) {
        char one[96];
        at += (size_t)snprintf(shapes + at, sizeof shapes - at, "%s%s", i ? ", " : "",
                               n->in_v[i] ? brume_shape_text(n->in_v[i]->shape, one) : "none");
    }
    char full[1024];
    snprintf(full, sizeof full, "%s '%s': %s (inputs %s)", n->op->name, n->name, text, shapes);
    if (shaping) stick(shaping, s, full);
    return s;
}

brume_status brume_want(const struct brume_node *n, int input, const char *what, brume_dtype dtype, int ndim)
{
    static const char *const type_names[] = { "f32", "i32", "i64", "f16" };
    const struct brume_value *v = n->in_v[input];
    if (!v) return brume_node_fail(n, BRUME_E_ARG, "%s is missing", what);
    if (v->dtype != dtype)
        return brume_node_fail(n, BRUME_E_SHAPE, "%s expects type %s, got %s", what, type_names[dtype], type_names[v->dtype]);
    if (ndim >= 0 && v->shape.ndim != ndim)
        return brume_node_fail(n, BRUME_E_SHAPE, "%s expects %d dimensions, got %d", what, ndim, v->shape.ndim);
    return BRUME_OK;
}

static bool check_inputs(brume_graph *g, struct brume_node *n)
{
    if (n->n_in < n->op->n_in_min || n->n_in > n->op->n_in_max) {
        brume_node_fail(n, BRUME_E_ARG, "expects %d to %d inputs, got %d", n->op->n_in_min, n->op->n_in_max, n->n_in);
        return false;
    }
    for (int i = 0; i < n->n_in; i++) {
        const struct brume_value *v = n->in_v[i];
        if (!v && !(i < 32 && n->op->optional >> i & 1)) {
            brume_node_fail(n, BRUME_E_ARG, "input %d is missing", i);
            return false;
        }
        if (v && i < 32 && n->op->updates >> i & 1 && v->kind != BRUME_VALUE_PERSISTENT && v->kind != BRUME_VALUE_SLAB &&
            v->kind != BRUME_VALUE_PARAM) {
            brume_node_fail(n, BRUME_E_ARG, "input %d is updated in place and must be persistent, a slab or a parameter", i);
            return false;
        }
    }
    return g->status == BRUME_OK;
}

brume_tensor brume_node_add(brume_graph *g, const struct brume_op *op, int n_in, const brume_tensor *in, const void *attrs,
                            size_t attr_bytes)
{
    if (!g || g->status != BRUME_OK) return BRUME_NONE;
    struct brume_node *n = calloc(1, sizeof *n);
    if (!n) return out_of_memory(g);
    char name[640];
    snprintf(name, sizeof name, "%s%s%s#%d", g->scope, g->scope[0] ? "/" : "", op->name, g->n_nodes);
    void *copy = NULL;
    n->op = op;
    n->index = g->n_nodes;
    n->segment = g->segment_depth > 0 ? g->n_segments : 0;
    n->name = strdup(name);
    n->n_in = n_in;
    n->n_out = op->n_out;
    n->in = malloc(((size_t)n_in + 1) * sizeof *n->in);
    n->in_v = malloc(((size_t)n_in + 1) * sizeof *n->in_v);
    if (attr_bytes) copy = malloc(attr_bytes);
    if (!n->name || !n->in || !n->in_v || (attr_bytes && !copy) ||
        !grow(&g->nodes, g->n_nodes, &g->cap_nodes, sizeof *g->nodes)) {
        n->attrs = copy;
        node_free(n);
        return out_of_memory(g);
    }
    if (attr_bytes) memcpy(copy, attrs, attr_bytes);
    n->attrs = copy;
    n->attr_bytes = attr_bytes;
    for (int i = 0; i < n_in; i++) {
        n->in[i] = in[i];
        n->in_v[i] = brume_value_of(g, in[i]);
    }
    shaping = g;
    if (!check_inputs(g, n)) {
        shaping = NULL;
        node_free(n);
        return BRUME_NONE;
    }
    const int first = g->n_values;
    for (int k = 0; k < n->n_out; k++) {
        struct brume_value *v = value_new(g, BRUME_VALUE_NODE, BRUME_F32, BRUME_SCALAR, NULL);
        if (!v) break;
        v->producer = n;
        v->out_index = k;
        n->out[k] = v->id;
        n->out_v[k] = v;
    }
    brume_status s = g->n_values == first + n->n_out ? op->shape(n) : BRUME_E_MEMORY;
    for (int k = 0; s == BRUME_OK && k < n->n_out; k++)
        if (!shape_ok(n->out_v[k]->shape))
            s = brume_node_fail(n, BRUME_E_SHAPE,
                                "the result would have an empty dimension, or more values than can be addressed");
    shaping = NULL;
    if (s != BRUME_OK) {
        while (g->n_values > first) {
            g->n_values--;
            free(g->values[g->n_values]);
        }
        if (g->status == BRUME_OK) {
            char text[256];
            snprintf(text, sizeof text, "%s '%s': refused its inputs", op->name, n->name);
            s == BRUME_E_MEMORY ? (void)out_of_memory(g) : stick(g, s, text);
        }
        node_free(n);
        return BRUME_NONE;
    }
    for (int i = 0; i < n_in; i++) {
        struct brume_slab_info *slab = n->in_v[i] && n->in_v[i]->kind == BRUME_VALUE_SLAB ? slab_info(g, in[i]) : NULL;
        if (slab && !slab->used_by) slab->used_by = n->name;
    }
    g->nodes[g->n_nodes++] = n;
    return n->n_out ? n->out[0] : BRUME_NONE;
}
