/* SPDX-License-Identifier: MIT
 * Embeddings of the time t (n). */

/* y (n, dim): sin and cos of t exp(-ln(10000) k / reach), k < dim / 2, rounded as on the CPU; cos first if flip; a zero at the end if dim is odd. */
__kernel void sinusoid(TENSOR(t), TENSOR(y), long n, long dim, int flip, float reach)
{
    CBIND(t);
    BIND(y);
    const size_t k = get_global_id(0), i = get_global_id(1);
    const long half_dim = dim / 2;
    if ((long)k >= half_dim + (dim & 1) || (long)i >= n) return;
    y += (long)i * dim;
    if ((long)k == half_dim) {
        y[2 * half_dim] = 0.0f;
        return;
    }
    const float phase = t[i] * exp(-9.210340371976184f * (float)k / reach);
    y[(flip ? half_dim : 0) + (long)k] = sin(phase);
    y[(flip ? 0 : half_dim) + (long)k] = cos(phase);
}

/* y (n, 2 width): sin and cos of 2 pi u, u = ln(t) w. Whole turns are taken off u, exactly, before the factor 2 pi rounds. */
__kernel void fourier(TENSOR(t), TENSOR(w), TENSOR(y), long n, long width)
{
    CBIND(t);
    CBIND(w);
    BIND(y);
    const size_t k = get_global_id(0), i = get_global_id(1);
    if ((long)k >= width || (long)i >= n) return;
    const float log_t = log(t[i]), u = log_t * w[k];
    const float turn = (u - rint(u)) + fma(log_t, w[k], -u);
    y += (long)i * 2 * width + (long)k;
    y[0] = sinpi(2.0f * turn);
    y[width] = cospi(2.0f * turn);
}
