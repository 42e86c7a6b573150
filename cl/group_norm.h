/* SPDX-License-Identifier: MIT
 * Parts of group normalisation with an optional SiLU, and of its gradient. x (N, rows, C); groups of len = C / G adjacent channels.
 *
 * VW: channels of a vector, 1 or a width that divides C. SILU: 1 if y = silu(...). LOCAL: work-items that share the sums of one group;
 * 1 where a work-item sums alone. KEEP_DZ: the gradient behind the activation waits in dx between the passes, where computing it again
 * costs more than a write. Rows are cut into chunks of `chunk`. The mean is a pair of floats, high and low. */

#if VW == 1
#define SIGMOID(z) (1.0f / (1.0f + exp(-(z))))
#else
#define AS_VEC CAT(as_float, VW)
#define AS_INT CAT(as_int, VW)
/* 1 / (1 + e^-z) for vector units: z is held within 87, where e^-z needs no care (of a NaN something is made,
 * which it is then multiplied by); -z = k ln 2 + r, e^r by its Taylor series. */
static VEC sigmoid(VEC z)
{
    const VEC x = min(max(-z, (VEC)(-87.0f)), (VEC)(87.0f));
    const VEC t = x * 1.44269504f + 12582912.0f, n = t - 12582912.0f; /* 1.5 * 2^23: k in the low bits of t */
    const VEC r = (x - n * 0.693145752f) - n * 1.42860677e-6f, r2 = r * r;
    const VEC a = r * 1.66666667e-1f + 0.5f, b = r * 8.33333333e-3f + 4.16666667e-2f, c = r * 1.98412698e-4f + 1.38888889e-3f;
    const VEC p = ((c * r2 + b) * r2 + a) * r2 + r + 1.0f;
    return 1.0f / (1.0f + AS_VEC(AS_INT(p) + (AS_INT(t) << 23)));
}
#define SIGMOID(z) sigmoid(z)
#endif

/* Rows of chunk k; where its channel c of sample n begins. */
#define CHUNK(base)                                                     \
    const int r0 = (k) * chunk, count = min(chunk, rows - r0);          \
    base += ((size_t)(n) * rows + r0) * C + c

/* part [n][chunk][3][C]: a first mean of the chunk's values of a channel; mean of the deviations from it; sum of squares of the
 * deviations from the two together. */
static void chunk_stats(const __global float *x, __global float *part, int rows, int C, int chunk, int chunks, int n, int k, int c)
{
    CHUNK(x);
    VEC sum = 0.0f, odd = 0.0f; /* rows in pairs: sums do not wait for each other */
    for (int r = 0; r + 1 < count; r += 2) {
        sum += VLOAD(x + (size_t)r * C);
        odd += VLOAD(x + (size_t)(r + 1) * C);
    }
    if (count % 2) sum += VLOAD(x + (size_t)(count - 1) * C);
    const VEC m = (sum + odd) / (float)count;
    VEC d1 = 0.0f, d2 = 0.0f, e1 = 0.0f, e2 = 0.0f;
    for (int r = 0; r + 1 < count; r += 2) {
        const VEC t = VLOAD(x + (size_t)r * C) - m, u = VLOAD(x + (size_t)(r + 1) * C) - m;
        d1 += t;
        d2 += t * t;
        e1 += u;
        e2 += u * u;
    }
    if (count % 2) {
        const VEC t = VLOAD(x + (size_t)(count - 1) * C) - m;
        d1 += t;
        d2 += t * t;
    }
    d1 = (d1 + e1) / (float)count;
    d2 += e2;
    part += ((size_t)n * chunks + k) * 3 * C + c;
    VSTORE(m, part);
    VSTORE(d1, part + C);
    VSTORE(d2 - d1 * d1 * (float)count, part + 2 * C);
}

