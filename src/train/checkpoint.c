/* SPDX-License-Identifier: MIT
 * Checkpoints of denoisers and classifiers: the run's state, and beside it the EMA weights as a diffusers pipeline. */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/model.h"
#include "train/state.h"

#define OBJECTIVE_TEXT 400

/* The part of the objective that the model's files do not tell. */
static void objective_text(const brume_train_config *c, char text[OBJECTIVE_TEXT])
{
    const brume_objective *o = &c->objective;
    const char *weighting = o->weighting ? o->weighting->name : "simple", *times = "default";
    for (int i = 0; brume_time_sampling_row(i); i++)
        if (brume_time_sampling_row(i)->value == (o->times ? o->times : brume_time_sampling_default(c->scheduler.process)))
            times = brume_time_sampling_row(i)->name;
    const char *what = brume_trainer_classifies(c) ? "classifier, "
                       : !c->text.tokenizer        ? ""
                       : c->text.frozen            ? "captions by a frozen encoder, "
                                                   : "captions, ";
    char latents[64] = "", adapters[96];
    if (c->autoencoder)
        snprintf(latents, sizeof latents, "latents of autoencoder %016" PRIx64 ", ", brume_trainer_latent_hash(c->autoencoder));
    brume_adapters_text(c, adapters);
    const int n = snprintf(text, OBJECTIVE_TEXT, "%s%s%sweighting %s, bound %s, times %s", adapters, latents, what, weighting,
                           brume_bound_name(o->bound), times);
    char *more = text + n;
    size_t left = OBJECTIVE_TEXT - (size_t)n;
    if (!strcmp(weighting, "min-snr")) more += snprintf(more, left, ", gamma %.9g", o->snr_gamma);
    if (!strcmp(weighting, "p2")) more += snprintf(more, left, ", gamma %.9g, k %.9g", o->p2_gamma, o->p2_k);
    left = OBJECTIVE_TEXT - (size_t)(more - text);
    if (!isnan(o->time_mean) || !isnan(o->time_std))
        more += snprintf(more, left, ", mean %.9g, std %.9g", o->time_mean, o->time_std);
    left = OBJECTIVE_TEXT - (size_t)(more - text);
    if (o->offset_noise > 0) snprintf(more, left, ", offset noise %.9g", o->offset_noise);
}

static struct brume_state state_of(struct brume_trainer *t, char objective[OBJECTIVE_TEXT])
{
    objective_text(&t->config, objective);
    return (struct brume_state){ .update = &t->update, .config = &t->config, .n_params = t->n_params, .done = &t->done,
                                 .objective = objective, .weights = t->weights_hash, .times = t->time_sampler, .plan = t->plan,
                                 .resumed = &t->resumed };
}

brume_status brume_trainer_save_model(struct brume_trainer *t, const char *folder)
{
    if (brume_trainer_adapts(&t->config)) return brume_adapters_save(t, folder);
    const brume_train_text *text = &t->config.text;
    const int64_t n_text = t->text.n_params;
    brume_text_model encoder = { .config = text->encoder, .n_params = n_text };
    brume_model m = { .unet = t->config.unet, .scheduler = t->config.scheduler, .has_scheduler = 1,
                      .n_params = t->n_params - n_text };
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

static brume_status save_model(void *self, const char *folder) { return brume_trainer_save_model(self, folder); }

brume_status brume_trainer_save(brume_trainer *t, const char *folder, int64_t note)
{
    char objective[OBJECTIVE_TEXT];
    const struct brume_state x = state_of(t, objective);
    return brume_state_save(&x, folder, note, save_model, t);
}

brume_status brume_trainer_finish_save(struct brume_trainer *t, const char *folder, bool *was_unfinished)
{
    return brume_state_finish(folder, was_unfinished, save_model, t);
}

brume_status brume_trainer_save_abort(struct brume_trainer *t, const char *path)
{
    const int32_t n = t->config.batch;
    char objective[OBJECTIVE_TEXT], *items = malloc((size_t)n * 21 + 1);
    brume_status s = items ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "%s: out of memory", path);
    size_t used = 0;
    const struct brume_state x = state_of(t, objective);
    if (items) *items = 0;
    for (int32_t i = 0; s == BRUME_OK && t->loader && i < n; i++) {
        int64_t item = 0;
        s = brume_loader_index(t->loader, t->done * n + i, &item);
        used += (size_t)sprintf(items + used, "%s%" PRId64, i ? "," : "", item);
    }
    if (s == BRUME_OK) s = brume_state_write(&x, path, 0, items);
    free(items);
    return s;
}

/* Do two configs describe the same noise process? */
static bool same_process(const brume_scheduler_config *a, const brume_scheduler_config *b, const brume_process *pa,
                         const brume_process *pb)
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
    const char *target = brume_objective_of(c->prediction_type)->name,
               *variance = c->variance_type == BRUME_VARIANCE_LEARNED_RANGE ? " and variance" : "";
    const int32_t T = c->num_train_timesteps;
    double lo, hi;
    brume_process_sigma_range(p, &lo, &hi);
    if (c->process == BRUME_PROCESS_DISCRETE)
        snprintf(text, 256, "%d steps of schedule %s (beta %g .. %g), predicting %s%s", T, c->beta_schedule,
                 brume_process_schedule(p)->beta[0], brume_process_schedule(p)->beta[T - 1], target, variance);
    else
        snprintf(text, 256, "%d levels of process %s (sigma %g .. %g), predicting %s", T, brume_process_kind_name(c->process), lo,
                 hi, target);
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
    if (s == BRUME_OK &&
        (old.scheduler.prediction_type != now->prediction_type || !same_process(&old.scheduler, now, p, t->process))) {
        char a[256], b[256];
        process_text(&old.scheduler, p, a);
        process_text(now, t->process, b);
        s = brume_fail(BRUME_E_ARG, "%s: this run has %s; you asked for %s", folder, a, b);
    }
    brume_process_free(p);
    brume_scheduler_config_clear(&old.scheduler);
    return s;
}

brume_status brume_trainer_resume(brume_trainer *t, const char *folder, int64_t *note)
{
    char objective[OBJECTIVE_TEXT];
    brume_safetensors *f = NULL;
    const struct brume_state x = state_of(t, objective);
    brume_status s = brume_state_open(&x, folder, &f);
    if (s == BRUME_OK) s = check_same_process(t, folder);
    if (s == BRUME_OK) s = brume_state_read(&x, f, note);
    brume_safetensors_close(f);
    return s == BRUME_OK ? s : brume_fail_in(s, "cannot resume");
}

brume_status brume_trainer_resume_file(brume_trainer *t, const char *path)
{
    char folder[4096], objective[OBJECTIVE_TEXT];
    brume_safetensors *f = NULL;
    const struct brume_state x = state_of(t, objective);
    snprintf(folder, sizeof folder, "%s", path);
    for (int i = 0; i < 2; i++) { /* RUN/training/FILE */
        char *slash = brume_path_slash(folder);
        if (slash) *slash = 0;
        else snprintf(folder, sizeof folder, strcmp(folder, ".") ? "." : "..");
    }
    brume_status s = brume_state_open_path(&x, path, &f);
    if (s == BRUME_OK) s = check_same_process(t, folder);
    if (s == BRUME_OK) s = brume_state_read(&x, f, NULL);
    brume_safetensors_close(f);
    return s == BRUME_OK ? s : brume_fail_in(s, "cannot go on from a state");
}

const char *brume_trainer_resume_warning(const brume_trainer *t) { return t->resumed.warning[0] ? t->resumed.warning : NULL; }
