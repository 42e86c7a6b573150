/* SPDX-License-Identifier: MIT
 * Sums over some axes of a tensor, on the cpu and on OpenCL: the work of sum, mean, sum_to and l2_norm. Order of summation: by
 * shape only. */
#ifndef BRUME_OPS_REDUCTION_H
#define BRUME_OPS_REDUCTION_H

#include "graph/cl_launch.h"
#include "graph/op.h"

/* Kept and summed axes alternate: the tensor is (k[0], r[0], k[1], r[1], k[2], r[2]), the result (k[0], k[1], k[2]) = scale sum
 * over r. */
struct brume_reduction {
    int64_t k[3], r[3];
    float scale;
    bool square; /* squares are added, and the result is scale times the root of the sum */
};

/** The reduction of a shape over the axes whose bit is set. */
struct brume_reduction brume_reduction_of(brume_shape s, uint32_t axes);

/** Kernels of an op whose attributes begin with a struct brume_reduction: from input 0 to output 0. */
extern const struct brume_variant brume_reduction_kernels[];

/* The parts of them: reduction.c and reduction_cl.c. */
size_t brume_reduction_cl_work(const struct brume_reduction *d, const struct brume_caps *c);
void brume_reduction_cl(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l);

#endif
