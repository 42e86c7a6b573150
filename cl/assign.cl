/* SPDX-License-Identifier: MIT
 * Copies words; as integers, so that no bit pattern changes. */

__kernel void assign_32(TENSOR_I32(dst), TENSOR_I32(x), const long n)
{
    CBIND_I32(x);
    __global int *dst = dst_base + dst_off;
    const size_t i = get_global_id(0);
    if (i < (size_t)n) dst[i] = x[i];
}

__kernel void assign_64(TENSOR_I64(dst), TENSOR_I64(x), const long n)
{
    CBIND_I64(x);
    __global long *dst = dst_base + dst_off;
    const size_t i = get_global_id(0);
    if (i < (size_t)n) dst[i] = x[i];
}
