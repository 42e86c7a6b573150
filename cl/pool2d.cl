/* SPDX-License-Identifier: MIT
 * Maxima and means over windows of pixels (N, H, W, C): an item makes one value. */

/* The item's place; its window within the image is y0 .. y1 - 1, x0 .. x1 - 1. */
#define WINDOW                                                                                                     \
    CBIND(x);                                                                                                      \
    BIND(y);                                                                                                       \
    const long item = (long)get_global_id(0);                                                                      \
    if (item >= items) return;                                                                                     \
    const long k = item % c, ox = item / c % ow, oy = item / c / ow % oh, n = item / c / ow / oh;                  \
    const long top = oy * stride - pad_y, left = ox * stride - pad_x;                                              \
    const long y0 = max(top, 0L), y1 = min(top + kernel_y, h), x0 = max(left, 0L), x1 = min(left + kernel_x, w);   \
    x += n * h * w * c + k

#define ARGUMENTS                                                                                                  \
    TENSOR(x), TENSOR(y), long h, long w, long c, long oh, long ow, long items, int kernel_y, int kernel_x, int stride, int pad_y, int pad_x, int count_pad

__kernel void max_pool2d(ARGUMENTS)
{
    WINDOW;
    float best = -INFINITY;
    for (long i = y0; i < y1; i++)
        for (long j = x0; j < x1; j++) {
            const float v = x[(i * w + j) * c];
            best = v > best || v != v ? v : best; /* NaN once there is one */
        }
    y[item] = best;
}

__kernel void mean_pool2d(ARGUMENTS)
{
    WINDOW;
    float sum = 0.0f;
    for (long i = y0; i < y1; i++)
        for (long j = x0; j < x1; j++) sum += x[(i * w + j) * c];
    y[item] = sum / (float)(count_pad ? (long)kernel_y * kernel_x : (y1 - y0) * (x1 - x0));
}
