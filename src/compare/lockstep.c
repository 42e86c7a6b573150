/* SPDX-License-Identifier: MIT
 * Running two plans of one graph side by side: after every step that both have, its results are compared; in resync mode the
 * second side then takes over the first one's. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/compare.h"
#include "compare/replay.h"

#define POISON 0x7fc07fc0u /* a NaN: results hold it before a kernel runs, so that what it leaves out shows */
#define DRIFT 1e-3         /* of the rms of a tensor: roundings grow along a network by factors of up to some thousands */

static brume_status no_memory(void) { return brume_fail(BRUME_E_MEMORY, "compare: out of host memory"); }

/* Input j of a kernel: one for weights of f16 reads what the graph casts. */
static brume_tensor read_by(const struct brume_step *s, int j)
{
    const struct brume_value *v = s->node->in_v[j];
    return v && s->variant->half && s->variant->pack_input == j ? v->producer->in[0] : s->node->in[j];
}

brume_status brume_pair_made(struct brume_plan *p)
{
    const struct brume_plan *a = p->twin[0];
    size_t most = 1;
    for (int i = 0; i < a->n_steps; i++) most += (size_t)a->steps[i].n_in;
    struct brume_watch *w = p->watch = calloc(1, sizeof *w);
    if (!w) return no_memory();
    w->node = malloc(((size_t)a->n_steps + 1) * sizeof *w->node);
    w->first_input = malloc(((size_t)a->n_steps + 1) * sizeof *w->first_input);
    w->inputs = malloc((most + BRUME_FUSED_MAX_IN) * sizeof *w->inputs);
    if (!w->node || !w->first_input || !w->inputs) return no_memory();
    int n = 0;
    for (int i = 0; i < a->n_steps; i++) {
        const struct brume_step *s = &a->steps[i];
        struct brume_fused f;
        brume_status st = BRUME_OK;
        w->node[i] = -1;
        w->first_input[i] = n;
        if (s->fused) st = brume_plan_describe_chain(a, s->node->index, &f, w->inputs + n);
        else for (int j = 0; j < s->n_in; j++) w->inputs[n + j] = read_by(s, j);
        if (st != BRUME_OK) return st;
        n += s->n_in;
    }
    return BRUME_OK;
}

void brume_pair_freed(struct brume_plan *p)
{
    struct brume_watch *w = p->watch;
    if (!w) return;
    free(w->node);
    free(w->first_input);
    free(w->inputs);
    free(w);
}

struct range { int slot; uint64_t from, to; };

static struct range range_of(struct brume_place at, uint64_t bytes)
{
    return (struct range){ at.slot, at.offset, at.offset + bytes };
}

static bool overlap(struct range a, struct range b) { return a.slot >= 0 && a.slot == b.slot && a.from < b.to && b.from < a.to; }

/* Input j of step i of side 0, or of the same step of side 1, which has the same inputs. */
static struct range input_range(const struct brume_plan *p, const struct brume_step *s, int i, int j)
{
    const struct brume_watch *w = p->watch;
    const struct brume_value *v = brume_value_of(p->graph, w->inputs[w->first_input[i] + j]);
    return v ? range_of(s->in[j], brume_plan_value_bytes(v)) : (struct range){ -1, 0, 0 };
}

/* Does the step write result k over one of its inputs? */
static bool in_place(const struct brume_plan *p, const struct brume_step *s, int i, int k)
{
    const struct range out = range_of(s->out[k], brume_plan_value_bytes(s->node->out_v[k]));
    for (int j = 0; j < s->n_in; j++)
        if (overlap(out, input_range(p, s, i, j))) return true;
    return false;
}

static brume_status poison(const struct brume_plan *p, const struct brume_plan *side, const struct brume_step *s, int i)
{
    brume_status st = BRUME_OK;
    for (int k = 0; st == BRUME_OK && k < s->n_out; k++) {
        const size_t bytes = (size_t)brume_plan_value_bytes(s->node->out_v[k]) / 4 * 4;
        if (s->out[k].slot >= 0 && bytes && !in_place(p, s, i, k))
            st = side->device->backend->fill(side->buffers[s->out[k].slot], (size_t)s->out[k].offset, bytes, POISON);
    }
    return st;
}

