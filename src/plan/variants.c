/* SPDX-License-Identifier: MIT
 * Choice of kernels. */
#include "plan/variants.h"

#include <string.h>

bool brume_variant_runs(const struct brume_variant *v, const struct brume_node *n, const struct brume_caps *c)
{
    if (c->opencl ? !v->cl : !v->cpu) return false;
    return !v->fits || v->fits(n, c);
}

const struct brume_variant *brume_variant_choose(const struct brume_node *n, const struct brume_caps *c, const char *wanted)
{
    const struct brume_variant *suitable = NULL, *possible = NULL;
    for (const struct brume_variant *v = n->op->kernels; v && v->name; v++) {
        if (!brume_variant_runs(v, n, c)) continue;
        if (wanted && !strcmp(v->name, wanted)) return v;
        if (!possible) possible = v;
        if (!suitable && (!v->suits || v->suits(n, c))) suitable = v;
    }
    return suitable ? suitable : possible;
}
