/* SPDX-License-Identifier: MIT
 * Attention for GPUs: a work-group of 256 takes 32 rows of one head and runs over tiles of 32 columns; results of up to 32 DT channels
 * stay in registers, tiles of the operands pass through local memory (13.4 KiB). Work-item (tx, ty) of 16 x 16 owns rows ty, ty + 16
 * and columns tx, tx + 16 of every 32 x 32 tile. Tensors are (B, s, heads D); grid: (256 row tiles, heads, B). */
#define SIDE 32
#define PITCH 33  /* odd, against bank conflicts */
#define DEPTH 16  /* channels of a tile in a dot product */
#define DPITCH 17

#define HEAD()                                                                                                   \
    const int lid = (int)get_local_id(0), tx = lid % 16, ty = lid / 16;                                          \
    const int h = (int)get_global_id(1), b = (int)get_global_id(2), heads = (int)get_global_size(1);             \
    const int ld = heads * D, r0 = (int)get_group_id(0) * SIDE;                                                  \
    const size_t bh = (size_t)b * heads + h

/* s[i][j] = dot products of rows x0 + ty + 16 i of x and y0 + tx + 16 j of y; rows past the end count as 0. */
static void scores(const __global float *x, int x0, int nx, const __global float *y, int y0, int ny, int ld, int D, __local float *u,
                   float s[2][2])
{
    const int lid = (int)get_local_id(0), tx = lid % 16, ty = lid / 16;
    __local float *const ux = u, *const uy = u + SIDE * DPITCH;
    s[0][0] = s[0][1] = s[1][0] = s[1][1] = 0.0f;
    for (int c0 = 0; c0 < D; c0 += DEPTH) {
        for (int i = ty; i < SIDE; i += 16) {
            const int in = c0 + tx < D;
            ux[i * DPITCH + tx] = in && x0 + i < nx ? x[(size_t)(x0 + i) * ld + c0 + tx] : 0.0f;
            uy[i * DPITCH + tx] = in && y0 + i < ny ? y[(size_t)(y0 + i) * ld + c0 + tx] : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int k = 0; k < DEPTH; k++) {
            const float x_0 = ux[ty * DPITCH + k], x_1 = ux[(ty + 16) * DPITCH + k];
            const float y_0 = uy[tx * DPITCH + k], y_1 = uy[(tx + 16) * DPITCH + k];
            s[0][0] += x_0 * y_0;
            s[0][1] += x_0 * y_1;
            s[1][0] += x_1 * y_0;
            s[1][1] += x_1 * y_1;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

/* acc[t][i][j] += sum over k < 32 of s[ty + 16 i][k] times x[x0 + k][32 t + tx + 16 j]; rows past the end count as 0. */
static void weighted(const __local float *s, const __global float *x, int x0, int nx, int ld, int D, __local float *u, float acc[DT][2][2])
{
    const int lid = (int)get_local_id(0), tx = lid % 16, ty = lid / 16;
#pragma unroll
    for (int t = 0; t < DT; t++) {
        for (int i = ty; i < SIDE; i += 16)
            for (int j = tx; j < SIDE; j += 16)
                u[i * PITCH + j] = x0 + i < nx && t * SIDE + j < D ? x[(size_t)(x0 + i) * ld + t * SIDE + j] : 0.0f;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int k = 0; k < SIDE; k++) {
            const float s_0 = s[ty * PITCH + k], s_1 = s[(ty + 16) * PITCH + k];
            const float x_0 = u[k * PITCH + tx], x_1 = u[k * PITCH + tx + 16];
            acc[t][0][0] += s_0 * x_0;
            acc[t][0][1] += s_0 * x_1;
            acc[t][1][0] += s_1 * x_0;
            acc[t][1][1] += s_1 * x_1;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

#define ZERO(acc)                                                       \
    _Pragma("unroll") for (int t = 0; t < DT; t++)                      \
        for (int i = 0; i < 2; i++) acc[t][i][0] = acc[t][i][1] = 0.0f

/* y[r0 + ty + 16 i][32 t + tx + 16 j] = acc[t][i][j] factor(i), inside the tensor */
#define STORE(acc, y, n, factor)                                                                                 \
    _Pragma("unroll") for (int t = 0; t < DT; t++)                                                               \
        for (int i = 0; i < 2; i++)                                                                              \
            for (int j = 0; j < 2; j++) {                                                                        \
                const int row_ = r0 + ty + 16 * i, col_ = t * SIDE + tx + 16 * j;                                \
                if (row_ < (n) && col_ < D) y[(size_t)row_ * ld + col_] = acc[t][i][j] * (factor);               \
            }

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void sdpa_local(TENSOR(q), TENSOR(k), TENSOR(v), TENSOR(o), TENSOR(lse), const int sq,
                                                                          const int sk, const int D, const int causal, const float scale)
{
    CBIND(q);
    CBIND(k);
    CBIND(v);
    BIND(o);
    BIND(lse);
    __local float u[2 * SIDE * DPITCH], p[SIDE * PITCH], top[SIDE], sum[SIDE], f[SIDE];
    HEAD();
    const int last = causal ? min(sk, r0 + SIDE) : sk;
    q += (size_t)b * sq * ld + h * D;
    o += (size_t)b * sq * ld + h * D;
    k += (size_t)b * sk * ld + h * D;
    v += (size_t)b * sk * ld + h * D;
    float acc[DT][2][2], s[2][2];
    ZERO(acc);
    if (lid < SIDE) {
        top[lid] = -INFINITY;
        sum[lid] = 0.0f;
    }
    for (int j0 = 0; j0 < last; j0 += SIDE) {
        scores(q, r0, sq, k, j0, sk, ld, D, u, s);
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++) {
                const int row = ty + 16 * i, col = tx + 16 * j;
                const int visible = j0 + col < sk && (!causal || j0 + col <= r0 + row);
                p[row * PITCH + col] = visible ? s[i][j] * scale : -INFINITY;
            }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lid < SIDE) {
            float now = top[lid], part = 0.0f;
            for (int j = 0; j < SIDE; j++) now = fmax(now, p[lid * PITCH + j]);
            for (int j = 0; j < SIDE; j++) {
                const float e = exp(p[lid * PITCH + j] - now);
                p[lid * PITCH + j] = e;
                part += e;
            }
            f[lid] = j0 ? exp(top[lid] - now) : 0.0f;
            sum[lid] = sum[lid] * f[lid] + part;
            top[lid] = now;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int t = 0; t < DT; t++)
            for (int i = 0; i < 2; i++)
                for (int j = 0; j < 2; j++) acc[t][i][j] *= f[ty + 16 * i];
        weighted(p, v, j0, sk, ld, D, u, acc);
    }
    STORE(acc, o, sq, 1.0f / sum[ty + 16 * i])
    if (lid < SIDE && r0 + lid < sq) lse[bh * sq + r0 + lid] = top[lid] + log(sum[lid]);
}

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void sdpa_local_dq(TENSOR(q), TENSOR(k), TENSOR(v), TENSOR(lse), TENSOR(dout),
                                                                             TENSOR(delta), TENSOR(dq), const int sq, const int sk, const int D,
                                                                             const int causal, const float scale)
{
    CBIND(q);
    CBIND(k);
    CBIND(v);
    CBIND(lse);
    CBIND(dout);
    CBIND(delta);
    BIND(dq);
    __local float u[2 * SIDE * DPITCH], ds[SIDE * PITCH];
    HEAD();
    const int last = causal ? min(sk, r0 + SIDE) : sk;
    q += (size_t)b * sq * ld + h * D;
    dq += (size_t)b * sq * ld + h * D;
    dout += (size_t)b * sq * ld + h * D;
    k += (size_t)b * sk * ld + h * D;
    v += (size_t)b * sk * ld + h * D;
    float acc[DT][2][2], s[2][2], d[2][2];
    ZERO(acc);
    for (int j0 = 0; j0 < last; j0 += SIDE) {
        scores(q, r0, sq, k, j0, sk, ld, D, u, s);
        scores(dout, r0, sq, v, j0, sk, ld, D, u, d);
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++) {
                const int row = ty + 16 * i, col = tx + 16 * j;
                const int visible = r0 + row < sq && j0 + col < sk && (!causal || j0 + col <= r0 + row);
                const size_t at = bh * sq + r0 + row;
                ds[row * PITCH + col] = visible ? exp(s[i][j] * scale - lse[at]) * (d[i][j] - delta[at]) * scale : 0.0f;
            }
        barrier(CLK_LOCAL_MEM_FENCE);
        weighted(ds, k, j0, sk, ld, D, u, acc);
    }
    STORE(acc, dq, sq, 1.0f)
}

/* Rows are keys, columns are queries. */
__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void sdpa_local_dkv(TENSOR(q), TENSOR(k), TENSOR(v), TENSOR(lse), TENSOR(dout),
                                                                              TENSOR(delta), TENSOR(dk), TENSOR(dv), const int sq, const int sk,
                                                                              const int D, const int causal, const float scale)
{
    CBIND(q);
    CBIND(k);
    CBIND(v);
    CBIND(lse);
    CBIND(dout);
    CBIND(delta);
    BIND(dk);
    BIND(dv);
    __local float u[2 * SIDE * DPITCH], p[SIDE * PITCH], ds[SIDE * PITCH];
    HEAD();
    q += (size_t)b * sq * ld + h * D;
    dout += (size_t)b * sq * ld + h * D;
    k += (size_t)b * sk * ld + h * D;
    v += (size_t)b * sk * ld + h * D;
    dk += (size_t)b * sk * ld + h * D;
    dv += (size_t)b * sk * ld + h * D;
    float acc_k[DT][2][2], acc_v[DT][2][2], s[2][2], d[2][2];
    ZERO(acc_k);
    ZERO(acc_v);
    for (int i0 = causal ? r0 : 0; i0 < sq; i0 += SIDE) { /* causal: earlier queries see none of these keys */
        scores(k, r0, sk, q, i0, sq, ld, D, u, s);
        scores(v, r0, sk, dout, i0, sq, ld, D, u, d);
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++) {
                const int row = ty + 16 * i, col = tx + 16 * j;
                const int visible = r0 + row < sk && i0 + col < sq && (!causal || r0 + row <= i0 + col);
                const size_t at = bh * sq + i0 + col;
                const float e = visible ? exp(s[i][j] * scale - lse[at]) : 0.0f;
                p[row * PITCH + col] = e;
                ds[row * PITCH + col] = visible ? e * (d[i][j] - delta[at]) * scale : 0.0f;
            }
        barrier(CLK_LOCAL_MEM_FENCE);
        weighted(p, dout, i0, sq, ld, D, u, acc_v);
        weighted(ds, q, i0, sq, ld, D, u, acc_k);
    }
    STORE(acc_k, dk, sk, 1.0f)
    STORE(acc_v, dv, sk, 1.0f)
}
