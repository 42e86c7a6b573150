/* SPDX-License-Identifier: MIT
 * Gated GELU: a row of x holds a (width) and b (width); y = a gelu_erf(b). An item makes VW (4, 8 or 16) values of a row. Needs math.h. */

#define ITEM                                                                                  \
    const long item = (long)get_global_id(0), pieces = (width + VW - 1) / VW;                 \
    const long row = item / pieces, first = item % pieces * VW;                               \
    if (row >= rows) return;                                                                  \
    const long left = width - first;                                                          \
    x += row * 2 * width + first

__kernel void geglu(TENSOR(x), TENSOR(y), long rows, long width)
{
    CBIND(x);
    BIND(y);
    ITEM;
    y += row * width + first;
    if (left >= VW) {
        const VEC b = VLOAD(x + width);
        VSTORE(VLOAD(x) * bm_gelu_erf(b), y);
        return;
    }
    for (long i = 0; i < left; i++) {
        const float b = x[width + i];
        y[i] = x[i] * bm_gelu_erf(b);
    }
}

__kernel void geglu_grad(TENSOR(x), TENSOR(dy), TENSOR(dx), long rows, long width)
{
    CBIND(x);
    CBIND(dy);
    BIND(dx);
    ITEM;
    dy += row * width + first;
    dx += row * 2 * width + first;
    if (left >= VW) {
        const VEC b = VLOAD(x + width), d = VLOAD(dy);
        VSTORE(d * bm_gelu_erf(b), dx);
        VSTORE(d * VLOAD(x) * bm_gelu_erf_grad(b), dx + width);
        return;
    }
    for (long i = 0; i < left; i++) {
        const float b = x[width + i];
        dx[i] = dy[i] * bm_gelu_erf(b);
        dx[width + i] = dy[i] * x[i] * bm_gelu_erf_grad(b);
    }
}
