/* SPDX-License-Identifier: MIT
 * The samplers as rows, and what they share: small plans for combinations and noise, buffers, and the run itself. */
#include "brume/sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/ops.h"
#include "brume/plan.h"
#include "diffusion/sampling.h"

static const brume_sampler_kind rows[] = {
    { "ddpm", "Ho et al. 2020, algorithm 2 (ancestral sampling)", "DDPMScheduler", 1000, 1.0, brume_run_ddpm },
    { "ddim", "Song, Meng & Ermon 2021, eq. 12", "DDIMScheduler", 50, 0.0, brume_run_ddim },
    { "ddim_inverse", "Song, Meng & Ermon 2021, sec. 4.3 (image to noise)", "DDIMInverseScheduler", 50, 0.0, brume_run_ddim_inverse },
};
enum { N_ROWS = sizeof rows / sizeof *rows };

const brume_sampler_kind *brume_sampler_row(int i) { return i >= 0 && i < N_ROWS ? &rows[i] : NULL; }

const brume_sampler_kind *brume_sampler_find(const char *name)
{
    for (int i = 0; i < N_ROWS; i++)
        if (!strcmp(rows[i].name, name)) return &rows[i];
    return NULL;
}

const brume_sampler_kind *brume_sampler_for_class(const char *class_name)
{
    for (int i = 0; i < N_ROWS; i++)
        if (rows[i].scheduler_class && !strcmp(rows[i].scheduler_class, class_name)) return &rows[i];
    return NULL;
}

/* A small graph that writes one buffer, with its plan; made at first use. */
struct job {
    brume_graph *g;
    brume_plan *p;
    brume_tensor in[BRUME_SAMPLING_TERMS], coef, seeds, step, out;
};

enum { NOISE_START, NOISE_STEP, N_NOISE };

struct brume_sampler {
    brume_device *device;
    const brume_sampler_kind *kind;
    brume_scheduler_config config;
    brume_schedule *schedule;
    double *t;
    int32_t n;
    double eta;
    int use_clipped_model_output;
    brume_shape shape;
    int64_t count, images;                         /* elements in all; N */
    struct job combine[BRUME_SAMPLING_TERMS + 1];  /* by number of terms */
    struct job clamped[BRUME_SAMPLING_TERMS + 1];
    struct job noise[N_NOISE];
    brume_buffer *spare, *m, *x0, *z;
    float *host;                                   /* 2 x count values, for thresholding */
    const int64_t *seeds;                          /* of the current run */
};

static void job_free(struct job *j)
{
    brume_plan_free(j->p);
    brume_graph_free(j->g);
}

void brume_sampler_free(brume_sampler *s)
{
    if (!s) return;
    for (int i = 0; i <= BRUME_SAMPLING_TERMS; i++) {
        job_free(&s->combine[i]);
        job_free(&s->clamped[i]);
    }
    for (int i = 0; i < N_NOISE; i++) job_free(&s->noise[i]);
    brume_buffer_free(s->spare);
    brume_buffer_free(s->m);
    brume_buffer_free(s->x0);
    brume_buffer_free(s->z);
    brume_schedule_free(s->schedule);
    brume_scheduler_config_clear(&s->config);
    free(s->host);
    free(s->t);
    free(s);
}

static brume_status unknown(const char *name)
{
    char known[256] = "";
    for (int i = 0; i < N_ROWS; i++) snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", rows[i].name);
    return brume_fail(BRUME_E_ARG, "sampler \"%.60s\" is unknown; there are %s", name, known);
}

