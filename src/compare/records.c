/* SPDX-License-Identifier: MIT
 * What a comparison has found, for the caller. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/compare.h"

int brume_compare_count(const brume_device *d) { return brume_pair_of(d)->n; }

const brume_compare_node *brume_compare_get(const brume_device *d, int i)
{
    const struct brume_pair *c = brume_pair_of(d);
    return i >= 0 && i < c->n ? c->nodes[i] : NULL;
}

const brume_compare_node *brume_compare_first(const brume_device *d) { return brume_compare_get(d, brume_pair_of(d)->first); }

void brume_compare_get_summary(const brume_device *d, brume_compare_summary *s)
{
    const struct brume_pair *c = brume_pair_of(d);
    *s = (brume_compare_summary){ .nodes = c->n, .apart = c->apart };
    memcpy(s->apart_text, c->apart_text, sizeof s->apart_text);
    for (int i = 0; i < c->n; i++) {
        s->runs += c->nodes[i]->runs;
        s->values += c->nodes[i]->values;
        s->failed += c->nodes[i]->failed;
        s->not_finite += c->nodes[i]->not_finite;
    }
}

static int by_op(const void *pa, const void *pb)
{
    return strcmp(((const brume_compare_kind *)pa)->op, ((const brume_compare_kind *)pb)->op);
}

static bool is_chain(const brume_compare_node *n) { return !strcmp(n->kernel[0], "chain") || !strcmp(n->kernel[0], "single"); }

brume_status brume_compare_kinds(const brume_device *d, brume_compare_kind **out, int *n)
{
    const struct brume_pair *c = brume_pair_of(d);
    brume_compare_kind *list = calloc((size_t)c->n + 1, sizeof *list);
    *out = NULL;
    *n = 0;
    if (!list) return brume_fail(BRUME_E_MEMORY, "compare: out of memory");
    for (int i = 0; i < c->n; i++) {
        const brume_compare_node *x = c->nodes[i];
        const char *op = is_chain(x) ? "elementwise" : x->op;
        int k = 0;
        while (k < *n && strcmp(list[k].op, op)) k++;
        if (k == *n) {
            list[(*n)++] = (brume_compare_kind){ .tolerance = x->tolerance, .reason = x->reason, .rel = x->rel };
            snprintf(list[k].op, sizeof list[k].op, "%.63s", op);
        }
        brume_compare_kind *t = &list[k];
        if (x->rel > t->rel) {
            t->rel = x->rel;
            t->tolerance = x->tolerance;
            t->reason = x->reason;
        }
        t->nodes++;
        t->runs += x->runs;
        t->values += x->values;
        t->failed += x->failed;
        t->relative = fmax(t->relative, x->relative);
        t->ulp = fmax(t->ulp, x->ulp);
        t->share = fmax(t->share, x->share);
    }
    qsort(list, (size_t)*n, sizeof *list, by_op);
    *out = list;
    return BRUME_OK;
}
