/* SPDX-License-Identifier: MIT
 * Laying out a plan: which nodes run, as which steps, and where every tensor lies. */
#include <stdlib.h>
#include <string.h>

#include "plan/arena.h"
#include "plan/plan.h"
#include "plan/self_test.h"
#include "plan/tuning.h"

static brume_status no_memory(void) { return brume_fail(BRUME_E_MEMORY, "plan: out of host memory"); }

static const struct brume_value *value(const struct brume_plan *p, brume_tensor t) { return brume_value_of(p->graph, t); }

uint64_t brume_plan_value_bytes(const struct brume_value *v)
{
    return (uint64_t)(brume_shape_numel(v->shape) * brume_dtype_bytes(v->dtype));
}

/* The kernel of a node where nothing was tuned. */
static struct brume_choice by_rule(const struct brume_plan *p, const struct brume_node *n)
{
    if (p->chosen && p->chosen[n->index].variant) return p->chosen[n->index];
    if (p->chosen || p->options.variant) return brume_variant_choose(n, &p->device->caps, p->options.variant);
    return brume_self_test_choose(p->device, n);
}

/* Input j as the kernel of n reads it: kernels for weights of f16 do without the cast. */
static brume_tensor read_by(const struct brume_plan *p, const struct brume_node *n, int j)
{
    const struct brume_value *v = n->in_v[j];
    if (!v || v->kind != BRUME_VALUE_NODE || v->producer->n_in != 1 || v->producer->in_v[0]->dtype != BRUME_F16 || n->op->ew)
        return n->in[j];
    const struct brume_variant *k = by_rule(p, n).variant;
    return k && k->half && k->pack_input == j ? v->producer->in[0] : n->in[j];
}

/* A node runs if it updates something, or if a result or another running node wants its output. */
static void find_needed(struct brume_plan *p)
{
    for (int i = brume_graph_node_count(p->graph) - 1; i >= 0; i--) {
        const struct brume_node *n = brume_graph_node(p->graph, i);
        bool need = n->op->updates != 0 || p->options.keep_all;
        for (int k = 0; k < n->n_out; k++) need = need || n->out_v[k]->is_output || p->values[n->out[k]].uses > 0;
        p->needed[i] = need;
        for (int j = 0; need && j < n->n_in; j++)
            if (n->in[j] != BRUME_NONE) p->values[read_by(p, n, j)].uses++;
    }
}

static void lie_in(struct brume_plan *p, brume_tensor t, brume_tensor root, uint64_t offset)
{
    p->values[t].root = root;
    p->values[t].offset = offset;
}

/* Which memory every value lies in: aliases and parameters in that of another, parts of a pack in the pack. */
static void find_roots(struct brume_plan *p)
{
    const int n_values = brume_graph_value_count(p->graph), n_nodes = brume_graph_node_count(p->graph);
    for (int t = 0; t < n_values; t++) {
        const struct brume_value *v = value(p, t);
        p->values[t].first = p->values[t].last = -1;
        lie_in(p, t, t, 0);
        if (v->kind == BRUME_VALUE_PARAM) lie_in(p, t, v->slab, (uint64_t)(v->offset * brume_dtype_bytes(v->dtype)));
    }
    for (int i = 0; i < n_nodes; i++) {
        const struct brume_node *n = brume_graph_node(p->graph, i);
        if (n->op->flags & BRUME_OP_ALIAS) lie_in(p, n->out[0], p->values[n->in[0]].root, p->values[n->in[0]].offset);
    }
    for (int i = 0; i < n_nodes && !p->options.keep_all; i++) {
        const struct brume_node *n = brume_graph_node(p->graph, i);
        if (!p->needed[i] || !(n->op->flags & BRUME_OP_PACK)) continue;
        const struct brume_pack_attrs *a = n->attrs;
        for (int j = 0; j < n->n_in; j++) {
            const brume_tensor part = p->values[n->in[j]].root;
            const struct brume_value *v = value(p, part);
            /* A whole tensor that a node makes and that lies nowhere else yet; its aliases move with it. */
            if (v->kind != BRUME_VALUE_NODE || v->is_output || part == n->out[0] ||
                brume_plan_value_bytes(v) != brume_plan_value_bytes(value(p, n->in[j])) ||
                (v->producer->op->flags & BRUME_OP_PACK))
                continue;
            for (int t = 0; t < n_values; t++)
                if (p->values[t].root == part) lie_in(p, t, n->out[0], p->values[t].offset + (uint64_t)a->offsets[j] * 4);
        }
    }
    for (int i = 0; i < n_nodes; i++) {
        const struct brume_node *n = brume_graph_node(p->graph, i);
        for (int j = 0; p->needed[i] && j < n->n_in && j < 32; j++)
            if (n->op->updates >> j & 1) p->values[p->values[n->in[j]].root].updated = true;
    }
}

