/* SPDX-License-Identifier: MIT
 * Copies of rows, padding and filling: concat, slice, pad, pack, assign. VEC floats per work-item; cols counts vectors. */

/* y[y_first + r y_stride + c] = x[x_first + r x_stride + c] */
__kernel void copy_rows(TENSOR(x), TENSOR(y), const long rows, const long cols, const long x_first, const long x_stride, const long y_first,
                        const long y_stride)
{
    CBIND(x);
    BIND(y);
    const size_t i = get_global_id(0);
    if (i >= (size_t)(rows * cols)) return;
    const size_t r = i / (size_t)cols, c = (i - r * (size_t)cols) * VEC;
    VECSTORE(VECLOAD(x + x_first + r * (size_t)x_stride + c), y + y_first + r * (size_t)y_stride + c);
}

/*
 * y = x with zeros around: y has rows rows of out_cols, counted by 4 axes of o0 (not needed), o1, o2, o3 entries; x has i0 .. i3 rows
 * of in_cols. b0 .. b3 and b_cols zeros stand before.
 */
__kernel void pad(TENSOR(x), TENSOR(y), const long rows, const long out_cols, const long in_cols, const long b_cols, const long o1, const long o2,
                  const long o3, const long i0, const long i1, const long i2, const long i3, const long b0, const long b1, const long b2,
                  const long b3)
{
    CBIND(x);
    BIND(y);
    const size_t i = get_global_id(0);
    if (i >= (size_t)(rows * out_cols)) return;
    const long row = (long)(i / (size_t)out_cols), c = (long)i - row * out_cols - b_cols;
    const long r3 = row % o3 - b3, q3 = row / o3;
    const long r2 = q3 % o2 - b2, q2 = q3 / o2;
    const long r1 = q2 % o1 - b1, r0 = q2 / o1 - b0;
    const int inside = c >= 0 && c < in_cols && r3 >= 0 && r3 < i3 && r2 >= 0 && r2 < i2 && r1 >= 0 && r1 < i1 && r0 >= 0 && r0 < i0;
    VECF v = 0.0f;
    if (inside) v = VECLOAD(x + ((((r0 * i1 + r1) * i2 + r2) * i3 + r3) * in_cols + c) * VEC);
    VECSTORE(v, y + i * VEC);
}
