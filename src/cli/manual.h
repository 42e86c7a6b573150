/* SPDX-License-Identifier: MIT
 * Manual pages, made from the tables of options. */
#ifndef BRUME_CLI_MANUAL_H
#define BRUME_CLI_MANUAL_H

#include "commands.h"

#define MANUAL_SUMMARY "Trains and samples diffusion models on any OpenCL 1.2 device, or on the processor alone."

/* Prints the page of a command in the language of man(7); NULL: that of the program. Returns the exit status. */
int manual_print(const struct cli_command *c);

#endif
