/* SPDX-License-Identifier: MIT
 * Completion in fish. */
#include "completion.h"

#include <stdio.h>

/* Between single quotes. */
static void put_quoted(const char *text)
{
    putchar('\'');
    for (const char *c = text; *c; c++) {
        if (*c == '\'' || *c == '\\') putchar('\\');
        putchar(*c);
    }
    putchar('\'');
}

static void begin(void)
{
    printf("# Completion of brume in fish. Made by brume help --completion fish from the tables of the program.\n"
           "function __brume_command\n"
           "    set -l words (commandline -opc)\n"
           "    switch \"$words[2] $words[3]\"\n");
    for (const struct cli_command *c = cli_commands; c->name; c++)
        if (c->mode) printf("        case '%s %s'\n            echo '%s %s'\n", c->name, c->mode, c->name, c->mode);
    printf("        case '*'\n"
           "            echo \"$words[2]\"\n"
           "    end\n"
           "end\n"
           "function __brume_in\n"
           "    test (__brume_command) = \"$argv\"\n"
           "end\n"
           "complete -c brume -f\n"
           "complete -c brume -n '__brume_in \"\"' -l help -d 'the list of commands'\n"
           "complete -c brume -n '__brume_in \"\"' -l version -d 'the version, and what this build can do'\n"
           "complete -c brume -n '__brume_in \"\"' -a help -d 'explain a command'\n"
           "complete -c brume -n '__brume_in help' -l man -d 'as a manual page'\n"
           "complete -c brume -n '__brume_in help' -l completion -x -a 'bash fish zsh' -d 'what a shell completes by'\n");
}

static void put_condition(const struct cli_command *c)
{
    printf("complete -c brume -n '__brume_in %s%s%s'", c->name, c->mode ? " " : "", c->mode ? c->mode : "");
}

static void put_names(const char *const *names)
{
    printf(" -a '");
    for (const char *const *c = names; *c; c++) printf("%s%s", c == names ? "" : " ", *c);
    printf("'");
}

static void put_option(const struct cli_command *c, const struct cli_option *o)
{
    put_condition(c);
    printf(" -l %s", o->name);
    const enum completion_kind kind = o->type == CLI_FLAG ? COMPLETION_NONE : completion_of_option(o);
    if (o->type != CLI_FLAG)
        printf(kind == COMPLETION_FILES || (o->choices && completion_takes_files(o->value)) ? " -r -F" : " -x");
    if (kind == COMPLETION_NAMES) put_names(o->choices);
    if (kind == COMPLETION_LIST) {
        printf(" -a '(__fish_append ,");
        for (const char *const *n = o->choices; *n; n++) printf(" %s", *n);
        printf(")'");
    }
    printf(" -d ");
    put_quoted(o->help);
    putchar('\n');
    if (o->type == CLI_FLAG && *(int *)o->to) {
        put_condition(c);
        printf(" -l no-%s\n", o->name);
    }
}

static void command(const struct cli_command *c, const struct cli_usage *u, const struct cli_option *options)
{
    if (c->mode)
        printf("complete -c brume -n '__brume_in %s; and test (count (commandline -opc)) = 2' -a %s -d ", c->name, c->mode);
    else printf("complete -c brume -n '__brume_in \"\"; or __brume_in help' -a %s -d ", c->name);
    put_quoted(c->summary);
    putchar('\n');
    if (completion_takes_files(u->arguments)) put_condition(c), printf(" -F\n");
    if (u->names) put_condition(c), put_names(u->names), putchar('\n');
    for (const struct cli_option *o = options; o->type; o++)
        if (o->type != CLI_GROUP) put_option(c, o);
    put_condition(c);
    printf(" -l help -d 'explain it'\n");
}

static void end(void)
{
}

const struct completion_shell completion_fish = { "fish", begin, command, end };
