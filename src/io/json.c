/* SPDX-License-Identifier: MIT
 * Reading JSON: jansson parses, and the values move into a tree that knows where each stands. */
#include "brume/json.h"

#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"

#define SORT_FROM 12 /* members from which an object gets an index */

struct brume_json {
    brume_json_type type;
    char *key;                  /* member of an object: its key;  root: name of the document */
    const brume_json *parent;
    int64_t n, integer;
    double real;
    char *string;
    brume_json *children;       /* n of them */
    const brume_json **sorted;  /* large objects: the children by key */
};

/* Python's json module writes these three words; jansson takes none of them, so each becomes a string that begins with U+0001.
 * Integers that no int64_t can hold (transformers writes 1e30 with all its digits) become real: jansson refuses them, too. */
static const char *const nonfinite[] = { "NaN", "Infinity", "-Infinity" };

static char *quote_nonfinite(const char *text, size_t n, size_t *out_n)
{
    size_t found = 0;
    for (int pass = 0;; pass++) {
        char *out = NULL;
        if (pass) {
            if (!(out = malloc(n + 8 * found + 1))) return NULL;
        }
        size_t k = 0;
        int in_string = 0;
        for (size_t i = 0; i < n;) {
            size_t len = 1;
            int word = -1, large = 0;
            if (in_string) {
                if (text[i] == '\\' && i + 1 < n) len = 2;
                else if (text[i] == '"') in_string = 0;
            } else if (text[i] == '"') {
                in_string = 1;
            } else if (text[i] == 'N' || text[i] == 'I' || text[i] == '-') {
                for (int w = 0; w < 3; w++) {
                    const size_t m = strlen(nonfinite[w]);
                    if (n - i >= m && !memcmp(text + i, nonfinite[w], m)) {
                        word = w;
                        len = m;
                    }
                }
            } else if (text[i] >= '0' && text[i] <= '9') {
                while (i + len < n && text[i + len] >= '0' && text[i + len] <= '9') len++;
                large = len >= 20 && !strchr(".eE+", i ? text[i - 1] : '-') && (i + len == n || !strchr(".eE", text[i + len]));
            }
            if (word >= 0 || large) found += !pass;
            if (pass) {
                if (word >= 0) memcpy(out + k, "\"\\u0001", 7), k += 7;
                memcpy(out + k, text + i, len);
                k += len;
                if (word >= 0) out[k++] = '"';
                if (large) memcpy(out + k, ".0", 2), k += 2;
            }
            i += len;
        }
        if (pass) {
            *out_n = k;
            return out;
        }
    }
}

/* Which of the three words a string stands for, or -1. */
static int nonfinite_of(const char *s)
{
    for (int w = 0; w < 3; w++)
        if (s[0] == 1 && !strcmp(s + 1, nonfinite[w])) return w;
    return -1;
}

static void clear(brume_json *v)
{
    for (int64_t i = 0; i < v->n; i++) clear(&v->children[i]);
    free(v->children);
    free(v->sorted);
    free(v->key);
    free(v->string);
}

void brume_json_free(brume_json *root)
{
    if (!root) return;
    clear(root);
    free(root);
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const brume_json *const *)a)->key, (*(const brume_json *const *)b)->key);
}

static brume_status convert(brume_json *v, const json_t *j, const char *name);

static brume_status convert_children(brume_json *v, json_t *j, const char *name)
{
    const size_t n = json_is_object(j) ? json_object_size(j) : json_array_size(j);
    if (!n) return BRUME_OK;
    if (!(v->children = calloc(n, sizeof *v->children))) return brume_fail(BRUME_E_MEMORY, "%s: no memory", name);
    v->n = (int64_t)n;
    void *it = json_is_object(j) ? json_object_iter(j) : NULL;
    for (size_t i = 0; i < n; i++) {
        brume_json *c = &v->children[i];
        c->parent = v;
        if (it) {
            if (nonfinite_of(json_object_iter_key(it)) >= 0)
                return brume_fail(BRUME_E_FORMAT, "%s: a key must be a string", name);
            if (!(c->key = strdup(json_object_iter_key(it)))) return brume_fail(BRUME_E_MEMORY, "%s: no memory", name);
        }
        const brume_status s = convert(c, it ? json_object_iter_value(it) : json_array_get(j, i), name);
        if (s != BRUME_OK) return s;
        if (it) it = json_object_iter_next(j, it);
    }
    if (v->type == BRUME_JSON_OBJECT && n >= SORT_FROM) {
        if (!(v->sorted = malloc(n * sizeof *v->sorted))) return brume_fail(BRUME_E_MEMORY, "%s: no memory", name);
        for (size_t i = 0; i < n; i++) v->sorted[i] = &v->children[i];
        qsort(v->sorted, n, sizeof *v->sorted, by_key);
    }
    return BRUME_OK;
}

