/* SPDX-License-Identifier: MIT
 * Copies of rows, and padding: concat, slice, pad. Lengths of rows count vectors of VW floats. A work-item moves RUN neighbouring vectors
 * of a row: 1 where neighbouring work-items should touch neighbouring memory (GPUs), more where divisions cost (CPUs). */

/* y[y_first + r y_stride + c] = x[x_first + r x_stride + c]; a row is cols vectors in runs runs. Strides count floats. */
__kernel void copy_rows(TENSOR(x), TENSOR(y), const long rows, const long cols, const long runs, const long x_first, const long x_stride,
                        const long y_first, const long y_stride)
{
    CBIND(x);
    BIND(y);
    const size_t i = get_global_id(0);
    if (i >= (size_t)(rows * runs)) return;
    const size_t r = i / (size_t)runs;
    const long begin = (long)(i - r * (size_t)runs) * RUN, end = min(begin + RUN, cols);
    const __global float *from = x + x_first + r * (size_t)x_stride;
    __global float *to = y + y_first + r * (size_t)y_stride;
    for (long c = begin; c < end; c++) VSTORE(VLOAD(from + c * VW), to + c * VW);
}

/*
 * y = x with zeros around: y has rows rows of out_cols vectors in runs runs, counted by 4 axes of o0 (not needed), o1, o2, o3 entries;
 * x has i0 .. i3 rows of in_cols. b0 .. b3 and b_cols zeros stand before.
 */
__kernel void pad(TENSOR(x), TENSOR(y), const long rows, const long out_cols, const long runs, const long in_cols, const long b_cols,
                  const long o1, const long o2, const long o3, const long i0, const long i1, const long i2, const long i3, const long b0,
                  const long b1, const long b2, const long b3)
{
    CBIND(x);
    BIND(y);
    const size_t i = get_global_id(0);
    if (i >= (size_t)(rows * runs)) return;
    const long row = (long)(i / (size_t)runs), begin = ((long)i - row * runs) * RUN, end = min(begin + RUN, out_cols);
    const long r3 = row % o3 - b3, q3 = row / o3;
    const long r2 = q3 % o2 - b2, q2 = q3 / o2;
    const long r1 = q2 % o1 - b1, r0 = q2 / o1 - b0;
    const int inside = r3 >= 0 && r3 < i3 && r2 >= 0 && r2 < i2 && r1 >= 0 && r1 < i1 && r0 >= 0 && r0 < i0;
    const long from = (((r0 * i1 + r1) * i2 + r2) * i3 + r3) * in_cols;
    __global float *to = y + row * out_cols * VW;
    for (long c = begin; c < end; c++) {
        const long at = c - b_cols;
        VEC v = 0.0f;
        if (inside && at >= 0 && at < in_cols) v = VLOAD(x + (from + at) * VW);
        VSTORE(v, to + c * VW);
    }
}
