/* SPDX-License-Identifier: MIT
 * Plans: making, feeding, running and freeing them. */
#include "plan/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "plan/self_test.h"
#include "plan/twin.h"
#if BRUME_HAVE_PLANT
#include "plan/plant.h"
#endif

static brume_status no_memory(void) { return brume_fail(BRUME_E_MEMORY, "plan: out of host memory"); }

static const struct brume_value *value(const struct brume_plan *p, brume_tensor t) { return brume_value_of(p->graph, t); }

static brume_status check_memory(const struct brume_plan *p)
{
    brume_device_info info;
    brume_device_get_info(p->device, &info);
    const uint64_t need = p->stats.arena_bytes + p->stats.input_bytes + p->stats.persistent_bytes + p->stats.packed_bytes;
    if (info.memory_bytes && need > info.memory_bytes)
        return brume_fail(BRUME_E_MEMORY,
                          "plan: needs %.1f MiB (activations %.1f, parameters and state %.1f), '%s' has %.1f MiB; "
                          "use a smaller batch or a smaller model",
                          (double)need / 1048576, (double)p->stats.arena_bytes / 1048576,
                          (double)p->stats.persistent_bytes / 1048576, info.name, (double)info.memory_bytes / 1048576);
    return BRUME_OK;
}

static brume_status allocate(struct brume_plan *p)
{
    const struct brume_backend *b = p->device->backend;
    for (int i = 0; i < p->n_slots; i++) {
        const size_t bytes = (size_t)(p->slots[i].bytes ? p->slots[i].bytes : 4);
        if (p->slots[i].elsewhere) continue;
        if ((p->buffers[i] = p->slots[i].lent)) continue;
        brume_status s = bytes < p->slots[i].bytes ? BRUME_E_MEMORY : BRUME_OK;
        if (s != BRUME_OK)
            return brume_fail(s, "plan: %.1f MiB at once cannot be addressed by a program of %d bits",
                              (double)p->slots[i].bytes / 1048576, 8 * (int)sizeof bytes);
        s = b->buffer_new(p->device, bytes, &p->slots[i].own);
        if (s != BRUME_OK) return brume_fail_in(s, "plan: allocating %.1f MiB", (double)bytes / 1048576);
        p->buffers[i] = p->slots[i].own;
        /* Persistent tensors and inputs start at zero, the arena at nothing (at NaN in tests: see guards.c). */
        if (!b->zeroed && i >= p->n_segments && i != p->packed_slot) s = b->fill(p->slots[i].own, 0, bytes, 0);
        if (s != BRUME_OK) return s;
    }
    return BRUME_OK;
}

/* Are kernels of this plan tested before they are used? Not those that a test, a tuner or a caller asks for by name. */
static bool tests_kernels(const struct brume_plan *p)
{
    const struct brume_self_test *t = p->device->self_test;
    return t && t->on && !t->testing && !p->chosen && !p->options.dry && !p->options.variant && !p->options.poison &&
           !p->device->trial;
}

/* What a driver refuses to compile is found by the tests, too; where they find nothing, its error stays. */
static brume_status test_kernels(struct brume_plan *p, brume_status prepared, bool *again)
{
    char text[2048];
    snprintf(text, sizeof text, "%s", brume_error());
    const brume_status s = brume_self_test_plan(p, again);
    if (s != BRUME_OK || prepared == BRUME_OK || *again) return s;
    return brume_fail(prepared, "%s", text);
}

