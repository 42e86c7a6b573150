/* SPDX-License-Identifier: MIT
 * JSON: what was read is written again, and must read as the same. */
#include "brume/json.h"

#include <math.h>
#include <string.h>

#include "fuzz.h"

static void put(brume_json_writer *w, const brume_json *v, const char *key)
{
    fuzz_use_text(brume_json_where(v));
    switch (brume_json_typeof(v)) {
    case BRUME_JSON_NULL: brume_json_put_null(w, key); break;
    case BRUME_JSON_FALSE: case BRUME_JSON_TRUE: brume_json_put_bool(w, key, brume_json_boolean(v, 0)); break;
    case BRUME_JSON_INT: brume_json_put_int(w, key, brume_json_integer(v, 0)); break;
    case BRUME_JSON_REAL: brume_json_put_double(w, key, brume_json_number(v, 0)); break;
    case BRUME_JSON_STRING: brume_json_put_string(w, key, brume_json_string(v, "")); break;
    case BRUME_JSON_ARRAY: case BRUME_JSON_OBJECT: {
        const int object = brume_json_typeof(v) == BRUME_JSON_OBJECT;
        if (object) brume_json_begin_object(w, key);
        else brume_json_begin_array(w, key, 1);
        for (int64_t i = 0; i < brume_json_count(v); i++) {
            const brume_json *c = brume_json_at(v, i);
            if (object && brume_json_find(v, brume_json_key(c)) != c) fuzz_broken("a member is not found by its key");
            put(w, c, object ? brume_json_key(c) : NULL);
        }
        brume_json_end(w);
    }
    }
}

static int same(const brume_json *a, const brume_json *b)
{
    const brume_json_type ta = brume_json_typeof(a), tb = brume_json_typeof(b);
    const double x = brume_json_number(a, 0), y = brume_json_number(b, 0);
    if (ta != tb && !(ta == BRUME_JSON_REAL && tb == BRUME_JSON_INT)) return 0; /* 1.0 may be written as 1 */
    if (x != y && !(isnan(x) && isnan(y))) return 0;
    if (brume_json_count(a) != brume_json_count(b) || strcmp(brume_json_string(a, ""), brume_json_string(b, ""))) return 0;
    for (int64_t i = 0; i < brume_json_count(a); i++)
        if (strcmp(brume_json_key(brume_json_at(a, i)), brume_json_key(brume_json_at(b, i))) ||
            !same(brume_json_at(a, i), brume_json_at(b, i)))
            return 0;
    return 1;
}

/* Every getter takes values of every type. */
static void get(const brume_json *v)
{
    static const char *const keys[] = { "a", "b", "in_channels" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        int64_t n, list[4];
        double x;
        int k;
        const char *text;
        brume_json_get_int(v, keys[i], 1, -5, 100, &n);
        brume_json_get_double(v, keys[i], 1, -5, 100, &x);
        brume_json_get_bool(v, keys[i], 1, &k);
        if (brume_json_get_string(v, keys[i], NULL, &text) == BRUME_OK) fuzz_use_text(text);
        if (brume_json_get_ints(v, keys[i], 4, 0, 100, list, &k) == BRUME_OK) fuzz_use(list, (size_t)k * sizeof *list);
    }
}

void fuzz_json(const uint8_t *data, size_t n)
{
    brume_json *root, *again;
    if (brume_json_parse((const char *)data, n, "input", &root) != BRUME_OK) return;
    get(root);
    if (brume_json_depth(root) > 32) { /* the writer goes no deeper */
        brume_json_free(root);
        return;
    }
    brume_json_writer *w = brume_json_writer_new();
    put(w, root, NULL);
    const char *text = brume_json_writer_text(w);
    if (!text || brume_json_parse(text, strlen(text), "written", &again) != BRUME_OK)
        fuzz_broken("what was written cannot be read");
    if (!same(root, again)) fuzz_broken("what was written reads as something else");
    brume_json_free(again);
    brume_json_writer_free(w);
    brume_json_free(root);
}
