/* SPDX-License-Identifier: MIT
 * One step of a plan again, alone, with the inputs that it had. */
#ifndef BRUME_COMPARE_REPLAY_H
#define BRUME_COMPARE_REPLAY_H

#include "compare/compare.h"

/*
 * terms[i]: of ops whose results are sums of products, what value i of that result was summed from (|terms|); of others how far
 * it moves when what it is computed from moves by its own size. Roundings are small beside it, even where the result itself is
 * small.
 */
brume_status brume_replay_terms(struct brume_plan *p, int step, int result, float *terms);

/* The first function of a chain whose result alone is beyond its bound; NULL if there is none. Its name belongs to the op. */
brume_status brume_replay_culprit(struct brume_plan *p, int step, const char **culprit);

#endif
