/* SPDX-License-Identifier: MIT
 * What the losses share: the mean of partial sums on OpenCL. */
#include "ops/loss.h"

#include "ops/chunks.h"

/* Bytes of n f32, rounded up so that what follows may be a tensor of its own. */
static size_t padded(int64_t n) { return (size_t)brume_ceil_div(n * 4, 256) * 256; }

size_t brume_cl_sum_bytes(int64_t n)
{
    size_t bytes = padded(n);
    for (; n > 1; n = brume_ceil_div(n, 64)) bytes += padded(brume_ceil_div(n, 64));
    return bytes;
}

void brume_cl_mean(struct brume_cl_list *l, int64_t n, float count, int vw)
{
    size_t at = 0;
    bool last;
    do {
        const int64_t sums = brume_ceil_div(n, 64);
        last = sums == 1;
        struct brume_cl_launch *k = brume_cl_add(l, "loss.cl", "sum_parts", "-DVW=%d", vw);
        brume_cl_work(k, (int64_t)at);
        at += padded(n);
        if (last) brume_cl_out(k, 0);
        else brume_cl_work(k, (int64_t)at);
        brume_cl_long(k, n);
        brume_cl_float(k, last ? count : 1.0f);
        brume_cl_size1(k, (size_t)sums, 64);
        n = sums;
    } while (!last);
}
