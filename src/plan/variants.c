/* SPDX-License-Identifier: MIT
 * Choice of kernels. */
#include "plan/variants.h"

#include <stdio.h>
#include <string.h>

bool brume_variant_runs(const struct brume_variant *v, const struct brume_node *n, const struct brume_caps *c)
{
    if (c->opencl ? !v->cl : !v->cpu) return false;
    return !v->fits || v->fits(n, c);
}

/* The row called `name` if it fits, else 0. */
static int row_of(const struct brume_variant *v, const struct brume_caps *c, const char *name)
{
    for (int row = 1; v->rows && row <= v->rows->n; row++)
        if (!strcmp(v->rows->name(row), name)) return v->rows->fits(row, c) ? row : 0;
    return 0;
}

bool brume_variant_find(const struct brume_node *n, const struct brume_caps *c, const char *wanted, struct brume_choice *k)
{
    const size_t length = strcspn(wanted, ":");
    for (const struct brume_variant *v = n->op->kernels; v && v->name; v++) {
        if (strlen(v->name) != length || memcmp(v->name, wanted, length) || !brume_variant_runs(v, n, c)) continue;
        *k = (struct brume_choice){ v, wanted[length] ? row_of(v, c, wanted + length + 1) : 0 };
        return !wanted[length] || k->row;
    }
    return false;
}

struct brume_choice brume_variant_choose(const struct brume_node *n, const struct brume_caps *c, const char *wanted)
{
    const size_t length = wanted ? strcspn(wanted, ":") : 0;
    const struct brume_variant *suitable = NULL, *possible = NULL;
    for (const struct brume_variant *v = n->op->kernels; v && v->name; v++) {
        if (!brume_variant_runs(v, n, c)) continue;
        if (wanted && strlen(v->name) == length && !memcmp(v->name, wanted, length))
            return (struct brume_choice){ v, wanted[length] ? row_of(v, c, wanted + length + 1) : 0 };
        if (!possible) possible = v;
        if (!suitable && (!v->suits || v->suits(n, c))) suitable = v;
    }
    return (struct brume_choice){ suitable ? suitable : possible, 0 };
}

const char *brume_choice_name(struct brume_choice k, char text[BRUME_CHOICE_NAME])
{
    snprintf(text, BRUME_CHOICE_NAME, k.row ? "%s:%s" : "%s", k.variant->name, k.row ? k.variant->rows->name(k.row) : "");
    return text;
}
