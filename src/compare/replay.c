/* SPDX-License-Identifier: MIT
 * One step of a plan again, alone: how exact its results can be at all, and which function of a chain is wrong. */
#include "compare/replay.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/ops.h"

/* inputs are moved by so much of their size: roundings of 2^-24 are small beside it, and so are second derivatives */
#define MOVE 0x1p-8f
#define ROUNDS 4           /* of random signs, for kernels that mix their inputs */

static brume_status no_memory(void) { return brume_fail(BRUME_E_MEMORY, "compare: out of host memory"); }

/* The step's functions up to number `upto` as a graph. */
struct replay {
    brume_graph *g;
    int n_in, n_factors;
    brume_tensor in[BRUME_FUSED_MAX_IN];                              /* BRUME_NONE: absent */
    brume_tensor factor[BRUME_FUSED_MAX_IN + BRUME_FUSED_MAX_OPS];    /* scalars: what each value of the chain is multiplied by */
    brume_tensor out[BRUME_MAX_OUT];
    const char *name;                                                 /* of the last function */
};

static brume_tensor with_factor(struct replay *r, brume_tensor t)
{
    char name[32];
    snprintf(name, sizeof name, "factor%d", r->n_factors);
    const brume_tensor f = r->factor[r->n_factors++] = brume_input(r->g, name, BRUME_F32, BRUME_SCALAR);
    return brume_mul(r->g, t, f);
}

/* Functions 0 .. upto of the step (of a kernel: 0 alone); with factors, for chains. */
static brume_status build(const struct brume_plan *p, int step, int upto, bool factors, struct replay *r)
{
    const struct brume_plan *a = p->twin[0];
    const struct brume_step *s = &a->steps[step];
    const struct brume_watch *w = p->watch;
    const brume_tensor *inputs = w->inputs + w->first_input[step];
    brume_tensor *map = malloc(((size_t)brume_graph_value_count(p->graph) + 1) * sizeof *map);
    *r = (struct replay){ .g = brume_graph_new(), .n_in = s->n_in };
    brume_status st = map && r->g && s->n_in <= BRUME_FUSED_MAX_IN ? BRUME_OK : no_memory();
    for (int j = 0; st == BRUME_OK && j < s->n_in; j++) {
        const struct brume_value *v = brume_value_of(p->graph, inputs[j]);
        char name[16];
        snprintf(name, sizeof name, "in%d", j);
        r->in[j] = v ? brume_input(r->g, name, v->dtype, v->shape) : BRUME_NONE;
        if (v) map[inputs[j]] = factors ? with_factor(r, r->in[j]) : r->in[j];
    }
    int n = 0;
    for (int i = s->fused ? 0 : s->node->index; st == BRUME_OK && i <= s->node->index && n <= upto; i++) {
        const struct brume_node *node = brume_graph_node(p->graph, i);
        brume_tensor in[BRUME_FUSED_MAX_IN];
        if (s->fused && (!a->needed[i] || a->group[i] != s->node->index)) continue;
        for (int j = 0; j < node->n_in; j++) {
            in[j] = s->fused ? map[node->in[j]] : r->in[j];
            /* a kernel that reads weights of f16 where the graph has their cast */
            if (!s->fused && r->in[j] != BRUME_NONE && inputs[j] != node->in[j]) in[j] = brume_cast(r->g, r->in[j], BRUME_F32);
        }
        r->out[0] = brume_node_add(r->g, node->op, node->n_in, in, node->attrs, node->attr_bytes);
        for (int k = 1; k < node->n_out; k++) r->out[k] = r->out[0] + k;
        r->name = node->op->name;
        if (factors) r->out[0] = with_factor(r, r->out[0]);
        map[node->out[0]] = r->out[0];
        n++;
    }
    free(map);
    if (st == BRUME_OK)
        for (int k = 0; k < s->node->n_out; k++) brume_output(r->g, r->out[k], NULL);
    return st == BRUME_OK && brume_graph_status(r->g) != BRUME_OK
               ? brume_fail(brume_graph_status(r->g), "compare: %s", brume_graph_error(r->g))
               : st;
}

/* The inputs of the step, as the reference had them. */
struct inputs { struct brume_host at[BRUME_FUSED_MAX_IN]; };

static brume_status get_inputs(struct brume_plan *p, int step, const struct replay *r, struct inputs *in)
{
    brume_status s = BRUME_OK;
    for (int j = 0; s == BRUME_OK && j < r->n_in; j++)
        if (r->in[j] != BRUME_NONE) s = brume_pair_input(p, step, j, &in->at[j]);
    return s;
}

static void free_inputs(struct inputs *in)
{
    for (int j = 0; j < BRUME_FUSED_MAX_IN; j++) brume_host_free(&in->at[j]);
}

