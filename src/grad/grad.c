/* SPDX-License-Identifier: MIT
 * Reverse-mode differentiation: walks the nodes backwards and lets every op append its own gradient nodes. */
#include <stdlib.h>
#include <string.h>

#include "brume/ops.h"
#include "graph/op.h"

/* depends[v]: value v depends on one of the tensors asked for. */
static void mark_dependents(const brume_graph *g, int n_nodes, bool *depends)
{
    for (int i = 0; i < n_nodes; i++) {
        const struct brume_node *n = brume_graph_node(g, i);
        bool any = false;
        for (int j = 0; j < n->n_in; j++) any = any || (n->in[j] != BRUME_NONE && depends[n->in[j]]);
        for (int k = 0; k < n->n_out; k++) depends[n->out[k]] = depends[n->out[k]] || any;
    }
}

/*
 * Appends the gradient of one node and adds what it gives to the gradients of its inputs. again: the node itself, or the one that
 * computes its values again. Returns false without memory.
 */
static bool backward_one(brume_graph *g, const struct brume_node *n, const struct brume_node *again, const bool *depends,
                         brume_tensor *grads)
{
    brume_tensor dy[BRUME_MAX_OUT];
    bool any = false;
    for (int k = 0; k < n->n_out; k++) {
        dy[k] = grads[n->out[k]];
        any = any || dy[k] != BRUME_NONE;
    }
    if (!any) return true;
    brume_tensor *dx = malloc((size_t)n->n_in * sizeof *dx + 1);
    bool *need = malloc((size_t)n->n_in * sizeof *need + 1);
    bool wanted = false;
    if (dx && need) {
        for (int j = 0; j < n->n_in; j++) {
            dx[j] = BRUME_NONE;
            need[j] = n->in[j] != BRUME_NONE && n->in_v[j]->dtype == BRUME_F32 && depends[n->in[j]];
            wanted = wanted || need[j];
        }
        if (wanted && !n->op->grad)
            brume_graph_fail(g, BRUME_E_UNSUPPORTED, "%s '%s' has no gradient", n->op->name, n->name);
        else if (wanted)
            n->op->grad(g, again, dy, dx, need);
        for (int j = 0; wanted && j < n->n_in; j++) {
            if (!need[j] || dx[j] == BRUME_NONE) continue;
            brume_tensor *sum = &grads[n->in[j]];
            *sum = *sum == BRUME_NONE ? dx[j] : brume_add(g, *sum, dx[j]);
        }
    }
    const bool ok = dx && need;
    free(dx);
    free(need);
    return ok;
}

/* Values of a segment that the backward pass reads, computed again. */
struct again {
    brume_tensor *value;            /* per value of the forward pass: what holds it for the backward pass */
    const struct brume_node **node; /* per node of the forward pass */
    bool *outside;                  /* per value: a node outside of its segment reads it, so that it is kept */
};

static void again_free(struct again *a)
{
    free(a->value);
    free(a->node);
    free(a->outside);
}

static bool again_new(const brume_graph *g, int n_nodes, int n_values, struct again *a)
{
    a->value = malloc((size_t)n_values * sizeof *a->value);
    a->node = malloc((size_t)n_nodes * sizeof(*a->node) + 1);
    a->outside = calloc((size_t)n_values, sizeof *a->outside);
    if (!a->value || !a->node || !a->outside) return false;
    for (int v = 0; v < n_values; v++) a->value[v] = v;
    for (int i = 0; i < n_nodes; i++) {
        const struct brume_node *n = a->node[i] = brume_graph_node(g, i);
        for (int j = 0; j < n->n_in; j++) {
            const struct brume_node *from = n->in_v[j] ? n->in_v[j]->producer : NULL;
            if (from && from->segment != n->segment) a->outside[n->in[j]] = true;
        }
    }
    return true;
}

/* Appends the nodes of the segment that ends at node `last` once more. What the backward pass does not read, a plan leaves
 * out. */
