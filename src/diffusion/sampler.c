/* SPDX-License-Identifier: MIT
 * Samplers: what is made once (process, grid, buffers), and the frame of a run. */
#include "diffusion/sampler.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/ops.h"

void brume_sampler_options_default(brume_sampler_options *o)
{
    *o = (brume_sampler_options){ .eta = -1, .strength = 1, .denoise_last = -1, .correct_steps = -1 };
}

void brume_sampler_free(brume_sampler *s)
{
    if (!s) return;
    for (size_t i = 0; i < sizeof s->combine / sizeof *s->combine; i++) brume_job_free(&s->combine[i]);
    for (size_t i = 0; i < sizeof s->clamped / sizeof *s->clamped; i++) brume_job_free(&s->clamped[i]);
    for (int i = 0; i < 4; i++) brume_job_free(&s->learned[i / 2][i % 2]);
    brume_job_free(&s->start_noise);
    brume_job_free(&s->step_noise);
    brume_job_free(&s->norms);
    brume_job_free(&s->merge);
    brume_job_free(&s->ratio);
    brume_buffer *const own[] = { s->spare, s->m, s->variance, s->x0, s->z, s->scaled, s->gradient, s->norm };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) brume_buffer_free(own[i]);
    for (int i = 0; i < BRUME_SAMPLING_REGISTERS; i++) brume_buffer_free(s->reg[i]);
    brume_grid_free(&s->grid);
    brume_process_free(s->process);
    brume_scheduler_config_clear(&s->config);
    free(s->sections);
    free(s->host);
    free(s);
}

