/* SPDX-License-Identifier: MIT
 * Attention for devices of CPU type: a work-item takes ROWS rows of one head and runs over blocks of KEYS columns, which stay in
 * private memory; products are made in register tiles of MR rows by NR = NV x VW columns (see gemm_tile.cl). No local memory.
 *
 * Operands on the right of a product are panels of NR columns: `cols` panels hold the transpose of x (s, D) as [ceil(s / NR)][D][NR],
 * packed by sdpa_pack_cols. `rows` operands hold x itself: where NR divides D they are read in place, else from panels
 * [ceil(D / NR)][s][NR] made by sdpa_pack_rows; step is the distance of their rows, panel that of their panels.
 * Tensors are (B, s, heads D), ld = heads D; grid of the kernels: (row blocks, heads, B). */
#define NR (NV * VW)
#define ROWS (4 * MR)
#define KEYS 128

static float lanes_max(VEC v)
{
    float t[VW], m;
    PSTORE(v, t);
    m = t[0];
    for (int i = 1; i < VW; i++) m = fmax(m, t[i]);
    return m;
}
static float lanes_sum(VEC v)
{
    float t[VW];
    PSTORE(v, t);
    for (int w = VW / 2; w > 0; w /= 2)
        for (int i = 0; i < w; i++) t[i] += t[i + w];
    return t[0];
}

/* acc[r][v] = sum over k < depth of A(r, k) times vector v of row k of b. */
#define TILE(A, depth, b, step)                                                                              \
    VEC acc[MR][NV];                                                                                         \
    _Pragma("unroll") for (int r = 0; r < MR; r++)                                                           \
        _Pragma("unroll") for (int v = 0; v < NV; v++) acc[r][v] = (VEC)(0.0f);                              \
    {                                                                                                        \
        const __global float *pb = b;                                                                        \
        for (int k = 0; k < depth; k++, pb += step) {                                                        \
            VEC bv[NV];                                                                                      \
            _Pragma("unroll") for (int v = 0; v < NV; v++) bv[v] = VLOAD(pb + v * VW);                       \
            _Pragma("unroll") for (int r = 0; r < MR; r++) {                                                 \
                const float a_ = A(r, k);                                                                    \
                _Pragma("unroll") for (int v = 0; v < NV; v++) acc[r][v] = a_ * bv[v] + acc[r][v];           \
            }                                                                                                \
        }                                                                                                    \
    }

/* s[r][j] = factor times the dot product of row i0 + r of x (rows n, ld apart) and column j0 + j of the panels; n rows, w columns. */
static void scores(const __global float *x, long ld, int i0, int n, const __global float *cols, int D, int w, float factor, float *s)
{
    for (int c = 0; c < w; c += NR, cols += (size_t)D * NR)
        for (int t = 0; t < n; t += MR) {
            const __global float *a[MR];
            for (int r = 0; r < MR; r++) a[r] = x + (size_t)(i0 + min(t + r, n - 1)) * ld;
#define FROM_ROWS(r, k) a[r][k]
            TILE(FROM_ROWS, D, cols, NR)
            for (int r = 0; r < MR; r++)
                for (int v = 0; v < NV; v++) PSTORE(acc[r][v] * factor, s + (t + r) * KEYS + c + v * VW);
        }
}

/* y[r][c] = (first ? 0 : y[r][c] f[r]) + sum over j < w of s[r][j] x[j][c], all times g[r]; f and g may be null for 1. */
static void weighted(const float *s, int n, int w, const __global float *x, long step, long panel, int D, const float *f, const float *g,
                     int first, __global float *y, long ld)
{
    for (int c = 0; c < D; c += NR, x += panel)
        for (int t = 0; t < n; t += MR) {
            const float *a = s + t * KEYS;
#define FROM_SCORES(r, k) a[r * KEYS + k]
            TILE(FROM_SCORES, w, x, step)
            for (int r = 0; r < MR && t + r < n; r++) {
                __global float *to = y + (size_t)(t + r) * ld + c;
                const float fr = f ? f[t + r] : 1.0f, gr = g ? g[t + r] : 1.0f;
                if (c + NR <= D) {
                    for (int v = 0; v < NV; v++) {
                        VEC z = acc[r][v];
                        if (!first) z += VLOAD(to + v * VW) * fr;
                        VSTORE(z * gr, to + v * VW);
                    }
                } else {
                    float z[NR];
                    for (int v = 0; v < NV; v++) PSTORE(acc[r][v], z + v * VW);
                    for (int e = 0; c + e < D; e++) to[e] = (z[e] + (first ? 0.0f : to[e] * fr)) * gr;
                }
            }
        }
}

/* out [head of the batch][panel][D][NR]. Grid (D, panels, B heads). */
__kernel void sdpa_pack_cols(TENSOR(x), TENSOR(out), const int s, const int D, const int heads)
{
    CBIND(x);
    BIND(out);
    const size_t c = get_global_id(0), panel = get_global_id(1), bh = get_global_id(2);
    if (c >= (size_t)D) return;
    const int j0 = (int)panel * NR;
    const size_t ld = (size_t)heads * D;
    x += (bh / heads * s + j0) * ld + bh % heads * D + c;
    out += ((bh * get_global_size(1) + panel) * D + c) * NR;
    for (int e = 0; e < NR; e++) out[e] = j0 + e < s ? x[e * ld] : 0.0f;
}

