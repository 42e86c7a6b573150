/* SPDX-License-Identifier: MIT
 * Matrix products and convolutions for devices of CPU type: one work-item computes one register tile, no local memory, no barrier.
 *
 * A tile is MR rows by NR = NV x VW columns, held in MR x NV vectors of VW floats (the device's native width): with 16 vector
 * registers 6 x 2, with 32 registers 8 x 2. Per step k: NV vector loads of B, MR broadcasts of A, MR x NV multiply-adds.
 * Matrices on the right are packed in panels [N / NR][K][NR], zeros in the last panel's spare columns (gemm_tile_pack).
 * Work-groups of the tile kernels are (1, 1, 1); row tiles run along dimension 0, so that a panel stays in the cache. */
#define CAT2(a, b) a##b
#define CAT(a, b) CAT2(a, b)
#define VEC CAT(float, VW)
#define VLOAD(p) CAT(vload, VW)(0, p)
#define VSTORE(v, p) CAT(vstore, VW)(v, 0, p)
#define NR (NV * VW)

/* acc += ROW(0..R-1) (one scalar per row) times the NR columns at b. */
#define TILE_STEP(R, ROW, b)                                              \
    {                                                                   \
        VEC bv[NV];                                                     \
        _Pragma("unroll") for (int v = 0; v < NV; v++) bv[v] = VLOAD((b) + v * VW); \
        _Pragma("unroll") for (int r = 0; r < (R); r++) {               \
            const float s = ROW(r);                                     \
            _Pragma("unroll") for (int v = 0; v < NV; v++) acc[r][v] = s * bv[v] + acc[r][v]; \
        }                                                               \
    }

#define TILE_ZERO(R)                                                    \
    VEC acc[R][NV];                                                     \
    _Pragma("unroll") for (int r = 0; r < (R); r++)                     \
        _Pragma("unroll") for (int v = 0; v < NV; v++) acc[r][v] = (VEC)(0.0f)

/* y row: acc + bias + residual, at most `cols` columns. bias and res may be null pointers. */
static void finish_row(VEC *acc, const __global float *bias, const __global float *res, __global float *y, int cols)
{
    if (cols >= NR) {
        #pragma unroll
        for (int v = 0; v < NV; v++) {
            VEC t = acc[v];
            if (bias) t += VLOAD(bias + v * VW);
            if (res) t += VLOAD(res + v * VW);
            VSTORE(t, y + v * VW);
        }
        return;
    }
    float t[NR];
    #pragma unroll
    for (int v = 0; v < NV; v++) VSTORE(acc[v], t + v * VW);
    for (int c = 0; c < cols; c++) {
        float s = t[c];
        if (bias) s += bias[c];
        if (res) s += res[c];
        y[c] = s;
    }
}

/* Packs B[batch][tap][k][n] = b[batch stride_batch + tap stride_tap + k stride_k + n stride_n] into panels [batch][panel][tap][k][NR].
 * Grid (taps * K, panels + 1, batch): the extra panel is a row of K zeros after the last batch, for conv_tile. */
__kernel void gemm_tile_pack(TENSOR(b), TENSOR(out), const int taps, const int K, const int N, const long stride_tap, const int stride_k,
                             const int stride_n, const long stride_batch)
{
    CBIND(b);
    BIND(out);
    const size_t i = get_global_id(0), panel = get_global_id(1), batch = get_global_id(2);
    const size_t panels = (N + NR - 1) / NR, rows = (size_t)taps * K;
    if (i >= rows || panel > panels || batch >= get_global_size(2)) return;
    if (panel == panels) {
        if (i < (size_t)K && batch == 0) out[get_global_size(2) * panels * rows * NR + i] = 0.0f;
        return;
    }
    const size_t tap = i / K, k = i % K;
    const int n0 = (int)panel * NR;
    b += batch * stride_batch + tap * stride_tap + k * stride_k + (size_t)n0 * stride_n;
    out += ((batch * panels + panel) * rows + i) * NR;
    if (n0 + NR <= N && stride_n == 1) {
        for (int v = 0; v < NV; v++) VSTORE(VLOAD(b + v * VW), out + v * VW);
    } else {
        for (int j = 0; j < NR; j++) out[j] = n0 + j < N ? b[(size_t)j * stride_n] : 0.0f;
    }
}

