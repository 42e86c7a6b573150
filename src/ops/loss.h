/* SPDX-License-Identifier: MIT
 * What the losses share: the mean of partial sums on OpenCL. */
#ifndef BRUME_OPS_LOSS_H
#define BRUME_OPS_LOSS_H

#include "graph/cl_launch.h"

/** Workspace for brume_cl_mean(): n f32 parts, then room for the sums of each round. */
size_t brume_cl_sum_bytes(int64_t n);
/** Output 0 = sum of the n parts at the workspace's start / count, in rounds of 64 to one. vw: the VW of loss.cl. */
void brume_cl_mean(struct brume_cl_list *l, int64_t n, float count, int vw);

#endif
