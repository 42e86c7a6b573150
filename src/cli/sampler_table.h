/* SPDX-License-Identifier: MIT
 * Samplers side by side: one picture table of the same seeds, rows samplers, columns numbers of steps. */
#ifndef BRUME_CLI_SAMPLER_TABLE_H
#define BRUME_CLI_SAMPLER_TABLE_H

#include "drawing.h"

/*
 * Draws d's images with every sampler of a list ("ddim,heun") at every number of steps ("5,10,20") and writes a self-contained
 * HTML file with pictures, times, network calls, and the root mean square distance to the probability-flow ODE solved in
 * `reference` DDIM steps (where the process has them) from the same noise. CLI_DONE or the exit status after a message.
 */
int sampler_table(struct drawing *d, const struct cli_usage *u, const char *samplers, const char *steps, int64_t reference,
                  const char *path);

#endif