/* Y[batch] (M, N) = A[batch] B[batch] + bias + res. a[m row_a + k step_a]; B packed; bias (N), or one row of N per bias_rows rows
 * of Y (bias_rows > 0); res like Y. Grid (M tiles, panels, batch). */
__kernel void gemm_tile(TENSOR(a), TENSOR(b), TENSOR(bias), TENSOR(res), TENSOR(y), const int M, const int N, const int K,
                        const int row_a, const int step_a, const long batch_a, const int bias_rows)
{
    CBIND(a);
    CBIND(b);
    BIND(y);
    const int m0 = (int)get_global_id(0) * MR, n0 = (int)get_global_id(1) * NR;
    const size_t batch = get_global_id(2);
    if (m0 >= M || n0 >= N) return;
    const int panels = (N + NR - 1) / NR;
    const __global float *bp = b + (batch * panels + get_global_id(1)) * (size_t)K * NR;
    const __global float *p[MR];
    #pragma unroll
    for (int r = 0; r < MR; r++) p[r] = a + batch * batch_a + (size_t)min(m0 + r, M - 1) * row_a;
    TILE_ZERO(MR);
    if (step_a == 1) {
        #define ROW(r) p[r][k]
        for (int k = 0; k < K; k++, bp += NR) TILE_STEP(MR, ROW, bp)
        #undef ROW
    } else {
        size_t at = 0;
        #define ROW(r) p[r][at]
        for (int k = 0; k < K; k++, bp += NR, at += step_a) TILE_STEP(MR, ROW, bp)
        #undef ROW
    }
    #pragma unroll
    for (int r = 0; r < MR; r++) {
        const int m = m0 + r;
        if (m >= M) break;
        const size_t at = (batch * M + m) * N + n0;
        finish_row(acc[r], ABSENT(bias) ? 0 : bias_base + bias_off + (bias_rows ? (size_t)(m / bias_rows) * N : 0) + n0,
                   ABSENT(res) ? 0 : res_base + res_off + at, y + at, N - n0);
    }
}

/* Convolution of x (images, H, W, C) to y (images, P, Q, O), and its gradient by x: row m of the tile is a pixel of y, and tap (ky, kx)
 * meets source row (py mul + dir ky + off_y) / div where that divides. Forward: mul = stride, dir = 1, off = -pad, div = 1. Gradient by x:
 * mul = 1, dir = -1, off = pad, div = stride; the pixels of y then fall into div x div phases that meet different taps.
 * A tap outside the image reads the zeros behind the packed weights. Grid (row tiles of the largest phase, panels, div * div). */
