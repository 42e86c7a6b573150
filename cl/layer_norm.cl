/* SPDX-License-Identifier: MIT
 * Layer normalisation over rows of D values, and its gradient. The mean is a pair of floats, high and low.
 *
 * VW: floats per vector, 1 to 16. LOCAL: work-items that share a row; 1 where a work-item takes a row alone (then VW may exceed 1).
 * Grid of the kernels over rows: (rows LOCAL). */
#if VW == 1
#define LANES_SUM(v) (v)
#else
static float lanes_sum(VEC v)
{
    float t[VW];
    PSTORE(v, t);
    for (int w = VW / 2; w > 0; w /= 2)
        for (int i = 0; i < w; i++) t[i] += t[i + w];
    return t[0];
}
#define LANES_SUM(v) lanes_sum(v)
#endif

#if LOCAL > 1
#define SHARED_KERNEL __kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1)))
#define ROW() const size_t row = get_group_id(0); const int me = (int)get_local_id(0); __local float tmp[LOCAL]
#define REDUCE(v)                                               \
    tmp[me] = v;                                                \
    barrier(CLK_LOCAL_MEM_FENCE);                               \
    for (int w = LOCAL / 2; w > 0; w /= 2) {                    \
        if (me < w) tmp[me] += tmp[me + w];                     \
        barrier(CLK_LOCAL_MEM_FENCE);                           \
    }                                                           \
    v = tmp[0];                                                 \
    barrier(CLK_LOCAL_MEM_FENCE)
#else
#define SHARED_KERNEL __kernel
#define ROW() const size_t row = get_global_id(0); const int me = 0; if (row >= (size_t)rows) return
#define REDUCE(v)
#endif
/* Elements of a row: vectors, then what is left of the row one by one. Every work-item begins at its own. */
#define EACH(vector, single)                                            \
    {                                                                   \
        const int whole = D / VW * VW;                                  \
        for (int j = me * VW; j < whole; j += LOCAL * VW) { vector }    \
        for (int j = whole + me; j < D; j += LOCAL) { single }          \
    }

SHARED_KERNEL void ln_rows(TENSOR(x), TENSOR(w), TENSOR(b), TENSOR(y), TENSOR(mean), TENSOR(rstd), const long rows, const int D, const float norm_eps)
{
    CBIND(x);
    CBIND_OPT(w);
    CBIND_OPT(b);
    BIND(y);
    BIND(mean);
    BIND(rstd);
    ROW();
    x += row * D;
    y += row * D;
    VEC v1 = 0.0f, v2 = 0.0f;
    float d1 = 0.0f, d2 = 0.0f;
    EACH(v1 += VLOAD(x + j);, d1 += x[j];)
    d1 += LANES_SUM(v1);
    REDUCE(d1);
    const float base = d1 / (float)D; /* rounded, hence a shift only */
    v1 = 0.0f;
    d1 = 0.0f;
    EACH(const VEC t = VLOAD(x + j) - base; v1 += t; v2 += t * t;, const float t = x[j] - base; d1 += t; d2 += t * t;)
    d1 += LANES_SUM(v1);
    d2 += LANES_SUM(v2);
    REDUCE(d1);
    REDUCE(d2);
    const float offset = d1 / (float)D, var = d2 / (float)D - offset * offset;
    const float hi = base + offset, back = hi - base, lo = (base - (hi - back)) + (offset - back); /* Knuth's two-sum */
    const float r = 1.0f / sqrt((var < 0.0f ? 0.0f : var) + norm_eps);
    if (me == 0) {
        mean[2 * row] = hi;
        mean[2 * row + 1] = lo;
        rstd[row] = r;
    }
    if (ABSENT(w)) {
        EACH(VSTORE(((VLOAD(x + j) - hi) - lo) * r, y + j);, y[j] = ((x[j] - hi) - lo) * r;)
    } else {
        EACH(VSTORE(((VLOAD(x + j) - hi) - lo) * r * VLOAD(w + j) + VLOAD(b + j), y + j);, y[j] = ((x[j] - hi) - lo) * r * w[j] + b[j];)
    }
}

/* dx = rstd (g - mean g - xhat mean(g xhat)), g = dy w, which waits in dx. */
SHARED_KERNEL void ln_grad_rows(TENSOR(x), TENSOR(w), TENSOR(mean), TENSOR(rstd), TENSOR(dy), TENSOR(dx), const long rows, const int D)
{
    CBIND(x);
    CBIND_OPT(w);
    CBIND(mean);
    CBIND(rstd);
    CBIND(dy);
    BIND(dx);
    ROW();
    x += row * D;
    dy += row * D;
    dx += row * D;
    const float hi = mean[2 * row], lo = mean[2 * row + 1], r = rstd[row];
    const int plain = ABSENT(w);
    VEC v1 = 0.0f, v2 = 0.0f;
    float s1 = 0.0f, s2 = 0.0f;
    EACH(VEC g = VLOAD(dy + j); if (!plain) g *= VLOAD(w + j); VSTORE(g, dx + j); v1 += g; v2 += g * (((VLOAD(x + j) - hi) - lo) * r);,
         float g = dy[j]; if (!plain) g *= w[j]; dx[j] = g; s1 += g; s2 += g * (((x[j] - hi) - lo) * r);)
    s1 += LANES_SUM(v1);
    s2 += LANES_SUM(v2);
    REDUCE(s1);
    REDUCE(s2);
    s1 /= (float)D;
    s2 /= (float)D;
    EACH(VSTORE((VLOAD(dx + j) - s1 - ((VLOAD(x + j) - hi) - lo) * r * s2) * r, dx + j);,
         dx[j] = (dx[j] - s1 - ((x[j] - hi) - lo) * r * s2) * r;)
}

/* part [chunk][2][D]: sums over the rows of a chunk of dy xhat and dy. Grid (D, chunks). */
__kernel void ln_grad_params(TENSOR(x), TENSOR(mean), TENSOR(rstd), TENSOR(dy), TENSOR(part), const long rows, const int D, const int chunk)
{
    CBIND(x);
    CBIND(mean);
    CBIND(rstd);
    CBIND(dy);
    BIND(part);
    const size_t c = get_global_id(0), k = get_global_id(1);
    if (c >= (size_t)D || k >= get_global_size(1)) return;
    const size_t end = min((k + 1) * chunk, (size_t)rows);
    float dw = 0.0f, db = 0.0f;
    for (size_t i = k * chunk; i < end; i++) {
        const float d = dy[i * D + c];
        dw += d * (((x[i * D + c] - mean[2 * i]) - mean[2 * i + 1]) * rstd[i]);
        db += d;
    }
    part[2 * k * D + c] = dw;
    part[(2 * k + 1) * D + c] = db;
}

/* Sums over chunks. Grid (D). */
__kernel void ln_grad_sum(TENSOR(part), TENSOR(dw), TENSOR(db), const int D, const int chunks)
{
    CBIND(part);
    BIND(dw);
    BIND(db);
    const size_t c = get_global_id(0);
    if (c >= (size_t)D) return;
    float sw = 0.0f, sb = 0.0f;
    for (int k = 0; k < chunks; k++) {
        sw += part[(size_t)2 * k * D + c];
        sb += part[((size_t)2 * k + 1) * D + c];
    }
    dw[c] = sw;
    db[c] = sb;
}
