/* SPDX-License-Identifier: MIT
 * Parts of a vector: each is copied to its offset unless it lies there already, and the gap behind it is zeroed. Eight parts a launch. */

static void part(const __global float *x, __global float *y, const long offset, const long n, const long gap, const long first, const long step)
{
    __global float *to = y + offset;
    if (x != to)
        for (long i = first; i < n; i += step) to[i] = x[i];
    for (long i = first; i < gap; i += step) to[n + i] = 0.0f;
}

#define PART(k) TENSOR(x##k), const long o##k, const long n##k, const long g##k
#define DO(k) if (m > k) part(x##k##_base + x##k##_off, y, o##k, n##k, g##k, first, step)

__kernel void pack(TENSOR(y), const int m, const long step, const long front, PART(0), PART(1), PART(2), PART(3), PART(4), PART(5), PART(6), PART(7))
{
    BIND(y);
    const long first = (long)get_global_id(0);
    if (first >= step) return;
    for (long i = first; i < front; i += step) y[i] = 0.0f;
    DO(0);
    DO(1);
    DO(2);
    DO(3);
    DO(4);
    DO(5);
    DO(6);
    DO(7);
}
