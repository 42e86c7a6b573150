/* SPDX-License-Identifier: MIT
 * Fusion: chains of elementwise nodes become one pass over memory. */
#include <stdlib.h>
#include <string.h>

#include "plan/plan.h"

static const struct brume_value *value(const struct brume_plan *p, brume_tensor t) { return brume_value_of(p->graph, t); }

int brume_plan_chain_members(const struct brume_plan *p, int last, int *out)
{
    int n = 0;
    for (int i = 0; i <= last; i++)
        if (p->needed[i] && p->group[i] == last) {
            if (out) out[n] = i;
            n++;
        }
    return n;
}

/* Number of distinct tensors from outside that the union of two chains reads. */
static int external_inputs(const struct brume_plan *p, const int *m, int n, int group_a, int group_b, brume_tensor *list)
{
    int count = 0;
    for (int i = 0; i < n; i++) {
        const struct brume_node *node = brume_graph_node(p->graph, m[i]);
        for (int j = 0; j < node->n_in; j++) {
            const struct brume_node *from = node->in_v[j]->producer;
            if (from && p->group[from->index] >= 0 && (p->group[from->index] == group_a || p->group[from->index] == group_b))
                continue;
            int k = 0;
            while (k < count && list[k] != node->in[j]) k++;
            if (k < count) continue;
            if (count == BRUME_FUSED_MAX_IN) return count + 1;
            list[count++] = node->in[j];
        }
    }
    return count;
}

/* Does a node between two others write the memory that a tensor lies in? */
static bool update_between(const struct brume_plan *p, int from, int to, brume_tensor t)
{
    const brume_tensor root = p->values[t].root;
    if (!p->values[root].updated) return false;
    for (int i = from + 1; i < to; i++) {
        const struct brume_node *n = brume_graph_node(p->graph, i);
        for (int j = 0; p->needed[i] && j < n->n_in && j < 32; j++)
            if (n->op->updates >> j & 1 && p->values[n->in[j]].root == root) return true;
    }
    return false;
}

/* May the chain that ends at `from` be computed inside the one that ends at `into`? */
static bool may_join(const struct brume_plan *p, int from, int into)
{
    const struct brume_node *a = brume_graph_node(p->graph, from), *b = brume_graph_node(p->graph, into);
    const struct brume_value *v = a->out_v[0];
    if (v->is_output || p->values[v->id].uses != 1 || !brume_shape_equal(v->shape, b->out_v[0]->shape)) return false;
    const int na = brume_plan_chain_members(p, from, NULL), nb = brume_plan_chain_members(p, into, NULL);
    if (na + nb > BRUME_FUSED_MAX_OPS) return false;
    int all[BRUME_FUSED_MAX_OPS];
    brume_plan_chain_members(p, from, all);
    brume_plan_chain_members(p, into, all + na);
    brume_tensor list[BRUME_FUSED_MAX_IN + 1];
    const int inputs = external_inputs(p, all, na + nb, from, into, list);
    if (inputs > BRUME_FUSED_MAX_IN) return false;
    /* The chain runs at the place of its last node: an update in between must not change what the earlier ones read. */
    for (int k = 0; k < inputs; k++)
        if (update_between(p, all[0], into, list[k])) return false;
    return true;
}

brume_status brume_plan_fuse(struct brume_plan *p)
{
    const int n = brume_graph_node_count(p->graph);
    for (int i = 0; i < n; i++) p->group[i] = p->needed[i] && brume_graph_node(p->graph, i)->op->ew ? i : -1;
    if (p->options.no_fusion || p->options.keep_all) return BRUME_OK;
    for (int i = 0; i < n; i++) {
        if (p->group[i] != i) continue;
        for (bool again = true; again;) {
            again = false;
            int m[BRUME_FUSED_MAX_OPS];
            const int count = brume_plan_chain_members(p, i, m);
            for (int k = 0; k < count && !again; k++) {
                const struct brume_node *node = brume_graph_node(p->graph, m[k]);
                for (int j = 0; j < node->n_in && !again; j++) {
                    const struct brume_node *from = node->in_v[j]->producer;
                    if (!from || p->group[from->index] != from->index || from->index == i || !may_join(p, from->index, i))
                        continue;
                    const int old = from->index;
                    for (int q = 0; q <= old; q++)
                        if (p->group[q] == old) p->group[q] = i;
                    again = true;
                }
            }
        }
    }
    return BRUME_OK;
}

/* Strides of an input of shape `in` read under the result shape `out` (numpy alignment at the end). */
static void broadcast_strides(brume_shape in, brume_shape out, int64_t *stride)
{
    int64_t step = 1;
    for (int i = out.ndim - 1; i >= 0; i--) {
        const int j = i - (out.ndim - in.ndim);
        const int64_t d = j >= 0 ? in.d[j] : 1;
        stride[i] = d == 1 ? 0 : step;
        step *= d;
    }
}

/* Drops axes of 1 and merges neighbours that every input walks in one stride. */
static void merge_axes(struct brume_fused *f)
{
    int n = 0;
    for (int i = 0; i < f->ndim; i++) {
        if (f->dims[i] == 1) continue;
        bool merge = n > 0;
        for (int k = 0; merge && k < f->n_in; k++) merge = f->stride[k][n - 1] == f->stride[k][i] * f->dims[i];
        if (merge) {
            f->dims[n - 1] *= f->dims[i];
        } else {
            f->dims[n] = f->dims[i];
            n++;
        }
        for (int k = 0; k < f->n_in; k++) f->stride[k][n - 1] = f->stride[k][i];
    }
    if (n == 0) {
        f->dims[0] = 1;
        for (int k = 0; k < f->n_in; k++) f->stride[k][0] = 0;
        n = 1;
    }
    f->ndim = n;
}

brume_status brume_plan_describe_chain(const struct brume_plan *p, int last, struct brume_fused *f, brume_tensor *inputs)
{
    memset(f, 0, sizeof *f);
    int m[BRUME_FUSED_MAX_OPS];
    f->n_ops = brume_plan_chain_members(p, last, m);
    f->n_in = external_inputs(p, m, f->n_ops, last, last, inputs);
    const brume_shape out = brume_graph_node(p->graph, last)->out_v[0]->shape;
    for (int i = 0; i < f->n_ops; i++) {
        const struct brume_node *node = brume_graph_node(p->graph, m[i]);
        struct brume_fused_op *o = &f->op[i];
        o->ew = node->op->ew;
        if (node->op->ew_params) node->op->ew_params(node, o->p);
        for (int j = 0; j < node->n_in; j++) {
            int at = 0;
            while (at < f->n_in && inputs[at] != node->in[j]) at++;
            if (at == f->n_in)
                for (int k = 0; k < i; k++)
                    if (brume_graph_node(p->graph, m[k])->out[0] == node->in[j]) at = f->n_in + k;
            o->arg[j] = at;
        }
    }
    f->ndim = out.ndim;
    for (int i = 0; i < out.ndim; i++) f->dims[i] = out.d[i];
    for (int k = 0; k < f->n_in; k++) broadcast_strides(value(p, inputs[k])->shape, out, f->stride[k]);
    merge_axes(f);
    return BRUME_OK;
}
