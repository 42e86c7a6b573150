/* SPDX-License-Identifier: MIT
 * Storage in f16: puts casts into a finished graph, so that what waits long, or never changes, waits in half the memory. */
#include <stdlib.h>

#include "brume/ops.h"
#include "graph/graph.h"

#define WAIT 32         /* nodes: a block's forward or backward pass has fewer; casts must not cost more than they save */
#define LEAST 4096      /* elements: smaller tensors are not worth a launch */

/* Moves the last node in front of node `to`: it was appended, but must run there. */
static void move_last(brume_graph *g, int to)
{
    struct brume_node *n = g->nodes[g->n_nodes - 1];
    for (int i = g->n_nodes - 1; i > to; i--) {
        g->nodes[i] = g->nodes[i - 1];
        g->nodes[i]->index = i;
    }
    g->nodes[to] = n;
    n->index = to;
}

static brume_tensor cast_at(brume_graph *g, brume_tensor x, brume_dtype to, int index)
{
    const brume_tensor y = brume_cast(g, x, to);
    if (y != BRUME_NONE) move_last(g, index);
    return y;
}

static bool reads(const struct brume_node *n, brume_tensor v)
{
    for (int j = 0; j < n->n_in; j++)
        if (n->in[j] == v) return true;
    return false;
}

/* Readers of v in order; returns their number. */
static int find_readers(const brume_graph *g, brume_tensor v, struct brume_node **readers)
{
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++)
        if (reads(g->nodes[i], v)) readers[n++] = g->nodes[i];
    return n;
}

static void replace(brume_graph *g, struct brume_node *n, brume_tensor v, brume_tensor by)
{
    for (int j = 0; j < n->n_in; j++) {
        if (n->in[j] != v) continue;
        n->in[j] = by;
        n->in_v[j] = g->values[by];
    }
}

/* Readers `first` .. of v (n in all) read the f16 tensor `half` instead, cast once for those that follow each other closely. */
static void read_half(brume_graph *g, brume_tensor v, brume_tensor half, struct brume_node *const *readers, int first, int n)
{
    brume_tensor wide = BRUME_NONE;
    int last = 0;
    for (int k = first; k < n && brume_graph_status(g) == BRUME_OK; k++) {
        if (wide == BRUME_NONE || readers[k]->index - last > WAIT) wide = cast_at(g, half, BRUME_F32, readers[k]->index);
        if (wide == BRUME_NONE) return;
        last = readers[k]->index;
        replace(g, readers[k], v, wide);
    }
}

/* An activation or a gradient on its way; gradients of parameters go to where they are summed in f32. */
static bool may_wait_in_half(const struct brume_value *v, struct brume_node *const *readers, int n)
{
    if (v->kind != BRUME_VALUE_NODE || v->dtype != BRUME_F32 || v->is_output || brume_shape_numel(v->shape) < LEAST) return false;
    if (v->producer->op->flags & BRUME_OP_PACK) return false;
    for (int k = 0; k < n; k++)
        if (readers[k]->op->updates || readers[k]->op->flags & BRUME_OP_PACK) return false;
    return n > 0;
}

static void store_waiting(brume_graph *g, brume_tensor t, struct brume_node **readers)
{
    const struct brume_value *v = g->values[t];
    if (v->kind != BRUME_VALUE_NODE) return;
    const int n = find_readers(g, t, readers);
    if (!may_wait_in_half(v, readers, n)) return;
    int k = 0, last = v->producer->index;
    while (k < n && readers[k]->index - last <= WAIT) last = readers[k++]->index;
    if (k == n) return;
    const brume_tensor half = cast_at(g, t, BRUME_F16, last + 1);
    if (half != BRUME_NONE) read_half(g, t, half, readers, k, n);
}

static void store_weights(brume_graph *g, brume_tensor slab, struct brume_node **readers)
{
    if (find_readers(g, slab, readers)) {
        brume_graph_fail(g, BRUME_E_ARG, "storage in f16: '%s' reads the parameters as a whole", readers[0]->name);
        return;
    }
    g->values[slab]->dtype = BRUME_F16;
    const int n_values = g->n_values;
    for (int t = 0; t < n_values && brume_graph_status(g) == BRUME_OK; t++) {
        if (g->values[t]->kind != BRUME_VALUE_PARAM || g->values[t]->slab != slab) continue;
        const int n = find_readers(g, t, readers);
        for (int k = 0; k < n; k++)
            if (readers[k]->op->updates)
                brume_graph_fail(g, BRUME_E_ARG, "storage in f16: '%s' updates parameters, which needs f32", readers[k]->name);
        g->values[t]->dtype = BRUME_F16;
        read_half(g, t, t, readers, 0, n);
    }
}

void brume_store_half(brume_graph *g, brume_tensor weights)
{
    if (brume_graph_status(g) != BRUME_OK) return;
    const int n_values = g->n_values;
    /* of one value; casts read none that is yet to come */
    struct brume_node **readers = malloc(((size_t)g->n_nodes + 1) * sizeof(*readers));
    if (!readers) {
        brume_graph_fail(g, BRUME_E_MEMORY, "storage in f16: out of memory");
        return;
    }
    brume_scope_push(g, "stored");
    for (int t = 0; t < n_values && brume_graph_status(g) == BRUME_OK; t++) store_waiting(g, t, readers);
    if (weights != BRUME_NONE) store_weights(g, weights, readers);
    brume_scope_pop(g);
    free(readers);
}
