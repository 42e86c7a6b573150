/* SPDX-License-Identifier: MIT
 * Plans: telling a reader what their steps are. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "plan/plan.h"
#include "plan/twin.h"
#include "plan/variants.h"

/* Appends to text of `size` bytes, cutting what does not fit. */
static void append(char *text, size_t size, const char *fmt, ...) BRUME_PRINTF(3, 4);
static void append(char *text, size_t size, const char *fmt, ...)
{
    const size_t used = strlen(text);
    va_list args;
    va_start(args, fmt);
    vsnprintf(text + used, size - used, fmt, args);
    va_end(args);
}

static void add_shape(brume_plan_step *out, const char *before, const struct brume_value *v)
{
    char text[96];
    append(out->shapes, sizeof out->shapes, "%s%s", before, v ? brume_shape_text(v->shape, text) : "-");
    if (v) out->bytes += (double)brume_plan_value_bytes(v);
}

/* The inputs of a chain are known by their strides alone: one that repeats shows the axes along which it does not. */
static void add_chain_input(brume_plan_step *out, const char *before, const struct brume_fused *f, int k)
{
    double numel = 1;
    append(out->shapes, sizeof out->shapes, "%s", before);
    for (int i = 0; i < f->ndim; i++) {
        const int64_t d = f->stride[k][i] ? f->dims[i] : 1;
        append(out->shapes, sizeof out->shapes, i ? "x%lld" : "%lld", (long long)d);
        numel *= (double)d;
    }
    out->bytes += 4 * numel;
}

int brume_plan_step_count(const brume_plan *p) { return brume_plan_first(p)->n_steps; }

int brume_plan_step_of(const brume_plan *p, brume_tensor t)
{
    p = brume_plan_first(p);
    for (int i = 0; i < p->n_steps; i++)
        for (int k = 0; k < p->steps[i].node->n_out; k++)
            if (p->steps[i].node->out[k] == t) return i;
    return -1;
}

/* Does t lie in bytes from .. to of root? */
static bool lies_in(const struct brume_plan *p, brume_tensor t, brume_tensor root, uint64_t from, uint64_t to)
{
    const struct brume_value_plan *v = &p->values[t];
    return v->root == root && v->offset < to && v->offset + brume_plan_value_bytes(brume_value_of(p->graph, t)) > from;
}

int brume_plan_steps_until(const brume_plan *p, brume_tensor t, int64_t first, int64_t n)
{
    const struct brume_value *v = brume_value_of(p->graph, t);
    const uint64_t size = v ? (uint64_t)brume_dtype_bytes(v->dtype) : 0, from = (uint64_t)first * size,
                   to = from + (uint64_t)n * size;
    for (int i = v ? p->n_steps : 0; i > 0; i--) {
        const struct brume_node *step = p->steps[i - 1].node;
        for (int j = 0; j < step->n_in && j < 32; j++)
            if (step->op->updates >> j & 1 && lies_in(p, step->in[j], t, from, to)) return i;
        for (int k = 0; k < step->n_out; k++)
            if (lies_in(p, step->out[k], t, from, to)) return i;
    }
    return 0;
}

void brume_plan_get_step(const brume_plan *p, int i, brume_plan_step *out)
{
    p = brume_plan_first(p);
    const struct brume_step *s = &p->steps[i];
    const struct brume_node *n = s->node;
    *out = (brume_plan_step){ .name = n->name, .tuned = s->tuned != 0 };
    if (s->fused) {
        snprintf(out->kernel, sizeof out->kernel, "%s", s->fused->n_ops > 1 ? "chain" : "single");
        for (int k = 0; k <= n->index; k++)
            if (p->needed[k] && p->group[k] == n->index)
                append(out->op, sizeof out->op, "%s%s", *out->op ? "+" : "", brume_graph_node(p->graph, k)->op->name);
        for (int k = 0; k < s->fused->n_in; k++) add_chain_input(out, k ? ", " : "", s->fused, k);
        out->flops = (double)brume_shape_numel(n->out_v[0]->shape) * s->fused->n_ops;
    } else {
        brume_choice_name((struct brume_choice){ s->variant, s->row }, out->kernel);
        append(out->op, sizeof out->op, "%s", n->op->name);
        for (int j = 0; j < n->n_in; j++) add_shape(out, j ? ", " : "", n->in_v[j]);
        out->flops = n->op->flops ? n->op->flops(n) : 0;
        for (int k = 0; !n->op->flops && k < n->n_out; k++) out->flops += (double)brume_shape_numel(n->out_v[k]->shape);
    }
    for (int k = 0; k < n->n_out; k++) add_shape(out, k ? ", " : " -> ", n->out_v[k]);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

uint64_t brume_plan_tuning(const brume_plan *p) { return brume_plan_first(p)->tuning; }

brume_status brume_plan_hash_tuning(struct brume_plan *p)
{
    uint64_t *all = malloc(((size_t)p->stats.tuned + 1) * sizeof *all);
    size_t n = 0, distinct = 0;
    if (!all) return brume_fail(BRUME_E_MEMORY, "plan: out of host memory");
    for (int i = 0; i < p->n_steps; i++)
        if (p->steps[i].tuned) all[n++] = p->steps[i].tuned;
    qsort(all, n, sizeof *all, by_value);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || all[i] != all[i - 1]) all[distinct++] = all[i];
    p->tuning = n ? brume_fnv1a(all, distinct * sizeof *all) | 1 : 0;
    free(all);
    return BRUME_OK;
}

void brume_plan_describe(const brume_plan *p, void (*line)(void *ctx, const char *text), void *ctx)
{
    p = brume_plan_first(p);
    for (int i = 0; i < p->n_steps; i++) {
        const struct brume_node *n = p->steps[i].node;
        char shape[96] = "", text[512];
        brume_plan_step s;
        brume_plan_get_step(p, i, &s);
        if (n->n_out) brume_shape_text(n->out_v[0]->shape, shape);
        snprintf(text, sizeof text, "%-18s %-12s %-20s %9.2f MFLOP  %s%s", n->op->name, s.kernel, shape, s.flops / 1e6, n->name,
                 s.tuned ? " (tuned)" : "");
        line(ctx, text);
    }
}