__kernel void conv_tile(TENSOR(x), TENSOR(w), TENSOR(bias), TENSOR(res), TENSOR(y), const int images, const int H, const int W, const int C,
                        const int P, const int Q, const int O, const int KH, const int KW, const int mul, const int dir, const int off_y,
                        const int off_x, const int div, const int bias_rows)
{
    CBIND(x);
    CBIND(w);
    BIND(y);
    const int phase_y = (int)get_global_id(2) / div, phase_x = (int)get_global_id(2) % div;
    const int rows = (P - phase_y + div - 1) / div, cols = (Q - phase_x + div - 1) / div;
    const int M = images * rows * cols, m0 = (int)get_global_id(0) * MR, n0 = (int)get_global_id(1) * NR;
    if (m0 >= M || n0 >= O) return;
    const int ky0 = (phase_y + off_y) % div, kx0 = (phase_x + off_x) % div;
    const int panels = (O + NR - 1) / NR;
    const __global float *zeros = w + (size_t)panels * KH * KW * C * NR;
    const __global float *panel = w + get_global_id(1) * (size_t)KH * KW * C * NR;

    int sy[MR], sx[MR], out[MR];          /* source pixel of the first tap; pixel of y */
    const __global float *image[MR];
    #pragma unroll
    for (int r = 0; r < MR; r++) {
        const int m = min(m0 + r, M - 1);
        const int n = m / (rows * cols), i = m / cols % rows, j = m % cols;
        const int py = phase_y + div * i, px = phase_x + div * j;
        sy[r] = (py * mul + dir * ky0 + off_y) / div;
        sx[r] = (px * mul + dir * kx0 + off_x) / div;
        image[r] = x + (size_t)n * H * W * C;
        out[r] = (n * P + py) * Q + px;
    }
    TILE_ZERO(MR);
    for (int ky = ky0, ty = 0; ky < KH; ky += div, ty += dir)
        for (int kx = kx0, tx = 0; kx < KW; kx += div, tx += dir) {
            const __global float *bp = panel + (size_t)(ky * KW + kx) * C * NR;
            const __global float *p[MR];
            #pragma unroll
            for (int r = 0; r < MR; r++) {
                const int iy = sy[r] + ty, ix = sx[r] + tx;
                p[r] = (uint)iy < (uint)H && (uint)ix < (uint)W ? image[r] + (size_t)(iy * W + ix) * C : zeros;
            }
            #define ROW(r) p[r][c]
            for (int c = 0; c < C; c++, bp += NR) TILE_STEP(MR, ROW, bp)
            #undef ROW
        }
    #pragma unroll
    for (int r = 0; r < MR; r++) {
        if (m0 + r >= M) break;
        const size_t at = (size_t)out[r] * O + n0;
        finish_row(acc[r], ABSENT(bias) ? 0 : bias_base + bias_off + (bias_rows ? (size_t)(out[r] / bias_rows) * O : 0) + n0,
                   ABSENT(res) ? 0 : res_base + res_off + at, y + at, O - n0);
    }
}

/* Gradient by the weights: dw (KH, KW, I, O) = sum over output pixels of x(pixel, i) dy(pixel, o). One work-item sums one tile of all
 * taps over one split of the image lines, in blocks of lines that stay in the first-level cache while the taps pass over them.
 * part [split][tile][tap][MR][NR] holds the sums between blocks, and at the end, for conv_tile_dw_sum.
 * lines = images * P of at most Q pixels, total pixels in all (the last line may be shorter: a product over a flat list of pixels
 * passes H = P = lines). swap: the tile's rows are O and its columns I (where O is small). NARROW: the columns are fewer than NR.
 * Grid (tiles, splits). */
