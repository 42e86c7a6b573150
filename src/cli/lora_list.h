/* SPDX-License-Identifier: MIT
 * Files of adapters named on a command line: FILE[:SCALE], any number of them. */
#ifndef BRUME_CLI_LORA_LIST_H
#define BRUME_CLI_LORA_LIST_H

#include "brume/model.h"
#include "options.h"

/* Merges them into the model one after the other and says so on stderr, unless quiet. */
brume_status cli_lora_merge(const struct cli_list *files, brume_model *m, int quiet);

#endif
