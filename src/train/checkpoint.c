/* SPDX-License-Identifier: MIT
 * Checkpoints: the whole state in one safetensors file, and beside it the EMA weights as a diffusers pipeline. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/model.h"
#include "brume/safetensors.h"
#include "train/trainer.h"

#define STATE_TENSORS 4
#define CHUNK 65536 /* values read at once: no host copy of a whole slab */
#define OBJECTIVE_TEXT 400
#define TIMES "times" /* what the drawing of times has learnt */

struct state { const char *name; brume_tensor tensor; };

static int states(const struct brume_trainer *t, struct state s[STATE_TENSORS])
{
    int n = 0;
    s[n++] = (struct state){ "params", t->update.params };
    s[n++] = (struct state){ "ema", t->update.ema };
    s[n++] = (struct state){ "optimizer.m", t->update.m };
    if (t->update.v != BRUME_NONE) s[n++] = (struct state){ "optimizer.v", t->update.v };
    return n;
}

static brume_status state_path(const char *folder, char *path, size_t size)
{
    const int n = snprintf(path, size, "%s/training/state.safetensors", folder);
    return n > 0 && (size_t)n < size ? BRUME_OK : brume_fail(BRUME_E_ARG, "the folder's path is too long: %s", folder);
}

/* Values of a tensor of the file: of the plan's memory, or of the host's. */
struct source { brume_buffer *buffer; const float *host; };

static brume_status read_values(const void *from, int64_t first, int64_t n, void *dst)
{
    const struct source *x = from;
    if (x->buffer) return brume_buffer_read(x->buffer, (size_t)first * sizeof(float), dst, (size_t)n * sizeof(float));
    memcpy(dst, x->host + first, (size_t)n * sizeof(float));
    return BRUME_OK;
}

/* The part of the objective that the model's files do not tell. */
static void objective_text(const brume_train_config *c, char text[OBJECTIVE_TEXT])
{
    const brume_objective *o = &c->objective;
    const char *weighting = o->weighting ? o->weighting->name : "simple", *times = "default";
    for (int i = 0; brume_time_sampling_row(i); i++)
        if (brume_time_sampling_row(i)->value == (o->times ? o->times : brume_time_sampling_default(c->scheduler.process))) times = brume_time_sampling_row(i)->name;
    const char *what = brume_trainer_classifies(c) ? "classifier, " : !c->text.tokenizer ? "" : c->text.frozen ? "captions by a frozen encoder, " : "captions, ";
    char latents[64] = "", adapters[96];
    if (c->autoencoder) snprintf(latents, sizeof latents, "latents of autoencoder %016" PRIx64 ", ", brume_trainer_latent_hash(c->autoencoder));
    brume_adapters_text(c, adapters);
    const int n = snprintf(text, OBJECTIVE_TEXT, "%s%s%sweighting %s, bound %s, times %s", adapters, latents, what, weighting, brume_bound_name(o->bound), times);
    char *more = text + n;
    size_t left = OBJECTIVE_TEXT - (size_t)n;
    if (!strcmp(weighting, "min-snr")) more += snprintf(more, left, ", gamma %.9g", o->snr_gamma);
    if (!strcmp(weighting, "p2")) more += snprintf(more, left, ", gamma %.9g, k %.9g", o->p2_gamma, o->p2_k);
    left = OBJECTIVE_TEXT - (size_t)(more - text);
    if (!isnan(o->time_mean) || !isnan(o->time_std)) more += snprintf(more, left, ", mean %.9g, std %.9g", o->time_mean, o->time_std);
    left = OBJECTIVE_TEXT - (size_t)(more - text);
    if (o->offset_noise > 0) snprintf(more, left, ", offset noise %.9g", o->offset_noise);
}

/* The tuned kernels of the trainer, as text: with others the same step has other last bits. */
static void tuning_text(const struct brume_trainer *t, char text[32])
{
    uint64_t h = brume_plan_tuning(t->plan);
    if (t->update.plan && t->update.plan != t->plan) h ^= brume_plan_tuning(t->update.plan) * 31;
    snprintf(text, 32, "%016" PRIx64, h);
}

