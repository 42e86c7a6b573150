/* SPDX-License-Identifier: MIT
 * Plans of a device that stands for two others: the same graph planned for each of them, as each would run it alone. */
#ifndef BRUME_PLAN_TWIN_H
#define BRUME_PLAN_TWIN_H

#include "plan/plan.h"

/* What a backend that runs two others side by side gives beside memory (brume_backend.twins). */
struct brume_twin_ops {
    /* The device of a side (0 or 1), and what its plans are made with; *o holds the options asked for. */
    brume_device *(*side)(struct brume_device *d, int side, brume_plan_options *o);
    /* The part of a buffer that lies on a side; and a buffer of two parts that stay their owners'. */
    brume_buffer *(*part)(brume_buffer *b, int side);
    brume_status (*join)(struct brume_device *d, brume_buffer *const part[2], brume_buffer **out);
    /* Told of every plan that is made, before it is seen by others, and of its end. */
    brume_status (*made)(struct brume_plan *p);
    void (*freed)(struct brume_plan *p);
    /* Runs both: the steps from .. to - 1 of side 0, and those of side 1 that belong to the same nodes. */
    brume_status (*run)(struct brume_plan *p, int from, int to);
};

/* Ordinary plans are their own side 0: what is asked of a plan of twins is answered by it. */
static inline const struct brume_plan *brume_plan_first(const struct brume_plan *p) { return p->twin[0] ? p->twin[0] : p; }

brume_status brume_twins_new(brume_device *d, const brume_graph *g, const brume_plan_options *options, brume_plan **out);
void brume_twins_free(brume_plan *p);
brume_status brume_twins_write(brume_plan *p, brume_tensor t, const void *src, size_t bytes);
brume_status brume_twins_bind(brume_plan *p, brume_tensor t, brume_buffer *buffer);
brume_buffer *brume_twins_buffer(brume_plan *p, brume_tensor t);
void brume_twins_touch(brume_plan *p);
brume_status brume_twins_check_guards(brume_plan *p);

#endif