static void repeat_segment(brume_graph *g, int last, struct again *a)
{
    int first = last;
    while (first > 0 && brume_graph_node(g, first - 1)->segment == brume_graph_node(g, last)->segment) first--;
    for (int i = first; i <= last && brume_graph_status(g) == BRUME_OK; i++) {
        const struct brume_node *n = brume_graph_node(g, i);
        brume_tensor *in = malloc((size_t)n->n_in * sizeof *in + 1);
        if (!in) {
            brume_graph_fail(g, BRUME_E_MEMORY, "gradient: out of memory");
            return;
        }
        for (int j = 0; j < n->n_in; j++) in[j] = n->in[j] == BRUME_NONE ? BRUME_NONE : a->value[n->in[j]];
        brume_scope_push(g, "again.%.*s", (int)strcspn(n->name, "/"), n->name);
        brume_node_add(g, n->op, n->n_in, in, n->attrs, n->attr_bytes);
        brume_scope_pop(g);
        free(in);
        if (brume_graph_status(g) != BRUME_OK) return;
        a->node[i] = brume_graph_node(g, brume_graph_node_count(g) - 1);
        for (int k = 0; k < n->n_out; k++)
            if (!a->outside[n->out[k]]) a->value[n->out[k]] = a->node[i]->out[k];
    }
}

/* What is differentiated by, and where the gradients go. */
struct wanted {
    int n;
    const brume_tensor *wrt; /* BRUME_NONE: nothing */
    brume_tensor *d;         /* receives the gradients; BRUME_NONE: none */
    const brume_tensor *sum; /* NULL, or what each gradient is added to once it is complete; then d stays */
    brume_tensor keep;       /* see brume_accumulate() */
};

/* first[v]: the first of n_nodes nodes that reads value v; below it, the gradient of v is complete. n_nodes: none. */
static void find_first_readers(const brume_graph *g, int n_nodes, int n_values, int *first)
{
    for (int v = 0; v < n_values; v++) first[v] = n_nodes;
    for (int i = n_nodes - 1; i >= 0; i--) {
        const struct brume_node *n = brume_graph_node(g, i);
        for (int j = 0; j < n->n_in; j++)
            if (n->in[j] != BRUME_NONE) first[n->in[j]] = i;
    }
}

static void walk(brume_graph *g, brume_tensor y, brume_tensor dy, const struct wanted *w)
{
    const struct brume_value *vy = brume_value_of(g, y);
    const int n_values = brume_graph_value_count(g), n_nodes = vy->producer ? vy->producer->index + 1 : 0;
    bool *depends = calloc((size_t)n_values, sizeof *depends), ok;
    brume_tensor *grads = malloc((size_t)n_values * sizeof *grads);
    int *first = malloc((size_t)n_values * sizeof *first), segment = 0;
    struct again again = { 0 };
    ok = depends && grads && first && again_new(g, n_nodes, n_values, &again);
    if (ok) {
        for (int i = 0; i < n_values; i++) grads[i] = BRUME_NONE;
        for (int i = 0; i < w->n; i++)
            if (w->wrt[i] != BRUME_NONE) depends[w->wrt[i]] = true;
        mark_dependents(g, n_nodes, depends);
        find_first_readers(g, n_nodes, n_values, first);
        grads[y] = dy != BRUME_NONE ? dy : brume_constant(g, vy->shape, 1.0f);
        for (int i = n_nodes - 1; ok && i >= 0 && brume_graph_status(g) == BRUME_OK; i--) {
            const struct brume_node *n = brume_graph_node(g, i);
            if (brume_graph_recomputes(g) && n->segment && n->segment != segment) repeat_segment(g, i, &again);
            segment = n->segment;
            ok = backward_one(g, n, again.node[i], depends, grads);
            for (int k = 0; w->sum && k < w->n; k++)
                if (w->wrt[k] != BRUME_NONE && first[w->wrt[k]] == i && grads[w->wrt[k]] != BRUME_NONE)
                    brume_accumulate(g, w->sum[k], grads[w->wrt[k]], w->keep);
        }
        for (int i = 0; i < w->n && brume_graph_status(g) == BRUME_OK; i++)
            if (w->wrt[i] != BRUME_NONE && w->wrt[i] < n_values && depends[y]) w->d[i] = grads[w->wrt[i]];
    }
    if (!ok) brume_graph_fail(g, BRUME_E_MEMORY, "gradient: out of memory");
    free(depends);
    free(grads);
    free(first);
    again_free(&again);
}

