/* SPDX-License-Identifier: MIT
 * Chains of elementwise functions on the cpu. */
#ifndef BRUME_CPU_FUSED_H
#define BRUME_CPU_FUSED_H

#include <stddef.h>

#include "plan/backend.h"
#include "simd/simd.h"

/** Floats of scratch that one thread needs for a chain. */
size_t brume_cpu_fused_scratch(const struct brume_fused *f);
/** Computes out = chain(in). scratch: brume_cpu_fused_scratch() floats for every thread, `stride` floats apart. */
void brume_cpu_fused_run(const struct brume_fused *f, const struct brume_simd *simd, struct brume_pool *pool,
                         const float *const *in, float *out, float *scratch, size_t stride);

#endif
