/* SPDX-License-Identifier: MIT
 * Tests of embedding and gather. args: 1 for gather. */
#include <math.h>

#include "../harness.h"

static int build(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    out[0] = k->args[0] ? brume_gather(g, in[0], in[1]) : brume_embedding(g, in[0], in[1]);
    return 1;
}

static void oracle(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t rows = test_dim(k, 0, 0), width = test_numel(k, 0) / rows, n = test_numel(k, 1);
    for (int64_t i = 0; i < n * width; i++) {
        const int64_t id = (int64_t)in[1][i / width];
        out[0][i] = id >= 0 && id < rows ? in[0][id * width + i % width] : (double)NAN;
        scale[0][i] = fabs(out[0][i]);
    }
}

#define X(...) { BRUME_F32, BRUME_SHAPE(__VA_ARGS__), 0, 0, false }
#define IDS(lo, hi, ...) { BRUME_I32, BRUME_SHAPE(__VA_ARGS__), lo, hi, false }

static const struct test_case cases[] = {
    { "one", { 0 }, 2, { X(1, 1), IDS(0, 1, 1) } },
    { "repeated", { 0 }, 2, { X(3, 17), IDS(0, 3, 40) } },
    { "tokens", { 0 }, 2, { X(50, 33), IDS(0, 50, 2, 7) } },
    { "wide", { 0 }, 2, { X(10, 512), IDS(0, 10, 64) } },
    { "many_rows", { 0 }, 2, { X(131, 5), IDS(0, 131, 9) } },
    { "gather_rows", { 1 }, 2, { X(100, 3), IDS(0, 100, 16) } },
    { "gather", { 1 }, 2, { X(1000), IDS(0, 1000, 7) } },
    { 0 },
};
static const struct test_case outside[] = {
    { "outside", { 0 }, 2, { X(5, 9), IDS(-3, 9, 50) } },
    { "gather_outside", { 1 }, 2, { X(5), IDS(-2000000000, 2000000000, 33) } },
    { 0 },
};

static const struct test_refusal refusals[] = {
    { "ids_float", "i32", BRUME_E_SHAPE, { 0, { 0 }, 2, { X(4, 4), X(3) } } },
    { "table_1d", "2 dimensions", BRUME_E_SHAPE, { 0, { 0 }, 2, { X(4), IDS(0, 4, 3) } } },
    { "gather_3d", "1 or 2 dimensions", BRUME_E_SHAPE, { 0, { 1 }, 2, { X(4, 2, 2), IDS(0, 4, 3) } } },
    { "gather_t_2d", "t expects 1 dimension", BRUME_E_SHAPE, { 0, { 1 }, 2, { X(4, 2), IDS(0, 4, 3, 1) } } },
    { 0 },
};

static const struct test_op embedding = { "embedding", "exact", cases, refusals, build, oracle, 0 };
static const struct test_op embedding_outside = { "embedding_outside", "exact", outside, NULL, build, oracle, ~0u };

const struct test_op *const tests_embedding[] = { &embedding, &embedding_outside, NULL };
