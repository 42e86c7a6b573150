/* SPDX-License-Identifier: MIT
 * Writing JSON: text under construction. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/json.h"

#define MAX_DEPTH 32

struct brume_json_writer {
    char *text;
    size_t n, cap;
    int failed, depth;
    struct {
        char close;
        int compact, empty;
    } level[MAX_DEPTH];
};

brume_json_writer *brume_json_writer_new(void) { return calloc(1, sizeof(brume_json_writer)); }

void brume_json_writer_free(brume_json_writer *w)
{
    if (!w) return;
    free(w->text);
    free(w);
}

static void add(brume_json_writer *w, const char *s, size_t n)
{
    if (w->failed) return;
    if (w->cap - w->n <= n) {
        const size_t cap = (w->cap + n + 64) * 2;
        char *more = realloc(w->text, cap);
        if (!more) {
            w->failed = 1;
            return;
        }
        w->text = more;
        w->cap = cap;
    }
    memcpy(w->text + w->n, s, n);
    w->n += n;
    w->text[w->n] = 0;
}

/* Bytes of the well-formed UTF-8 sequence at s (Unicode 15, table 3-7), or 0. */
static int utf8_length(const unsigned char *s)
{
    const int n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
    for (int i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if (n > 2) {
        if (s[0] == 0xe0 && s[1] < 0xa0) return 0; /* overlong */
        if (s[0] == 0xed && s[1] > 0x9f) return 0; /* surrogates */
        if (s[0] == 0xf0 && s[1] < 0x90) return 0;
        if (s[0] == 0xf4 && s[1] > 0x8f) return 0;
    }
    return n;
}

static void add_string(brume_json_writer *w, const char *value)
{
    add(w, "\"", 1);
    for (const unsigned char *s = (const unsigned char *)value; *s;) {
        const int n = utf8_length(s);
        char escape[8];
        if (*s == '"' || *s == '\\') {
            snprintf(escape, sizeof escape, "\\%c", *s);
            add(w, escape, 2);
        } else if (*s < 0x20) {
            snprintf(escape, sizeof escape, "\\u%04x", *s);
            add(w, escape, 6);
        } else if (!n) {
            add(w, "\xef\xbf\xbd", 3);
        } else {
            add(w, (const char *)s, (size_t)n);
        }
        s += n ? n : 1;
    }
    add(w, "\"", 1);
}

static void new_line(brume_json_writer *w)
{
    add(w, "\n", 1);
    for (int i = 0; i < w->depth; i++) add(w, "  ", 2);
}

static void before(brume_json_writer *w, const char *key)
{
    if (w->depth) {
        const int top = w->depth - 1, first = w->level[top].empty;
        if (!first) add(w, w->level[top].compact ? ", " : ",", w->level[top].compact ? 2 : 1);
        if (!w->level[top].compact) new_line(w);
        w->level[top].empty = 0;
    }
    if (key) {
        add_string(w, key);
        add(w, ": ", 2);
    }
}

static void begin(brume_json_writer *w, const char *key, char open, char close, int compact)
{
    before(w, key);
    add(w, &open, 1);
    if (w->depth == MAX_DEPTH) {
        w->failed = 1;
        return;
    }
    w->level[w->depth].close = close;
    w->level[w->depth].compact = compact;
    w->level[w->depth++].empty = 1;
}

void brume_json_begin_object(brume_json_writer *w, const char *key) { begin(w, key, '{', '}', 0); }

void brume_json_begin_array(brume_json_writer *w, const char *key, int compact) { begin(w, key, '[', ']', compact); }

void brume_json_end(brume_json_writer *w)
{
    if (!w->depth) return;
    w->depth--;
    if (!w->level[w->depth].empty && !w->level[w->depth].compact) new_line(w);
    add(w, &w->level[w->depth].close, 1);
}

void brume_json_put_string(brume_json_writer *w, const char *key, const char *value)
{
    before(w, key);
    if (value) add_string(w, value);
    else add(w, "null", 4);
}

static void put_text(brume_json_writer *w, const char *key, const char *text)
{
    before(w, key);
    add(w, text, strlen(text));
}

void brume_json_put_int(brume_json_writer *w, const char *key, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    put_text(w, key, text);
}

void brume_json_put_double(brume_json_writer *w, const char *key, double value)
{
    char text[40];
    if (isfinite(value)) {
        for (int digits = 15; digits <= 17; digits++) {
            snprintf(text, sizeof text - 2, "%.*g", digits, value);
            if (strtod(text, NULL) == value) break;
        }
        for (char *c = text; *c; c++)
            if (*c == ',') *c = '.'; /* a locale with a decimal comma */
        if (!strpbrk(text, ".e")) strcat(text, ".0");
    } else {
        strcpy(text, isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
    }
    put_text(w, key, text);
}

void brume_json_put_bool(brume_json_writer *w, const char *key, int value) { put_text(w, key, value ? "true" : "false"); }

void brume_json_put_null(brume_json_writer *w, const char *key) { put_text(w, key, "null"); }

const char *brume_json_writer_text(const brume_json_writer *w) { return w->failed ? NULL : w->text ? w->text : ""; }

brume_status brume_json_writer_save(brume_json_writer *w, const char *path)
{
    add(w, "\n", 1);
    if (w->failed) return brume_fail(BRUME_E_MEMORY, "%s: no memory for its text", path);
    return brume_file_write(path, w->text, w->n);
}
