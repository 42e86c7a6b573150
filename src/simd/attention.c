/* SPDX-License-Identifier: MIT
 * Inner loops of scaled dot-product attention: small register-tiled products with the softmax between them. */
#include "simd/attention.h"

#include <math.h>

#include "simd/tile.h"
#include "simd/vexp.h"

const struct brume_simd_attention ISA(brume_simd_attention);

#define KEYS BRUME_ATTENTION_KEYS
#define ROWS BRUME_ATTENTION_ROWS

static void pack_rows(int64_t s, int64_t d, const float *x, int64_t ld, float *panels)
{
    for (int64_t c = 0; c < d; c += NR)
        for (int64_t i = 0; i < s; i++, panels += NR) {
            const float *p = x + i * ld + c;
            if (d - c >= NR) {
                vstore(panels, vload(p));
                vstore(panels + VW, vload(p + VW));
            } else {
                for (int64_t e = 0; e < NR; e++) panels[e] = c + e < d ? p[e] : 0;
            }
        }
}

static void pack_cols(int64_t s, int64_t d, const float *x, int64_t ld, float *panels)
{
    for (int64_t j = 0; j < s; j += NR, panels += d * NR) {
        int64_t c = 0;
        if (s - j >= NR)
            for (; c + 4 <= d; c += 4) /* four columns at a time: every line of x is fetched once */
                for (int64_t e = 0; e < NR; e++) {
                    const float *p = x + (j + e) * ld + c;
                    float *o = panels + c * NR + e;
                    o[0] = p[0];
                    o[NR] = p[1];
                    o[2 * NR] = p[2];
                    o[3 * NR] = p[3];
                }
        for (; c < d; c++)
            for (int64_t e = 0; e < NR; e++) panels[c * NR + e] = j + e < s ? x[(j + e) * ld + c] : 0;
    }
}

/* How a product meets what C holds. */
enum mode { STORE, ADD, RESCALE };

struct product {
    int64_t m, n, k;
    const float *a;           /* A[i][p] = a[i rs + p cs] */
    int64_t rs, cs;           /* cs is 1; or rs is 1 and k at most ROWS */
    const float *b;           /* panels of nr columns */
    int64_t panel;            /* floats from panel to panel */
    float *c;
    int64_t ldc;
    enum mode mode;           /* C = alpha AB | C += AB | C = (C f[i] + AB) g[i], C as 0 if first */
    float alpha;
    const float *f, *g;
    bool first;
};

static void tile(const struct product *r, int mr, int64_t i0, const float *b, int64_t c0)
{
    static const int32_t tap[1] = { 0 };
    vf out[2 * MR];
    const bool half = r->n - c0 <= VW;
    const float *a = r->a + i0 * r->rs;
    if (r->cs == 1) {
        const float *rows[MR];
        for (int i = 0; i < MR; i++) rows[i] = a + (i < mr ? i : 0) * r->rs;
        tile_pointer[mr - 1][half](rows, tap, 1, 0, r->k, b, 0, out);
    } else {
        int32_t ka[ROWS], kb[ROWS];
        for (int k = 0; k < r->k; k++) {
            ka[k] = (int32_t)r->cs * k;
            kb[k] = NR * k;
        }
        tile_packed[mr - 1][half](a, b, ka, kb, r->k, out);
    }
    for (int i = 0; i < mr; i++)
        for (int v = 0; v < 2 - half; v++) {
            float *c = r->c + (i0 + i) * r->ldc + c0 + v * VW;
            const int64_t left = r->n - c0 - v * VW;
            vf x = out[2 * i + v];
            if (r->mode == STORE) {
                x *= r->alpha;
            } else {
                const vf old = left >= VW ? vload(c) : vload_part(c, left, 0);
                if (r->mode == ADD) x += old;
                else x = (r->first ? x : old * r->f[i0 + i] + x) * r->g[i0 + i];
            }
            if (left >= VW) vstore(c, x);
            else vstore_part(c, x, left);
        }
}