static brume_status setup(brume_sampler *s, const brume_sampler_options *o)
{
    brume_status e = brume_scheduler_config_copy(&s->config, o->scheduler);
    if (e == BRUME_OK) e = brume_schedule_new(&s->config, &s->schedule);
    if (e != BRUME_OK) return e;
    s->n = o->steps ? o->steps : s->kind->default_steps < s->schedule->T ? s->kind->default_steps : s->schedule->T;
    if (s->n < 1 || s->n > s->schedule->T)
        return brume_fail(BRUME_E_ARG, "steps must be within 1 .. %d, the time steps of the model, got %d", s->schedule->T, s->n);
    s->eta = o->eta < 0 ? s->kind->default_eta : o->eta;
    if (!(s->eta >= 0 && s->eta <= 1)) return brume_fail(BRUME_E_ARG, "eta must be within 0 .. 1, got %g", s->eta);
    s->use_clipped_model_output = o->use_clipped_model_output;
    if (s->kind->run == brume_run_ddpm && s->config.variance_type > BRUME_VARIANCE_FIXED_LARGE)
        return brume_fail(BRUME_E_UNSUPPORTED, "sampler ddpm does not follow a learned variance; choose fixed_small or fixed_large");
    s->t = malloc((size_t)s->n * sizeof *s->t);
    if (s->config.thresholding) s->host = malloc(2 * (size_t)s->count * sizeof *s->host);
    if (!s->t || (s->config.thresholding && !s->host)) return brume_fail(BRUME_E_MEMORY, "out of memory for a sampler");
    const size_t bytes = (size_t)s->count * sizeof(float);
    e = brume_schedule_timesteps(&s->config, s->n, s->t);
    if (e == BRUME_OK) e = brume_buffer_new(s->device, bytes, &s->spare);
    if (e == BRUME_OK) e = brume_buffer_new(s->device, bytes, &s->m);
    if (e == BRUME_OK) e = brume_buffer_new(s->device, bytes, &s->x0);
    if (e == BRUME_OK) e = brume_buffer_new(s->device, bytes, &s->z);
    return e;
}

brume_status brume_sampler_new(brume_device *d, const brume_sampler_options *o, brume_shape shape, brume_sampler **out)
{
    *out = NULL;
    const brume_sampler_kind *kind = brume_sampler_find(o->name ? o->name : "");
    if (!kind) return unknown(o->name ? o->name : "");
    if (!o->scheduler) return brume_fail(BRUME_E_ARG, "a sampler needs the scheduler's config");
    if (shape.ndim < 1) return brume_fail(BRUME_E_SHAPE, "a sampler's images must be (N, ...), got a scalar");
    brume_sampler *s = calloc(1, sizeof *s);
    if (!s) return brume_fail(BRUME_E_MEMORY, "out of memory for a sampler");
    brume_scheduler_config_default(&s->config);
    s->device = d;
    s->kind = kind;
    s->shape = shape;
    s->count = brume_shape_numel(shape);
    s->images = shape.d[0];
    const brume_status e = setup(s, o);
    if (e != BRUME_OK) brume_sampler_free(s);
    else *out = s;
    return e;
}

const double *brume_sampler_timesteps(const brume_sampler *s, int32_t *n)
{
    *n = s->n;
    return s->t;
}

const brume_schedule *brume_sampler_schedule(const brume_sampler *s) { return s->schedule; }

/* Finishes a job: result goes to a tensor that can be bound to any buffer. */
static brume_status job_plan(brume_sampler *s, struct job *j, brume_tensor result)
{
    j->out = brume_persistent(j->g, "out", BRUME_F32, s->shape);
    brume_assign(j->g, j->out, result);
    if (brume_graph_status(j->g) != BRUME_OK) return brume_fail(brume_graph_status(j->g), "%s", brume_graph_error(j->g));
    return brume_plan_new(s->device, j->g, NULL, &j->p);
}

static brume_status job_begin(struct job *j)
{
    job_free(j); /* what a failed attempt left */
    *j = (struct job){ .g = brume_graph_new() };
    return j->g ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "out of memory for a sampler");
}

