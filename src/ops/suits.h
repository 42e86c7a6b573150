/* SPDX-License-Identifier: MIT
 * For which kind of device a kernel variant was made: the `suits` of struct brume_variant. */
#ifndef BRUME_OPS_SUITS_H
#define BRUME_OPS_SUITS_H

#include "graph/op.h"

/** Devices of CPU type: big register tiles, wide vectors, no local memory. */
static inline bool brume_suits_cpu(const struct brume_node *n, const struct brume_caps *c)
{
    (void)n;
    return c->cpu_type;
}

/** All others: work-groups that share local memory. */
static inline bool brume_suits_gpu(const struct brume_node *n, const struct brume_caps *c) { return !brume_suits_cpu(n, c); }

/** `fits` of kernels whose groups of 64 work-items share one float each. */
static inline bool brume_fits_group64(const struct brume_node *n, const struct brume_caps *c)
{
    (void)n;
    return c->max_work_group >= 64 && c->local_bytes >= 64 * sizeof(float);
}

#endif
