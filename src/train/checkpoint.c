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

static brume_status read_values(const void *buffer, int64_t first, int64_t n, void *dst)
{
    return brume_buffer_read((brume_buffer *)buffer, (size_t)first * sizeof(float), dst, (size_t)n * sizeof(float));
}

static brume_status save_state(struct brume_trainer *t, const char *folder, int64_t note)
{
    char path[4096], step[32], seed[32], batch[32], note_text[32];
    struct state st[STATE_TENSORS];
    brume_st_item items[STATE_TENSORS];
    const int n = states(t, st);
    brume_status s = state_path(folder, path, sizeof path);
    for (int i = 0; i < n; i++)
        items[i] = (brume_st_item){ .name = st[i].name, .dtype = BRUME_ST_F32, .ndim = 1, .shape = &t->n_params,
                                    .data = brume_plan_buffer(t->update.plan, st[i].tensor) };
    snprintf(step, sizeof step, "%" PRId64, t->done);
    snprintf(seed, sizeof seed, "%" PRIu64, t->config.seed);
    snprintf(batch, sizeof batch, "%d", t->config.batch);
    snprintf(note_text, sizeof note_text, "%" PRId64, note);
    const char *metadata[] = { "brume.step", step, "brume.seed", seed, "brume.batch", batch, "brume.optimizer", brume_optimizer_name(t->config.optimizer),
                               "brume.note", note_text, NULL };
    if (s == BRUME_OK) s = brume_safetensors_write_from(path, items, n, metadata, read_values);
    return s;
}

static brume_status save_model(struct brume_trainer *t, const char *folder)
{
    brume_model m = { .unet = t->config.unet, .scheduler = t->config.scheduler, .has_scheduler = 1, .n_params = t->n_params };
    m.params = malloc((size_t)t->n_params * sizeof *m.params);
    if (!m.params) return brume_fail(BRUME_E_MEMORY, "checkpoint: out of memory");
    brume_status s = brume_trainer_get_params(t, 1, m.params);
    if (s == BRUME_OK) s = brume_model_save(&m, folder);
    free(m.params);
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
    return BRUME_OK;
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
    return s;
}

/* The schedule that the folder's model was trained with, where it stands beside the state: another one would spoil the weights. */
static brume_status check_same_schedule(const struct brume_trainer *t, const char *folder)
{
    static const char *const targets[] = { "eps", "x0", "v" };
    brume_train_config old;
    brume_schedule *a = NULL, *b = NULL;
    brume_scheduler_config_default(&old.scheduler);
    old.scheduler.num_train_timesteps = 0; /* marks "none found" */
    const brume_scheduler_config *now = &t->config.scheduler;
    brume_status s = brume_train_config_schedule(folder, &old, NULL);
    if (s == BRUME_OK && old.scheduler.num_train_timesteps == 0) return BRUME_OK;
    if (s == BRUME_OK) s = brume_schedule_new(&old.scheduler, &a);
    if (s == BRUME_OK) s = brume_schedule_new(now, &b);
    bool same = s != BRUME_OK || (a->T == b->T && old.scheduler.prediction_type == now->prediction_type);
    for (int32_t i = 0; s == BRUME_OK && same && i < a->T; i++) same = fabs(a->beta[i] - b->beta[i]) <= 1e-12;
    if (!same)
        s = brume_fail(BRUME_E_ARG, "%s: this run has %d steps of schedule %s (beta %g .. %g) and predicts %s, you asked for %d of %s (%g .. %g) and %s", folder,
                       a->T, old.scheduler.beta_schedule, a->beta[0], a->beta[a->T - 1], targets[old.scheduler.prediction_type], b->T,
                       now->beta_schedule, b->beta[0], b->beta[b->T - 1], targets[now->prediction_type]);
    brume_schedule_free(a);
    brume_schedule_free(b);
    brume_scheduler_config_clear(&old.scheduler);
    return s;
}

brume_status brume_trainer_resume(brume_trainer *t, const char *folder, int64_t *note)
{
    char path[4096];
    brume_safetensors *f = NULL;
    uint64_t step = 0, kept = 0;
    brume_status s = state_path(folder, path, sizeof path);
    if (s == BRUME_OK) s = brume_safetensors_open(path, &f);
    if (s == BRUME_OK) s = check_same_run(t, f);
    if (s == BRUME_OK) s = check_same_schedule(t, folder);
    if (s == BRUME_OK) s = number(f, "brume.step", &step);
    if (s == BRUME_OK) s = number(f, "brume.note", &kept);
    if (s == BRUME_OK) s = read_state(t, f);
    brume_safetensors_close(f);
    if (s != BRUME_OK) return brume_fail_in(s, "cannot resume");
    t->done = (int64_t)step;
    if (note) *note = (int64_t)kept;
    return BRUME_OK;
}
