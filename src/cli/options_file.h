/* SPDX-License-Identifier: MIT
 * The options of a command line in a JSON file: { "data": "shapes", "steps": 5000, "recompute": true, ... }. */
#ifndef BRUME_CLI_OPTIONS_FILE_H
#define BRUME_CLI_OPTIONS_FILE_H

#include "brume/json.h"
#include "options.h"

/* Sets one option from a value of its type. Returns CLI_GO_ON, or CLI_USAGE after a message that names the place. */
int cli_option_read(const struct cli_usage *u, struct cli_option *o, const brume_json *v);
/* The value of an option (of a choice: one that was made) as a member of the writer's innermost object, strings as they are. */
void cli_option_write(brume_json_writer *w, const struct cli_option *o);

/*
 * Sets options from the members of an object; those on the command line (given) stay, keys that begin with '_' say nothing.
 * Strings go on belonging to the object. Returns CLI_GO_ON, or CLI_USAGE after a message that names the place.
 */
int cli_options_read(const struct cli_usage *u, struct cli_option *options, const brume_json *object);

/*
 * The options that were given, less those of not_saved (ended by NULL), as members of the writer's innermost object, in the order
 * of the table. Names of files and folders that exist are made absolute, so that the file means the same from everywhere.
 */
void cli_options_write(brume_json_writer *w, const struct cli_option *options, const char *const *not_saved);

#endif