__kernel void conv_tile_dw(TENSOR(x), TENSOR(dy), TENSOR(part), const int lines, const int H, const int W, const int I, const int P,
                           const int Q, const int O, const int KH, const int KW, const int stride, const int pad_y, const int pad_x,
                           const int total, const int lines_per_split, const int lines_per_block, const int swap)
{
    CBIND(x);
    CBIND(dy);
    BIND(part);
    const int S = swap ? O : I, V = swap ? I : O;       /* channels along the tile's rows and columns */
    const int s_tiles = (S + MR - 1) / MR, tile = (int)get_global_id(0);
    const int s0 = tile % s_tiles * MR, v_first = tile / s_tiles * NR;
    if (v_first >= V) return;
#ifdef NARROW
    const int v0 = 0;
#else
    const int v0 = min(v_first, V - NR);                 /* the last panel overlaps its neighbour instead of reading past the end */
#endif
    const int x_step = stride * I, y_step = O;
    const int s_step = swap ? y_step : x_step, v_step = swap ? x_step : y_step;
    int lane[MR];
    #pragma unroll
    for (int r = 0; r < MR; r++) lane[r] = min(s0 + r, S - 1);
    part += (get_global_id(1) * get_global_size(0) + tile) * (size_t)(KH * KW * MR * NR);
    const int from = (int)get_global_id(1) * lines_per_split, to = min(lines, from + lines_per_split);
    for (int block = from; block < to; block += lines_per_block) {
        const int end = min(to, block + lines_per_block);
        __global float *sums = part;
        for (int ky = 0; ky < KH; ky++)
            for (int kx = 0; kx < KW; kx++, sums += MR * NR) {
                TILE_ZERO(MR);
                if (block > from) {
                    #pragma unroll
                    for (int r = 0; r < MR; r++)
                        #pragma unroll
                        for (int v = 0; v < NV; v++) acc[r][v] = VLOAD(sums + r * NR + v * VW);
                }
                const int lo = max(0, (pad_x - kx + stride - 1) / stride), hi_x = W - 1 + pad_x - kx;
                const int hi = hi_x < 0 ? 0 : min(Q, hi_x / stride + 1);
                int n = block / P, p = block % P;
                for (int line = block; line < end; line++) {
                    const int iy = p * stride + ky - pad_y;
                    const __global float *px = x + ((size_t)(n * H + iy) * W + (lo * stride + kx - pad_x)) * I;
                    const __global float *py = dy + ((size_t)line * Q + lo) * O;
                    const __global float *ps = swap ? py : px, *pv = (swap ? px : py) + v0;
                    const int stop = (uint)iy < (uint)H ? min(hi, total - line * Q) : 0;
                    for (int ox = lo; ox < stop; ox++, ps += s_step, pv += v_step) {
                        #define ROW(r) ps[lane[r]]
#ifdef NARROW
                        float cols[NR];
                        for (int j = 0; j < NR; j++) cols[j] = pv[min(j, V - 1)];
                        TILE_STEP(MR, ROW, cols)
#else
                        TILE_STEP(MR, ROW, pv)
#endif
                        #undef ROW
                    }
                    if (++p == P) {
                        p = 0;
                        n++;
                    }
                }
                #pragma unroll
                for (int r = 0; r < MR; r++)
                    #pragma unroll
                    for (int v = 0; v < NV; v++) VSTORE(acc[r][v], sums + r * NR + v * VW);
            }
    }
}

/* Adds the splits of conv_tile_dw in order and puts every sum where it belongs in dw. Grid: tiles * taps * MR rows of NR sums. */
__kernel void conv_tile_dw_sum(TENSOR(part), TENSOR(dw), const int I, const int O, const int taps, const int splits, const int swap)
{
    CBIND(part);
    BIND(dw);
    const int S = swap ? O : I, V = swap ? I : O, s_tiles = (S + MR - 1) / MR, tiles = s_tiles * ((V + NR - 1) / NR);
    const size_t row = get_global_id(0), rows = (size_t)tiles * taps * MR;
    if (row >= rows) return;
    const int r = row % MR, tap = row / MR % taps, tile = row / MR / taps;
    const int s = tile % s_tiles * MR + r, v_first = tile / s_tiles * NR, v0 = max(0, min(v_first, V - NR));
    if (s >= S) return;
    VEC sum[NV];
    #pragma unroll
    for (int v = 0; v < NV; v++) sum[v] = (VEC)(0.0f);
    part += row * NR;
    for (int k = 0; k < splits; k++, part += rows * NR)
        #pragma unroll
        for (int v = 0; v < NV; v++) sum[v] += VLOAD(part + v * VW);
    float t[NR];
    #pragma unroll
    for (int v = 0; v < NV; v++) VSTORE(sum[v], t + v * VW);
    dw += (size_t)tap * I * O;
    for (int c = v_first - v0; c < NR && v0 + c < V; c++) dw[swap ? (size_t)(v0 + c) * O + s : (size_t)s * O + v0 + c] = t[c];
}

