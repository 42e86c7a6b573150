/* SPDX-License-Identifier: MIT
 * How an op describes itself: shape rule, gradient, kernels. The graph, the plan and the backends know no op but through this. */
#ifndef BRUME_GRAPH_OP_H
#define BRUME_GRAPH_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail.h"
#include "brume/graph.h"
#include "graph/tolerance.h"

#define BRUME_MAX_OUT 3
#define BRUME_EW_MAX_IN 4
#define BRUME_EW_MAX_PARAM 4

struct brume_op;
struct brume_node;
struct brume_pool;
struct brume_simd;
struct brume_cl_list;

enum brume_value_kind { BRUME_VALUE_NODE, BRUME_VALUE_INPUT, BRUME_VALUE_PERSISTENT, BRUME_VALUE_SLAB, BRUME_VALUE_PARAM };

/* A tensor of a graph. Individually allocated: pointers stay valid while the graph lives. */
struct brume_value {
    brume_tensor id;
    enum brume_value_kind kind;
    brume_dtype dtype;
    brume_shape shape;
    char *name;
    struct brume_node *producer; /* NODE: the node that makes it */
    int out_index;               /* NODE: which of its outputs */
    brume_tensor slab;           /* PARAM: the slab it lies in */
    int64_t offset;              /* PARAM: first element there */
    bool is_output;              /* brume_output(): readable after a run */
};

/* One application of an op. in_v[i] is NULL for an absent optional input. */
struct brume_node {
    const struct brume_op *op;
    int index;                   /* position in the graph = order of execution */
    char *name;                  /* scope + op, unique enough for messages */
    int n_in, n_out;
    brume_tensor *in;
    const struct brume_value **in_v;
    brume_tensor out[BRUME_MAX_OUT];
    struct brume_value *out_v[BRUME_MAX_OUT];
    const void *attrs;           /* the op's own struct, copied into the graph */
    size_t attr_bytes;
    int segment;                 /* of brume_segment_begin(), counted from 1; 0: none */
};

/* What a device offers, for `fits` and `suits`. */
struct brume_caps {
    bool opencl;                 /* an OpenCL device; else the cpu backend */
    bool cpu_type;               /* OpenCL device of CPU type (or the cpu backend): prefers big register tiles, no local memory */
    bool clblast;                /* CLBlast is built in, and asked for or suits the device */
    int vector_width;            /* floats per vector register */
    int compute_units;
    size_t local_bytes;          /* OpenCL local memory */
    size_t max_work_group;
    uint64_t max_alloc;          /* bytes in one buffer */
    int row;                     /* not of the device: which row of the variant's `rows` is asked for, counted from 1; 0: its rule
                                    chooses */
};

/*
 * What one kernel can be compiled with (tile, results per work-item, vector width, work-group): a table with a row for each set,
 * for the class of device that the kernel was made for. Rows are counted from 1.
 */
struct brume_rows {
    int n;
    const char *(*name)(int row);                             /* "64x64x16" */
    bool (*fits)(int row, const struct brume_caps *c);        /* within the device's limits */
};

/* What a kernel of the cpu backend gets. Arrays are indexed like the node's inputs and outputs; NULL = absent. */
struct brume_cpu_call {
    const struct brume_node *node;
    const void *const *in;
    void *const *out;
    void *work;                      /* variant->work_bytes, 64-byte aligned, content undefined */
    const void *packed;              /* variant->pack_bytes, filled by variant->cpu_pack */
    const struct brume_simd *simd;   /* inner loops of the chosen ISA */
    struct brume_pool *pool;
};

/*
 * One way to compute an op. `fits` says that the result will be right there (NULL: always), `suits` that this device is what the
 * variant was made for (NULL: always). The plan takes the first that fits and suits, else the first that fits; the last of a
 * list, "any", always fits. Tests run all that fit. At least one of cpu and cl must be set; a variant without cpu never fits the
 * cpu backend, one without cl never fits OpenCL.
 */
struct brume_variant {
    const char *name;
    bool (*fits)(const struct brume_node *n, const struct brume_caps *c);
    bool (*suits)(const struct brume_node *n, const struct brume_caps *c);
    /* Sets of parameters among which caps->row chooses; NULL: it has none. */
    const struct brume_rows *rows;
    /* scratch memory of one call; NULL: none */
    size_t (*work_bytes)(const struct brume_node *n, const struct brume_caps *c);
    /* A copy of input `pack_input` in a layout of the variant's own (packed weights). The plan makes it once where the input is
     * constant (a parameter that no node updates), else before every call. pack_bytes NULL or returning 0: none. */
    int pack_input;
    bool half;                   /* input pack_input is the result of a cast, which must be from f16 (see fits): what was cast is
                                    read instead */
    size_t (*pack_bytes)(const struct brume_node *n, const struct brume_caps *c);
    /* true: packing costs so little beside the rest that even a constant input is packed before every call, which saves the
     * memory of a lasting copy. NULL: never. */
    bool (*pack_cheap)(const struct brume_node *n, const struct brume_caps *c);
    void (*cpu_pack)(const struct brume_cpu_call *c, void *packed);   /* only in[pack_input] is valid */
    void (*cl_pack)(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l);
    void (*cpu)(const struct brume_cpu_call *c);
    void (*cl)(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l);
};

