/* SPDX-License-Identifier: MIT
 * Keys of a model's config.json as rows of a table. */
#include "nn/config_table.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"

static void set_field(void *c, const struct brume_config_key *k, double value)
{
    char *at = (char *)c + k->offset;
    if (k->kind == BRUME_CONFIG_REAL) memcpy(at, &value, sizeof value);
    else if (k->kind == BRUME_CONFIG_BOOL || k->kind == BRUME_CONFIG_WORD_BOOL) memcpy(at, &(bool){ value != 0 }, sizeof(bool));
    else memcpy(at, &(int32_t){ (int32_t)value }, sizeof(int32_t));
}

static double field(const void *c, const struct brume_config_key *k)
{
    const char *at = (const char *)c + k->offset;
    if (k->kind == BRUME_CONFIG_REAL) { double v; memcpy(&v, at, sizeof v); return v; }
    if (k->kind == BRUME_CONFIG_BOOL || k->kind == BRUME_CONFIG_WORD_BOOL) { bool v; memcpy(&v, at, sizeof v); return v; }
    int32_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

void brume_config_defaults(const struct brume_config_key *keys, void *c)
{
    for (const struct brume_config_key *k = keys; k->name; k++) set_field(c, k, k->fallback);
}

static bool is_word(const struct brume_config_key *k) { return k->words != NULL; }

brume_status brume_config_check(const struct brume_config_key *keys, const void *c)
{
    for (const struct brume_config_key *k = keys; k->name; k++) {
        const double v = field(c, k);
        if (is_word(k)) {
            bool known = k->null_is_0 && v == 0;
            for (const struct brume_config_word *w = k->words; w->text; w++) known |= v == w->value;
            if (!known) return brume_fail(BRUME_E_ARG, "%s holds %g, which stands for nothing", k->name, v);
        } else if (!(v >= k->lo && v <= k->hi) && !(k->null_is_0 && v == 0)) {
            return brume_fail(BRUME_E_ARG, "%s must be within %g .. %g, got %g", k->name, k->lo, k->hi, v);
        }
    }
    return BRUME_OK;
}

brume_status brume_config_read_word(const struct brume_config_key *k, const brume_json *v, int *out)
{
    const char *text = brume_json_string(v, NULL);
    for (const struct brume_config_word *w = k->words; text && w->text; w++)
        if (!strcmp(w->text, text)) { *out = w->value; return BRUME_OK; }
    char known[160] = "";
    for (const struct brume_config_word *w = k->words; w->text; w++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s\"%s\"", w == k->words ? "" : ", ", w->text);
    return brume_fail(text ? BRUME_E_UNSUPPORTED : BRUME_E_FORMAT, "%s: %s%s%s is not one of %s%s", brume_json_where(v),
                      text ? "\"" : "", text ? text : "this", text ? "\"" : "", known, k->null_is_0 ? ", null" : "");
}

static brume_status read_key(const brume_json *root, const struct brume_config_key *k, void *c)
{
    const brume_json *v = brume_json_find(root, k->name);
    brume_status s = BRUME_OK;
    if (!v) return BRUME_OK;
    if (brume_json_is_null(v)) {
        if (k->null_is_0) set_field(c, k, 0);
        return BRUME_OK;
    }
    if (is_word(k)) {
        int word = 0;
        s = brume_config_read_word(k, v, &word);
        if (s == BRUME_OK) set_field(c, k, word);
    } else if (k->kind == BRUME_CONFIG_BOOL) {
        int flag = 0;
        s = brume_json_get_bool(root, k->name, 0, &flag);
        if (s == BRUME_OK) set_field(c, k, flag);
    } else if (k->kind == BRUME_CONFIG_INT) {
        int64_t number = 0;
        s = brume_json_get_int(root, k->name, 0, (int64_t)k->lo, (int64_t)k->hi, &number);
        if (s == BRUME_OK) set_field(c, k, (double)number);
    } else {
        double number = 0;
        s = brume_json_get_double(root, k->name, 0, k->lo, k->hi, &number);
        if (s == BRUME_OK) set_field(c, k, number);
    }
    return s;
}

brume_status brume_config_read(const brume_json *root, const struct brume_config_key *keys, void *c)
{
    brume_status s = BRUME_OK;
    for (const struct brume_config_key *k = keys; k->name && s == BRUME_OK; k++) s = read_key(root, k, c);
    return s;
}

static void write_key(brume_json_writer *w, const struct brume_config_key *k, double v)
{
    if (k->null_is_0 && v == 0) { brume_json_put_null(w, k->name); return; }
    switch (k->kind) {
    case BRUME_CONFIG_INT: brume_json_put_int(w, k->name, (int64_t)v); return;
    case BRUME_CONFIG_REAL: brume_json_put_double(w, k->name, v); return;
    case BRUME_CONFIG_BOOL: brume_json_put_bool(w, k->name, v != 0); return;
    case BRUME_CONFIG_WORD: case BRUME_CONFIG_WORD_BOOL: break;
    }
    for (const struct brume_config_word *word = k->words; word->text; word++)
        if (word->value == v) { brume_json_put_string(w, k->name, word->text); return; }
}

void brume_config_write(brume_json_writer *w, const struct brume_config_key *keys, const void *c)
{
    for (const struct brume_config_key *k = keys; k->name; k++) write_key(w, k, field(c, k));
}

void brume_config_note_unknown(const brume_json *root, const struct brume_config_key *keys, const char *const *others,
                               char note[512])
{
    size_t used = 0;
    int unknown = 0;
    note[0] = 0;
    for (int64_t i = 0; i < brume_json_count(root); i++) {
        const char *name = brume_json_key(brume_json_at(root, i));
        bool known = name[0] == '_';
        for (const struct brume_config_key *k = keys; k->name; k++) known |= !strcmp(k->name, name);
        for (const char *const *o = others; *o; o++) known |= !strcmp(*o, name);
        if (known || used > 400) continue;
        used +=
            (size_t)snprintf(note + used, 512 - used, "%s%.60s", unknown++ ? ", " : "keys ignored in the model's config: ", name);
    }
}
