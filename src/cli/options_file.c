/* SPDX-License-Identifier: MIT
 * The options of a command line in a JSON file. */
#include "options_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int wrong_type(const struct cli_usage *u, const struct cli_option *o, const brume_json *v)
{
    static const char *const expected[] = { [CLI_FLAG] = "true or false", [CLI_INT] = "an integer", [CLI_FLOAT] = "a number",
                                            [CLI_STRING] = "a string", [CLI_CHOICE] = "a string",
                                            [CLI_LIST] = "a list of strings", [CLI_FLOATS] = "a number or a list of numbers" };
    return cli_wrong(u, "%s: expected %s", brume_json_where(v), expected[o->type]);
}

static int read_floats(const struct cli_usage *u, struct cli_option *o, const brume_json *v)
{
    const int64_t n = brume_json_typeof(v) == BRUME_JSON_ARRAY ? brume_json_count(v) : 1;
    char all[512] = "";
    for (int64_t i = 0; i < n; i++) {
        const brume_json *x = brume_json_typeof(v) == BRUME_JSON_ARRAY ? brume_json_at(v, i) : v;
        const size_t used = strlen(all);
        if (brume_json_typeof(x) != BRUME_JSON_INT && brume_json_typeof(x) != BRUME_JSON_REAL) return wrong_type(u, o, v);
        snprintf(all + used, sizeof all - used, "%s%.17g", i ? "," : "", brume_json_number(x, 0));
    }
    return cli_set(u, o, all);
}

int cli_option_read(const struct cli_usage *u, struct cli_option *o, const brume_json *v)
{
    const brume_json_type type = brume_json_typeof(v);
    const char *text = brume_json_string(v, NULL);
    char number[64];
    switch (o->type) {
    case CLI_FLAG:
        if (type != BRUME_JSON_TRUE && type != BRUME_JSON_FALSE) return wrong_type(u, o, v);
        *(int *)o->to = type == BRUME_JSON_TRUE;
        return CLI_GO_ON;
    case CLI_INT:
        if (type != BRUME_JSON_INT) return wrong_type(u, o, v);
        snprintf(number, sizeof number, "%lld", (long long)brume_json_integer(v, 0));
        return cli_set(u, o, number);
    case CLI_FLOAT:
        if (type != BRUME_JSON_INT && type != BRUME_JSON_REAL) return wrong_type(u, o, v);
        snprintf(number, sizeof number, "%.17g", brume_json_number(v, 0));
        return cli_set(u, o, number);
    case CLI_FLOATS: return read_floats(u, o, v);
    case CLI_LIST:
        if (type != BRUME_JSON_ARRAY) return wrong_type(u, o, v);
        for (int64_t i = 0; i < brume_json_count(v); i++) {
            const char *item = brume_json_string(brume_json_at(v, i), NULL);
            const int status = item ? cli_set(u, o, item) : wrong_type(u, o, v);
            if (status != CLI_GO_ON) return status;
        }
        return CLI_GO_ON;
    default:
        return text ? cli_set(u, o, text) : wrong_type(u, o, v);
    }
}

int cli_options_read(const struct cli_usage *u, struct cli_option *options, const brume_json *object)
{
    if (brume_json_typeof(object) != BRUME_JSON_OBJECT)
        return cli_wrong(u, "%s: expected an object with an option in each member", brume_json_where(object));
    for (int64_t i = 0; i < brume_json_count(object); i++) {
        const brume_json *v = brume_json_at(object, i);
        const char *name = brume_json_key(v);
        if (name[0] == '_') continue;
        struct cli_option *o = cli_find(options, name, strlen(name));
        if (!o) return cli_unknown(u, options, name, strlen(name), brume_json_where(v));
        if (o->given) continue;
        const int status = cli_option_read(u, o, v);
        if (status != CLI_GO_ON) return status;
        o->given = 1;
    }
    return CLI_GO_ON;
}

static void put_list(brume_json_writer *w, const struct cli_option *o)
{
    const struct cli_list *l = o->to;
    brume_json_begin_array(w, o->name, 1);
    for (int i = 0; i < l->n; i++) brume_json_put_string(w, NULL, l->items[i]);
    brume_json_end(w);
}

static void put_floats(brume_json_writer *w, const struct cli_option *o)
{
    const struct cli_floats *l = o->to;
    if (l->n != 1) brume_json_begin_array(w, o->name, 1);
    for (int i = 0; i < l->n; i++) brume_json_put_double(w, l->n == 1 ? o->name : NULL, l->x[i]);
    if (l->n != 1) brume_json_end(w);
}

void cli_option_write(brume_json_writer *w, const struct cli_option *o)
{
    if (o->type == CLI_FLAG) brume_json_put_bool(w, o->name, *(int *)o->to);
    else if (o->type == CLI_INT) brume_json_put_int(w, o->name, *(int64_t *)o->to);
    else if (o->type == CLI_FLOAT) brume_json_put_double(w, o->name, *(double *)o->to);
    else if (o->type == CLI_CHOICE) brume_json_put_string(w, o->name, o->choices[*(int *)o->to]);
    else if (o->type == CLI_LIST) put_list(w, o);
    else if (o->type == CLI_FLOATS) put_floats(w, o);
    else brume_json_put_string(w, o->name, *(const char **)o->to);
}

/* Words such as the names of built-in data have no '/', and stay what they are even if a file of that name is about. */
static void put_text(brume_json_writer *w, const char *key, const char *text)
{
    char *whole = strchr(text, '/') ? realpath(text, NULL) : NULL;
    brume_json_put_string(w, key, whole ? whole : text);
    free(whole);
}

void cli_options_write(brume_json_writer *w, const struct cli_option *options, const char *const *not_saved)
{
    for (const struct cli_option *o = options; o->type; o++) {
        const char *const *skip = not_saved;
        while (*skip && strcmp(*skip, o->name)) skip++;
        if (o->type == CLI_GROUP || !o->given || *skip) continue;
        if (o->type == CLI_STRING) put_text(w, o->name, *(const char **)o->to);
        else cli_option_write(w, o);
    }
}
