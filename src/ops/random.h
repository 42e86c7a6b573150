/* SPDX-License-Identifier: MIT
 * How random.cl is launched: shared by noise and dropout. */
#ifndef BRUME_OPS_RANDOM_H
#define BRUME_OPS_RANDOM_H

#include "ops/chunks.h"

/* Variant "lanes": vectors of Philox counters, for CPUs, whose compilers do not vectorise it over work-items; "any": one
 * counter. */

/* Counters of one work-item, four elements each; and the defines that say so. */
static inline int brume_cl_lanes(const struct brume_caps *c) { return brume_cl_width(c); }

static inline const char *brume_cl_lanes_text(int lanes)
{
    return lanes == 1   ? "-DLANES=1"
           : lanes == 4 ? "-DLANES=4 -DPX_W=4"
           : lanes == 8 ? "-DLANES=8 -DPX_W=8"
                        : "-DLANES=16 -DPX_W=16";
}

#endif
