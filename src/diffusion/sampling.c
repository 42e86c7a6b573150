/* SPDX-License-Identifier: MIT
 * What rows of samplers are written with: asking the network, combining tensors, noise, observers. */
#include "diffusion/sampling.h"

#include <math.h>
#include <stdlib.h>

#include "base/fail.h"
#include "brume/ops.h"
#include "diffusion/sampler.h"

void brume_terms_add(struct brume_terms *s, double coef, brume_buffer *x)
{
    if (coef == 0.0) return;
    for (int i = 0; i < s->n; i++)
        if (s->x[i] == x) { s->coef[i] += coef; return; }
    if (s->n == BRUME_SAMPLING_TERMS) { s->lost++; return; }
    s->coef[s->n] = coef;
    s->x[s->n++] = x;
}

static brume_status undefined(const struct brume_terms *terms)
{
    if (terms->lost)
        return brume_fail(BRUME_E_ARG, "a sampling step combines %d tensors, expected at most %d (BRUME_SAMPLING_TERMS)",
                          terms->n + terms->lost, BRUME_SAMPLING_TERMS);
    for (int i = 0; i < terms->n; i++)
        if (!isfinite(terms->coef[i]))
            return brume_fail(BRUME_E_NUMERIC,
                              "a sampling step divides by 0: where alpha_bar is 0 an eps prediction says nothing of x0 "
                              "(rescale_betas_zero_snr needs a model that predicts x0 or v)");
    return BRUME_OK;
}

brume_status brume_sampling_combine(struct brume_sampling *s, const struct brume_terms *terms, brume_buffer *out)
{
    struct brume_sampler *o = s->sampler;
    struct brume_terms zero = { .n = 1, .coef = { 0 }, .x = { s->x } };
    brume_status e = undefined(terms);
    if (terms->n == 0) terms = &zero;
    struct brume_job *j = &o->combine[terms->n];
    if (e == BRUME_OK && !j->p) {
        e = brume_job_begin(j, o->shape, terms->n, terms->n);
        if (e == BRUME_OK) e = brume_job_end(j, o->device, brume_lincomb(j->g, terms->n, j->in, j->coef));
    }
    return e == BRUME_OK ? brume_job_run(j, terms->x, terms->n, terms->coef, terms->n, out) : e;
}

brume_status brume_sampling_update(struct brume_sampling *s, const struct brume_terms *terms)
{
    const brume_status e = brume_sampling_combine(s, terms, s->spare);
    if (e != BRUME_OK) return e;
    brume_buffer *x = s->spare;
    s->spare = s->x;
    s->x = x;
    return BRUME_OK;
}

brume_status brume_sampling_register(struct brume_sampling *s, int i, brume_buffer **out)
{
    const brume_status e = brume_sampler_buffer(s->sampler, &s->sampler->reg[i]);
    *out = s->sampler->reg[i];
    return e;
}

brume_level brume_sampling_level(const struct brume_sampling *s, const struct brume_node *at)
{
    return (brume_level){ .t = at->t, .a = at->a * at->scale, .s = at->s * at->scale, .call = s->calls };
}

brume_status brume_sampling_input(struct brume_sampling *s, brume_buffer *state, const struct brume_node *at, brume_buffer **out)
{
    *out = state;
    if (at->scale == 1) return BRUME_OK;
    struct brume_terms scaled = { 0 };
    brume_status e = brume_sampler_buffer(s->sampler, &s->sampler->scaled);
    brume_terms_add(&scaled, at->scale, state);
    *out = s->sampler->scaled;
    return e == BRUME_OK ? brume_sampling_combine(s, &scaled, *out) : e;
}

brume_status brume_sampling_classifier(struct brume_sampling *s, brume_buffer *state, const struct brume_node *at,
                                       brume_buffer *out)
{
    const brume_classifier_gradient *c = s->in->classifier;
    const brume_level level = brume_sampling_level(s, at);
    brume_buffer *input;
    const brume_status e = brume_sampling_input(s, state, at, &input);
    return e == BRUME_OK ? c->gradient(c->self, input, &level, out) : e;
}

/* eps - k s grad log p(y | x) (Dhariwal & Nichol 2021, algorithm 2) in terms of what the network predicts: with x fixed, x0 grows
 * by k s^2 / a grad. */
