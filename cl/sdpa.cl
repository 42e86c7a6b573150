/* SPDX-License-Identifier: MIT
 * Attention on any device: one work-item per row, no local memory, no scratch. Each score is made twice, first for the maximum and
 * the sum, then for the weighted mean. Tensors are (B, s, heads D); grid of the kernels: (rows, heads, B). */
#define HEAD(s)                                                                                             \
    const size_t i = get_global_id(0), h = get_global_id(1), b = get_global_id(2), heads = get_global_size(1); \
    if (i >= (size_t)(s)) return;                                                                           \
    const size_t ld = heads * D

static float dot_row(const __global float *x, const __global float *y, int D)
{
    float s = 0.0f;
    for (int c = 0; c < D; c++) s += x[c] * y[c];
    return s;
}

__kernel void sdpa_row(TENSOR(q), TENSOR(k), TENSOR(v), TENSOR(o), TENSOR(lse), const int sq, const int sk, const int D, const int causal,
                       const float scale)
{
    CBIND(q);
    CBIND(k);
    CBIND(v);
    BIND(o);
    BIND(lse);
    HEAD(sq);
    const int n = causal ? min(sk, (int)i + 1) : sk;
    q += (b * sq + i) * ld + h * D;
    o += (b * sq + i) * ld + h * D;
    k += b * sk * ld + h * D;
    v += b * sk * ld + h * D;
    float top = -INFINITY, sum = 0.0f;
    for (int j = 0; j < n; j++) {
        const float s = dot_row(q, k + j * ld, D) * scale, now = fmax(top, s);
        sum = sum * exp(top - now) + exp(s - now);
        top = now;
    }
    for (int c = 0; c < D; c++) o[c] = 0.0f;
    for (int j = 0; j < n; j++) {
        const float p = exp(dot_row(q, k + j * ld, D) * scale - top);
        for (int c = 0; c < D; c++) o[c] += p * v[j * ld + c];
    }
    const float g = 1.0f / sum;
    for (int c = 0; c < D; c++) o[c] *= g;
    lse[(b * heads + h) * sq + i] = top + log(sum);
}

/* delta [B][heads][Sq] = sum over a head's channels of o dout. */
__kernel void sdpa_row_delta(TENSOR(o), TENSOR(dout), TENSOR(delta), const int sq, const int D)
{
    CBIND(o);
    CBIND(dout);
    BIND(delta);
    HEAD(sq);
    const size_t at = (b * sq + i) * ld + h * D;
    delta[(b * heads + h) * sq + i] = dot_row(o + at, dout + at, D);
}

__kernel void sdpa_row_dq(TENSOR(q), TENSOR(k), TENSOR(v), TENSOR(lse), TENSOR(dout), TENSOR(delta), TENSOR(dq), const int sq, const int sk,
                          const int D, const int causal, const float scale)
{
    CBIND(q);
    CBIND(k);
    CBIND(v);
    CBIND(lse);
    CBIND(dout);
    CBIND(delta);
    BIND(dq);
    HEAD(sq);
    const int n = causal ? min(sk, (int)i + 1) : sk;
    const size_t row = (b * heads + h) * sq + i;
    q += (b * sq + i) * ld + h * D;
    dq += (b * sq + i) * ld + h * D;
    dout += (b * sq + i) * ld + h * D;
    k += b * sk * ld + h * D;
    v += b * sk * ld + h * D;
    for (int c = 0; c < D; c++) dq[c] = 0.0f;
    for (int j = 0; j < n; j++) {
        const float p = exp(dot_row(q, k + j * ld, D) * scale - lse[row]);
        const float ds = p * (dot_row(dout, v + j * ld, D) - delta[row]) * scale;
        for (int c = 0; c < D; c++) dq[c] += ds * k[j * ld + c];
    }
}

__kernel void sdpa_row_dkv(TENSOR(q), TENSOR(k), TENSOR(v), TENSOR(lse), TENSOR(dout), TENSOR(delta), TENSOR(dk), TENSOR(dv), const int sq,
                           const int sk, const int D, const int causal, const float scale)
{
    CBIND(q);
    CBIND(k);
    CBIND(v);
    CBIND(lse);
    CBIND(dout);
    CBIND(delta);
    BIND(dk);
    BIND(dv);
    HEAD(sk);
    const size_t at = (b * sk + i) * ld + h * D;
    k += at;
    v += at;
    dk += at;
    dv += at;
    lse += (b * heads + h) * sq;
    delta += (b * heads + h) * sq;
    q += b * sq * ld + h * D;
    dout += b * sq * ld + h * D;
    for (int c = 0; c < D; c++) dk[c] = dv[c] = 0.0f;
    for (int j = causal ? (int)i : 0; j < sq; j++) {
        const float p = exp(dot_row(q + j * ld, k, D) * scale - lse[j]);
        const float ds = p * (dot_row(dout + j * ld, v, D) - delta[j]) * scale;
        for (int c = 0; c < D; c++) {
            dv[c] += p * dout[j * ld + c];
            dk[c] += ds * q[j * ld + c];
        }
    }
}