/* *again: a kernel failed its test, another one will be taken. */
static brume_status make(brume_device *d, const brume_graph *g, const brume_plan_options *options,
                         const struct brume_choice *chosen, brume_plan **out, bool *again)
{
    *out = NULL;
    if (brume_graph_status(g) != BRUME_OK) return brume_fail(brume_graph_status(g), "%s", brume_graph_error(g));
    if (d->backend->twins) return brume_twins_new(d, g, options, out);
    const size_t n_nodes = (size_t)brume_graph_node_count(g), n_values = (size_t)brume_graph_value_count(g);
    struct brume_plan *p = calloc(1, sizeof *p);
    brume_status s = BRUME_OK;
    if (!p) return no_memory();
    p->device = d;
    p->graph = g;
    p->packed_slot = -1;
    p->packed_stale = true;
    if (options) p->options = *options;
    p->chosen = chosen;
    if (brume_self_test_no_chains(d)) p->options.no_fusion = 1;
    p->values = calloc(n_values + 1, sizeof *p->values);
    p->needed = calloc(n_nodes + 1, sizeof *p->needed);
    p->group = calloc(n_nodes + 1, sizeof *p->group);
    p->steps = calloc(n_nodes + 1, sizeof *p->steps);
    p->fused = calloc(n_nodes + 1, sizeof *p->fused);
    if (!p->values || !p->needed || !p->group || !p->steps || !p->fused) { s = no_memory(); goto fail; }
    if ((s = brume_plan_layout(p)) != BRUME_OK || (s = brume_plan_hash_tuning(p)) != BRUME_OK) goto fail;
    if (d->backend->scratch_bytes) p->stats.host_bytes = d->backend->scratch_bytes(d, p->steps, p->n_steps);
    p->options.elsewhere = NULL; /* the caller's list need not outlive this call */
    if (!p->options.dry) {
        if ((s = check_memory(p)) != BRUME_OK || (s = allocate(p)) != BRUME_OK) goto fail;
        if (p->options.poison && (s = brume_plan_make_guards(p)) != BRUME_OK) goto fail;
        s = d->backend->prepare(d, p->steps, p->n_steps, p->n_slots, &p->exec);
        if ((s == BRUME_OK || s == BRUME_E_DEVICE || s == BRUME_E_UNSUPPORTED) && tests_kernels(p)) s = test_kernels(p, s, again);
        if (s != BRUME_OK || *again) goto fail;
    }
    p->chosen = NULL;
    *out = p;
    return BRUME_OK;
fail:
    brume_plan_free(p);
    return s;
}

brume_status brume_plan_new_chosen(brume_device *d, const brume_graph *g, const brume_plan_options *options,
                                   const struct brume_choice *chosen, brume_plan **out)
{
    brume_status s;
    bool again;
    do {
        again = false;
        s = make(d, g, options, chosen, out, &again);
    } while (s == BRUME_OK && again);
    return s;
}

brume_status brume_plan_new(brume_device *d, const brume_graph *g, const brume_plan_options *options, brume_plan **out)
{
    return brume_plan_new_chosen(d, g, options, NULL, out);
}

