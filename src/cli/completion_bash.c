/* SPDX-License-Identifier: MIT
 * Completion in bash, from version 3.2 on, without the package bash-completion. */
#include "completion.h"

#include <stdio.h>
#include <string.h>

static void begin(void)
{
    printf("# Completion of brume in bash. Made by brume help --completion bash from the tables of the program.\n"
           "_brume()\n"
           "{\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} words= files= "
           "list= IFS=$' \\t\\n'\n"
           "    COMPREPLY=()\n"
           "    # --name=value comes as three words; as two while nothing of the value is there\n"
           "    if [[ $cur == \"=\" ]]; then cur=\n"
           "    elif [[ $before == \"=\" ]]; then before=${COMP_WORDS[COMP_CWORD-2]}\n"
           "    fi\n"
           "    if ((COMP_CWORD == 1)); then\n"
           "        COMPREPLY=($(compgen -W '");
    for (const struct cli_command *c = cli_commands; c->name; c++)
        if (!c->mode) printf("%s ", c->name);
    printf("help --help --version' -- \"$cur\"))\n"
           "        return\n"
           "    fi\n"
           "    case $command in\n"
           "    help) words='");
    for (const struct cli_command *c = cli_commands; c->name; c++)
        if (!c->mode) printf("%s ", c->name);
    printf("--man --completion' ;;\n");
    for (const struct cli_command *c = cli_commands; c->name; c++)
        if (c->mode)
            printf(
                "    %s) if ((COMP_CWORD == 2)); then words=%s; elif [[ ${COMP_WORDS[2]} == %s ]]; then command='%s %s'; fi ;;\n",
                c->name, c->mode, c->mode, c->name, c->mode);
    printf("    esac\n"
           "    case $command in\n");
}

/* A branch for the options of one kind, or for each option that has names: the words that may follow it. */
static void put_branches(const struct cli_option *options, enum completion_kind kind, const char *what)
{
    int n = 0;
    for (const struct cli_option *o = options; o->type; o++)
        if (o->type != CLI_GROUP && o->type != CLI_FLAG && completion_of_option(o) == kind)
            printf("%s--%s", n++ ? "|" : "        ", o->name);
    if (n) printf(") %s ;;\n", what);
}

static void put_names(const struct cli_option *o)
{
    printf("        --%s) words='", o->name);
    for (const char *const *c = o->choices; *c; c++) printf("%s%s", c == o->choices ? "" : " ", *c);
    printf("'%s%s ;;\n", completion_of_option(o) == COMPLETION_LIST ? " list=1" : "",
           completion_takes_files(o->value) ? " files=1" : "");
}

static void command(const struct cli_command *c, const struct cli_usage *u, const struct cli_option *options)
{
    printf("    '%s%s%s')\n        case $before in\n", c->name, c->mode ? " " : "", c->mode ? c->mode : "");
    put_branches(options, COMPLETION_FILES, "files=1");
    put_branches(options, COMPLETION_NONE, "return");
    for (const struct cli_option *o = options; o->type; o++)
        if (o->type != CLI_GROUP && o->type != CLI_FLAG && o->choices) put_names(o);
    printf("        *)\n            if [[ $cur == -* ]]; then words='");
    for (const struct cli_option *o = options; o->type; o++) {
        if (o->type == CLI_GROUP) continue;
        printf("--%s ", o->name);
        if (o->type == CLI_FLAG && *(int *)o->to) printf("--no-%s ", o->name);
    }
    printf("--help'\n");
    if (*u->arguments) {
        printf("            else words=\"$words");
        for (const char *const *n = u->names; n && *n; n++) printf(" %s", *n);
        printf("\"%s\n", completion_takes_files(u->arguments) ? " files=1" : "");
    }
    printf("            fi ;;\n        esac ;;\n");
}

static void end(void)
{
    printf(
        "    esac\n"
        "    if [[ -n $list && $cur == *,* ]]; then COMPREPLY=($(compgen -P \"${cur%%,*},\" -W \"$words\" -- \"${cur##*,}\"))\n"
        "    elif [[ -n $words ]]; then COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
        "    fi\n"
        "    if [[ -n $files ]]; then\n"
        "        IFS=$'\\n'\n"
        "        COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
        "        compopt -o filenames 2>/dev/null\n"
        "    fi\n"
        "} &&\n"
        "    complete -F _brume brume\n");
}

const struct completion_shell completion_bash = { "bash", begin, command, end };
