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
/* For launches that are cut into pieces (src/opencl/split.c): groups are numbered through all of them. */
#ifdef SPLIT
#define get_group_id(d) (get_global_id(d) / get_local_size(d))
#endif
#define CAT2(a, b) a##b
#define CAT(a, b) CAT2(a, b)
/* Kernels built with -DVW=1, 2, 4, 8 or 16: VEC is VW floats; VLOAD and VSTORE take any float's address in global memory, PLOAD and PSTORE
 * a private array's. Not vloadn for global memory: PoCL takes it apart into floats and does not always put them together again. */
#ifdef VW
#if VW == 1
#define VEC float
#define VLOAD(p) (*(p))
#define VSTORE(v, p) (*(p) = (v))
#define PLOAD(p) (*(p))
#define PSTORE(v, p) (*(p) = (v))
#else
#define VEC CAT(float, VW)
struct __attribute__((packed, aligned(4))) vec_anywhere { VEC at; };
#define VLOAD(p) (((const __global struct vec_anywhere *)(p))->at)
#define VSTORE(v, p) (((__global struct vec_anywhere *)(p))->at = (v))
#define PLOAD(p) CAT(vload, VW)(0, p)
#define PSTORE(v, p) CAT(vstore, VW)(v, 0, p)
#endif
#endif
