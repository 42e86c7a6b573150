/* SPDX-License-Identifier: MIT
 * Scaled dot-product attention: args are heads, causal, scale. */
#include "../harness.h"

#include <math.h>
#include <stddef.h>

enum { HEADS, CAUSAL, SCALE };

#define T(b, s, c, r) { BRUME_F32, { 3, { b, s, c } }, -(r), r, false }
#define ATTEND(what, b, sq, sk, heads, d, causal, scale, r) \
    { what, { heads, causal, scale }, 3, { T(b, sq, (heads) * (d), r), T(b, sk, (heads) * (d), r), T(b, sk, (heads) * (d), r) } }

static const struct test_case cases[] = {
    ATTEND("one value", 1, 1, 1, 1, 1, 0, 1.0, 1),
    ATTEND("one query", 1, 1, 9, 1, 8, 0, 0.35, 1),
    ATTEND("one key", 2, 9, 1, 2, 8, 0, 0.35, 1),
    ATTEND("self", 2, 16, 16, 4, 8, 0, 0.35, 1),
    ATTEND("width 1", 1, 20, 20, 3, 1, 0, 1.0, 1),
    ATTEND("width 3", 2, 13, 13, 2, 3, 0, 0.57, 1),
    ATTEND("width 17", 1, 15, 15, 3, 17, 0, 0.25, 1),
    ATTEND("width 40", 1, 33, 33, 1, 40, 0, 0.16, 1),
    ATTEND("mnist", 2, 49, 49, 1, 128, 0, 0.0884, 1),
    ATTEND("31 keys", 1, 31, 31, 2, 16, 0, 0.25, 1),
    ATTEND("33 keys", 1, 32, 33, 2, 16, 0, 0.25, 1),
    ATTEND("65 rows", 1, 65, 64, 1, 32, 0, 0.18, 1),
    ATTEND("several key blocks", 1, 70, 300, 1, 24, 0, 0.2, 1),
    ATTEND("several blocks of both", 1, 140, 135, 2, 12, 0, 0.29, 1),
    ATTEND("cross", 2, 25, 7, 2, 10, 0, 0.316, 1),
    ATTEND("cross, more keys", 2, 7, 77, 2, 20, 0, 0.22, 1),
    ATTEND("causal", 2, 12, 12, 3, 8, 1, 0.35, 1),
    ATTEND("causal, one", 1, 1, 5, 1, 8, 1, 0.35, 1),
    ATTEND("causal, blocks", 1, 150, 150, 1, 16, 1, 0.25, 1),
    ATTEND("causal, keys never seen", 1, 10, 280, 1, 9, 1, 0.33, 1),
    ATTEND("causal, more queries", 1, 200, 40, 1, 8, 1, 0.35, 1),
    ATTEND("sharp", 1, 20, 20, 2, 16, 0, 2.0, 3),
    ATTEND("very sharp, blocks", 1, 33, 270, 1, 8, 0, 3.0, 2.5),
    ATTEND("many heads", 3, 9, 9, 5, 4, 0, 0.5, 1),
    { 0 },
};

#define TRIPLE(h, causal, scale, q0, q1, q2, k0, k1, k2, v0, v1, v2) \
    { "", { h, causal, scale }, 3, { T(q0, q1, q2, 1), T(k0, k1, k2, 1), T(v0, v1, v2, 1) } }
static const struct test_refusal refusals[] = {
    { "heads do not divide", "heads", BRUME_E_SHAPE, TRIPLE(3, 0, 1.0, 1, 4, 8, 1, 4, 8, 1, 4, 8) },
    { "no heads", "heads", BRUME_E_SHAPE, TRIPLE(0, 0, 1.0, 1, 4, 8, 1, 4, 8, 1, 4, 8) },
    { "k and v differ", "k and v", BRUME_E_SHAPE, TRIPLE(2, 0, 1.0, 1, 4, 8, 1, 4, 8, 1, 5, 8) },
    { "channels differ", "channels", BRUME_E_SHAPE, TRIPLE(2, 0, 1.0, 1, 4, 8, 1, 4, 6, 1, 4, 6) },
    { "batch differs", "batch", BRUME_E_SHAPE, TRIPLE(2, 0, 1.0, 2, 4, 8, 1, 4, 8, 1, 4, 8) },
    { "scale 0", "scale", BRUME_E_ARG, TRIPLE(2, 0, 0.0, 1, 4, 8, 1, 4, 8, 1, 4, 8) },
    { "scale NaN", "scale", BRUME_E_ARG, TRIPLE(2, 0, NAN, 1, 4, 8, 1, 4, 8, 1, 4, 8) },
    { "q of two dimensions", "q", BRUME_E_SHAPE,
      { "", { 2, 0, 1.0 }, 3, { { BRUME_F32, { 2, { 4, 8 } }, 0, 0, false }, T(1, 4, 8, 1), T(1, 4, 8, 1) } } },
    { 0 },
};

static int build(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    out[0] = brume_sdpa(g, in[0], in[1], in[2], (int)k->args[HEADS], (int)k->args[CAUSAL], (float)k->args[SCALE]);
    return 1;
}

static void oracle(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t batch = test_dim(k, 0, 0), sq = test_dim(k, 0, 1), sk = test_dim(k, 1, 1), c = test_dim(k, 0, 2);
    const int64_t heads = (int64_t)k->args[HEADS], d = c / heads;
    const double factor = (double)(float)k->args[SCALE];
    double p[512];
    for (int64_t b = 0; b < batch; b++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t i = 0; i < sq; i++) {
                const double *q = in[0] + (b * sq + i) * c + h * d;
                const int64_t n = k->args[CAUSAL] != 0 && i + 1 < sk ? i + 1 : sk;
                double top = -INFINITY, sum = 0;
                for (int64_t j = 0; j < n; j++) {
                    p[j] = 0;
                    for (int64_t e = 0; e < d; e++) p[j] += q[e] * in[1][(b * sk + j) * c + h * d + e];
                    p[j] *= factor;
                    top = fmax(top, p[j]);
                }
                for (int64_t j = 0; j < n; j++) sum += p[j] = exp(p[j] - top);
                for (int64_t e = 0; e < d; e++) {
                    double o = 0, s = 0;
                    for (int64_t j = 0; j < n; j++) {
                        const double term = p[j] / sum * in[2][(b * sk + j) * c + h * d + e];
                        o += term;
                        s += fabs(term);
                    }
                    out[0][(b * sq + i) * c + h * d + e] = o;
                    scale[0][(b * sq + i) * c + h * d + e] = s;
                }
            }
}

static const struct test_op sdpa = { "sdpa", "attention", cases, refusals, build, oracle, 0 };

const struct test_op *const tests_sdpa[] = { &sdpa, NULL };
