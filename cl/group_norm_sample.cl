/* SPDX-License-Identifier: MIT
 * Group normalisation and its gradient for devices of CPU type, from the parts in group_norm.h: a work-item passes several times over its
 * channels of one sample, while they are in its cache. Channels go in spans of whole groups and whole vectors, `width` of them to a
 * work-item; grid (C / width, N). coef: floats per channel of coefficients, [n][3 or 5][C]. */

#define PLACE()                                                         \
    const int c0 = (int)get_global_id(0) * width, c1 = min(C, c0 + width), n = (int)get_global_id(1); \
    const int len = C / G;                                              \
    if (c0 >= C || n >= (int)get_global_size(1)) return

#define EACH_GROUP() for (int g = c0 / len; g < c1 / len; g++)
#define EACH_CHUNK() for (int k = 0; k < chunks; k++) for (int c = c0; c < c1; c += VW)

/* Coefficients of the work-item's channels, from mean and rstd. */
static void put_coefficients(const __global float *w, const __global float *b, const __global float *mean, const __global float *rstd,
                             __global float *coef, int C, int len, int c0, int c1, size_t first)
{
    for (int g = c0 / len; g < c1 / len; g++)
        for (int c = g * len; c < (g + 1) * len; c++) {
            const float scale = SCALE(first + g, c);
            coef[c] = SHIFT(first + g);
            coef[C + c] = scale;
            coef[2 * C + c] = ADD(first + g, c, scale);
        }
}

#define OPTIONAL(w) (ABSENT(w) ? 0 : w##_base + w##_off)
#define COEFFICIENTS() const VEC shift = VLOAD(coef + c), a = VLOAD(coef + C + c), s = VLOAD(coef + 2 * C + c)

__kernel void gn_sample(TENSOR(x), TENSOR(w), TENSOR(b), TENSOR(part), TENSOR(coef), TENSOR(mean), TENSOR(rstd), TENSOR(y), const int rows,
                        const int C, const int G, const int chunk, const int chunks, const int width, const float norm_eps)
{
    CBIND(x);
    BIND(part);
    BIND(coef);
    BIND(mean);
    BIND(rstd);
    BIND(y);
    PLACE();
    coef += (size_t)n * 3 * C;
    EACH_CHUNK() chunk_stats(x, part, rows, C, chunk, chunks, n, k, c);
    EACH_GROUP() group_finish(part, mean, rstd, rows, C, G, chunk, chunks, norm_eps, n, g, 0);
    put_coefficients(OPTIONAL(w), OPTIONAL(b), mean, rstd, coef, C, len, c0, c1, (size_t)n * G);
    EACH_CHUNK() {
        COEFFICIENTS();
        chunk_apply(x, y, shift, a, s, rows, C, chunk, n, k, c);
    }
}

__kernel void gn_sample_grad(TENSOR(x), TENSOR(w), TENSOR(b), TENSOR(mean), TENSOR(rstd), TENSOR(dy), TENSOR(part), TENSOR(coef), TENSOR(sums),
                             TENSOR(means), TENSOR(dx), const int rows, const int C, const int G, const int chunk, const int chunks, const int width)
{
    CBIND(x);
    CBIND(mean);
    CBIND(rstd);
    CBIND(dy);
    BIND(part);
    BIND(coef);
    BIND(sums);
    BIND(means);
    BIND(dx);
    PLACE();
    const size_t first = (size_t)n * G;
    coef += (size_t)n * 5 * C;
    put_coefficients(OPTIONAL(w), OPTIONAL(b), mean, rstd, coef, C, len, c0, c1, first);
    EACH_CHUNK() {
        COEFFICIENTS();
        chunk_grad_sums(x, dy, dx, part, shift, a, s, rows, C, chunk, chunks, n, k, c);
    }
    for (int c = c0; c < c1; c += VW) {
        VEC s1 = 0.0f, s2 = 0.0f;
        for (int k = 0; k < chunks; k++) {
            s1 += VLOAD(part + ((size_t)n * chunks + k) * 2 * C + c);
            s2 += VLOAD(part + (((size_t)n * chunks + k) * 2 + 1) * C + c);
        }
        VSTORE(s1, sums + (size_t)n * 2 * C + c);
        VSTORE(s2, sums + ((size_t)n * 2 + 1) * C + c);
    }
    EACH_GROUP() {
        __global float *s1 = sums + (size_t)n * 2 * C, *s2 = s1 + C;
        for (int c = g * len; c < (g + 1) * len; c++) s2[c] = rstd[first + g] * (s2[c] - mean[2 * (first + g) + 1] * s1[c]);
        group_grad_means(sums, OPTIONAL(w), means, rows, C, G, n, g, 0);
        const float slope = GRAD_SLOPE(first + g), add = GRAD_ADD(first + g, slope);
        for (int c = g * len; c < (g + 1) * len; c++) {
            coef[3 * C + c] = slope;
            coef[4 * C + c] = add;
        }
    }
    EACH_CHUNK() {
        COEFFICIENTS();
        chunk_grad_dx(x, dy, dx, shift, a, s, VLOAD(coef + 3 * C + c), VLOAD(coef + 4 * C + c), rows * len > 1, rows, C, chunk, n, k, c);
    }
}

/* Grid (C). */
__kernel void gn_grad_params(TENSOR(sums), TENSOR(dw), TENSOR(db), const int N, const int C)
{
    CBIND(sums);
    BIND(dw);
    BIND(db);
    if (get_global_id(0) < (size_t)C) channel_grad_params(sums, dw, db, N, C, get_global_id(0));
}
