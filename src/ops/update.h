/* SPDX-License-Identifier: MIT
 * What the optimizer updates share: checks of their inputs, and the size of an OpenCL launch. */
#ifndef BRUME_OPS_UPDATE_H
#define BRUME_OPS_UPDATE_H

#include "graph/cl_launch.h"
#include "graph/op.h"

/** Inputs 0 .. count - 1 must be f32 of one shape. */
brume_status brume_update_want(const struct brume_node *n, int count, const char *const *names);
/** The vector of BRUME_HYPER_COUNT numbers. */
brume_status brume_hyper_want(const struct brume_node *n, int input);
/** A scalar of f32, or absent. */
brume_status brume_scale_want(const struct brume_node *n, int input);
/** A launch of a kernel of update.cl over all elements of input 0; arguments are the caller's. */
struct brume_cl_launch *brume_update_launch(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l,
                                            const char *kernel);

#endif
