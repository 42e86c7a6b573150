/* SPDX-License-Identifier: MIT
 * Matrix products and convolutions for GPUs: a work-group computes a BM x BN tile of the result, BK terms at a time through local memory.
 *
 * (BN / TN) x (BM / TM) work-items hold TM x TN results each, in groups of VW adjacent rows and columns, lanes side by side. The next
 * block is read into registers while the present one is used. Local memory: BK (BM + BN + 8) floats. VW is 2 or 4, TM, TN, BK are multiples
 * of it, and BM BK and BN BK multiples of VW times the work-items.
 * Operands stay as they are; a convolution gathers its rows while loading (implicit GEMM). Defines: AT, BT: gemm_local takes A, B
 * transposed; BT: conv_local takes the transposed weights of the gradient by x. */
#define TX (BN / TN)
#define TY (BM / TM)
#define NT (TX * TY)
#define LDA (BM + 4)
#define LDB (BN + 4)
#define NA (BM * BK / VW / NT)            /* vectors that a work-item loads per block */
#define NB (BN * BK / VW / NT)
#define ROW_GROUP (BM / (TM / VW))
#define COL_GROUP (BN / (TN / VW))

#define CAT2(a, b) a##b
#define CAT(a, b) CAT2(a, b)
#define VEC CAT(float, VW)
#define VLOAD(p) CAT(vload, VW)(0, p)
#if VW == 4
#define EACH(f) f(0) f(1) f(2) f(3)       /* components of a vector */
#else
#define EACH(f) f(0) f(1)
#endif

/* Where the v-th vector lies in its block: along K (terms of one row) or along the rows or columns of the tile. */
#define ALONG_K(v, k, i) const int k = (v) % (BK / VW) * VW, i = (v) / (BK / VW)
#define ACROSS_K(v, k, i, width) const int i = (v) % ((width) / VW) * VW, k = (v) / ((width) / VW)

static VEC load(const __global float *p, int count, int aligned)
{
    if (count >= VW) return aligned ? *(const __global VEC *)p : VLOAD(p);
    VEC v = (VEC)(0.0f);
    #define LOAD(r) if (count > r) v.s##r = p[r];
    EACH(LOAD)
    return v;
}

static void put_along(__local float *s, int ld, int k, int i, VEC v)
{
    s += k * ld + i;
    #define PUT(r) s[r * ld] = v.s##r;
    EACH(PUT)
}

static void put_across(__local float *s, int ld, int k, int i, VEC v) { *(__local VEC *)(s + k * ld + i) = v; }

static void multiply(const __local float *as, const __local float *bs, int tx, int ty, VEC acc[TM][TN / VW])
{
    #pragma unroll
    for (int k = 0; k < BK; k++) {
        VEC b[TN / VW];
        #pragma unroll
        for (int j = 0; j < TN / VW; j++) b[j] = *(const __local VEC *)(bs + k * LDB + j * COL_GROUP + tx * VW);
        #pragma unroll
        for (int i = 0; i < TM / VW; i++) {
            const VEC a = *(const __local VEC *)(as + k * LDA + i * ROW_GROUP + ty * VW);
            #pragma unroll
            for (int j = 0; j < TN / VW; j++) {
                #define MULTIPLY(r) acc[VW * i + r][j] += a.s##r * b[j];
                EACH(MULTIPLY)
            }
        }
    }
}

#define TILE_ZERO()                                                      \
    VEC acc[TM][TN / VW];                                                \
    _Pragma("unroll") for (int i = 0; i < TM; i++)                       \
        _Pragma("unroll") for (int j = 0; j < TN / VW; j++) acc[i][j] = (VEC)(0.0f)

/* Row of the tile that accumulator i of this work-item holds. */
#define TILE_ROW(i) ((i) / VW * ROW_GROUP + ty * VW + (i) % VW)

static void add(VEC *v, const __global float *p, int count)
{
    #define ADD(r) if (count > r) v->s##r += p[r];
    EACH(ADD)
}

/* Columns n0 .. of one row of y: acc + bias + residual. bias and res may be null pointers. */
static void finish_row(const VEC *acc, const __global float *bias, const __global float *res, __global float *y, int n0, int N, int tx)
{
    #pragma unroll
    for (int j = 0; j < TN / VW; j++) {
        const int n = n0 + j * COL_GROUP + tx * VW;
        if (n >= N) return;
        VEC v = acc[j];
        if (bias) add(&v, bias + n, N - n);
        if (res) add(&v, res + n, N - n);
        #define STORE(r) if (n + r < N) y[n + r] = v.s##r;
        EACH(STORE)
    }
}

