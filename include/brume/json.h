/* SPDX-License-Identifier: MIT
 * JSON as configuration files use it: reading with typed getters whose messages name the file and the key, and writing.
 * Beyond the standard, the numbers NaN, Infinity and -Infinity are read and written, as Python does. */
#ifndef BRUME_JSON_H
#define BRUME_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "brume/api.h"
#include "brume/status.h"

BRUME_API_BEGIN

/** A value of a document: an object, array, string, number, boolean or null. Owned by its document. */
typedef struct brume_json brume_json;

/** What a value of a document is. */
typedef enum brume_json_type {
    BRUME_JSON_NULL = 0,
    BRUME_JSON_FALSE,
    BRUME_JSON_TRUE,
    BRUME_JSON_INT,
    BRUME_JSON_REAL,
    BRUME_JSON_STRING,
    BRUME_JSON_ARRAY,
    BRUME_JSON_OBJECT
} brume_json_type;

/** Reads a file of at most 256 MiB. *out is the root; free it (and with it every value inside) with brume_json_free(). */
brume_status brume_json_load(const char *path, brume_json **out);
/** The same from memory; name stands for the file in messages. A key that occurs twice in an object is refused. */
brume_status brume_json_parse(const char *text, size_t bytes, const char *name, brume_json **out);
/** Frees a document by its root; NULL is fine. */
void brume_json_free(brume_json *root);

/** Type of a value; BRUME_JSON_NULL for NULL. */
brume_json_type brume_json_typeof(const brume_json *v);
/** 1 for NULL or the value null: "the key is missing or null" of a config. */
int brume_json_is_null(const brume_json *v);
/** Where the value stands, for messages: "config.json: block_out_channels[2]". Valid until the next call of the same thread. */
const char *brume_json_where(const brume_json *v);

/** Member of an object, or NULL if v is NULL, no object, or has no such key. */
const brume_json *brume_json_find(const brume_json *v, const char *key);
/** Number of members or elements; 0 for other types and NULL. */
int64_t brume_json_count(const brume_json *v);
/** The i-th member or element in the order of the file, or NULL. */
const brume_json *brume_json_at(const brume_json *v, int64_t i);
/** Levels of values within values: 1 for a number or an empty object, one more than the deepest member of others; 0 for NULL. */
int brume_json_depth(const brume_json *v);
/** Key of a member of an object; "" for elements of arrays and the root. */
const char *brume_json_key(const brume_json *v);

/** Values without a message: fallback if v is NULL or of another type. A number may be written as integer or real (1 or 1.0). */
const char *brume_json_string(const brume_json *v, const char *fallback);
double brume_json_number(const brume_json *v, double fallback);
int64_t brume_json_integer(const brume_json *v, int64_t fallback);
int brume_json_boolean(const brume_json *v, int fallback);

/**
 * Members with check: a missing key, or null, gives fallback; another type, or a number outside lo .. hi (inclusive), is
 * BRUME_E_FORMAT with a text that names file, key, value and range. Strings are owned by the document.
 */
brume_status brume_json_get_int(const brume_json *obj, const char *key, int64_t fallback, int64_t lo, int64_t hi, int64_t *out);
brume_status brume_json_get_double(const brume_json *obj, const char *key, double fallback, double lo, double hi, double *out);
brume_status brume_json_get_bool(const brume_json *obj, const char *key, int fallback, int *out);
brume_status brume_json_get_string(const brume_json *obj, const char *key, const char *fallback, const char **out);
/**
 * An array of at most max integers within lo .. hi into out, their number into n. A missing key or null gives n = 0; a single
 * number counts as an array of one ("layers_per_block": 2 or [2, 2]).
 */
brume_status brume_json_get_ints(const brume_json *obj, const char *key, int max, int64_t lo, int64_t hi, int64_t *out, int *n);

/** Text under construction, indented by two spaces. Memory errors stick until brume_json_writer_save() or _text(). */
typedef struct brume_json_writer brume_json_writer;

/** A writer with nothing in it; NULL without memory. */
brume_json_writer *brume_json_writer_new(void);
/** Frees it with what was written; NULL is fine. */
void brume_json_writer_free(brume_json_writer *w);
/** key: name of the member inside an object; NULL inside an array and for the root. compact: on one line, for short arrays. */
void brume_json_begin_object(brume_json_writer *w, const char *key);
void brume_json_begin_array(brume_json_writer *w, const char *key, int compact);
void brume_json_end(brume_json_writer *w); /**< closes the innermost object or array */
/** NULL writes null; bytes that are not UTF-8 become U+FFFD */
void brume_json_put_string(brume_json_writer *w, const char *key, const char *value);
void brume_json_put_int(brume_json_writer *w, const char *key, int64_t value);
/** shortest text that reads back as the same double */
void brume_json_put_double(brume_json_writer *w, const char *key, double value);
void brume_json_put_bool(brume_json_writer *w, const char *key, int value);
void brume_json_put_null(brume_json_writer *w, const char *key);
/** The text so far (owned by w), or NULL without memory. */
const char *brume_json_writer_text(const brume_json_writer *w);
/** Writes the text and a newline to a file, whole or not at all. */
brume_status brume_json_writer_save(brume_json_writer *w, const char *path);

BRUME_API_END

#endif