static bool is_step(const struct brume_plan *p, int i)
{
    const struct brume_node *n = brume_graph_node(p->graph, i);
    return p->needed[i] && !(n->op->flags & BRUME_OP_ALIAS) && (p->group[i] < 0 || p->group[i] == i);
}

static bool constant_weight(const struct brume_plan *p, brume_tensor t)
{
    const struct brume_value *root = t == BRUME_NONE ? NULL : value(p, p->values[t].root);
    return root && !p->options.repack && root->kind != BRUME_VALUE_NODE && root->kind != BRUME_VALUE_INPUT &&
           !p->values[root->id].updated;
}

/* Inputs that are constant and that a kernel of the node would pack: then it packs them once. */
static uint32_t packed_once(const struct brume_plan *p, const struct brume_node *n)
{
    uint32_t mask = 0;
    for (const struct brume_variant *v = n->op->kernels; v && v->name; v++)
        if (v->pack_bytes && brume_variant_runs(v, n, &p->device->caps) && constant_weight(p, n->in[v->pack_input]))
            mask |= 1u << v->pack_input;
    return mask;
}

/* The tuned choice, if there is one that can run, else the rule's. *tuned: its hash where the two differ, else 0. */
static brume_status choose(const struct brume_plan *p, const struct brume_node *n, struct brume_choice *k, uint64_t *tuned)
{
    const struct brume_device *d = p->device;
    char key[BRUME_TUNING_KEY];
    *k = by_rule(p, n);
    *tuned = 0;
    /* What is measured has weights of f32: its winner could not read these. */
    if (p->chosen || p->options.variant || !k->variant || k->variant->half || (!d->tuner && !(d->tuning && d->tuning->n)))
        return BRUME_OK;
    const uint32_t constant = packed_once(p, n);
    if (!brume_tuning_key(n, constant, key)) return BRUME_OK;
    if (d->tuner) {
        const brume_status s = brume_tuner_note(d->tuner, n, constant, key, *k);
        if (s != BRUME_OK) return s;
    }
    const struct brume_tuned *const e = d->tuning ? brume_tuning_find(d->tuning, key) : NULL;
    struct brume_choice found;
    if (!e || !brume_variant_find(n, &d->caps, e->choice, &found) || (found.variant == k->variant && found.row == k->row) ||
        brume_self_test_failed(d, n, found))
        return BRUME_OK;
    *tuned = brume_tuned_hash(e);
    *k = found;
    return BRUME_OK;
}

static brume_status make_step(struct brume_plan *p, int i, struct brume_step *s, brume_tensor *inputs)
{
    const struct brume_node *n = brume_graph_node(p->graph, i);
    s->node = n;
    s->n_out = n->n_out;
    s->work.slot = s->packed.slot = -1;
    if (n->op->ew) {
        struct brume_fused *f = malloc(sizeof *f);
        if (!f) return no_memory();
        p->fused[p->n_steps] = f;
        s->fused = f;
        brume_status st = brume_plan_describe_chain(p, i, f, inputs);
        s->n_in = f->n_in;
        return st;
    }
    struct brume_choice k;
    const brume_status st = choose(p, n, &k, &s->tuned);
    if (st != BRUME_OK) return st;
    s->variant = k.variant;
    s->row = k.row;
    p->stats.tuned += s->tuned != 0;
    if (!s->variant)
        return brume_fail(BRUME_E_UNSUPPORTED, "%s '%s': no kernel for the %s backend", n->op->name, n->name,
                          p->device->backend->kind);
    s->n_in = n->n_in;
    for (int j = 0; j < n->n_in; j++) inputs[j] = read_by(p, n, j);
    return BRUME_OK;
}

