/* SPDX-License-Identifier: MIT
 * The program: finds the sub-command. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "config.h"
#include "options.h"
#include "parallel.h"

static const struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
#define COMMAND(name, summary) { #name, summary, cmd_##name },
#include "commands.def"
#undef COMMAND
};
#define N ((int)(sizeof commands / sizeof *commands))

static void help(FILE *to)
{
    fprintf(to, "Usage: brume COMMAND [arguments] [options]\n\n"
                "Trains and samples diffusion models on any OpenCL 1.2 device, or on the processor alone.\n\nCommands:\n");
    for (int i = 0; i < N; i++) fprintf(to, "  %-10s%s\n", commands[i].name, commands[i].summary);
    fprintf(to, "\nbrume COMMAND --help explains one of them; brume --version tells the version.\n"
                "Exit status: 0 done, 1 it failed or fell short, 2 wrong usage.\n");
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        help(stderr);
        return CLI_USAGE;
    }
    const char *name = argv[1];
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || (!strcmp(name, "help") && argc == 2)) {
        help(stdout);
        return CLI_DONE;
    }
    if (!strcmp(name, "--version")) {
        printf("brume %s\n", BRUME_VERSION);
        return CLI_DONE;
    }
    const char *names[N];
    for (int i = 0; i < N; i++) {
        names[i] = commands[i].name;
        if (!strcmp(name, names[i])) {
            const int ready = cli_parallel_begin(name);
            return ready == CLI_GO_ON ? commands[i].run(argc - 1, argv + 1) : ready;
        }
        if (!strcmp(name, "help") && !strcmp(argv[2], names[i])) {
            char ask[] = "--help", *args[] = { argv[2], ask, NULL };
            return commands[i].run(2, args);
        }
    }
    const char *near = cli_nearest(name, names, N);
    fprintf(stderr, "brume: there is no command '%s'", name);
    if (near) fprintf(stderr, "; did you mean '%s'?\n", near);
    else fprintf(stderr, "; see brume --help\n");
    return CLI_USAGE;
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
