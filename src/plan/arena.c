/* SPDX-License-Identifier: MIT
 * Greedy-by-size placement (Pisarchyk & Lee 2020): biggest blocks first, each at the lowest gap that is free during its
 * lifetime. */
#include "plan/arena.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/fail.h"

static uint64_t round_up(uint64_t x) { return (x + BRUME_ALIGN - 1) / BRUME_ALIGN * BRUME_ALIGN; }

static int by_size(const void *a, const void *b)
{
    const struct brume_block *x = *(struct brume_block *const *)a, *y = *(struct brume_block *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Lowest offset in `segment` where block b fits; `placed` holds the blocks placed there so far, ordered by offset. */
static uint64_t lowest_gap(const struct brume_block *b, struct brume_block *const *placed, int n, int segment)
{
    uint64_t at = 0;
    for (int i = 0; i < n; i++) {
        const struct brume_block *p = placed[i];
        if (p->segment != segment || p->last < b->first || p->first > b->last) continue;
        if (at + b->bytes <= p->offset) break;
        if (p->offset + round_up(p->bytes) > at) at = p->offset + round_up(p->bytes);
    }
    return at;
}

static void insert(struct brume_block **placed, int n, struct brume_block *b)
{
    int i = n;
    for (; i > 0 && placed[i - 1]->offset > b->offset; i--) placed[i] = placed[i - 1];
    placed[i] = b;
}

brume_status brume_arena_place(struct brume_block *blocks, int n, uint64_t max_segment, uint64_t **segment_bytes, int *n_segments)
{
    struct brume_block **order = malloc(((size_t)n + 1) * sizeof *order), **placed = malloc(((size_t)n + 1) * sizeof *placed);
    uint64_t *bytes = calloc((size_t)n + 1, sizeof *bytes);
    int segments = 0;
    brume_status s = BRUME_OK;
    *segment_bytes = NULL;
    *n_segments = 0;
    if (!order || !placed || !bytes) {
        s = brume_fail(BRUME_E_MEMORY, "plan: out of memory laying out %d tensors", n);
        goto done;
    }
    for (int i = 0; i < n; i++) order[i] = &blocks[i];
    qsort(order, (size_t)n, sizeof *order, by_size);
    for (int i = 0; i < n; i++) {
        struct brume_block *b = order[i];
        if (max_segment && b->bytes > max_segment) {
            s = brume_fail(BRUME_E_MEMORY,
                           "plan: one tensor takes %.1f MiB, the device allows %.1f MiB in one buffer; use a smaller batch",
                           (double)b->bytes / 1048576, (double)max_segment / 1048576);
            goto done;
        }
        for (b->segment = 0;; b->segment++) {
            b->offset = lowest_gap(b, placed, i, b->segment);
            if (!max_segment || b->offset + b->bytes <= max_segment) break;
        }
        if (b->segment >= segments) segments = b->segment + 1;
        if (b->offset + round_up(b->bytes) > bytes[b->segment]) bytes[b->segment] = b->offset + round_up(b->bytes);
        insert(placed, i, b);
    }
    *segment_bytes = bytes;
    *n_segments = segments;
    bytes = NULL;
done:
    free(order);
    free(placed);
    free(bytes);
    return s;
}