static brume_status guide(struct brume_sampling *s, brume_buffer *state, const struct brume_node *at)
{
    struct brume_sampler *o = s->sampler;
    const brume_level l = brume_sampling_level(s, at);
    double c0, ce;
    struct brume_terms m = { 0 };
    brume_status e = brume_sampler_buffer(o, &o->gradient);
    if (e == BRUME_OK) e = brume_sampling_classifier(s, state, at, o->gradient);
    if (e != BRUME_OK) return e;
    brume_prediction_of(s->prediction, &l, &c0, &ce);
    brume_terms_add(&m, 1, s->m);
    brume_terms_add(&m, s->in->classifier->scale * ((c0 != 0 ? c0 * l.s * l.s / l.a : 0) - ce * l.s), o->gradient);
    if ((e = brume_sampling_combine(s, &m, s->spare)) != BRUME_OK) return e;
    brume_buffer *guided = s->spare;
    s->spare = s->m;
    s->m = guided;
    return BRUME_OK;
}

brume_status brume_sampling_predict(struct brume_sampling *s, brume_buffer *state, const struct brume_node *at)
{
    const brume_level level = brume_sampling_level(s, at);
    brume_buffer *input;
    brume_status e = brume_sampling_input(s, state, at, &input);
    s->x0_fresh = 0;
    s->at = *at;
    if (e == BRUME_OK) e = s->in->denoiser->predict(s->in->denoiser->self, input, &level, s->m, s->variance);
    if (e == BRUME_OK && s->in->classifier && !(s->kind->flags & BRUME_SAMPLER_OWN_GUIDANCE)) e = guide(s, state, at);
    s->calls++;
    if (e == BRUME_OK && s->in->want_x0 && s->in->observe) e = brume_sampling_x0(s, state, s->x0);
    return e;
}

void brume_sampling_x0_coef(const struct brume_sampling *s, double *cx, double *cm)
{
    const brume_level l = brume_sampling_level(s, &s->at);
    brume_prediction_x0(s->prediction, &l, cx, cm);
    *cx *= s->at.scale;
}

void brume_sampling_eps_coef(const struct brume_sampling *s, double *cx, double *cm)
{
    const brume_level l = brume_sampling_level(s, &s->at);
    brume_prediction_eps(s->prediction, &l, cx, cm);
    *cx *= s->at.scale;
}

int brume_sampling_clips(const struct brume_sampling *s) { return s->config->clip_sample || s->config->thresholding; }

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Dynamic thresholding (Saharia et al. 2022): per image q = quantile(|x0|), at least 1; x0 = clamp(x0, -q, q) / q. On the host:
 * one read and one write of the images, small beside the network call. */
static brume_status threshold(struct brume_sampler *s, brume_buffer *x0)
{
    const int64_t per = s->count / s->images;
    float *x = s->host, *sorted = x + s->count;
    brume_status e = brume_buffer_read(x0, 0, x, (size_t)s->count * sizeof *x);
    if (e != BRUME_OK) return e;
    for (int64_t i = 0; i < s->images; i++, x += per) {
        for (int64_t k = 0; k < per; k++) sorted[k] = fabsf(x[k]);
        qsort(sorted, (size_t)per, sizeof *sorted, ascending);
        const double at = s->config.dynamic_thresholding_ratio * (double)(per - 1), below = floor(at);
        const int64_t k = (int64_t)below;
        const double upper = sorted[k + 1 < per ? k + 1 : k];
        double q = sorted[k] + (upper - sorted[k]) * (at - below);
        q = fmin(fmax(q, 1.0), s->config.sample_max_value);
        for (int64_t j = 0; j < per; j++) x[j] = (float)(x[j] < -q ? -1.0 : x[j] > q ? 1.0 : x[j] / q);
    }
    return brume_buffer_write(x0, 0, s->host, (size_t)s->count * sizeof *x);
}

static brume_status clamped(struct brume_sampling *s, const struct brume_terms *terms, brume_buffer *out)
{
    struct brume_sampler *o = s->sampler;
    struct brume_job *j = &o->clamped[terms->n];
    brume_status e = undefined(terms);
    if (e == BRUME_OK && !j->p) {
        const float r = (float)s->config->clip_sample_range;
        e = brume_job_begin(j, o->shape, terms->n, terms->n);
        if (e == BRUME_OK)
            e = brume_job_end(j, o->device, brume_clamp(j->g, brume_lincomb(j->g, terms->n, j->in, j->coef), -r, r));
    }
    return e == BRUME_OK ? brume_job_run(j, terms->x, terms->n, terms->coef, terms->n, out) : e;
}

