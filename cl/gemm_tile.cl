/* SPDX-License-Identifier: MIT
 * Matrix products and convolutions for devices of CPU type, by the register tiles of tile.h.
 *
 * Matrices on the right are packed in panels [N / NR][K][NR], zeros in the last panel's spare columns (gemm_tile_pack).
 * Work-groups of the tile kernels are (1, 1, 1); row tiles run along dimension 0, so that a panel stays in the cache. */
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