/* out [head of the batch][panel][s][NR]. Grid (s, panels, B heads). */
__kernel void sdpa_pack_rows(TENSOR(x), TENSOR(out), const int s, const int D, const int heads)
{
    CBIND(x);
    BIND(out);
    const size_t i = get_global_id(0), panel = get_global_id(1), bh = get_global_id(2);
    if (i >= (size_t)s) return;
    const int c = (int)panel * NR;
    x += (bh / heads * s + i) * heads * D + bh % heads * D + c;
    out += ((bh * get_global_size(1) + panel) * s + i) * NR;
    for (int e = 0; e < NR; e++) out[e] = c + e < D ? x[e] : 0.0f;
}

/* delta [B][heads][Sq] = sum over a head's channels of o dout. Grid (Sq, heads, B). */
__kernel void sdpa_delta(TENSOR(o), TENSOR(dout), TENSOR(delta), const int sq, const int D)
{
    CBIND(o);
    CBIND(dout);
    BIND(delta);
    const size_t i = get_global_id(0), h = get_global_id(1), b = get_global_id(2), heads = get_global_size(1);
    if (i >= (size_t)sq) return;
    o += ((b * sq + i) * heads + h) * D;
    dout += ((b * sq + i) * heads + h) * D;
    VEC sum = (VEC)(0.0f);
    int c = 0;
    for (; c + VW <= D; c += VW) sum += VLOAD(o + c) * VLOAD(dout + c);
    float t = lanes_sum(sum);
    for (; c < D; c++) t += o[c] * dout[c];
    delta[(b * heads + h) * sq + i] = t;
}

/* Keys j0 .. j0 + nk - 1 that query i may see. */
static int seen(int causal, int i, int j0, int nk) { return causal ? clamp(i - j0 + 1, 0, nk) : nk; }

#define HEAD()                                                                                              \
    const size_t h = get_global_id(1), b = get_global_id(2), heads = get_global_size(1), bh = b * heads + h; \
    const long ld = (long)heads * D

__kernel void sdpa_tile(TENSOR(q), TENSOR(k_cols), TENSOR(v), TENSOR(o), TENSOR(lse), const int sq, const int sk, const int D, const int causal,
                        const float scale, const long v_step, const long v_panel, const long v_head, const long v_batch)
{
    CBIND(q);
    CBIND(k_cols);
    CBIND(v);
    BIND(o);
    BIND(lse);
    HEAD();
    const int i0 = (int)get_global_id(0) * ROWS, n = min(ROWS, sq - i0), last = causal ? min(sk, i0 + n) : sk;
    if (n <= 0) return;
    q += b * sq * ld + h * D;
    o += (b * sq + i0) * ld + h * D;
    lse += bh * sq + i0;
    k_cols += bh * ((sk + NR - 1) / NR) * D * NR;
    v += b * v_batch + h * v_head;
    float s[ROWS * KEYS], top[ROWS], sum[ROWS], f[ROWS], g[ROWS];
    for (int r = 0; r < n; r++) {
        top[r] = -INFINITY;
        sum[r] = 0.0f;
    }
    for (int j0 = 0; j0 < last; j0 += KEYS) {
        const int nk = min(KEYS, last - j0), wide = (nk + VW - 1) / VW * VW;
        scores(q, ld, i0, n, k_cols + (size_t)j0 * D, D, nk, scale, s);
        for (int r = 0; r < n; r++) {
            float *x = s + r * KEYS;
            for (int j = seen(causal, i0 + r, j0, nk); j < wide; j++) x[j] = -INFINITY;
            VEC m = PLOAD(x), part = (VEC)(0.0f);
            for (int j = VW; j < wide; j += VW) m = fmax(m, PLOAD(x + j));
            const float now = fmax(top[r], lanes_max(m));
            for (int j = 0; j < wide; j += VW) {
                const VEC e = exp(PLOAD(x + j) - now);
                PSTORE(e, x + j);
                part += e;
            }
            f[r] = j0 ? exp(top[r] - now) : 0.0f;
            sum[r] = sum[r] * f[r] + lanes_sum(part);
            top[r] = now;
            g[r] = j0 + nk == last ? 1.0f / sum[r] : 1.0f;
        }
        weighted(s, n, nk, v + j0 * v_step, v_step, v_panel, D, f, g, j0 == 0, o, ld);
    }
    for (int r = 0; r < n; r++) lse[r] = top[r] + log(sum[r]);
}