static brume_status save_state(struct brume_trainer *t, const char *folder, int64_t note)
{
    char path[4096], step[32], seed[32], batch[32], note_text[32], objective[OBJECTIVE_TEXT], scale[32], good[32], skipped[32], weights[32], tuning[32];
    struct state st[STATE_TENSORS];
    struct source from[STATE_TENSORS + 1];
    brume_st_item items[STATE_TENSORS + 1];
    int64_t n_times;
    int n = states(t, st);
    brume_status s = state_path(folder, path, sizeof path);
    for (int i = 0; i < n; i++) {
        from[i] = (struct source){ .buffer = brume_plan_buffer(t->update.plan, st[i].tensor) };
        items[i] = (brume_st_item){ .name = st[i].name, .dtype = BRUME_ST_F32, .ndim = 1, .shape = &t->n_params, .data = &from[i] };
    }
    const float *times = brume_time_sampler_state(t->time_sampler, &n_times);
    if (times) {
        from[n] = (struct source){ .host = times };
        items[n] = (brume_st_item){ .name = TIMES, .dtype = BRUME_ST_F32, .ndim = 1, .shape = &n_times, .data = &from[n] };
        n++;
    }
    objective_text(&t->config, objective);
    tuning_text(t, tuning);
    snprintf(step, sizeof step, "%" PRId64, t->done);
    snprintf(seed, sizeof seed, "%" PRIu64, t->config.seed);
    snprintf(batch, sizeof batch, "%d", t->config.batch);
    snprintf(note_text, sizeof note_text, "%" PRId64, note);
    snprintf(scale, sizeof scale, "%.0f", t->update.loss_scale);
    snprintf(good, sizeof good, "%" PRId64, t->update.good_steps);
    snprintf(skipped, sizeof skipped, "%" PRId64, t->update.skipped);
    snprintf(weights, sizeof weights, "%" PRIu64, t->weights_hash);
    const char *metadata[] = { "brume.step", step, "brume.seed", seed, "brume.batch", batch, "brume.optimizer", brume_optimizer_name(t->config.optimizer),
                               "brume.objective", objective, "brume.note", note_text, "brume.loss_scale", scale,
                               "brume.good_steps", good, "brume.skipped_steps", skipped, "brume.weights", weights, "brume.tuning", tuning, NULL };
    if (s == BRUME_OK) s = brume_safetensors_write_from(path, items, n, metadata, read_values);
    return s;
}

static brume_status save_model(struct brume_trainer *t, const char *folder)
{
    if (brume_trainer_adapts(&t->config)) return brume_adapters_save(t, folder);
    const brume_train_text *text = &t->config.text;
    const int64_t n_text = t->text.n_params;
    brume_text_model encoder = { .config = text->encoder, .n_params = n_text };
    brume_model m = { .unet = t->config.unet, .scheduler = t->config.scheduler, .has_scheduler = 1, .n_params = t->n_params - n_text };
    float *params = malloc((size_t)t->n_params * sizeof *params);
    if (!params) return brume_fail(BRUME_E_MEMORY, "checkpoint: out of memory");
    m.params = params + n_text;
    m.autoencoder = (brume_autoencoder *)(uintptr_t)t->config.autoencoder; /* which saving only reads, as the next two */
    if (text->tokenizer) {
        encoder.params = params;
        m.text_encoder = text->frozen ? (brume_text_model *)(uintptr_t)text->frozen : &encoder;
        m.tokenizer = (brume_tokenizer *)(uintptr_t)text->tokenizer;
    }
    brume_status s = brume_trainer_get_params(t, 1, params);
    if (s == BRUME_OK) s = brume_model_save(&m, folder);
    free(params);
    return s;
}

brume_status brume_trainer_save(brume_trainer *t, const char *folder, int64_t note)
{
    char training[4096];
    snprintf(training, sizeof training, "%s/training", folder);
    brume_status s = brume_make_folders(training);
    if (s == BRUME_OK) s = save_state(t, folder, note);
    if (s == BRUME_OK) s = save_model(t, folder);
    return s == BRUME_OK ? s : brume_fail_in(s, "checkpoint of step %" PRId64 " in %s", t->done, folder);
}

/* A number of the state's metadata. */
static brume_status number(const brume_safetensors *f, const char *key, uint64_t *out)
{
    const char *text = brume_safetensors_metadata(f, key);
    char *end = NULL;
    errno = 0;
    if (text && *text >= '0' && *text <= '9') *out = strtoull(text, &end, 10);
    if (!end || *end || errno) return brume_fail(BRUME_E_FORMAT, "%s: metadata '%s' must be a whole number, got '%s'", brume_safetensors_name(f), key, text ? text : "nothing");
    return BRUME_OK;
}

