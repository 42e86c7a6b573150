/* SPDX-License-Identifier: MIT
 * Making a plan: which nodes run, with which kernels, where every tensor lies. */
#include "plan/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/arena.h"
#include "plan/variants.h"

#define GUARD_BYTES 256
#define POISON 0x7fc0deadu

static brume_status no_memory(void) { return brume_fail(BRUME_E_MEMORY, "plan: out of host memory"); }

static const struct brume_value *value(const struct brume_plan *p, brume_tensor t) { return brume_value_of(p->graph, t); }

static uint64_t value_bytes(const struct brume_value *v) { return (uint64_t)(brume_shape_numel(v->shape) * brume_dtype_bytes(v->dtype)); }

/* A node runs if it updates something, or if a result or another running node wants its output. */
static void find_needed(struct brume_plan *p)
{
    for (int i = brume_graph_node_count(p->graph) - 1; i >= 0; i--) {
        const struct brume_node *n = brume_graph_node(p->graph, i);
        bool need = n->op->updates != 0 || p->options.keep_all;
        for (int k = 0; k < n->n_out; k++) need = need || n->out_v[k]->is_output || p->values[n->out[k]].uses > 0;
        p->needed[i] = need;
        for (int j = 0; need && j < n->n_in; j++)
            if (n->in[j] != BRUME_NONE) p->values[n->in[j]].uses++;
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
        if (v->kind == BRUME_VALUE_PARAM) lie_in(p, t, v->slab, (uint64_t)v->offset * 4);
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
            if (v->kind != BRUME_VALUE_NODE || v->is_output || part == n->out[0] || value_bytes(v) != value_bytes(value(p, n->in[j])) ||
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
    s->variant = brume_variant_choose(n, &p->device->caps, p->options.variant);
    if (!s->variant)
        return brume_fail(BRUME_E_UNSUPPORTED, "%s '%s': no kernel for the %s backend", n->op->name, n->name, p->device->backend->kind);
    s->n_in = n->n_in;
    for (int j = 0; j < n->n_in; j++) inputs[j] = n->in[j];
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
    p->stats.kernels = p->n_steps;
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

static bool in_arena(const struct brume_plan *p, brume_tensor t)
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
        if (!in_arena(p, out) || p->values[out].first != s) continue;
        for (int j = 0; j < (first_only ? 1 : st->n_in); j++) {
            if (inputs[j] == BRUME_NONE) continue;
            const brume_tensor root = p->values[inputs[j]].root;
            if (!in_arena(p, root) || p->values[root].last != s || value_bytes(value(p, root)) != value_bytes(value(p, out)) ||
                p->values[inputs[j]].offset != 0 || !brume_shape_equal(value(p, inputs[j])->shape, value(p, out)->shape))
                continue;
            bool alone = true; /* another view of the same memory may be read at other places than it is written */
            for (int k = 0; k < st->n_in; k++) alone = alone && (k == j || inputs[k] == BRUME_NONE || p->values[inputs[k]].root != root);
            if (!alone) continue;
            p->values[root].last = p->values[out].last;
            for (int t = 0; t < brume_graph_value_count(p->graph); t++)
                if (p->values[t].root == out) lie_in(p, t, root, p->values[t].offset);
            break;
        }
    }
}

static bool constant_weight(const struct brume_plan *p, brume_tensor t)
{
    const struct brume_value *root = t == BRUME_NONE ? NULL : value(p, p->values[t].root);
    return root && root->kind != BRUME_VALUE_NODE && root->kind != BRUME_VALUE_INPUT && !p->values[root->id].updated;
}

static brume_status place_arena(struct brume_plan *p)
{
    const int n_values = brume_graph_value_count(p->graph);
    const uint64_t guard = p->options.poison ? GUARD_BYTES : 0;
    struct brume_block *blocks = calloc((size_t)n_values + 2 * (size_t)p->n_steps + 1, sizeof *blocks);
    uint64_t *segment_bytes = NULL, packed = 0;
    if (!blocks) return no_memory();
    int n = 0;
    for (int t = 0; t < n_values; t++)
        if (in_arena(p, t))
            blocks[n++] = (struct brume_block){ .bytes = value_bytes(value(p, t)) + 2 * guard, .first = p->values[t].first, .last = p->values[t].last };
    const int all = p->options.poison || p->options.keep_all;
    for (int s = 0; s < p->n_steps; s++) {
        struct brume_step *st = &p->steps[s];
        const struct brume_variant *v = st->variant;
        const uint64_t work = v && v->work_bytes ? v->work_bytes(st->node, &p->device->caps) : 0;
        const uint64_t pack = v && v->pack_bytes ? v->pack_bytes(st->node, &p->device->caps) : 0;
        const int first = all ? 0 : s, last = all ? p->n_steps : s;
        if (work) {
            st->work.slot = 0;
            blocks[n++] = (struct brume_block){ .bytes = work + 2 * guard, .first = first, .last = last };
        }
        if (pack && constant_weight(p, st->node->in[v->pack_input])) {
            st->pack_once = true;
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
        if (in_arena(p, t)) {
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
    for (int t = 0; t < n_values; t++) p->n_slots += p->values[t].first >= 0 && p->values[t].root == t && !in_arena(p, t);
    p->n_slots += packed != 0;
    p->slots = calloc((size_t)p->n_slots + 1, sizeof *p->slots);
    p->buffers = calloc((size_t)p->n_slots + 1, sizeof *p->buffers);
    if (!p->slots || !p->buffers) { s = no_memory(); goto done; }
    int slot = 0;
    for (; slot < p->n_segments; slot++) {
        p->slots[slot] = (struct brume_slot){ BRUME_NONE, segment_bytes[slot], NULL };
        p->stats.arena_bytes += segment_bytes[slot];
    }
    for (int t = 0; t < n_values; t++)
        if (p->values[t].first >= 0 && p->values[t].root == t && !in_arena(p, t)) {
            p->values[t].place = (struct brume_place){ slot, 0 };
            const uint64_t bytes = value_bytes(value(p, t));
            *(value(p, t)->kind == BRUME_VALUE_INPUT ? &p->stats.input_bytes : &p->stats.persistent_bytes) += bytes;
            p->slots[slot++] = (struct brume_slot){ t, bytes + guard, NULL };
        }
    p->packed_slot = -1;
    if (packed) {
        p->packed_slot = slot;
        p->stats.packed_bytes = packed;
        p->slots[slot++] = (struct brume_slot){ BRUME_NONE, packed, NULL };
        for (int i = 0; i < p->n_steps; i++)
            if (p->steps[i].pack_once) p->steps[i].packed.slot = p->packed_slot;
    }
done:
    free(blocks);
    free(segment_bytes);
    return s;
}

static struct brume_place place_of(const struct brume_plan *p, brume_tensor t)
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
        for (int j = 0; j < st->n_in; j++) *at++ = place_of(p, *inputs++);
        for (int k = 0; k < st->n_out; k++) st->out[k] = place_of(p, st->node->out[k]);
    }
}

static brume_status check_memory(const struct brume_plan *p)
{
    brume_device_info info;
    brume_device_get_info(p->device, &info);
    const uint64_t need = p->stats.arena_bytes + p->stats.input_bytes + p->stats.persistent_bytes + p->stats.packed_bytes;
    if (info.memory_bytes && need > info.memory_bytes)
        return brume_fail(BRUME_E_MEMORY, "plan: needs %.1f MiB (activations %.1f, parameters and state %.1f), '%s' has %.1f MiB; "
                          "use a smaller batch or a smaller model", (double)need / 1048576, (double)p->stats.arena_bytes / 1048576,
                          (double)p->stats.persistent_bytes / 1048576, info.name, (double)info.memory_bytes / 1048576);
    return BRUME_OK;
}

/* Guard words: behind every arena tensor, workspace and owned buffer, and in front of what lies in the arena. */
static void add_guard(struct brume_plan *p, int slot, uint64_t offset, brume_tensor t)
{
    p->guards[p->n_guards++] = (struct brume_guard){ slot, offset, t };
}

static brume_status make_guards(struct brume_plan *p)
{
    const int n_values = brume_graph_value_count(p->graph);
    p->guards = calloc(2 * (size_t)n_values + 4 * (size_t)p->n_steps + (size_t)p->n_slots + 1, sizeof *p->guards);
    if (!p->guards) return no_memory();
    for (int t = 0; t < n_values; t++) {
        if (!in_arena(p, t)) continue;
        const struct brume_place at = p->values[t].place;
        add_guard(p, at.slot, at.offset - GUARD_BYTES, t);
        add_guard(p, at.slot, at.offset + value_bytes(value(p, t)), t);
    }
    for (int i = p->n_segments; i < p->n_slots; i++)
        if (i != p->packed_slot) add_guard(p, i, p->slots[i].bytes - GUARD_BYTES, p->slots[i].value);
    for (int i = 0; i < p->n_steps; i++) {
        const struct brume_step *st = &p->steps[i];
        const struct brume_variant *v = st->variant;
        const brume_tensor t = st->n_out ? st->node->out[0] : BRUME_NONE;
        if (st->work.slot >= 0) add_guard(p, st->work.slot, st->work.offset + v->work_bytes(st->node, &p->device->caps), t);
        if (st->packed.slot >= 0) add_guard(p, st->packed.slot, st->packed.offset + v->pack_bytes(st->node, &p->device->caps), t);
    }
    return BRUME_OK;
}

static brume_status allocate(struct brume_plan *p)
{
    const struct brume_backend *b = p->device->backend;
    for (int i = 0; i < p->n_slots; i++) {
        const size_t bytes = (size_t)(p->slots[i].bytes ? p->slots[i].bytes : 4);
        brume_status s = b->buffer_new(p->device, bytes, &p->slots[i].own);
        if (s != BRUME_OK) return brume_fail_in(s, "plan: allocating %.1f MiB", (double)bytes / 1048576);
        p->buffers[i] = p->slots[i].own;
        /* Persistent tensors and inputs start at zero; the arena at NaN bytes in tests, at nothing otherwise. */
        if (i >= p->n_segments && i != p->packed_slot) s = b->fill(p->slots[i].own, 0, bytes, 0);
        else if (p->options.poison) s = b->fill(p->slots[i].own, 0, bytes, POISON);
        if (s != BRUME_OK) return s;
    }
    return BRUME_OK;
}

brume_status brume_plan_new(brume_device *d, const brume_graph *g, const brume_plan_options *options, brume_plan **out)
{
    *out = NULL;
    if (brume_graph_status(g) != BRUME_OK) return brume_fail(brume_graph_status(g), "%s", brume_graph_error(g));
    const size_t n_nodes = (size_t)brume_graph_node_count(g), n_values = (size_t)brume_graph_value_count(g);
    struct brume_plan *p = calloc(1, sizeof *p);
    brume_tensor *inputs = NULL;
    brume_status s = BRUME_OK;
    if (!p) return no_memory();
    p->device = d;
    p->graph = g;
    p->packed_slot = -1;
    p->packed_stale = true;
    if (options) p->options = *options;
    p->values = calloc(n_values + 1, sizeof *p->values);
    p->needed = calloc(n_nodes + 1, sizeof *p->needed);
    p->group = calloc(n_nodes + 1, sizeof *p->group);
    p->steps = calloc(n_nodes + 1, sizeof *p->steps);
    p->fused = calloc(n_nodes + 1, sizeof *p->fused);
    size_t n_inputs = 0;
    for (size_t i = 0; i < n_nodes; i++) {
        const int n = brume_graph_node(g, (int)i)->n_in;
        n_inputs += (size_t)(n > BRUME_FUSED_MAX_IN ? n : BRUME_FUSED_MAX_IN);
    }
    inputs = malloc((n_inputs + 1) * sizeof *inputs);
    p->places = malloc((n_inputs + 1) * sizeof *p->places);
    if (!p->values || !p->needed || !p->group || !p->steps || !p->fused || !inputs || !p->places) { s = no_memory(); goto fail; }
    find_needed(p);
    find_roots(p);
    if ((s = brume_plan_fuse(p)) != BRUME_OK || (s = make_steps(p, inputs)) != BRUME_OK) goto fail;
    find_lifetimes(p, inputs);
    reuse_inputs(p, inputs);
    if ((s = place_arena(p)) != BRUME_OK) goto fail;
    resolve_places(p, inputs);
    if (!p->options.dry) {
        if ((s = check_memory(p)) != BRUME_OK || (s = allocate(p)) != BRUME_OK) goto fail;
        if (p->options.poison && (s = make_guards(p)) != BRUME_OK) goto fail;
        if ((s = d->backend->prepare(d, p->steps, p->n_steps, p->n_slots, &p->exec)) != BRUME_OK) goto fail;
    }
    free(inputs);
    *out = p;
    return BRUME_OK;
fail:
    free(inputs);
    brume_plan_free(p);
    return s;
}

void brume_plan_free(brume_plan *p)
{
    if (!p) return;
    if (p->exec) p->device->backend->exec_free(p->exec);
    for (int i = 0; p->slots && i < p->n_slots; i++)
        if (p->slots[i].own) p->device->backend->buffer_free(p->slots[i].own);
    for (int i = 0; p->fused && i < p->n_steps + 1; i++) free(p->fused[i]);
    free(p->values);
    free(p->needed);
    free(p->group);
    free(p->steps);
    free(p->fused);
    free(p->places);
    free(p->slots);
    free(p->buffers);
    free(p->guards);
    free(p);
}

void brume_plan_get_stats(const brume_plan *p, brume_plan_stats *s) { *s = p->stats; }

static brume_status find(const struct brume_plan *p, brume_tensor t, const char *verb, size_t bytes, struct brume_place *at)
{
    const struct brume_value *v = value(p, t);
    *at = (struct brume_place){ -1, 0 };
    if (!v) return brume_fail(BRUME_E_ARG, "plan: cannot %s tensor %d: the graph has no such tensor", verb, (int)t);
    const char *name = brume_tensor_name(p->graph, t);
    if (p->options.dry) return brume_fail(BRUME_E_ARG, "plan: cannot %s '%s': this plan was made dry", verb, name);
    if (value_bytes(v) != bytes)
        return brume_fail(BRUME_E_SHAPE, "plan: cannot %s '%s': it has %" PRIu64 " bytes, the caller's array %zu", verb, name, value_bytes(v), bytes);
    if (p->values[p->values[t].root].first >= 0) *at = place_of(p, t);
    return BRUME_OK;
}

brume_status brume_plan_write(brume_plan *p, brume_tensor t, const void *src, size_t bytes)
{
    struct brume_place at;
    brume_status s = find(p, t, "write", bytes, &at);
    if (s != BRUME_OK) return s;
    const struct brume_value *v = value(p, t);
    if (v->kind == BRUME_VALUE_NODE)
        return brume_fail(BRUME_E_ARG, "plan: cannot write '%s': a node computes it", brume_tensor_name(p->graph, t));
    if (at.slot < 0) return BRUME_OK; /* no running node reads it */
    if (v->kind != BRUME_VALUE_INPUT) p->packed_stale = true;
    return p->device->backend->write(p->buffers[at.slot], at.offset, src, bytes);
}

brume_status brume_plan_read(brume_plan *p, brume_tensor t, void *dst, size_t bytes)
{
    struct brume_place at;
    brume_status s = find(p, t, "read", bytes, &at);
    if (s != BRUME_OK) return s;
    const struct brume_value *v = value(p, t), *root = value(p, p->values[t].root);
    if (at.slot < 0 || (v->kind == BRUME_VALUE_NODE && root->kind == BRUME_VALUE_NODE && !v->is_output && !p->options.keep_all))
        return brume_fail(BRUME_E_ARG, "plan: cannot read '%s': no running node keeps it; mark it with brume_output()", brume_tensor_name(p->graph, t));
    return p->device->backend->read(p->buffers[at.slot], at.offset, dst, bytes);
}

static int slot_of(const struct brume_plan *p, brume_tensor t)
{
    for (int i = p->n_segments; i < p->n_slots; i++)
        if (p->slots[i].value == t && t != BRUME_NONE) return i;
    return -1;
}

brume_status brume_plan_bind(brume_plan *p, brume_tensor t, brume_buffer *buffer)
{
    const struct brume_value *v = value(p, t);
    const int slot = slot_of(p, t);
    if (!v || v->kind == BRUME_VALUE_NODE || v->kind == BRUME_VALUE_PARAM)
        return brume_fail(BRUME_E_ARG, "plan: cannot bind '%s': only inputs, slabs and persistent tensors can be bound", brume_tensor_name(p->graph, t));
    if (slot < 0) return BRUME_OK; /* no running node reads it */
    if (buffer && (buffer->device != p->device || buffer->bytes < value_bytes(v)))
        return brume_fail(BRUME_E_ARG, "plan: cannot bind '%s': it needs %" PRIu64 " bytes of its own device, the buffer has %zu", v->name,
                          value_bytes(v), buffer->bytes);
    p->buffers[slot] = buffer ? buffer : p->slots[slot].own;
    if (v->kind != BRUME_VALUE_INPUT) p->packed_stale = true;
    return BRUME_OK;
}

brume_buffer *brume_plan_buffer(brume_plan *p, brume_tensor t)
{
    const int slot = slot_of(p, t);
    return slot < 0 ? NULL : p->buffers[slot];
}

void brume_plan_touch(brume_plan *p) { p->packed_stale = true; }

static brume_status poison(struct brume_plan *p)
{
    const struct brume_backend *b = p->device->backend;
    for (int i = 0; i < p->n_slots; i++) {
        const bool arena = i < p->n_segments, packed = i == p->packed_slot;
        brume_status s = BRUME_OK;
        if (arena || (packed && p->packed_stale)) s = b->fill(p->slots[i].own, 0, (size_t)p->slots[i].bytes, POISON);
        else if (!packed) s = b->fill(p->slots[i].own, (size_t)p->slots[i].bytes - GUARD_BYTES, GUARD_BYTES, POISON);
        if (s != BRUME_OK) return s;
    }
    return BRUME_OK;
}

brume_status brume_plan_run(brume_plan *p)
{
    brume_status s = BRUME_OK;
    if (p->options.dry) return brume_fail(BRUME_E_ARG, "plan: cannot run: it was made dry");
    if (p->options.poison && (s = poison(p)) != BRUME_OK) return s;
    if (p->packed_stale && p->packed_slot >= 0 && (s = p->device->backend->pack(p->exec, p->buffers)) != BRUME_OK) return s;
    p->packed_stale = false;
    return p->device->backend->run(p->exec, p->buffers);
}

brume_status brume_plan_check_guards(brume_plan *p)
{
    uint32_t words[GUARD_BYTES / 4];
    for (int i = 0; i < p->n_guards; i++) {
        const struct brume_guard *g = &p->guards[i];
        brume_status s = p->device->backend->read(p->slots[g->slot].own, (size_t)g->offset, words, sizeof words);
        if (s != BRUME_OK) return s;
        for (size_t w = 0; w < sizeof words / 4; w++)
            if (words[w] != POISON)
                return brume_fail(BRUME_E_DEVICE, "guard words beside '%s' were overwritten", brume_tensor_name(p->graph, g->value));
    }
    return BRUME_OK;
}

void brume_plan_describe(const brume_plan *p, void (*line)(void *ctx, const char *text), void *ctx)
{
    for (int i = 0; i < p->n_steps; i++) {
        const struct brume_step *s = &p->steps[i];
        const struct brume_node *n = s->node;
        char shape[96] = "", text[512];
        if (n->n_out) brume_shape_text(n->out_v[0]->shape, shape);
        const double flops = n->op->flops ? n->op->flops(n) : 0;
        snprintf(text, sizeof text, "%-18s %-12s %-20s %9.2f MFLOP  %s", n->op->name, s->variant ? s->variant->name : s->fused->n_ops > 1 ? "chain" : "single",
                 shape, flops / 1e6, n->name);
        line(ctx, text);
    }
}
