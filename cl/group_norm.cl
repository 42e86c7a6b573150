/* SPDX-License-Identifier: MIT
 * Group normalisation with an optional SiLU, and its gradient. x (N, rows, C); groups of len = C / G adjacent channels.
 *
 * VW: channels per work-item, 1 or a vector width that divides C. SILU: 1 if y = silu(...). LOCAL: work-items that share the sums
 * of one group (gn_finish, gn_grad_means); 1 where a work-item sums alone. KEEP_DZ: the gradient behind the activation waits in dx
 * between the passes, where computing it again costs more than a write.
 * Rows are cut into chunks of `chunk`; grid of the kernels over x: (C / VW, chunks, N). The mean is a pair of floats, high and low. */
#define CAT2(a, b) a##b
#define CAT(a, b) CAT2(a, b)
#if VW == 1
#define VEC float
#define VLOAD(p) (*(p))
#define VSTORE(v, p) (*(p) = (v))
#else
#define VEC CAT(float, VW)
#define AS_VEC CAT(as_float, VW)
#define AS_INT CAT(as_int, VW)
#define VLOAD(p) CAT(vload, VW)(0, p)
#define VSTORE(v, p) CAT(vstore, VW)(v, 0, p)
#endif

#define ROWS_OF_CHUNK()                                                             \
    const size_t c = get_global_id(0) * VW, k = get_global_id(1), n = get_global_id(2); \
    if (c >= (size_t)C || k >= (size_t)chunks || n >= get_global_size(2)) return;   \
    const int r0 = (int)k * chunk, count = min(chunk, rows - r0);                   \
    const size_t at = (n * rows + r0) * C + c

/* Coefficients of channels c .. c + VW - 1: x - shift, times a, plus s; as in src/ops/group_norm.c. */
#define COEFFICIENTS()                                                              \
    float shift_[VW], a_[VW], s_[VW];                                               \
    for (int i = 0; i < VW; i++) {                                                  \
        const size_t g = n * G + (c + i) / len;                                     \
        shift_[i] = mean[2 * g];                                                    \
        a_[i] = ABSENT(w) ? rstd[g] : rstd[g] * w[c + i];                           \
        s_[i] = (ABSENT(b) ? 0.0f : b[c + i]) - mean[2 * g + 1] * a_[i];            \
    }                                                                               \
    const VEC shift = VLOAD(shift_), a = VLOAD(a_), s = VLOAD(s_)

#if VW == 1
#define SIGMOID(z) (1.0f / (1.0f + exp(-(z))))
#else
/* 1 / (1 + e^-z) for vector units: z is held within 87, where e^-z needs no care; -z = k ln 2 + r, e^r by its Taylor series. */
static VEC sigmoid(VEC z)
{
    const VEC x = select(-z, copysign((VEC)(87.0f), -z), isgreater(fabs(z), (VEC)(87.0f)));
    const VEC t = x * 1.44269504f + 12582912.0f, n = t - 12582912.0f; /* 1.5 * 2^23: k in the low bits of t */
    const VEC r = (x - n * 0.693145752f) - n * 1.42860677e-6f, r2 = r * r;
    const VEC a = r * 1.66666667e-1f + 0.5f, b = r * 8.33333333e-3f + 4.16666667e-2f, c = r * 1.98412698e-4f + 1.38888889e-3f;
    const VEC p = ((c * r2 + b) * r2 + a) * r2 + r + 1.0f;
    return 1.0f / (1.0f + AS_VEC(AS_INT(p) + (AS_INT(t) << 23)));
}
#define SIGMOID(z) sigmoid(z)
#endif

/* part [n][chunk][3][C]: a first mean of the chunk's values of a channel; mean of the deviations from it; sum of squares of the
 * deviations from the two together. */
