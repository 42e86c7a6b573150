/* SPDX-License-Identifier: MIT
 * Inner loops between f32 and f16 (IEEE 754 binary16): storage only, nothing computes in f16. */
#ifndef BRUME_SIMD_HALF_H
#define BRUME_SIMD_HALF_H

#include <stdint.h>

struct brume_simd_half {
    void (*narrow)(int64_t n, const float *x, uint16_t *y); /* to nearest, ties to even; beyond 65504 infinity */
    void (*widen)(int64_t n, const uint16_t *x, float *y);  /* exact */
};

#endif