/* An elementwise function: y = expr(a, b, c, d; p0..p3). The expression is C and OpenCL C at once (functions of cl/math.h). */
struct brume_ew {
    int n_in, n_param;
    const char *expr;
    int row;                     /* index of its vectorised loop in struct brume_simd */
};

enum brume_op_flags {
    BRUME_OP_ALIAS = 1,          /* output 0 is input 0 under another shape: no kernel, no memory (reshape) */
    BRUME_OP_PACK = 2,           /* inputs may be written in place inside output 0 at attrs' offsets (see struct
                                    brume_pack_attrs) */
    BRUME_OP_TERMS = 8,          /* every result is a sum of products of inputs: the op of their magnitudes is the sum of
                                    |terms| */
    BRUME_OP_INPLACE0 = 4        /* output 0 may lie on input 0 if that dies here; elementwise ops are always so */
};

struct brume_op {
    const char *name;
    enum brume_tolerance_row tolerance; /* how far results may be off; exact unless given */
    int n_in_min, n_in_max;      /* trailing optional inputs count in n_in_max; absent ones are BRUME_NONE */
    uint32_t optional;           /* bit i: input i may be BRUME_NONE */
    int n_out;                   /* 0 for an update */
    uint32_t flags;
    uint32_t updates;            /* bit i: the node writes input i, which must be persistent, a slab or a param */
    /* Checks inputs and sets dtype and shape of every out_v. Errors through brume_node_fail(). */
    brume_status (*shape)(struct brume_node *n);
    /* Appends the backward nodes: dy[k] is the gradient of output k (BRUME_NONE: none arrives); sets dx[i] where need[i]. */
    void (*grad)(brume_graph *g, const struct brume_node *n, const brume_tensor *dy, brume_tensor *dx, const bool *need);
    const struct brume_variant *kernels; /* best first, ended by a row with name NULL; NULL for elementwise and alias ops */
    const struct brume_ew *ew;
    void (*ew_params)(const struct brume_node *n, float p[BRUME_EW_MAX_PARAM]);
    double (*flops)(const struct brume_node *n); /* NULL: one per output element */
    /* What of the attributes may decide which kernel is fastest, as text ("" for nothing): a part of the keys of tuned choices
     * (raw attributes have padding). NULL: an op with attributes is not tuned. */
    void (*key)(const struct brume_node *n, char *text, size_t size);
};

struct brume_pack_attrs { const int64_t *offsets; int64_t size; }; /* attrs of the pack op; offsets in elements */

/**
 * Appends a node. in: n_in tensors; attrs: attr_bytes bytes, copied. Returns output 0 (output k is that + k), BRUME_NONE on error
 * or for an op without outputs. A BRUME_NONE input that is not optional is an error unless the graph already holds one.
 */
brume_tensor brume_node_add(brume_graph *g, const struct brume_op *op, int n_in, const brume_tensor *in, const void *attrs,
                            size_t attr_bytes);

/** true after brume_graph_recompute(). */
bool brume_graph_recomputes(const brume_graph *g);

/** Sets the graph's sticky error: "op 'name': text (input shapes)". Returns s. For use inside op->shape. */
brume_status brume_node_fail(const struct brume_node *n, brume_status s, const char *fmt, ...) BRUME_PRINTF(3, 4);

/** The value behind a handle; NULL for BRUME_NONE. */
const struct brume_value *brume_value_of(const brume_graph *g, brume_tensor t);
int brume_graph_node_count(const brume_graph *g);
const struct brume_node *brume_graph_node(const brume_graph *g, int i);
int brume_graph_value_count(const brume_graph *g);

/** "2x32x32x4" into buf; returns buf. */
const char *brume_shape_text(brume_shape s, char buf[96]);

/** Shape helpers for shape rules: type and rank checks with a message. what names the input ("weight"). ndim -1: any. */
brume_status brume_want(const struct brume_node *n, int input, const char *what, brume_dtype dtype, int ndim);

#endif
