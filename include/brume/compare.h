/* SPDX-License-Identifier: MIT
 * Comparing two devices: a device that stands for both. Whatever runs on it (a training step, a sampler, any plan) runs on the
 * two side by side, each with the kernels, the fusion and the memory that it has alone, and the results of every node are
 * judged. */
#ifndef BRUME_COMPARE_H
#define BRUME_COMPARE_H

#include <stdint.h>

#include "brume/api.h"
#include "brume/device.h"

BRUME_API_BEGIN

/** What the second side of a comparison goes on with after each node. */
typedef enum brume_compare_mode {
    BRUME_COMPARE_RESYNC = 0, /**< after each node the second device goes on with the first one's values: every node is judged
                                   alone */
    BRUME_COMPARE_DRIFT       /**< each goes on with its own: roundings add up, as they do in earnest */
} brume_compare_mode;

/** How two devices are compared; { 0 } is right for most. */
typedef struct brume_compare_options {
    brume_compare_mode mode;  /**< what the second side goes on with */
    const char *variant[2];   /**< NULL, or the kernel variant that a side takes wherever it fits: see
                                   brume_plan_options.variant */
    int no_fusion[2];         /**< 1: that side runs one kernel per elementwise node */
} brume_compare_options;

/**
 * Opens a device for both. Values that a program reads from it are those of a (the reference), what it writes goes to both. a and
 * b belong to the caller and must outlive it; they may be the same device twice. Close it with brume_device_close(), after its
 * plans and buffers. Resync: a value passes if |b - a| <= 2 (rel scale), each side being allowed rel scale from the truth, by the
 * row of the table of tolerances that the op names (src/graph/tolerance.def); scale is max(|a|, root mean square of the tensor)
 * or, where that is not enough because large terms cancel, the sum of the |terms|, measured on a. Drift: see brume_compare_node.
 */
brume_status brume_compare_open(brume_device *a, brume_device *b, const brume_compare_options *options, brume_device **out);

/** What runs from now on, for the records: "training step 2". printf-like. */
void brume_compare_phase(brume_device *d, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/** What one step of a plan (a kernel, or a fused chain of elementwise nodes) gave, over all its runs. */
typedef struct brume_compare_node {
    char phase[64];           /**< when it ran first; of one that fails: when it failed first */
    char op[160];             /**< "conv2d"; of a chain its functions: "add+silu" */
    char culprit[64];         /**< of a chain that fails: the function that does ("" if only the chain as a whole) */
    char name[128], shapes[256]; /**< of the node, and inputs -> outputs */
    char kernel[2][48];       /**< variants; "single" or "chain" */
    const char *tolerance, *reason; /**< the row of the table, and why */
    double rel;               /**< allowed of a scale, on each side */
    int64_t runs, values;     /**< how often it ran; how many values were compared */
    double relative;          /**< worst |b - a| / max(|a|, rms); drift: worst rms(b - a) / rms(a) of a tensor */
    double ulp;               /**< worst |b - a| in units of the last place of max(|a|, rms) */
    double share;             /**< worst |b - a| / allowed: beyond 1 it fails; infinity: a NaN or infinity on one side alone */
    int cancels;              /**< 1: passed only by the sum of its |terms| */
    int64_t not_finite;       /**< values that are the same NaN or infinity on both sides: these agree, but tell nothing */
    int failed;               /**< 1: beyond its tolerance in one run or more */
    int result;               /**< number of the result (of an update: of the tensor updated) that index, a, b and allowed speak
                                   of, */
    int64_t index;            /**< the worst value in it, as a flat index, */
    char place[96];           /**< and along its axes: "[0, 3, 7, 12] of 2x8x8x32" */
    double a, b, allowed;     /**< the worst value on each side, and how far they may differ */
    int64_t beyond;           /**< how many of that result's values are beyond */
} brume_compare_node;

/** Number of nodes judged so far, and the i-th in the order in which they ran first; owned by the device. NULL outside the
 * range. */
int brume_compare_count(const brume_device *d);
const brume_compare_node *brume_compare_get(const brume_device *d, int i);
/** The node that failed first, or NULL. */
const brume_compare_node *brume_compare_first(const brume_device *d);

/** Counts over all nodes judged so far. */
typedef struct brume_compare_summary {
    int64_t nodes, runs, values; /**< judged */
    int64_t failed;              /**< nodes */
    int64_t apart;               /**< nodes that one side alone runs: not comparable */
    char apart_text[160];        /**< the first of them, and whose */
    int64_t not_finite;          /**< values that are the same NaN or infinity on both sides */
} brume_compare_summary;
void brume_compare_get_summary(const brume_device *d, brume_compare_summary *s);

/** Nodes of one kind: an op, or "elementwise" for all chains and single elementwise nodes. */
typedef struct brume_compare_kind {
    char op[64]; /**< its name */
    const char *tolerance, *reason; /**< the row of the table, and why */
    double rel;                  /**< allowed of a scale, on each side */
    int64_t nodes, runs, failed, values; /**< how many there are, ran and failed; values compared */
    double relative, ulp, share; /**< worst of each */
} brume_compare_kind;
/** One entry per kind, by name; *out is freed by the caller with free(). */
brume_status brume_compare_kinds(const brume_device *d, brume_compare_kind **out, int *n);

/** Writes one self-contained HTML file: the error along the network, the worst nodes, a table by kind. title: any text. */
brume_status brume_compare_write_page(const brume_device *d, const char *title, const char *path);

BRUME_API_END

#endif
