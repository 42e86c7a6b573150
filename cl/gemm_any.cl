/* SPDX-License-Identifier: MIT
 * Matrix products and convolutions on any device: one work-item computes one element, nothing is assumed. */

/* Y[batch] (M, N) = A[batch] B[batch] + bias + res; element (m, k) of A at m row_a + k step_a, (k, n) of B at k step_b + n col_b;
 * bias (N), or one row per bias_rows rows of Y. */
__kernel void gemm_any(TENSOR(a), TENSOR(b), TENSOR(bias), TENSOR(res), TENSOR(y), const long batch, const long M, const long N,
                       const long K, const long row_a, const long step_a, const long step_b, const long col_b, const long bias_rows)
{
    CBIND(a);
    CBIND(b);
    CBIND_OPT(bias);
    CBIND_OPT(res);
    BIND(y);
    const size_t at = get_global_id(0);
    if (at >= (size_t)(batch * M * N)) return;
    const size_t n = at % N, m = at / N % M, i = at / N / M;
    a += i * M * K + m * row_a;
    b += i * K * N + n * col_b;
    float s = 0.0f;
    for (long k = 0; k < K; k++) s += a[k * step_a] * b[k * step_b];
    if (!ABSENT(bias)) s += bias[(bias_rows ? m / bias_rows * N : 0) + n];
    if (!ABSENT(res)) s += res[at];
    y[at] = s;
}

/* y (images, P, Q, O) = conv of x (images, H, W, I) and w (KH, KW, I, O), + bias (O) or (images, O), + res. */
__kernel void conv_any(TENSOR(x), TENSOR(w), TENSOR(bias), TENSOR(res), TENSOR(y), const int images, const int H, const int W,
                       const int I, const int P, const int Q, const int O, const int KH, const int KW, const int stride,
                       const int pad_y, const int pad_x, const int per_sample)
{
    CBIND(x);
    CBIND(w);
    CBIND_OPT(bias);
    CBIND_OPT(res);
    BIND(y);
    const size_t at = get_global_id(0);
    if (at >= (size_t)images * P * Q * O) return;
    const int o = at % O, q = at / O % Q, p = at / O / Q % P;
    const size_t n = at / O / Q / P;
    float s = 0.0f;
    for (int ky = 0; ky < KH; ky++)
        for (int kx = 0; kx < KW; kx++) {
            const int iy = p * stride + ky - pad_y, ix = q * stride + kx - pad_x;
            if ((uint)iy >= (uint)H || (uint)ix >= (uint)W) continue;
            const __global float *xp = x + ((n * H + iy) * W + ix) * I;
            const __global float *wp = w + (size_t)(ky * KW + kx) * I * O + o;
            for (int c = 0; c < I; c++) s += xp[c] * wp[(size_t)c * O];
        }
    if (!ABSENT(bias)) s += bias[per_sample ? n * O + o : (size_t)o];
    if (!ABSENT(res)) s += res[at];
    y[at] = s;
}

/* dx (images, H, W, I): every element gathers the results it took part in. */
__kernel void conv_any_dx(TENSOR(dy), TENSOR(w), TENSOR(dx), const int images, const int H, const int W, const int I, const int P,
                          const int Q, const int O, const int KH, const int KW, const int stride, const int pad_y,
                          const int pad_x)
{
    CBIND(dy);
    CBIND(w);
    BIND(dx);
    const size_t at = get_global_id(0);
    if (at >= (size_t)images * H * W * I) return;
    const int i = at % I, ix = at / I % W, iy = at / I / W % H;
    const size_t n = at / I / W / H;
    float s = 0.0f;
    for (int ky = 0; ky < KH; ky++)
        for (int kx = 0; kx < KW; kx++) {
            const int p = iy + pad_y - ky, q = ix + pad_x - kx;
            if (p < 0 || q < 0 || p % stride || q % stride || p / stride >= P || q / stride >= Q) continue;
            const __global float *yp = dy + ((n * P + p / stride) * Q + q / stride) * O;
            const __global float *wp = w + ((size_t)(ky * KW + kx) * I + i) * O;
            for (int c = 0; c < O; c++) s += yp[c] * wp[c];
        }
    dx[at] = s;
}

/* dw (KH, KW, I, O) over the lines (image, p) line0 .. of one split; partial results [split][dw], added by gemm_sum_splits. */
__kernel void conv_any_dw(TENSOR(x), TENSOR(dy), TENSOR(dw), const int images, const int H, const int W, const int I, const int P,
                          const int Q, const int O, const int KH, const int KW, const int stride, const int pad_y,
                          const int pad_x, const int splits)
{
    CBIND(x);
    CBIND(dy);
    BIND(dw);
    const size_t at = get_global_id(0), size = (size_t)KH * KW * I * O;
    if (at >= size * splits) return;
    const int o = at % O, i = at / O % I, kx = at / O / I % KW, ky = at / O / I / KW % KH;
    const long split = at / size, lines = (long)images * P, end = (split + 1) * lines / splits;
    float s = 0.0f;
    for (long line = split * lines / splits; line < end; line++) {
        const int iy = (int)(line % P) * stride + ky - pad_y;
        if ((uint)iy >= (uint)H) continue;
        const __global float *xp = x + (line / P * H + iy) * (size_t)W * I + i;
        const __global float *yp = dy + (size_t)line * Q * O + o;
        for (int q = 0; q < Q; q++) {
            const int ix = q * stride + kx - pad_x;
            if ((uint)ix < (uint)W) s += xp[(size_t)ix * I] * yp[(size_t)q * O];
        }
    }
    dw[at] = s;
}
