/* SPDX-License-Identifier: MIT
 * What follows a matrix product: adding partial products, bias and residual. One work-item makes one element. */

/* out[i] = part[0][i] + part[1][i] + ... in this order: the sum does not depend on the device. */
__kernel void gemm_sum_splits(TENSOR(part), TENSOR(out), const long n, const int splits)
{
    CBIND(part);
    BIND(out);
    const size_t i = get_global_id(0);
    if (i >= (size_t)n) return;
    float s = 0.0f;
    for (int k = 0; k < splits; k++) s += part[(size_t)k * n + i];
    out[i] = s;
}

/* y (rows, N) += bias + res; bias (N), or one row per bias_rows rows of y. */
__kernel void gemm_add(TENSOR(bias), TENSOR(res), TENSOR(y), const long n, const int N, const int bias_rows)
{
    CBIND_OPT(bias);
    CBIND_OPT(res);
    BIND(y);
    const size_t i = get_global_id(0);
    if (i >= (size_t)n) return;
    float s = y[i];
    if (!ABSENT(bias)) s += bias[(bias_rows ? i / N / bias_rows * N : 0) + i % N];
    if (!ABSENT(res)) s += res[i];
    y[i] = s;
}
