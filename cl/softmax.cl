/* SPDX-License-Identifier: MIT
 * Softmax over rows of D values, and its gradient.
 *
 * VW: floats per vector, 1 to 16. LOCAL: work-items that share a row; 1 where a work-item takes a row alone (then VW may exceed 1).
 * Grid (rows LOCAL). */
#if VW == 1
#define LANES_MAX(v) (v)
#define LANES_SUM(v) (v)
#else
static float lanes_max(VEC v)
{
    float t[VW], m;
    PSTORE(v, t);
    m = t[0];
    for (int i = 1; i < VW; i++) m = fmax(m, t[i]);
    return m;
}
static float lanes_sum(VEC v)
{
    float t[VW];
    PSTORE(v, t);
    for (int w = VW / 2; w > 0; w /= 2)
        for (int i = 0; i < w; i++) t[i] += t[i + w];
    return t[0];
}
#define LANES_MAX(v) lanes_max(v)
#define LANES_SUM(v) lanes_sum(v)
#endif

#if LOCAL > 1
#define SHARED_KERNEL __kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1)))
#define ROW() const size_t row = get_group_id(0); const int me = (int)get_local_id(0); __local float tmp[LOCAL]
#define REDUCE(v, op)                                           \
    tmp[me] = v;                                                \
    barrier(CLK_LOCAL_MEM_FENCE);                               \
    for (int w = LOCAL / 2; w > 0; w /= 2) {                    \
        if (me < w) tmp[me] = op(tmp[me], tmp[me + w]);         \
        barrier(CLK_LOCAL_MEM_FENCE);                           \
    }                                                           \
    v = tmp[0];                                                 \
    barrier(CLK_LOCAL_MEM_FENCE)
#define ADD(a, b) ((a) + (b))
#else
#define SHARED_KERNEL __kernel
#define ROW() const size_t row = get_global_id(0); const int me = 0; if (row >= (size_t)rows) return
#define REDUCE(v, op)
#endif
/* Elements of a row: vectors, then what is left of the row one by one. Every work-item begins at its own. */
#define EACH(vector, single)                                            \
    {                                                                   \
        const int whole = D / VW * VW;                                  \
        for (int j = me * VW; j < whole; j += LOCAL * VW) { vector }    \
        for (int j = whole + me; j < D; j += LOCAL) { single }          \
    }

SHARED_KERNEL void softmax_rows(TENSOR(x), TENSOR(y), const long rows, const int D)
{
    CBIND(x);
    BIND(y);
    ROW();
    x += row * D;
    y += row * D;
    VEC tops = -INFINITY, sums = 0.0f;
    float top = -INFINITY, sum = 0.0f;
    EACH(tops = fmax(tops, VLOAD(x + j));, top = fmax(top, x[j]);)
    top = fmax(top, LANES_MAX(tops));
    REDUCE(top, fmax);
    EACH(const VEC e = exp(VLOAD(x + j) - top); VSTORE(e, y + j); sums += e;, const float e = exp(x[j] - top); y[j] = e; sum += e;)
    sum += LANES_SUM(sums);
    REDUCE(sum, ADD);
    const float f = 1.0f / sum;
    EACH(VSTORE(VLOAD(y + j) * f, y + j);, y[j] *= f;)
}

/* dx = y (dy - s), s = sum y dy in two steps: where one y is nearly 1, its dy - s is far smaller than the rounding of s. */
SHARED_KERNEL void softmax_grad(TENSOR(y), TENSOR(dy), TENSOR(dx), const long rows, const int D)
{
    CBIND(y);
    CBIND(dy);
    BIND(dx);
    ROW();
    y += row * D;
    dy += row * D;
    dx += row * D;
    VEC sums = 0.0f;
    float s = 0.0f;
    EACH(sums += VLOAD(y + j) * VLOAD(dy + j);, s += y[j] * dy[j];)
    s += LANES_SUM(sums);
    REDUCE(s, ADD);
    sums = 0.0f;
    float rest = 0.0f;
    EACH(sums += VLOAD(y + j) * (VLOAD(dy + j) - s);, rest += y[j] * (dy[j] - s);)
    rest += LANES_SUM(sums);
    REDUCE(rest, ADD);
    EACH(VSTORE(VLOAD(y + j) * ((VLOAD(dy + j) - s) - rest), dx + j);, dx[j] = y[j] * ((dy[j] - s) - rest);)
}
