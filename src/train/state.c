/* SPDX-License-Identifier: MIT
 * The state of a run: what stands in its file, and how that and the model beside it are replaced. */
#include "train/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "train/state_file.h"

#define STATE_TENSORS (3 + BRUME_MAX_EMAS)
#define EMA_TEXT 256
#define TIMES "times" /* what the drawing of times has learnt */

struct part { char name[32]; brume_tensor tensor; };

static double decay_of(const brume_train_config *c, int i) { return i ? c->ema_more[i - 1] : c->ema_decay; }

/* The first average is "ema" whatever its decay, so that a run may go on with another one. */
static int parts(const struct brume_state *x, struct part s[STATE_TENSORS])
{
    const struct brume_update *u = x->update;
    int n = 0;
    s[n++] = (struct part){ "params", u->params };
    for (int i = 0; i < u->n_ema; i++, n++) {
        s[n].tensor = u->ema[i];
        if (i) snprintf(s[n].name, sizeof s[n].name, "ema.%.9g", decay_of(x->config, i));
        else snprintf(s[n].name, sizeof s[n].name, "ema");
    }
    s[n++] = (struct part){ "optimizer.m", u->m };
    if (u->v != BRUME_NONE) s[n++] = (struct part){ "optimizer.v", u->v };
    return n;
}

static void ema_text(const struct brume_state *x, char text[EMA_TEXT])
{
    int used = 0;
    for (int i = 0; i < x->update->n_ema; i++)
        used += snprintf(text + used, EMA_TEXT - (size_t)used, "%s%.9g", i ? "," : "", decay_of(x->config, i));
}

/* The tuned kernels of the trainer, as text: with others the same step has other last bits. */
static void tuning_text(const struct brume_state *x, char text[32])
{
    uint64_t h = brume_plan_tuning(x->plan);
    if (x->update->plan && x->update->plan != x->plan) h ^= brume_plan_tuning(x->update->plan) * 31;
    snprintf(text, 32, "%016" PRIx64, h);
}

brume_status brume_state_write(const struct brume_state *x, const char *path, int64_t note, const char *items)
{
    char step[32], seed[32], batch[32], note_text[32], scale[32], good[32], skipped[32], weights[32], tuning[32], ema[EMA_TEXT];
    struct part part[STATE_TENSORS];
    struct brume_state_tensor tensors[STATE_TENSORS + 1];
    int64_t n_times = 0;
    int n = parts(x, part);
    for (int i = 0; i < n; i++)
        tensors[i] = (struct brume_state_tensor){ .name = part[i].name, .n = x->n_params,
                                                  .buffer = brume_plan_buffer(x->update->plan, part[i].tensor) };
    const float *times = x->times ? brume_time_sampler_state(x->times, &n_times) : NULL;
    if (times) tensors[n++] = (struct brume_state_tensor){ .name = TIMES, .n = n_times, .host = times };
    tuning_text(x, tuning);
    ema_text(x, ema);
    snprintf(step, sizeof step, "%" PRId64, *x->done);
    snprintf(seed, sizeof seed, "%" PRIu64, x->config->seed);
    snprintf(batch, sizeof batch, "%d", x->config->batch);
    snprintf(note_text, sizeof note_text, "%" PRId64, note);
    snprintf(scale, sizeof scale, "%.0f", x->update->loss_scale);
    snprintf(good, sizeof good, "%" PRId64, x->update->good_steps);
    snprintf(skipped, sizeof skipped, "%" PRId64, x->update->skipped);
    snprintf(weights, sizeof weights, "%" PRIu64, x->weights);
    const struct brume_state_text texts[] = {
        { "brume.step", step }, { "brume.seed", seed }, { "brume.batch", batch },
        { "brume.optimizer", brume_optimizer_name(x->config->optimizer) }, { "brume.objective", x->objective },
        { "brume.note", note_text }, { "brume.loss_scale", scale }, { "brume.good_steps", good },
        { "brume.skipped_steps", skipped }, { "brume.weights", weights }, { "brume.tuning", tuning }, { "brume.ema", ema },
        { "brume.items", items } };
    return brume_state_file_write(path, tensors, n, texts, (int)(sizeof texts / sizeof *texts) - !items);
}

#define UNFINISHED "unfinished" /* the mark */

static brume_status unmark(const char *mark)
{
    return remove(mark) && errno != ENOENT ? brume_fail(BRUME_E_IO, "%s: cannot remove: %s", mark, strerror(errno)) : BRUME_OK;
}

