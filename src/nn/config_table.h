/* SPDX-License-Identifier: MIT
 * Keys of a model's config.json as rows of a table: defaults, checks, reading and writing go over them; lists follow by hand. */
#ifndef BRUME_NN_CONFIG_TABLE_H
#define BRUME_NN_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "brume/json.h"
#include "brume/status.h"

#define BRUME_CONFIG_MAX_WIDTH (1 << 20) /* channels */

/* Of a field: int32_t, double, bool, an enum with words (of int32_t's size), and a bool with words. */
enum brume_config_kind { BRUME_CONFIG_INT, BRUME_CONFIG_REAL, BRUME_CONFIG_BOOL, BRUME_CONFIG_WORD, BRUME_CONFIG_WORD_BOOL };

struct brume_config_word { const char *text; int value; }; /* the first text of a value is the one written; ends with text NULL */

struct brume_config_key {
    const char *name;
    enum brume_config_kind kind;
    size_t offset;             /* of the field in the config */
    double fallback, lo, hi;
    bool null_is_0;            /* null is a value of its own, 0 here; for other keys null means the default, as a missing key
                                  does */
    const struct brume_config_word *words;
};

/* Tables end with name NULL; c is the config that offsets refer to. */
void brume_config_defaults(const struct brume_config_key *keys, void *c);
/* BRUME_E_ARG names the key, the range and the value. */
brume_status brume_config_check(const struct brume_config_key *keys, const void *c);
/* Missing keys leave their fields. BRUME_E_FORMAT: a value of another kind or out of range; BRUME_E_UNSUPPORTED: a word that
 * nobody knows. */
brume_status brume_config_read(const brume_json *root, const struct brume_config_key *keys, void *c);
void brume_config_write(brume_json_writer *w, const struct brume_config_key *keys, const void *c);
/* One value that is a word of the key. */
brume_status brume_config_read_word(const struct brume_config_key *k, const brume_json *v, int *out);
/* Lists keys of the file that are neither in the table nor in others (ends with NULL) nor begin with '_', as a sentence; "" if
 * there are none. */
void brume_config_note_unknown(const brume_json *root, const struct brume_config_key *keys, const char *const *others,
                               char note[512]);

#endif