/* A panel of B stays in the first-level cache while all rows of A pass; rows are split evenly, not into full tiles and a thin
 * rest. */
static void product(const struct product *r)
{
    const float *b = r->b;
    for (int64_t c0 = 0; c0 < r->n; c0 += NR, b += r->panel) {
        int64_t left = r->m, count = (r->m + MR - 1) / MR;
        for (int64_t i = 0; count > 0; count--) {
            const int64_t mr = (left + count - 1) / count;
            tile(r, (int)mr, i, b, c0);
            i += mr;
            left -= mr;
        }
    }
}

/* Keys j0 .. j0 + nk - 1 that query i may see. */
static inline int64_t seen(const struct brume_attention_head *h, int64_t i, int64_t j0, int64_t nk)
{
    if (!h->causal || i - j0 + 1 >= nk) return nk;
    return i < j0 ? 0 : i - j0 + 1;
}

static float row_max(int64_t n, const float *x)
{
    vf top = vset(-__builtin_inff());
    int64_t j = 0;
    for (; j + VW <= n; j += VW) top = vmax(vload(x + j), top);
    if (j < n) top = vmax(vload_part(x + j, n - j, -__builtin_inff()), top);
    float m = top[0];
    for (int i = 1; i < VW; i++) m = top[i] > m ? top[i] : m;
    return m;
}

/* x = e^(x - m) for the first n of w values, 0 for the others; returns their sum. */
static float row_exp(int64_t n, int64_t w, float m, float *x)
{
    vf sum = { 0 };
    int64_t j = 0;
    for (; j + VW <= n; j += VW) {
        const vf e = vexp(vload(x + j) - m);
        vstore(x + j, e);
        sum += e;
    }
    if (j < n) {
        const vf e = vexp(vload_part(x + j, n - j, -__builtin_inff()) - m);
        vstore_part(x + j, e, n - j);
        sum += e;
    }
    for (j = n; j < w; j++) x[j] = 0;
    return vhsum(sum);
}

static void forward(const struct brume_attention_head *h, int64_t i0, int64_t n)
{
    float s[ROWS * KEYS] __attribute__((aligned(64)));
    float top[ROWS], sum[ROWS], f[ROWS], g[ROWS];
    const int64_t sk = h->causal && i0 + n < h->sk ? i0 + n : h->sk;
    for (int64_t i = 0; i < n; i++) {
        top[i] = -__builtin_inff();
        sum[i] = 0;
    }
    for (int64_t j0 = 0; j0 < sk; j0 += KEYS) {
        const int64_t nk = sk - j0 < KEYS ? sk - j0 : KEYS;
        const bool last = j0 + nk == sk;
        product(&(struct product){ .m = n,
                                   .n = nk,
                                   .k = h->d,
                                   .a = h->q + i0 * h->ld,
                                   .rs = h->ld,
                                   .cs = 1,
                                   .b = h->k_cols + j0 * h->d,
                                   .panel = h->d * NR,
                                   .c = s,
                                   .ldc = KEYS,
                                   .mode = STORE,
                                   .alpha = h->scale });
        for (int64_t i = 0; i < n; i++) {
            float *x = s + i * KEYS;
            const int64_t valid = seen(h, i0 + i, j0, nk);
            const float m = row_max(valid, x), new_top = m > top[i] ? m : top[i];
            const float part = row_exp(valid, nk, new_top, x);
            f[i] = j0 ? expf(top[i] - new_top) : 0;
            sum[i] = sum[i] * f[i] + part;
            top[i] = new_top;
            g[i] = last ? 1.0f / sum[i] : 1.0f;
        }
        product(&(struct product){ .m = n,
                                   .n = h->d,
                                   .k = nk,
                                   .a = s,
                                   .rs = KEYS,
                                   .cs = 1,
                                   .b = h->v_rows + j0 * NR,
                                   .panel = h->sk * NR,
                                   .c = h->o + i0 * h->ld,
                                   .ldc = h->ld,
                                   .mode = RESCALE,
                                   .f = f,
                                   .g = g,
                                   .first = j0 == 0 });
    }
    for (int64_t i = 0; i < n; i++) h->lse[i0 + i] = top[i] + logf(sum[i]);
}

