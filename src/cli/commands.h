/* SPDX-License-Identifier: MIT
 * Entry points of the sub-commands. argv[0] is the name of the sub-command; the result is the exit status of the program. */
#ifndef BRUME_CLI_COMMANDS_H
#define BRUME_CLI_COMMANDS_H

#define COMMAND(name, summary) int cmd_##name(int argc, char **argv);
#include "commands.def"
#undef COMMAND

#endif
