/* SPDX-License-Identifier: MIT
 * Cutting launches that would take too long. */
#ifndef BRUME_OPENCL_SPLIT_H
#define BRUME_OPENCL_SPLIT_H

#include "brume/plan.h"
#include "graph/cl_launch.h"
#include "plan/backend.h"

struct brume_cl_device;

/** The most that a launch may take: brume_device_options.nice_ms or launch_ms, else $BRUME_LAUNCH_MS, else what suits the device;
 * INFINITY: any time. */
double brume_cl_bound_ms(const brume_device_options *o, const brume_device_info *info);
/** Work-items of a piece along each dimension (0: all), multiples of the work-group; of a product by CLBlast rows or parts of the
 * batch, in piece[0]. */
struct brume_cl_cut { size_t piece[3]; };

struct brume_cl_pendings;
/** Cuts launches that would take too long, and notes the milliseconds of their pieces; measures the device where that matters.
 * Pieces may need other programs. */
brume_status brume_cl_cut_all(struct brume_cl_device *d, struct brume_cl_pendings *p);
/** What that does to a plan's steps: brume_plan_get_bound(). */
brume_status brume_cl_bound(struct brume_device *d, const struct brume_step *steps, int n, brume_plan_bound *b);

#endif
