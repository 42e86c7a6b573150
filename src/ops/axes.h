/* SPDX-License-Identifier: MIT
 * Small helpers around axes and OpenCL vector widths, shared by the ops that move and reduce data. */
#ifndef BRUME_OPS_AXES_H
#define BRUME_OPS_AXES_H

#include "graph/op.h"

/* Axis counted from 0, or -1 if it is outside -ndim .. ndim - 1. */
static inline int brume_axis(brume_shape s, int axis)
{
    const int a = axis < 0 ? axis + s.ndim : axis;
    return a >= 0 && a < s.ndim ? a : -1;
}

/* Product of dimensions first .. last - 1. */
static inline int64_t brume_extent(brume_shape s, int first, int last)
{
    int64_t n = 1;
    for (int i = first; i < last; i++) n *= s.d[i];
    return n;
}

/* Vector width for OpenCL kernels whose rows have lengths and strides with the common divisor `all`. */
static inline int brume_cl_vec(const struct brume_caps *c, int64_t all)
{
    const int most = c->cpu_type ? c->vector_width : 4;
    return most >= 16 && all % 16 == 0 ? 16 : most >= 8 && all % 8 == 0 ? 8 : most >= 4 && all % 4 == 0 ? 4 : 1;
}

/* Neighbouring vectors that one work-item of cl/copy.cl moves. */
static inline int brume_cl_run(const struct brume_caps *c) { return c->cpu_type ? 16 : 1; }

static inline int64_t brume_gcd(int64_t a, int64_t b)
{
    while (b) {
        const int64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

#endif
