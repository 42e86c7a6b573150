/* SPDX-License-Identifier: MIT
 * Many launches of a plan as one, for processors. */
#ifndef BRUME_OPENCL_MERGE_H
#define BRUME_OPENCL_MERGE_H

#include "opencl/internal.h"
#include "opencl/pending.h"

/**
 * To start a kernel costs a processor's driver 5 to 50 us: it wakes threads that went to sleep behind the last one. A merged
 * kernel runs a list of launches, its parts: work-groups, one for each compute unit, take pieces of the current part in turn, and
 * begin the next one when all pieces are done. A part's result has the same order of sums as the launch that it replaces.
 *
 * No group waits for one that has not begun: whatever groups run take all pieces, and wait only for pieces that others are at,
 * which end by themselves. Groups must see each other's results within a launch, which OpenCL promises for no device but
 * processors show: so this is for devices that are the host's own threads, and only where a large kernel compiles in time (see
 * wanted() in merge.c). BRUME_OPENCL_MERGE=0 turns it off.
 */
struct brume_cl_merge {
    cl_kernel kernel;
    cl_mem table, counters;
    int parts;
    int n_slots;
    int32_t *slot;       /* the plan's slots that parts use */
    cl_uint first_arg;   /* of slot[0]'s buffer; the others follow */
    size_t groups;
};

/** Merges launches of p, whose `part` it sets. *out NULL: none are merged. Where a driver cannot compile the text, all stay as
 * they are. */
brume_status brume_cl_merge_new(struct brume_cl_device *d, struct brume_cl_pendings *p, struct brume_cl_merge **out);
void brume_cl_merge_free(const struct brume_cl_device *d, struct brume_cl_merge *m);
/** Enqueues parts first .. last - 1; what: the first one's node, for messages; event: NULL, or receives the launch's. */
brume_status brume_cl_merge_run(struct brume_cl_device *d, const struct brume_cl_merge *m, int first, int last, const char *what,
                                cl_event *event);

#endif
