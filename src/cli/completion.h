/* SPDX-License-Identifier: MIT
 * What shells complete command lines by, made from the tables of options. */
#ifndef BRUME_CLI_COMPLETION_H
#define BRUME_CLI_COMPLETION_H

#include "commands.h"
#include "options.h"

/* What may stand for a value. */
enum completion_kind { COMPLETION_NONE, COMPLETION_FILES, COMPLETION_NAMES,
                       COMPLETION_LIST /* names with commas between them */ };

/* By its choices and its placeholder: "FILE", "MODEL", ... are paths. An option's names may be joined by files ("DATA"). */
enum completion_kind completion_of_option(const struct cli_option *o);
int completion_takes_files(const char *placeholder);

/* A shell's script: begin, one command after the other, end. */
struct completion_shell {
    const char *name;
    void (*begin)(void);
    void (*command)(const struct cli_command *c, const struct cli_usage *u, const struct cli_option *options);
    void (*end)(void);
};
extern const struct completion_shell completion_bash, completion_fish, completion_zsh;

/* Prints the script of a shell. Returns the exit status. */
int completion_print(const char *shell);

#endif
