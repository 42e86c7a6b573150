/* SPDX-License-Identifier: MIT
 * The state of a run as one safetensors file: written in pieces from where it is, so that no host copy of a whole slab is made. */
#include "train/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

#define STATE_TENSORS 4
#define CHUNK 65536 /* values read at once */
#define TIMES "times" /* what the drawing of times has learnt */

struct part { const char *name; brume_tensor tensor; };

static int parts(const struct brume_update *u, struct part s[STATE_TENSORS])
{
    int n = 0;
    s[n++] = (struct part){ "params", u->params };
    s[n++] = (struct part){ "ema", u->ema };
    s[n++] = (struct part){ "optimizer.m", u->m };
    if (u->v != BRUME_NONE) s[n++] = (struct part){ "optimizer.v", u->v };
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

/* The tuned kernels of the trainer, as text: with others the same step has other last bits. */
static void tuning_text(const struct brume_state *x, char text[32])
{
    uint64_t h = brume_plan_tuning(x->plan);
    if (x->update->plan && x->update->plan != x->plan) h ^= brume_plan_tuning(x->update->plan) * 31;
    snprintf(text, 32, "%016" PRIx64, h);
}

brume_status brume_state_save(const struct brume_state *x, const char *folder, int64_t note)
{
    char path[4096], step[32], seed[32], batch[32], note_text[32], scale[32], good[32], skipped[32], weights[32], tuning[32];
    struct part part[STATE_TENSORS];
    struct source from[STATE_TENSORS + 1];
    brume_st_item items[STATE_TENSORS + 1];
    int64_t n_times = 0;
    int n = parts(x->update, part);
    brume_status s = state_path(folder, path, sizeof path);
    for (int i = 0; i < n; i++) {
        from[i] = (struct source){ .buffer = brume_plan_buffer(x->update->plan, part[i].tensor) };
        items[i] = (brume_st_item){ .name = part[i].name, .dtype = BRUME_ST_F32, .ndim = 1, .shape = &x->n_params, .data = &from[i] };
    }
    const float *times = x->times ? brume_time_sampler_state(x->times, &n_times) : NULL;
    if (times) {
        from[n] = (struct source){ .host = times };
        items[n] = (brume_st_item){ .name = TIMES, .dtype = BRUME_ST_F32, .ndim = 1, .shape = &n_times, .data = &from[n] };
        n++;
    }
    tuning_text(x, tuning);
    snprintf(step, sizeof step, "%" PRId64, *x->done);
    snprintf(seed, sizeof seed, "%" PRIu64, x->config->seed);
    snprintf(batch, sizeof batch, "%d", x->config->batch);
    snprintf(note_text, sizeof note_text, "%" PRId64, note);
    snprintf(scale, sizeof scale, "%.0f", x->update->loss_scale);
    snprintf(good, sizeof good, "%" PRId64, x->update->good_steps);
    snprintf(skipped, sizeof skipped, "%" PRId64, x->update->skipped);
    snprintf(weights, sizeof weights, "%" PRIu64, x->weights);
    const char *metadata[] = { "brume.step", step, "brume.seed", seed, "brume.batch", batch, "brume.optimizer", brume_optimizer_name(x->config->optimizer),
                               "brume.objective", x->objective, "brume.note", note_text, "brume.loss_scale", scale,
                               "brume.good_steps", good, "brume.skipped_steps", skipped, "brume.weights", weights, "brume.tuning", tuning, NULL };
    if (s == BRUME_OK) s = brume_safetensors_write_from(path, items, n, metadata, read_values);
    return s;
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

static brume_status check_same_run(const struct brume_state *x, const brume_safetensors *f)
{
    uint64_t seed = 0, batch = 0;
    brume_status s = number(f, "brume.seed", &seed);
    if (s == BRUME_OK) s = number(f, "brume.batch", &batch);
    if (s != BRUME_OK) return s;
    const char *optimizer = brume_safetensors_metadata(f, "brume.optimizer");
    if (seed != x->config->seed)
        return brume_fail(BRUME_E_ARG, "%s: this run has seed %" PRIu64 ", you asked for %" PRIu64, brume_safetensors_name(f), seed, x->config->seed);
    if (batch != (uint64_t)x->config->batch)
        return brume_fail(BRUME_E_ARG, "%s: this run has batch %" PRIu64 ", you asked for %d", brume_safetensors_name(f), batch, x->config->batch);
    if (!optimizer || strcmp(optimizer, brume_optimizer_name(x->config->optimizer)))
        return brume_fail(BRUME_E_ARG, "%s: this run has optimizer %s, you asked for %s", brume_safetensors_name(f), optimizer ? optimizer : "(none)",
                          brume_optimizer_name(x->config->optimizer));
    const char *old = brume_safetensors_metadata(f, "brume.objective");
    if (!old) old = "weighting simple, bound none, times uniform"; /* states of version 0.1 */
    if (strcmp(old, x->objective))
        return brume_fail(BRUME_E_ARG, "%s: this run is trained with %s; you asked for %s", brume_safetensors_name(f), old, x->objective);
    uint64_t weights = 0;
    if (!brume_trainer_adapts(x->config) || (s = number(f, "brume.weights", &weights)) != BRUME_OK || weights == x->weights) return s;
    return brume_fail(BRUME_E_ARG, "%s: these adapters were trained beside other weights; give the model that the run began with", brume_safetensors_name(f));
}

static brume_status read_tensors(const struct brume_state *x, const brume_safetensors *f)
{
    struct part part[STATE_TENSORS];
    const int n = parts(x->update, part);
    float *host = malloc(CHUNK * sizeof *host);
    brume_status s = host ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "checkpoint: out of memory");
    for (int i = 0; s == BRUME_OK && i < n; i++) {
        const brume_st_tensor *t = brume_safetensors_find(f, part[i].name);
        if (!t || t->count != x->n_params)
            s = brume_fail(BRUME_E_SHAPE, "%s: tensor '%s' expects %" PRId64 " values, the file has %" PRId64 "; was it another model?",
                           brume_safetensors_name(f), part[i].name, x->n_params, t ? t->count : 0);
        brume_buffer *to = brume_plan_buffer(x->update->plan, part[i].tensor);
        for (int64_t at = 0; s == BRUME_OK && at < x->n_params; at += CHUNK) {
            const int64_t m = x->n_params - at < CHUNK ? x->n_params - at : CHUNK;
            if ((s = brume_st_read_f32(t, at, m, host)) == BRUME_OK) s = brume_buffer_write(to, (size_t)at * sizeof *host, host, (size_t)m * sizeof *host);
        }
    }
    free(host);
    int64_t n_times;
    float *times = x->times ? brume_time_sampler_state(x->times, &n_times) : NULL;
    if (s != BRUME_OK || !times) return s;
    const brume_st_tensor *t = brume_safetensors_find(f, TIMES);
    if (!t || t->count != n_times)
        return brume_fail(BRUME_E_SHAPE, "%s: tensor '" TIMES "' expects %" PRId64 " values, the file has %" PRId64, brume_safetensors_name(f), n_times, t ? t->count : 0);
    s = brume_st_read_f32(t, 0, n_times, times);
    return s == BRUME_OK ? brume_time_sampler_restored(x->times) : s;
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
static void compare_tuning(const struct brume_state *x, const brume_safetensors *f)
{
    char now[32];
    const char *then = brume_safetensors_metadata(f, "brume.tuning");
    tuning_text(x, now);
    *x->other_kernels = strcmp(then ? then : "0000000000000000", now) != 0;
}

const char *brume_state_warning(bool other_kernels)
{
    return other_kernels ? "other kernels are tuned than when this run was saved: from here on it may differ in last bits from a run without interruption" : NULL;
}

brume_status brume_state_open(const struct brume_state *x, const char *folder, brume_safetensors **out)
{
    char path[4096];
    *out = NULL;
    brume_status s = state_path(folder, path, sizeof path);
    if (s == BRUME_OK) s = brume_safetensors_open(path, out);
    return s == BRUME_OK ? check_same_run(x, *out) : s;
}

brume_status brume_state_read(const struct brume_state *x, const brume_safetensors *f, int64_t *note)
{
    uint64_t step = 0, kept = 0;
    brume_status s = number(f, "brume.step", &step);
    if (s == BRUME_OK) s = number(f, "brume.note", &kept);
    if (s == BRUME_OK) s = read_loss_scale(x->update, x->config->storage, f);
    if (s == BRUME_OK) s = read_tensors(x, f);
    if (s != BRUME_OK) return s;
    compare_tuning(x, f);
    *x->done = (int64_t)step;
    if (note) *note = (int64_t)kept;
    return BRUME_OK;
}
