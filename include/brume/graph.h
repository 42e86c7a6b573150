/* SPDX-License-Identifier: MIT
 * Graphs: pure descriptions of tensor computations. No backend in sight.
 *
 * A builder function appends one node and returns its (first) output. The first error sticks: later calls do nothing and return
 * BRUME_NONE, so a model is written without checks and asked once with brume_graph_status().
 *
 * Shapes are written outermost first, as memory is. Images are channels-last: (N, H, W, C). */
#ifndef BRUME_GRAPH_H
#define BRUME_GRAPH_H

#include <stdint.h>

#include "brume/api.h"
#include "brume/status.h"

BRUME_API_BEGIN

/** Most dimensions of a tensor. */
#define BRUME_MAX_DIMS 5

/** A computation under construction: nodes, shapes, names and the first error. */
typedef struct brume_graph brume_graph;
typedef int32_t brume_tensor; /* index of a tensor in its graph */
/** No tensor: an optional input left out, or what a builder returns after an error. */
#define BRUME_NONE ((brume_tensor)-1)

/** F16 (IEEE 754 binary16) is for storage: only brume_cast() reads and makes it. */
typedef enum brume_dtype { BRUME_F32 = 0, BRUME_I32, BRUME_I64, BRUME_F16 } brume_dtype;

/** Shape of a tensor, outermost dimension first. */
typedef struct brume_shape {
    int32_t ndim;              /* 0 (a scalar) to BRUME_MAX_DIMS */
    int64_t d[BRUME_MAX_DIMS]; /* each >= 1 */
} brume_shape;

/** BRUME_SHAPE(2, 8, 8, 3) is a brume_shape of four dimensions; BRUME_SCALAR one of none. */
#define BRUME_SHAPE(...)                                                                     \
    ((brume_shape){ (int32_t)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), { __VA_ARGS__ } })
/** The shape of a single value. */
#define BRUME_SCALAR ((brume_shape){ 0, { 0 } })

/** Number of elements (1 for a scalar). */
int64_t brume_shape_numel(brume_shape s);
/** 1 if both have the same dimensions, else 0. */
int brume_shape_equal(brume_shape a, brume_shape b);
/** Bytes of one element. */
int64_t brume_dtype_bytes(brume_dtype t);

/** A new empty graph, or NULL without memory. */
brume_graph *brume_graph_new(void);
/** Frees the graph with its nodes and names; NULL is fine. Plans made from it must be freed before. */
void brume_graph_free(brume_graph *g);
/** The first error met while building, or BRUME_OK. */
brume_status brume_graph_status(const brume_graph *g);
/**
 * Sets the first error from outside an operator (a model builder that meets an argument it cannot use); does nothing if g holds
 * one. printf-like. Returns BRUME_NONE.
 */