/* 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3): 36 products give 16 results that take 144 directly (Lavin & Gray 2016).
 * Cook-Toom with the points 0, +-3/4, +-3/2 and infinity, as in src/simd/winograd.h, which says why. One dimension of the transforms: */
#define WINO_A 0.75f
#define WINO_B 1.5f
#define WINO_A2 0.5625f
#define WINO_B2 2.25f
#define WINO_N0 (64.0f / 81.0f)    /* 1 / product of the differences of a point from the others */
#define WINO_NA (-256.0f / 486.0f)
#define WINO_NB (64.0f / 486.0f)

static void wino_source(const VEC *d, VEC *out, int step)
{
    const VEC even_b = d[4] - WINO_B2 * d[2], odd_b = WINO_A * (d[3] - WINO_B2 * d[1]);
    const VEC even_a = d[4] - WINO_A2 * d[2], odd_a = WINO_B * (d[3] - WINO_A2 * d[1]);
    out[0] = d[4] - (WINO_A2 + WINO_B2) * d[2] + (WINO_A2 * WINO_B2) * d[0];
    out[step] = even_b + odd_b;
    out[2 * step] = even_b - odd_b;
    out[3 * step] = even_a + odd_a;
    out[4 * step] = even_a - odd_a;
    out[5 * step] = d[5] - (WINO_A2 + WINO_B2) * d[3] + (WINO_A2 * WINO_B2) * d[1];
}

static void wino_weight(const VEC *g, VEC *out, int step)
{
    const VEC even_a = WINO_NA * (g[0] + WINO_A2 * g[2]), odd_a = (WINO_NA * WINO_A) * g[1];
    const VEC even_b = WINO_NB * (g[0] + WINO_B2 * g[2]), odd_b = (WINO_NB * WINO_B) * g[1];
    out[0] = WINO_N0 * g[0];
    out[step] = even_a + odd_a;
    out[2 * step] = even_a - odd_a;
    out[3 * step] = even_b + odd_b;
    out[4 * step] = even_b - odd_b;
    out[5 * step] = g[2];
}

static void wino_result(const VEC *m, VEC *out, int step)
{
    const VEC sum_a = m[1] + m[2], diff_a = m[1] - m[2], sum_b = m[3] + m[4], diff_b = m[3] - m[4];
    out[0] = m[0] + sum_a + sum_b;
    out[step] = WINO_A * diff_a + WINO_B * diff_b;
    out[2 * step] = WINO_A2 * sum_a + WINO_B2 * sum_b;
    out[3 * step] = (WINO_A * WINO_A2) * diff_a + (WINO_B * WINO_B2) * diff_b + m[5];
}

/* Transformed weights in panels [panel][36][C][NR]. Tap (ky, kx), channel k, column n at b[tap stride_tap + k stride_k + n stride_n];
 * flip turns the taps around, for the gradient by x. Grid (C, panels). */
__kernel void winograd_pack(TENSOR(b), TENSOR(out), const int C, const int N, const long stride_tap, const int stride_k, const int stride_n,
                            const int flip)
{
    CBIND(b);
    BIND(out);
    const size_t c = get_global_id(0), panel = get_global_id(1);
    if (c >= (size_t)C || panel >= (size_t)((N + NR - 1) / NR)) return;
    for (int v = 0; v < NV; v++) {
        const int n0 = (int)panel * NR + v * VW;
        VEC half_done[18];
        for (int kx = 0; kx < 3; kx++) {
            VEC g[3];
            for (int ky = 0; ky < 3; ky++) {
                const int tap = ky * 3 + kx;
                const __global float *p = b + (flip ? 8 - tap : tap) * stride_tap + c * stride_k;
                if (stride_n == 1 && n0 + VW <= N) {
                    g[ky] = VLOAD(p + n0);
                } else {
                    float lane[VW];
                    for (int j = 0; j < VW; j++) lane[j] = n0 + j < N ? p[(size_t)(n0 + j) * stride_n] : 0.0f;
                    g[ky] = VLOAD(lane);
                }
            }
            wino_weight(g, half_done + kx, 3);
        }
        for (int i = 0; i < 6; i++) {
            VEC u[6];
            wino_weight(half_done + 3 * i, u, 1);
            for (int j = 0; j < 6; j++) VSTORE(u[j], out + ((panel * 36 + i * 6 + j) * C + c) * NR + v * VW);
        }
    }
}