/* Keeps what the step is about to overwrite: what a result is judged by, if its own size does not tell. */
static brume_status keep_inputs(struct brume_plan *p, int i)
{
    struct brume_pair *c = brume_pair_of(p->device);
    const struct brume_plan *a = p->twin[0];
    const struct brume_step *s = &a->steps[i];
    const struct brume_watch *w = p->watch;
    brume_status st = BRUME_OK;
    for (int j = 0; st == BRUME_OK && j < s->n_in && j < BRUME_FUSED_MAX_IN; j++) {
        bool over = !s->fused && j < 32 && s->node->op->updates >> j & 1;
        const struct range in = input_range(p, s, i, j);
        for (int k = 0; k < s->n_out; k++)
            over = over || overlap(in, range_of(s->out[k], brume_plan_value_bytes(s->node->out_v[k])));
        if (!over || (s->node->op->flags & BRUME_OP_PACK)) continue;
        st = brume_host_read(&c->before[j], a, brume_value_of(p->graph, w->inputs[w->first_input[i] + j]), s->in[j]);
    }
    return st;
}

brume_status brume_pair_input(struct brume_plan *p, int i, int j, struct brume_host *h)
{
    struct brume_pair *c = brume_pair_of(p->device);
    const struct brume_plan *a = p->twin[0];
    const struct brume_step *s = &a->steps[i];
    const struct brume_watch *w = p->watch;
    const struct brume_value *v = brume_value_of(p->graph, w->inputs[w->first_input[i] + j]);
    const struct range in = input_range(p, s, i, j);
    for (int k = 0; k < s->n_out; k++)
        if (overlap(in, range_of(s->out[k], brume_plan_value_bytes(s->node->out_v[k])))) {
            const size_t bytes = (size_t)brume_plan_value_bytes(v);
            if (!(h->x = malloc(bytes))) return no_memory();
            h->x_cap = bytes;
            memcpy(h->x, c->before[j].x, bytes); /* what is overwritten is f32 */
            return BRUME_OK;
        }
    return brume_host_read(h, a, v, s->in[j]);
}

static brume_compare_node *add_node(struct brume_pair *c)
{
    if (c->n == c->cap) {
        const int cap = c->cap ? 2 * c->cap : 256;
        brume_compare_node **grown = realloc(c->nodes, (size_t)cap * sizeof *grown);
        if (!grown) return NULL;
        c->nodes = grown;
        c->cap = cap;
    }
    return c->nodes[c->n] = calloc(1, sizeof **c->nodes);
}

/* The record of step i, made when it first runs. */
static brume_compare_node *node_of(struct brume_plan *p, int i, const struct brume_step *b)
{
    struct brume_pair *c = brume_pair_of(p->device);
    struct brume_watch *w = p->watch;
    if (w->node[i] >= 0) return c->nodes[w->node[i]];
    brume_compare_node *n = add_node(c);
    if (!n) return NULL;
    w->node[i] = c->n++;
    brume_plan_step side[2];
    const struct brume_tolerance *row;
    brume_plan_get_step(p->twin[0], i, &side[0]);
    brume_plan_get_step(p->twin[1], (int)(b - p->twin[1]->steps), &side[1]);
    const struct brume_bound bound = brume_bound_of_step(p->twin[0], &p->twin[0]->steps[i], &row);
    memcpy(n->op, side[0].op, sizeof n->op);
    snprintf(n->name, sizeof n->name, "%.127s", side[0].name);
    memcpy(n->shapes, side[0].shapes, sizeof n->shapes);
    for (int k = 0; k < 2; k++) memcpy(n->kernel[k], side[k].kernel, sizeof n->kernel[k]);
    memcpy(n->phase, c->phase, sizeof n->phase);
    n->tolerance = row->name;
    n->reason = row->reason;
    n->rel = bound.rel > 0 ? row->rel : row->abs;
    if (c->options.mode == BRUME_COMPARE_DRIFT) {
        n->tolerance = "drift";
        n->reason = "roundings of all nodes before";
        n->rel = DRIFT;
    }
    return n;
}