static brume_status convert(brume_json *v, const json_t *j, const char *name)
{
    switch (json_typeof(j)) {
    case JSON_OBJECT: v->type = BRUME_JSON_OBJECT; return convert_children(v, (json_t *)j, name);
    case JSON_ARRAY: v->type = BRUME_JSON_ARRAY; return convert_children(v, (json_t *)j, name);
    case JSON_INTEGER:
        v->type = BRUME_JSON_INT;
        v->integer = json_integer_value(j);
        v->real = (double)v->integer;
        break;
    case JSON_REAL:
        v->type = BRUME_JSON_REAL;
        v->real = json_real_value(j);
        break;
    case JSON_TRUE: v->type = BRUME_JSON_TRUE; break;
    case JSON_FALSE: v->type = BRUME_JSON_FALSE; break;
    case JSON_NULL: v->type = BRUME_JSON_NULL; break;
    case JSON_STRING: {
        const char *s = json_string_value(j);
        const int word = nonfinite_of(s);
        if (word >= 0) {
            v->type = BRUME_JSON_REAL;
            v->real = word == 0 ? NAN : word == 1 ? INFINITY : -INFINITY;
            break;
        }
        v->type = BRUME_JSON_STRING;
        if (!(v->string = strdup(s))) return brume_fail(BRUME_E_MEMORY, "%s: no memory", name);
        break;
    }
    }
    return BRUME_OK;
}

/* jansson takes missing memory for bad syntax, goes on with a part of a string, or uses a null pointer. So it never sees it:
 * while a text is parsed, all that it asks for comes from one region, and where that cannot grow, the parser is left by a jump.
 * Outside of that, whatever allocator the program has set goes on to serve. */
struct block { struct block *next; _Alignas(16) char bytes[]; };
struct region { struct block *blocks; char *at; size_t left; jmp_buf without_memory; };

enum { BLOCK = 16384 };

static json_malloc_t plain_malloc;
static json_free_t plain_free;
static _Thread_local struct region *parsing;

static void *take(size_t n)
{
    struct region *r = parsing;
    if (!r) return plain_malloc(n);
    n = (n + 15) / 16 * 16;
    if (n > r->left) {
        const size_t bytes = n > BLOCK ? n : BLOCK;
        struct block *b = malloc(sizeof *b + bytes);
        if (!b) longjmp(r->without_memory, 1);
        b->next = r->blocks;
        r->blocks = b;
        r->at = b->bytes;
        r->left = bytes;
    }
    void *p = r->at;
    r->at += n;
    r->left -= n;
    return p;
}

static void give_back(void *p)
{
    if (!parsing) plain_free(p); /* else it goes with the region */
}

static void set_allocator(void)
{
    json_get_alloc_funcs(&plain_malloc, &plain_free);
    json_set_alloc_funcs(take, give_back);
}

/* The values live in the region. */
static brume_status parse(const char *text, size_t n, const char *name, struct region *r, json_t **out)
{
    json_error_t e;
    if (setjmp(r->without_memory)) {
        parsing = NULL;
        return brume_fail(BRUME_E_MEMORY, "%s: no memory for %zu bytes of JSON", name, n);
    }
    parsing = r;
    *out = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    parsing = NULL;
    return *out ? BRUME_OK
                : brume_fail(BRUME_E_FORMAT, "%s: not valid JSON at line %d, column %d: %s", name, e.line, e.column, e.text);
}