/* Sum of v over the LOCAL work-items of a group, in a fixed order. */
#if LOCAL > 1
#define SHARED_KERNEL __kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1)))
static float sum_local(float v, __local float *tmp)
{
    const int t = (int)get_local_id(0);
    tmp[t] = v;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int w = LOCAL / 2; w > 0; w /= 2) {
        if (t < w) tmp[t] += tmp[t + w];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    const float sum = tmp[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return sum;
}
#define EACH_PART() for (int i = FIRST, k = i / len, c = i % len; i < chunks * len; i += LOCAL, k = i / len, c = i % len)
#define SUM(v) sum_local(v, tmp)
#define SUM_MEMORY() __local float tmp[LOCAL]
#define FIRST ((int)get_local_id(0))
#else
#define SHARED_KERNEL __kernel
#define EACH_PART() for (int k = 0; k < chunks; k++) for (int c = 0; c < len; c++)
#define SUM(v) (v)
#define SUM_MEMORY() __local float *tmp = 0
#define FIRST 0
#endif

/* Joins the parts of a group: mean in two floats, rstd. */
static void group_finish(const __global float *part, __global float *mean, __global float *rstd, int rows, int C, int G, int chunk, int chunks,
                         float norm_eps, size_t n, size_t g, __local float *tmp)
{
    const int len = C / G;
    part += n * chunks * 3 * C + g * len;
    const float base = part[0], all = (float)rows * (float)len;
    float sum = 0.0f;
    EACH_PART() {
        const __global float *p = part + (size_t)k * 3 * C + c;
        sum += (float)min(chunk, rows - k * chunk) * ((p[0] - base) + p[C]);
    }
    const float offset = SUM(sum) / all;
    sum = 0.0f;
    EACH_PART() {
        const __global float *p = part + (size_t)k * 3 * C + c;
        const float d = ((p[0] - base) - offset) + p[C];
        sum += p[2 * C] + (float)min(chunk, rows - k * chunk) * d * d;
    }
    const float var = SUM(sum) / all;
    if (FIRST != 0) return;
    const float hi = base + offset, back = hi - base; /* Knuth's two-sum: hi + lo = base + offset exactly */
    mean[(n * G + g) * 2] = hi;
    mean[(n * G + g) * 2 + 1] = (base - (hi - back)) + (offset - back);
    rstd[n * G + g] = 1.0f / sqrt((var < 0.0f ? 0.0f : var) + norm_eps);
}

/* Coefficients of channel c of group g of all samples: x - shift, times scale, plus add; as in src/ops/group_norm.c. w, b: 0 if absent. */
#define SHIFT(g) mean[2 * (g)]
#define SCALE(g, c) (w ? rstd[g] * w[c] : rstd[g])
#define ADD(g, c, scale) ((b ? b[c] : 0.0f) - mean[2 * (g) + 1] * (scale))
/* Likewise for the gradient, besides scale times dz: of x - shift, and alone. */
#define GRAD_SLOPE(g) (-rstd[g] * rstd[g] * means[2 * (g) + 1])
#define GRAD_ADD(g, slope) (-mean[2 * (g) + 1] * (slope) - rstd[g] * means[2 * (g)])

static void chunk_apply(const __global float *x, __global float *y, VEC shift, VEC a, VEC s, int rows, int C, int chunk, int n, int k, int c)
{
    CHUNK(x);
    y += ((size_t)n * rows + r0) * C + c;
    for (int r = 0; r < count; r++, x += C, y += C) {
        VEC z = (VLOAD(x) - shift) * a + s;
#if SILU
        z *= SIGMOID(z);
#endif
        VSTORE(z, y);
    }
}

#if SILU
#define ACT_GRAD(dz, t, dy)                                     \
    const VEC z_ = t * a + s, g_ = SIGMOID(z_);                 \
    const VEC dz = (dy) * (g_ * (1.0f + z_ * (1.0f - g_)))
#else
#define ACT_GRAD(dz, t, dy) const VEC dz = (dy)
#endif

/* part [n][chunk][2][C]: sums of dz and of dz (x - shift). */
static void chunk_grad_sums(const __global float *x, const __global float *dy, __global float *dx, __global float *part, VEC shift, VEC a, VEC s,
                            int rows, int C, int chunk, int chunks, int n, int k, int c)
{
    CHUNK(x);
    const size_t at = ((size_t)n * rows + r0) * C + c;
    dy += at;
    dx += at;
    VEC s1 = 0.0f, s2 = 0.0f;
    for (int r = 0; r < count; r++, x += C, dy += C, dx += C) {
        const VEC t = VLOAD(x) - shift;
        ACT_GRAD(dz, t, VLOAD(dy));
#if SILU && defined(KEEP_DZ)
        VSTORE(dz, dx);
#endif
        s1 += dz;
        s2 += dz * t;
    }
#if !SILU
    (void)a;
    (void)s;
#endif
    part += ((size_t)n * chunks + k) * 2 * C + c;
    VSTORE(s1, part);
    VSTORE(s2, part + C);
}

/* means [n][G][2]: of dxhat and of dxhat xhat over a group, from sums [n][2][C] of dz and dz xhat over the rows. */
static void group_grad_means(const __global float *sums, const __global float *w, __global float *means, int rows, int C, int G, size_t n, size_t g,
                             __local float *tmp)
{
    const int len = C / G;
    float m1 = 0.0f, m2 = 0.0f;
    for (int i = FIRST; i < len; i += LOCAL) {
        const size_t c = g * len + i;
        const float f = w ? w[c] : 1.0f;
        m1 += f * sums[n * 2 * C + c];
        m2 += f * sums[(n * 2 + 1) * C + c];
    }
    const float all = (float)rows * (float)len;
    m1 = SUM(m1) / all;
    m2 = SUM(m2) / all;
    if (FIRST != 0) return;
    means[(n * G + g) * 2] = m1;
    means[(n * G + g) * 2 + 1] = m2;
}

/* dx = rstd (dz w - mean(dxhat) - xhat mean(dxhat xhat)) = dz a + (x - shift) p + q.
 * several 0: a group of one value is its own mean, dx is 0, not the rounding error of a difference times rstd. */
static void chunk_grad_dx(const __global float *x, const __global float *dy, __global float *dx, VEC shift, VEC a, VEC s, VEC p, VEC q, int several,
                          int rows, int C, int chunk, int n, int k, int c)
{
    CHUNK(x);
    const size_t at = ((size_t)n * rows + r0) * C + c;
    const VEC f = several ? a : (VEC)(0.0f);
    dy += at;
    dx += at;
    p *= (float)several;
    q *= (float)several;
    for (int r = 0; r < count; r++, x += C, dy += C, dx += C) {
        const VEC t = VLOAD(x) - shift;
#if SILU && defined(KEEP_DZ)
        const VEC dz = VLOAD(dx);
#else
        ACT_GRAD(dz, t, VLOAD(dy));
#endif
        VSTORE(dz * f + (t * p + q), dx);
    }
    (void)s;
}

/* Sums over samples of sums [n][2][C], for channel c. */
static void channel_grad_params(const __global float *sums, __global float *dw, __global float *db, int N, int C, size_t c)
{
    float s1 = 0.0f, s2 = 0.0f;
    for (int n = 0; n < N; n++) {
        s1 += sums[(size_t)n * 2 * C + c];
        s2 += sums[((size_t)n * 2 + 1) * C + c];
    }
    db[c] = s1;
    dw[c] = s2;
}
