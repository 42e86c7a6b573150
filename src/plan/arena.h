/* SPDX-License-Identifier: MIT
 * Laying out tensors of known lifetimes in as little memory as possible. */
#ifndef BRUME_PLAN_ARENA_H
#define BRUME_PLAN_ARENA_H

#include <stdint.h>

#include "brume/status.h"

/* Tensors start at multiples of this: wide enough for any vector unit and any OpenCL device. */
#define BRUME_ALIGN 256

struct brume_block {
    uint64_t bytes;
    int first, last;     /* steps between which the block is live, both included */
    int segment;         /* result: which buffer */
    uint64_t offset;     /* result: byte offset there */
};

/**
 * Places blocks so that no two of overlapping lifetimes overlap in memory. Segments hold at most max_segment bytes (0: no limit).
 * segment_bytes: array of *n_segments sizes, allocated by the call. A block above max_segment gives BRUME_E_MEMORY.
 */
brume_status brume_arena_place(struct brume_block *blocks, int n, uint64_t max_segment, uint64_t **segment_bytes,
                               int *n_segments);

#endif