static void region_free(struct region *r)
{
    for (struct block *b = r->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
}

brume_status brume_json_parse(const char *text, size_t bytes, const char *name, brume_json **out)
{
    *out = NULL;
    size_t n;
    char *quoted = quote_nonfinite(text, bytes, &n);
    if (!quoted) return brume_fail(BRUME_E_MEMORY, "%s: no memory for %zu bytes", name, bytes);
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_allocator);
    struct region region = { 0 };
    json_t *j;
    brume_json *root = NULL;
    brume_status s = parse(quoted, n, name, &region, &j);
    free(quoted);
    if (s == BRUME_OK && (!(root = calloc(1, sizeof *root)) || !(root->key = strdup(name))))
        s = brume_fail(BRUME_E_MEMORY, "%s: no memory", name);
    if (s == BRUME_OK) s = convert(root, j, name);
    region_free(&region);
    if (s == BRUME_OK) *out = root;
    else brume_json_free(root);
    return s;
}

brume_status brume_json_load(const char *path, brume_json **out)
{
    void *text;
    size_t n;
    *out = NULL;
    brume_status s = brume_file_read(path, (size_t)256 << 20, &text, &n);
    if (s != BRUME_OK) return s;
    s = brume_json_parse(text, n, path, out);
    free(text);
    return s;
}

brume_json_type brume_json_typeof(const brume_json *v) { return v ? v->type : BRUME_JSON_NULL; }

int brume_json_is_null(const brume_json *v) { return !v || v->type == BRUME_JSON_NULL; }

/* Writes the path of v after what is there; n counts what fits. */
static size_t path_of(const brume_json *v, char *text, size_t cap)
{
    if (!v->parent) return (size_t)snprintf(text, cap, "%s:", v->key);
    size_t n = path_of(v->parent, text, cap);
    if (n >= cap) return cap;
    if (v->parent->type == BRUME_JSON_ARRAY)
        n += (size_t)snprintf(text + n, cap - n, "[%lld]", (long long)(v - v->parent->children));
    else n += (size_t)snprintf(text + n, cap - n, "%s%s", v->parent->parent ? "." : " ", v->key);
    return n < cap ? n : cap;
}

const char *brume_json_where(const brume_json *v)
{
    static _Thread_local char text[512];
    if (!v) return "";
    path_of(v, text, sizeof text);
    return text;
}

const brume_json *brume_json_find(const brume_json *v, const char *key)
{
    if (!v || v->type != BRUME_JSON_OBJECT) return NULL;
    if (v->sorted) {
        int64_t lo = 0, hi = v->n;
        while (lo < hi) {
            const int64_t mid = lo + (hi - lo) / 2;
            const int c = strcmp(key, v->sorted[mid]->key);
            if (!c) return v->sorted[mid];
            if (c < 0) hi = mid;
            else lo = mid + 1;
        }
        return NULL;
    }
    for (int64_t i = 0; i < v->n; i++)
        if (!strcmp(v->children[i].key, key)) return &v->children[i];
    return NULL;
}

int64_t brume_json_count(const brume_json *v) { return v ? v->n : 0; }

const brume_json *brume_json_at(const brume_json *v, int64_t i) { return v && i >= 0 && i < v->n ? &v->children[i] : NULL; }

int brume_json_depth(const brume_json *v)
{
    int most = 0;
    for (int64_t i = 0; i < brume_json_count(v); i++) {
        const int d = brume_json_depth(&v->children[i]);
        if (d > most) most = d;
    }
    return v ? most + 1 : 0;
}

const char *brume_json_key(const brume_json *v) { return v && v->parent && v->key ? v->key : ""; }

const char *brume_json_string(const brume_json *v, const char *fallback)
{
    return v && v->type == BRUME_JSON_STRING ? v->string : fallback;
}

static int is_number(const brume_json *v) { return v && (v->type == BRUME_JSON_INT || v->type == BRUME_JSON_REAL); }

/* 1.0 counts as an integer. */
static int is_integer(const brume_json *v)
{
    return v && (v->type == BRUME_JSON_INT || (v->type == BRUME_JSON_REAL && fabs(v->real) < 9e18 && v->real == floor(v->real)));
}

double brume_json_number(const brume_json *v, double fallback) { return is_number(v) ? v->real : fallback; }

int64_t brume_json_integer(const brume_json *v, int64_t fallback)
{
    if (!is_integer(v)) return fallback;
    return v->type == BRUME_JSON_INT ? v->integer : (int64_t)v->real;
}

