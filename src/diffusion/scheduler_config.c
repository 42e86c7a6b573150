/* SPDX-License-Identifier: MIT
 * scheduler_config.json: a table of keys, read over the defaults of a class. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/json.h"
#include "diffusion/scheduler_classes.h"
#include "diffusion/scheduler_keys.h"

void brume_scheduler_config_default(brume_scheduler_config *c)
{
    *c = brume_scheduler_unset;
    c->clip_sample = true;
}

void brume_scheduler_config_clear(brume_scheduler_config *c)
{
    free(c->trained_betas);
    brume_scheduler_config_default(c);
}

static brume_status copy_betas(brume_scheduler_config *c)
{
    if (!c->trained_betas) return BRUME_OK;
    const size_t bytes = (size_t)c->num_train_timesteps * sizeof *c->trained_betas;
    const double *from = c->trained_betas;
    c->trained_betas = malloc(bytes);
    if (!c->trained_betas) return brume_fail(BRUME_E_MEMORY, "out of memory for trained_betas");
    memcpy(c->trained_betas, from, bytes);
    return BRUME_OK;
}

brume_status brume_scheduler_config_copy(brume_scheduler_config *dst, const brume_scheduler_config *src)
{
    *dst = *src;
    return copy_betas(dst);
}

static void set_word(brume_scheduler_config *c, const struct brume_scheduler_key *k, int value)
{
    if (k->type == KEY_WORD_FLAG) memcpy((char *)c + k->at, &(bool){ value }, sizeof(bool));
    else memcpy((char *)c + k->at, &value, sizeof value);
}

static brume_status read_word(const brume_json *root, const struct brume_scheduler_key *k, brume_scheduler_config *c)
{
    const char *text = NULL;
    const brume_status s = brume_json_get_string(root, k->name, NULL, &text);
    if (s != BRUME_OK || !text) return s;
    char known[200] = "";
    for (const struct brume_key_word *w = k->words; w->text; w++) {
        if (!strcmp(w->text, text)) {
            set_word(c, k, w->value);
            return BRUME_OK;
        }
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", w == k->words ? "" : ", ", w->text);
    }
    return brume_fail(BRUME_E_UNSUPPORTED, "%s %s \"%.60s\" is not one of %s", brume_json_where(root), k->name, text, known);
}

static brume_status read_betas(const brume_json *list, brume_scheduler_config *c)
{
    const int64_t n = brume_json_count(list);
    if (brume_json_typeof(list) != BRUME_JSON_ARRAY || n < 1 || n > INT32_MAX)
        return brume_fail(BRUME_E_FORMAT, "%s must be a list of numbers", brume_json_where(list));
    c->trained_betas = malloc((size_t)n * sizeof *c->trained_betas);
    if (!c->trained_betas) return brume_fail(BRUME_E_MEMORY, "out of memory for trained_betas");
    for (int64_t i = 0; i < n; i++) {
        const brume_json *v = brume_json_at(list, i);
        c->trained_betas[i] = brume_json_number(v, -1.0);
        if (!(c->trained_betas[i] >= 0.0 && c->trained_betas[i] < 1.0))
            return brume_fail(BRUME_E_FORMAT, "%s: expected a number within 0 .. 1", brume_json_where(v));
    }
    c->num_train_timesteps = (int32_t)n;
    return BRUME_OK;
}

static brume_status read_schedule(const brume_json *root, brume_scheduler_config *c)
{
    const char *name = NULL;
    const brume_status s = brume_json_get_string(root, "beta_schedule", c->beta_schedule, &name);
    if (s != BRUME_OK) return s;
    const brume_schedule_kind *row = brume_schedule_find(name);
    if (row) {
        memset(c->beta_schedule, 0, sizeof c->beta_schedule); /* equal configs have equal bytes */
        snprintf(c->beta_schedule, sizeof c->beta_schedule, "%s", row->name);
        return BRUME_OK;
    }
    if (!brume_json_is_null(brume_json_find(root, "trained_betas"))) return BRUME_OK;
    char known[256] = "";
    for (int i = 0; brume_schedule_row(i); i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", brume_schedule_row(i)->name);
    return brume_fail(BRUME_E_UNSUPPORTED, "%s beta_schedule \"%.60s\" is not one of %s", brume_json_where(root), name, known);
}

