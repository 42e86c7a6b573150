/* SPDX-License-Identifier: MIT
 * Small copies of nodes, for known-answer tests: other shapes, the same attributes, and if possible the same compiled kernels. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "plan/known.h"

#define MOST_FLOPS 1e8     /* of a copy: some hundredths of a second by the plainest kernel */
#define MOST_VALUES 1e6

uint64_t brume_launch_hash(const struct brume_node *n, const struct brume_caps *device, struct brume_choice k)
{
    struct brume_caps c = *device;
    struct brume_cl_list l = { 0 };
    uint64_t h = 0;
    if (!device->opencl || !k.variant->cl) return 0;
    c.row = k.row;
    if (k.variant->pack_bytes && k.variant->pack_bytes(n, &c) && k.variant->cl_pack) k.variant->cl_pack(n, &c, &l);
    k.variant->cl(n, &c, &l);
    for (int i = 0; i < l.n && l.status == BRUME_OK; i++) {
        const char *const parts[] = { l.at[i].file, l.at[i].kernel, l.at[i].defines };
        for (int p = 0; p < 3; p++)
            if (parts[p]) h = h * 1099511628211u ^ brume_fnv1a(parts[p], strlen(parts[p]));
    }
    free(l.at);
    return h;
}

/* What a copy's shapes are made by: rows and pixels at most `rows`, channels and features above `features` cut to features .. +
 * 31. */
struct scale { int64_t batch, rows, features; };

static const struct scale scales[] = { { 2, 9, 64 }, { 2, 8, 64 }, { 2, 16, 64 }, { 2, 9, 128 }, { 2, 8, 128 }, { 1, 9, 320 },
                                       { 1, 8, 320 }, { 1, 8, 1280 }, { 3, 33, 64 }, { 1, INT64_MAX, 32 }, { 1, INT64_MAX, 64 },
                                       { 2, 9, INT64_MAX }, { 2, 8, INT64_MAX }, { 2, 33, INT64_MAX },
                                       { INT64_MAX, INT64_MAX, INT64_MAX } };
enum { N_SCALES = sizeof scales / sizeof *scales };

static int64_t less(int64_t v, int64_t most) { return v > most ? most : v; }

/* Is `v` a last axis of an input, or any axis of one that holds weights? Then it counts channels. */
static bool is_features(const struct brume_node *n, int64_t v)
{
    for (int j = 0; j < n->n_in; j++) {
        const struct brume_value *x = n->in_v[j];
        for (int i = 0; x && i < x->shape.ndim; i++)
            if (x->shape.d[i] == v && /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the first input is never optional */
                (i == x->shape.ndim - 1 || (j > 0 && i == x->shape.ndim - 2 && x->shape.ndim != n->in_v[0]->shape.ndim)))
                return true;
    }
    return false;
}

/* One length, the same for all that are equal now, so that what must be equal stays equal. */
static int64_t scaled(const struct brume_node *n, const struct scale *s, int64_t v, bool batch)
{
    if (is_features(n, v)) return v > s->features ? s->features + (s->features < 32 ? 0 : v % 32) : v;
    return batch && n->in_v[0] && n->in_v[0]->shape.ndim > 2 && v == n->in_v[0]->shape.d[0] ? less(v, s->batch)
                                                                                            : less(v, s->rows);
}

static brume_shape scaled_shape(const struct brume_node *n, const struct scale *s, brume_shape from)
{
    for (int i = 0; i < from.ndim; i++) from.d[i] = scaled(n, s, from.d[i], i == 0);
    return from;
}

static brume_tensor leaf(brume_graph *g, bool persistent, brume_dtype type, brume_shape shape)
{
    char name[32];
    snprintf(name, sizeof name, "in%d", brume_graph_value_count(g));
    return (persistent ? brume_persistent : brume_input)(g, name, type, shape);
}

/* The parts of a pack are cut, its attributes are made anew. */
static void copy_pack(brume_graph *g, const struct brume_node *n)
{
    brume_tensor in[BRUME_SMALL_IN];
    int64_t offsets[BRUME_SMALL_IN], at = 3;
    const int count = n->n_in < 11 ? n->n_in : 11; /* more than one launch */
    for (int j = 0; j < count; j++) {
        const int64_t numel = less(brume_shape_numel(n->in_v[j]->shape), 70 + 13 * j);
        in[j] = leaf(g, false, BRUME_F32, BRUME_SHAPE(numel));
        offsets[j] = at;
        at += numel + j % 3;
    }
    brume_pack(g, count, in, offsets, at + 5);
}

/* Appends the node by a scale; weights that its kernel reads as f16 come through a cast. */
static void copy(brume_graph *g, const struct brume_known *t, const struct scale *s)
{
    const struct brume_node *n = t->node;
    brume_tensor in[BRUME_SMALL_IN];
    if (n->op->flags & BRUME_OP_PACK) {
        copy_pack(g, n);
        return;
    }
    for (int j = 0; j < n->n_in; j++) {
        const struct brume_value *v = n->in_v[j];
        const bool half = v && t->choice.variant->half && j == t->choice.variant->pack_input;
        bool same = false;
        for (int i = 0; i < j && !half; i++)
            if (n->in[i] == n->in[j] && v) { in[j] = in[i]; same = true; }
        if (same) continue;
        in[j] = !v ? BRUME_NONE
                   : leaf(g, j == t->constant || (j < 32 && n->op->updates >> j & 1), half ? BRUME_F16 : v->dtype,
                          scaled_shape(n, s, v->shape));
        if (half) in[j] = brume_cast(g, in[j], BRUME_F32);
    }
    brume_node_add(g, n->op, n->n_in, in, n->attrs, n->attr_bytes);
}

