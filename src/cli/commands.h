/* SPDX-License-Identifier: MIT
 * The sub-commands. */
#ifndef BRUME_CLI_COMMANDS_H
#define BRUME_CLI_COMMANDS_H

/* Entry points. argv[0] is the name of the sub-command, or of its mode; the result is the exit status of the program. */
#define COMMAND(name, summary) int cmd_##name(int argc, char **argv);
#define MODE(name, mode, summary) int cmd_##name##_##mode(int argc, char **argv);
#include "commands.def"
#undef COMMAND
#undef MODE

struct cli_command {
    const char *name, *mode; /* mode: NULL, or the word behind name */
    const char *summary;
    int (*run)(int argc, char **argv);
};

/* All of them, a command before its modes; ended by a row without name. */
extern const struct cli_command cli_commands[];

/* The command that words[0] names, or its mode where words[1] names one; NULL if there is none. n: number of words. */
const struct cli_command *cli_command_find(int n, char *const *words);
/* How many words name it: 1 or 2. */
int cli_command_words(const struct cli_command *c);

#endif
