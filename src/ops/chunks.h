/* SPDX-License-Identifier: MIT
 * Cutting a range of elements into tasks by its length alone, so that results do not depend on the number of threads. */
#ifndef BRUME_OPS_CHUNKS_H
#define BRUME_OPS_CHUNKS_H

#include <stdint.h>

#define BRUME_CHUNK 16384 /* elements of one task: 64 KiB of f32 */

static inline int64_t brume_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* First element of task t and the number of its elements, of n in all. */
static inline int64_t brume_chunk_at(int64_t t) { return t * BRUME_CHUNK; }
static inline int64_t brume_chunk_len(int64_t t, int64_t n) { return n - t * BRUME_CHUNK < BRUME_CHUNK ? n - t * BRUME_CHUNK : BRUME_CHUNK; }

#endif