brume_status brume_sampling_x0(struct brume_sampling *s, brume_buffer *state, brume_buffer *out)
{
    struct brume_terms terms = { 0 };
    double cx, cm;
    if (out == s->x0 && s->x0_fresh) return BRUME_OK;
    brume_sampling_x0_coef(s, &cx, &cm);
    brume_terms_add(&terms, cx, state);
    brume_terms_add(&terms, cm, s->m);
    const int clamp = s->config->clip_sample && !s->config->thresholding;
    brume_status e = clamp ? clamped(s, &terms, out) : brume_sampling_combine(s, &terms, out);
    if (e == BRUME_OK && s->config->thresholding) e = threshold(s->sampler, out);
    if (out == s->x0) s->x0_fresh = e == BRUME_OK;
    return e;
}

brume_status brume_sampling_eps(struct brume_sampling *s, brume_buffer *state, brume_buffer *out)
{
    struct brume_terms terms = { 0 };
    double cx, cm;
    brume_sampling_eps_coef(s, &cx, &cm);
    brume_terms_add(&terms, cx, state);
    brume_terms_add(&terms, cm, s->m);
    return brume_sampling_combine(s, &terms, out);
}

brume_status brume_sampling_score(struct brume_sampling *s, brume_buffer *state, brume_buffer *out)
{
    struct brume_terms terms = { 0 };
    double cx, cm;
    brume_sampling_eps_coef(s, &cx, &cm); /* score of the state = -eps / s */
    brume_terms_add(&terms, -cx / s->at.s, state);
    brume_terms_add(&terms, -cm / s->at.s, s->m);
    return brume_sampling_combine(s, &terms, out);
}

brume_status brume_sampling_denoise(struct brume_sampling *s, brume_buffer *state, const struct brume_node *at, brume_buffer *out)
{
    const brume_status e = brume_sampling_predict(s, state, at);
    return e == BRUME_OK ? brume_sampling_x0(s, state, out) : e;
}

brume_status brume_sampling_noise(struct brume_sampling *s)
{
    const int k = s->draws++;
    if (s->in->noise) return s->in->noise->fill(s->in->noise->self, k, s->z);
    return brume_sampler_noise(s->sampler, &s->sampler->step_noise, s->in->seeds, k, BRUME_STREAM_STEP, s->z);
}

static brume_status tell(struct brume_sampling *s, const struct brume_node *at, int complete)
{
    if (!s->in->observe) return BRUME_OK;
    const int adaptive = (s->kind->flags & BRUME_SAMPLER_ADAPTIVE) != 0;
    const int32_t calls = brume_sampler_calls(s->sampler);
    const struct brume_node *from = &s->grid->node[s->first], *to = &s->grid->node[s->grid->n];
    const brume_sampler_event e = {
        .call = s->calls, .calls = calls, .step = s->done, .steps = adaptive ? 0 : s->n - s->first, .complete = complete,
        .progress = calls ? (double)s->calls / calls : (from->u - at->u) / (from->u - to->u),
        .view_scale = 1 / sqrt(at->a * at->a + at->s * at->s), .level = brume_sampling_level(s,
                                                                                             s->calls ? &s->at : at), .x = s->x,
        .x0 = s->x0_fresh ? s->x0 : NULL,
    };
    return s->in->observe(s->in->ctx, &e);
}

brume_status brume_sampling_stage(struct brume_sampling *s, const struct brume_node *at) { return tell(s, at, s->calls == 0); }

brume_status brume_sampling_step(struct brume_sampling *s, const struct brume_node *at)
{
    if (s->in->mask && !(s->kind->flags & BRUME_SAMPLER_OWN_MASK)) {
        const brume_status e = brume_sampling_replace(s, at);
        if (e != BRUME_OK) return e;
    }
    s->done++;
    return tell(s, at, 1);
}

brume_status brume_sampling_merge(struct brume_sampling *s, brume_buffer *known, brume_buffer *unknown, brume_buffer *out)
{
    struct brume_sampler *o = s->sampler;
    struct brume_job *j = &o->merge;
    brume_status e = BRUME_OK;
    /* unknown + mask (known - unknown) would not keep known's bits */
    if (!j->p && (e = brume_job_begin(j, o->shape, 3, 0)) == BRUME_OK) {
        const brume_tensor kept = brume_mul(j->g, j->in[2], j->in[0]),
                           rest = brume_mul(j->g, brume_affine(j->g, j->in[2], -1, 1), j->in[1]);
        e = brume_job_end(j, o->device, brume_add(j->g, kept, rest));
    }
    return e == BRUME_OK ? brume_job_run(j, (brume_buffer *[]){ known, unknown, s->in->mask }, 3, NULL, 0, out) : e;
}

