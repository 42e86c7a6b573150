/* SPDX-License-Identifier: MIT
 * Group normalisation and its gradient in passes over the whole tensor, from the parts in group_norm.h.
 * Grid of the kernels over x: (C / VW, chunks, N). */

#define PLACE()                                                                             \
    const int c = (int)get_global_id(0) * VW, k = (int)get_global_id(1), n = (int)get_global_id(2); \
    if (c >= C || k >= chunks || n >= (int)get_global_size(2)) return

/* Coefficients of channels c .. c + VW - 1. */
#define COEFFICIENTS()                                                          \
    const __global float *w = ABSENT(w) ? 0 : w_base + w_off, *b = ABSENT(b) ? 0 : b_base + b_off; \
    float shift_[VW], a_[VW], s_[VW];                                           \
    for (int i = 0; i < VW; i++) {                                              \
        const size_t g = (size_t)n * G + (c + i) / (C / G);                     \
        shift_[i] = SHIFT(g);                                                   \
        a_[i] = SCALE(g, c + i);                                                \
        s_[i] = ADD(g, c + i, a_[i]);                                           \
    }                                                                           \
    const VEC shift = PLOAD(shift_), a = PLOAD(a_), s = PLOAD(s_)

__kernel void gn_stats(TENSOR(x), TENSOR(part), const int rows, const int C, const int chunk, const int chunks)
{
    CBIND(x);
    BIND(part);
    PLACE();
    chunk_stats(x, part, rows, C, chunk, chunks, n, k, c);
}

/* Grid (G LOCAL, N): exact where work-items share, as nobody may leave before a barrier. */
SHARED_KERNEL void gn_finish(TENSOR(part), TENSOR(mean), TENSOR(rstd), const int rows, const int C, const int G, const int chunk, const int chunks,
                             const float norm_eps)
{
    CBIND(part);
    BIND(mean);
    BIND(rstd);
    SUM_MEMORY();
    const size_t g = get_global_id(0) / LOCAL, n = get_global_id(1);
#if LOCAL == 1
    if (g >= (size_t)G || n >= get_global_size(1)) return;
#endif
    group_finish(part, mean, rstd, rows, C, G, chunk, chunks, norm_eps, n, g, tmp);
}

__kernel void gn_apply(TENSOR(x), TENSOR(w), TENSOR(b), TENSOR(mean), TENSOR(rstd), TENSOR(y), const int rows, const int C, const int G,
                       const int chunk, const int chunks)
{
    CBIND(x);
    CBIND(mean);
    CBIND(rstd);
    BIND(y);
    PLACE();
    COEFFICIENTS();
    chunk_apply(x, y, shift, a, s, rows, C, chunk, n, k, c);
}

__kernel void gn_grad_sums(TENSOR(x), TENSOR(w), TENSOR(b), TENSOR(mean), TENSOR(rstd), TENSOR(dy), TENSOR(dx), TENSOR(part), const int rows,
                           const int C, const int G, const int chunk, const int chunks)
{
    CBIND(x);
    CBIND(mean);
    CBIND(rstd);
    CBIND(dy);
    BIND(dx);
    BIND(part);
    PLACE();
    COEFFICIENTS();
    chunk_grad_sums(x, dy, dx, part, shift, a, s, rows, C, chunk, chunks, n, k, c);
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

/* Grid (G LOCAL, N). */
SHARED_KERNEL void gn_grad_means(TENSOR(sums), TENSOR(w), TENSOR(means), const int rows, const int C, const int G)
{
    CBIND(sums);
    BIND(means);
    SUM_MEMORY();
    const size_t g = get_global_id(0) / LOCAL, n = get_global_id(1);
#if LOCAL == 1
    if (g >= (size_t)G || n >= get_global_size(1)) return;
#endif
    group_grad_means(sums, ABSENT(w) ? 0 : w_base + w_off, means, rows, C, G, n, g, tmp);
}

__kernel void gn_grad_dx(TENSOR(x), TENSOR(w), TENSOR(b), TENSOR(mean), TENSOR(rstd), TENSOR(dy), TENSOR(means), TENSOR(dx), const int rows,
                         const int C, const int G, const int chunk, const int chunks)
{
    CBIND(x);
    CBIND(mean);
    CBIND(rstd);
    CBIND(dy);
    CBIND(means);
    BIND(dx);
    PLACE();
    COEFFICIENTS();
    float p_[VW], q_[VW];
    for (int i = 0; i < VW; i++) {
        const size_t g = (size_t)n * G + (c + i) / (C / G);
        p_[i] = GRAD_SLOPE(g);
        q_[i] = GRAD_ADD(g, p_[i]);
    }
    chunk_grad_dx(x, dy, dx, shift, a, s, PLOAD(p_), PLOAD(q_), rows * (C / G) > 1, rows, C, chunk, n, k, c);
}

/* Grid (C). */
__kernel void gn_grad_params(TENSOR(sums), TENSOR(dw), TENSOR(db), const int N, const int C)
{
    CBIND(sums);
    BIND(dw);
    BIND(db);
    if (get_global_id(0) < (size_t)C) channel_grad_params(sums, dw, db, N, C, get_global_id(0));
}
