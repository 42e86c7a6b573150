/* SPDX-License-Identifier: MIT
 * The plan of a network that is evaluated, made dry: what it takes, and which kernels it would run. */
#ifndef BRUME_CLI_MODEL_PLAN_H
#define BRUME_CLI_MODEL_PLAN_H

#include "brume/plan.h"
#include "brume/train.h"

/*
 * The network of c, with its storage, for `batch` images. steps: prints a line for every launch. bound: as of
 * brume_plan_get_bound(), or NULL. largest: set to the values of the largest parameter, which are on the host while parameters
 * are made or read, one after the other.
 */
brume_status cli_plan_infer(brume_device *d, const brume_train_config *c, int64_t batch, int steps, brume_plan_stats *stats,
                            brume_plan_bound *bound, int64_t *largest);

#endif
