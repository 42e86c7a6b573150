/* SPDX-License-Identifier: MIT
 * The shuffled order of a data set: one permutation per epoch, made when it is first needed. */
#include <stdlib.h>

#include "base/fail.h"
#include "brume/rng.h"
#include "data/dataset.h"

#define STREAM 0x6c6f6164u /* keeps the order apart from other numbers of the same seed */

struct brume_loader {
    const brume_dataset *ds;
    uint64_t seed;
    int64_t epoch[2], *order[2]; /* a batch may lie in two epochs: even and odd ones have a place each */
};

brume_status brume_loader_new(const brume_dataset *ds, uint64_t seed, brume_loader **out)
{
    *out = NULL;
    if (ds->count > UINT32_MAX) return brume_fail(BRUME_E_UNSUPPORTED, "loader: %lld items, expected less than 2^32", (long long)ds->count);
    brume_loader *l = calloc(1, sizeof *l);
    for (int k = 0; l && k < 2; k++) {
        l->epoch[k] = -1;
        l->order[k] = malloc((size_t)ds->count * sizeof **l->order);
    }
    if (!l || !l->order[0] || !l->order[1]) {
        brume_loader_free(l);
        return brume_fail(BRUME_E_MEMORY, "loader: no memory for the order of %lld items", (long long)ds->count);
    }
    l->ds = ds;
    l->seed = seed;
    *out = l;
    return BRUME_OK;
}

void brume_loader_free(brume_loader *l)
{
    if (!l) return;
    free(l->order[0]);
    free(l->order[1]);
    free(l);
}

brume_status brume_loader_index(brume_loader *l, int64_t position, int64_t *index)
{
    const int64_t epoch = position / l->ds->count, k = epoch & 1;
    if (position < 0 || epoch > UINT32_MAX) return brume_fail(BRUME_E_ARG, "loader: position %lld is out of range", (long long)position);
    if (l->epoch[k] != epoch) {
        brume_rng r = { .seed = l->seed, .stream = STREAM, .step = (uint32_t)epoch };
        brume_rng_permutation(&r, l->ds->count, l->order[k]);
        l->epoch[k] = epoch;
    }
    *index = l->order[k][position % l->ds->count];
    return BRUME_OK;
}

brume_status brume_loader_read(brume_loader *l, int64_t first, int64_t n, float *images, int64_t *labels, int64_t *indices)
{
    const int64_t size = (int64_t)l->ds->height * l->ds->width * l->ds->channels;
    brume_status s = BRUME_OK;
    for (int64_t j = 0; s == BRUME_OK && j < n; j++) {
        int64_t i;
        int32_t label;
        s = brume_loader_index(l, first + j, &i);
        if (s == BRUME_OK) s = l->ds->kind->get(l->ds, i, images ? images + j * size : NULL, &label);
        if (s != BRUME_OK) break;
        if (labels) labels[j] = label;
        if (indices) indices[j] = i;
    }
    return s;
}
