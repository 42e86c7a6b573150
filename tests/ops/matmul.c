/* SPDX-License-Identifier: MIT
 * Batched matrix products: args are trans_a, trans_b. */
#include "../harness.h"

#include <math.h>
#include <stddef.h>

#define M(a, b) { BRUME_F32, { 2, { a, b } }, 0, 0, false }
#define T(a, b, c) { BRUME_F32, { 3, { a, b, c } }, 0, 0, false }
#define Q(a, b, c, d) { BRUME_F32, { 4, { a, b, c, d } }, 0, 0, false }
#define EACH(what, m, n, k)                                    \
    { what, { 0, 0 }, 2, { M(m, k), M(k, n) } },               \
    { what " A^T", { 1, 0 }, 2, { M(k, m), M(k, n) } },        \
    { what " B^T", { 0, 1 }, 2, { M(m, k), M(n, k) } },        \
    { what " A^T B^T", { 1, 1 }, 2, { M(k, m), M(n, k) } }

static const struct test_case cases[] = {
    EACH("1", 1, 1, 1),
    EACH("row", 1, 37, 9),
    EACH("column", 37, 1, 9),
    EACH("outer", 13, 19, 1),
    EACH("31", 31, 31, 31),
    EACH("32", 32, 32, 32),
    EACH("33", 33, 33, 33),
    EACH("65x17x300", 65, 17, 300),
    EACH("200x130x70", 200, 130, 70),
    EACH("deep and narrow", 9, 2, 261),
    { "batch", { 0, 0 }, 2, { T(3, 7, 5), T(3, 5, 9) } },
    { "batch A^T", { 1, 0 }, 2, { T(3, 5, 7), T(3, 5, 9) } },
    { "batch B^T", { 0, 1 }, 2, { T(5, 49, 16), T(5, 49, 16) } },
    { "batch of two axes", { 0, 1 }, 2, { Q(2, 3, 8, 20), Q(2, 3, 33, 20) } },
    { "batch of two axes A^T B^T", { 1, 1 }, 2, { Q(3, 2, 20, 8), Q(3, 2, 33, 20) } },
    { 0 },
};

static const struct test_refusal refusals[] = {
    { "inner sizes differ", "b expects 6", BRUME_E_SHAPE, { "", { 0, 0 }, 2, { M(3, 5), M(6, 4) } } },
    { "inner sizes differ when transposed", "b expects 4", BRUME_E_SHAPE, { "", { 0, 1 }, 2, { M(3, 5), M(5, 4) } } },
    { "batch differs", "leading axis 0", BRUME_E_SHAPE, { "", { 0, 0 }, 2, { T(2, 3, 5), T(3, 5, 4) } } },
    { "ranks differ", "axes", BRUME_E_SHAPE, { "", { 0, 0 }, 2, { T(2, 3, 5), M(5, 4) } } },
    { "vector", "two axes", BRUME_E_SHAPE, { "", { 0, 0 }, 2, { { BRUME_F32, { 1, { 5 } }, 0, 0, false }, M(5, 4) } } },
    { 0 },
};

static int build(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    out[0] = brume_matmul(g, in[0], in[1], (int)k->args[0], (int)k->args[1]);
    return 1;
}

static void oracle(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int ta = (int)k->args[0], tb = (int)k->args[1], d = k->in[0].shape.ndim;
    const int64_t m = test_dim(k, 0, d - (ta ? 1 : 2)), depth = test_dim(k, 0, d - (ta ? 2 : 1)),
                  n = test_dim(k, 1, d - (tb ? 2 : 1));
    const int64_t batch = test_numel(k, 0) / (m * depth);
    for (int64_t b = 0; b < batch; b++)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                double y = 0, s = 0;
                for (int64_t q = 0; q < depth; q++) {
                    const double t = in[0][b * m * depth + (ta ? q * m + i : i * depth + q)] *
                                     in[1][b * depth * n + (tb ? j * depth + q : q * n + j)];
                    y += t;
                    s += fabs(t);
                }
                out[0][(b * m + i) * n + j] = y;
                scale[0][(b * m + i) * n + j] = s;
            }
}

static const struct test_op op = { .name = "matmul", .tolerance = "product", .cases = cases, .refusals = refusals,
                                   .build = build, .oracle = oracle };
const struct test_op *const tests_matmul[] = { &op, NULL };
