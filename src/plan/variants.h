/* SPDX-License-Identifier: MIT
 * Choice of kernels: which variants of a node run on a device, with which parameters. Also used by tests to run every one. */
#ifndef BRUME_PLAN_VARIANTS_H
#define BRUME_PLAN_VARIANTS_H

#include "graph/op.h"

/* A variant and a row of its parameters (counted from 1; 0: the variant has none, or its rule chooses). */
struct brume_choice { const struct brume_variant *variant; int row; };

#define BRUME_CHOICE_NAME 48

/** true if the variant can compute the node on a device with these caps. */
bool brume_variant_runs(const struct brume_variant *v, const struct brume_node *n, const struct brume_caps *c);
/**
 * The variant to take: `wanted` where it runs, else the first that runs and suits, else the first that runs; variant NULL: none.
 * wanted: NULL, "NAME", or "NAME:ROW", which is left to the variant's rule where the row does not fit the device.
 */
struct brume_choice brume_variant_choose(const struct brume_node *n, const struct brume_caps *c, const char *wanted);
/** true if exactly this choice, "NAME" or "NAME:ROW", can compute the node there: then it is stored in *k. For choices that were
 * made elsewhere. */
bool brume_variant_find(const struct brume_node *n, const struct brume_caps *c, const char *wanted, struct brume_choice *k);
/** "NAME" or "NAME:ROW" into text; returns text. */
const char *brume_choice_name(struct brume_choice k, char text[BRUME_CHOICE_NAME]);

#endif