static brume_status read_steps(const brume_json *root, brume_scheduler_config *c)
{
    int64_t list[BRUME_CORRECTOR_STEPS];
    int n = 0;
    const brume_status s = brume_json_get_ints(root, "disable_corrector", BRUME_CORRECTOR_STEPS, 0, 10000000, list, &n);
    if (s != BRUME_OK) return s;
    memset(c->disable_corrector, 0, sizeof c->disable_corrector);
    for (int i = 0; i < n; i++) c->disable_corrector[i] = (int32_t)list[i];
    c->n_disable_corrector = n;
    return BRUME_OK;
}

/* The flag of one kind; two at once are a mistake. */
static brume_status read_sigmas(const brume_json *root, const struct brume_scheduler_key *k, brume_scheduler_config *c)
{
    int on = 0;
    const brume_status s = brume_json_get_bool(root, k->name, 0, &on);
    if (s != BRUME_OK || !on) return s;
    if (c->sigmas != BRUME_SIGMAS_TABLE && c->sigmas != (brume_sigmas)k->sigmas)
        return brume_fail(BRUME_E_FORMAT, "%s asks for two kinds of sigmas at once, %s being the second: leave one",
                          brume_json_where(root), k->name);
    c->sigmas = (brume_sigmas)k->sigmas;
    return BRUME_OK;
}

static brume_status check_fixed(const brume_json *value, const brume_json *wanted)
{
    const brume_json_type type = brume_json_typeof(value);
    if (type == BRUME_JSON_NULL ||
        (type == brume_json_typeof(wanted) &&
         (type != BRUME_JSON_STRING || !strcmp(brume_json_string(value, ""), brume_json_string(wanted, "")))))
        return BRUME_OK;
    return brume_fail(BRUME_E_UNSUPPORTED, "%s: brume's samplers know only the default of this key; leave it out",
                      brume_json_where(value));
}

/* Reads one key of an object; wanted is its value in the class' defaults. */
static brume_status read_key(const brume_json *root, const struct brume_scheduler_key *k, const brume_json *wanted,
                             brume_scheduler_config *c)
{
    char *field = (char *)c + k->at;
    const brume_json *value = brume_json_find(root, k->name);
    brume_status s = BRUME_OK;
    if (brume_json_is_null(value)) return s;
    switch (k->type) {
    case KEY_INTEGER: {
        int64_t v = 0;
        s = brume_json_get_int(root, k->name, 0, (int64_t)k->lo, (int64_t)k->hi, &v);
        if (s == BRUME_OK) *(int32_t *)field = (int32_t)v;
        return s;
    }
    case KEY_REAL: case KEY_NULLABLE: {
        double v = 0;
        s = brume_json_get_double(root, k->name, 0, k->lo, k->hi, &v);
        if (s == BRUME_OK) *(double *)field = v;
        return s;
    }
    case KEY_FLAG: {
        int v = 0;
        s = brume_json_get_bool(root, k->name, 0, &v);
        if (s == BRUME_OK) *(bool *)field = v;
        return s;
    }
    case KEY_WORD: case KEY_WORD_FLAG: return read_word(root, k, c);
    case KEY_SIGMAS: return read_sigmas(root, k, c);
    case KEY_BETAS: return read_betas(value, c);
    case KEY_SCHEDULE: return read_schedule(root, c);
    case KEY_STEPS: return read_steps(root, c);
    case KEY_FIXED: return check_fixed(value, wanted);
    case KEY_WITHOUT: break;
    }
    return s;
}

