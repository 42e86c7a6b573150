/* SPDX-License-Identifier: MIT
 * Tests of the time embeddings. args: dim, flip_sin_to_cos, freq_shift. */
#include <math.h>

#include "../harness.h"

static int build(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    out[0] = brume_timestep_embedding(g, in[0], (int64_t)k->args[0], k->args[1] != 0, (float)k->args[2]);
    return 1;
}

static void oracle(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t dim = (int64_t)k->args[0], half = dim / 2, n = test_numel(k, 0);
    for (int64_t i = 0; i < n * dim; i++) {
        const int64_t c = i % dim;
        const double phase = in[0][i / dim] * exp(-log(10000) * (double)(c % half) / ((double)half - k->args[2]));
        const bool sine = (c < half) != (k->args[1] != 0);
        out[0][i] = c == 2 * half ? 0 : sine ? sin(phase) : cos(phase);
        scale[0][i] = 1;
    }
}

#define T(n, lo, hi) { BRUME_F32, BRUME_SHAPE(n), lo, hi, false }

static const struct test_case cases[] = {
    { "smallest", { 2, 0, 0 }, 1, { T(1, 0, 1000) } },
    { "ddpm", { 128, 0, 1 }, 1, { T(4, 0, 1000) } },
    { "sd", { 320, 1, 0 }, 1, { T(2, 0, 1000) } },
    { "odd", { 33, 0, 1 }, 1, { T(3, 0, 1000) } },
    { "odd_flip", { 3, 1, 0 }, 1, { T(5, 0, 10) } },
    { 0 },
};

static const struct test_refusal refusals[] = {
    { "dim", "at least 2", BRUME_E_SHAPE, { 0, { 1, 0, 0 }, 1, { T(1, 0, 1) } } },
    { "shift", "must exceed", BRUME_E_ARG, { 0, { 2, 0, 1 }, 1, { T(1, 0, 1) } } },
    { "t_2d", "dimensions", BRUME_E_SHAPE, { 0, { 8, 0, 0 }, 1, { { BRUME_F32, BRUME_SHAPE(2, 1), 0, 1, false } } } },
    { 0 },
};

static const struct test_op timestep = { "timestep_embedding", "phase", cases, refusals, build, oracle, ~0u };

static int build_fourier(brume_graph *g, const struct test_case *k, const brume_tensor *in, brume_tensor *out)
{
    (void)k;
    out[0] = brume_fourier_embedding(g, in[0], in[1]);
    return 1;
}

static void oracle_fourier(const struct test_case *k, const double *const *in, double *const *out, double *const *scale)
{
    const int64_t n = test_numel(k, 0), width = test_numel(k, 1);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < width; j++) {
            const double phase = 2 * 3.14159265358979323846 * log(in[0][i]) * in[1][j];
            out[0][i * 2 * width + j] = sin(phase);
            out[0][i * 2 * width + width + j] = cos(phase);
            scale[0][i * 2 * width + j] = scale[0][i * 2 * width + width + j] = 1;
        }
}

static const struct test_case fourier_cases[] = {
    { "one", { 0 }, 2, { T(1, 0.01, 50), T(1, -16, 16) } },
    { "ncsnpp", { 0 }, 2, { T(4, 0.01, 50), T(128, -16, 16) } },
    { "odd", { 0 }, 2, { T(3, 0.01, 1), T(65, -40, 40) } },
    { 0 },
};

static const struct test_op fourier = { "fourier_embedding", "phase", fourier_cases, NULL, build_fourier, oracle_fourier, ~0u };

const struct test_op *const tests_timestep_embedding[] = { &timestep, &fourier, NULL };