int brume_json_boolean(const brume_json *v, int fallback)
{
    return v && v->type == BRUME_JSON_TRUE ? 1 : v && v->type == BRUME_JSON_FALSE ? 0 : fallback;
}

/* The value as a message shows it. */
static const char *shown(const brume_json *v, char text[80])
{
    static const char *const names[] = { "null", "false", "true", "", "", "", "an array", "an object" };
    if (v->type == BRUME_JSON_INT) snprintf(text, 80, "%lld", (long long)v->integer);
    else if (v->type == BRUME_JSON_REAL) snprintf(text, 80, "%.9g", v->real);
    else if (v->type == BRUME_JSON_STRING) snprintf(text, 80, "\"%.60s\"", v->string);
    else return names[v->type];
    return text;
}

static brume_status int_in(const brume_json *v, int64_t lo, int64_t hi, int64_t *out)
{
    char text[80];
    const int64_t x = brume_json_integer(v, 0);
    if (!is_integer(v) || x < lo || x > hi)
        return brume_fail(BRUME_E_FORMAT, "%s is %s, expected an integer from %lld to %lld", brume_json_where(v), shown(v, text),
                          (long long)lo, (long long)hi);
    *out = x;
    return BRUME_OK;
}

brume_status brume_json_get_int(const brume_json *obj, const char *key, int64_t fallback, int64_t lo, int64_t hi, int64_t *out)
{
    const brume_json *v = brume_json_find(obj, key);
    *out = fallback;
    return brume_json_is_null(v) ? BRUME_OK : int_in(v, lo, hi, out);
}

brume_status brume_json_get_double(const brume_json *obj, const char *key, double fallback, double lo, double hi, double *out)
{
    const brume_json *v = brume_json_find(obj, key);
    char text[80];
    *out = fallback;
    if (brume_json_is_null(v)) return BRUME_OK;
    if (!is_number(v) || !(v->real >= lo && v->real <= hi))
        return brume_fail(BRUME_E_FORMAT, "%s is %s, expected a number from %g to %g", brume_json_where(v), shown(v, text), lo,
                          hi);
    *out = v->real;
    return BRUME_OK;
}

brume_status brume_json_get_bool(const brume_json *obj, const char *key, int fallback, int *out)
{
    const brume_json *v = brume_json_find(obj, key);
    char text[80];
    *out = fallback;
    if (brume_json_is_null(v)) return BRUME_OK;
    if (v->type != BRUME_JSON_TRUE && v->type != BRUME_JSON_FALSE)
        return brume_fail(BRUME_E_FORMAT, "%s is %s, expected true or false", brume_json_where(v), shown(v, text));
    *out = v->type == BRUME_JSON_TRUE;
    return BRUME_OK;
}

brume_status brume_json_get_string(const brume_json *obj, const char *key, const char *fallback, const char **out)
{
    const brume_json *v = brume_json_find(obj, key);
    char text[80];
    *out = fallback;
    if (brume_json_is_null(v)) return BRUME_OK;
    if (v->type != BRUME_JSON_STRING)
        return brume_fail(BRUME_E_FORMAT, "%s is %s, expected a string", brume_json_where(v), shown(v, text));
    *out = v->string;
    return BRUME_OK;
}

brume_status brume_json_get_ints(const brume_json *obj, const char *key, int max, int64_t lo, int64_t hi, int64_t *out, int *n)
{
    const brume_json *v = brume_json_find(obj, key);
    char text[80];
    *n = 0;
    if (brume_json_is_null(v)) return BRUME_OK;
    if (is_number(v) && max >= 1) {
        const brume_status s = int_in(v, lo, hi, out);
        *n = s == BRUME_OK;
        return s;
    }
    if (v->type != BRUME_JSON_ARRAY || v->n > max)
        return brume_fail(BRUME_E_FORMAT, "%s is %s of %lld values, expected an array of at most %d integers",
                          brume_json_where(v), shown(v, text), (long long)v->n, max);
    for (int64_t i = 0; i < v->n; i++) {
        const brume_status s = int_in(&v->children[i], lo, hi, &out[i]);
        if (s != BRUME_OK) return s;
    }
    *n = (int)v->n;
    return BRUME_OK;
}
