/* SPDX-License-Identifier: MIT
 * How far results may be off, and why: one table for the operator tests and for comparisons of two backends. */
#ifndef BRUME_GRAPH_TOLERANCE_H
#define BRUME_GRAPH_TOLERANCE_H

struct brume_tolerance {
    const char *name;
    double abs, rel;       /* of a result: abs + rel times the sum of |terms| */
    double grad_rel;       /* of a gradient, times the largest of its tensor */
    const char *reason;
};

/* A row of tolerance.def, in lower case there: BRUME_TOL_EXACT, ... */
enum brume_tolerance_row {
#define TOL(name, NAME, abs, rel, grad_rel, reason) BRUME_TOL_##NAME,
#include "graph/tolerance.def"
#undef TOL
    BRUME_TOLERANCES
};

extern const struct brume_tolerance brume_tolerances[BRUME_TOLERANCES];

#endif
