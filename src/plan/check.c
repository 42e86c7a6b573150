/* SPDX-License-Identifier: MIT
 * Tests of every kernel that runs on a device. */
#include <stdlib.h>
#include <string.h>

#include "plan/known.h"
#include "plan/self_test.h"

#define AT_ONCE 32 /* tests in one plan: programs are compiled side by side, and one hears of them now and then */

struct list { struct brume_known *at; int n, cap; };

static brume_status add(struct list *l, struct brume_known test)
{
    if (l->n == l->cap) {
        const int cap = l->cap ? 2 * l->cap : 256;
        struct brume_known *grown = realloc(l->at, (size_t)cap * sizeof *grown);
        if (!grown) return brume_fail(BRUME_E_MEMORY, "self-test: out of memory");
        l->at = grown;
        l->cap = cap;
    }
    l->at[l->n++] = test;
    return BRUME_OK;
}

/* Nodes of the same op, with the same attributes, that this variant computes: their number, and how many come before n. */
static int alike(const struct brume_device *d, const brume_graph *g, const struct brume_node *n, const struct brume_variant *v,
                 int *before)
{
    char own[128] = "", other[128];
    int count = 0;
    if (n->op->key) n->op->key(n, own, sizeof own);
    for (int i = 0; i < brume_graph_node_count(g); i++) {
        const struct brume_node *m = brume_graph_node(g, i);
        if (m == n) *before = count;
        if (m->op != n->op || !brume_variant_runs(v, m, &d->caps)) continue;
        other[0] = 0;
        if (m->op->key) m->op->key(m, other, sizeof other);
        count += !strcmp(own, other);
    }
    return count;
}

/* Every variant computes every node that it can. Of its sets of parameters, which differ in tiles alone, each computes one of
 * those nodes that are alike, in turn: each is a program of its own, and drivers take a second to compile some. */
static brume_status add_kernels(const struct brume_device *d, const brume_graph *g, const struct brume_node *n, struct list *l)
{
    brume_status s = BRUME_OK;
    for (const struct brume_variant *v = n->op->kernels; v && v->name; v++) {
        int before = 0;
        if (!brume_variant_runs(v, n, &d->caps)) continue;
        const int count = alike(d, g, n, v, &before);
        for (int row = 0; row <= (v->rows && d->caps.opencl ? v->rows->n : 0) && s == BRUME_OK; row++) {
            if (row && (row % count != before || !v->rows->fits(row, &d->caps))) continue;
            /* Weights that are packed once, and those that are packed before every run, are tested in turn. */
            const bool once = v->pack_bytes && (n->index + l->n) % 2;
            s = add(l, (struct brume_known){
                           .node = n, .choice = { v, row }, .constant = once ? v->pack_input : -1, .keep_size = true });
        }
    }
    return s;
}

/* p: knows the nodes that are chains. */
static brume_status list_all(const struct brume_device *d, const struct brume_plan *p, struct list *l)
{
    brume_status s = BRUME_OK;
    for (int i = 0; i < brume_graph_node_count(p->graph) && s == BRUME_OK; i++) {
        const struct brume_node *n = brume_graph_node(p->graph, i);
        if (n->op->flags & BRUME_OP_ALIAS) continue;
        s = n->op->ew ? add(l, (struct brume_known){ .plan = p, .node = n, .constant = -1, .keep_size = true })
                      : add_kernels(d, p->graph, n, l);
    }
    return s;
}

static brume_status check(brume_device *d, const struct brume_plan *p, brume_device *reference,
                          void (*found)(void *ctx, const brume_finding *f), void *ctx, int *n_failed)
{
    struct list l = { 0 };
    brume_status s = list_all(d, p, &l);
    for (int from = 0; s == BRUME_OK && from < l.n; from += AT_ONCE) {
        const int n = l.n - from < AT_ONCE ? l.n - from : AT_ONCE;
        s = brume_known_run(d, reference, l.at + from, n);
        for (int i = from; s == BRUME_OK && i < from + n; i++) {
            *n_failed += !l.at[i].found.passed;
            l.at[i].found.of = l.n;
            found(ctx, &l.at[i].found);
        }
    }
    free(l.at);
    return s;
}

brume_status brume_device_check(brume_device *d, void (*found)(void *ctx, const brume_finding *f), void *ctx, int *n_failed)
{
    struct brume_self_test *t = d->self_test;
    const bool testing = t->testing, trial = d->trial;
    brume_graph *g = brume_graph_new();
    brume_plan *p = NULL;
    *n_failed = 0;
    if (!g) return brume_fail(BRUME_E_MEMORY, "self-test: out of memory");
    brume_check_cases(g);
    t->testing = d->trial = true;
    brume_status s = t->reference ? BRUME_OK : t->open_reference(&t->reference);
    if (s == BRUME_OK) s = brume_plan_new(d, g, &(brume_plan_options){ .dry = 1, .keep_all = 1 }, &p);
    if (s == BRUME_OK) s = check(d, p, t->reference, found, ctx, n_failed);
    t->testing = testing;
    d->trial = trial;
    brume_plan_free(p);
    brume_graph_free(g);
    return s;
}
