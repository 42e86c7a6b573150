/* SPDX-License-Identifier: MIT
 * Loops of the elementwise functions: ops/ew.def expanded, one vectorised loop per row. */
#include "cl/math.h"
#include "simd/isa.h"
#include "simd/simd.h"

/* out may be one of the inputs, but never a shifted one: no iteration depends on another. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed" /* sanitizers keep it from obeying */
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

#define A(k) (n_in > k ? in[n_in > k ? k : 0] : NULL)
#define EW(name, n_inputs, n_params, expr)                                                                               \
    static void row_##name(int64_t n, const float *const *in, float *out, const float *p)                               \
    {                                                                                                                    \
        enum { n_in = n_inputs, n_param = n_params };                                                                    \
        const float *const pa = A(0), *const pb = A(1), *const pc = A(2), *const pd = A(3);                              \
        const float p0 = n_param > 0 ? p[0] : 0, p1 = n_param > 1 ? p[1] : 0, p2 = n_param > 2 ? p[2] : 0,              \
                    p3 = n_param > 3 ? p[3] : 0;                                                                         \
        INDEPENDENT                                                                                                      \
        for (int64_t i = 0; i < n; i++) {                                                                                \
            const float a = n_in > 0 ? pa[i] : 0, b = n_in > 1 ? pb[i] : 0, c = n_in > 2 ? pc[i] : 0, d = n_in > 3 ? pd[i] : 0; \
            out[i] = expr;                                                                                               \
            (void)a, (void)b, (void)c, (void)d;                                                                          \
        }                                                                                                                \
        (void)p0, (void)p1, (void)p2, (void)p3;                                                                          \
    }
#define EW1(name, n_param, f, df) EW(name, 1, n_param, f) EW(name##_grad, 2, n_param, b *(df))
#define EW1X(name, n_param, f, df) EW(name, 1, n_param, f) EW(name##_grad, 2, n_param, df)
#include "ops/ew.def"
#undef EW

extern brume_ew_row *const ISA(brume_ew_rows)[];
#define EW(name, n_inputs, n_params, expr) row_##name,
brume_ew_row *const ISA(brume_ew_rows)[] = {
#include "ops/ew.def"
};