/* "[0, 3, 7, 12] of 2x8x8x32" */
static void place_text(brume_shape s, int64_t index, char text[96])
{
    char shape[96];
    int64_t at[BRUME_MAX_DIMS];
    size_t used = 0;
    for (int i = s.ndim - 1; i >= 0; i--) {
        at[i] = index % s.d[i];
        index /= s.d[i];
    }
    text[0] = 0;
    for (int i = 0; i < s.ndim && used < 60; i++)
        used += (size_t)snprintf(text + used, 96 - used, "%s%lld", i ? ", " : "[", (long long)at[i]);
    snprintf(text + used, 96 - used, s.ndim ? "] of %.30s" : "the scalar", brume_shape_text(s, shape));
}

static brume_status note(struct brume_plan *p, int i, brume_compare_node *n, const struct brume_verdict *v,
                         const struct brume_value *value, int result)
{
    struct brume_pair *c = brume_pair_of(p->device);
    n->values += brume_shape_numel(value->shape);
    n->not_finite += v->not_finite;
    n->relative = fmax(n->relative, v->relative);
    n->ulp = fmax(n->ulp, v->ulp);
    if (n->failed || (v->share <= n->share && n->runs)) return BRUME_OK; /* of one that fails the first failure is kept */
    if (v->share < n->share) return BRUME_OK;
    n->share = v->share;
    n->result = result;
    n->index = v->index;
    n->a = v->a;
    n->b = v->b;
    n->allowed = v->allowed;
    n->beyond = v->beyond;
    place_text(value->shape, v->index, n->place);
    if (v->share <= 1) return BRUME_OK;
    n->failed = 1;
    memcpy(n->phase, c->phase, sizeof n->phase);
    if (c->first < 0) c->first = ((struct brume_watch *)p->watch)->node[i];
    const struct brume_step *s = &p->twin[0]->steps[i];
    const char *culprit = NULL;
    const brume_status st = s->fused && s->fused->n_ops > 1 && c->options.mode == BRUME_COMPARE_RESYNC
                                ? brume_replay_culprit(p, i, &culprit)
                                : BRUME_OK;
    if (culprit) snprintf(n->culprit, sizeof n->culprit, "%.63s", culprit);
    return st;
}

/* Compares one tensor that step i has just computed on both sides, and in resync mode brings side 1 to the values of side 0. */
static brume_status judge(struct brume_plan *p, int i, brume_compare_node *n, const struct brume_value *v,
                          struct brume_place at_a, struct brume_place at_b, int result, const float *before)
{
    struct brume_pair *c = brume_pair_of(p->device);
    const struct brume_plan *a = p->twin[0], *b = p->twin[1];
    const bool drift = c->options.mode == BRUME_COMPARE_DRIFT;
    const int64_t count = brume_shape_numel(v->shape);
    struct brume_verdict verdict = { 0 };
    brume_status s = brume_host_read(&c->a, a, v, at_a);
    if (s == BRUME_OK) s = brume_host_read(&c->b, b, v, at_b);
    if (s != BRUME_OK) return s;
    const struct brume_tolerance *row;
    const struct brume_bound bound = brume_bound_of_step(a, &a->steps[i], &row);
    if (drift) brume_judge_whole(c->a.x, c->b.x, count, DRIFT, NULL, &verdict);
    else brume_judge(c->a.x, c->b.x, count, bound, NULL, before, &verdict);
    if (verdict.only_rounding && !before) {
        float *terms = calloc((size_t)count, sizeof *terms);
        if (!terms) return no_memory();
        s = brume_replay_terms(p, i, result, terms);
        if (s == BRUME_OK && drift) brume_judge_whole(c->a.x, c->b.x, count, DRIFT, terms, &verdict);
        else if (s == BRUME_OK) brume_judge(c->a.x, c->b.x, count, bound, terms, NULL, &verdict);
        n->cancels = n->cancels || verdict.share <= 1;
        free(terms);
    }
    const void *values = v->dtype == BRUME_F32 ? (const void *)c->a.x : c->a.raw;
    if (s == BRUME_OK) s = note(p, i, n, &verdict, v, result);
    if (s == BRUME_OK && !drift)
        s = b->device->backend->write(b->buffers[at_b.slot], (size_t)at_b.offset, values, (size_t)brume_plan_value_bytes(v));
    return s;
}