static brume_status combine(brume_sampler *s, const struct brume_terms *terms, int clamp, brume_buffer *out)
{
    const int n = terms->n;
    struct job *j = clamp ? &s->clamped[n] : &s->combine[n];
    float coef[BRUME_SAMPLING_TERMS];
    brume_status e = BRUME_OK;
    if (!j->p) {
        e = job_begin(j);
        if (e != BRUME_OK) return e;
        for (int i = 0; i < n; i++) {
            char name[16];
            snprintf(name, sizeof name, "x%d", i);
            j->in[i] = brume_input(j->g, name, BRUME_F32, s->shape);
        }
        j->coef = brume_input(j->g, "coef", BRUME_F32, BRUME_SHAPE(n));
        brume_tensor y = brume_lincomb(j->g, n, j->in, j->coef);
        const float r = (float)s->config.clip_sample_range;
        if (clamp) y = brume_clamp(j->g, y, -r, r);
        e = job_plan(s, j, y);
    }
    for (int i = 0; i < n && e == BRUME_OK; i++) {
        coef[i] = (float)terms->coef[i];
        e = brume_plan_bind(j->p, j->in[i], terms->x[i]);
    }
    if (e == BRUME_OK) e = brume_plan_bind(j->p, j->out, out);
    if (e == BRUME_OK) e = brume_plan_write(j->p, j->coef, coef, (size_t)n * sizeof *coef);
    return e == BRUME_OK ? brume_plan_run(j->p) : e;
}

static brume_status draw(brume_sampler *s, int which, const int64_t *seeds, int32_t step, brume_buffer *out)
{
    struct job *j = &s->noise[which];
    brume_status e = BRUME_OK;
    if (!j->p) {
        e = job_begin(j);
        if (e != BRUME_OK) return e;
        j->seeds = brume_input(j->g, "seeds", BRUME_I64, BRUME_SHAPE(s->images));
        j->step = brume_input(j->g, "step", BRUME_I32, BRUME_SCALAR);
        e = job_plan(s, j, brume_normal(j->g, j->seeds, j->step, which == NOISE_START ? BRUME_STREAM_START : BRUME_STREAM_STEP, s->shape));
    }
    if (e == BRUME_OK) e = brume_plan_write(j->p, j->seeds, seeds, (size_t)s->images * sizeof *seeds);
    if (e == BRUME_OK) e = brume_plan_write(j->p, j->step, &step, sizeof step);
    if (e == BRUME_OK) e = brume_plan_bind(j->p, j->out, out);
    return e == BRUME_OK ? brume_plan_run(j->p) : e;
}

static brume_status check_state(const brume_sampler *s, const brume_buffer *x)
{
    const size_t need = (size_t)s->count * sizeof(float);
    if (x && brume_buffer_bytes(x) >= need) return BRUME_OK;
    return brume_fail(BRUME_E_ARG, "the images of a sampler take %zu bytes, the buffer given has %zu", need, x ? brume_buffer_bytes(x) : (size_t)0);
}

brume_status brume_sampler_start(brume_sampler *s, const int64_t *seeds, brume_buffer *x)
{
    const brume_status e = check_state(s, x);
    return e == BRUME_OK ? draw(s, NOISE_START, seeds, 0, x) : e;
}

void brume_terms_add(struct brume_terms *s, double coef, brume_buffer *x)
{
    if (coef == 0.0 || s->n == BRUME_SAMPLING_TERMS) return;
    s->coef[s->n] = coef;
    s->x[s->n++] = x;
}

void brume_x0_coef(brume_prediction p, double a, double b, double *cx, double *cm)
{
    switch (p) {
    case BRUME_PREDICT_EPS: *cx = 1.0 / a; *cm = -b / a; return;
    case BRUME_PREDICT_X0: *cx = 0.0; *cm = 1.0; return;
    case BRUME_PREDICT_V: break;
    }
    *cx = a;
    *cm = -b;
}

