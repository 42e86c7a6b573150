/* SPDX-License-Identifier: MIT
 * Tables of options as text for a terminal. */
#include "help.h"

#include <stdio.h>
#include <string.h>

#define WIDTH 100   /* columns of the help */
#define COLUMN 28   /* where explanations begin */

/* Prints text in lines of WIDTH columns, indented from the second on; column is where the cursor stands. */
static void wrap(const char *text, int column, int indent)
{
    while (*text) {
        const size_t word = strcspn(text, " ");
        if (column > indent && column + (int)word > WIDTH) {
            printf("\n%*s", indent, "");
            column = indent;
        }
        printf("%.*s", (int)word, text);
        column += (int)word;
        text += word;
        if (*text == ' ') {
            if (column < WIDTH) putchar(' ');
            column++;
            text++;
        }
    }
    putchar('\n');
}

static void default_text(const struct cli_option *o, char *text, size_t n)
{
    text[0] = 0;
    if (o->type == CLI_INT) snprintf(text, n, " (default %lld)", (long long)*(int64_t *)o->to);
    else if (o->type == CLI_FLOAT) snprintf(text, n, " (default %g)", *(double *)o->to);
    else if (o->type == CLI_FLOATS && ((struct cli_floats *)o->to)->n)
        snprintf(text, n, " (default %g)", ((struct cli_floats *)o->to)->x[0]);
    else if (o->type == CLI_STRING && *(const char **)o->to) snprintf(text, n, " (default %s)", *(const char **)o->to);
    else if (o->type == CLI_CHOICE && *(int *)o->to >= 0) snprintf(text, n, " (default %s)", o->choices[*(int *)o->to]);
    else if (o->type == CLI_FLAG && *(int *)o->to) snprintf(text, n, " (default; --no-%s turns it off)", o->name);
}

/* "what: a, b, c", or without names "what". Returns its length. */
static size_t list(const char *what, const char *const *names, char *text, size_t n)
{
    size_t used = (size_t)snprintf(text, n, "%s%s", what, names ? ":" : "");
    for (const char *const *c = names; c && *c && used < n; c++)
        used += (size_t)snprintf(text + used, n - used, "%s %s", c == names ? "" : ",", *c);
    return used;
}

void cli_argument_text(const struct cli_usage *u, char *text, size_t n)
{
    char what[80];
    snprintf(what, sizeof what, "%s may be one of", u->arguments);
    list(what, u->names, text, n);
}

void cli_option_text(const struct cli_option *o, char *text, size_t n)
{
    char fallback[160];
    default_text(o, fallback, sizeof fallback);
    const size_t used = list(o->help, o->choices, text, n);
    if (used < n) snprintf(text + used, n - used, "%s", fallback);
}

void cli_help(void *ctx, const struct cli_usage *u, const struct cli_option *options)
{
    (void)ctx;
    printf("Usage: brume %s%s%s [options]\n\n", u->name, *u->arguments ? " " : "", u->arguments);
    wrap(u->what, 0, 0);
    if (u->names) {
        char text[CLI_OPTION_TEXT];
        cli_argument_text(u, text, sizeof text);
        printf("\n");
        wrap(text, 0, 0);
    }
    if (options->type != CLI_GROUP) printf("\nOptions:\n");
    for (const struct cli_option *o = options; o->type; o++) {
        char text[CLI_OPTION_TEXT];
        if (o->type == CLI_GROUP) {
            printf("\n%s:\n", o->help);
            continue;
        }
        int n = printf("  --%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        if (n >= COLUMN) printf("\n"), n = 0;
        printf("%*s", COLUMN - n, "");
        cli_option_text(o, text, sizeof text);
        wrap(text, COLUMN, COLUMN);
    }
    printf("  --help%*sthis text\n", COLUMN - 8, "");
    if (u->examples) printf("\nExamples:\n");
    for (const char *const *e = u->examples; e && *e; e++) printf("  %s\n", *e);
}
