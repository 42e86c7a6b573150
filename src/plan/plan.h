/* SPDX-License-Identifier: MIT
 * Inside of a plan, shared by the files that make it. */
#ifndef BRUME_PLAN_PLAN_H
#define BRUME_PLAN_PLAN_H

#include "brume/plan.h"
#include "plan/backend.h"
#include "plan/variants.h"

/* What the plan knows of one value of the graph. */
struct brume_value_plan {
    brume_tensor root;      /* the value whose memory it lies in (itself, a slab, an aliased or a packed value) */
    uint64_t offset;        /* bytes from the root's begin */
    int uses;               /* needed nodes that read it */
    bool updated;           /* a needed node writes it in place (roots only) */
    int first, last;        /* lifetime in steps (roots only); first -1: unused */
    struct brume_place place; /* roots only */
};

struct brume_slot {
    brume_tensor value;     /* the input, slab or persistent tensor that owns it; BRUME_NONE: arena or packed weights */
    uint64_t bytes;
    bool elsewhere;         /* the plan makes no buffer for it */
    brume_buffer *lent;     /* an arena segment of another plan */
    bool drops, dropped;    /* parts of it are given back once they are packed; and they are */
    brume_buffer *own;      /* made by the plan */
};

struct brume_guard { int slot; uint64_t offset; brume_tensor value; };

struct brume_plan {
    struct brume_device *device;
    const brume_graph *graph;
    brume_plan_options options;
    const struct brume_choice *chosen; /* per node, of known-answer tests: its kernel (variant NULL: by rule); NULL: options and
                                          rules decide */
    struct brume_value_plan *values;
    bool *needed;           /* per node */
    int *group;             /* per node: index of the last node of its fused chain; -1 if not elementwise */
    struct brume_step *steps;
    int n_steps;
    struct brume_place *places; /* backing store of step.in */
    struct brume_fused **fused;
    struct brume_slot *slots;
    brume_buffer **buffers; /* per slot: what is bound now */
    int n_slots, n_segments; /* arena segments are slots 0 .. n_segments - 1 */
    int packed_slot;
    struct brume_guard *guards;
    int n_guards;
    struct brume_exec *exec;
    bool packed_stale;
    bool spared;            /* of errors that tests plant: others are compared with this one */
    brume_plan_stats stats;
    uint64_t tuning;        /* see brume_plan_tuning() */
    char side;              /* 'a', 'b': of twins; 0: it runs alone */
    struct brume_plan *twin[2]; /* plans of the two devices that the device stands for (twin.h); then there is nothing else but
                                   what follows */
    brume_buffer **joined;  /* twins: per value, the buffer of both parts if somebody asked for it */
    void *watch;            /* twins: of their backend */
};

#define BRUME_GUARD_BYTES 256

/* A plan whose kernels are chosen one by one: chosen has an entry per node, or is NULL as in brume_plan_new(). It needs to live
 * during this call only. */
brume_status brume_plan_new_chosen(brume_device *d, const brume_graph *g, const brume_plan_options *options,
                                   const struct brume_choice *chosen, brume_plan **out);

/* layout.c: everything but device memory: steps, lifetimes, places, slots, stats. */
brume_status brume_plan_layout(struct brume_plan *p);
uint64_t brume_plan_value_bytes(const struct brume_value *v);
/* Does the value own a block of the arena? */
bool brume_plan_in_arena(const struct brume_plan *p, brume_tensor t);
/* Where a value lies; slot -1 for BRUME_NONE. */
struct brume_place brume_plan_place(const struct brume_plan *p, brume_tensor t);

/* steps.c: finds plan->tuning from the steps. */
brume_status brume_plan_hash_tuning(struct brume_plan *p);

/* guards.c: lists the guard words; fills arena and guards before a run. For plans with options.poison. */
brume_status brume_plan_make_guards(struct brume_plan *p);
brume_status brume_plan_poison(struct brume_plan *p);

/* fuse.c: fills plan->group. Requires needed and uses. */
brume_status brume_plan_fuse(struct brume_plan *p);
/* fuse.c: the nodes of the chain that ends at node `last`, in order, into out (BRUME_FUSED_MAX_OPS entries, may be NULL); returns
 * their number. */
int brume_plan_chain_members(const struct brume_plan *p, int last, int *out);
/* fuse.c: describes the chain that ends at node `last` and lists its external inputs (BRUME_FUSED_MAX_IN entries). */
brume_status brume_plan_describe_chain(const struct brume_plan *p, int last, struct brume_fused *f, brume_tensor *inputs);

#endif
