/* SPDX-License-Identifier: MIT
 * Tests of every kernel that runs on a device. */
#include <stdlib.h>
#include <string.h>

#include "plan/known.h"
#include "plan/self_test.h"

/* The k-th of all choices for a node: variants by their rules, each followed by its rows; false past the end. */
static bool nth_choice(const struct brume_device *d, const struct brume_node *n, int k, struct brume_choice *out)
{
    for (const struct brume_variant *v = n->op->kernels; v && v->name; v++) {
        if (!brume_variant_runs(v, n, &d->caps)) continue;
        for (int row = 0; row <= (v->rows && d->caps.opencl ? v->rows->n : 0); row++) {
            if (row && !v->rows->fits(row, &d->caps)) continue;
            *out = (struct brume_choice){ v, row };
            if (k-- == 0) return true;
        }
    }
    return false;
}

/* The tests of round k: one choice for each node, so that one plan runs all of them. p: knows the nodes that are chains. */
static int round_of(const struct brume_device *d, const struct brume_plan *p, int k, struct brume_known *tests)
{
    int n = 0;
    for (int i = 0; i < brume_graph_node_count(p->graph); i++) {
        const struct brume_node *node = brume_graph_node(p->graph, i);
        struct brume_known t = { .node = node, .constant = -1, .keep_size = true };
        if (node->op->flags & BRUME_OP_ALIAS) continue;
        if (node->op->ew ? k > 0 : !nth_choice(d, node, k, &t.choice)) continue;
        if (node->op->ew) t.plan = p;
        /* Weights that are packed once, and those that are packed before every run, are tested in turn. */
        if (!node->op->ew && t.choice.variant->pack_bytes && (i + k) % 2) t.constant = t.choice.variant->pack_input;
        tests[n++] = t;
    }
    return n;
}

static brume_status check(brume_device *d, const struct brume_plan *p, brume_device *reference, void (*found)(void *ctx, const brume_finding *f), void *ctx, int *n_failed)
{
    struct brume_known *tests = calloc((size_t)brume_graph_node_count(p->graph) + 1, sizeof *tests);
    brume_status s = tests ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "self-test: out of memory");
    int n = 1;
    for (int k = 0; s == BRUME_OK && n > 0; k++) {
        n = round_of(d, p, k, tests);
        s = brume_known_run(d, reference, tests, n);
        for (int i = 0; s == BRUME_OK && i < n; i++) {
            *n_failed += !tests[i].found.passed;
            found(ctx, &tests[i].found);
        }
    }
    free(tests);
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
