/* SPDX-License-Identifier: MIT
 * Records of drawings: reading them, with distrust, and showing them. */
#include "record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define MOST_BYTES ((size_t)1 << 20)
#define MOST_DEPTH 4

static const char *const pictures[] = { "out", "strip", "x0-strip", "forward-strip", "trajectories", "field", NULL };
static const char *const elsewhere[] = { "out", "save-tensors", "strip", "x0-strip", "forward-strip", "film", "trajectories",
                                         "field", "samplers", "table", "reference-steps", "replay", "guidance-w", "device",
                                         "threads", "cache", "quiet", NULL };

static int among(const char *name, const char *const *names)
{
    while (*names && strcmp(*names, name)) names++;
    return *names != NULL;
}

int record_holds(const struct cli_option *o) { return o->type != CLI_GROUP && !among(o->name, elsewhere); }

int record_is_picture(const char *picture) { return among(picture, pictures); }

/* Does a string come back from JSON as it was? Not if it is no UTF-8, nor if it begins as the reader's own marks do. */
static int survives(const char *text)
{
    int same = 0;
    brume_json *back = NULL;
    brume_json_writer *w = brume_json_writer_new();
    if (!w) return 1;
    brume_json_begin_array(w, NULL, 1);
    brume_json_put_string(w, NULL, text);
    brume_json_end(w);
    const char *json = brume_json_writer_text(w);
    if (json && brume_json_parse(json, strlen(json), "text", &back) == BRUME_OK)
        same = !strcmp(brume_json_string(brume_json_at(back, 0), text[0] ? "" : "-"), text);
    brume_json_free(back);
    brume_json_writer_free(w);
    return same;
}

void record_put_text(brume_json_writer *w, const char *key, const char *text)
{
    if (survives(text)) {
        brume_json_put_string(w, key, text);
        return;
    }
    char *hex = malloc(2 * strlen(text) + 1), *h = hex;
    for (const char *c = text; hex && *c; c++, h += 2) snprintf(h, 3, "%02x", (unsigned char)*c);
    brume_json_begin_object(w, key);
    brume_json_put_string(w, "hex", hex ? hex : "");
    brume_json_end(w);
    free(hex);
}

static int digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

static int bad(const brume_json *v, const char *expected)
{
    fprintf(stderr, "brume: %s%s expected %s\n", brume_json_where(v), *brume_json_key(v) ? ":" : "", expected);
    return CLI_FAILED;
}

char *record_text(const brume_json *v)
{
    const char *plain = brume_json_string(v, NULL);
    if (plain) return strdup(plain);
    const char *hex = brume_json_count(v) == 1 ? brume_json_string(brume_json_find(v, "hex"), NULL) : NULL;
    const size_t n = hex ? strlen(hex) : 1;
    char *text = n % 2 ? NULL : malloc(n / 2 + 1);
    for (size_t i = 0; text && i < n; i += 2) {
        const int value = digit(hex[i]) < 0 || digit(hex[i + 1]) < 0 ? 0 : digit(hex[i]) * 16 + digit(hex[i + 1]);
        if (!value) { free(text); text = NULL; break; }
        text[i / 2] = (char)value;
    }
    if (text) text[n / 2] = 0;
    else bad(v, "a string, or {\"hex\": bytes other than 0 in hexadecimal}");
    return text;
}

/* A member that must be there. */
static int member(const brume_json *v, const char *key, brume_json_type type, const char *expected, const brume_json **out)
{
    *out = brume_json_find(v, key);
    if (*out && brume_json_typeof(*out) == type) return CLI_GO_ON;
    fprintf(stderr, "brume: %s%s%s: expected %s\n", brume_json_where(v), *brume_json_key(v) ? "." : " ", key, expected);
    return CLI_FAILED;
}

static int string(const brume_json *v, const char *key, const char **out)
{
    const brume_json *s;
    const int status = member(v, key, BRUME_JSON_STRING, "a string", &s);
    *out = brume_json_string(s, "");
    return status;
}

