/* SPDX-License-Identifier: MIT
 * Index arithmetic for oracles: positions in shapes of up to five axes. */
#ifndef BRUME_TESTS_OPS_WALK_H
#define BRUME_TESTS_OPS_WALK_H

#include "brume/graph.h"

/* Coordinates of element e. */
static inline void walk_at(brume_shape s, int64_t e, int64_t at[BRUME_MAX_DIMS])
{
    for (int i = s.ndim - 1; i >= 0; i--) {
        at[i] = e % s.d[i];
        e /= s.d[i];
    }
}

/* Element at coordinates. */
static inline int64_t walk_element(brume_shape s, const int64_t *at)
{
    int64_t e = 0;
    for (int i = 0; i < s.ndim; i++) e = e * s.d[i] + at[i];
    return e;
}

/* The element of a tensor of shape `in` that broadcasting puts at element e of `out`. */
static inline int64_t walk_broadcast(brume_shape in, brume_shape out, int64_t e)
{
    int64_t at[BRUME_MAX_DIMS] = { 0 }, from[BRUME_MAX_DIMS] = { 0 };
    walk_at(out, e, at);
    for (int i = 0; i < in.ndim; i++) from[i] = in.d[i] == 1 ? 0 : at[i + out.ndim - in.ndim];
    return walk_element(in, from);
}

#endif