/* Lists the steps; inputs: where to store the input tensors of all steps one after another. */
static brume_status make_steps(struct brume_plan *p, brume_tensor *inputs)
{
    const int n = brume_graph_node_count(p->graph);
    for (int i = 0; i < n; i++) {
        if (p->needed[i]) p->stats.nodes++;
        const struct brume_node *node = brume_graph_node(p->graph, i);
        if (p->needed[i] && !(node->op->flags & BRUME_OP_ALIAS)) {
            double flops = node->op->flops ? node->op->flops(node) : 0;
            for (int k = 0; !node->op->flops && k < node->n_out; k++) flops += (double)brume_shape_numel(node->out_v[k]->shape);
            p->stats.flops += flops;
        }
        if (!is_step(p, i)) continue;
        brume_status s = make_step(p, i, &p->steps[p->n_steps], inputs);
        if (s != BRUME_OK) return s;
        inputs += p->steps[p->n_steps++].n_in;
    }
    p->stats.kernels = p->stats.prepared = p->n_steps;
    return BRUME_OK;
}

static void touch(struct brume_plan *p, brume_tensor t, int step)
{
    if (t == BRUME_NONE) return;
    struct brume_value_plan *r = &p->values[p->values[t].root];
    if (r->first < 0) r->first = step;
    r->last = step;
}

static void find_lifetimes(struct brume_plan *p, const brume_tensor *inputs)
{
    for (int s = 0; s < p->n_steps; s++) {
        for (int j = 0; j < p->steps[s].n_in; j++) touch(p, *inputs++, s);
        for (int k = 0; k < p->steps[s].n_out; k++) touch(p, p->steps[s].node->out[k], s);
    }
    for (int t = 0; t < brume_graph_value_count(p->graph); t++) {
        struct brume_value_plan *r = &p->values[p->values[t].root];
        /* A result may be an input under another shape, or itself: no step touches it, but it must be readable. */
        if (r->first < 0 && value(p, t)->is_output && value(p, p->values[t].root)->kind != BRUME_VALUE_NODE) r->first = 0;
        if (r->first < 0) continue;
        if (p->options.keep_all || p->options.poison) r->first = 0;
        if (p->options.keep_all || p->options.poison || value(p, t)->is_output) r->last = p->n_steps;
    }
}

bool brume_plan_in_arena(const struct brume_plan *p, brume_tensor t)
{
    return value(p, t)->kind == BRUME_VALUE_NODE && p->values[t].root == t && p->values[t].first >= 0;
}

/* An elementwise result may take the place of an input that dies there: then both are one block. */
static void reuse_inputs(struct brume_plan *p, const brume_tensor *inputs)
{
    if (p->options.keep_all || p->options.poison) return;
    for (int s = 0; s < p->n_steps; inputs += p->steps[s].n_in, s++) {
        const struct brume_step *st = &p->steps[s];
        const bool first_only = !st->fused && st->node->op->flags & BRUME_OP_INPLACE0;
        if ((!st->fused && !first_only) || st->n_out == 0) continue;
        const brume_tensor out = st->node->out[0];
        if (!brume_plan_in_arena(p, out) || p->values[out].first != s) continue;
        for (int j = 0; j < (first_only ? 1 : st->n_in); j++) {
            if (inputs[j] == BRUME_NONE) continue;
            const brume_tensor root = p->values[inputs[j]].root;
            if (!brume_plan_in_arena(p, root) || p->values[root].last != s ||
                brume_plan_value_bytes(value(p, root)) != brume_plan_value_bytes(value(p, out)) ||
                p->values[inputs[j]].offset != 0 || !brume_shape_equal(value(p, inputs[j])->shape, value(p, out)->shape))
                continue;
            bool alone = true; /* another view of the same memory may be read at other places than it is written */
            for (int k = 0; k < st->n_in; k++)
                alone = alone && (k == j || inputs[k] == BRUME_NONE || p->values[inputs[k]].root != root);
            if (!alone) continue;
            p->values[root].last = p->values[out].last;
            for (int t = 0; t < brume_graph_value_count(p->graph); t++)
                if (p->values[t].root == out) lie_in(p, t, root, p->values[t].offset);
            break;
        }
    }
}

