/* SPDX-License-Identifier: MIT
 * Cutting a range of elements into tasks by its length alone, so that results do not depend on the number of threads or the
 * device. */
#ifndef BRUME_OPS_CHUNKS_H
#define BRUME_OPS_CHUNKS_H

#include <stdint.h>

#include "graph/op.h"

#define BRUME_CHUNK 16384 /* elements of one task: 64 KiB of f32 */

static inline int64_t brume_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* First element of task t and the number of its elements, of n in all. */
static inline int64_t brume_chunk_at(int64_t t) { return t * BRUME_CHUNK; }
static inline int64_t brume_chunk_len(int64_t t, int64_t n)
{
    return n - t * BRUME_CHUNK < BRUME_CHUNK ? n - t * BRUME_CHUNK : BRUME_CHUNK;
}

/* Elements of one OpenCL work-item (4, 8 or 16): a CPU wants a whole vector, a GPU coalesced quadruples. */
static inline int brume_cl_width(const struct brume_caps *c)
{
    return !c->cpu_type || c->vector_width < 8 ? 4 : c->vector_width < 16 ? 8 : 16;
}

/* Channels of one OpenCL work-item of an image op: all on a CPU, where finding the pixel should cost little; else one vector. */
static inline int64_t brume_cl_span(const struct brume_caps *c, int64_t channels)
{
    const int64_t vw = brume_cl_width(c);
    return c->cpu_type ? brume_ceil_div(channels, vw) * vw : vw;
}

#endif