static brume_status check_same_run(const struct brume_trainer *t, const brume_safetensors *f)
{
    uint64_t seed = 0, batch = 0;
    brume_status s = number(f, "brume.seed", &seed);
    if (s == BRUME_OK) s = number(f, "brume.batch", &batch);
    if (s != BRUME_OK) return s;
    const char *optimizer = brume_safetensors_metadata(f, "brume.optimizer");
    if (seed != t->config.seed)
        return brume_fail(BRUME_E_ARG, "%s: this run has seed %" PRIu64 ", you asked for %" PRIu64, brume_safetensors_name(f), seed, t->config.seed);
    if (batch != (uint64_t)t->config.batch)
        return brume_fail(BRUME_E_ARG, "%s: this run has batch %" PRIu64 ", you asked for %d", brume_safetensors_name(f), batch, t->config.batch);
    if (!optimizer || strcmp(optimizer, brume_optimizer_name(t->config.optimizer)))
        return brume_fail(BRUME_E_ARG, "%s: this run has optimizer %s, you asked for %s", brume_safetensors_name(f), optimizer ? optimizer : "(none)",
                          brume_optimizer_name(t->config.optimizer));
    char objective[OBJECTIVE_TEXT];
    const char *old = brume_safetensors_metadata(f, "brume.objective");
    objective_text(&t->config, objective);
    if (!old) old = "weighting simple, bound none, times uniform"; /* states of version 0.1 */
    if (strcmp(old, objective))
        return brume_fail(BRUME_E_ARG, "%s: this run is trained with %s; you asked for %s", brume_safetensors_name(f), old, objective);
    uint64_t weights = 0;
    if (!brume_trainer_adapts(&t->config) || (s = number(f, "brume.weights", &weights)) != BRUME_OK || weights == t->weights_hash) return s;
    return brume_fail(BRUME_E_ARG, "%s: these adapters were trained beside other weights; give the model that the run began with", brume_safetensors_name(f));
}

static brume_status read_state(struct brume_trainer *t, const brume_safetensors *f)
{
    struct state st[STATE_TENSORS];
    const int n = states(t, st);
    float *host = malloc(CHUNK * sizeof *host);
    brume_status s = host ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "checkpoint: out of memory");
    for (int i = 0; s == BRUME_OK && i < n; i++) {
        const brume_st_tensor *x = brume_safetensors_find(f, st[i].name);
        if (!x || x->count != t->n_params)
            s = brume_fail(BRUME_E_SHAPE, "%s: tensor '%s' expects %" PRId64 " values, the file has %" PRId64 "; was it another model?",
                           brume_safetensors_name(f), st[i].name, t->n_params, x ? x->count : 0);
        brume_buffer *to = brume_plan_buffer(t->update.plan, st[i].tensor);
        for (int64_t at = 0; s == BRUME_OK && at < t->n_params; at += CHUNK) {
            const int64_t m = t->n_params - at < CHUNK ? t->n_params - at : CHUNK;
            if ((s = brume_st_read_f32(x, at, m, host)) == BRUME_OK) s = brume_buffer_write(to, (size_t)at * sizeof *host, host, (size_t)m * sizeof *host);
        }
    }
    free(host);
    int64_t n_times;
    float *times = brume_time_sampler_state(t->time_sampler, &n_times);
    if (s != BRUME_OK || !times) return s;
    const brume_st_tensor *x = brume_safetensors_find(f, TIMES);
    if (!x || x->count != n_times)
        return brume_fail(BRUME_E_SHAPE, "%s: tensor '" TIMES "' expects %" PRId64 " values, the file has %" PRId64, brume_safetensors_name(f), n_times, x ? x->count : 0);
    s = brume_st_read_f32(x, 0, n_times, times);
    return s == BRUME_OK ? brume_time_sampler_restored(t->time_sampler) : s;
}

/* Do two configs describe the same noise process? */
static bool same_process(const brume_scheduler_config *a, const brume_scheduler_config *b, const brume_process *pa, const brume_process *pb)
{
    if (a->process != b->process || a->num_train_timesteps != b->num_train_timesteps) return false;
    for (int32_t i = 0; a->process == BRUME_PROCESS_DISCRETE && i < a->num_train_timesteps; i++)
        if (!(fabs(brume_process_schedule(pa)->beta[i] - brume_process_schedule(pb)->beta[i]) <= 1e-12)) return false;
    switch (a->process) {
    case BRUME_PROCESS_DISCRETE: case BRUME_PROCESS_FLOW: return true;
    case BRUME_PROCESS_VP: case BRUME_PROCESS_SUBVP: return a->beta_min == b->beta_min && a->beta_max == b->beta_max;
    case BRUME_PROCESS_EDM:
        if (a->sigma_data != b->sigma_data) return false; /* fall through */
    case BRUME_PROCESS_NCSN: case BRUME_PROCESS_VE: break;
    }
    return a->sigma_min == b->sigma_min && a->sigma_max == b->sigma_max;
}

