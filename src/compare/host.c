/* SPDX-License-Identifier: MIT
 * Tensors of a plan on the host. */
#include <stdlib.h>

#include "base/half.h"
#include "compare/compare.h"

static bool grow(unsigned char **at, size_t *cap, size_t bytes)
{
    if (*cap >= bytes) return true;
    free(*at); /* what it held is not needed any more */
    *at = malloc(bytes);
    *cap = *at ? bytes : 0;
    return *at != NULL;
}

brume_status brume_host_read(struct brume_host *h, const struct brume_plan *p, const struct brume_value *v, struct brume_place at)
{
    const size_t n = (size_t)brume_shape_numel(v->shape), bytes = (size_t)brume_plan_value_bytes(v);
    if (v->dtype == BRUME_F32) {
        if (!grow((unsigned char **)&h->x, &h->x_cap, bytes))
            return brume_fail(BRUME_E_MEMORY, "compare: out of host memory for %zu values", n);
        return p->device->backend->read(p->buffers[at.slot], (size_t)at.offset, h->x, bytes);
    }
    if (!grow(&h->raw, &h->raw_cap, bytes) || !grow((unsigned char **)&h->x, &h->x_cap, n * sizeof *h->x))
        return brume_fail(BRUME_E_MEMORY, "compare: out of host memory for %zu values", n);
    const brume_status s = p->device->backend->read(p->buffers[at.slot], (size_t)at.offset, h->raw, bytes);
    for (size_t i = 0; s == BRUME_OK && i < n; i++)
        h->x[i] = v->dtype == BRUME_F16   ? brume_half_widen(((const uint16_t *)h->raw)[i])
                  : v->dtype == BRUME_I32 ? (float)((const int32_t *)h->raw)[i]
                                          : (float)((const int64_t *)h->raw)[i];
    return s;
}

void brume_host_free(struct brume_host *h)
{
    free(h->raw);
    free(h->x);
    *h = (struct brume_host){ 0 };
}
