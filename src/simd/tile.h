/* SPDX-License-Identifier: MIT
 * Register tiles of the matrix products: MR rows x NR columns of accumulators, for files compiled once per instruction set.
 *
 * Accumulators are named one by one through macros: with arrays, gcc 12 keeps them in memory and the loop runs at a third of
 * its speed. MR x 2 accumulators, 2 vectors of B and one broadcast of A fill the registers (16; 32 with AVX-512 and on
 * AArch64). */
#ifndef BRUME_SIMD_TILE_H
#define BRUME_SIMD_TILE_H

#include <stdbool.h>
#include <stddef.h>

#include "simd/isa.h"

#if VW == 16
#define MR 12
#elif VW == 8
#define MR 6
#elif defined(__aarch64__)
#define MR 12
#else
#define MR 4
#endif
#define NR (2 * VW)
#define KC 256 /* depth of one pass: a panel of KC x NR stays in the L1 cache */

#define TILE_ROWS_1(F) F(0)
#define TILE_ROWS_2(F) TILE_ROWS_1(F) F(1)
#define TILE_ROWS_3(F) TILE_ROWS_2(F) F(2)
#define TILE_ROWS_4(F) TILE_ROWS_3(F) F(3)
#define TILE_ROWS_5(F) TILE_ROWS_4(F) F(4)
#define TILE_ROWS_6(F) TILE_ROWS_5(F) F(5)
#define TILE_ROWS_7(F) TILE_ROWS_6(F) F(6)
#define TILE_ROWS_8(F) TILE_ROWS_7(F) F(7)
#define TILE_ROWS_9(F) TILE_ROWS_8(F) F(8)
#define TILE_ROWS_10(F) TILE_ROWS_9(F) F(9)
#define TILE_ROWS_11(F) TILE_ROWS_10(F) F(10)
#define TILE_ROWS_12(F) TILE_ROWS_11(F) F(11)

#define TILE_ZERO(r) vf c##r##_0 = { 0 }, c##r##_1 = { 0 };
#define TILE_POINTER(r) const float *const p##r = a[r] + a_off;
#define TILE_FMA_POINTER(r) { const vf s = vset(p##r[k]); c##r##_0 += s * b0; c##r##_1 += s * b1; }
#define TILE_FMA_PACKED(r) { const vf s = vset(p[r]); c##r##_0 += s * b0; c##r##_1 += s * b1; }
#define TILE_KEEP(r) out[2 * r] = c##r##_0; out[2 * r + 1] = c##r##_1;
#define TILE_ZERO_HALF(r) vf c##r##_0 = { 0 };
#define TILE_FMA_POINTER_HALF(r) c##r##_0 += vset(p##r[k]) * b0;
#define TILE_FMA_PACKED_HALF(r) c##r##_0 += vset(p[r]) * b0;
#define TILE_KEEP_HALF(r) out[2 * r] = c##r##_0;

/* Rows of A by pointer. a[t * MR + r] is row r at tap t (a convolution's kernel position; a plain product has one tap),
 * tap[t] the tap's number in b, which holds tap_step floats per tap. out[2 r + v] = vector v of row r. */
typedef void tile_pointer_fn(const float *const *a, const int32_t *tap, int taps, int64_t a_off, int64_t depth, const float *b,
                             int64_t tap_step, vf *out);
/* A packed in rows of MR floats per k: row k of A begins at a + ka[k], row k of B at b + kb[k]. */
typedef void tile_packed_fn(const float *a, const float *b, const int32_t *ka, const int32_t *kb, int64_t depth, vf *out);

