/* SPDX-License-Identifier: MIT
 * For files compiled once per instruction set: name mangling and the vector type. BRUME_ISA is avx2, avx512, neon or generic. */
#ifndef BRUME_SIMD_ISA_H
#define BRUME_SIMD_ISA_H

#include <stdint.h>
#include <string.h>

#ifndef BRUME_ISA
#error "compile with -DBRUME_ISA=name"
#endif
#define BRUME_CAT2(a, b) a##_##b
#define BRUME_CAT(a, b) BRUME_CAT2(a, b)
#define ISA(name) BRUME_CAT(name, BRUME_ISA)

#if defined(__AVX512F__)
#define VW 16
#elif defined(__AVX__)
#define VW 8
#else
#define VW 4
#endif

typedef float vf __attribute__((vector_size(4 * VW)));
typedef int32_t vi __attribute__((vector_size(4 * VW)));

/* For short loops over arrays that shall live in registers: gcc 12 leaves them in memory where it does not unroll by itself. */
#define UNROLL(n) UNROLL_PRAGMA(GCC unroll n)
#define UNROLL_PRAGMA(text) _Pragma(#text)

/* Unaligned load and store; every compiler turns the memcpy into one instruction. */
static inline vf vload(const float *p) { vf v; memcpy(&v, p, sizeof v); return v; }
static inline void vstore(float *p, vf v) { memcpy(p, &v, sizeof v); }
static inline vf vset(float x) { return x - (vf){ 0 }; }

#endif
