/* SPDX-License-Identifier: MIT
 * The program: finds the sub-command. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "completion.h"
#include "manual.h"
#include "options.h"
#include "parallel.h"
#include "version.h"

static int usage(FILE *to)
{
    fprintf(to, "Usage: brume COMMAND [arguments] [options]\n\n%s\n\nCommands:\n", MANUAL_SUMMARY);
    for (const struct cli_command *c = cli_commands; c->name; c++)
        if (!c->mode) fprintf(to, "  %-10s%s\n", c->name, c->summary);
    fprintf(to,
            "\nbrume COMMAND --help explains one of them; brume --version tells the version and what this build can do.\n"
            "brume help --man [COMMAND] prints a manual page, brume help --completion bash|zsh|fish what a shell completes by.\n"
            "Exit status: 0 done, 1 it failed or fell short, 2 wrong usage.\n");
    return to == stdout ? CLI_DONE : CLI_USAGE;
}

static int unknown(const char *name)
{
    const char *names[128];
    int n = 0;
    for (const struct cli_command *c = cli_commands; c->name && n < 128; c++)
        if (!c->mode) names[n++] = c->name;
    const char *near = cli_nearest(name, names, n);
    fprintf(stderr, "brume: there is no command '%s'", name);
    if (near) fprintf(stderr, "; did you mean '%s'?\n", near);
    else fprintf(stderr, "; see brume --help\n");
    return CLI_USAGE;
}

/* brume help [--man] [COMMAND [MODE]], brume help --completion SHELL */
static int help(int n, char **words)
{
    const int man = n > 0 && !strcmp(words[0], "--man");
    if (n > 0 && !strcmp(words[0], "--completion")) return completion_print(n > 1 ? words[1] : "");
    if (n == man) return man ? manual_print(NULL) : usage(stdout);
    const struct cli_command *c = cli_command_find(n - man, words + man);
    if (!c) return unknown(words[man]);
    return man ? manual_print(c) : cli_explain(c->run);
}

static int run(int argc, char **argv)
{
    if (argc < 2) return usage(stderr);
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) return usage(stdout);
    if (!strcmp(argv[1], "--version")) return version_print();
    if (!strcmp(argv[1], "help")) return help(argc - 2, argv + 2);
    const struct cli_command *c = cli_command_find(argc - 1, argv + 1);
    if (!c) return unknown(argv[1]);
    const int ready = cli_parallel_begin(c->name), words = cli_command_words(c);
    return ready == CLI_GO_ON ? c->run(argc - words, argv + words) : ready;
}

int main(int argc, char **argv)
{
    int status = run(argc, argv);
    /* A full disk behind a redirected output is a failure, too. */
    if (fflush(stdout) || ferror(stdout)) {
        perror("brume: cannot write the output");
        if (status == CLI_DONE) status = CLI_FAILED;
    }
    cli_parallel_end(status);
    return status;
}