void brume_plan_free(brume_plan *p)
{
    if (!p) return;
    if (p->device->backend->twins) {
        brume_twins_free(p);
        return;
    }
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

void brume_plan_get_stats(const brume_plan *p, brume_plan_stats *s) { *s = brume_plan_first(p)->stats; }

static brume_status unbound(const struct brume_plan *p, brume_tensor t)
{
    return brume_fail(BRUME_E_ARG, "plan: '%s' lies elsewhere: bind a buffer to it first", brume_tensor_name(p->graph, t));
}

static brume_status find(const struct brume_plan *p, brume_tensor t, const char *verb, size_t bytes, struct brume_place *at)
{
    const struct brume_value *v = value(p, t);
    *at = (struct brume_place){ -1, 0 };
    if (!v) return brume_fail(BRUME_E_ARG, "plan: cannot %s tensor %d: the graph has no such tensor", verb, (int)t);
    const char *name = brume_tensor_name(p->graph, t);
    if (p->options.dry) return brume_fail(BRUME_E_ARG, "plan: cannot %s '%s': this plan was made dry", verb, name);
    if (brume_plan_value_bytes(v) != bytes)
        return brume_fail(BRUME_E_SHAPE, "plan: cannot %s '%s': it has %" PRIu64 " bytes, the caller's array %zu", verb, name,
                          brume_plan_value_bytes(v), bytes);
    if (p->values[p->values[t].root].first >= 0) *at = brume_plan_place(p, t);
    return at->slot < 0 || p->buffers[at->slot] ? BRUME_OK : unbound(p, t);
}

static brume_status dropped(const struct brume_plan *p, const char *verb, brume_tensor t)
{
    return brume_fail(BRUME_E_ARG,
                      "plan: cannot %s '%s': memory of packed weights was given back (drop_packed); write all of '%s'", verb,
                      brume_tensor_name(p->graph, t), brume_tensor_name(p->graph, p->values[t].root));
}

/* Packed copies are made of tensors that nothing updates: only these can make them stale. */
static void changed(brume_plan *p, brume_tensor t)
{
    if (value(p, t)->kind != BRUME_VALUE_INPUT && !p->values[p->values[t].root].updated) p->packed_stale = true;
}

brume_status brume_plan_write(brume_plan *p, brume_tensor t, const void *src, size_t bytes)
{
    struct brume_place at;
    if (p->twin[0]) return brume_twins_write(p, t, src, bytes);
    brume_status s = find(p, t, "write", bytes, &at);
    if (s != BRUME_OK) return s;
    const struct brume_value *v = value(p, t);
    if (v->kind == BRUME_VALUE_NODE)
        return brume_fail(BRUME_E_ARG, "plan: cannot write '%s': a node computes it", brume_tensor_name(p->graph, t));
    if (at.slot < 0) return BRUME_OK; /* no running node reads it */
    if (p->slots[at.slot].dropped && p->values[t].root != t) return dropped(p, "write", t);
    p->slots[at.slot].dropped = false;
    changed(p, t);
    return p->device->backend->write(p->buffers[at.slot], (size_t)at.offset, src, bytes);
}

brume_status brume_plan_read(brume_plan *p, brume_tensor t, void *dst, size_t bytes)
{
    struct brume_place at;
    if (p->twin[0]) p = p->twin[0];
    brume_status s = find(p, t, "read", bytes, &at);
    if (s != BRUME_OK) return s;
    const struct brume_value *v = value(p, t), *root = value(p, p->values[t].root);
    if (at.slot < 0 || (v->kind == BRUME_VALUE_NODE && root->kind == BRUME_VALUE_NODE && !v->is_output && !p->options.keep_all))
        return brume_fail(BRUME_E_ARG, "plan: cannot read '%s': no running node keeps it; mark it with brume_output()",
                          brume_tensor_name(p->graph, t));
    if (p->slots[at.slot].dropped) return dropped(p, "read", t);
    return p->device->backend->read(p->buffers[at.slot], (size_t)at.offset, dst, bytes);
}

static int slot_of(const struct brume_plan *p, brume_tensor t)
{
    for (int i = p->n_segments; i < p->n_slots; i++)
        if (p->slots[i].value == t && t != BRUME_NONE) return i;
    return -1;
}

brume_status brume_plan_bind(brume_plan *p, brume_tensor t, brume_buffer *buffer)
{
    if (p->twin[0]) return brume_twins_bind(p, t, buffer);
    const struct brume_value *v = value(p, t);
    const int slot = slot_of(p, t);
    if (!v || v->kind == BRUME_VALUE_NODE || v->kind == BRUME_VALUE_PARAM)
        return brume_fail(BRUME_E_ARG, "plan: cannot bind '%s': only inputs, slabs and persistent tensors can be bound",
                          brume_tensor_name(p->graph, t));
    if (slot < 0) return BRUME_OK; /* no running node reads it */
    if (buffer && (buffer->device != p->device || buffer->bytes < brume_plan_value_bytes(v)))
        return brume_fail(BRUME_E_ARG, "plan: cannot bind '%s': it needs %" PRIu64 " bytes of its own device, the buffer has %zu",
                          v->name, brume_plan_value_bytes(v), buffer->bytes);
    if (!buffer && p->slots[slot].elsewhere) return unbound(p, t);
    if (p->slots[slot].drops)
        return brume_fail(BRUME_E_ARG, "plan: cannot bind '%s': the plan gives its memory back once it is packed (drop_packed)",
                          v->name);
    p->buffers[slot] = buffer ? buffer : p->slots[slot].own;
    changed(p, t);
    return BRUME_OK;
}

brume_buffer *brume_plan_buffer(brume_plan *p, brume_tensor t)
{
    if (p->twin[0]) return brume_twins_buffer(p, t);
    const int slot = slot_of(p, t);
    return slot < 0 ? NULL : p->buffers[slot];
}

void brume_plan_touch(brume_plan *p)
{
    if (p->twin[0]) brume_twins_touch(p);
    p->packed_stale = true;
}

/* What comes before the first step that runs. */
static brume_status begin(brume_plan *p, bool whole)
{
    brume_status s = BRUME_OK;
    if (p->options.dry) return brume_fail(BRUME_E_ARG, "plan: cannot run: it was made dry");
    for (int i = p->n_segments; i < p->n_slots; i++)
        if (!p->buffers[i]) return unbound(p, p->slots[i].value);
    if (p->options.poison && whole && (s = brume_plan_poison(p)) != BRUME_OK) return s;
    if (!p->packed_stale) return BRUME_OK;
    for (int i = p->n_segments; i < p->n_slots; i++)
        if (p->slots[i].dropped) return dropped(p, "pack", p->slots[i].value);
    if (p->packed_slot >= 0 && (s = p->device->backend->pack(p->exec, p->buffers)) != BRUME_OK) return s;
    for (int i = p->n_segments; i < p->n_slots; i++) p->slots[i].dropped = p->slots[i].drops;
    p->packed_stale = false;
    return BRUME_OK;
}

static brume_status run(brume_plan *p, int from, int to, bool whole)
{
    if (p->twin[0]) return p->device->backend->twins->run(p, from, to);
    const brume_status s = begin(p, whole);
    if (s != BRUME_OK) return s;
#if BRUME_HAVE_PLANT
    if (!p->spared) return brume_plant_run(p, from, to);
#endif
    return p->device->backend->run(p->exec, p->buffers, from, to);
}

brume_status brume_plan_run(brume_plan *p) { return run(p, 0, brume_plan_first(p)->n_steps, true); }

brume_status brume_plan_run_steps(brume_plan *p, int first, int n)
{
    const int count = brume_plan_first(p)->n_steps;
    if (first < 0 || n < 0 || n > count - first)
        return brume_fail(BRUME_E_ARG, "plan: there are no steps %d .. %d, the plan has %d", first, first + n - 1, count);
    return run(p, first, first + n, first == 0);
}

brume_status brume_plan_run_step(brume_plan *p, int i)
{
    const int count = brume_plan_first(p)->n_steps;
    if (i < 0 || i >= count) return brume_fail(BRUME_E_ARG, "plan: there is no step %d, the plan has %d", i, count);
    return run(p, i, i + 1, false);
}

brume_status brume_plan_get_bound(const brume_plan *p, brume_plan_bound *b)
{
    const struct brume_plan *own = brume_plan_first(p);
    brume_device *d = own->device;
    *b = (brume_plan_bound){ .gflops = b->gflops };
    if (!d->backend->bound)
        return brume_fail(BRUME_E_UNSUPPORTED, "the %s backend has no launches to bound: those of OpenCL devices are",
                          d->backend->kind);
    const brume_status s = d->backend->bound(d, own->steps, own->n_steps, b);
    if (s != BRUME_OK || !b->launches) return s;
    brume_plan_step step;
    brume_plan_get_step(own, b->longest_step, &step);
    snprintf(b->longest, sizeof b->longest, "%.100s '%.100s' by %s: %s", step.op, step.name, step.kernel, step.shapes);
    return s;
}
