/* SPDX-License-Identifier: MIT
 * Scripts by which shells complete command lines. */
#include "completion.h"

#include <stdio.h>
#include <string.h>

static const struct completion_shell *const shells[] = { &completion_bash, &completion_fish, &completion_zsh };
enum { SHELLS = sizeof shells / sizeof *shells };

int completion_takes_files(const char *placeholder)
{
    static const char *const paths[] = { "FILE", "DIR", "FOLDER", "PATH", "MODEL", "RUN", "DATA", "WHAT", NULL };
    for (const char *const *p = paths; *p; p++)
        if (strstr(placeholder, *p)) return 1;
    return 0;
}

enum completion_kind completion_of_option(const struct cli_option *o)
{
    if (o->choices) return strchr(o->value, ',') ? COMPLETION_LIST : COMPLETION_NAMES;
    return o->value && completion_takes_files(o->value) ? COMPLETION_FILES : COMPLETION_NONE;
}

struct job { const struct completion_shell *shell; const struct cli_command *command; };

static void present(void *ctx, const struct cli_usage *u, const struct cli_option *options)
{
    const struct job *job = ctx;
    job->shell->command(job->command, u, options);
}

int completion_print(const char *name)
{
    int k = 0;
    while (k < SHELLS && strcmp(shells[k]->name, name)) k++;
    if (k == SHELLS) {
        fprintf(stderr, "brume help --completion: expected bash, fish or zsh\n");
        return CLI_USAGE;
    }
    int status = CLI_DONE;
    shells[k]->begin();
    for (const struct cli_command *c = cli_commands; c->name && status == CLI_DONE; c++) {
        struct job job = { shells[k], c };
        status = cli_present(c->run, present, &job);
    }
    shells[k]->end();
    return status;
}
