/* SPDX-License-Identifier: MIT
 * Noise and dropout from Philox4x32-10. Item (b, i) makes elements 4 b .. 4 b + 3 of sample i; len elements a sample.
 * Needs philox.h. Counter (b low, b high, stream, step), key = the sample's seed. */
#define WORDS(r)                                                                                                    \
    const size_t b = get_global_id(0), sample = get_global_id(1);                                                   \
    const long first = 4 * (long)b;                                                                                 \
    if (first >= len) return;                                                       \
    const ulong seed = as_ulong(seeds[sample]);                                                                     \
    uint r[4];                                                                                                      \
    BRUME_PHILOX((uint)b, (uint)((ulong)b >> 32), as_uint(stream), as_uint(step[0]), (uint)seed, (uint)(seed >> 32), r)

__kernel void noise_normal(TENSOR_I64(seeds), TENSOR_I32(step), TENSOR(y), int stream, long len)
{
    CBIND_I64(seeds);
    CBIND_I32(step);
    BIND(y);
    WORDS(r);
    y += (long)sample * len + first;
    for (int i = 0; i < 4 && first + i < len; i++) y[i] = brume_px_normal(r[i]);
}

__kernel void noise_uniform(TENSOR_I64(seeds), TENSOR_I32(step), TENSOR(y), int stream, long len)
{
    CBIND_I64(seeds);
    CBIND_I32(step);
    BIND(y);
    WORDS(r);
    y += (long)sample * len + first;
    for (int i = 0; i < 4 && first + i < len; i++) y[i] = brume_px_uniform(r[i]);
}

/* y = x scale where the word is not below threshold, else 0: also the gradient, with dy for x. */
__kernel void dropout(TENSOR(x), TENSOR_I64(seeds), TENSOR_I32(step), TENSOR(y), int stream, long len, int threshold, float scale)
{
    CBIND(x);
    CBIND_I64(seeds);
    CBIND_I32(step);
    BIND(y);
    WORDS(r);
    x += (long)sample * len + first;
    y += (long)sample * len + first;
    for (int i = 0; i < 4 && first + i < len; i++) y[i] = brume_px_keep(r[i], as_uint(threshold)) ? x[i] * scale : 0.0f;
}