/* Step ia of side 0 and ib of side 1 end at the same node. */
static brume_status both(struct brume_plan *p, int ia, int ib)
{
    struct brume_plan *a = p->twin[0], *b = p->twin[1];
    struct brume_pair *c = brume_pair_of(p->device);
    const struct brume_step *sa = &a->steps[ia], *sb = &b->steps[ib];
    brume_status s = keep_inputs(p, ia);
    if (s == BRUME_OK) s = poison(p, a, sa, ia);
    if (s == BRUME_OK) s = poison(p, b, sb, ia);
    if (s == BRUME_OK) s = brume_plan_run_step(a, ia);
    if (s == BRUME_OK) s = brume_plan_run_step(b, ib);
    if (s != BRUME_OK) return s;
    brume_compare_node *n = node_of(p, ia, sb);
    if (!n) return no_memory();
    for (int k = 0; s == BRUME_OK && k < sa->n_out; k++)
        if (sa->out[k].slot >= 0 && sb->out[k].slot >= 0)
            s = judge(p, ia, n, sa->node->out_v[k], sa->out[k], sb->out[k], k, NULL);
    int result = 0;
    for (int j = 0; s == BRUME_OK && !sa->fused && j < sa->n_in && j < 32; j++) {
        if (!(sa->node->op->updates >> j & 1) || !sa->node->in_v[j]) continue;
        s = judge(p, ia, n, sa->node->in_v[j], sa->in[j], sb->in[j], result++, j < BRUME_FUSED_MAX_IN ? c->before[j].x : NULL);
    }
    n->runs++;
    return s;
}

static void count_apart(struct brume_plan *p, int side, const struct brume_step *s)
{
    struct brume_pair *c = brume_pair_of(p->device);
    struct brume_watch *w = p->watch;
    if (w->counted) return;
    if (c->apart++ == 0)
        snprintf(c->apart_text, sizeof c->apart_text, "%s '%.100s', which side %s alone runs", s->node->op->name, s->node->name,
                 side ? "B" : "A");
}

brume_status brume_pair_run(struct brume_plan *p, int from, int to)
{
    struct brume_plan *a = p->twin[0], *b = p->twin[1];
    struct brume_watch *w = p->watch;
    if (p->options.dry) return brume_fail(BRUME_E_ARG, "plan: cannot run: it was made dry");
    const int after = from > 0 ? a->steps[from - 1].node->index : -1, last = to >= a->n_steps ? INT_MAX
                                                                             : to > 0         ? a->steps[to - 1].node->index
                                                                                              : -1;
    int ia = from, ib = 0;
    brume_status s = BRUME_OK;
    while (ib < b->n_steps && b->steps[ib].node->index <= after) ib++;
    while (s == BRUME_OK) {
        const int na = ia < to ? a->steps[ia].node->index : INT_MAX;
        const int nb = ib < b->n_steps && b->steps[ib].node->index <= last ? b->steps[ib].node->index : INT_MAX;
        if (na == INT_MAX && nb == INT_MAX) break;
        if (na == nb) {
            s = both(p, ia++, ib++);
        } else if (na < nb) {
            count_apart(p, 0, &a->steps[ia]);
            s = brume_plan_run_step(a, ia++);
        } else {
            count_apart(p, 1, &b->steps[ib]);
            s = brume_plan_run_step(b, ib++);
        }
    }
    w->counted = w->counted || to >= a->n_steps;
    return s;
}