brume_tensor brume_graph_fail(brume_graph *g, brume_status s, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
/** Its text ("" if none): op, node, expected, got. */
const char *brume_graph_error(const brume_graph *g);

/** A tensor that the caller sets before a run with brume_plan_write() or brume_plan_bind(). name must be unique among inputs. */
brume_tensor brume_input(brume_graph *g, const char *name, brume_dtype dtype, brume_shape shape);
/** A tensor that keeps its value from run to run (optimizer state, counters). Zero at the start. */
brume_tensor brume_persistent(brume_graph *g, const char *name, brume_dtype dtype, brume_shape shape);
/** Marks a tensor as a result: it may be read after a run. */
void brume_output(brume_graph *g, brume_tensor t, const char *name);

/**
 * An empty persistent f32 vector that grows with every brume_param(): all parameters of a model lie in one slab without gaps, so
 * optimizer, EMA, gradient norm and checkpoints handle one vector. Its size is final at its first use as a node's input.
 */
brume_tensor brume_slab(brume_graph *g, const char *name);

/** How a parameter's layout in files maps to the one inside. */
typedef enum brume_layout {
    BRUME_LAYOUT_SAME = 0,  /* vectors, embeddings */
    BRUME_LAYOUT_LINEAR,    /* file (out, in),         inside (in, out) */
    BRUME_LAYOUT_CONV       /* file (out, in, kh, kw), inside (kh, kw, in, out) */
} brume_layout;

/** Value of a fresh parameter, as diffusers (PyTorch) initialises it. */
typedef enum brume_init {
    BRUME_INIT_ZERO = 0,
    BRUME_INIT_ONE,
    BRUME_INIT_UNIFORM_FAN_IN, /* U(-b, b), b = scale / sqrt(fan_in) */
    BRUME_INIT_NORMAL          /* N(0, scale^2) */
} brume_init;

/** A parameter of a slab. */
typedef struct brume_param_info {
    const char *name;          /* name in the file, e.g. "down_blocks.0.resnets.0.conv1.weight" */
    brume_shape shape;         /* inside */
    brume_layout layout;       /**< in files */
    brume_init init;           /**< of fresh values */
    int64_t fan_in;            /**< of BRUME_INIT_UNIFORM_FAN_IN */
    float init_scale;          /**< of uniform and normal values */
    int trainable;             /* 0: saved and loaded but never updated (Fourier table) */
    int64_t offset;            /* first element within the slab */
    brume_tensor tensor;       /**< its handle in the graph */
} brume_param_info;

/**
 * A named part of a slab. info: name, shape, layout, init, fan_in, init_scale, trainable are read; offset and tensor are set by
 * the call (see brume_param_at). Asking again for a name that the slab holds is an error.
 */
brume_tensor brume_param(brume_graph *g, brume_tensor slab, const brume_param_info *info);
/** Number of parameters in a slab. */
int brume_param_count(const brume_graph *g, brume_tensor slab);
/** The i-th parameter of a slab, in order of creation; NULL outside the range. Owned by the graph. */
const brume_param_info *brume_param_at(const brume_graph *g, brume_tensor slab, int i);

/** Shape of a tensor; for BRUME_NONE a scalar. */
brume_shape brume_tensor_shape(const brume_graph *g, brume_tensor t);
brume_dtype brume_tensor_dtype(const brume_graph *g, brume_tensor t);
/** Name of an input, persistent tensor, parameter or output; else the name of the node that makes it. */
const char *brume_tensor_name(const brume_graph *g, brume_tensor t);

/** Names of nodes made between push and pop begin with the scope: "down_blocks.0/" ... printf-like. */
void brume_scope_push(brume_graph *g, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
void brume_scope_pop(brume_graph *g);

/**
 * Nodes made between begin and end are a segment: a part of a network, one block say, whose inner values are cheap to compute
 * again from what goes in. A segment within a segment is part of the outer one. Segments mean nothing unless
 * brume_graph_recompute() is on.
 */
void brume_segment_begin(brume_graph *g);
void brume_segment_end(brume_graph *g);
/**
 * on: gradients made from now on keep of each segment only what other nodes read, too, and compute the rest again when its
 * backward pass begins (Chen et al. 2016, "Training deep nets with sublinear memory cost"): the same kernels on the same values,
 * dropout included.
 */
void brume_graph_recompute(brume_graph *g, int on);

/**
 * Appends the nodes that compute d y / d wrt[i] (times dy, an upstream gradient of y's shape; BRUME_NONE means 1 and asks for a
 * scalar y), and stores them in dwrt[i]; a tensor that y does not depend on gets BRUME_NONE.
 * wrt may hold inputs, parameters and node outputs of f32. Errors stick to the graph.
 */
void brume_grad(brume_graph *g, brume_tensor y, brume_tensor dy, int n, const brume_tensor *wrt, brume_tensor *dwrt);

/**
 * The gradient of y by every trainable parameter of a slab as one vector laid out like the slab (zeros for the rest).
 * Kernels write their parts in place: no copy.
 */
brume_tensor brume_grad_slab(brume_graph *g, brume_tensor y, brume_tensor slab);

/**
 * The same, times the scalar tensor dy (BRUME_NONE: 1), added to a persistent vector `name` that it makes and returns; where the
 * scalar tensor keep is 0, the vector starts anew. Every part is added as soon as it is complete, so that no second vector is
 * needed.
 */
brume_tensor brume_grad_slab_sum(brume_graph *g, brume_tensor y, brume_tensor dy, brume_tensor slab, const char *name,
                                 brume_tensor keep);

/** What tensors wait in while other nodes run: 4 bytes a value, or 2. */
typedef enum brume_storage { BRUME_STORAGE_F32 = 0, BRUME_STORAGE_F16 } brume_storage;
/**
 * Storage in f16, arithmetic in f32. Rewrites a finished graph, gradients and updates included; handles stay valid.
 * - A tensor of 4096 elements or more that waits while 32 nodes and more run (an activation kept for the backward pass, a skip
 *   connection) is cast to f16 for that time. What is summed up as gradients of parameters, or updates something, stays f32.
 * - weights, a slab or BRUME_NONE: becomes a slab of f16 (to be written as such), whose parameters are cast just before they are
 *   read. Nothing may update it.
 * Gradients in f16 need a scaled loss: see brume_grad_slab_sum().
 */
void brume_store_half(brume_graph *g, brume_tensor weights);

BRUME_API_END

#endif
