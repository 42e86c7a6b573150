/* SPDX-License-Identifier: MIT
 * Copies of rows, the work of every op that only moves f32 data. Offsets and strides in elements. */
#ifndef BRUME_OPS_COPY_H
#define BRUME_OPS_COPY_H

#include "graph/cl_launch.h"
#include "graph/op.h"

/** y[r y_stride + c] = x[r x_stride + c] for rows r, columns c. */
void brume_cpu_copy_rows(struct brume_pool *pool, int64_t rows, int64_t cols, const float *x, int64_t x_stride, float *y,
                         int64_t y_stride);
/** The same on OpenCL, from input `in` at element x_off to output 0 at element y_off. */
void brume_cl_copy_rows(struct brume_cl_list *l, const struct brume_caps *c, int in, int64_t rows, int64_t cols, int64_t x_off,
                        int64_t x_stride, int64_t y_off, int64_t y_stride);

#endif
