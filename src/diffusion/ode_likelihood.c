/* SPDX-License-Identifier: MIT
 * Log densities by the probability-flow ODE (Song et al. 2021, app. D.2): the image flows to noise, and what the flow spreads on
 * its way, its divergence, is what the density of the image exceeds that of the noise by (Chen et al. 2018; Grathwohl et al.
 * 2019). */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/likelihood.h"
#include "brume/rng.h"
#include "diffusion/flow_ode.h"
#include "diffusion/rk45.h"
#include "diffusion/sampler.h"

enum { PROBE = BRUME_RK45_REGISTERS, PRODUCT, SHIFTED }; /* registers beside those of the solver */

struct brume_ode_likelihood {
    brume_sampler *sampler;
    brume_divergence probe;
    int32_t probes;
    int64_t images, per;
    double rtol, atol;
    float *v, *host;             /* probes x N D numbers; N D values read back or written */
    double *change;              /* N integrals of the divergence, and what it is made of: */
    double *trace, *square;      /* v^T J v, J = d prediction / d state, and v^T v: D but for normal probes */
    struct brume_sampling *s;    /* of a run */
    brume_likelihood_observer *observe;
    void *ctx;
};

/* w = J^T v by the network's own derivative, or J v by a central difference, which v^T J v cannot tell apart. Leaves the
 * prediction at the state in s->m only in the first case. */
static brume_status product(struct brume_sampling *s, brume_buffer *state, const struct brume_node *at, brume_buffer *v,
                            brume_buffer *w, double *factor)
{
    const brume_denoiser *d = s->in->denoiser;
    const brume_level level = brume_sampling_level(s, at);
    brume_buffer *x;
    brume_status e = BRUME_OK;
    if (d->vjp) {
        *factor = at->scale; /* the derivative is by the network's input */
        e = brume_sampling_input(s, state, at, &x);
        s->at = *at;
        s->calls++;
        return e == BRUME_OK ? d->vjp(d->self, x, &level, v, s->m, w) : e;
    }
    const double h = 1e-3 * sqrt(at->a * at->a + at->s * at->s); /* rounding of f32 and curvature both stay below 1e-4 */
    *factor = 1;
    if ((e = brume_sampling_register(s, SHIFTED, &x)) != BRUME_OK) return e;
    for (int side = 0; side < 2 && e == BRUME_OK; side++) {
        struct brume_terms shifted = { .n = 2, .coef = { 1, side ? -h : h }, .x = { state, v } }, sum = { 0 };
        e = brume_sampling_combine(s, &shifted, x);
        if (e == BRUME_OK) e = brume_sampling_predict(s, x, at);
        brume_terms_add(&sum, side ? -0.5 / h : 0.5 / h, s->m);
        if (side) brume_terms_add(&sum, 1, w);
        if (e == BRUME_OK) e = brume_sampling_combine(s, &sum, side ? x : w);
    }
    struct brume_terms difference = { .n = 1, .coef = { 1 }, .x = { x } };
    return e == BRUME_OK ? brume_sampling_combine(s, &difference, w) : e;
}

/* trace[i] += share v_i^T J v_i, square[i] += share v_i^T v_i for the vector of image i */
static brume_status add_trace(struct brume_ode_likelihood *l, brume_buffer *state, const struct brume_node *at,
                              const float *vector, double share, double *factor)
{
    const size_t bytes = (size_t)(l->images * l->per) * sizeof(float);
    brume_buffer *v, *w;
    brume_status e = brume_sampling_register(l->s, PROBE, &v);
    if (e == BRUME_OK) e = brume_sampling_register(l->s, PRODUCT, &w);
    if (e == BRUME_OK) e = brume_buffer_write(v, 0, vector, bytes);
    if (e == BRUME_OK) e = product(l->s, state, at, v, w, factor);
    if (e == BRUME_OK) e = brume_buffer_read(w, 0, l->host, bytes);
    for (int64_t i = 0; e == BRUME_OK && i < l->images; i++) {
        double dot = 0, square = 0;
        for (int64_t k = i * l->per; k < (i + 1) * l->per; k++) {
            dot += (double)vector[k] * l->host[k];
            square += (double)vector[k] * vector[k];
        }
        l->trace[i] += share * dot;
        l->square[i] += share * square;
    }
    return e;
}

static brume_status slope(void *self, double u, brume_buffer *state, brume_buffer *slope, double *dy)
{
    struct brume_ode_likelihood *l = self;
    struct brume_sampling *s = l->s;
    const struct brume_node at = brume_flow_ode_node(s, u);
    const int64_t count = l->images * l->per;
    brume_status e = BRUME_OK;
    double kx, km, factor = 1;
    memset(l->trace, 0, 2 * (size_t)l->images * sizeof *l->trace);
    const int exact = l->probe == BRUME_PROBE_EXACT;
    for (int64_t p = 0; p < (exact ? l->per : l->probes) && e == BRUME_OK; p++) {
        for (int64_t k = 0; exact && k < count; k++) l->v[k] = k % l->per == p;
        e = add_trace(l, state, &at, exact ? l->v : l->v + p * count, exact ? 1 : 1.0 / l->probes, &factor);
    }
    if (e == BRUME_OK && !s->in->denoiser->vjp) e = brume_sampling_predict(s, state, &at);
    if (e != BRUME_OK) return e;
    brume_flow_ode_coef(s, u, &kx, &km);
    struct brume_terms d = { 0 };
    brume_terms_add(&d, kx, state);
    brume_terms_add(&d, km, s->m);
    /* v^T (kx I + km J) v: with normal probes both parts must have the same v, so that their errors cancel where they do */
    for (int64_t i = 0; i < l->images; i++) dy[i] = kx * l->square[i] + km * factor * l->trace[i];
    e = brume_sampling_combine(s, &d, slope);
    return e == BRUME_OK && l->observe ? l->observe(l->ctx, s->calls, 0) : e;
}