void brume_eps_coef(brume_prediction p, double a, double b, double *cx, double *cm)
{
    switch (p) {
    case BRUME_PREDICT_EPS: *cx = 0.0; *cm = 1.0; return;
    case BRUME_PREDICT_X0: *cx = 1.0 / b; *cm = -a / b; return;
    case BRUME_PREDICT_V: break;
    }
    *cx = b;
    *cm = a;
}

brume_status brume_sampling_predict(struct brume_sampling *s, double t) { return s->denoiser->predict(s->denoiser->self, s->x, t, s->m); }

int brume_sampling_clips(const struct brume_sampling *s) { return s->config->clip_sample || s->config->thresholding; }

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Dynamic thresholding (Saharia et al. 2022): per image q = quantile(|x0|), at least 1; x0 = clamp(x0, -q, q) / q. On the host: one
 * read and one write of the images, small beside the network call. */
static brume_status threshold(brume_sampler *s, brume_buffer *x0)
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

static brume_status undefined(const struct brume_terms *terms)
{
    for (int i = 0; i < terms->n; i++)
        if (!isfinite(terms->coef[i]))
            return brume_fail(BRUME_E_NUMERIC, "a sampling step divides by 0: where alpha_bar is 0 an eps prediction says nothing of x0 "
                                               "(rescale_betas_zero_snr needs a model that predicts x0 or v)");
    return BRUME_OK;
}

brume_status brume_sampling_x0(struct brume_sampling *s, double a, double b)
{
    struct brume_terms terms = { 0 };
    double cx, cm;
    brume_x0_coef(s->prediction, a, b, &cx, &cm);
    brume_terms_add(&terms, cx, s->x);
    brume_terms_add(&terms, cm, s->m);
    brume_status e = undefined(&terms);
    if (e == BRUME_OK) e = combine(s->sampler, &terms, !s->config->thresholding, s->x0);
    if (e == BRUME_OK && s->config->thresholding) e = threshold(s->sampler, s->x0);
    return e;
}

brume_status brume_sampling_noise(struct brume_sampling *s)
{
    const int k = s->draws++;
    return s->noise ? s->noise->fill(s->noise->self, k, s->z) : draw(s->sampler, NOISE_STEP, s->sampler->seeds, k, s->z);
}

brume_status brume_sampling_step(struct brume_sampling *s, const struct brume_terms *terms, int has_x0)
{
    brume_status e = undefined(terms);
    if (e == BRUME_OK) e = combine(s->sampler, terms, 0, s->spare);
    if (e != BRUME_OK) return e;
    brume_buffer *x = s->spare;
    s->spare = s->x;
    s->x = x;
    s->done++;
    return s->observe ? s->observe(s->ctx, s->done, s->n, s->x, has_x0 ? s->x0 : NULL) : BRUME_OK;
}

brume_status brume_sampler_run(brume_sampler *s, const brume_denoiser *d, const int64_t *seeds, const brume_noise_source *noise, brume_buffer *x,
                               brume_sampler_observer *observe, void *ctx)
{
    brume_status e = check_state(s, x);
    if (e != BRUME_OK) return e;
    if (!seeds && !noise) return brume_fail(BRUME_E_ARG, "a sampler needs seeds, or a source of noise");
    s->seeds = seeds;
    struct brume_sampling run = {
        .sampler = s, .schedule = s->schedule, .config = &s->config, .t = s->t, .n = s->n, .eta = s->eta,
        .use_clipped_model_output = s->use_clipped_model_output, .prediction = d->prediction_type,
        .x = x, .m = s->m, .x0 = s->x0, .z = s->z, .spare = s->spare, .denoiser = d, .noise = noise, .observe = observe, .ctx = ctx,
    };
    if (observe) e = observe(ctx, 0, s->n, x, NULL);
    if (e == BRUME_OK) e = s->kind->run(&run);
    if (e == BRUME_OK && run.x != x) {
        struct brume_terms copy = { 0 };
        brume_terms_add(&copy, 1.0, run.x);
        e = combine(s, &copy, 0, x);
    }
    return e;
}
