/* SPDX-License-Identifier: MIT
 * Command lines from tables: parsing with ranges, help text, and the nearest right name for a wrong one. */
#ifndef BRUME_CLI_OPTIONS_H
#define BRUME_CLI_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

/* Exit status of the program. */
enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_GO_ON = -1 };

enum cli_type { CLI_END = 0, CLI_GROUP, CLI_FLAG, CLI_INT, CLI_FLOAT, CLI_STRING, CLI_CHOICE, CLI_LIST, CLI_FLOATS };

/* Values of an option that may be given more than once. */
struct cli_list { const char *items[16]; int n; };

/* Numbers with commas between them. */
struct cli_floats { double x[8]; int n; };

/* One option. The value that *to holds before parsing is the default, and the help shows it. */
struct cli_option {
    const char *name;            /* without dashes */
    enum cli_type type;
    void *to;                    /* int, int64_t, double, const char *, int (index of the choice), struct cli_list, struct
                                    cli_floats */
    const char *value;           /* placeholder in the help: "N", "FILE" */
    const char *help;
    double lo, hi;               /* numbers: range, inclusive; both 0 means any */
    const char *const *choices;  /* ended by NULL. Of a string: names that the help lists and shells complete, but the command
                                    itself looks up: it may know others */
    int given;                   /* set by parsing */
};

/* A heading of the help, above the options that follow it. */
#define OPT_GROUP(title_) { .name = "", .type = CLI_GROUP, .help = title_ }

/* Rows of a table, ended by { 0 }. A flag also takes --no-NAME. */
#define OPT_FLAG(name_, to_, help_) { .name = name_, .type = CLI_FLAG, .to = 1 ? (to_) : (int *)0, .help = help_ }
#define OPT_INT(name_, to_, lo_, hi_, value_, help_) \
    { .name = name_, .type = CLI_INT, .to = 1 ? (to_) : (int64_t *)0, .value = value_, .help = help_, .lo = lo_, .hi = hi_ }
#define OPT_FLOAT(name_, to_, lo_, hi_, value_, help_) \
    { .name = name_, .type = CLI_FLOAT, .to = 1 ? (to_) : (double *)0, .value = value_, .help = help_, .lo = lo_, .hi = hi_ }
#define OPT_STRING(name_, to_, value_, help_) \
    { .name = name_, .type = CLI_STRING, .to = 1 ? (to_) : (const char **)0, .value = value_, .help = help_ }
#define OPT_LIST(name_, to_, value_, help_) \
    { .name = name_, .type = CLI_LIST, .to = 1 ? (to_) : (struct cli_list *)0, .value = value_, .help = help_ }
#define OPT_FLOATS(name_, to_, lo_, hi_, value_, help_) \
    { .name = name_, .type = CLI_FLOATS, .to = 1 ? (to_) : (struct cli_floats *)0, .value = value_, .help = help_, \
      .lo = lo_, .hi = hi_ }
/* A string, or several with commas between them, of known names (src/cli/names.h). */
#define OPT_NAME(name_, to_, names_, value_, help_) \
    { .name = name_, .type = CLI_STRING, .to = 1 ? (to_) : (const char **)0, .value = value_, .help = help_, .choices = names_ }
#define OPT_CHOICE(name_, to_, choices_, help_) \
    { .name = name_, .type = CLI_CHOICE, .to = 1 ? (to_) : (int *)0, .value = "NAME", .help = help_, .choices = choices_ }

/* What the help says besides the options. */
struct cli_usage {
    const char *name;            /* sub-command */
    const char *arguments;       /* "MODEL", "[FILE ...]", or "" */
    const char *what;            /* a sentence or more */
    const char *const *examples; /* command lines, each optionally with "  # why"; ended by NULL; may be NULL */
    int min_args, max_args;      /* of those that are no options */
    const char *const *names;    /* of the first argument: known names, as in cli_option.choices; NULL: files and folders alone */
};

/*
 * Parses argv[1 .. argc - 1]; argv[0] is the sub-command. What is no option goes to args (max_args entries) and n_args.
 * Options may stand anywhere: --name VALUE, --name=VALUE; after "--" everything is an argument. Returns CLI_GO_ON, or the exit
 * status: CLI_DONE after --help, CLI_USAGE after a message.
 */
int cli_parse(const struct cli_usage *u, struct cli_option *options, int argc, char **argv, const char **args, int *n_args);

/* The same for commands that take one model, or --preset NAME in its place: one of both. *model: the argument, or NULL; *preset
 * as its option sets it. */
int cli_parse_model(const struct cli_usage *u, struct cli_option *options, int argc, char **argv, const char *const *preset,
                    const char **model);

/* "1500000", "800M", "1.5G" (powers of 1024) into bytes. Returns 0 if it is none of these. */
int cli_bytes(const char *text, uint64_t *bytes);

/* The option of that name, which need not end with 0; or NULL. */
struct cli_option *cli_find(struct cli_option *options, const char *name, size_t length);
/* The message about text, which is none of the names that an option knows. Returns CLI_USAGE. */
int cli_no_choice(const struct cli_usage *u, const char *option, const char *text, const char *const *names);
/* Sets what is no flag from a text. Returns CLI_GO_ON, or CLI_USAGE after a message. */
int cli_set(const struct cli_usage *u, struct cli_option *o, const char *text);
/* The message about a name that is no option, with the nearest that is; where: the place in a file, or "". Returns CLI_USAGE. */
int cli_unknown(const struct cli_usage *u, const struct cli_option *options, const char *name, size_t length, const char *where);

/* What is done with the tables of a command that is asked to explain itself (--help). */
typedef void cli_presenter(void *ctx, const struct cli_usage *u, const struct cli_option *options);
/* Has a command explain itself by its --help, shown by p. Returns the exit status. */
int cli_present(int (*command)(int argc, char **argv), cli_presenter *p, void *ctx);
/* The same as text for a terminal. */
int cli_explain(int (*command)(int argc, char **argv));

/* 1 if the option was on the command line. */
int cli_given(const struct cli_option *options, const char *name);

/* The one of n names that is nearest to a mistyped one, or NULL if none is near. */
const char *cli_nearest(const char *wrong, const char *const *names, int n);

/* "brume NAME: text" to stderr; returns CLI_USAGE. */
int cli_wrong(const struct cli_usage *u, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* Prints "brume NAME: out of memory" to stderr; returns CLI_FAILED. */
int cli_no_memory(const struct cli_usage *u);
/* Prints brume_error() to stderr; returns CLI_FAILED. */
int cli_failed(void);

#endif