/* "1000 steps of schedule linear (beta 0.0001 .. 0.02), predicting eps" */
static void process_text(const brume_scheduler_config *c, const brume_process *p, char text[256])
{
    const char *target = brume_objective_of(c->prediction_type)->name, *variance = c->variance_type == BRUME_VARIANCE_LEARNED_RANGE ? " and variance" : "";
    const int32_t T = c->num_train_timesteps;
    double lo, hi;
    brume_process_sigma_range(p, &lo, &hi);
    if (c->process == BRUME_PROCESS_DISCRETE)
        snprintf(text, 256, "%d steps of schedule %s (beta %g .. %g), predicting %s%s", T, c->beta_schedule, brume_process_schedule(p)->beta[0],
                 brume_process_schedule(p)->beta[T - 1], target, variance);
    else snprintf(text, 256, "%d levels of process %s (sigma %g .. %g), predicting %s", T, brume_process_kind_name(c->process), lo, hi, target);
}

/* The process that the folder's model was trained with, where it stands beside the state: another one would spoil the weights. */
static brume_status check_same_process(const struct brume_trainer *t, const char *folder)
{
    brume_train_config old;
    brume_process *p = NULL;
    brume_scheduler_config_default(&old.scheduler);
    old.scheduler.num_train_timesteps = 0; /* marks "none found" */
    const brume_scheduler_config *now = &t->config.scheduler;
    brume_status s = brume_train_config_schedule(folder, &old, NULL);
    if (s == BRUME_OK && old.scheduler.num_train_timesteps == 0) return BRUME_OK;
    if (s == BRUME_OK) s = brume_process_new(&old.scheduler, &p);
    if (s == BRUME_OK && (old.scheduler.prediction_type != now->prediction_type || !same_process(&old.scheduler, now, p, t->process))) {
        char a[256], b[256];
        process_text(&old.scheduler, p, a);
        process_text(now, t->process, b);
        s = brume_fail(BRUME_E_ARG, "%s: this run has %s; you asked for %s", folder, a, b);
    }
    brume_process_free(p);
    brume_scheduler_config_clear(&old.scheduler);
    return s;
}

/* Runs from before there was f16 storage have none. A run may change its storage: an f32 run then starts from the scale that fresh ones have. */
static brume_status read_loss_scale(struct brume_update *u, brume_storage storage, const brume_safetensors *f)
{
    uint64_t scale = 0, good = 0, skipped = 0;
    if (!brume_safetensors_metadata(f, "brume.loss_scale")) return BRUME_OK;
    brume_status s = number(f, "brume.loss_scale", &scale);
    if (s == BRUME_OK) s = number(f, "brume.good_steps", &good);
    if (s == BRUME_OK) s = number(f, "brume.skipped_steps", &skipped);
    if (s != BRUME_OK) return s;
    u->skipped = (int64_t)skipped;
    if (storage == BRUME_STORAGE_F16 && scale > 1) {
        u->loss_scale = (double)scale;
        u->good_steps = (int64_t)good;
    }
    return BRUME_OK;
}

/* States from before there was tuning were trained without. */
static void compare_tuning(struct brume_trainer *t, const brume_safetensors *f)
{
    char now[32];
    const char *then = brume_safetensors_metadata(f, "brume.tuning");
    tuning_text(t, now);
    t->other_kernels = strcmp(then ? then : "0000000000000000", now) != 0;
}

const char *brume_trainer_resume_warning(const brume_trainer *t)
{
    return t->other_kernels ? "other kernels are tuned than when this run was saved: from here on it may differ in last bits from a run without interruption" : NULL;
}

brume_status brume_trainer_resume(brume_trainer *t, const char *folder, int64_t *note)
{
    char path[4096];
    brume_safetensors *f = NULL;
    uint64_t step = 0, kept = 0;
    brume_status s = state_path(folder, path, sizeof path);
    if (s == BRUME_OK) s = brume_safetensors_open(path, &f);
    if (s == BRUME_OK) s = check_same_run(t, f);
    if (s == BRUME_OK) s = check_same_process(t, folder);
    if (s == BRUME_OK) s = number(f, "brume.step", &step);
    if (s == BRUME_OK) s = number(f, "brume.note", &kept);
    if (s == BRUME_OK) s = read_loss_scale(&t->update, t->config.storage, f);
    if (s == BRUME_OK) s = read_state(t, f);
    if (s == BRUME_OK) compare_tuning(t, f);
    brume_safetensors_close(f);
    if (s != BRUME_OK) return brume_fail_in(s, "cannot resume");
    t->done = (int64_t)step;
    if (note) *note = (int64_t)kept;
    return BRUME_OK;
}
