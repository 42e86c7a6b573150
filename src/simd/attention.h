/* SPDX-License-Identifier: MIT
 * Inner loops of scaled dot-product attention: one head, a block of query rows against blocks of keys (Dao et al. 2022).
 *
 * The right-hand operands of the products are packed in panels of nr columns, zero-padded: `rows` panels hold x (s, d) as
 * [ceil(d / nr)][s][nr], `cols` panels hold its transpose as [ceil(s / nr)][d][nr]. */
#ifndef BRUME_SIMD_ATTENTION_H
#define BRUME_SIMD_ATTENTION_H

#include <stdbool.h>
#include <stdint.h>

#define BRUME_ATTENTION_ROWS 64    /* most query rows in a block */
#define BRUME_ATTENTION_KEYS 128   /* keys in a block, a multiple of every nr */
#define BRUME_ATTENTION_MAX_NR 32  /* for the size of packed panels */

struct brume_attention_head {
    int64_t sq, sk, d;
    bool causal;
    float scale;
    const float *q, *k, *v, *dout;        /* rows, ld apart */
    float *o, *dq, *dk, *dv;
    int64_t ld;                           /* of all of them: heads * d */
    float *lse;                           /* (sq): log of the softmax's denominator, forward writes it */
    const float *delta;                   /* (sq): sum over d of dout * o */
    const float *k_cols, *v_cols;         /* panels */
    const float *q_rows, *k_rows, *v_rows, *dout_rows;
};

struct brume_simd_attention {
    int nr;
    void (*pack_rows)(int64_t s, int64_t d, const float *x, int64_t ld, float *panels);
    void (*pack_cols)(int64_t s, int64_t d, const float *x, int64_t ld, float *panels);
    /* o and lse of query rows i0 .. i0 + n - 1; needs k_cols, v_rows */
    void (*forward)(const struct brume_attention_head *h, int64_t i0, int64_t n);
    /* Gradients from query rows i0 .. and keys j0 ..: dq += (do_dq) and dk, dv += (do_dkv). first_q, first_k: the sum starts
     * here. Needs k_cols, v_cols, k_rows for dq, q_rows and dout_rows for dk, dv. */
    void (*backward)(const struct brume_attention_head *h, int64_t i0, int64_t n, int64_t j0, int64_t nk, bool do_dq,
                     bool do_dkv, bool first_dq,
                     bool first_dkv);
    /* delta[i] = sum over d of a * b */
    void (*dots)(int64_t s, int64_t d, const float *a, const float *b, int64_t ld, float *delta);
};

#endif
