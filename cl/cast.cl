/* SPDX-License-Identifier: MIT
 * f32 to f16 and back, VW elements (4, 8 or 16) per item, the last item element by element. Loads and stores of half are part of
 * OpenCL 1.0; only arithmetic in half would need cl_khr_fp16. */
#define VLOAD_HALF(p) CAT(vload_half, VW)(0, p)
#define VSTORE_HALF(v, p) CAT(CAT(vstore_half, VW), _rte)(v, 0, p)

__kernel void narrow(TENSOR(x), TENSOR_F16(y), const long n)
{
    CBIND(x);
    __global half *y = y_base + y_off;
    size_t i = get_global_id(0) * VW;
    if ((long)i + VW <= n) VSTORE_HALF(VLOAD(x + i), y + i);
    else for (; (long)i < n; i++) vstore_half_rte(x[i], i, y);
}

__kernel void widen(TENSOR_F16(x), TENSOR(y), const long n)
{
    const __global half *x = x_base + x_off;
    BIND(y);
    size_t i = get_global_id(0) * VW;
    if ((long)i + VW <= n) VSTORE(VLOAD_HALF(x + i), y + i);
    else for (; (long)i < n; i++) y[i] = vload_half(i, x);
}
