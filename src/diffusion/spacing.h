/* SPDX-License-Identifier: MIT
 * The i-th time of trailing spacing, shared by the grids of whole times and of sigmas. */
#ifndef BRUME_DIFFUSION_SPACING_H
#define BRUME_DIFFUSION_SPACING_H

#include <stdint.h>

/* round(last - i T / n) - 1, halves to even, i = 0 .. n-1; last <= T is where the times begin. */
double brume_trailing_time(int64_t T, int64_t last, int32_t n, int64_t i);

#endif
