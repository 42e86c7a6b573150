/* SPDX-License-Identifier: MIT
 * Multiply-adds in registers: their rate is what inner loops can reach at most. */
#include "simd/isa.h"
#include "simd/simd.h"

static volatile float sink; /* keeps the compiler from leaving the work out */

extern void ISA(brume_simd_multiply_adds)(int64_t steps);
void ISA(brume_simd_multiply_adds)(int64_t steps)
{
    const vf m = vset(0.999f), q = vset(0.001f);
    vf a = q, b = a + q, c = b + q, d = c + q, e = d + q, f = e + q, g = f + q, h = g + q, i = h + q, j = i + q;
    vf k = j + q, l = k + q; /* all different, so that none is computed for two */
    for (int64_t step = 0; step < steps; step++) {
        a = a * m + q, b = b * m + q, c = c * m + q, d = d * m + q, e = e * m + q, f = f * m + q;
        g = g * m + q, h = h * m + q, i = i * m + q, j = j * m + q, k = k * m + q, l = l * m + q;
    }
    a = a + b + c + d + e + f + g + h + i + j + k + l;
    sink = a[0];
}