static void differentiate(brume_graph *g, brume_tensor y, brume_tensor dy, const struct wanted *w)
{
    for (int i = 0; i < w->n; i++) w->d[i] = BRUME_NONE;
    if (brume_graph_status(g) != BRUME_OK) return;
    const struct brume_value *vy = brume_value_of(g, y);
    if (!vy || vy->dtype != BRUME_F32) {
        brume_graph_fail(g, BRUME_E_ARG, "gradient: y must be an f32 tensor of this graph");
        return;
    }
    if (dy == BRUME_NONE && brume_shape_numel(vy->shape) != 1) {
        char text[96];
        brume_graph_fail(g, BRUME_E_SHAPE,
                         "gradient of '%s': expected a scalar, got %s; give an upstream gradient for other shapes",
                         brume_tensor_name(g, y), brume_shape_text(vy->shape, text));
        return;
    }
    if (dy != BRUME_NONE && !brume_shape_equal(vy->shape, brume_tensor_shape(g, dy))) {
        char a[96], b[96];
        brume_graph_fail(g, BRUME_E_SHAPE, "gradient of '%s': the upstream gradient must have its shape %s, got %s",
                         brume_tensor_name(g, y), brume_shape_text(vy->shape, a), brume_shape_text(brume_tensor_shape(g, dy), b));
        return;
    }
    walk(g, y, dy, w);
}

void brume_grad(brume_graph *g, brume_tensor y, brume_tensor dy, int n, const brume_tensor *wrt, brume_tensor *dwrt)
{
    differentiate(g, y, dy, &(struct wanted){ .n = n, .wrt = wrt, .d = dwrt });
}

brume_tensor brume_grad_slab(brume_graph *g, brume_tensor y, brume_tensor slab)
{
    const int n = brume_param_count(g, slab);
    if (brume_graph_status(g) != BRUME_OK) return BRUME_NONE;
    if (n == 0) return brume_graph_fail(g, BRUME_E_ARG, "gradient by a slab: it has no parameters");
    brume_tensor *wrt = calloc((size_t)n, sizeof *wrt), *d = calloc((size_t)n, sizeof *d), result = BRUME_NONE;
    int64_t *offsets = malloc((size_t)n * sizeof *offsets);
    if (wrt && d && offsets) {
        int m = 0, k = 0;
        for (int i = 0; i < n; i++)
            wrt[i] = brume_param_at(g, slab, i)->trainable ? brume_param_at(g, slab, i)->tensor : BRUME_NONE;
        brume_grad(g, y, BRUME_NONE, n, wrt, d);
        for (; m < n; m++) {
            if (d[m] == BRUME_NONE) continue;
            offsets[k] = brume_param_at(g, slab, m)->offset;
            d[k++] = d[m];
        }
        result = k ? brume_pack(g, k, d, offsets, brume_tensor_shape(g, slab).d[0])
                   : brume_graph_fail(g, BRUME_E_ARG, "gradient by a slab: '%s' depends on none of its parameters",
                                      brume_tensor_name(g, y));
    } else {
        brume_graph_fail(g, BRUME_E_MEMORY, "gradient: out of memory");
    }
    free(wrt);
    free(d);
    free(offsets);
    return result;
}

brume_tensor brume_grad_slab_sum(brume_graph *g, brume_tensor y, brume_tensor dy, brume_tensor slab, const char *name,
                                 brume_tensor keep)
{
    const int n = brume_param_count(g, slab);
    const brume_tensor result = brume_slab(g, name);
    if (brume_graph_status(g) != BRUME_OK) return BRUME_NONE;
    if (n == 0) return brume_graph_fail(g, BRUME_E_ARG, "gradient by a slab: it has no parameters");
    brume_tensor *wrt = malloc((size_t)n * sizeof *wrt), *d = malloc((size_t)n * sizeof *d),
                 *sum = malloc((size_t)n * sizeof *sum);
    if (wrt && d && sum) {
        int k = 0;
        for (int i = 0; i < n; i++) {
            const brume_param_info *p = brume_param_at(g, slab, i);
            wrt[i] = p->trainable ? p->tensor : BRUME_NONE;
            sum[i] = brume_param(g, result, p);
        }
        differentiate(g, y, dy, &(struct wanted){ .n = n, .wrt = wrt, .d = d, .sum = sum, .keep = keep });
        for (int i = 0; i < n; i++) k += d[i] != BRUME_NONE;
        if (!k)
            brume_graph_fail(g, BRUME_E_ARG, "gradient by a slab: '%s' depends on none of its parameters",
                             brume_tensor_name(g, y));
    } else {
        brume_graph_fail(g, BRUME_E_MEMORY, "gradient: out of memory");
    }
    free(wrt);
    free(d);
    free(sum);
    return brume_graph_status(g) == BRUME_OK ? result : BRUME_NONE;
}