/* c = defaults of the class, by the name of the caller's choice. */
static brume_status fill(const struct brume_scheduler_class *class, const brume_json *defaults, const char *name,
                         brume_scheduler_config *c)
{
    *c = brume_scheduler_unset;
    memset(c->class_name, 0, sizeof c->class_name);
    snprintf(c->class_name, sizeof c->class_name, "%s", name);
    c->process = class->process;
    const unsigned process = 1u << class->process;
    const unsigned geometric =
        1u << BRUME_PROCESS_VP | 1u << BRUME_PROCESS_SUBVP | 1u << BRUME_PROCESS_VE | 1u << BRUME_PROCESS_NCSN;
    if (process & geometric) c->sigmas = BRUME_SIGMAS_KARRAS;
    if (class->process == BRUME_PROCESS_NCSN) c->sampling_eps = 1e-5;
    brume_status s = BRUME_OK;
    for (int64_t i = 0; i < brume_json_count(defaults) && s == BRUME_OK; i++) {
        const brume_json *v = brume_json_at(defaults, i);
        s = read_key(defaults, brume_scheduler_key_find(brume_json_key(v), name), v, c);
    }
    return s;
}

/* Betas that are those of the named schedule, bit by bit, are written only for programs that do not know the name. */
static brume_status drop_known_betas(brume_scheduler_config *c)
{
    const brume_schedule_kind *kind = brume_schedule_find(c->beta_schedule);
    if (!c->trained_betas || !kind) return BRUME_OK;
    const size_t bytes = (size_t)c->num_train_timesteps * sizeof(double);
    double *beta = malloc(bytes);
    if (!beta) return brume_fail(BRUME_E_MEMORY, "out of memory for betas");
    kind->fill(c, beta);
    if (!memcmp(beta, c->trained_betas, bytes)) {
        free(c->trained_betas);
        c->trained_betas = NULL;
    }
    free(beta);
    return BRUME_OK;
}

static brume_status read_root(const brume_json *root, const struct brume_scheduler_class *class, const brume_json *defaults,
                              brume_scheduler_config *c, char note[512])
{
    size_t used = 0, ignored = 0;
    brume_status s = BRUME_OK;
    const brume_json *betas = NULL;
    const char *name = brume_json_string(brume_json_find(root, "_class_name"), brume_scheduler_unset.class_name);
    if (strlen(name) >= sizeof c->class_name)
        return brume_fail(BRUME_E_FORMAT, "%s _class_name is too long", brume_json_where(root));
    if ((s = fill(class, defaults, name, c)) != BRUME_OK) return s;
    if (!class->name) used += (size_t)snprintf(note, 512, "scheduler %.60s is not known and read as DDPMScheduler", name);
    for (int64_t i = 0; i < brume_json_count(root) && s == BRUME_OK; i++) {
        const brume_json *v = brume_json_at(root, i), *wanted = brume_json_find(defaults, brume_json_key(v));
        const struct brume_scheduler_key *k = brume_scheduler_key_find(brume_json_key(v), name);
        if (k && (wanted || k->model >> class->process & 1)) {
            if (k->type == KEY_BETAS) betas = v; /* their number overrides num_train_timesteps, wherever that stands */
            else s = read_key(root, k, wanted, c);
        } else if (brume_json_key(v)[0] != '_' && used < 400) {
            used += (size_t)snprintf(note + used, 512 - used, "%s%.60s",
                                     ignored++ ? ", "
                                     : used    ? "; keys ignored: "
                                               : "keys ignored in the scheduler's config: ",
                                     brume_json_key(v));
        }
    }
    if (s == BRUME_OK && !brume_json_is_null(betas)) s = read_betas(betas, c);
    if (c->use_flow_sigmas) c->process = BRUME_PROCESS_FLOW;
    return s == BRUME_OK ? drop_known_betas(c) : s;
}

