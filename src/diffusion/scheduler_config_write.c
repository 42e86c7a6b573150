/* SPDX-License-Identifier: MIT
 * Writing scheduler_config.json as the class of the scheduler writes it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/json.h"
#include "diffusion/scheduler_classes.h"
#include "diffusion/scheduler_keys.h"

static int get_word(const brume_scheduler_config *c, const struct brume_scheduler_key *k)
{
    int value;
    if (k->type == KEY_WORD_FLAG) return *(const bool *)((const char *)c + k->at);
    memcpy(&value, (const char *)c + k->at, sizeof value);
    return value;
}

/* The betas to write: trained ones, or those of a schedule that other programs may not know by its name (diffusers' DDPMScheduler
 * has sigmoid and laplace, its other classes only the three below); betas written out work everywhere, and the name stays beside
 * them. NULL in *out: the name is enough. *fresh is what the caller frees. */
static brume_status betas_to_write(const brume_scheduler_config *c, const double **out, double **fresh)
{
    static const char *const everywhere[] = { "linear", "scaled_linear", "squaredcos_cap_v2" };
    const brume_schedule_kind *kind = brume_schedule_find(c->beta_schedule);
    *out = c->trained_betas;
    *fresh = NULL;
    if (*out || !kind || c->num_train_timesteps < 1 || c->process != BRUME_PROCESS_DISCRETE) return BRUME_OK;
    for (size_t i = 0; i < sizeof everywhere / sizeof *everywhere; i++)
        if (!strcmp(kind->name, everywhere[i])) return BRUME_OK;
    *out = *fresh = malloc((size_t)c->num_train_timesteps * sizeof **fresh);
    if (!*fresh) return brume_fail(BRUME_E_MEMORY, "out of memory for the betas of schedule %s", kind->name);
    kind->fill(c, *fresh);
    return BRUME_OK;
}

static void put_default(brume_json_writer *w, const char *name, const brume_json *v)
{
    switch (brume_json_typeof(v)) {
    case BRUME_JSON_FALSE: case BRUME_JSON_TRUE: brume_json_put_bool(w, name, brume_json_boolean(v, 0)); return;
    case BRUME_JSON_INT: brume_json_put_int(w, name, brume_json_integer(v, 0)); return;
    case BRUME_JSON_REAL: brume_json_put_double(w, name, brume_json_number(v, 0)); return;
    case BRUME_JSON_STRING: brume_json_put_string(w, name, brume_json_string(v, "")); return;
    case BRUME_JSON_NULL: case BRUME_JSON_ARRAY: case BRUME_JSON_OBJECT: break;
    }
    brume_json_put_null(w, name);
}

static const char *text_of(const struct brume_key_word *words, int value)
{
    for (; words->text; words++)
        if (words->value == value) return words->text;
    return NULL;
}

/* wanted: the key's value in the class' defaults, NULL if the class does not know it */
static void put_key(brume_json_writer *w, const struct brume_scheduler_key *k, const brume_json *wanted,
                    const brume_scheduler_config *c, const double *betas)
{
    const char *field = (const char *)c + k->at;
    switch (k->type) {
    case KEY_INTEGER: brume_json_put_int(w, k->name, *(const int32_t *)field); return;
    case KEY_NULLABLE:
        if (isnan(*(const double *)field)) {
            brume_json_put_null(w, k->name);
            return;
        } /* fall through */
    case KEY_REAL: brume_json_put_double(w, k->name, *(const double *)field); return;
    case KEY_FLAG: brume_json_put_bool(w, k->name, *(const bool *)field); return;
    case KEY_WORD: case KEY_WORD_FLAG:
        if (wanted && brume_json_is_null(wanted) && get_word(c, k) == 0) brume_json_put_null(w, k->name);
        else brume_json_put_string(w, k->name, text_of(k->words, get_word(c, k)));
        return;
    case KEY_SIGMAS: brume_json_put_bool(w, k->name, c->sigmas == (brume_sigmas)k->sigmas); return;
    case KEY_SCHEDULE: brume_json_put_string(w, k->name, c->beta_schedule); return;
    case KEY_STEPS:
        brume_json_begin_array(w, k->name, 1);
        for (int i = 0; i < c->n_disable_corrector; i++) brume_json_put_int(w, NULL, c->disable_corrector[i]);
        brume_json_end(w);
        return;
    case KEY_BETAS:
        if (!betas) {
            brume_json_put_null(w, k->name);
            return;
        }
        brume_json_begin_array(w, k->name, 1);
        for (int32_t i = 0; i < c->num_train_timesteps; i++) brume_json_put_double(w, NULL, betas[i]);
        brume_json_end(w);
        return;
    case KEY_FIXED: case KEY_WITHOUT: break;
    }
    put_default(w, k->name, wanted);
}

brume_status brume_scheduler_config_put(brume_json_writer *w, const char *name, const brume_scheduler_config *c)
{
    const struct brume_scheduler_class *class = brume_scheduler_class_or_unknown(c->class_name);
    const double *betas;
    double *fresh;
    brume_json *defaults = NULL;
    brume_status s = betas_to_write(c, &betas, &fresh);
    if (s == BRUME_OK) s = brume_scheduler_class_defaults(class, &defaults);
    if (s == BRUME_OK) {
        brume_json_begin_object(w, name);
        brume_json_put_string(w, "_class_name", c->class_name);
        brume_json_put_string(w, "_diffusers_version", "0.42.1");
        for (int64_t i = 0; i < brume_json_count(defaults); i++) {
            const brume_json *v = brume_json_at(defaults, i);
            put_key(w, brume_scheduler_key_find(brume_json_key(v), c->class_name), v, c, betas);
        }
        const struct brume_scheduler_key *k;
        for (int i = 0; (k = brume_scheduler_key_row(i)); i++) {
            if (!(k->model >> class->process & 1) || k != brume_scheduler_key_find(k->name, c->class_name) ||
                brume_json_find(defaults, k->name))
                continue;
            if (memcmp((const char *)c + k->at, (const char *)&brume_scheduler_unset + k->at, brume_scheduler_key_size(k)))
                put_key(w, k, NULL, c, betas);
        }
        brume_json_end(w);
    }
    brume_json_free(defaults);
    free(fresh);
    return s;
}

brume_status brume_scheduler_config_write(const char *path, const brume_scheduler_config *c)
{
    brume_json_writer *w = brume_json_writer_new();
    if (!w) return brume_fail(BRUME_E_MEMORY, "%s: out of memory while writing", path);
    brume_status s = brume_scheduler_config_put(w, NULL, c);
    if (s == BRUME_OK) s = brume_json_writer_save(w, path);
    brume_json_writer_free(w);
    return s;
}