static brume_status put_state(const struct brume_state *x, const char *folder, int64_t note)
{
    char next[4096];
    brume_status s = brume_state_file_path(folder, "state.next.safetensors", next);
    if (s == BRUME_OK) s = brume_state_write(x, next, note, NULL);
    if (s == BRUME_OK) s = brume_state_file_advance(folder, !x->resumed->newest_damaged);
    if (s == BRUME_OK) x->resumed->newest_damaged = false;
    return s;
}

brume_status brume_state_save(const struct brume_state *x, const char *folder, int64_t note, brume_save_model *model, void *self)
{
    char state[4096], mark[4096], training[4096];
    snprintf(training, sizeof training, "%s/training", folder);
    brume_status s = brume_state_file_path(folder, "state.safetensors", state);
    if (s == BRUME_OK) s = brume_state_file_path(folder, UNFINISHED, mark);
    if (s == BRUME_OK) s = brume_make_folders(training);
    if (s == BRUME_OK) s = brume_file_write(mark, "", 0);
    /* The first state comes behind the model, whose config a resume reads; later ones before it, so that no model is ahead of the
     * state. */
    const bool first = s == BRUME_OK && !brume_is_file(state);
    if (s == BRUME_OK && first) s = model(self, folder);
    if (s == BRUME_OK) s = put_state(x, folder, note);
    if (s == BRUME_OK && !first) s = model(self, folder);
    if (s == BRUME_OK) s = unmark(mark);
    return s == BRUME_OK ? s : brume_fail_in(s, "checkpoint of step %" PRId64 " in %s", *x->done, folder);
}

brume_status brume_state_finish(const char *folder, bool *was_unfinished, brume_save_model *model, void *self)
{
    char mark[4096];
    brume_status s = brume_state_file_path(folder, UNFINISHED, mark);
    *was_unfinished = s == BRUME_OK && brume_is_file(mark);
    if (*was_unfinished) s = model(self, folder);
    return s == BRUME_OK && *was_unfinished ? unmark(mark) : s;
}

/* A number of the state's metadata. */
static brume_status number(const brume_safetensors *f, const char *key, uint64_t *out)
{
    const char *text = brume_safetensors_metadata(f, key);
    char *end = NULL;
    errno = 0;
    if (text && *text >= '0' && *text <= '9') *out = strtoull(text, &end, 10);
    if (!end || *end || errno)
        return brume_fail(BRUME_E_FORMAT, "%s: metadata '%s' must be a whole number, got '%s'", brume_safetensors_name(f), key,
                          text ? text : "nothing");
    return BRUME_OK;
}

/* A number that counts something. */
static brume_status count(const brume_safetensors *f, const char *key, uint64_t *out)
{
    const brume_status s = number(f, key, out);
    return s != BRUME_OK || *out <= INT64_MAX
               ? s
               : brume_fail(BRUME_E_FORMAT, "%s: metadata '%s' is %" PRIu64 ", more than can be counted",
                            brume_safetensors_name(f), key, *out);
}

static brume_status check_same_run(const struct brume_state *x, const brume_safetensors *f)
{
    uint64_t seed = 0, batch = 0;
    brume_status s = number(f, "brume.seed", &seed);
    if (s == BRUME_OK) s = number(f, "brume.batch", &batch);
    if (s != BRUME_OK) return s;
    const char *optimizer = brume_safetensors_metadata(f, "brume.optimizer");
    if (seed != x->config->seed)
        return brume_fail(BRUME_E_ARG, "%s: this run has seed %" PRIu64 ", you asked for %" PRIu64, brume_safetensors_name(f),
                          seed, x->config->seed);
    if (batch != (uint64_t)x->config->batch)
        return brume_fail(BRUME_E_ARG, "%s: this run has batch %" PRIu64 ", you asked for %d", brume_safetensors_name(f), batch,
                          x->config->batch);
    if (!optimizer || strcmp(optimizer, brume_optimizer_name(x->config->optimizer)))
        return brume_fail(BRUME_E_ARG, "%s: this run has optimizer %s, you asked for %s", brume_safetensors_name(f),
                          optimizer ? optimizer : "(none)", brume_optimizer_name(x->config->optimizer));
    const char *old = brume_safetensors_metadata(f, "brume.objective");
    if (!old) old = "weighting simple, bound none, times uniform"; /* states of version 0.1 */
    if (strcmp(old, x->objective))
        return brume_fail(BRUME_E_ARG, "%s: this run is trained with %s; you asked for %s", brume_safetensors_name(f), old,
                          x->objective);
    uint64_t weights = 0;
    if (!brume_trainer_adapts(x->config) || (s = number(f, "brume.weights", &weights)) != BRUME_OK || weights == x->weights)
        return s;
    return brume_fail(BRUME_E_ARG, "%s: these adapters were trained beside other weights; give the model that the run began with",
                      brume_safetensors_name(f));
}