static void backward(const struct brume_attention_head *h, int64_t i0, int64_t n, int64_t j0, int64_t nk, bool do_dq, bool do_dkv,
                     bool first_dq, bool first_dkv)
{
    float p[ROWS * KEYS] __attribute__((aligned(64)));
    float ds[ROWS * KEYS] __attribute__((aligned(64)));
    product(&(struct product){ .m = n,
                               .n = nk,
                               .k = h->d,
                               .a = h->q + i0 * h->ld,
                               .rs = h->ld,
                               .cs = 1,
                               .b = h->k_cols + j0 * h->d,
                               .panel = h->d * NR,
                               .c = p,
                               .ldc = KEYS,
                               .mode = STORE,
                               .alpha = h->scale });
    product(&(struct product){ .m = n,
                               .n = nk,
                               .k = h->d,
                               .a = h->dout + i0 * h->ld,
                               .rs = h->ld,
                               .cs = 1,
                               .b = h->v_cols + j0 * h->d,
                               .panel = h->d * NR,
                               .c = ds,
                               .ldc = KEYS,
                               .mode = STORE,
                               .alpha = 1.0f });
    for (int64_t i = 0; i < n; i++) {
        float *pi = p + i * KEYS, *di = ds + i * KEYS;
        const int64_t valid = seen(h, i0 + i, j0, nk);
        const float delta = h->delta[i0 + i];
        row_exp(valid, nk, h->lse[i0 + i], pi);
        int64_t j = 0;
        for (; j + VW <= valid; j += VW) vstore(di + j, vload(pi + j) * (vload(di + j) - delta) * h->scale);
        for (; j < valid; j++) di[j] = pi[j] * (di[j] - delta) * h->scale;
        for (; j < nk; j++) di[j] = 0;
    }
    if (do_dq)
        product(&(struct product){ .m = n,
                                   .n = h->d,
                                   .k = nk,
                                   .a = ds,
                                   .rs = KEYS,
                                   .cs = 1,
                                   .b = h->k_rows + j0 * NR,
                                   .panel = h->sk * NR,
                                   .c = h->dq + i0 * h->ld,
                                   .ldc = h->ld,
                                   .mode = first_dq ? STORE : ADD,
                                   .alpha = 1.0f });
    if (do_dkv) {
        product(&(struct product){ .m = nk,
                                   .n = h->d,
                                   .k = n,
                                   .a = p,
                                   .rs = 1,
                                   .cs = KEYS,
                                   .b = h->dout_rows + i0 * NR,
                                   .panel = h->sq * NR,
                                   .c = h->dv + j0 * h->ld,
                                   .ldc = h->ld,
                                   .mode = first_dkv ? STORE : ADD,
                                   .alpha = 1.0f });
        product(&(struct product){ .m = nk,
                                   .n = h->d,
                                   .k = n,
                                   .a = ds,
                                   .rs = 1,
                                   .cs = KEYS,
                                   .b = h->q_rows + i0 * NR,
                                   .panel = h->sq * NR,
                                   .c = h->dk + j0 * h->ld,
                                   .ldc = h->ld,
                                   .mode = first_dkv ? STORE : ADD,
                                   .alpha = 1.0f });
    }
}

static void dots(int64_t s, int64_t d, const float *a, const float *b, int64_t ld, float *delta)
{
    for (int64_t i = 0; i < s; i++, a += ld, b += ld) {
        vf sum = { 0 };
        int64_t c = 0;
        for (; c + VW <= d; c += VW) sum += vload(a + c) * vload(b + c);
        float t = vhsum(sum);
        for (; c < d; c++) t += a[c] * b[c];
        delta[i] = t;
    }
}

const struct brume_simd_attention ISA(brume_simd_attention) = {
    .nr = NR,
    .pack_rows = pack_rows,
    .pack_cols = pack_cols,
    .forward = forward,
    .backward = backward,
    .dots = dots,
};