static const struct brume_node *last_of(const brume_graph *g) { return brume_graph_node(g, brume_graph_node_count(g) - 1); }

static double values_of(const struct brume_node *n)
{
    double sum = 0;
    for (int j = 0; j < n->n_in; j++) sum += n->in_v[j] ? (double)brume_shape_numel(n->in_v[j]->shape) : 0;
    for (int k = 0; k < n->n_out; k++) sum += (double)brume_shape_numel(n->out_v[k]->shape);
    return sum;
}

/* Attributes of ops may hold sizes, which nobody could check against other shapes: what is not known to be free of them keeps its
 * own. (The keys of tuned choices consist of shapes and what the key function says: ops that have one hold nothing else that
 * matters, or check it.) */
static bool scalable(const struct brume_node *n) { return n->attr_bytes == 0 || n->op->key || n->op->flags & BRUME_OP_PACK; }

/* 0: this scale is of no use; 1: the kernel runs; 2: compiled from the same text, too. */
static int try_scale(const struct brume_device *d, const struct brume_known *t, const struct scale *s)
{
    brume_graph *g = brume_graph_new();
    int use = 0;
    if (!g) return 0;
    copy(g, t, s);
    if (brume_graph_status(g) == BRUME_OK) {
        const struct brume_node *n = last_of(g);
        struct brume_caps c = d->caps;
        c.row = t->choice.row;
        const bool small = values_of(n) <= MOST_VALUES && (!n->op->flops || n->op->flops(n) <= MOST_FLOPS);
        if (small && brume_variant_runs(t->choice.variant, n, &c))
            use = 1 + (brume_launch_hash(n, &d->caps, t->choice) == brume_launch_hash(t->node, &d->caps, t->choice));
    }
    brume_graph_free(g);
    return use;
}

/* Chains: the last axis stays long where it is, as kernels differ by that; the others only keep being longer than 1. */
static int64_t chain_length(int64_t v, int axis, int ndim)
{
    const int from_end = ndim - 1 - axis;
    return from_end == 0 ? (v > 40 ? 33 + v % 8 : v) : less(v, from_end == 1 ? 5 : 3);
}

/* scale: 0 where a member has its shape from its attributes (a constant): then all keep theirs. */
static void copy_chain(brume_graph *g, const struct brume_known *t, bool scale)
{
    const struct brume_plan *p = t->plan;
    const brume_shape out = t->node->out_v[0]->shape;
    brume_tensor from[BRUME_FUSED_MAX_OPS * (BRUME_EW_MAX_IN + 1)], to[BRUME_FUSED_MAX_OPS * (BRUME_EW_MAX_IN + 1)];
    int n = 0;
    for (int i = 0; i <= t->node->index; i++) {
        if (!p->needed[i] || p->group[i] != t->node->index) continue;
        const struct brume_node *m = brume_graph_node(p->graph, i);
        brume_tensor in[BRUME_EW_MAX_IN];
        for (int j = 0; j < m->n_in; j++) {
            int k = 0;
            while (k < n && from[k] != m->in[j]) k++;
            if (k == n) {
                brume_shape shape = m->in_v[j]->shape;
                for (int a = 0; a < shape.ndim; a++)
                    if (shape.d[a] > 1 && scale) shape.d[a] = chain_length(shape.d[a], a + out.ndim - shape.ndim, out.ndim);
                from[n] = m->in[j];
                to[n++] = leaf(g, false, m->in_v[j]->dtype, shape);
            }
            in[j] = to[k];
        }
        from[n] = m->out[0];
        to[n++] = brume_node_add(g, m->op, m->n_in, in, m->attrs, m->attr_bytes);
    }
}

/* Can the chain be copied so? */
static bool try_chain(const struct brume_known *t, bool scale)
{
    brume_graph *g = brume_graph_new();
    if (!g) return false;
    copy_chain(g, t, scale);
    const bool use = brume_graph_status(g) == BRUME_OK &&
                     (double)brume_shape_numel(last_of(g)->out_v[0]->shape) * brume_graph_node_count(g) <= MOST_VALUES;
    brume_graph_free(g);
    return use;
}

brume_status brume_small_copy(brume_graph *g, const struct brume_device *d, const struct brume_known *t,
                              const struct brume_node **at)
{
    *at = NULL;
    if (!t->choice.variant) {
        const bool scale = try_chain(t, true);
        if (!scale && !try_chain(t, false)) return BRUME_OK;
        copy_chain(g, t, scale);
    } else {
        if (t->node->n_in > BRUME_SMALL_IN && !(t->node->op->flags & BRUME_OP_PACK)) return BRUME_OK;
        int best = -1, use = 0;
        for (int i = t->keep_size || !scalable(t->node) ? N_SCALES - 1 : 0; i < N_SCALES && use < 2; i++) {
            const int now = try_scale(d, t, &scales[i]);
            if (now > use) {
                use = now;
                best = i;
            }
        }
        if (best < 0) return BRUME_OK;
        copy(g, t, &scales[best]);
    }
    if (brume_graph_status(g) != BRUME_OK) return brume_fail(brume_graph_status(g), "self-test: %s", brume_graph_error(g));
    *at = last_of(g);
    for (int k = 0; k < (*at)->n_out; k++) brume_output(g, (*at)->out[k], NULL);
    return BRUME_OK;
}
