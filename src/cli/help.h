/* SPDX-License-Identifier: MIT
 * What --help prints. */
#ifndef BRUME_CLI_HELP_H
#define BRUME_CLI_HELP_H

#include "options.h"

enum { CLI_OPTION_TEXT = 1600 }; /* bytes that hold every option's text */

/* What an option is for, with its choices and its default. */
void cli_option_text(const struct cli_option *o, char *text, size_t n);

/* The names that the first argument may be; u->names is there. */
void cli_argument_text(const struct cli_usage *u, char *text, size_t n);

/* A cli_presenter without context. */
void cli_help(void *ctx, const struct cli_usage *u, const struct cli_option *options);

#endif
