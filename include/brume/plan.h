/* SPDX-License-Identifier: MIT
 * Plans: a graph made ready for one device. Kernels are chosen and compiled, every tensor has its place; running allocates
 * nothing. */
#ifndef BRUME_PLAN_H
#define BRUME_PLAN_H

#include "brume/api.h"
#include "brume/device.h"
#include "brume/graph.h"

BRUME_API_BEGIN

/** A graph made ready for one device. */
typedef struct brume_plan brume_plan;

/** How a plan is made; { 0 } is right for most. */
typedef struct brume_plan_options {
    int keep_all;          /* 1: no arena reuse and no fusion, every tensor may be read after a run (comparison, debugging) */
    int no_fusion;         /* 1: one kernel per elementwise node */
    int poison;            /* 1: the arena is NaN before every run, and guard words surround every tensor (tests) */
    const char *variant;   /* NULL, or the kernel variant to take wherever it fits (tests, tuning): "NAME", or "NAME:ROW" with one
                              of the sets of parameters that it has; a row that does not fit the device is left to the variant's
                              rule */
    int repack;            /* 1: packed copies of weights are made before every call, in the arena, as if a node updated them: for
                              weights that change with every run, where copies of all of them at once would only take memory */
    int drop_packed;       /* 1: what is read only to be packed, once, gives its memory back afterwards, where a device can do
                              that (cpu): it cannot be read any more, and to change it its whole slab is written again. The plan
                              must own that memory */
    const brume_tensor *elsewhere; /* NULL, or inputs, slabs and persistent tensors, ended by BRUME_NONE, that the plan allocates
                                      no memory for: the caller binds buffers to them before the first run */
    const brume_plan *arena; /* NULL, or a plan of the same device whose arena this one uses, too, as far as it goes: for plans
                                that never run at the same time. It must outlive this one; a run spoils the results of the other
                                plan */
    int dry;               /* 1: lay out only, nothing is allocated or compiled on the device; such a plan cannot run */
} brume_plan_options;

/** Memory and work of a plan. */
typedef struct brume_plan_stats {
    int nodes, kernels;          /* nodes of the graph that run; launches they became */
    int prepared;                /* launches that a backend prepares: of a trainer with micro-batches less than it runs */
    uint64_t arena_bytes;        /* activations, gradients, workspaces */
    uint64_t persistent_bytes;   /* parameters, optimizer state, EMA */
    uint64_t dropped_bytes;      /* parameters besides, until drop_packed gives their memory back */
    uint64_t input_bytes;        /**< tensors that the caller sets */
    uint64_t packed_bytes;       /* packed copies of constant weights */
    uint64_t host_bytes;         /* on the host beside these: scratch of threads; of a trainer also its copy of a batch */
    int tuned;                   /* launches whose kernel is not the rule's choice but that of tuning (brume/tune.h) */
    double flops;                /* per run: multiply and add count as two */
} brume_plan_stats;

/** Makes a plan. options may be NULL. The graph and the device must outlive it. BRUME_E_MEMORY names need and limit. */
brume_status brume_plan_new(brume_device *d, const brume_graph *g, const brume_plan_options *options, brume_plan **out);
void brume_plan_free(brume_plan *p);
void brume_plan_get_stats(const brume_plan *p, brume_plan_stats *s);

/** Sets or gets the value of a whole input, persistent tensor, parameter, slab, or (get) output. bytes must match its size. */
brume_status brume_plan_write(brume_plan *p, brume_tensor t, const void *src, size_t bytes);
brume_status brume_plan_read(brume_plan *p, brume_tensor t, void *dst, size_t bytes);
/** Lets an input, slab or persistent tensor live in the caller's buffer from now on (buffer NULL: back to the plan's own). */
brume_status brume_plan_bind(brume_plan *p, brume_tensor t, brume_buffer *buffer);
/** The buffer in which an input, slab or persistent tensor lives (offset 0), to bind it to another plan of the same device. */
brume_buffer *brume_plan_buffer(brume_plan *p, brume_tensor t);
/** Copies of weights packed from parameters are stale after their buffer was changed from outside: say so. */
void brume_plan_touch(brume_plan *p);

/** Runs the whole graph once. Asynchronous on OpenCL; brume_plan_read() waits. */
brume_status brume_plan_run(brume_plan *p);

