/* SPDX-License-Identifier: MIT
 * Command lines from tables. */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/status.h"
#include "help.h"

#define LONGEST 40  /* longer names are not compared */

/* Edit distance with transpositions of neighbours (optimal string alignment). */
static int edits(const char *a, const char *b)
{
    const int na = (int)strlen(a), nb = (int)strlen(b);
    int d[3][LONGEST + 1], *before = d[0], *above = d[1], *row = d[2];
    if (na > LONGEST || nb > LONGEST) return LONGEST;
    for (int j = 0; j <= nb; j++) above[j] = j;
    for (int i = 1; i <= na; i++) {
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            int best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best) best = above[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        int *free_row = before;
        before = above;
        above = row;
        row = free_row;
    }
    return above[nb];
}

const char *cli_nearest(const char *wrong, const char *const *names, int n)
{
    const char *best = NULL;
    const int length = (int)strlen(wrong);
    int least = length / 3 + 2; /* two slips in a short word, more in a long one */
    for (int i = 0; i < n; i++) {
        int e = edits(wrong, names[i]);
        if (length >= 3 && !strncmp(wrong, names[i], (size_t)length)) e = 1; /* the beginning of a longer name */
        if (e < least) {
            least = e;
            best = names[i];
        }
    }
    return best;
}

int cli_wrong(const struct cli_usage *u, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "brume %s: ", u->name);
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\nTry: brume %s --help\n", u->name);
    va_end(ap);
    return CLI_USAGE;
}

int cli_no_memory(const struct cli_usage *u)
{
    fprintf(stderr, "brume %s: out of memory\n", u->name);
    return CLI_FAILED;
}

int cli_failed(void)
{
    fflush(stdout);
    /* the program's own allocations leave no text */
    fprintf(stderr, "brume: %s\n", *brume_error() ? brume_error() : "out of memory");
    return CLI_FAILED;
}

int cli_bytes(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    char *end;
    errno = 0;
    double x = strtod(text, &end);
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (end == text || errno || !(x > 0) || (*end && (!unit || end[1]))) return 0;
    for (; unit && unit >= units; unit--) x *= 1024;
    if (!(x < 1e18)) return 0;
    *bytes = (uint64_t)x;
    return 1;
}

int cli_given(const struct cli_option *options, const char *name)
{
    for (; options->type; options++)
        if (!strcmp(options->name, name)) return options->given;
    return 0;
}

struct cli_option *cli_find(struct cli_option *o, const char *name, size_t length)
{
    for (; o->type; o++)
        if (o->type != CLI_GROUP && strlen(o->name) == length && !strncmp(o->name, name, length)) return o;
    return NULL;
}

int cli_unknown(const struct cli_usage *u, const struct cli_option *options, const char *name, size_t length, const char *where)
{
    const char *names[128] = { "help" };
    char wrong[LONGEST + 1];
    int n = 1;
    for (const struct cli_option *o = options; o->type && n < 128; o++)
        if (o->type != CLI_GROUP) names[n++] = o->name;
    snprintf(wrong, sizeof wrong, "%.*s", (int)(length < LONGEST ? length : LONGEST), name);
    const char *near = cli_nearest(wrong, names, n);
    const char *colon = where[0] ? ": " : "";
    if (near) return cli_wrong(u, "%s%sthere is no option --%.*s; did you mean --%s?", where, colon, (int)length, name, near);
    return cli_wrong(u, "%s%sthere is no option --%.*s", where, colon, (int)length, name);
}

static int out_of_range(const struct cli_usage *u, const struct cli_option *o, const char *text, const char *kind)
{
    if (o->lo == 0 && o->hi == 0) return cli_wrong(u, "--%s %s: expected %s", o->name, text, kind);
    if (!(o->hi < 9e18)) return cli_wrong(u, "--%s %s: expected %s of at least %.15g", o->name, text, kind, o->lo);
    return cli_wrong(u, "--%s %s: expected %s from %.15g to %.15g", o->name, text, kind, o->lo, o->hi);
}

int cli_no_choice(const struct cli_usage *u, const char *option, const char *text, const char *const *names)
{
    char list[1024] = "";
    int n = 0;
    for (int used = 0; names[n]; n++)
        if (used < (int)sizeof list) used += snprintf(list + used, sizeof list - (size_t)used, "%s%s", n ? ", " : "", names[n]);
    const char *near = cli_nearest(text, names, n);
    if (near) return cli_wrong(u, "--%s %s: there is no such choice; did you mean %s?", option, text, near);
    return cli_wrong(u, "--%s %s: expected one of %s", option, text, list);
}