brume_status brume_sampling_replace(struct brume_sampling *s, const struct brume_node *at)
{
    struct brume_terms known = { 0 };
    brume_buffer *noised;
    brume_status e = BRUME_OK;
    if (!s->in->mask) return BRUME_OK;
    if (at->s > 0) e = brume_sampling_noise(s);
    if (e == BRUME_OK) e = brume_sampling_register(s, BRUME_SAMPLING_REGISTERS - 1, &noised);
    if (e != BRUME_OK) return e;
    brume_terms_add(&known, at->a, s->in->known);
    if (at->s > 0) brume_terms_add(&known, at->s, s->z);
    e = brume_sampling_combine(s, &known, noised);
    if (e == BRUME_OK) e = brume_sampling_merge(s, noised, s->x, s->spare);
    if (e != BRUME_OK) return e;
    brume_buffer *x = s->spare;
    s->spare = s->x;
    s->x = x;
    return BRUME_OK;
}

brume_status brume_sampling_norms(struct brume_sampling *s, brume_buffer *x, double *norm)
{
    struct brume_sampler *o = s->sampler;
    struct brume_job *j = &o->norms;
    brume_status e = BRUME_OK;
    if (!o->norm) e = brume_buffer_new(o->device, (size_t)s->images * sizeof(float), &o->norm);
    if (e == BRUME_OK && !j->p && (e = brume_job_begin(j, o->shape, 1, 0)) == BRUME_OK) {
        const brume_tensor flat = brume_reshape(j->g, j->in[0], BRUME_SHAPE(s->images, s->count / s->images));
        e = brume_job_end(j, o->device, brume_sqrt(j->g, brume_sum(j->g, brume_square(j->g, flat), 1u << 1, 0)));
    }
    if (e == BRUME_OK) e = brume_job_run(j, &x, 1, NULL, 0, o->norm);
    float *host = e == BRUME_OK ? malloc((size_t)s->images * sizeof *host) : NULL;
    if (e == BRUME_OK && !host) e = brume_fail(BRUME_E_MEMORY, "out of memory for a sampler");
    if (e == BRUME_OK) e = brume_buffer_read(o->norm, 0, host, (size_t)s->images * sizeof *host);
    for (int64_t i = 0; e == BRUME_OK && i < s->images; i++) norm[i] = host[i];
    free(host);
    return e;
}

brume_status brume_sampling_add_learned(struct brume_sampling *s, const struct brume_learned_variance *how, brume_buffer *x,
                                        double k, int root, brume_buffer *z, brume_buffer *out)
{
    struct brume_sampler *o = s->sampler;
    struct brume_job *j = &o->learned[how->direct != 0][root != 0];
    brume_status e = BRUME_OK;
    if (!s->variance) return brume_fail(BRUME_E_ARG, "variance_type asks for a learned variance, but the model predicts none");
    if (!j->p && (e = brume_job_begin(j, o->shape, 3, 3)) == BRUME_OK) { /* coef: k, slope and shift of the logarithm */
        brume_graph *g = j->g;
        const brume_tensor c = j->coef, v = j->in[1];
        brume_tensor f; /* variance, or its root */
        if (how->direct) f = root ? brume_sqrt(g, v) : v;
        else f = brume_exp(g, brume_add(g, brume_mul(g, v, brume_slice(g, c, 0, 1, 1)), brume_slice(g, c, 0, 2, 1)));
        const brume_tensor kz = brume_mul(g, brume_mul(g, f, j->in[2]), brume_slice(g, c, 0, 0, 1));
        e = brume_job_end(j, o->device, brume_add(g, j->in[0], kz));
    }
    /* ln variance = lo + (v + 1) / 2 (hi - lo) */
    const double half = root ? 0.5 : 1,
                 coef[3] = { k, half * 0.5 * (how->hi - how->lo), half * (how->lo + 0.5 * (how->hi - how->lo)) };
    return e == BRUME_OK ? brume_job_run(j, (brume_buffer *[]){ x, s->variance, z }, 3, coef, 3, out) : e;
}
