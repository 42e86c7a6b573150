/* SPDX-License-Identifier: MIT
 * Losses. Sums are taken in a fixed order, without barriers: by items over some hundred elements, then 64 parts to one until one is left.
 * VW: floats of a vector, 4, 8 or 16. */


/* Item j sums (x - target)^2 of groups of VW elements from j first on, every `step` elements, within `span` elements. */
__kernel void sum_sq_diff(TENSOR(x), TENSOR(target), TENSOR(part), long n, long items, long first, long step, long span)
{
    CBIND(x);
    CBIND(target);
    BIND(part);
    const long j = (long)get_global_id(0);
    if (j >= items) return;
    const long end = min(j * first + span, n);
    VEC sum = 0.0f;
    long i = j * first;
    for (; i + VW <= end; i += step) {
        const VEC d = VLOAD(x + i) - VLOAD(target + i);
        sum += d * d;
    }
    float lane[VW], s = 0.0f;
    PSTORE(sum, lane);
    for (int k = 0; k < VW; k++) s += lane[k];
    for (; i < end; i++) s += (x[i] - target[i]) * (x[i] - target[i]);
    part[j] = s;
}

/* Item j sums 64 values of `from` from 64 j on, and divides by count. */
__kernel void sum_parts(TENSOR(from), TENSOR(to), long n, float count)
{
    CBIND(from);
    BIND(to);
    const long j = (long)get_global_id(0), end = min(64 * j + 64, n);
    if (64 * j >= n) return;
    float s = 0.0f;
    for (long i = 64 * j; i < end; i++) s += from[i];
    to[j] = s / count;
}

/* The largest element of a row, and the sum of exp(x - top): no exponential overflows. */
static float top_of(const __global float *x, long n)
{
    float top = -INFINITY;
    for (long i = 0; i < n; i++) top = x[i] > top ? x[i] : top;
    return isinf(top) ? 0.0f : top;
}

static float sum_exp(const __global float *x, long n, float top)
{
    float s = 0.0f;
    for (long i = 0; i < n; i++) s += exp(x[i] - top);
    return s;
}

/* One row per item: logsumexp(x) - x[label], NaN for a label outside the row. */
__kernel void cross_entropy_rows(TENSOR(x), TENSOR_I32(labels), TENSOR(part), long rows, long classes)
{
    CBIND(x);
    CBIND_I32(labels);
    BIND(part);
    const size_t r = get_global_id(0);
    if ((long)r >= rows) return;
    x += (long)r * classes;
    const int label = labels[r];
    const bool inside = label >= 0 && label < (int)classes;
    const float top = top_of(x, classes), s = sum_exp(x, classes, top), chosen = x[inside ? label : 0];
    part[r] = inside ? (top - chosen) + log(s) : NAN;
}

/* (softmax(x) - onehot(label)) dy / rows; NaN for a label outside the row. */
__kernel void cross_entropy_grad(TENSOR(x), TENSOR_I32(labels), TENSOR(dy), TENSOR(dx), long rows, long classes)
{
    CBIND(x);
    CBIND_I32(labels);
    CBIND(dy);
    BIND(dx);
    const size_t r = get_global_id(0);
    if ((long)r >= rows) return;
    x += (long)r * classes;
    dx += (long)r * classes;
    const long label = labels[r];
    const float top = top_of(x, classes), inv = 1.0f / sum_exp(x, classes, top);
    const float f = label >= 0 && label < classes ? dy[0] / (float)rows : NAN;
    for (long i = 0; i < classes; i++) dx[i] = (exp(x[i] - top) * inv - (i == label ? 1.0f : 0.0f)) * f;
}