/* y (images, P, Q, O) from x (images, H, W, C), C a multiple of VW. One work-item computes `groups` times MR tiles of 4 x 4 pixels:
 * it transforms their source into local memory of its own [36][groups MR][C], then makes 36 products with each of its panels.
 * Grid (items, panels / panels_per_item). */
__kernel void conv_winograd(TENSOR(x), TENSOR(w), TENSOR(bias), TENSOR(res), TENSOR(y), const int images, const int H, const int W,
                            const int C, const int P, const int Q, const int O, const int pad_y, const int pad_x, const int bias_rows,
                            const int groups, const int panels_per_item, __local float *source)
{
    CBIND(x);
    CBIND(w);
    BIND(y);
    const int tiles_x = (Q + 3) / 4, tiles_y = (P + 3) / 4, tiles = images * tiles_y * tiles_x;
    const int first = (int)get_global_id(0) * groups * MR;
    if (first >= tiles) return;
    const int rows = min(groups, (tiles - first + MR - 1) / MR) * MR;
    for (int t = 0; t < rows; t++) {
        const int tile = min(first + t, tiles - 1);
        const int y0 = tile / tiles_x % tiles_y * 4 - pad_y, x0 = tile % tiles_x * 4 - pad_x;
        const __global float *image = x + (size_t)(tile / tiles_x / tiles_y) * H * W * C;
        for (int c = 0; c < C; c += VW) {
            VEC half_done[36];
            #pragma unroll
            for (int j = 0; j < 6; j++) {
                VEC d[6];
                #pragma unroll
                for (int i = 0; i < 6; i++) {
                    const int iy = y0 + i, ix = x0 + j;
                    d[i] = (uint)iy < (uint)H && (uint)ix < (uint)W ? VLOAD(image + (size_t)(iy * W + ix) * C + c) : (VEC)(0.0f);
                }
                wino_source(d, half_done + j, 6);
            }
            #pragma unroll
            for (int i = 0; i < 6; i++) {
                VEC d[6];
                wino_source(half_done + 6 * i, d, 1);
                #pragma unroll
                for (int j = 0; j < 6; j++) VSTORE(d[j], source + ((size_t)(i * 6 + j) * rows + t) * C + c);
            }
        }
    }
    const int panels = (O + NR - 1) / NR, from = (int)get_global_id(1) * panels_per_item, to = min(panels, from + panels_per_item);
    for (int panel = from; panel < to; panel++)
        for (int t0 = 0; t0 < rows; t0 += MR) {
            const __global float *bp = w + (size_t)panel * 36 * C * NR;
            VEC product[36 * MR * NV];
            for (int at = 0; at < 36; at++) {
                const __local float *p[MR];
                #pragma unroll
                for (int r = 0; r < MR; r++) p[r] = source + ((size_t)at * rows + t0 + r) * C;
                TILE_ZERO(MR);
                #define ROW(r) p[r][c]
                for (int c = 0; c < C; c++, bp += NR) TILE_STEP(MR, ROW, bp)
                #undef ROW
                #pragma unroll
                for (int r = 0; r < MR; r++)
                    #pragma unroll
                    for (int v = 0; v < NV; v++) product[(r * NV + v) * 36 + at] = acc[r][v];
            }
            for (int r = 0; r < MR && first + t0 + r < tiles; r++) {
                const int tile = first + t0 + r, n = tile / tiles_x / tiles_y;
                const int py = tile / tiles_x % tiles_y * 4, px = tile % tiles_x * 4;
                VEC result[NV * 16];
                for (int v = 0; v < NV; v++) {
                    VEC half_done[24];
                    #pragma unroll
                    for (int i = 0; i < 6; i++) wino_result(product + (r * NV + v) * 36 + i * 6, half_done + i, 6);
                    #pragma unroll
                    for (int j = 0; j < 4; j++) wino_result(half_done + 6 * j, result + v * 16 + j, 4);
                }
                for (int i = 0; i < 4 && py + i < P; i++)
                    for (int j = 0; j < 4 && px + j < Q; j++) {
                        VEC acc[NV];
                        #pragma unroll
                        for (int v = 0; v < NV; v++) acc[v] = result[v * 16 + i * 4 + j];
                        const int pixel = (n * P + py + i) * Q + px + j, n0 = panel * NR;
                        const size_t at = (size_t)pixel * O + n0;
                        finish_row(acc, ABSENT(bias) ? 0 : bias_base + bias_off + (bias_rows ? (size_t)(pixel / bias_rows) * O : 0) + n0,
                                   ABSENT(res) ? 0 : res_base + res_off + at, y + at, O - n0);
                    }
            }
        }
}

