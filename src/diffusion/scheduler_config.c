/* SPDX-License-Identifier: MIT
 * scheduler_config.json: the keys that DDPMScheduler and DDIMScheduler share with their relatives. */
#include <float.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/json.h"
#include "brume/schedule.h"

struct word { const char *text; int value; }; /* the first text of a value is the one written */
static const struct word predictions[] = { { "epsilon", BRUME_PREDICT_EPS }, { "sample", BRUME_PREDICT_X0 }, { "v_prediction", BRUME_PREDICT_V }, { 0 } };
static const struct word variances[] = { { "fixed_small", BRUME_VARIANCE_FIXED_SMALL }, { "fixed_small_log", BRUME_VARIANCE_FIXED_SMALL },
                                         { "fixed_large", BRUME_VARIANCE_FIXED_LARGE }, { "learned_range", BRUME_VARIANCE_LEARNED_RANGE },
                                         { "learned", BRUME_VARIANCE_LEARNED }, { 0 } };
static const struct word spacings[] = { { "leading", BRUME_SPACING_LEADING }, { "linspace", BRUME_SPACING_LINSPACE },
                                        { "trailing", BRUME_SPACING_TRAILING }, { 0 } };
static const char *const known_keys[] = { "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type",
                                          "variance_type", "clip_sample", "clip_sample_range", "thresholding", "dynamic_thresholding_ratio",
                                          "sample_max_value", "set_alpha_to_one", "steps_offset", "timestep_spacing", "rescale_betas_zero_snr" };

void brume_scheduler_config_default(brume_scheduler_config *c)
{
    *c = (brume_scheduler_config){
        .class_name = "DDPMScheduler", .num_train_timesteps = 1000, .beta_start = 1e-4, .beta_end = 0.02, .beta_schedule = "linear",
        .prediction_type = BRUME_PREDICT_EPS, .variance_type = BRUME_VARIANCE_FIXED_SMALL, .clip_sample = true, .clip_sample_range = 1.0,
        .dynamic_thresholding_ratio = 0.995, .sample_max_value = 1.0, .set_alpha_to_one = true, .timestep_spacing = BRUME_SPACING_LEADING,
    };
}

void brume_scheduler_config_clear(brume_scheduler_config *c)
{
    free(c->trained_betas);
    brume_scheduler_config_default(c);
}

brume_status brume_scheduler_config_copy(brume_scheduler_config *dst, const brume_scheduler_config *src)
{
    *dst = *src;
    if (!src->trained_betas) return BRUME_OK;
    const size_t bytes = (size_t)src->num_train_timesteps * sizeof *src->trained_betas;
    dst->trained_betas = malloc(bytes);
    if (!dst->trained_betas) return brume_fail(BRUME_E_MEMORY, "out of memory for trained_betas");
    memcpy(dst->trained_betas, src->trained_betas, bytes);
    return BRUME_OK;
}

/* What a getter may fail with goes on in the sticky status of the reader. */
struct reader { const brume_json *root; brume_status s; };

static double real(struct reader *r, const char *key, double fallback, double lo, double hi)
{
    double v = fallback;
    if (r->s == BRUME_OK) r->s = brume_json_get_double(r->root, key, fallback, lo, hi, &v);
    return v;
}

static int32_t integer(struct reader *r, const char *key, int64_t fallback, int64_t lo, int64_t hi)
{
    int64_t v = fallback;
    if (r->s == BRUME_OK) r->s = brume_json_get_int(r->root, key, fallback, lo, hi, &v);
    return (int32_t)v;
}

static bool flag(struct reader *r, const char *key, bool fallback)
{
    int v = fallback;
    if (r->s == BRUME_OK) r->s = brume_json_get_bool(r->root, key, fallback, &v);
    return v != 0;
}

static int word(struct reader *r, const char *key, int fallback, const struct word *words)
{
    const char *text = NULL;
    if (r->s == BRUME_OK) r->s = brume_json_get_string(r->root, key, NULL, &text);
    if (r->s != BRUME_OK || !text) return fallback;
    char known[160] = "";
    for (const struct word *w = words; w->text; w++) {
        if (!strcmp(w->text, text)) return w->value;
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", w == words ? "" : ", ", w->text);
    }
    r->s = brume_fail(BRUME_E_UNSUPPORTED, "%s %s \"%.60s\" is not one of %s", brume_json_where(r->root), key, text, known);
    return fallback;
}

