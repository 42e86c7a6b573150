/* SPDX-License-Identifier: MIT
 * Manual pages in the language of man(7). */
#include "manual.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "brume/version.h"
#include "config.h"
#include "help.h"
#include "options.h"

#define WIDTH 76 /* of a line of source, before escapes */

static const struct { const char *name, *what; } environment[] = {
    { "BRUME_CACHE", "Folder of compiled OpenCL programs, tuned choices and features of data sets; off: nothing is kept. "
                     "Default: brume in XDG_CACHE_HOME, else in ~/.cache." },
    { "BRUME_CACHE_MIB", "Most MiB of compiled programs there; what was not used for longest goes. Default: 256." },
    { "BRUME_ISA", "Instruction set of the cpu device: generic, avx2, avx512, neon. Default: the best that the processor has." },
    { "BRUME_OPENCL_KIND", "cpu or gpu: take the kernels made for that kind of OpenCL device, whatever it says of itself." },
    { "BRUME_OPENCL_TYPE",
      "cpu, gpu or other: take OpenCL devices for devices of that type, as if their drivers said so (for tests)." },
};

/* One character as the typesetter prints it: no hyphen for a dash, no request at the beginning of a line. */
static void put(char c, int first)
{
    if (first && (c == '.' || c == '\'')) fputs("\\&", stdout);
    if (c == '\\') fputs("\\e", stdout);
    else if (c == '-') fputs("\\-", stdout);
    else putchar(c);
}

static void put_text(const char *text)
{
    for (const char *c = text; *c; c++) put(*c, c == text);
}

/* Running text: lines end between words. */
static void put_lines(const char *text)
{
    int column = 0;
    for (const char *c = text; *c; c++) {
        const size_t word = strcspn(c + 1, " ");
        /* a sentence ends a line: man knows then how wide the gap is */
        if (*c == ' ' && (column + (int)word >= WIDTH || strchr(".!?", c[-1]))) {
            putchar('\n');
            column = 0;
        } else if (*c != ' ' || column) {
            put(*c, column == 0);
            column++;
        }
    }
    putchar('\n');
}

static void put_upper(const char *text)
{
    for (const char *c = text; *c; c++) put((char)toupper((unsigned char)*c), 0);
}

static void begin(const struct cli_command *c, const char *summary)
{
    printf(".\\\" Made by brume help --man from the tables of the program.\n.TH BRUME");
    if (c) printf("\\-"), put_upper(c->name);
    if (c && c->mode) printf("\\-"), put_upper(c->mode);
    printf(" 1 \"%s\" \"brume %s\" \"User Commands\"\n.nh\n.SH NAME\nbrume", BRUME_DATE, brume_version());
    if (c) printf("\\-"), put_text(c->name);
    if (c && c->mode) printf("\\-"), put_text(c->mode);
    printf(" \\- ");
    put_text(summary);
    printf("\n.SH SYNOPSIS\n.B brume");
}

static void put_status(void)
{
    printf(".SH EXIT STATUS\n0: done; 1: it failed or fell short; 2: wrong usage.\n");
}

/* How far numbers may go; text lasts until the next call. */
static const char *range(const struct cli_option *o)
{
    static char text[96];
    *text = 0;
    if ((o->type != CLI_INT && o->type != CLI_FLOAT && o->type != CLI_FLOATS) || (o->lo == 0 && o->hi == 0)) return text;
    if (o->hi < 1e9) snprintf(text, sizeof text, "From %.15g to %.15g.", o->lo, o->hi);
    else snprintf(text, sizeof text, "At least %.15g.", o->lo);
    return text;
}

static void put_option(const struct cli_option *o)
{
    char text[CLI_OPTION_TEXT];
    printf(".TP\n\\fB\\-\\-");
    put_text(o->name);
    printf("\\fR");
    if (o->value) {
        printf(" \\fI");
        put_text(o->value);
        printf("\\fR");
    }
    putchar('\n');
    cli_option_text(o, text, sizeof text);
    put_lines(text);
    if (*range(o)) printf(".br\n"), put_lines(range(o));
}

static void page(void *ctx, const struct cli_usage *u, const struct cli_option *options)
{
    const struct cli_command *c = ctx;
    begin(c, c->summary);
    printf(" ");
    put_text(u->name);
    printf("\n");
    if (*u->arguments) {
        printf(".I ");
        put_text(u->arguments);
        printf("\n");
    }
    printf(".RI [ options ]\n.SH DESCRIPTION\n");
    put_lines(u->what);
    if (u->names) {
        char text[CLI_OPTION_TEXT];
        cli_argument_text(u, text, sizeof text);
        printf(".PP\n");
        put_lines(text);
    }
    printf(".SH OPTIONS\nOptions may stand anywhere; a value may follow as its own word or behind \"=\".\nWhat stands behind "
           "\"\\-\\-\" is no option.\n");
    for (const struct cli_option *o = options; o->type; o++) {
        if (o->type == CLI_GROUP) printf(".SS "), put_text(o->help), putchar('\n');
        else put_option(o);
    }
    if (u->examples) printf(".SH EXAMPLES\n.nf\n");
    for (const char *const *e = u->examples; e && *e; e++) put_text(*e), putchar('\n');
    if (u->examples) printf(".fi\n");
    put_status();
    printf(".SH SEE ALSO\n.BR brume (1)\n");
}

static void overview(void)
{
    begin(NULL, "diffusion models on any OpenCL device");
    printf("\n.IR COMMAND \" [\" arguments \"] [\" options ]\n.SH DESCRIPTION\n");
    put_lines(MANUAL_SUMMARY);
    put_lines("Models are folders as diffusers reads and writes them. Each command has a page of its own, and explains itself by "
              "--help.");
    printf(".SH COMMANDS\n");
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        printf(".TP\n.BR brume\\-%s", c->name);
        if (c->mode) printf("\\-%s", c->mode);
        printf(" (1)\n");
        put_lines(c->summary);
    }
    printf(".SH OPTIONS\n.TP\n.B \\-\\-help\nThe list of commands.\n.TP\n.B \\-\\-version\nThe version, and what this build can "
           "do.\n.SH ENVIRONMENT\n");
    for (size_t i = 0; i < sizeof environment / sizeof *environment; i++) {
        printf(".TP\n.B %s\n", environment[i].name);
        put_lines(environment[i].what);
    }
    put_status();
}

int manual_print(const struct cli_command *c)
{
    if (c) return cli_present(c->run, page, (void *)c);
    overview();
    return CLI_DONE;
}