/* Is t, wholly in memory that the plan owns, read by its packing alone? */
static bool may_drop(const struct brume_plan *p, brume_tensor t)
{
    return p->options.drop_packed && p->device->backend->drops && !p->options.keep_all && p->values[t].uses == 1 &&
           !value(p, t)->is_output && !value(p, p->values[t].root)->is_output;
}

static bool is_elsewhere(const struct brume_plan *p, brume_tensor t)
{
    for (const brume_tensor *e = p->options.elsewhere; e && *e != BRUME_NONE; e++)
        if (*e == t) return true;
    return false;
}

/* Takes the other plan's segment of that number if it is large enough; a dry plan notes only that it could. */
static bool borrow(struct brume_plan *p, int slot)
{
    const struct brume_plan *from = p->options.arena;
    if (!from || p->options.poison || slot >= from->n_segments || from->slots[slot].bytes < p->slots[slot].bytes) return false;
    p->slots[slot].lent = from->buffers[slot];
    return true;
}

static brume_status place_arena(struct brume_plan *p)
{
    const int n_values = brume_graph_value_count(p->graph);
    const uint64_t guard = p->options.poison ? BRUME_GUARD_BYTES : 0;
    struct brume_block *blocks = calloc((size_t)n_values + 2 * (size_t)p->n_steps + 1, sizeof *blocks);
    uint64_t *segment_bytes = NULL, packed = 0;
    if (!blocks) return no_memory();
    int n = 0;
    for (int t = 0; t < n_values; t++)
        if (brume_plan_in_arena(p, t))
            blocks[n++] = (struct brume_block){ .bytes = brume_plan_value_bytes(value(p, t)) + 2 * guard,
                                                .first = p->values[t].first,
                                                .last = p->values[t].last };
    const int all = p->options.poison || p->options.keep_all;
    for (int s = 0; s < p->n_steps; s++) {
        struct brume_step *st = &p->steps[s];
        const struct brume_variant *v = st->variant;
        const struct brume_caps caps = brume_step_caps(st, &p->device->caps);
        const uint64_t work = v && v->work_bytes ? v->work_bytes(st->node, &caps) : 0;
        const uint64_t pack = v && v->pack_bytes ? v->pack_bytes(st->node, &caps) : 0;
        const int first = all ? 0 : s, last = all ? p->n_steps : s;
        if (work) {
            st->work.slot = 0;
            blocks[n++] = (struct brume_block){ .bytes = work + 2 * guard, .first = first, .last = last };
        }
        const brume_tensor weight = pack ? read_by(p, st->node, v->pack_input) : BRUME_NONE;
        if (pack && constant_weight(p, weight) && !(v->pack_cheap && v->pack_cheap(st->node, &caps))) {
            st->pack_once = true;
            st->drop = may_drop(p, weight);
            st->packed.offset = packed;
            packed += (pack + guard + BRUME_ALIGN - 1) / BRUME_ALIGN * BRUME_ALIGN;
        } else if (pack) {
            st->packed.slot = 0;
            blocks[n++] = (struct brume_block){ .bytes = pack + 2 * guard, .first = first, .last = last };
        }
    }
    brume_status s = brume_arena_place(blocks, n, p->device->caps.max_alloc, &segment_bytes, &p->n_segments);
    if (s != BRUME_OK) goto done;
    n = 0;
    for (int t = 0; t < n_values; t++)
        if (brume_plan_in_arena(p, t)) {
            p->values[t].place = (struct brume_place){ blocks[n].segment, blocks[n].offset + guard };
            n++;
        }
    for (int i = 0; i < p->n_steps; i++) {
        struct brume_step *st = &p->steps[i];
        if (st->work.slot == 0) {
            st->work = (struct brume_place){ blocks[n].segment, blocks[n].offset + guard };
            n++;
        }
        if (st->packed.slot == 0) {
            st->packed = (struct brume_place){ blocks[n].segment, blocks[n].offset + guard };
            n++;
        }
    }
    p->n_slots = p->n_segments;
    for (int t = 0; t < n_values; t++)
        p->n_slots += p->values[t].first >= 0 && p->values[t].root == t && !brume_plan_in_arena(p, t);
    p->n_slots += packed != 0;
    p->slots = calloc((size_t)p->n_slots + 1, sizeof *p->slots);
    p->buffers = calloc((size_t)p->n_slots + 1, sizeof *p->buffers);
    if (!p->slots || !p->buffers) { s = no_memory(); goto done; }
    int slot = 0;
    for (; slot < p->n_segments; slot++) {
        p->slots[slot] = (struct brume_slot){ .value = BRUME_NONE, .bytes = segment_bytes[slot] };
        if (!borrow(p, slot)) p->stats.arena_bytes += segment_bytes[slot];
    }
    for (int t = 0; t < n_values; t++)
        if (p->values[t].first >= 0 && p->values[t].root == t && !brume_plan_in_arena(p, t)) {
            p->values[t].place = (struct brume_place){ slot, 0 };
            const uint64_t bytes = brume_plan_value_bytes(value(p, t));
            const bool elsewhere = is_elsewhere(p, t);
            if (!elsewhere)
                *(value(p, t)->kind == BRUME_VALUE_INPUT ? &p->stats.input_bytes : &p->stats.persistent_bytes) += bytes;
            /* whole words: devices fill word by word */
            p->slots[slot++] = (struct brume_slot){ .value = t, .bytes = (bytes + 3) / 4 * 4 + guard, .elsewhere = elsewhere };
        }
    for (int i = 0; i < p->n_steps; i++) {
        struct brume_step *st = &p->steps[i];
        if (!st->drop) continue;
        const brume_tensor t = read_by(p, st->node, st->variant->pack_input);
        struct brume_slot *const from = &p->slots[p->values[p->values[t].root].place.slot];
        st->drop = from->drops = !from->elsewhere;
        if (st->drop) p->stats.persistent_bytes -= brume_plan_value_bytes(value(p, t));
        if (st->drop) p->stats.dropped_bytes += brume_plan_value_bytes(value(p, t));
    }
    p->packed_slot = -1;
    if (packed) {
        p->packed_slot = slot;
        p->stats.packed_bytes = packed;
        p->slots[slot++] = (struct brume_slot){ .value = BRUME_NONE, .bytes = packed };
        for (int i = 0; i < p->n_steps; i++)
            if (p->steps[i].pack_once) p->steps[i].packed.slot = p->packed_slot;
    }
done:
    free(blocks);
    free(segment_bytes);
    return s;
}