int cli_set(const struct cli_usage *u, struct cli_option *o, const char *text)
{
    const int any = o->lo == 0 && o->hi == 0;
    char *end;
    errno = 0;
    if (o->type == CLI_INT) {
        const long long x = strtoll(text, &end, 10);
        if (end == text || *end || isspace((unsigned char)*text) || errno ||
            (!any && !((double)x >= o->lo && (double)x <= o->hi)))
            return out_of_range(u, o, text, "an integer");
        *(int64_t *)o->to = x;
    } else if (o->type == CLI_FLOAT) {
        const double x = strtod(text, &end);
        if (end == text || *end || isspace((unsigned char)*text) || !isfinite(x) || (!any && !(x >= o->lo && x <= o->hi)))
            return out_of_range(u, o, text, "a number");
        *(double *)o->to = x;
    } else if (o->type == CLI_FLOATS) {
        struct cli_floats l = { .n = 0 };
        const int room = (int)(sizeof l.x / sizeof *l.x);
        for (const char *at = text;; at = end + 1) {
            if (l.n == room) return cli_wrong(u, "--%s: at most %d of them", o->name, room);
            const double x = l.x[l.n++] = strtod(at, &end);
            if (end == at || (*end && *end != ',') || isspace((unsigned char)*at) || !isfinite(x) ||
                (!any && !(x >= o->lo && x <= o->hi)))
                return out_of_range(u, o, text, "numbers with commas between them");
            if (!*end) break;
        }
        *(struct cli_floats *)o->to = l;
    } else if (o->type == CLI_STRING) {
        *(const char **)o->to = text;
    } else if (o->type == CLI_LIST) {
        struct cli_list *l = o->to;
        const int room = (int)(sizeof l->items / sizeof *l->items);
        if (l->n == room) return cli_wrong(u, "--%s: at most %d of them", o->name, room);
        l->items[l->n++] = text;
    } else {
        int n = 0;
        while (o->choices[n] && strcmp(o->choices[n], text)) n++;
        if (!o->choices[n]) return cli_no_choice(u, o->name, text, o->choices);
        *(int *)o->to = n;
    }
    return CLI_GO_ON;
}

/* Takes the option at argv[*i] with its value; moves *i to the last word used. */
static int take(const struct cli_usage *u, struct cli_option *options, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2, *equals = strchr(name, '=');
    const size_t length = equals ? (size_t)(equals - name) : strlen(name);
    struct cli_option *o = cli_find(options, name, length);
    int on = 1;
    if (!o && length > 3 && !strncmp(name, "no-", 3) && (o = cli_find(options, name + 3, length - 3))) {
        if (o->type != CLI_FLAG) o = NULL;
        on = 0;
    }
    if (!o) return cli_unknown(u, options, name, length, "");
    o->given = 1;
    if (o->type == CLI_FLAG) {
        if (equals) return cli_wrong(u, "--%s takes no value", o->name);
        *(int *)o->to = on;
        return CLI_GO_ON;
    }
    if (equals) return cli_set(u, o, equals + 1);
    if (*i + 1 >= argc || !strncmp(argv[*i + 1], "--", 2))
        return cli_wrong(u, "--%s needs a value: --%s %s", o->name, o->name, o->value);
    return cli_set(u, o, argv[++*i]);
}

static struct { cli_presenter *present; void *ctx; } show = { cli_help, NULL };

int cli_present(int (*command)(int argc, char **argv), cli_presenter *p, void *ctx)
{
    char name[] = "", ask[] = "--help", *args[] = { name, ask, NULL };
    show.present = p;
    show.ctx = ctx;
    const int status = command(2, args);
    show.present = cli_help;
    return status;
}

int cli_explain(int (*command)(int argc, char **argv)) { return cli_present(command, cli_help, NULL); }

int cli_parse(const struct cli_usage *u, struct cli_option *options, int argc, char **argv, const char **args, int *n_args)
{
    int n = 0, only_args = 0;
    /* Help first: it must show the defaults, and is wanted most where something else is wrong. */
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            show.present(show.ctx, u, options);
            return CLI_DONE;
        }
    for (int i = 1; i < argc; i++) {
        if (!only_args && !strcmp(argv[i], "--")) {
            only_args = 1;
        } else if (!only_args && !strncmp(argv[i], "--", 2)) {
            const int status = take(u, options, argc, argv, &i);
            if (status != CLI_GO_ON) return status;
        } else if (!only_args && argv[i][0] == '-' && argv[i][1]) {
            return cli_wrong(u, "options begin with two dashes: '%s'", argv[i]);
        } else if (n == u->max_args) {
            return cli_wrong(u, "one argument too many: '%s'", argv[i]);
        } else {
            args[n++] = argv[i];
        }
    }
    if (n < u->min_args) return cli_wrong(u, "an argument is missing: brume %s %s", u->name, u->arguments);
    if (n_args) *n_args = n;
    return CLI_GO_ON;
}

int cli_parse_model(const struct cli_usage *u, struct cli_option *options, int argc, char **argv, const char *const *preset,
                    const char **model)
{
    int n = 0;
    *model = NULL;
    const int status = cli_parse(u, options, argc, argv, model, &n);
    if (status == CLI_GO_ON && (n == 1) == (*preset != NULL)) return cli_wrong(u, "give either a model or --preset");
    return status;
}
