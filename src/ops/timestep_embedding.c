/* SPDX-License-Identifier: MIT
 * Embeddings of the time: sinusoids of fixed frequencies (Vaswani et al. 2017; Ho et al. 2020), or of a table's (Song et al.
 * 2021). */
#include "base/pool.h"
#include "brume/ops.h"
#include "graph/cl_launch.h"
#include "graph/op.h"
#include "ops/chunks.h"

#include <math.h>

#define TWO_PI 6.283185307179586

struct attrs { int64_t dim; int flip; float freq_shift; };

static brume_status shape(struct brume_node *n)
{
    const struct attrs *a = n->attrs;
    const brume_status s = brume_want(n, 0, "t", BRUME_F32, 1);
    if (s) return s;
    if (a->dim < 2) return brume_node_fail(n, BRUME_E_SHAPE, "dim must be at least 2, got %lld", (long long)a->dim);
    if (!((double)(a->dim / 2) - (double)a->freq_shift > 0))
        return brume_node_fail(n, BRUME_E_ARG, "dim / 2 = %lld must exceed freq_shift = %g", (long long)(a->dim / 2),
                               (double)a->freq_shift);
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = BRUME_SHAPE(n->in_v[0]->shape.d[0], a->dim);
    return BRUME_OK;
}

#define MINUS_LOG_10000 -9.210340371976184f

/* Frequency k is exp(-ln(10000) k / reach). */
static float reach(const struct attrs *a) { return (float)((double)(a->dim / 2) - (double)a->freq_shift); }

struct job { const struct attrs *a; const float *t, *w; float *y; int64_t width; };

static void sinusoid_task(void *ctx, int64_t i, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const int64_t half = j->a->dim / 2;
    float *y = j->y + i * j->a->dim, *first = j->a->flip ? y + half : y, *second = j->a->flip ? y : y + half;
    /* Single precision up to the phase, rounded as in diffusers: at t = 999 its phases are off by up to 1e-4, and the networks
     * learned with those; the first steps of a sampler magnify what the network sees otherwise a hundredfold. */
    for (int64_t k = 0; k < half; k++) {
        const float phase = j->t[i] * expf(MINUS_LOG_10000 * (float)k / reach(j->a));
        first[k] = (float)sin((double)phase);
        second[k] = (float)cos((double)phase);
    }
    if (j->a->dim % 2) y[2 * half] = 0;
}

static void cpu_any(const struct brume_cpu_call *c)
{
    struct job j = { c->node->attrs, c->in[0], NULL, c->out[0], 0 };
    brume_pool_run(c->pool, c->node->in_v[0]->shape.d[0], sinusoid_task, &j);
}

static void cl_any(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    (void)c;
    const struct attrs *a = n->attrs;
    const int64_t samples = n->in_v[0]->shape.d[0];
    struct brume_cl_launch *k = brume_cl_add(l, "timestep_embedding.cl", "sinusoid", "");
    brume_cl_in(k, 0);
    brume_cl_out(k, 0);
    brume_cl_long(k, samples);
    brume_cl_long(k, a->dim);
    brume_cl_int(k, a->flip != 0);
    brume_cl_float(k, reach(a));
    brume_cl_size2(k, (size_t)brume_ceil_div(a->dim, 2), (size_t)samples, 64, 1);
}

static const struct brume_variant kernels[] = { { .name = "any", .cpu = cpu_any, .cl = cl_any }, { 0 } };
static const struct brume_op op = { .name = "timestep_embedding", .tolerance = BRUME_TOL_PHASE, .n_in_min = 1, .n_in_max = 1,
                                    .n_out = 1, .shape = shape, .kernels = kernels };

brume_tensor brume_timestep_embedding(brume_graph *g, brume_tensor t, int64_t dim, int flip_sin_to_cos, float freq_shift)
{
    const struct attrs a = { dim, flip_sin_to_cos, freq_shift };
    return brume_node_add(g, &op, 1, &t, &a, sizeof a);
}

/* ---- Fourier features of ln t ---------------------------------------------------------------------------------------------- */

static brume_status fourier_shape(struct brume_node *n)
{
    brume_status s = brume_want(n, 0, "t", BRUME_F32, 1);
    if (!s) s = brume_want(n, 1, "w", BRUME_F32, 1);
    if (s) return s;
    n->out_v[0]->dtype = BRUME_F32;
    n->out_v[0]->shape = BRUME_SHAPE(n->in_v[0]->shape.d[0], 2 * n->in_v[1]->shape.d[0]);
    return BRUME_OK;
}

static void fourier_task(void *ctx, int64_t i, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    const double log_t = log((double)j->t[i]);
    float *y = j->y + i * 2 * j->width;
    for (int64_t k = 0; k < j->width; k++) {
        const double phase = TWO_PI * log_t * (double)j->w[k];
        y[k] = (float)sin(phase);
        y[j->width + k] = (float)cos(phase);
    }
}

static void cpu_fourier(const struct brume_cpu_call *c)
{
    struct job j = { NULL, c->in[0], c->in[1], c->out[0], c->node->in_v[1]->shape.d[0] };
    brume_pool_run(c->pool, c->node->in_v[0]->shape.d[0], fourier_task, &j);
}

static void cl_fourier(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)
{
    (void)c;
    const int64_t samples = n->in_v[0]->shape.d[0], width = n->in_v[1]->shape.d[0];
    struct brume_cl_launch *k = brume_cl_add(l, "timestep_embedding.cl", "fourier", "");
    brume_cl_in(k, 0);
    brume_cl_in(k, 1);
    brume_cl_out(k, 0);
    brume_cl_long(k, samples);
    brume_cl_long(k, width);
    brume_cl_size2(k, (size_t)width, (size_t)samples, 64, 1);
}

static const struct brume_variant fourier_kernels[] = { { .name = "any", .cpu = cpu_fourier, .cl = cl_fourier }, { 0 } };
static const struct brume_op fourier_op = {
    .name = "fourier_embedding", .tolerance = BRUME_TOL_PHASE, .n_in_min = 2, .n_in_max = 2, .n_out = 1, .shape = fourier_shape,
    .kernels = fourier_kernels,
};

brume_tensor brume_fourier_embedding(brume_graph *g, brume_tensor t, brume_tensor w)
{
    return brume_node_add(g, &fourier_op, 2, (brume_tensor[]){ t, w }, NULL, 0);
}
