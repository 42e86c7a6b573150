/* SPDX-License-Identifier: MIT
 * Poison and guard words: the arena is NaN before a run, and words beside every tensor tell who wrote past an end. */
#include <stdlib.h>

#include "plan/plan.h"
#include "plan/twin.h"

#define POISON 0x7fc07fc0u /* a NaN, and so is each half: tensors of f16 may end between words */

static brume_status no_memory(void) { return brume_fail(BRUME_E_MEMORY, "plan: out of host memory"); }

/* Guard words: behind every arena tensor, workspace and owned buffer, and in front of what lies in the arena. */
static void add_guard(struct brume_plan *p, int slot, uint64_t offset, brume_tensor t)
{
    p->guards[p->n_guards++] = (struct brume_guard){ slot, offset, t };
}

brume_status brume_plan_make_guards(struct brume_plan *p)
{
    const int n_values = brume_graph_value_count(p->graph);
    p->guards = calloc(2 * (size_t)n_values + 4 * (size_t)p->n_steps + (size_t)p->n_slots + 1, sizeof *p->guards);
    if (!p->guards) return no_memory();
    for (int t = 0; t < n_values; t++) {
        if (!brume_plan_in_arena(p, t)) continue;
        const struct brume_place at = p->values[t].place;
        add_guard(p, at.slot, at.offset - BRUME_GUARD_BYTES, t);
        add_guard(p, at.slot, at.offset + brume_plan_value_bytes(brume_value_of(p->graph, t)), t);
    }
    for (int i = p->n_segments; i < p->n_slots; i++)
        if (i != p->packed_slot && !p->slots[i].elsewhere)
            add_guard(p, i, p->slots[i].bytes - BRUME_GUARD_BYTES, p->slots[i].value);
    for (int i = 0; i < p->n_steps; i++) {
        const struct brume_step *st = &p->steps[i];
        const struct brume_variant *v = st->variant;
        const brume_tensor t = st->n_out ? st->node->out[0] : BRUME_NONE;
        const struct brume_caps caps = brume_step_caps(st, &p->device->caps);
        if (st->work.slot >= 0) add_guard(p, st->work.slot, st->work.offset + v->work_bytes(st->node, &caps), t);
        if (st->packed.slot >= 0) add_guard(p, st->packed.slot, st->packed.offset + v->pack_bytes(st->node, &caps), t);
    }
    return BRUME_OK;
}

brume_status brume_plan_poison(struct brume_plan *p)
{
    const struct brume_backend *b = p->device->backend;
    for (int i = 0; i < p->n_slots; i++) {
        const bool arena = i < p->n_segments, packed = i == p->packed_slot;
        brume_status s = BRUME_OK;
        if (p->slots[i].elsewhere) continue;
        if (arena || (packed && p->packed_stale)) s = b->fill(p->slots[i].own, 0, (size_t)p->slots[i].bytes, POISON);
        else if (!packed) s = b->fill(p->slots[i].own, (size_t)p->slots[i].bytes - BRUME_GUARD_BYTES, BRUME_GUARD_BYTES, POISON);
        if (s != BRUME_OK) return s;
    }
    return BRUME_OK;
}

brume_status brume_plan_check_guards(brume_plan *p)
{
    uint32_t words[BRUME_GUARD_BYTES / 4];
    if (p->twin[0]) return brume_twins_check_guards(p);
    for (int i = 0; i < p->n_guards; i++) {
        const struct brume_guard *g = &p->guards[i];
        brume_status s = p->device->backend->read(p->slots[g->slot].own, (size_t)g->offset, words, sizeof words);
        if (s != BRUME_OK) return s;
        for (size_t w = 0; w < sizeof words / 4; w++)
            if (words[w] != POISON)
                return brume_fail(BRUME_E_DEVICE, "guard words beside '%s' were overwritten",
                                  brume_tensor_name(p->graph, g->value));
    }
    return BRUME_OK;
}
