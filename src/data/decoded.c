/* SPDX-License-Identifier: MIT
 * Pictures that were read and brought to size, in memory: one place per item, filled once. */
#include "data/decoded.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fail.h"

struct brume_decoded {
    int64_t count, room; /* items; how many more may be kept */
    size_t bytes;
    _Atomic int64_t kept;
    const float *_Atomic *at;
    void *map;           /* NULL: each place is allocated */
    size_t map_bytes;
};

brume_status brume_decoded_new(int64_t count, int64_t values, uint64_t limit, struct brume_decoded **out)
{
    const size_t bytes = (size_t)values * sizeof(float);
    *out = NULL;
    struct brume_decoded *d = calloc(1, sizeof *d);
    if (d) d->at = calloc((size_t)count, sizeof *d->at);
    if (!d || !d->at) {
        free(d);
        return brume_fail(BRUME_E_MEMORY, "no memory to keep %lld pictures", (long long)count);
    }
    d->count = count;
    d->bytes = bytes;
    d->room = (int64_t)(limit / bytes < (uint64_t)count ? limit / bytes : (uint64_t)count);
    *out = d;
    return BRUME_OK;
}

brume_status brume_decoded_new_mapped(void *map, size_t bytes, size_t offset, int64_t count, int64_t values,
                                      struct brume_decoded **out)
{
    const brume_status s = brume_decoded_new(count, values, 0, out);
    if (s != BRUME_OK) {
        munmap(map, bytes);
        return s;
    }
    const float *v = (const float *)((const char *)map + offset);
    const uint8_t *broken = (const uint8_t *)(v + count * values);
    (*out)->map = map;
    (*out)->map_bytes = bytes;
    for (int64_t i = 0; i < count; i++) (*out)->at[i] = broken[i] ? NULL : v + i * values;
    return BRUME_OK;
}

void brume_decoded_free(struct brume_decoded *d)
{
    if (!d) return;
    for (int64_t i = 0; !d->map && i < d->count; i++) free((void *)(uintptr_t)d->at[i]);
    if (d->map) munmap(d->map, d->map_bytes);
    free(d->at);
    free(d);
}

const float *brume_decoded_find(struct brume_decoded *d, int64_t item)
{
    return atomic_load_explicit(&d->at[item], memory_order_acquire);
}

void brume_decoded_keep(struct brume_decoded *d, int64_t item, const float *values)
{
    const float *none = NULL;
    if (brume_decoded_find(d, item) || atomic_load(&d->kept) >= d->room) return;
    float *copy = malloc(d->bytes);
    if (!copy) return; /* what is not kept is read again */
    memcpy(copy, values, d->bytes);
    if (atomic_compare_exchange_strong(&d->at[item], &none, copy)) atomic_fetch_add(&d->kept, 1);
    else free(copy); /* another thread was first, with the same */
}