/* The weight gradient by the transposed transforms: dw = G'[ sum over tiles of (B' x B) (A dy A') ] G, 36 products for 144.
 * A chunk of T tiles goes at a time: sources as [36][I / VW][T + 2][VW], results' gradients as [36][panels][T + 2][NR], then for each of
 * the 36 one product over the tiles, DR x NR sums to a work-item, kept as [36][panels][I / DR][DR][NR] from chunk to chunk.
 * I and O are multiples of VW. T + 2: rows apart by powers of two would meet in the same lines of the cache. */
#define DR (VW == 16 ? 8 : 4)

/* One-dimensional transposes: of wino_result, four to six, and of wino_weight, six to three. */
static void wino_result_grad(const VEC *y, VEC *out, int step)
{
    const VEC even_a = y[0] + WINO_A2 * y[2], odd_a = WINO_A * (y[1] + WINO_A2 * y[3]);
    const VEC even_b = y[0] + WINO_B2 * y[2], odd_b = WINO_B * (y[1] + WINO_B2 * y[3]);
    out[0] = y[0];
    out[step] = even_a + odd_a;
    out[2 * step] = even_a - odd_a;
    out[3 * step] = even_b + odd_b;
    out[4 * step] = even_b - odd_b;
    out[5 * step] = y[3];
}

static void wino_weight_grad(const VEC *u, VEC *out, int step)
{
    const VEC sum_a = WINO_NA * (u[1] + u[2]), diff_a = WINO_NA * (u[1] - u[2]);
    const VEC sum_b = WINO_NB * (u[3] + u[4]), diff_b = WINO_NB * (u[3] - u[4]);
    out[0] = WINO_N0 * u[0] + sum_a + sum_b;
    out[step] = WINO_A * diff_a + WINO_B * diff_b;
    out[2 * step] = WINO_A2 * sum_a + WINO_B2 * sum_b + u[5];
}

/* Transforms tiles first .. first + count - 1 of x or (grad) of dy, (images, H, W, C), tiles_y x tiles_x to an image; in panels of one vector,
 * or of NV for dy, with zeros where the last one exceeds C. Grid: tiles of the chunk. */