static brume_status write_input(const struct replay *r, brume_plan *plan, int j, const float *x, const struct inputs *in)
{
    const struct brume_value *v = brume_value_of(r->g, r->in[j]);
    return brume_plan_write(plan, r->in[j], v->dtype == BRUME_F32 ? (const void *)x : in->at[j].raw,
                            (size_t)brume_plan_value_bytes(v));
}

static brume_status write_inputs(const struct replay *r, brume_plan *plan, const struct inputs *in)
{
    brume_status s = BRUME_OK;
    for (int j = 0; s == BRUME_OK && j < r->n_in; j++)
        if (r->in[j] != BRUME_NONE) s = write_input(r, plan, j, in->at[j].x, in);
    return s;
}

/* A fixed sequence of signs: SplitMix64. */
static float next_sign(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    return (z ^ (z >> 27)) >> 40 & 1 ? MOVE : -MOVE;
}

/* Inputs with f applied: 0: their magnitudes; else moved by random signs of round f. */
static brume_status write_changed(const struct replay *r, brume_plan *plan, const struct inputs *in, int round)
{
    brume_status s = BRUME_OK;
    uint64_t state = (uint64_t)round;
    for (int j = 0; s == BRUME_OK && j < r->n_in; j++) {
        const struct brume_value *v = brume_value_of(r->g, r->in[j]);
        const int64_t n = v ? brume_shape_numel(v->shape) : 0;
        if (v && v->dtype == BRUME_F16 && !round) { /* weights */
            uint16_t *half = (uint16_t *)in->at[j].raw;
            for (int64_t i = 0; i < n; i++) half[i] &= 0x7fff;
            s = write_input(r, plan, j, NULL, in);
        }
        if (!v || v->dtype != BRUME_F32) continue;
        float *x = malloc((size_t)n * sizeof *x);
        if (!x) return no_memory();
        for (int64_t i = 0; i < n; i++) x[i] = round ? in->at[j].x[i] * (1 + next_sign(&state)) : fabsf(in->at[j].x[i]);
        s = write_input(r, plan, j, x, in);
        free(x);
    }
    return s;
}

static brume_status run(const struct replay *r, brume_plan *plan, int result, float *y)
{
    const brume_status s = brume_plan_run(plan);
    const int64_t n = brume_shape_numel(brume_tensor_shape(r->g, r->out[result]));
    return s == BRUME_OK ? brume_plan_read(plan, r->out[result], y, (size_t)n * sizeof *y) : s;
}

/* terms: sum of how far the results move with every value of the chain, one after the other. */
static brume_status chain_terms(const struct replay *r, brume_plan *plan, const float *y, float *moved, float *terms)
{
    const int64_t n = brume_shape_numel(brume_tensor_shape(r->g, r->out[0]));
    const float one = 1, more = 1 + MOVE;
    brume_status s = BRUME_OK;
    for (int f = 0; s == BRUME_OK && f < r->n_factors; f++) {
        s = brume_plan_write(plan, r->factor[f], &more, sizeof more);
        if (s == BRUME_OK) s = run(r, plan, 0, moved);
        if (s == BRUME_OK) s = brume_plan_write(plan, r->factor[f], &one, sizeof one);
        for (int64_t i = 0; i < n; i++) {
            const float d = fabsf(moved[i] - y[i]) / MOVE;
            if (isfinite(d)) terms[i] += d;
        }
    }
    return s;
}

/* The farthest of some rounds; where signs cancel by chance in all of them, half of what is usual in the tensor stands in. */
static brume_status mixed_terms(const struct replay *r, brume_plan *plan, const struct inputs *in, int result, const float *y,
                                float *moved, float *terms)
{
    const int64_t n = brume_shape_numel(brume_tensor_shape(r->g, r->out[result]));
    double sum = 0;
    brume_status s = BRUME_OK;
    for (int round = 1; s == BRUME_OK && round <= ROUNDS; round++) {
        s = write_changed(r, plan, in, round);
        if (s == BRUME_OK) s = run(r, plan, result, moved);
        for (int64_t i = 0; s == BRUME_OK && i < n; i++) {
            const float d = fabsf(moved[i] - y[i]) / MOVE;
            if (isfinite(d) && d > terms[i]) terms[i] = d;
        }
    }
    for (int64_t i = 0; i < n; i++) sum += (double)terms[i] * terms[i];
    const float usual = 0.5f * (float)sqrt(sum / (double)n);
    for (int64_t i = 0; i < n; i++)
        if (terms[i] < usual) terms[i] = usual;
    return s;
}

