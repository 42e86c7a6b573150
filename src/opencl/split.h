/* SPDX-License-Identifier: MIT
 * Cutting launches that would take too long. */
#ifndef BRUME_OPENCL_SPLIT_H
#define BRUME_OPENCL_SPLIT_H

#include "graph/cl_launch.h"
#include "plan/backend.h"

struct brume_cl_device;

/** The most that a launch may take: brume_device_options.nice_ms or launch_ms, else $BRUME_LAUNCH_MS, else what suits the device; INFINITY: any time. */
double brume_cl_bound_ms(const brume_device_options *o, const brume_device_info *info);
/** Milliseconds that a step takes by a poor kernel; 0 on devices without a bound. Measures the device where that matters. */
brume_status brume_cl_step_ms(struct brume_cl_device *d, const struct brume_step *s, double *ms);
/** Work-items of a piece along each dimension (0: all), multiples of the work-group; of a product by CLBlast rows or parts of the batch, in piece[0]. */
struct brume_cl_cut { size_t piece[3]; };
/** Cuts a launch of `text`'s kernel that would take ms; may add a define. Returns the number of pieces, 1 where it stays whole. */
int brume_cl_cut(const struct brume_cl_device *d, struct brume_cl_launch *k, const char *text, double ms, struct brume_cl_cut *c);

#endif
