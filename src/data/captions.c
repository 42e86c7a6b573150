/* SPDX-License-Identifier: MIT
 * Captions and labels of pictures in files: metadata.jsonl, one JSON object a line with "file_name", "text" and "label"; one text
 * file per picture; lists of names and labels. */
#include "data/captions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/json.h"

#define LIMIT ((size_t)1 << 30)

/* some editors begin with U+FEFF */
static const char *after_mark(const char *text) { return strncmp(text, "\xef\xbb\xbf", 3) ? text : text + 3; }

static int blank(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\n\v\f", text[i])) return 0; /* a zero byte counts as blank */
    return 1;
}

void brume_captions_free(struct brume_captions *c)
{
    for (int64_t i = 0; i < c->n; i++) {
        free(c->at[i].file);
        free(c->at[i].text);
        free(c->at[i].label);
    }
    free(c->at);
    *c = (struct brume_captions){ 0 };
}

static brume_status add(struct brume_captions *c, const char *file, const char *text, const char *label, int64_t line)
{
    if (c->n == c->cap) {
        const int64_t cap = c->cap ? 2 * c->cap : 256;
        struct brume_caption *more = realloc(c->at, (size_t)cap * sizeof *more);
        if (!more) return brume_fail(BRUME_E_MEMORY, "no memory for %lld captions", (long long)cap);
        c->at = more;
        c->cap = cap;
    }
    if (!strncmp(file, "./", 2)) file += 2;
    struct brume_caption *k = &c->at[c->n++];
    *k = (struct brume_caption){ strdup(file), text ? strdup(text) : NULL, label ? strdup(label) : NULL, line };
    return k->file && !k->text == !text && !k->label == !label ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "no memory for a caption");
}

/* A member that must be a text of at least one letter. */
static brume_status member(const brume_json *o, const char *key, const char *where, const char **text)
{
    const brume_json *v = brume_json_find(o, key);
    *text = brume_json_string(v, NULL);
    if (!v)
        return brume_fail(BRUME_E_FORMAT,
                          "%s: \"%s\" is missing; a line is {\"file_name\": \"cat1.png\", \"text\": \"a black cat\"}", where,
                          key);
    if (!*text || blank(*text, strlen(*text)))
        return brume_fail(BRUME_E_FORMAT, "%s: \"%s\" must be a text that is not empty", where, key);
    return BRUME_OK;
}

/* "label": a text or a number; number takes the latter. NULL: there is none. */
static brume_status read_label(const brume_json *o, const char *where, char number[32], const char **label)
{
    const brume_json *v = brume_json_find(o, "label");
    *label = NULL;
    if (!v) return BRUME_OK;
    if (brume_json_typeof(v) != BRUME_JSON_INT) return member(o, "label", where, label);
    snprintf(number, 32, "%lld", (long long)brume_json_integer(v, 0));
    *label = number;
    return BRUME_OK;
}

static brume_status read_line(struct brume_captions *c, const char *text, size_t n, const char *path, int64_t line)
{
    char where[4200], number[32];
    brume_json *o = NULL;
    const char *file = NULL, *words = NULL, *label = NULL;
    snprintf(where, sizeof where, "%s:%lld", path, (long long)line);
    brume_status s = brume_json_parse(text, n, where, &o);
    if (s == BRUME_OK && brume_json_typeof(o) != BRUME_JSON_OBJECT)
        s = brume_fail(BRUME_E_FORMAT, "%s: expected an object, {\"file_name\": ..., \"text\": ...}", where);
    if (s == BRUME_OK) s = member(o, "file_name", where, &file);
    if (s == BRUME_OK) s = read_label(o, where, number, &label);
    if (s == BRUME_OK && (!label || brume_json_find(o, "text"))) s = member(o, "text", where, &words);
    if (s == BRUME_OK) s = add(c, file, words, label, line);
    brume_json_free(o);
    return s;
}

/* The part of a text without blanks around it, and without quotes around that; ended by a zero. */
static char *trim(char *text, size_t n)
{
    while (n && strchr(" \t\r", text[n - 1])) n--;
    while (n && strchr(" \t", *text)) text++, n--;
    if (n > 1 && *text == '"' && text[n - 1] == '"') text++, n -= 2;
    text[n] = 0;
    return text;
}

static int is_heading(const char *file, const char *label)
{
    return (!strcmp(label, "label") || !strcmp(label, "class")) && !strchr(file, '.');
}

static brume_status read_label_line(struct brume_captions *c, const char *text, size_t n, char between, const char *path,
                                    int64_t line)
{
    char *copy = malloc(n + 1);
    if (!copy) return brume_fail(BRUME_E_MEMORY, "%s: no memory", path);
    memcpy(copy, text, n);
    while (n && strchr(" \t\r", copy[n - 1])) n--;
    copy[n] = 0;
    size_t cut = n;
    while (cut && copy[cut - 1] != between && !(between == ' ' && copy[cut - 1] == '\t')) cut--;
    brume_status s = BRUME_OK;
    char *label = trim(copy + cut, n - cut), *file = cut ? trim(copy, cut - 1) : copy;
    if (!cut || !*file || !*label)
        s = brume_fail(BRUME_E_FORMAT, "%s:%lld: expected a picture and its label, such as cat1.png%ccat", path, (long long)line,
                       between);
    else if (!(c->n == 0 && is_heading(file, label)))
        s = add(c, file, NULL, label, line);
    free(copy);
    return s;
}

/* Lines of a file, empty ones skipped: JSON (between 0), or names and labels. */
static brume_status read_lines(const char *path, char between, struct brume_captions *c)
{
    void *bytes;
    size_t n;
    *c = (struct brume_captions){ 0 };
    brume_status s = brume_file_read(path, LIMIT, &bytes, &n);
    if (s != BRUME_OK) return s;
    const char *end = (const char *)bytes + n, *at = after_mark(bytes);
    for (int64_t line = 1; s == BRUME_OK && at < end; line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        const size_t length = (size_t)(stop - at);
        if (!blank(at, length))
            s = between ? read_label_line(c, at, length, between, path, line) : read_line(c, at, length, path, line);
        at = stop + 1;
    }
    free(bytes);
    if (s != BRUME_OK) brume_captions_free(c);
    return s;
}

brume_status brume_captions_read(const char *path, struct brume_captions *c) { return read_lines(path, 0, c); }
brume_status brume_labels_read(const char *path, char between, struct brume_captions *c) { return read_lines(path, between, c); }

int brume_caption_beside(const char *picture, char *text, size_t size)
{
    const char *dot = strrchr(picture, '.');
    const size_t stem = (size_t)(dot - picture);
    char *path = malloc(stem + 5);
    void *words = NULL;
    size_t n;
    int found = 0;
    if (!path) return 0;
    memcpy(path, picture, stem);
    memcpy(path + stem, ".txt", 5);
    if (brume_is_file(path) && brume_file_read(path, 1 << 16, &words, &n) == BRUME_OK) {
        const char *line = after_mark(words);
        const size_t length = strcspn(line, "\r\n");
        found = !blank(line, length);
        if (found) snprintf(text, size, "%.*s", (int)length, line);
    }
    free(words);
    free(path);
    return found;
}