static brume_status terms_of(struct brume_plan *p, int step, const struct replay *r, const struct inputs *in, int result,
                             float *terms)
{
    struct brume_pair *c = brume_pair_of(p->device);
    const struct brume_step *s = &p->twin[0]->steps[step];
    const int64_t n = brume_shape_numel(brume_tensor_shape(r->g, r->out[result]));
    /* Any device will do to measure sizes: the processor has nothing to compile. */
    brume_device *const d = c->side[1]->caps.opencl ? c->side[0] : c->side[1];
    brume_plan *plan = NULL;
    float *y = malloc((size_t)n * sizeof *y), *moved = malloc((size_t)n * sizeof *moved);
    brume_status st = y && moved ? brume_plan_new(d, r->g, NULL, &plan) : no_memory();
    const float one = 1;
    if (st == BRUME_OK) st = write_inputs(r, plan, in);
    for (int f = 0; st == BRUME_OK && f < r->n_factors; f++) st = brume_plan_write(plan, r->factor[f], &one, sizeof one);
    if (st == BRUME_OK && s->node->op->flags & BRUME_OP_TERMS) {
        st = write_changed(r, plan, in, 0);
        if (st == BRUME_OK) st = run(r, plan, result, terms);
        for (int64_t i = 0; i < n; i++) terms[i] = isfinite(terms[i]) ? fabsf(terms[i]) : 0;
    } else if (st == BRUME_OK && (st = run(r, plan, result, y)) == BRUME_OK) {
        st = s->fused ? chain_terms(r, plan, y, moved, terms) : mixed_terms(r, plan, in, result, y, moved, terms);
    }
    brume_plan_free(plan);
    free(y);
    free(moved);
    return st;
}

brume_status brume_replay_terms(struct brume_plan *p, int step, int result, float *terms)
{
    const struct brume_step *s = &p->twin[0]->steps[step];
    if (!s->fused && s->n_in > BRUME_FUSED_MAX_IN) return BRUME_OK; /* none has so many */
    struct replay r;
    struct inputs in = { 0 };
    brume_status st = build(p, step, BRUME_FUSED_MAX_OPS, s->fused != NULL, &r);
    if (st == BRUME_OK) st = get_inputs(p, step, &r, &in);
    if (st == BRUME_OK) st = terms_of(p, step, &r, &in, result, terms);
    brume_graph_free(r.g);
    free_inputs(&in);
    return st;
}

/* Functions 0 .. upto of a chain, fused as far as they are in earnest, on both devices: is the last one's result beyond its
 * bound? */
static brume_status judge_upto(struct brume_plan *p, int step, int upto, struct inputs *in, bool *fails, const char **name)
{
    struct brume_pair *c = brume_pair_of(p->device);
    struct replay r, measured = { 0 };
    float *x[2] = { NULL, NULL }, *terms = NULL;
    brume_status s = build(p, step, upto, false, &r);
    const size_t n = s == BRUME_OK ? (size_t)brume_shape_numel(brume_tensor_shape(r.g, r.out[0])) : 0;
    if (s == BRUME_OK && upto == 0) s = get_inputs(p, step, &r, in);
    for (int i = 0; s == BRUME_OK && i < 2; i++) {
        brume_plan *plan = NULL;
        x[i] = malloc(n * sizeof(float));
        s = x[i] ? brume_plan_new(c->side[i], r.g, &(brume_plan_options){ .no_fusion = c->options.no_fusion[i] }, &plan)
                 : no_memory();
        if (s == BRUME_OK) plan->side = (char)('a' + i);
        if (s == BRUME_OK) s = write_inputs(&r, plan, in);
        if (s == BRUME_OK) s = run(&r, plan, 0, x[i]);
        brume_plan_free(plan);
    }
    struct brume_verdict v = { 0 };
    if (s == BRUME_OK) {
        const struct brume_op *op = brume_value_of(r.g, r.out[0])->producer->op;
        brume_judge(x[0], x[1], (int64_t)n, brume_bound_of(op), NULL, NULL, &v);
        if (v.only_rounding && (terms = calloc(n, sizeof *terms))) {
            s = build(p, step, upto, true, &measured);
            if (s == BRUME_OK) s = terms_of(p, step, &measured, in, 0, terms);
            if (s == BRUME_OK) brume_judge(x[0], x[1], (int64_t)n, brume_bound_of(op), terms, NULL, &v);
        }
    }
    *fails = !(v.share <= 1);
    *name = r.name;
    brume_graph_free(r.g);
    brume_graph_free(measured.g);
    free(x[0]);
    free(x[1]);
    free(terms);
    return s;
}

brume_status brume_replay_culprit(struct brume_plan *p, int step, const char **culprit)
{
    const struct brume_step *s = &p->twin[0]->steps[step];
    struct inputs in = { 0 };
    brume_status st = BRUME_OK;
    *culprit = NULL;
    for (int i = 0; st == BRUME_OK && !*culprit && i < s->fused->n_ops; i++) {
        const char *name;
        bool fails;
        st = judge_upto(p, step, i, &in, &fails, &name);
        if (st == BRUME_OK && fails) *culprit = name;
    }
    free_inputs(&in);
    return st;
}
