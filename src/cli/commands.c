/* SPDX-License-Identifier: MIT
 * The table of sub-commands. */
#include "commands.h"

#include <stddef.h>
#include <string.h>

const struct cli_command cli_commands[] = {
#define COMMAND(name, summary) { #name, NULL, summary, cmd_##name },
#define MODE(name, mode, summary) { #name, #mode, summary, cmd_##name##_##mode },
#include "commands.def"
#undef COMMAND
#undef MODE
    { 0 }
};

const struct cli_command *cli_command_find(int n, char *const *words)
{
    const struct cli_command *found = NULL;
    for (const struct cli_command *c = cli_commands; n > 0 && c->name; c++)
        if (!strcmp(c->name, words[0]) && (!c->mode || (n > 1 && !strcmp(c->mode, words[1])))) found = c;
    return found;
}

int cli_command_words(const struct cli_command *c) { return c->mode ? 2 : 1; }