__kernel void gn_stats(TENSOR(x), TENSOR(part), const int rows, const int C, const int chunk, const int chunks)
{
    CBIND(x);
    BIND(part);
    ROWS_OF_CHUNK();
    x += at;
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
    part += (n * chunks + k) * 3 * C + c;
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
#define SUM_MEMORY()
#define FIRST 0
#endif

/* Joins the parts of a group: mean in two floats, rstd. Grid (G LOCAL, N). */
SHARED_KERNEL void gn_finish(TENSOR(part), TENSOR(mean), TENSOR(rstd), const int rows, const int C, const int G, const int chunk, const int chunks,
                        const float norm_eps)
{
    CBIND(part);
    BIND(mean);
    BIND(rstd);
    SUM_MEMORY();
    const size_t g = get_global_id(0) / LOCAL, n = get_global_id(1);
#if LOCAL == 1 /* else the grid is exact, and nobody may leave before a barrier */
    if (g >= (size_t)G || n >= get_global_size(1)) return;
#endif
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

__kernel void gn_apply(TENSOR(x), TENSOR(w), TENSOR(b), TENSOR(mean), TENSOR(rstd), TENSOR(y), const int rows, const int C, const int G,
                       const int chunk, const int chunks)
{
    CBIND(x);
    CBIND_OPT(w);
    CBIND_OPT(b);
    CBIND(mean);
    CBIND(rstd);
    BIND(y);
    const int len = C / G;
    ROWS_OF_CHUNK();
    COEFFICIENTS();
    x += at;
    y += at;
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
__kernel void gn_grad_sums(TENSOR(x), TENSOR(w), TENSOR(b), TENSOR(mean), TENSOR(rstd), TENSOR(dy), TENSOR(dx), TENSOR(part), const int rows,
                           const int C, const int G, const int chunk, const int chunks)
{
    CBIND(x);
    CBIND_OPT(w);
    CBIND_OPT(b);
    CBIND(mean);
    CBIND(rstd);
    CBIND(dy);
    BIND(dx);
    BIND(part);
    const int len = C / G;
    ROWS_OF_CHUNK();
    COEFFICIENTS();
    x += at;
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
    part += (n * chunks + k) * 2 * C + c;
    VSTORE(s1, part);
    VSTORE(s2, part + C);
}

/* sums [n][2][C]: of dz and of dz xhat over the rows of a sample. Grid (C, N). */
__kernel void gn_grad_chunks(TENSOR(part), TENSOR(mean), TENSOR(rstd), TENSOR(sums), const int C, const int G, const int chunks)
{
    CBIND(part);
    CBIND(mean);
    CBIND(rstd);
    BIND(sums);
    const size_t c = get_global_id(0), n = get_global_id(1);
    if (c >= (size_t)C || n >= get_global_size(1)) return;
    part += n * chunks * 2 * C + c;
    float s1 = 0.0f, s2 = 0.0f;
    for (int k = 0; k < chunks; k++, part += 2 * C) {
        s1 += part[0];
        s2 += part[C];
    }
    const size_t g = n * G + c / (C / G);
    sums[n * 2 * C + c] = s1;
    sums[(n * 2 + 1) * C + c] = rstd[g] * (s2 - mean[2 * g + 1] * s1);
}

/* means [n][G][2]: of dxhat and of dxhat xhat over a group. Grid (G LOCAL, N). */
SHARED_KERNEL void gn_grad_means(TENSOR(sums), TENSOR(w), TENSOR(means), const int rows, const int C, const int G)
{
    CBIND(sums);
    CBIND_OPT(w);
    BIND(means);
    SUM_MEMORY();
    const size_t g = get_global_id(0) / LOCAL, n = get_global_id(1);
#if LOCAL == 1
    if (g >= (size_t)G || n >= get_global_size(1)) return;
#endif
    const int len = C / G;
    float m1 = 0.0f, m2 = 0.0f;
    for (int i = FIRST; i < len; i += LOCAL) {
        const size_t c = g * len + i;
        const float f = ABSENT(w) ? 1.0f : w[c];
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

/* dx = rstd (dz w - mean(dxhat) - xhat mean(dxhat xhat)) */
__kernel void gn_grad_dx(TENSOR(x), TENSOR(w), TENSOR(b), TENSOR(mean), TENSOR(rstd), TENSOR(dy), TENSOR(means), TENSOR(dx), const int rows,
                         const int C, const int G, const int chunk, const int chunks)
{
    CBIND(x);
    CBIND_OPT(w);
    CBIND_OPT(b);
    CBIND(mean);
    CBIND(rstd);
    CBIND(dy);
    CBIND(means);
    BIND(dx);
    const int len = C / G;
    ROWS_OF_CHUNK();
    COEFFICIENTS();
    float p_[VW], q_[VW];
    for (int i = 0; i < VW; i++) {
        const size_t g = n * G + (c + i) / len;
        p_[i] = -rstd[g] * rstd[g] * means[2 * g + 1];
        q_[i] = -mean[2 * g + 1] * p_[i] - rstd[g] * means[2 * g];
    }
    /* A group of one value is its own mean: dx is 0, not the rounding error of a difference times rstd. */
    const float several = rows * len == 1 ? 0.0f : 1.0f;
    const VEC p = VLOAD(p_) * several, q = VLOAD(q_) * several, f = a * several;
    x += at;
    dy += at;
    dx += at;
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

/* Sums over samples. Grid (C). */
__kernel void gn_grad_params(TENSOR(sums), TENSOR(dw), TENSOR(db), const int N, const int C)
{
    CBIND(sums);
    BIND(dw);
    BIND(db);
    const size_t c = get_global_id(0);
    if (c >= (size_t)C) return;
    float s1 = 0.0f, s2 = 0.0f;
    for (int n = 0; n < N; n++) {
        s1 += sums[(size_t)n * 2 * C + c];
        s2 += sums[((size_t)n * 2 + 1) * C + c];
    }
    db[c] = s1;
    dw[c] = s2;
}
