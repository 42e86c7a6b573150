/* SPDX-License-Identifier: MIT
 * Head of every OpenCL program. Tensors come as base pointer + element offset (all share one arena buffer, so no restrict). */
#define TENSOR(x) __global float *x##_base, const ulong x##_off
#define TENSOR_I32(x) __global int *x##_base, const ulong x##_off
#define TENSOR_I64(x) __global long *x##_base, const ulong x##_off
#define TENSOR_F16(x) __global half *x##_base, const ulong x##_off
#define ABSENT(x) (x##_off == ~(ulong)0)
#define BIND(x) __global float *x = x##_base + x##_off
#define CBIND(x) const __global float *x = x##_base + x##_off
#define CBIND_I32(x) const __global int *x = x##_base + x##_off
#define CBIND_I64(x) const __global long *x = x##_base + x##_off
/* An absent optional tensor binds to its dummy buffer and must not be read: test ABSENT(x). */
#define BIND_OPT(x) __global float *x = x##_base + (ABSENT(x) ? 0 : x##_off)
#define CBIND_OPT(x) const __global float *x = x##_base + (ABSENT(x) ? 0 : x##_off)
/* Vectors of VEC floats at any float's address, for kernels built with -DVEC=1, 4, 8 or 16. */
#ifdef VEC
#if VEC == 1
#define VECF float
#define VECLOAD(p) (*(p))
#define VECSTORE(v, p) (*(p) = (v))
#else
#define VEC_CAT2(a, b) a##b
#define VEC_CAT(a, b) VEC_CAT2(a, b)
#define VECF VEC_CAT(float, VEC)
#define VECLOAD(p) VEC_CAT(vload, VEC)(0, p)
#define VECSTORE(v, p) VEC_CAT(vstore, VEC)(v, 0, p)
#endif
#endif