struct brume_place brume_plan_place(const struct brume_plan *p, brume_tensor t)
{
    if (t == BRUME_NONE) return (struct brume_place){ -1, 0 };
    struct brume_place at = p->values[p->values[t].root].place;
    at.offset += p->values[t].offset;
    return at;
}

static void resolve_places(struct brume_plan *p, const brume_tensor *inputs)
{
    struct brume_place *at = p->places;
    for (int s = 0; s < p->n_steps; s++) {
        struct brume_step *st = &p->steps[s];
        st->in = at;
        for (int j = 0; j < st->n_in; j++) *at++ = brume_plan_place(p, *inputs++);
        for (int k = 0; k < st->n_out; k++) st->out[k] = brume_plan_place(p, st->node->out[k]);
    }
}

brume_status brume_plan_layout(struct brume_plan *p)
{
    const int n = brume_graph_node_count(p->graph);
    size_t n_inputs = 0;
    for (int i = 0; i < n; i++) {
        const int k = brume_graph_node(p->graph, i)->n_in;
        n_inputs += (size_t)(k > BRUME_FUSED_MAX_IN ? k : BRUME_FUSED_MAX_IN);
    }
    brume_tensor *inputs = malloc((n_inputs + 1) * sizeof *inputs); /* of all steps, one after another */
    p->places = malloc((n_inputs + 1) * sizeof *p->places);
    brume_status s = inputs && p->places ? BRUME_OK : no_memory();
    if (s == BRUME_OK) {
        find_needed(p);
        find_roots(p);
        s = brume_plan_fuse(p);
    }
    if (s == BRUME_OK) s = make_steps(p, inputs);
    if (s == BRUME_OK) {
        find_lifetimes(p, inputs);
        reuse_inputs(p, inputs);
        s = place_arena(p);
    }
    if (s == BRUME_OK) resolve_places(p, inputs);
    free(inputs);
    return s;
}