static brume_status read_tensors(const struct brume_state *x, const brume_safetensors *f)
{
    struct part part[STATE_TENSORS];
    const int n = parts(x, part);
    float *host = malloc(BRUME_STATE_CHUNK * sizeof *host);
    brume_status s = host ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "checkpoint: out of memory");
    for (int i = 0; s == BRUME_OK && i < n; i++) {
        const brume_st_tensor *t = brume_safetensors_find(f, part[i].name);
        const char *emas = brume_safetensors_metadata(f, "brume.ema");
        if (!t && !strncmp(part[i].name, "ema.", 4)) {
            s = brume_fail(BRUME_E_ARG, "%s: this run has no average of decay %s, it has %s", brume_safetensors_name(f),
                           part[i].name + 4, emas ? emas : "one");
            break;
        }
        if (!t || t->count != x->n_params)
            s = brume_fail(BRUME_E_SHAPE,
                           "%s: tensor '%s' expects %" PRId64 " values, the file has %" PRId64 "; was it another model?",
                           brume_safetensors_name(f), part[i].name, x->n_params, t ? t->count : 0);
        brume_buffer *to = brume_plan_buffer(x->update->plan, part[i].tensor);
        for (int64_t at = 0; s == BRUME_OK && at < x->n_params; at += BRUME_STATE_CHUNK) {
            const int64_t m = x->n_params - at < BRUME_STATE_CHUNK ? x->n_params - at : BRUME_STATE_CHUNK;
            if ((s = brume_st_read_f32(t, at, m, host)) == BRUME_OK)
                s = brume_buffer_write(to, (size_t)at * sizeof *host, host, (size_t)m * sizeof *host);
        }
    }
    free(host);
    int64_t n_times;
    float *times = x->times ? brume_time_sampler_state(x->times, &n_times) : NULL;
    if (s != BRUME_OK || !times) return s;
    const brume_st_tensor *t = brume_safetensors_find(f, TIMES);
    if (!t || t->count != n_times)
        return brume_fail(BRUME_E_SHAPE, "%s: tensor '" TIMES "' expects %" PRId64 " values, the file has %" PRId64,
                          brume_safetensors_name(f), n_times, t ? t->count : 0);
    s = brume_st_read_f32(t, 0, n_times, times);
    return s == BRUME_OK ? brume_time_sampler_restored(x->times) : s;
}

/* Runs from before there was f16 storage have none. A run may change its storage: an f32 run then starts from the scale that
 * fresh ones have. */
static brume_status read_loss_scale(struct brume_update *u, brume_storage storage, const brume_safetensors *f)
{
    uint64_t scale = 0, good = 0, skipped = 0;
    if (!brume_safetensors_metadata(f, "brume.loss_scale")) return BRUME_OK;
    brume_status s = number(f, "brume.loss_scale", &scale);
    if (s == BRUME_OK) s = count(f, "brume.good_steps", &good);
    if (s == BRUME_OK) s = count(f, "brume.skipped_steps", &skipped);
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
    char now[32], *text = x->resumed->warning;
    const size_t used = strlen(text);
    const char *then = brume_safetensors_metadata(f, "brume.tuning");
    tuning_text(x, now);
    if (strcmp(then ? then : "0000000000000000", now))
        snprintf(text + used, sizeof x->resumed->warning - used,
                 "%sother kernels are tuned than when this run was saved: from here on it may differ in last bits "
                 "from a run without interruption",
                 used ? "; " : "");
}

brume_status brume_state_open(const struct brume_state *x, const char *folder, brume_safetensors **out)
{
    const brume_status s = brume_state_file_find(folder, out, &x->resumed->newest_damaged, x->resumed->warning);
    return s == BRUME_OK ? check_same_run(x, *out) : s;
}

brume_status brume_state_open_path(const struct brume_state *x, const char *path, brume_safetensors **out)
{
    *x->resumed = (struct brume_resumed){ 0 };
    const brume_status s = brume_state_file_open(path, out);
    return s == BRUME_OK ? check_same_run(x, *out) : s;
}

brume_status brume_state_read(const struct brume_state *x, const brume_safetensors *f, int64_t *note)
{
    uint64_t step = 0, kept = 0;
    brume_status s = count(f, "brume.step", &step);
    if (s == BRUME_OK) s = count(f, "brume.note", &kept);
    if (s == BRUME_OK) s = read_loss_scale(x->update, x->config->storage, f);
    if (s == BRUME_OK) s = read_tensors(x, f);
    if (s != BRUME_OK) return s;
    compare_tuning(x, f);
    *x->done = (int64_t)step;
    if (note) *note = (int64_t)kept;
    return BRUME_OK;
}
