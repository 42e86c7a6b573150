/* SPDX-License-Identifier: MIT
 * Losses. Sums are taken in a fixed order: inside an item, a tree inside the group of 64, then one group over the parts. */
#define GROUP 64
#define PART 4096 /* elements of a group */

/* Sum of one value of each of the 64 items; every item gets it, and may use buf again. */
static float group_sum(float v, __local float *buf)
{
    const size_t id = get_local_id(0);
    buf[id] = v;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (size_t half_n = GROUP / 2; half_n > 0; half_n /= 2) {
        if (id < half_n) buf[id] += buf[id + half_n];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    const float s = buf[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return s;
}

__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
void sum_sq_diff(TENSOR(x), TENSOR(target), TENSOR(part), long n)
{
    CBIND(x);
    CBIND(target);
    BIND(part);
    __local float buf[GROUP];
    const size_t group = get_group_id(0), id = get_local_id(0);
    float4 s4 = 0.0f;
    float s = 0.0f;
    for (int k = 0; k < PART / (4 * GROUP); k++) {
        const long i = (long)group * PART + ((long)k * GROUP + (long)id) * 4;
        if (i + 4 <= n) {
            const float4 d = vload4(0, x + i) - vload4(0, target + i);
            s4 += d * d;
        } else {
            for (long j = i; j < n; j++) s += (x[j] - target[j]) * (x[j] - target[j]);
        }
    }
    s += (s4.x + s4.y) + (s4.z + s4.w);
    s = group_sum(s, buf);
    if (id == 0) part[group] = s;
}

/* y = sum of n parts / count. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
void mean_of_parts(TENSOR(part), TENSOR(y), long n, float count)
{
    CBIND(part);
    BIND(y);
    __local float buf[GROUP];
    const size_t id = get_local_id(0);
    float s = 0.0f;
    for (long i = (long)id; i < n; i += GROUP) s += part[i];
    s = group_sum(s, buf);
    if (id == 0) y[0] = s / count;
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
