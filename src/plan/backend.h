/* SPDX-License-Identifier: MIT
 * What a backend implements: memory, and running the steps of a plan. */
#ifndef BRUME_PLAN_BACKEND_H
#define BRUME_PLAN_BACKEND_H

#include "brume/device.h"
#include "brume/plan.h"
#include "graph/op.h"

/* Where a tensor lies: a slot of the plan's buffer table (rebound without a new plan) and a byte offset in it. slot -1:
 * absent. */
struct brume_place { int32_t slot; uint64_t offset; };

#define BRUME_FUSED_MAX_IN 12
#define BRUME_FUSED_MAX_OPS 24

/* A chain of elementwise functions computed in one pass; a single elementwise node is a chain of one.
 * The result has dims[0..ndim-1] (outermost first, adjacent axes merged where every input allows it). */
struct brume_fused {
    int ndim;
    int64_t dims[BRUME_MAX_DIMS];
    int n_in;                                            /* external inputs, in the order of brume_step.in */
    int64_t stride[BRUME_FUSED_MAX_IN][BRUME_MAX_DIMS];  /* in elements; 0 repeats */
    int n_ops;
    struct brume_fused_op {
        const struct brume_ew *ew;
        float p[BRUME_EW_MAX_PARAM];
        int arg[BRUME_EW_MAX_IN];                        /* 0..n_in-1: external input; n_in + j: result of op j < this one */
    } op[BRUME_FUSED_MAX_OPS];                           /* the last one is the result */
};

/* One launch of a plan. */
struct brume_step {
    const struct brume_node *node;        /* for a chain: its last node */
    const struct brume_variant *variant;  /* NULL for a chain */
    int row;                              /* of the variant's parameters; 0: its rule chooses */
    uint64_t tuned;                       /* not the rule's choice but that of tuning: a hash of it; 0: the rule's */
    const struct brume_fused *fused;      /* NULL for a kernel */
    int n_in, n_out;
    const struct brume_place *in;
    struct brume_place out[BRUME_MAX_OUT];
    struct brume_place work, packed;      /* slot -1: none */
    bool pack_once;                       /* packed input is constant: packed by brume_backend.pack, not by run */
    bool drop;                            /* pack_once, and nobody else reads that input: its memory may be given back after
                                             packing */
};

/* What the device offers, and the row of parameters that the step takes: for the functions of its variant. */
static inline struct brume_caps brume_step_caps(const struct brume_step *s, const struct brume_caps *device)
{
    struct brume_caps c = *device;
    c.row = s->row;
    return c;
}

struct brume_twin_ops;
struct brume_exec;                        /* a backend's compiled steps */

struct brume_backend {
    const char *kind;                     /* "cpu", "opencl" */
    bool drops;                           /* gives memory of dropped inputs back */
    bool zeroed;                          /* new buffers hold zeros */
    void (*close)(struct brume_device *d);
    void (*info)(const struct brume_device *d, brume_device_info *out);
    brume_status (*buffer_new)(struct brume_device *d, size_t bytes, brume_buffer **out);
    void (*buffer_free)(brume_buffer *b);
    brume_status (*write)(brume_buffer *b, size_t offset, const void *src, size_t bytes);
    brume_status (*read)(brume_buffer *b, size_t offset, void *dst, size_t bytes);
    void *(*host)(brume_buffer *b);       /* its memory, if the host may use it as its own; NULL: no buffer's is */
    brume_status (*fill)(brume_buffer *b, size_t offset, size_t bytes, uint32_t pattern); /* 4-byte words */
    brume_status (*finish)(struct brume_device *d);
    /* Compiles every step. steps stay valid as long as the exec. All allocation and compilation happens here. n_slots: buffer
     * table size. */
    brume_status (*prepare)(struct brume_device *d, const struct brume_step *steps, int n, int n_slots, struct brume_exec **out);
    void (*exec_free)(struct brume_exec *e);
    /* Host memory that prepare() will take for scratch, in bytes; NULL: none worth counting. */
    uint64_t (*scratch_bytes)(const struct brume_device *d, const struct brume_step *steps, int n);
    /* Packs the constant weights of steps with pack_once. slots: the buffer table. */
    brume_status (*pack)(struct brume_exec *e, brume_buffer *const *slots);
    /* Runs steps from .. to - 1 in order. Allocates nothing. */
    brume_status (*run)(struct brume_exec *e, brume_buffer *const *slots, int from, int to);
    /* Tells the sources of the kernels from those of other versions; NULL: the version of brume does. */
    uint64_t (*kernels)(void);
    /* Of a backend that runs two others side by side: plan/twin.h. Then prepare .. run are not called. NULL: it computes
     * itself. */
    const struct brume_twin_ops *twins;
    /* Multiply-add rate of the whole device in GFLOP/s, measured. */
    brume_status (*measure_peak)(struct brume_device *d, double *gflops);
    /* How long launches are, and into how many pieces they are cut; longest is left to the caller. NULL: a step is no launch. */
    brume_status (*bound)(struct brume_device *d, const struct brume_step *steps, int n, brume_plan_bound *b);
};

/* Every backend's device and buffer begin with these. */
struct brume_device {
    const struct brume_backend *backend;
    struct brume_caps caps;
    int programs_compiled, programs_cached; /* OpenCL programs made so far */
    uint64_t launches;                      /* submitted so far */
    struct brume_tuning *tuning;            /* tuned choices of kernels; NULL: the rules choose */
    struct brume_tuner *tuner;              /* notes what plans are made of; NULL: nobody does */
    struct brume_self_test *self_test;      /* which kernels gave right results here; NULL: nobody asks */
    char choice[256];                       /* why "auto" chose it; "": there was no choice */
    bool trial;                             /* programs made now are candidates: not to be kept on the disk */
};
struct brume_buffer { struct brume_device *device; size_t bytes; };

#endif
