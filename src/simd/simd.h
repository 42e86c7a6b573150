/* SPDX-License-Identifier: MIT
 * Inner loops of the cpu backend. Every file of this folder is compiled once per instruction set (ISA(name) gives each copy its
 * own names) and chosen at run time; ops call them through struct brume_simd. */
#ifndef BRUME_SIMD_SIMD_H
#define BRUME_SIMD_SIMD_H

#include <stdint.h>

struct brume_simd_gemm;
struct brume_simd_conv;
struct brume_simd_half;
struct brume_simd_misc;
struct brume_simd_noise;
struct brume_simd_norm;
struct brume_simd_attention;
struct brume_simd_vec;

/* One elementwise loop: out[i] = f(in[0][i], in[1][i], ...), i < n. out may equal an input. */
typedef void brume_ew_row(int64_t n, const float *const *in, float *out, const float *p);

#define BRUME_SIMD_CHAINS 12 /* independent multiply-adds keep two units of latency 4 or 5 busy */

struct brume_simd {
    const char *isa;                           /* "generic", "avx2", "avx512", "neon" */
    int vector_width;                          /* floats */
    brume_ew_row *const *ew;                   /* by brume_ew.row, order of ops/ew.def */
    const struct brume_simd_vec *vec;          /* sums, dots, axpy: simd/vec.h */
    const struct brume_simd_gemm *gemm;        /* simd/gemm.h */
    const struct brume_simd_conv *conv;        /* simd/conv.h */
    const struct brume_simd_norm *norm;        /* simd/norm.h */
    const struct brume_simd_attention *attention; /* simd/attention.h */
    const struct brume_simd_misc *misc;        /* optimizer updates, losses, resampling: simd/misc.h */
    void (*multiply_adds)(int64_t steps);      /* steps x BRUME_SIMD_CHAINS vectors, nothing else: the processor's peak */
    const struct brume_simd_half *half;        /* f32 to f16 and back: simd/half.h */
    const struct brume_simd_noise *noise;      /* random numbers, the same bits in every ISA: simd/misc.h */
};

/** The inner loops for isa: NULL or "auto" = the best that this processor runs; else by name. NULL if this build or processor
 * lacks it. */
const struct brume_simd *brume_simd_choose(const char *isa);
/** The i-th ISA that this processor runs, best first; NULL past the end. Tests run all. */
const struct brume_simd *brume_simd_nth(int i);

#endif