static int members(struct record *r)
{
    const brume_json *model, *device, *format;
    int status = member(r->json, "format", BRUME_JSON_INT, "an integer", &format);
    if (status == CLI_GO_ON && brume_json_integer(format, 0) != 1)
        return bad(format, "1: the record was written by a newer brume");
    if (status == CLI_GO_ON) status = string(r->json, "brume", &r->version);
    if (status == CLI_GO_ON) status = string(r->json, "picture", &r->picture);
    if (status == CLI_GO_ON && !record_is_picture(r->picture))
        status = bad(brume_json_find(r->json, "picture"), "out, strip or another picture of brume sample");
    if (status == CLI_GO_ON) status = member(r->json, "model", BRUME_JSON_OBJECT, "an object", &model);
    if (status == CLI_GO_ON) status = string(model, "weights", &r->weights);
    if (status == CLI_GO_ON) status = string(model, "scheduler", &r->scheduler);
    if (status == CLI_GO_ON) status = member(r->json, "device", BRUME_JSON_OBJECT, "an object", &device);
    if (status == CLI_GO_ON) status = string(device, "spec", &r->device);
    if (status == CLI_GO_ON) status = string(device, "name", &r->device_name);
    if (status == CLI_GO_ON) status = string(device, "platform", &r->platform);
    if (status == CLI_GO_ON) status = member(r->json, "options", BRUME_JSON_OBJECT, "an object", &r->options);
    if (status == CLI_GO_ON) status = member(r->json, "files", BRUME_JSON_OBJECT, "an object", &r->files);
    if (status != CLI_GO_ON) return status;
    for (int64_t i = 0; i < brume_json_count(r->files); i++)
        if (brume_json_typeof(brume_json_at(r->files, i)) != BRUME_JSON_STRING)
            return bad(brume_json_at(r->files, i), "a fingerprint");
    for (int64_t i = 0; i < brume_json_count(r->options) + brume_json_count(r->files); i++) {
        const brume_json *v = i < brume_json_count(r->options) ? brume_json_at(r->options, i)
                                                               : brume_json_at(r->files, i - brume_json_count(r->options));
        if (strspn(brume_json_key(v), "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(brume_json_key(v)))
            return bad(r->json, "names of options as keys");
    }
    r->keeps_x0 = brume_json_boolean(brume_json_find(r->json, "keeps_x0"), 0);
    r->model = brume_json_find(model, "path");
    if (!r->model) return bad(model, "a path");
    char *path = record_text(r->model);
    free(path);
    return path ? CLI_GO_ON : CLI_FAILED;
}

int record_read(const brume_image *im, const char *path, struct record *r)
{
    const char *text = brume_image_text(im, "brume");
    char name[4200];
    *r = (struct record){ 0 };
    if (!text) return CLI_GO_ON;
    const size_t n = strlen(text);
    if (n > MOST_BYTES) {
        fprintf(stderr, "brume: %s: its text 'brume' has %zu bytes, no record has more than %zu\n", path, n, MOST_BYTES);
        return CLI_FAILED;
    }
    snprintf(name, sizeof name, "%s: text 'brume'", path);
    if (brume_json_parse(text, n, name, &r->json) != BRUME_OK) return cli_failed();
    int status = CLI_GO_ON;
    if (brume_json_depth(r->json) > MOST_DEPTH) status = bad(r->json, "the record of a drawing, which is nested less deeply");
    if (status == CLI_GO_ON) status = members(r);
    if (status != CLI_GO_ON) record_free(r);
    return status;
}

void record_free(struct record *r)
{
    brume_json_free(r->json);
    *r = (struct record){ 0 };
}

/* Text from a file must not steer the terminal: control characters (C0, DEL, and C1 in UTF-8) are shown as \\n or in
 * hexadecimal. */
static void print_text(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        const int c1 = *c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;
        if (*c == '\n') printf("\\n");
        else if (*c < 32 || *c == 127 || c1) printf("\\x%02x", *c);
        else putchar(*c);
        if (c1) printf("\\x%02x", *++c);
    }
}

static void print_value(const brume_json *v)
{
    switch (brume_json_typeof(v)) {
    case BRUME_JSON_INT: printf("%lld", (long long)brume_json_integer(v, 0)); break;
    case BRUME_JSON_REAL: printf("%.15g", brume_json_number(v, 0)); break;
    case BRUME_JSON_TRUE: printf("on"); break;
    case BRUME_JSON_FALSE: printf("off"); break;
    case BRUME_JSON_ARRAY:
        for (int64_t i = 0; i < brume_json_count(v); i++) {
            if (i) printf(", ");
            print_value(brume_json_at(v, i));
        }
        break;
    default: {
        char *text = record_text(v);
        print_text(text ? text : "");
        free(text);
    }
    }
}

static void print_line(const char *key, const brume_json *v)
{
    printf("  %-22s", key);
    print_value(v);
    putchar('\n');
}

void record_print(const struct record *r)
{
    if (!r->json) {
        printf("record      none: this PNG does not say how it was drawn; those of brume sample do\n");
        return;
    }
    const brume_json *model = brume_json_find(r->json, "model"), *device = brume_json_find(r->json, "device");
    printf("\ndrawn by brume sample (--replay draws it again)\n");
    print_line("brume", brume_json_find(r->json, "brume"));
    print_line("picture", brume_json_find(r->json, "picture"));
    print_line("model", r->model);
    print_line("weights", brume_json_find(model, "weights"));
    print_line("device", brume_json_find(device, "name"));
    print_line("", brume_json_find(device, "platform"));
    if (brume_json_find(r->json, "guidance")) print_line("guidance", brume_json_find(r->json, "guidance"));
    printf("options\n");
    for (int64_t i = 0; i < brume_json_count(r->options); i++)
        print_line(brume_json_key(brume_json_at(r->options, i)), brume_json_at(r->options, i));
    if (brume_json_count(r->files)) printf("fingerprints of files\n");
    for (int64_t i = 0; i < brume_json_count(r->files); i++)
        print_line(brume_json_key(brume_json_at(r->files, i)), brume_json_at(r->files, i));
}

static void put(brume_json_writer *w, const char *key, const brume_json *v)
{
    const brume_json_type type = brume_json_typeof(v);
    switch (type) {
    case BRUME_JSON_NULL: brume_json_put_null(w, key); return;
    case BRUME_JSON_FALSE: case BRUME_JSON_TRUE: brume_json_put_bool(w, key, type == BRUME_JSON_TRUE); return;
    case BRUME_JSON_INT: brume_json_put_int(w, key, brume_json_integer(v, 0)); return;
    case BRUME_JSON_REAL: brume_json_put_double(w, key, brume_json_number(v, 0)); return;
    case BRUME_JSON_STRING: brume_json_put_string(w, key, brume_json_string(v, "")); return;
    case BRUME_JSON_ARRAY: brume_json_begin_array(w, key, 1); break;
    case BRUME_JSON_OBJECT: brume_json_begin_object(w, key); break;
    }
    for (int64_t i = 0; i < brume_json_count(v); i++)
        put(w, type == BRUME_JSON_OBJECT ? brume_json_key(brume_json_at(v, i)) : NULL, brume_json_at(v, i));
    brume_json_end(w);
}

void record_put(const struct record *r, brume_json_writer *w) { put(w, "record", r->json); }