__kernel void winograd_dw_transform(TENSOR(x), TENSOR(out), const int H, const int W, const int C, const int tiles_y, const int tiles_x,
                                    const int pad_y, const int pad_x, const int grad, const int first, const int count, const int T)
{
    CBIND(x);
    BIND(out);
    const int t = (int)get_global_id(0), tile = first + t, edge = grad ? 4 : 6, nvp = grad ? NV : 1;
    if (t >= count) return;
    const int y0 = tile / tiles_x % tiles_y * 4 - pad_y, x0 = tile % tiles_x * 4 - pad_x;
    const __global float *image = x + (size_t)(tile / tiles_x / tiles_y) * H * W * C;
    const int panels = (C + nvp * VW - 1) / (nvp * VW);
    for (int v = 0; v < panels * nvp; v++) {
        VEC half_done[36];
        for (int j = 0; j < edge; j++) {
            VEC d[6];
            #pragma unroll
            for (int i = 0; i < 6; i++) {
                const int iy = y0 + i, ix = x0 + j;
                const int inside = i < edge && v * VW < C && (uint)iy < (uint)H && (uint)ix < (uint)W;
                d[i] = inside ? VLOAD(image + (size_t)(iy * W + ix) * C + v * VW) : (VEC)(0.0f);
            }
            if (grad) wino_result_grad(d, half_done + j, 6);
            else wino_source(d, half_done + j, 6);
        }
        __global float *to = out + ((size_t)(v / nvp) * (T + 2) + t) * nvp * VW + v % nvp * VW;
        const size_t apart = (size_t)panels * (T + 2) * nvp * VW;
        #pragma unroll
        for (int i = 0; i < 6; i++) {
            VEC d[6];
            if (grad) wino_result_grad(half_done + 6 * i, d, 1);
            else wino_source(half_done + 6 * i, d, 1);
            #pragma unroll
            for (int j = 0; j < 6; j++) VSTORE(d[j], to + (i * 6 + j) * apart);
        }
    }
}

/* Adds one chunk's products to sums. Grid (I / DR, panels, 36). */
__kernel void winograd_dw_products(TENSOR(source), TENSOR(result), TENSOR(sums), const int I, const int count, const int T, const int more)
{
    CBIND(source);
    CBIND(result);
    BIND(sums);
    const int rows = (int)get_global_id(0), panel = (int)get_global_id(1), panels = (int)get_global_size(1);
    const size_t at = get_global_id(2);
    if (rows * DR >= I) return;
    source += (at * (I / VW) + rows * DR / VW) * (T + 2) * VW + rows * DR % VW;
    result += (at * panels + panel) * (T + 2) * NR;
    sums += ((at * panels + panel) * (I / DR) + rows) * DR * NR;
    TILE_ZERO(DR);
    if (more) {
        #pragma unroll
        for (int r = 0; r < DR; r++)
            #pragma unroll
            for (int v = 0; v < NV; v++) acc[r][v] = VLOAD(sums + r * NR + v * VW);
    }
    #define ROW(r) source[r]
    for (int t = 0; t < count; t++, source += VW, result += NR) TILE_STEP(DR, ROW, result)
    #undef ROW
    #pragma unroll
    for (int r = 0; r < DR; r++)
        #pragma unroll
        for (int v = 0; v < NV; v++) VSTORE(acc[r][v], sums + r * NR + v * VW);
}

/* dw (3, 3, I, O) from the sums. Grid (I, panels). */
__kernel void winograd_dw_finish(TENSOR(sums), TENSOR(dw), const int I, const int O)
{
    CBIND(sums);
    BIND(dw);
    const size_t i = get_global_id(0), panel = get_global_id(1), panels = (O + NR - 1) / NR;
    if (i >= (size_t)I || panel >= panels) return;
    for (int v = 0; v < NV; v++) {
        const int o = (int)panel * NR + v * VW;
        if (o >= O) return;
        VEC half_done[18];
        for (int k = 0; k < 6; k++) {
            VEC u[6];
            for (int l = 0; l < 6; l++) u[l] = VLOAD(sums + (((size_t)(k * 6 + l) * panels + panel) * I + i) * NR + v * VW);
            wino_weight_grad(u, half_done + k, 6);
        }
        for (int kx = 0; kx < 3; kx++) {
            VEC g[3];
            wino_weight_grad(half_done + 6 * kx, g, 1);
            for (int ky = 0; ky < 3; ky++) VSTORE(g[ky], dw + ((size_t)(ky * 3 + kx) * I + i) * O + o);
        }
    }
}