__kernel void sdpa_tile_dq(TENSOR(q), TENSOR(dout), TENSOR(k_cols), TENSOR(v_cols), TENSOR(k), TENSOR(lse), TENSOR(delta), TENSOR(dq),
                           const int sq, const int sk, const int D, const int causal, const float scale, const long k_step, const long k_panel,
                           const long k_head, const long k_batch)
{
    CBIND(q);
    CBIND(dout);
    CBIND(k_cols);
    CBIND(v_cols);
    CBIND(k);
    CBIND(lse);
    CBIND(delta);
    BIND(dq);
    HEAD();
    const int i0 = (int)get_global_id(0) * ROWS, n = min(ROWS, sq - i0), last = causal ? min(sk, i0 + n) : sk;
    if (n <= 0) return;
    q += b * sq * ld + h * D;
    dout += b * sq * ld + h * D;
    dq += (b * sq + i0) * ld + h * D;
    lse += bh * sq + i0;
    delta += bh * sq + i0;
    k_cols += bh * ((sk + NR - 1) / NR) * D * NR;
    v_cols += bh * ((sk + NR - 1) / NR) * D * NR;
    k += b * k_batch + h * k_head;
    float p[ROWS * KEYS], ds[ROWS * KEYS];
    for (int j0 = 0; j0 < last; j0 += KEYS) {
        const int nk = min(KEYS, last - j0), wide = (nk + VW - 1) / VW * VW;
        scores(q, ld, i0, n, k_cols + (size_t)j0 * D, D, nk, scale, p);
        scores(dout, ld, i0, n, v_cols + (size_t)j0 * D, D, nk, 1.0f, ds);
        for (int r = 0; r < n; r++) {
            float *x = p + r * KEYS, *y = ds + r * KEYS;
            const float l = lse[r], d = delta[r];
            for (int j = 0; j < wide; j += VW) PSTORE(exp(PLOAD(x + j) - l) * (PLOAD(y + j) - d) * scale, y + j);
            for (int j = seen(causal, i0 + r, j0, nk); j < nk; j++) y[j] = 0.0f;
        }
        weighted(ds, n, nk, k + j0 * k_step, k_step, k_panel, D, 0, 0, j0 == 0, dq, ld);
    }
}

/* The same with the parts of queries and keys exchanged: rows are keys, columns are queries. */
__kernel void sdpa_tile_dkv(TENSOR(k), TENSOR(v), TENSOR(q_cols), TENSOR(dout_cols), TENSOR(q), TENSOR(dout), TENSOR(lse), TENSOR(delta),
                            TENSOR(dk), TENSOR(dv), const int sq, const int sk, const int D, const int causal, const float scale,
                            const long q_step, const long q_panel, const long q_head, const long q_batch)
{
    CBIND(k);
    CBIND(v);
    CBIND(q_cols);
    CBIND(dout_cols);
    CBIND(q);
    CBIND(dout);
    CBIND(lse);
    CBIND(delta);
    BIND(dk);
    BIND(dv);
    HEAD();
    const int j0 = (int)get_global_id(0) * ROWS, n = min(ROWS, sk - j0);
    if (n <= 0) return;
    k += b * sk * ld + h * D;
    v += b * sk * ld + h * D;
    dk += (b * sk + j0) * ld + h * D;
    dv += (b * sk + j0) * ld + h * D;
    lse += bh * sq;
    delta += bh * sq;
    q_cols += bh * ((sq + NR - 1) / NR) * D * NR;
    dout_cols += bh * ((sq + NR - 1) / NR) * D * NR;
    q += b * q_batch + h * q_head;
    dout += b * q_batch + h * q_head;
    float p[ROWS * KEYS], ds[ROWS * KEYS];
    int first = 1;
    for (int i0 = causal ? j0 / KEYS * KEYS : 0; i0 < sq; i0 += KEYS) { /* causal: earlier queries see none of these keys */
        const int nq = min(KEYS, sq - i0);
        scores(k, ld, j0, n, q_cols + (size_t)i0 * D, D, nq, scale, p);
        scores(v, ld, j0, n, dout_cols + (size_t)i0 * D, D, nq, 1.0f, ds);
        for (int r = 0; r < n; r++) {
            float *x = p + r * KEYS, *y = ds + r * KEYS;
            int i = 0;
            for (; i + VW <= nq; i += VW) {
                const VEC e = exp(PLOAD(x + i) - VLOAD(lse + i0 + i));
                PSTORE(e, x + i);
                PSTORE(e * (PLOAD(y + i) - VLOAD(delta + i0 + i)) * scale, y + i);
            }
            for (; i < nq; i++) {
                x[i] = exp(x[i] - lse[i0 + i]);
                y[i] = x[i] * (y[i] - delta[i0 + i]) * scale;
            }
            if (causal)
                for (i = 0; i < min(nq, j0 + r - i0); i++) x[i] = y[i] = 0.0f;
        }
        weighted(p, n, nq, dout + i0 * q_step, q_step, q_panel, D, 0, 0, first, dv, ld);
        weighted(ds, n, nq, q + i0 * q_step, q_step, q_panel, D, 0, 0, first, dk, ld);
        first = 0;
    }
    if (first) /* keys that no query sees */
        for (int r = 0; r < n; r++)
            for (int c = 0; c < D; c++) dk[(size_t)r * ld + c] = dv[(size_t)r * ld + c] = 0.0f;
}