brume_status brume_scheduler_config_from_json(const brume_json *object, brume_scheduler_config *c, char note[512])
{
    char unasked[512];
    brume_json *defaults = NULL;
    if (!note) note = unasked;
    note[0] = 0;
    brume_scheduler_config_default(c);
    if (brume_json_typeof(object) != BRUME_JSON_OBJECT)
        return brume_fail(BRUME_E_FORMAT, "%s expected an object {...}", brume_json_where(object));
    const struct brume_scheduler_class *class = brume_scheduler_class_or_unknown(
        brume_json_string(brume_json_find(object, "_class_name"), brume_scheduler_unset.class_name));
    brume_status s = brume_scheduler_class_defaults(class, &defaults);
    if (s == BRUME_OK) s = read_root(object, class, defaults, c, note);
    if (s != BRUME_OK) brume_scheduler_config_clear(c);
    brume_json_free(defaults);
    return s;
}

/* s: whether there is a root, which this frees. */
static brume_status from_root(brume_status s, brume_json *root, brume_scheduler_config *c, char note[512])
{
    brume_scheduler_config_default(c);
    if (s == BRUME_OK) s = brume_scheduler_config_from_json(root, c, note);
    brume_json_free(root);
    return s;
}

brume_status brume_scheduler_config_parse(const char *text, size_t length, const char *where, brume_scheduler_config *c,
                                          char note[512])
{
    brume_json *root = NULL;
    const brume_status s = brume_json_parse(text, length, where, &root);
    return from_root(s, root, c, note);
}

brume_status brume_scheduler_config_read(const char *path, brume_scheduler_config *c, char note[512])
{
    brume_json *root = NULL;
    const brume_status s = brume_json_load(path, &root);
    return from_root(s, root, c, note);
}

brume_status brume_scheduler_config_class(const char *class_name, brume_scheduler_config *c)
{
    const struct brume_scheduler_class *class = brume_scheduler_class_find(class_name);
    brume_json *defaults = NULL;
    brume_scheduler_config_default(c);
    if (!class) {
        char known[1024] = "";
        for (int i = 0; brume_scheduler_class_name(i); i++)
            snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", brume_scheduler_class_name(i));
        return brume_fail(BRUME_E_UNSUPPORTED, "scheduler class \"%.60s\" is not one of %s", class_name, known);
    }
    brume_status s = brume_scheduler_class_defaults(class, &defaults);
    if (s == BRUME_OK) s = fill(class, defaults, class_name, c);
    if (s != BRUME_OK) brume_scheduler_config_clear(c);
    brume_json_free(defaults);
    return s;
}

brume_status brume_scheduler_config_convert(const brume_scheduler_config *src, const char *class_name,
                                            brume_scheduler_config *dst)
{
    static const char *const clipping[] = { "clip_sample", "clip_sample_range", "thresholding",
                                            "dynamic_thresholding_ratio", "sample_max_value" };
    brume_json *defaults = NULL;
    brume_status s = brume_scheduler_config_class(class_name, dst);
    if (s == BRUME_OK && dst->process != src->process)
        s = brume_fail(BRUME_E_ARG, "%s is for models of another process than %s", class_name, src->class_name);
    if (s == BRUME_OK) s = brume_scheduler_class_defaults(brume_scheduler_class_find(class_name), &defaults);
    if (s != BRUME_OK) {
        brume_scheduler_config_default(dst);
        return s;
    }
    const struct brume_scheduler_key *k;
    for (int i = 0; (k = brume_scheduler_key_row(i)); i++) {
        if (!(k->model >> src->process & 1) || k->type == KEY_BETAS || k->type == KEY_SCHEDULE) continue;
        memcpy((char *)dst + k->at, (const char *)src + k->at, brume_scheduler_key_size(k));
    }
    for (size_t i = 0; i < sizeof clipping / sizeof *clipping; i++) {
        k = brume_scheduler_key_find(clipping[i], class_name);
        if (brume_json_find(defaults, k->name))
            memcpy((char *)dst + k->at, (const char *)src + k->at, brume_scheduler_key_size(k));
    }
    brume_json_free(defaults);
    memcpy(dst->beta_schedule, src->beta_schedule, sizeof dst->beta_schedule);
    dst->trained_betas = src->trained_betas;
    s = copy_betas(dst);
    if (s != BRUME_OK) brume_scheduler_config_default(dst);
    return s;
}
