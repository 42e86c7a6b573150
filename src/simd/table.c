/* SPDX-License-Identifier: MIT
 * The inner loops of one instruction set as one table. Compiled once per instruction set; one line for each part. */
#include "simd/isa.h"
#include "simd/simd.h"

#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)

extern brume_ew_row *const ISA(brume_ew_rows)[];
extern const struct brume_simd_gemm ISA(brume_simd_gemm);
extern const struct brume_simd_conv ISA(brume_simd_conv);
extern const struct brume_simd_half ISA(brume_simd_half);
extern const struct brume_simd_misc ISA(brume_simd_misc);
extern const struct brume_simd_noise ISA(brume_simd_noise);
extern const struct brume_simd_vec ISA(brume_simd_vec);
extern const struct brume_simd_norm ISA(brume_simd_norm);
extern const struct brume_simd_attention ISA(brume_simd_attention);

extern void ISA(brume_simd_multiply_adds)(int64_t steps);

extern const struct brume_simd ISA(brume_simd);
const struct brume_simd ISA(brume_simd) = {
    .isa = TEXT(BRUME_ISA),
    .vector_width = VW,
    .ew = ISA(brume_ew_rows),
    .vec = &ISA(brume_simd_vec),
    .gemm = &ISA(brume_simd_gemm),
    .conv = &ISA(brume_simd_conv),
    .misc = &ISA(brume_simd_misc),
    .half = &ISA(brume_simd_half),
    .noise = &ISA(brume_simd_noise),
    .norm = &ISA(brume_simd_norm),
    .attention = &ISA(brume_simd_attention),
    .multiply_adds = ISA(brume_simd_multiply_adds),
};