/* Y[batch] (M, N) = A[batch] B[batch] + bias + res; A (M, K), or (K, M) with AT; B (K, N), or (N, K) with BT; bias (N), or one row
 * per bias_rows rows. Groups: (columns, rows, batch). */
__kernel __attribute__((reqd_work_group_size(TX, TY, 1)))
void gemm_local(TENSOR(a), TENSOR(b), TENSOR(bias), TENSOR(res), TENSOR(y), const int M, const int N, const int K, const int bias_rows)
{
    __local float as[BK * LDA], bs[BK * LDB];
    CBIND(a);
    CBIND(b);
    BIND(y);
    const int tx = (int)get_local_id(0), ty = (int)get_local_id(1), t = ty * TX + tx;
    const int n0 = (int)get_group_id(0) * BN, m0 = (int)get_group_id(1) * BM;
    const size_t batch = get_group_id(2);
    a += batch * M * K;
    b += batch * K * N;
#ifdef AT
    const int lda = M;
#else
    const int lda = K;
#endif
#ifdef BT
    const int ldb = K;
#else
    const int ldb = N;
#endif
    const int al_a = lda % VW == 0 && ((size_t)a & (4 * VW - 1)) == 0, al_b = ldb % VW == 0 && ((size_t)b & (4 * VW - 1)) == 0;
    VEC ra[NA], rb[NB];
    TILE_ZERO();
    for (int k0 = -BK; k0 < K; k0 += BK) {               /* the first turn only loads */
        const int next = k0 + BK;
        if (k0 >= 0) {
            #pragma unroll
            for (int j = 0; j < NA; j++) {
#ifdef AT
                ACROSS_K(t + j * NT, k, i, BM);
                put_across(as, LDA, k, i, ra[j]);
#else
                ALONG_K(t + j * NT, k, i);
                put_along(as, LDA, k, i, ra[j]);
#endif
            }
            #pragma unroll
            for (int j = 0; j < NB; j++) {
#ifdef BT
                ALONG_K(t + j * NT, k, i);
                put_along(bs, LDB, k, i, rb[j]);
#else
                ACROSS_K(t + j * NT, k, i, BN);
                put_across(bs, LDB, k, i, rb[j]);
#endif
            }
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        if (next < K) {
            #pragma unroll
            for (int j = 0; j < NA; j++) {
#ifdef AT
                ACROSS_K(t + j * NT, k, i, BM);
                ra[j] = load(a + (size_t)(next + k) * M + m0 + i, next + k < K ? M - m0 - i : 0, al_a);
#else
                ALONG_K(t + j * NT, k, i);
                ra[j] = load(a + (size_t)(m0 + i) * K + next + k, m0 + i < M ? K - next - k : 0, al_a);
#endif
            }
            #pragma unroll
            for (int j = 0; j < NB; j++) {
#ifdef BT
                ALONG_K(t + j * NT, k, i);
                rb[j] = load(b + (size_t)(n0 + i) * K + next + k, n0 + i < N ? K - next - k : 0, al_b);
#else
                ACROSS_K(t + j * NT, k, i, BN);
                rb[j] = load(b + (size_t)(next + k) * N + n0 + i, next + k < K ? N - n0 - i : 0, al_b);
#endif
            }
        }
        if (k0 >= 0) {
            multiply(as, bs, tx, ty, acc);
            barrier(CLK_LOCAL_MEM_FENCE);
        }
    }
    #pragma unroll
    for (int i = 0; i < TM; i++) {
        const int m = m0 + TILE_ROW(i);
        if (m >= M) continue;
        const size_t at = (batch * M + m) * N;
        finish_row(acc[i], ABSENT(bias) ? 0 : bias_base + bias_off + (bias_rows ? (size_t)(m / bias_rows) * N : 0),
                   ABSENT(res) ? 0 : res_base + res_off + at, y + at, n0, N, tx);
    }
}

/* Convolution and its gradient by x: see conv_tile in gemm_tile.cl for mul, dir, off, div. w (KH, KW, C, O); with BT (KH, KW, O, C).
 * Groups: (columns, rows of the largest phase, div * div). */
__kernel __attribute__((reqd_work_group_size(TX, TY, 1)))
void conv_local(TENSOR(x), TENSOR(w), TENSOR(bias), TENSOR(res), TENSOR(y), const int images, const int H, const int W, const int C,
                const int P, const int Q, const int O, const int KH, const int KW, const int mul, const int dir, const int off_y,
                const int off_x, const int div, const int bias_rows)
{
    __local float as[BK * LDA], bs[BK * LDB];
    CBIND(x);
    CBIND(w);
    BIND(y);
    const int tx = (int)get_local_id(0), ty = (int)get_local_id(1), t = ty * TX + tx;
    const int n0 = (int)get_group_id(0) * BN, m0 = (int)get_group_id(1) * BM;
    const int phase_y = (int)get_group_id(2) / div, phase_x = (int)get_group_id(2) % div;
    const int rows = (P - phase_y + div - 1) / div, cols = (Q - phase_x + div - 1) / div, M = images * rows * cols;
    if (m0 >= M) return;                                  /* the whole group */
    const int ky0 = (phase_y + off_y) % div, kx0 = (phase_x + off_x) % div;
    const int taps_x = kx0 < KW ? (KW - kx0 + div - 1) / div : 0, taps_y = ky0 < KH ? (KH - ky0 + div - 1) / div : 0;
    const int blocks = (C + BK - 1) / BK, steps = taps_y * taps_x * blocks;
    const int al_x = C % VW == 0 && ((size_t)x & (4 * VW - 1)) == 0;
#ifdef BT
    const int al_w = C % VW == 0 && ((size_t)w & (4 * VW - 1)) == 0;
#else
    const int al_w = O % VW == 0 && ((size_t)w & (4 * VW - 1)) == 0;
#endif
    int sy[NA], sx[NA], first[NA];                        /* the rows this work-item loads: source pixel of the first tap, image */
    #pragma unroll
    for (int j = 0; j < NA; j++) {
        const int m = m0 + (t + j * NT) / (BK / VW);
        const int n = m / (rows * cols), iy = m / cols % rows, ix = m % cols;
        sy[j] = m < M ? ((phase_y + div * iy) * mul + dir * ky0 + off_y) / div : -(1 << 30);
        sx[j] = ((phase_x + div * ix) * mul + dir * kx0 + off_x) / div;
        first[j] = n * H * W;
    }
    int kx = 0, ky = 0, c0 = 0;                           /* the next block to load: tap of this phase, channel */
    VEC ra[NA], rb[NB];
    TILE_ZERO();
    for (int step = -1; step < steps; step++) {           /* the first turn only loads */
        if (step >= 0) {
            #pragma unroll
            for (int j = 0; j < NA; j++) {
                ALONG_K(t + j * NT, k, i);
                put_along(as, LDA, k, i, ra[j]);
            }
            #pragma unroll
            for (int j = 0; j < NB; j++) {
#ifdef BT
                ALONG_K(t + j * NT, k, i);
                put_along(bs, LDB, k, i, rb[j]);
#else
                ACROSS_K(t + j * NT, k, i, BN);
                put_across(bs, LDB, k, i, rb[j]);
#endif
            }
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        if (step + 1 < steps) {
            #pragma unroll
            for (int j = 0; j < NA; j++) {
                const int c = c0 + (t + j * NT) % (BK / VW) * VW, iy = sy[j] + dir * ky, ix = sx[j] + dir * kx;
                const int inside = (uint)iy < (uint)H && (uint)ix < (uint)W;
                ra[j] = load(x + (size_t)(inside ? first[j] + iy * W + ix : 0) * C + c, inside ? C - c : 0, al_x);
            }
            const int tap = (ky0 + ky * div) * KW + kx0 + kx * div;
            #pragma unroll
            for (int j = 0; j < NB; j++) {
#ifdef BT
                ALONG_K(t + j * NT, k, i);
                rb[j] = load(w + ((size_t)tap * O + n0 + i) * C + c0 + k, n0 + i < O ? C - c0 - k : 0, al_w);
#else
                ACROSS_K(t + j * NT, k, i, BN);
                rb[j] = load(w + ((size_t)tap * C + c0 + k) * O + n0 + i, c0 + k < C ? O - n0 - i : 0, al_w);
#endif
            }
            c0 += BK;
            if (c0 >= C) {
                c0 = 0;
                if (++kx == taps_x) {
                    kx = 0;
                    ky++;
                }
            }
        }
        if (step >= 0) {
            multiply(as, bs, tx, ty, acc);
            barrier(CLK_LOCAL_MEM_FENCE);
        }
    }
    #pragma unroll
    for (int i = 0; i < TM; i++) {
        const int m = m0 + TILE_ROW(i);
        if (m >= M) continue;
        const int n = m / (rows * cols), py = phase_y + div * (m / cols % rows), px = phase_x + div * (m % cols);
        const int pixel = (n * P + py) * Q + px;
        finish_row(acc[i], ABSENT(bias) ? 0 : bias_base + bias_off + (bias_rows ? (size_t)(pixel / bias_rows) * O : 0),
                   ABSENT(res) ? 0 : res_base + res_off + (size_t)pixel * O, y + (size_t)pixel * O, n0, O, tx);
    }
}

/* Gradient by the weights: dw (KH, KW, I, O) = sum over output pixels of x(pixel, i) dy(pixel, o); partial results
 * [split][KH][KW][I][O], added in order by gemm_sum_splits. Groups: (columns, rows, taps * splits). */
__kernel __attribute__((reqd_work_group_size(TX, TY, 1)))
void conv_local_dw(TENSOR(x), TENSOR(dy), TENSOR(dw), const int H, const int W, const int I, const int P, const int Q, const int O,
                   const int KW, const int taps, const int stride, const int pad_y, const int pad_x, const int pixels,
                   const int pixels_per_split)
{
    __local float as[BK * LDA], bs[BK * LDB];
    CBIND(x);
    CBIND(dy);
    BIND(dw);
    const int tx = (int)get_local_id(0), ty = (int)get_local_id(1), t = ty * TX + tx;
    const int n0 = (int)get_group_id(0) * BN, m0 = (int)get_group_id(1) * BM;
    const int tap = (int)get_group_id(2) % taps, split = (int)get_group_id(2) / taps, ky = tap / KW, kx = tap % KW;
    const int from = split * pixels_per_split, to = min(pixels, from + pixels_per_split);
    const int al_x = I % VW == 0 && ((size_t)x & (4 * VW - 1)) == 0, al_y = O % VW == 0 && ((size_t)dy & (4 * VW - 1)) == 0;
    VEC ra[NA], rb[NB];
    TILE_ZERO();
    for (int p0 = from - BK; p0 < to; p0 += BK) {         /* the first turn only loads */
        const int next = p0 + BK;
        if (p0 >= from) {
            #pragma unroll
            for (int j = 0; j < NA; j++) {
                ACROSS_K(t + j * NT, k, i, BM);
                put_across(as, LDA, k, i, ra[j]);
            }
            #pragma unroll
            for (int j = 0; j < NB; j++) {
                ACROSS_K(t + j * NT, k, i, BN);
                put_across(bs, LDB, k, i, rb[j]);
            }
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        if (next < to) {
            #pragma unroll
            for (int j = 0; j < NA; j++) {
                ACROSS_K(t + j * NT, k, i, BM);
                const int p = next + k, line = p / Q, n = line / P;
                const int iy = (line - n * P) * stride + ky - pad_y, ix = (p - line * Q) * stride + kx - pad_x;
                const int inside = p < to && (uint)iy < (uint)H && (uint)ix < (uint)W;
                ra[j] = load(x + (size_t)(inside ? (n * H + iy) * W + ix : 0) * I + m0 + i, inside ? I - m0 - i : 0, al_x);
            }
            #pragma unroll
            for (int j = 0; j < NB; j++) {
                ACROSS_K(t + j * NT, k, i, BN);
                rb[j] = load(dy + (size_t)(next + k) * O + n0 + i, next + k < to ? O - n0 - i : 0, al_y);
            }
        }
        if (p0 >= from) {
            multiply(as, bs, tx, ty, acc);
            barrier(CLK_LOCAL_MEM_FENCE);
        }
    }
    dw += ((size_t)split * taps + tap) * I * O;
    #pragma unroll
    for (int i = 0; i < TM; i++) {
        const int m = m0 + TILE_ROW(i);
        if (m < I) finish_row(acc[i], 0, 0, dw + (size_t)m * O, n0, O, tx);
    }
}