static brume_status run(struct brume_sampling *s)
{
    struct brume_ode_likelihood *l = s->in->ctx;
    double noise, data;
    l->s = s;
    memset(l->change, 0, (size_t)l->images * sizeof *l->change);
    brume_flow_ode_ends(s, &noise, &data);
    const struct brume_rk45 r = { .s = s, .slope = slope, .self = l, .n_y = l->images, .y = l->change,
                                  .rtol = l->rtol, .atol = l->atol };
    return brume_rk45_run(&r, data, noise);
}

/* Goes along the grid of the adaptive sampler, from image to noise. */
static const brume_sampler_kind kind = {
    .name = "ode likelihood", .default_steps = 1, .processes = ~0u, .flags = BRUME_SAMPLER_TAKES_IMAGE | BRUME_SAMPLER_ADAPTIVE,
    .grid = BRUME_GRID_ENDS, .state = BRUME_STATE_X, .run = run,
};

void brume_ode_likelihood_free(brume_ode_likelihood *l)
{
    if (!l) return;
    brume_sampler_free(l->sampler);
    free(l->v);
    free(l->host);
    free(l->change);
    free(l);
}

brume_status brume_ode_likelihood_new(brume_device *d, const brume_ode_likelihood_options *o, brume_shape shape,
                                      brume_ode_likelihood **out)
{
    brume_sampler_options options;
    *out = NULL;
    if (o->probes < 0) return brume_fail(BRUME_E_ARG, "the number of probes must not be negative, got %d", o->probes);
    brume_sampler_options_default(&options);
    options.scheduler = o->scheduler;
    brume_ode_likelihood *l = calloc(1, sizeof *l);
    if (!l) return brume_fail(BRUME_E_MEMORY, "out of memory for a likelihood");
    brume_status e = brume_sampler_new_kind(d, &kind, &options, shape, &l->sampler);
    if (e == BRUME_OK) {
        const size_t count = (size_t)brume_shape_numel(shape);
        l->images = shape.d[0];
        l->per = (int64_t)count / l->images;
        l->probe = o->probe;
        l->probes = o->probe == BRUME_PROBE_EXACT || o->probes == 0 ? 1 : o->probes;
        l->rtol = o->rtol > 0 ? o->rtol : 1e-5;
        l->atol = o->atol > 0 ? o->atol : 1e-5;
        if ((size_t)l->probes <= SIZE_MAX / sizeof *l->v / count) l->v = malloc((size_t)l->probes * count * sizeof *l->v);
        l->host = malloc(count * sizeof *l->host);
        l->change = malloc(3 * (size_t)l->images * sizeof *l->change);
        if (!l->v || !l->host || !l->change) e = brume_fail(BRUME_E_MEMORY, "out of memory for a likelihood");
        else l->square = (l->trace = l->change + l->images) + l->images;
    }
    if (e != BRUME_OK) brume_ode_likelihood_free(l);
    else *out = l;
    return e;
}

static void fill_probes(brume_ode_likelihood *l, const int64_t *seeds)
{
    for (int32_t p = 0; p < l->probes; p++)
        for (int64_t i = 0; i < l->images; i++) {
            float *v = l->v + (p * l->images + i) * l->per;
            if (l->probe == BRUME_PROBE_NORMAL) {
                brume_fill_normal((uint64_t)seeds[i], BRUME_STREAM_PROBE, (uint32_t)p, 0, l->per, v);
                continue;
            }
            brume_fill_uniform((uint64_t)seeds[i], BRUME_STREAM_PROBE, (uint32_t)p, 0, l->per, v);
            for (int64_t k = 0; k < l->per; k++) v[k] = v[k] < 0.5f ? -1 : 1;
        }
}

brume_status brume_ode_likelihood_run(brume_ode_likelihood *l, const brume_denoiser *denoiser, const float *x,
                                      const int64_t *seeds, brume_ode_image *out, float *latent, brume_sampler_stats *stats,
                                      brume_likelihood_observer *observe, void *ctx)
{
    const size_t bytes = (size_t)(l->images * l->per) * sizeof(float);
    const brume_sampler_input in = { .denoiser = denoiser, .seeds = seeds, .ctx = l };
    const double std = brume_process_prior_std(brume_sampler_process(l->sampler));
    brume_buffer *state = NULL;
    l->observe = observe;
    l->ctx = ctx;
    if (l->probe != BRUME_PROBE_EXACT) fill_probes(l, seeds);
    brume_status e = brume_buffer_new(l->sampler->device, bytes, &state);
    if (e == BRUME_OK) e = brume_buffer_write(state, 0, x, bytes);
    if (e == BRUME_OK) e = brume_sampler_run(l->sampler, &in, state);
    if (e == BRUME_OK) e = brume_buffer_read(state, 0, l->host, bytes);
    brume_buffer_free(state);
    for (int64_t i = 0; e == BRUME_OK && i < l->images; i++) {
        double squares = 0;
        for (int64_t k = i * l->per; k < (i + 1) * l->per; k++) squares += (double)l->host[k] * l->host[k];
        const double prior = -0.5 * (double)l->per * log(2 * 3.14159265358979323846 * std * std) - 0.5 * squares / (std * std);
        out[i] = (brume_ode_image){ .log_p = prior + l->change[i], .prior = prior, .change = l->change[i] };
    }
    if (e == BRUME_OK && latent) memcpy(latent, l->host, bytes);
    if (stats) brume_sampler_get_stats(l->sampler, stats);
    return e;
}
