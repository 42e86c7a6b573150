/* SPDX-License-Identifier: MIT
 * Completion in zsh. */
#include "completion.h"

#include <stdio.h>
#include <string.h>

/* Text within a specification of _arguments or _describe, between single quotes: brackets and colons mean something there. */
static void put_escaped(const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\'') fputs("'\\'", stdout);
        else if (strchr("[]:\\", *c)) putchar('\\');
        putchar(*c);
    }
}

static void begin(void)
{
    printf("#compdef brume\n"
           "# Completion of brume in zsh. Made by brume help --completion zsh from the tables of the program.\n");
}

static void put_words(const char *const *names)
{
    for (const char *const *n = names; *n; n++) printf("%s%s", n == names ? "" : " ", *n);
}

/* What follows an option: ":PLACEHOLDER:ACTION". */
static void put_action(const struct cli_option *o)
{
    const enum completion_kind kind = completion_of_option(o);
    putchar(':');
    put_escaped(o->value);
    putchar(':');
    if (kind == COMPLETION_FILES) printf("_files");
    if (kind == COMPLETION_LIST) printf("_sequence compadd - "), put_words(o->choices);
    if (kind == COMPLETION_NAMES && completion_takes_files(o->value))
        printf("_alternative \"files:file:_files\" \"names:name:("), put_words(o->choices), printf(")\"");
    else if (kind == COMPLETION_NAMES) putchar('('), put_words(o->choices), putchar(')');
    if (kind == COMPLETION_NONE) putchar(' ');
}

static void put_option(const struct cli_option *o)
{
    if (o->type == CLI_FLAG) {
        printf(" \\\n        '(--no-%s)--%s[", o->name, o->name);
        put_escaped(o->help);
        printf("]'");
        if (*(int *)o->to) printf(" \\\n        '(--%s)--no-%s'", o->name, o->name);
        return;
    }
    printf(" \\\n        '%s--%s=[", o->type == CLI_LIST ? "*" : "", o->name);
    put_escaped(o->help);
    printf("]");
    put_action(o);
    printf("'");
}

static void command(const struct cli_command *c, const struct cli_usage *u, const struct cli_option *options)
{
    printf("_brume_%s%s%s()\n{\n    _arguments -S", c->name, c->mode ? "_" : "", c->mode ? c->mode : "");
    for (const struct cli_option *o = options; o->type; o++)
        if (o->type != CLI_GROUP) put_option(o);
    printf(" \\\n        '--help[explain it]'");
    if (*u->arguments) {
        printf(" \\\n        '*:");
        put_escaped(u->arguments);
        printf(":_alternative");
        if (completion_takes_files(u->arguments)) printf(" \"files:file:_files\"");
        if (u->names) printf(" \"names:name:("), put_words(u->names), printf(")\"");
        printf("'");
    }
    printf("\n}\n");
}

static void put_commands(void)
{
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        if (c->mode) continue;
        printf(" \\\n        '%s:", c->name);
        put_escaped(c->summary);
        printf("'");
    }
}

static void end(void)
{
    printf("_brume()\n{\n    local -a commands\n    commands=(");
    put_commands();
    printf(")\n"
           "    if ((CURRENT == 2)); then\n"
           "        commands+=('help:explain a command')\n"
           "        _describe command commands\n"
           "        _arguments '--help[the list of commands]' '--version[the version, and what this build can do]'\n"
           "        return\n"
           "    fi\n"
           "    local name=$words[2]\n"
           "    shift words; ((CURRENT--))\n"
           "    if [[ $name == help ]]; then\n"
           "        ((CURRENT == 2)) && _describe command commands\n"
           "        _arguments '--man[as a manual page]' '--completion[what a shell completes by]:shell:(bash fish zsh)'\n"
           "        return\n"
           "    fi\n");
    for (const struct cli_command *c = cli_commands; c->name; c++)
        if (c->mode)
            printf("    if [[ $name == %s ]] && ((CURRENT == 2)); then compadd %s; fi\n"
                   "    if [[ $name == %s && $words[2] == %s ]] && ((CURRENT > 2)); then name=%s_%s; shift words; ((CURRENT--)); "
                   "fi\n",
                   c->name, c->mode, c->name, c->mode, c->name, c->mode);
    printf("    (($+functions[_brume_$name])) && _brume_$name\n}\n_brume \"$@\"\n");
}

const struct completion_shell completion_zsh = { "zsh", begin, command, end };