/** With options.poison: BRUME_OK if no guard word was overwritten since the last run, else BRUME_E_DEVICE naming the tensor. */
brume_status brume_plan_check_guards(brume_plan *p);

/** One step of a plan: a kernel or a fused chain of elementwise nodes. */
typedef struct brume_plan_step {
    const char *name;      /* of the node (the last one of a chain); owned by the graph */
    char op[160];          /* "conv2d"; of a chain, its functions: "add+silu" */
    char kernel[48];       /* variant chosen, with a row of parameters behind a colon where tuning chose it; "single" or
                              "chain" */
    int tuned;             /* 1: the kernel is not the rule's choice but that of tuning */
    char shapes[256];      /* inputs -> outputs: "64x28x28x32, 3x3x32x32, - -> 64x28x28x32" ("-": an absent optional input) */
    double flops;          /* multiply and add count as two */
    double bytes;          /* of all inputs and outputs, each once */
} brume_plan_step;

/** Number of steps, and the i-th in order of execution (0 <= i < number). */
int brume_plan_step_count(const brume_plan *p);
void brume_plan_get_step(const brume_plan *p, int i, brume_plan_step *out);
/**
 * Runs step i alone; all steps in order are what brume_plan_run() does, but in between the caller may take the time (after
 * brume_device_finish(), as kernels run asynchronously on OpenCL). BRUME_E_ARG for a step that does not exist.
 */
brume_status brume_plan_run_step(brume_plan *p, int i);
/** The step that computes a tensor, or -1: after it an output may be read, before the rest runs. */
int brume_plan_step_of(const brume_plan *p, brume_tensor t);
/**
 * Number of steps from the beginning after which nothing is written any more to values first .. first + n - 1 of an input, slab
 * or persistent tensor t: then that part of a gradient, say, may be used while the rest runs. 0: no step writes there.
 */
int brume_plan_steps_until(const brume_plan *p, brume_tensor t, int64_t first, int64_t n);
/** Runs n steps from the first one on: a run in two halves has the bits of a whole one. Asynchronous as brume_plan_run(). */
brume_status brume_plan_run_steps(brume_plan *p, int first, int n);

/**
 * After a run of a plan with keep_all: the first input, parameter or result of a step (in this order) that is not finite, as
 * words with its op, shape, and where: "mid_block/conv2d (conv2d, 4x8x8x32): 3 of 8192 values are not finite, the first is number
 * 17, nan"; "" if all are finite.
 */
brume_status brume_plan_find_not_finite(brume_plan *p, char text[320]);

/** Tells plans with different tuned kernels apart: 0 if every kernel is the rule's choice, else a hash of all tuned choices, each
 * once. */
uint64_t brume_plan_tuning(const brume_plan *p);

/** How long launches on an OpenCL device are, and into how many pieces they are cut, so that none keeps a display waiting (see
 * brume_device_options.launch_ms). */
typedef struct brume_plan_bound {
    double gflops;         /* given: the multiply-add rate of a device in GFLOP/s, or 0 to measure this one; afterwards what
                              counted */
    double bound_ms;       /* the most that a launch may take; of a device that has no bound, as processors, that of others */
    int launches, cut;     /* launches of a run; of these such that are cut */
    int64_t pieces;        /* that all launches become */
    double longest_ms;     /* the longest launch if it were whole, */
    char longest[512];     /* which one: "conv2d 'conv_in' by winograd: 1x64x64x320, ... -> ...", */
    int longest_step;      /* of which step, */
    int longest_pieces;    /* and its pieces */
    double piece_ms;       /* the longest piece of all launches */
} brume_plan_bound;

/**
 * Estimates launches of a plan, which may be dry. Times are those of a poor kernel (2 % of the rate): good ones take a part of
 * them, some milliseconds for a piece.
 * Fails with BRUME_E_UNSUPPORTED on devices that are not OpenCL's, and where measuring does.
 */
brume_status brume_plan_get_bound(const brume_plan *p, brume_plan_bound *b);

/** One line per step for a reader: op, name, kernel variant, shapes, MFLOP. Calls line(ctx, text) for each. */
void brume_plan_describe(const brume_plan *p, void (*line)(void *ctx, const char *text), void *ctx);

BRUME_API_END

#endif