static void read_betas(struct reader *r, brume_scheduler_config *c)
{
    const brume_json *list = brume_json_find(r->root, "trained_betas");
    if (r->s != BRUME_OK || brume_json_is_null(list)) return;
    const int64_t n = brume_json_count(list);
    if (brume_json_typeof(list) != BRUME_JSON_ARRAY || n < 1 || n > INT32_MAX) {
        r->s = brume_fail(BRUME_E_FORMAT, "%s trained_betas must be a list of numbers", brume_json_where(r->root));
        return;
    }
    c->trained_betas = malloc((size_t)n * sizeof *c->trained_betas);
    if (!c->trained_betas) { r->s = brume_fail(BRUME_E_MEMORY, "out of memory for trained_betas"); return; }
    for (int64_t i = 0; i < n && r->s == BRUME_OK; i++) {
        const brume_json *v = brume_json_at(list, i);
        c->trained_betas[i] = brume_json_number(v, -1.0);
        if (!(c->trained_betas[i] >= 0.0 && c->trained_betas[i] < 1.0))
            r->s = brume_fail(BRUME_E_FORMAT, "%s: expected a number within 0 .. 1", brume_json_where(v));
    }
    c->num_train_timesteps = (int32_t)n;
}

static void read_schedule(struct reader *r, brume_scheduler_config *c)
{
    const char *name = NULL;
    if (r->s == BRUME_OK) r->s = brume_json_get_string(r->root, "beta_schedule", "linear", &name);
    if (r->s != BRUME_OK) return;
    const brume_schedule_kind *row = brume_schedule_find(name);
    if (row) { snprintf(c->beta_schedule, sizeof c->beta_schedule, "%s", row->name); return; }
    if (c->trained_betas) return;
    char known[200] = "";
    for (int i = 0; brume_schedule_row(i); i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", brume_schedule_row(i)->name);
    r->s = brume_fail(BRUME_E_UNSUPPORTED, "%s beta_schedule \"%.60s\" is not one of %s", brume_json_where(r->root), name, known);
}

static void note_unknown(const brume_json *root, char note[512])
{
    size_t used = 0;
    for (int64_t i = 0; i < brume_json_count(root); i++) {
        const char *name = brume_json_key(brume_json_at(root, i));
        bool known = name[0] == '_' || used > 400;
        for (size_t k = 0; k < sizeof known_keys / sizeof *known_keys && !known; k++) known = !strcmp(known_keys[k], name);
        if (!known) used += (size_t)snprintf(note + used, 512 - used, "%s%.60s", used ? ", " : "keys ignored in the scheduler's config: ", name);
    }
}

static brume_status read_root(const brume_json *root, brume_scheduler_config *c, char note[512])
{
    struct reader r = { root, BRUME_OK };
    if (brume_json_typeof(root) != BRUME_JSON_OBJECT) return brume_fail(BRUME_E_FORMAT, "%s expected an object {...}", brume_json_where(root));
    const char *name = brume_json_string(brume_json_find(root, "_class_name"), c->class_name);
    if (strlen(name) >= sizeof c->class_name) return brume_fail(BRUME_E_FORMAT, "%s _class_name is too long", brume_json_where(root));
    if (name != c->class_name) snprintf(c->class_name, sizeof c->class_name, "%s", name);
    c->num_train_timesteps = integer(&r, "num_train_timesteps", 1000, 1, 10000000);
    c->beta_start = real(&r, "beta_start", 1e-4, 0, 1);
    c->beta_end = real(&r, "beta_end", 0.02, 0, 1);
    read_betas(&r, c);
    read_schedule(&r, c);
    c->prediction_type = (brume_prediction)word(&r, "prediction_type", BRUME_PREDICT_EPS, predictions);
    c->variance_type = (brume_variance)word(&r, "variance_type", BRUME_VARIANCE_FIXED_SMALL, variances);
    c->clip_sample = flag(&r, "clip_sample", true);
    c->clip_sample_range = real(&r, "clip_sample_range", 1.0, DBL_MIN, FLT_MAX);
    c->thresholding = flag(&r, "thresholding", false);
    c->dynamic_thresholding_ratio = real(&r, "dynamic_thresholding_ratio", 0.995, 0, 1);
    c->sample_max_value = real(&r, "sample_max_value", 1.0, 1, FLT_MAX);
    c->set_alpha_to_one = flag(&r, "set_alpha_to_one", true);
    c->steps_offset = integer(&r, "steps_offset", 0, 0, INT_MAX / 2);
    c->timestep_spacing = (brume_spacing)word(&r, "timestep_spacing", BRUME_SPACING_LEADING, spacings);
    c->rescale_betas_zero_snr = flag(&r, "rescale_betas_zero_snr", false);
    if (r.s == BRUME_OK && note) note_unknown(root, note);
    return r.s;
}

brume_status brume_scheduler_config_from_json(const brume_json *object, brume_scheduler_config *c, char note[512])
{
    brume_scheduler_config_default(c);
    if (note) note[0] = 0;
    const brume_status s = read_root(object, c, note);
    if (s != BRUME_OK) brume_scheduler_config_clear(c);
    return s;
}

brume_status brume_scheduler_config_parse(const char *text, size_t length, const char *where, brume_scheduler_config *c, char note[512])
{
    brume_json *root = NULL;
    brume_scheduler_config_default(c);
    brume_status s = brume_json_parse(text, length, where, &root);
    if (s == BRUME_OK) s = brume_scheduler_config_from_json(root, c, note);
    brume_json_free(root);
    return s;
}

brume_status brume_scheduler_config_read(const char *path, brume_scheduler_config *c, char note[512])
{
    brume_json *root = NULL;
    brume_scheduler_config_default(c);
    brume_status s = brume_json_load(path, &root);
    if (s == BRUME_OK) s = brume_scheduler_config_from_json(root, c, note);
    brume_json_free(root);
    return s;
}

static const char *text_of(const struct word *words, int value)
{
    for (; words->text; words++)
        if (words->value == value) return words->text;
    return NULL;
}

/* The betas to write: trained ones, or those of a schedule that other programs may not know by its name (diffusers' DDPMScheduler has
 * sigmoid and laplace, its other classes only the three below); betas written out work everywhere, and the name stays beside them.
 * NULL in *out: the name is enough. *fresh is what the caller frees. */
static brume_status betas_to_write(const brume_scheduler_config *c, const double **out, double **fresh)
{
    static const char *const everywhere[] = { "linear", "scaled_linear", "squaredcos_cap_v2" };
    const brume_schedule_kind *kind = brume_schedule_find(c->beta_schedule);
    *out = c->trained_betas;
    *fresh = NULL;
    if (*out || !kind || c->num_train_timesteps < 1) return BRUME_OK;
    for (size_t i = 0; i < sizeof everywhere / sizeof *everywhere; i++)
        if (!strcmp(kind->name, everywhere[i])) return BRUME_OK;
    *out = *fresh = malloc((size_t)c->num_train_timesteps * sizeof **fresh);
    if (!*fresh) return brume_fail(BRUME_E_MEMORY, "out of memory for the betas of schedule %s", kind->name);
    kind->fill(c, *fresh);
    return BRUME_OK;
}

brume_status brume_scheduler_config_write(const char *path, const brume_scheduler_config *c)
{
    const double *betas;
    double *fresh;
    const brume_status can = betas_to_write(c, &betas, &fresh);
    if (can != BRUME_OK) return can;
    brume_json_writer *w = brume_json_writer_new();
    if (!w) free(fresh);
    if (!w) return brume_fail(BRUME_E_MEMORY, "%s: out of memory while writing", path);
    const bool ddpm = !strcmp(c->class_name, "DDPMScheduler"), ddim = !strcmp(c->class_name, "DDIMScheduler");
    brume_json_begin_object(w, NULL);
    brume_json_put_string(w, "_class_name", c->class_name);
    brume_json_put_string(w, "_diffusers_version", "0.42.1");
    brume_json_put_double(w, "beta_end", c->beta_end);
    brume_json_put_string(w, "beta_schedule", c->beta_schedule);
    brume_json_put_double(w, "beta_start", c->beta_start);
    brume_json_put_bool(w, "clip_sample", c->clip_sample);
    brume_json_put_double(w, "clip_sample_range", c->clip_sample_range);
    brume_json_put_double(w, "dynamic_thresholding_ratio", c->dynamic_thresholding_ratio);
    brume_json_put_int(w, "num_train_timesteps", c->num_train_timesteps);
    brume_json_put_string(w, "prediction_type", text_of(predictions, c->prediction_type));
    brume_json_put_bool(w, "rescale_betas_zero_snr", c->rescale_betas_zero_snr);
    brume_json_put_double(w, "sample_max_value", c->sample_max_value);
    if (!ddpm) brume_json_put_bool(w, "set_alpha_to_one", c->set_alpha_to_one);
    brume_json_put_int(w, "steps_offset", c->steps_offset);
    brume_json_put_bool(w, "thresholding", c->thresholding);
    brume_json_put_string(w, "timestep_spacing", text_of(spacings, c->timestep_spacing));
    if (betas) {
        brume_json_begin_array(w, "trained_betas", 1);
        for (int32_t i = 0; i < c->num_train_timesteps; i++) brume_json_put_double(w, NULL, betas[i]);
        brume_json_end(w);
    } else {
        brume_json_put_null(w, "trained_betas");
    }
    if (!ddim) brume_json_put_string(w, "variance_type", text_of(variances, c->variance_type));
    brume_json_end(w);
    const brume_status s = brume_json_writer_save(w, path);
    brume_json_writer_free(w);
    free(fresh);
    return s;
}
