/* SPDX-License-Identifier: MIT
 * Choice of kernels: which variants of a node run on a device. Also used by tests to run every one. */
#ifndef BRUME_PLAN_VARIANTS_H
#define BRUME_PLAN_VARIANTS_H

#include "graph/op.h"

/** true if the variant can compute the node on a device with these caps. */
bool brume_variant_runs(const struct brume_variant *v, const struct brume_node *n, const struct brume_caps *c);
/** The variant to take: `wanted` by name where it runs, else the first that runs and suits, else the first that runs; NULL: none. */
const struct brume_variant *brume_variant_choose(const struct brume_node *n, const struct brume_caps *c, const char *wanted);

#endif
