/* SPDX-License-Identifier: MIT
 * Shapes: element counts, comparison, text. */
#include <inttypes.h>
#include <stdio.h>

#include "graph/op.h"

int64_t brume_shape_numel(brume_shape s)
{
    int64_t n = 1;
    for (int i = 0; i < s.ndim; i++) n *= s.d[i];
    return n;
}

int brume_shape_equal(brume_shape a, brume_shape b)
{
    if (a.ndim != b.ndim) return 0;
    for (int i = 0; i < a.ndim; i++)
        if (a.d[i] != b.d[i]) return 0;
    return 1;
}

int64_t brume_dtype_bytes(brume_dtype t) { return t == BRUME_I64 ? 8 : t == BRUME_F16 ? 2 : 4; }

const char *brume_shape_text(brume_shape s, char buf[96])
{
    int n = 0;
    buf[0] = 0;
    for (int i = 0; i < s.ndim && n < 90; i++)
        n += snprintf(buf + n, 96 - (size_t)n, "%s%" PRId64, i ? "x" : "", s.d[i]);
    if (s.ndim == 0) snprintf(buf, 96, "scalar");
    return buf;
}