#define TILE_KERNELS(n)                                                                                                       \
    static void tile_pointer_##n(const float *const *a, const int32_t *tap, int taps, int64_t a_off, int64_t depth,            \
                                 const float *b, int64_t tap_step, vf *out)                                                    \
    {                                                                                                                          \
        TILE_ROWS_##n(TILE_ZERO)                                                                                               \
        for (int t = 0; t < taps; t++, a += MR) {                                                                              \
            const float *bt = b + tap[t] * tap_step;                                                                           \
            TILE_ROWS_##n(TILE_POINTER)                                                                                        \
            for (int64_t k = 0; k < depth; k++, bt += NR) {                                                                    \
                const vf b0 = vload(bt), b1 = vload(bt + VW);                                                                  \
                TILE_ROWS_##n(TILE_FMA_POINTER)                                                                                \
            }                                                                                                                  \
        }                                                                                                                      \
        TILE_ROWS_##n(TILE_KEEP)                                                                                               \
    }                                                                                                                          \
    static void tile_pointer_half_##n(const float *const *a, const int32_t *tap, int taps, int64_t a_off, int64_t depth,       \
                                      const float *b, int64_t tap_step, vf *out)                                               \
    {                                                                                                                          \
        TILE_ROWS_##n(TILE_ZERO_HALF)                                                                                          \
        for (int t = 0; t < taps; t++, a += MR) {                                                                              \
            const float *bt = b + tap[t] * tap_step;                                                                           \
            TILE_ROWS_##n(TILE_POINTER)                                                                                        \
            for (int64_t k = 0; k < depth; k++, bt += NR) {                                                                    \
                const vf b0 = vload(bt);                                                                                       \
                TILE_ROWS_##n(TILE_FMA_POINTER_HALF)                                                                           \
            }                                                                                                                  \
        }                                                                                                                      \
        TILE_ROWS_##n(TILE_KEEP_HALF)                                                                                          \
    }                                                                                                                          \
    static void tile_packed_##n(const float *a, const float *b, const int32_t *ka, const int32_t *kb, int64_t depth, vf *out)  \
    {                                                                                                                          \
        TILE_ROWS_##n(TILE_ZERO)                                                                                               \
        for (int64_t k = 0; k < depth; k++) {                                                                                  \
            const float *const p = a + ka[k], *const q = b + kb[k];                                                            \
            const vf b0 = vload(q), b1 = vload(q + VW);                                                                        \
            TILE_ROWS_##n(TILE_FMA_PACKED)                                                                                     \
        }                                                                                                                      \
        TILE_ROWS_##n(TILE_KEEP)                                                                                               \
    }                                                                                                                          \
    static void tile_packed_half_##n(const float *a, const float *b, const int32_t *ka, const int32_t *kb, int64_t depth,      \
                                     vf *out)                                                                                  \
    {                                                                                                                          \
        TILE_ROWS_##n(TILE_ZERO_HALF)                                                                                          \
        for (int64_t k = 0; k < depth; k++) {                                                                                  \
            const float *const p = a + ka[k];                                                                                  \
            const vf b0 = vload(b + kb[k]);                                                                                    \
            TILE_ROWS_##n(TILE_FMA_PACKED_HALF)                                                                                \
        }                                                                                                                      \
        TILE_ROWS_##n(TILE_KEEP_HALF)                                                                                          \
    }

#define TILE_EACH_4(F) F(1) F(2) F(3) F(4)
#define TILE_EACH_6(F) TILE_EACH_4(F) F(5) F(6)
#define TILE_EACH_12(F) TILE_EACH_6(F) F(7) F(8) F(9) F(10) F(11) F(12)
#define TILE_EACH_CAT(n) TILE_EACH_##n
#define TILE_EACH_OF(n) TILE_EACH_CAT(n)
#define TILE_EACH(F) TILE_EACH_OF(MR)(F)

TILE_EACH(TILE_KERNELS)

/* By rows - 1, so that a tail of rows costs what it holds. */
#define TILE_NAME_POINTER(n) { tile_pointer_##n, tile_pointer_half_##n },
#define TILE_NAME_PACKED(n) { tile_packed_##n, tile_packed_half_##n },
static tile_pointer_fn *const tile_pointer[MR][2] = { TILE_EACH(TILE_NAME_POINTER) };
static tile_packed_fn *const tile_packed[MR][2] = { TILE_EACH(TILE_NAME_PACKED) };

/* Where a tile goes: y[row[r] + j] = alpha * tile + bias[bias_row[r] + j] + residual[row[r] + j], or added to y. */
struct tile_out {
    float *y;
    const float *bias, *residual; /* NULL: none */
    float alpha;
    bool add;
};

static inline void tile_store(const struct tile_out *o, int rows, int columns, const int64_t *row, const int64_t *bias_row,
                              const vf *t)
{
    if (columns == NR) {
        for (int r = 0; r < rows; r++) {
            float *const y = o->y + row[r];
            vf v0 = t[2 * r] * o->alpha, v1 = t[2 * r + 1] * o->alpha;
            if (o->bias) {
                const float *const s = o->bias + bias_row[r];
                v0 += vload(s), v1 += vload(s + VW);
            }
            if (o->residual) {
                const float *const s = o->residual + row[r];
                v0 += vload(s), v1 += vload(s + VW);
            }
            if (o->add) v0 += vload(y), v1 += vload(y + VW);
            vstore(y, v0);
            vstore(y + VW, v1);
        }
        return;
    }
    for (int r = 0; r < rows; r++) {
        const float *const s = (const float *)(t + 2 * r);
        float *const y = o->y + row[r];
        for (int j = 0; j < columns; j++) {
            float v = s[j] * o->alpha;
            if (o->bias) v += o->bias[bias_row[r] + j];
            if (o->residual) v += o->residual[row[r] + j];
            y[j] = o->add ? y[j] + v : v;
        }
    }
}

#endif
