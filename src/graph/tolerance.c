/* SPDX-License-Identifier: MIT
 * The table of tolerances. */
#include "graph/tolerance.h"

const struct brume_tolerance brume_tolerances[BRUME_TOLERANCES] = {
#define TOL(name, NAME, abs, rel, grad_rel, reason) { #name, abs, rel, grad_rel, reason },
#include "graph/tolerance.def"
#undef TOL
};