static brume_status unknown(const char *name)
{
    char known[1024] = "";
    for (int i = 0; brume_sampler_row(i); i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", brume_sampler_row(i)->name);
    return brume_fail(BRUME_E_ARG, "sampler \"%.60s\" is unknown; there are %s", name, known);
}

static brume_status check_process(const brume_sampler_kind *k, const brume_process *p)
{
    const brume_process_kind kind = brume_process_get_kind(p);
    if (k->processes >> kind & 1) return BRUME_OK;
    char fit[1024] = "";
    for (int i = 0; brume_sampler_row(i); i++)
        if (brume_sampler_row(i)->processes >> kind & 1)
            snprintf(fit + strlen(fit), sizeof fit - strlen(fit), "%s%s", *fit ? ", " : "", brume_sampler_row(i)->name);
    return brume_fail(BRUME_E_ARG, "sampler %s is not for models of the process \"%s\"; for those there are %s", k->name,
                      brume_process_kind_name(kind), fit);
}

static int32_t grid_steps(const brume_sampler *s)
{
    const brume_sampler_options *o = &s->options;
    const int32_t T = s->config.num_train_timesteps;
    int32_t n = 0;
    for (int32_t i = 0; i < o->n_sections; i++) n += o->sections[i];
    if (n) return n;
    if (s->kind->grid == BRUME_GRID_LADDER) return T;
    const int bounded = s->config.process == BRUME_PROCESS_DISCRETE || s->config.process == BRUME_PROCESS_FLOW;
    return o->steps ? o->steps : bounded && s->kind->default_steps > T ? T : s->kind->default_steps;
}

/* Before anything is allocated for them. */
static brume_status check_sections(const brume_sampler *s, const brume_sampler_options *o)
{
    const int32_t T = s->config.num_train_timesteps;
    int64_t n = 0;
    if (o->n_sections == 0) return BRUME_OK;
    if (s->kind->run != brume_run_ddpm && s->kind->run != brume_run_repaint)
        return brume_fail(BRUME_E_UNSUPPORTED, "sampler %s takes its steps by spacing; ddpm and repaint take sections",
                          s->kind->name);
    if (o->n_sections < 0 || o->n_sections > T || !o->sections)
        return brume_fail(BRUME_E_ARG, "sections must be 1 .. %d in number, each with its steps, got %d%s", T, o->n_sections,
                          o->sections ? "" : " without");
    for (int32_t i = 0; i < o->n_sections; n += o->sections[i++])
        if (o->sections[i] < 1 || o->sections[i] > T - n)
            return brume_fail(BRUME_E_ARG, "section %d of %d asks for %d steps: at least 1 each and at most %d in all", i,
                              o->n_sections, o->sections[i], T);
    return BRUME_OK;
}

/* Calls are counted in 31 bits, and nobody waits for as many. */
static brume_status check_calls(const brume_sampler *s)
{
    const brume_sampler_options *o = &s->options;
    const int32_t correct = o->correct_steps >= 0 ? o->correct_steps : s->config.correct_steps,
                  inner = correct > o->langevin_steps ? correct : o->langevin_steps;
    if ((1 + (int64_t)inner) * s->grid.n <= 2000000000) return BRUME_OK;
    return brume_fail(BRUME_E_ARG, "%d steps with %d inner ones each are more network calls than 2e9", s->grid.n, inner);
}

brume_status brume_sampler_check_shape(brume_shape shape)
{
    int64_t room = (int64_t)1 << 40; /* as a graph's tensors */
    if (shape.ndim < 1 || shape.ndim > BRUME_MAX_DIMS)
        return brume_fail(BRUME_E_SHAPE, "images must be (N, ...) of at most %d dimensions, got %s", BRUME_MAX_DIMS,
                          shape.ndim ? "more" : "a scalar");
    for (int i = 0; i < shape.ndim; room /= shape.d[i++])
        if (shape.d[i] < 1 || shape.d[i] > room)
            return brume_fail(BRUME_E_SHAPE, "images must not be empty, nor too many to be counted: dimension %d is %" PRId64, i,
                              shape.d[i]);
    return BRUME_OK;
}

static brume_status check_options(const brume_sampler *s)
{
    const brume_sampler_options *o = &s->options;
    if (!(o->eta >= 0 && o->eta <= 1)) return brume_fail(BRUME_E_ARG, "eta must be within 0 .. 1, got %g", o->eta);
    if (!(o->strength >= 0 && o->strength <= 1))
        return brume_fail(BRUME_E_ARG, "strength must be within 0 .. 1, got %g", o->strength);
    if (!(o->s_churn >= 0 && o->s_min >= 0 && o->s_max >= 0 && o->s_noise >= 0))
        return brume_fail(BRUME_E_ARG, "churn (%g), its range (%g .. %g) and its noise (%g) must not be negative", o->s_churn,
                          o->s_min, o->s_max, o->s_noise);
    if (o->order < 0 || o->order > 4) return brume_fail(BRUME_E_ARG, "order must be within 1 .. 4, got %d", o->order);
    if (s->config.process == BRUME_PROCESS_DISCRETE && (s->grid.n < 1 || s->grid.n > s->config.num_train_timesteps))
        return brume_fail(BRUME_E_ARG, "steps must be within 1 .. %d, the time steps of the model, got %d",
                          s->config.num_train_timesteps, s->grid.n);
    return BRUME_OK;
}

brume_status brume_sampler_buffer(struct brume_sampler *s, brume_buffer **b)
{
    return *b ? BRUME_OK : brume_buffer_new(s->device, (size_t)s->count * sizeof(float), b);
}

static brume_status no_memory(void) { return brume_fail(BRUME_E_MEMORY, "out of memory for a sampler"); }

static brume_status setup(brume_sampler *s, const brume_sampler_options *o)
{
    brume_status e = brume_scheduler_config_copy(&s->config, o->scheduler);
    if (e == BRUME_OK) e = brume_process_new(&s->config, &s->process);
    if (e == BRUME_OK) e = check_process(s->kind, s->process);
    if (e == BRUME_OK) e = check_sections(s, o);
    if (e != BRUME_OK) return e;
    s->options = *o;
    s->options.scheduler = &s->config;
    if (o->n_sections > 0) {
        const size_t bytes = (size_t)o->n_sections * sizeof *s->sections;
        if (!(s->sections = malloc(bytes))) return no_memory();
        memcpy(s->sections, o->sections, bytes);
    }
    s->options.sections = s->sections;
    if (s->options.eta < 0) s->options.eta = s->kind->default_eta;
    if (s->options.strength == 0 && !(s->kind->flags & BRUME_SAMPLER_TAKES_IMAGE)) s->options.strength = 1;
    s->grid.n = grid_steps(s);
    if ((e = check_options(s)) != BRUME_OK || (e = check_calls(s)) != BRUME_OK) return e;
    const int32_t n = s->grid.n;
    e = brume_grid_new(s->process, &s->config, &s->options, (enum brume_grid_family)s->kind->grid,
                       (enum brume_state_space)s->kind->state, n, &s->grid);
    if (e != BRUME_OK) return e;
    const int32_t run = (int32_t)floor((double)s->grid.n * s->options.strength);
    s->first = s->grid.n - (run < s->grid.n ? run : s->grid.n);
    if (s->config.thresholding && !(s->host = malloc(2 * (size_t)s->count * sizeof *s->host))) return no_memory();
    if ((e = brume_sampler_buffer(s, &s->spare)) == BRUME_OK && (e = brume_sampler_buffer(s, &s->m)) == BRUME_OK &&
        (e = brume_sampler_buffer(s, &s->x0)) == BRUME_OK)
        e = brume_sampler_buffer(s, &s->z);
    return e;
}

brume_status brume_sampler_new(brume_device *d, const brume_sampler_options *o, brume_shape shape, brume_sampler **out)
{
    *out = NULL;
    const brume_sampler_kind *kind = brume_sampler_find(o->name ? o->name : "");
    return kind ? brume_sampler_new_kind(d, kind, o, shape, out) : unknown(o->name ? o->name : "");
}

brume_status brume_sampler_new_kind(brume_device *d, const brume_sampler_kind *kind, const brume_sampler_options *o,
                                    brume_shape shape, brume_sampler **out)
{
    *out = NULL;
    if (!o->scheduler) return brume_fail(BRUME_E_ARG, "a sampler needs the scheduler's config");
    const brume_status fits = brume_sampler_check_shape(shape);
    if (fits != BRUME_OK) return fits;
    brume_sampler *s = calloc(1, sizeof *s);
    if (!s) return no_memory();
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
    *n = s->grid.n;
    return s->grid.t;
}

const double *brume_sampler_sigmas(const brume_sampler *s, int32_t *n)
{
    *n = s->grid.n + (s->kind->grid == BRUME_GRID_LADDER ? 0 : 1);
    return s->grid.sigma;
}

int32_t brume_sampler_steps(const brume_sampler *s) { return grid_steps(s); }
double brume_sampler_start_scale(const brume_sampler *s) { return s->grid.start_scale; }
const brume_process *brume_sampler_process(const brume_sampler *s) { return s->process; }
void brume_sampler_get_stats(const brume_sampler *s, brume_sampler_stats *stats) { *stats = s->stats; }

int32_t brume_sampler_calls(const brume_sampler *s)
{
    const int32_t n = s->grid.n - s->first;
    if (s->kind->flags & BRUME_SAMPLER_ADAPTIVE) return 0;
    return s->kind->calls ? s->kind->calls(&s->config, &s->options, n) : n;
}

brume_status brume_sampler_noise(struct brume_sampler *s, struct brume_job *j, const int64_t *seeds, int32_t step,
                                 uint32_t stream, brume_buffer *out)
{
    brume_status e = BRUME_OK;
    if (!j->p) {
        if ((e = brume_job_begin(j, s->shape, 0, 0)) != BRUME_OK) return e;
        j->seeds = brume_input(j->g, "seeds", BRUME_I64, BRUME_SHAPE(s->images));
        j->step = brume_input(j->g, "step", BRUME_I32, BRUME_SCALAR);
        e = brume_job_end(j, s->device, brume_normal(j->g, j->seeds, j->step, stream, s->shape));
    }
    if (e == BRUME_OK) e = brume_plan_write(j->p, j->seeds, seeds, (size_t)s->images * sizeof *seeds);
    if (e == BRUME_OK) e = brume_plan_write(j->p, j->step, &step, sizeof step);
    return e == BRUME_OK ? brume_job_run(j, NULL, 0, NULL, 0, out) : e;
}

static brume_status check_images(const brume_sampler *s, const char *what, const brume_buffer *x)
{
    const size_t need = (size_t)s->count * sizeof(float);
    if (x && brume_buffer_bytes(x) >= need) return BRUME_OK;
    return brume_fail(BRUME_E_ARG, "%s of a sampler takes %zu bytes, the buffer given has %zu", what, need,
                      x ? brume_buffer_bytes(x) : (size_t)0);
}

brume_status brume_sampler_start(brume_sampler *s, const int64_t *seeds, brume_buffer *x)
{
    const brume_status e = check_images(s, "the start noise", x);
    return e == BRUME_OK ? brume_sampler_noise(s, &s->start_noise, seeds, 0, BRUME_STREAM_START, x) : e;
}

static brume_status check_input(const brume_sampler *s, const brume_sampler_input *in)
{
    if (!in->denoiser) return brume_fail(BRUME_E_ARG, "a sampler needs a denoiser");
    if (!in->seeds && !in->noise) return brume_fail(BRUME_E_ARG, "a sampler needs seeds, or a source of noise");
    if (s->options.strength < 1 && !in->known)
        return brume_fail(BRUME_E_ARG, "strength %g starts from an image, but none is given", s->options.strength);
    if (in->mask && !in->known) return brume_fail(BRUME_E_ARG, "a mask is given, but not the image whose part it keeps");
    if ((s->kind->flags & BRUME_SAMPLER_NEEDS_MASK) && !in->mask)
        return brume_fail(BRUME_E_ARG, "sampler %s is for inpainting: it needs an image and a mask", s->kind->name);
    if (in->mask && (s->kind->flags & BRUME_SAMPLER_TAKES_IMAGE))
        return brume_fail(BRUME_E_ARG, "sampler %s cannot inpaint", s->kind->name);
    brume_status e = in->known ? check_images(s, "the known image", in->known) : BRUME_OK;
    if (e == BRUME_OK && in->mask) e = check_images(s, "the mask", in->mask);
    return e;
}

/* x = start scale times noise; or a known + s noise at the node where a run from an image begins (Meng et al. 2021). */
static brume_status begin(struct brume_sampling *run)
{
    const struct brume_node *at = &run->grid->node[run->first];
    struct brume_terms x = { 0 };
    if (run->kind->flags & BRUME_SAMPLER_TAKES_IMAGE) return BRUME_OK;
    if (run->options->strength < 1) {
        brume_terms_add(&x, at->a, run->in->known);
        brume_terms_add(&x, at->s, run->x);
    } else if (run->grid->start_scale != 1) {
        brume_terms_add(&x, run->grid->start_scale, run->x);
    } else {
        return BRUME_OK;
    }
    return brume_sampling_update(run, &x);
}

brume_status brume_sampler_run(brume_sampler *s, const brume_sampler_input *in, brume_buffer *x)
{
    brume_status e = check_images(s, "the state", x);
    if (e == BRUME_OK) e = check_input(s, in);
    if (e == BRUME_OK && in->denoiser->has_variance) e = brume_sampler_buffer(s, &s->variance);
    if (e != BRUME_OK) return e;
    struct brume_sampling run = {
        .sampler = s, .options = &s->options, .kind = s->kind, .process = s->process,
        .schedule = brume_process_schedule(s->process), .config = &s->config, .grid = &s->grid, .n = s->grid.n,
        .first = s->first, .eta = s->options.eta, .prediction = in->denoiser->prediction_type, .in = in,
        .images = s->images, .count = s->count, .x = x, .m = s->m, .variance = in->denoiser->has_variance ? s->variance : NULL,
        .x0 = s->x0, .z = s->z, .spare = s->spare,
    };
    e = begin(&run);
    if (e == BRUME_OK) e = brume_sampling_stage(&run, &s->grid.node[run.first]);
    if (e == BRUME_OK) e = s->kind->run(&run);
    s->stats = (brume_sampler_stats){ run.calls, run.accepted, run.rejected, run.draws };
    if (e == BRUME_OK && run.x != x) {
        struct brume_terms copy = { 0 };
        brume_terms_add(&copy, 1.0, run.x);
        e = brume_sampling_combine(&run, &copy, x);
    }
    /* an odd number of updates leaves the caller's buffer as the spare one: the sampler keeps its own */
    return e;
}
