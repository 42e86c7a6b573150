/* SPDX-License-Identifier: MIT
 * Picks the inner loops for this processor. BRUME_ISA in the environment overrides the automatic choice. */
#include "simd/simd.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
extern const struct brume_simd brume_simd_avx512, brume_simd_avx2;
#elif defined(__aarch64__)
extern const struct brume_simd brume_simd_neon;
#endif
extern const struct brume_simd brume_simd_generic;

#if defined(__x86_64__)
/* clang 15 does not know "f16c" in __builtin_cpu_supports(). Only asked where "avx2" holds, so the system saves the registers. */
static int has_f16c(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}
#endif

const struct brume_simd *brume_simd_nth(int i)
{
    const struct brume_simd *found[3];
    int n = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    const int fma = __builtin_cpu_supports("fma");
    if (fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw"))
        found[n++] = &brume_simd_avx512;
    if (fma && __builtin_cpu_supports("avx2") && has_f16c()) found[n++] = &brume_simd_avx2;
#elif defined(__aarch64__)
    found[n++] = &brume_simd_neon;
#endif
    found[n++] = &brume_simd_generic;
    return i >= 0 && i < n ? found[i] : NULL;
}

const struct brume_simd *brume_simd_choose(const char *isa)
{
    if (!isa || !strcmp(isa, "auto")) isa = getenv("BRUME_ISA");
    if (!isa || !*isa || !strcmp(isa, "auto")) return brume_simd_nth(0);
    for (int i = 0; brume_simd_nth(i); i++)
        if (!strcmp(brume_simd_nth(i)->isa, isa)) return brume_simd_nth(i);
    return NULL;
}
