/* SPDX-License-Identifier: MIT
 * The tuner: what plans are made of, and the search for the fastest kernel of each step. */
#include "plan/tuner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/cl_launch.h"

#define MOST 48             /* candidates of a node */
#define ROUNDS 31
#define LEAST_ROUNDS 5      /* below, nothing is decided */
#define HOPELESS 2.0        /* so much slower than the best at its first run: no rounds, and no other rows of its variant, */
#define FAILURES 2          /* and after so many nodes of an op the variant is not tried any more there */
#define MOST_FAILED 64
#define BEHIND 1.15         /* slower than the best after LEAST_ROUNDS: no more rounds */
#define GAIN 0.95           /* of the rule's time: what is not faster than that may be noise, or another state of the caches */
#define FIRST_SHARE 0.3     /* of the budget for finding out what takes most of the time */

brume_status brume_tuner_new(brume_device *d, brume_tuner **out)
{
    *out = NULL;
    if (d->tuner) return brume_fail(BRUME_E_ARG, "tuning: the device has a tuner already");
    struct brume_tuner *t = calloc(1, sizeof *t);
    if (!t) return brume_fail(BRUME_E_MEMORY, "tuning: out of memory");
    t->device = d;
    d->tuner = *out = t;
    return BRUME_OK;
}

void brume_tuner_free(brume_tuner *t)
{
    if (!t) return;
    t->device->tuner = NULL;
    for (int i = 0; i < t->n; i++) {
        brume_graph_free(t->noted[i].graph);
        free(t->noted[i].key);
    }
    for (int j = 0; j < BRUME_TUNER_IN; j++) brume_buffer_free(t->input[j]);
    brume_buffer_free(t->others);
    free(t->numbers);
    free(t->noted);
    free(t);
}

/* How much a variant promises: 0: made for such a node and device, 1: for others, 2: for nothing in particular. */
static int rank(const struct brume_variant *v, const struct brume_node *n, const struct brume_caps *c)
{
    return !v->suits ? 2 : !v->suits(n, c);
}

static bool same_launch(const struct brume_cl_launch *a, const struct brume_cl_launch *b)
{
    bool same =
        !strcmp(a->defines, b->defines) && a->kernel && b->kernel && !strcmp(a->kernel, b->kernel) && a->n_args == b->n_args;
    for (int i = 0; i < 3; i++) same = same && a->global[i] == b->global[i] && a->local[i] == b->local[i];
    for (int i = 0; same && i < a->n_args; i++)
        same = a->args[i].kind == b->args[i].kind && a->args[i].index == b->args[i].index && a->args[i].f == b->args[i].f;
    return same;
}

/* Is this row the one that the variant's rule takes for the node anyway? */
static bool is_rules_row(const struct brume_variant *v, const struct brume_node *n, const struct brume_caps *device, int row)
{
    struct brume_cl_list by_rule = { 0 }, by_row = { 0 };
    struct brume_caps c = *device;
    c.row = 0;
    v->cl(n, &c, &by_rule);
    c.row = row;
    v->cl(n, &c, &by_row);
    bool same = by_rule.n == by_row.n && by_rule.status == BRUME_OK && by_row.status == BRUME_OK;
    for (int i = 0; same && i < by_rule.n; i++) same = same_launch(&by_rule.at[i], &by_row.at[i]);
    free(by_rule.at);
    free(by_row.at);
    return same;
}

/* All that can compute the node, the most promising first: variants by their rules, and then by their rows. */
static int candidates(const struct brume_node *n, const struct brume_caps *c, struct brume_choice list[MOST])
{
    int count = 0;
    for (int step = 0; step < 6; step++)
        for (const struct brume_variant *v = n->op->kernels; v && v->name; v++) {
            if (!brume_variant_runs(v, n, c) || rank(v, n, c) != step % 3) continue;
            if (step < 3 && count < MOST) list[count++] = (struct brume_choice){ v, 0 };
            for (int row = 1; step >= 3 && v->rows && row <= v->rows->n && count < MOST; row++)
                if (v->rows->fits(row, c) && !(c->opencl && is_rules_row(v, n, c, row)))
                    list[count++] = (struct brume_choice){ v, row };
        }
    return count;
}

/* The node alone, with the same shapes, attributes and constant inputs. */
static brume_status copy_node(struct brume_noted *to, const struct brume_node *n, uint32_t constant)
{
    static const char *const names[BRUME_TUNER_IN] = { "in0", "in1", "in2", "in3", "in4", "in5", "in6", "in7" };
    brume_graph *g = to->graph = brume_graph_new();
    if (!g) return brume_fail(BRUME_E_MEMORY, "tuning: out of memory");
    for (int j = 0; j < n->n_in; j++) {
        const struct brume_value *v = n->in_v[j];
        to->in[j] = !v ? BRUME_NONE : (constant >> j & 1 ? brume_persistent : brume_input)(g, names[j], v->dtype, v->shape);
    }
    brume_node_add(g, n->op, n->n_in, to->in, n->attrs, n->attr_bytes);
    if (brume_graph_status(g) != BRUME_OK) return brume_fail(brume_graph_status(g), "tuning: %s", brume_graph_error(g));
    to->node = brume_graph_node(g, 0);
    for (int k = 0; k < n->n_out; k++) brume_output(g, to->node->out[k], NULL);
    return BRUME_OK;
}

brume_status brume_tuner_note(struct brume_tuner *t, const struct brume_node *n, uint32_t constant, const char *key,
                              struct brume_choice rule)
{
    struct brume_choice list[MOST];
    const int count = n->n_in <= BRUME_TUNER_IN ? candidates(n, &t->device->caps, list) : 0;
    if (count < 2) return BRUME_OK;
    const double flops = n->op->flops ? n->op->flops(n) : (double)brume_shape_numel(n->out_v[0]->shape);
    for (int i = 0; i < t->n; i++) {
        if (strcmp(t->noted[i].key, key)) continue;
        t->noted[i].step.count++;
        t->noted[i].flops += flops;
        return BRUME_OK;
    }
    if (t->n == t->cap) {
        const int cap = t->cap ? 2 * t->cap : 64;
        struct brume_noted *grown = realloc(t->noted, (size_t)cap * sizeof *grown);
        if (!grown) return brume_fail(BRUME_E_MEMORY, "tuning: out of memory");
        t->noted = grown;
        t->cap = cap;
    }
    struct brume_noted *new = &t->noted[t->n];
    *new = (struct brume_noted){
        .key = strdup(key), .rule = rule, .flops = flops, .step = { .op = n->op->name, .count = 1, .candidates = count }
    };
    brume_status s = new->key ? copy_node(new, n, constant) : brume_fail(BRUME_E_MEMORY, "tuning: out of memory");
    if (s != BRUME_OK) {
        brume_graph_free(new->graph);
        free(new->key);
        return s;
    }
    new->step.shapes = new->key + strlen(n->op->name) + 1;
    brume_choice_name(rule, new->step.rule);
    brume_choice_name(rule, new->step.best);
    t->n++;
    return BRUME_OK;
}

int brume_tuner_count(const brume_tuner *t) { return t->n; }
void brume_tuner_get(const brume_tuner *t, int i, brume_tuner_step *out) { *out = t->noted[i].step; }

/* One that is compared with others. */
struct runner {
    struct brume_choice choice;
    brume_plan *plan;        /* NULL: it is out */
    int n;
    double ms[ROUNDS];
};

struct search {
    struct brume_tuner *t;
    const brume_tuner_options *o;
    double begin, end;
    int done;
    bool stopped;
    struct { const struct brume_variant *variant; int times; } failed[MOST_FAILED];
};

/* Counts of hopeless attempts: every compilation takes time from the budget. */
static int *failures(struct search *s, const struct brume_variant *v)
{
    int i = 0;
    while (i < MOST_FAILED - 1 && s->failed[i].variant && s->failed[i].variant != v) i++;
    s->failed[i].variant = v;
    return &s->failed[i].times;
}

static bool over(const struct search *s) { return s->stopped || brume_tuner_now() >= s->end; }

static void tell(struct search *s, const struct brume_noted *n, struct brume_choice k)
{
    char name[BRUME_CHOICE_NAME] = "";
    if (!s->o->progress) return;
    if (n) brume_choice_name(k, name);
    const brume_tuner_progress p = { s->done, s->t->n, brume_tuner_now() - s->begin, n ? n->step.op : "", name };
    if (s->o->progress(s->o->ctx, &p)) s->stopped = true;
}

/* A plan that has run once, which compiles and packs, and the time of a run after that. */
static brume_status start(struct search *s, const struct brume_noted *n, struct brume_choice k, const brume_plan *arena,
                          brume_plan **plan, double *ms)
{
    tell(s, n, k);
    brume_status st = brume_tuner_plan(s->t, n, k, arena, plan);
    double again = 0;
    if (st == BRUME_OK) st = brume_plan_run(*plan);
    if (st == BRUME_OK) st = brume_tuner_time(s->t, n, *plan, ms);
    if (st == BRUME_OK) st = brume_tuner_time(s->t, n, *plan, &again);
    if (again < *ms) *ms = again;
    if (st == BRUME_OK) return st;
    brume_plan_free(*plan);
    *plan = NULL;
    return st;
}

static int by_time(const void *a, const void *b)
{
    const struct brume_noted *x = a, *y = b;
    const double tx = x->step.rule_ms * x->step.count, ty = y->step.rule_ms * y->step.count;
    return tx != ty ? (tx < ty) - (tx > ty) : (x->flops < y->flops) - (x->flops > y->flops);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The time below which this part of the rounds lies. */
static double quantile(const struct runner *r, double part)
{
    double ms[ROUNDS];
    memcpy(ms, r->ms, sizeof ms);
    qsort(ms, (size_t)r->n, sizeof *ms, by_value);
    return ms[(int)(part * r->n)];
}

/*
 * The fastest fifth: other work on the machine comes and goes, and while it is there a kernel of several passes, each of which
 * waits for the slowest thread, looks worse than it is. A median would measure that.
 */
static double typical(const struct runner *r) { return quantile(r, 0.2); }

/* Is a clearly faster than b, and not only at times? */
static bool beats(const struct runner *a, const struct runner *b)
{
    return typical(a) < GAIN * typical(b) && quantile(a, 0.5) < quantile(b, 0.5);
}

/* Fills list with what is worth comparing, the rule's choice first. *all_tried: false if `end` came before. */
static brume_status line_up(struct search *s, struct brume_noted *n, double end, struct runner list[MOST], int *count,
                            bool *all_tried)
{
    struct brume_choice all[MOST];
    const int n_all = candidates(n->node, &s->t->device->caps, all);
    const struct brume_variant *hopeless[MOST];
    int n_hopeless = 0;
    double ms, best;
    list[0] = (struct runner){ .choice = n->rule };
    *count = 1;
    brume_status st = start(s, n, n->rule, NULL, &list[0].plan, &best);
    if (st != BRUME_OK) return st;
    n->step.rule_ms = n->step.best_ms = best;
    n->step.tried = 1;
    for (int i = 0; i < n_all && *count < MOST; i++) {
        struct runner *r = &list[*count];
        const struct brume_variant *v = all[i].variant;
        const bool by_rule = all[i].row == 0, rules = v == n->rule.variant;
        bool out = rules ? all[i].row == n->rule.row : *failures(s, v) >= FAILURES;
        for (int k = 0; k < n_hopeless; k++) out = out || v == hopeless[k];
        if (out) continue;
        if (over(s) || brume_tuner_now() >= end) {
            *all_tried = false;
            return BRUME_OK;
        }
        *r = (struct runner){ .choice = all[i] };
        st = start(s, n, all[i], list[0].plan, &r->plan, &ms);
        if (st == BRUME_OK) n->step.tried++;
        if (st == BRUME_OK && ms <= HOPELESS * best) {
            (*count)++;
            if (by_rule) *failures(s, v) = 0;
            if (ms < best) best = ms;
            continue;
        }
        /* Here, too: a kernel that this device cannot compile or run. */
        if (by_rule && !rules) hopeless[n_hopeless++] = v;
        if (by_rule && !rules) ++*failures(s, v);
        brume_plan_free(r->plan);
        r->plan = NULL;
    }
    return BRUME_OK;
}

/* Rounds in which every one left has its turn, for at most `seconds`. */
static brume_status compare(struct search *s, const struct brume_noted *n, struct runner *list, int count, double seconds)
{
    const double end = brume_tuner_now() + seconds;
    for (int round = 0; round < ROUNDS; round++) {
        double best = 0;
        for (int i = 0; i < count; i++) {
            struct runner *r = &list[i];
            if (!r->plan) continue;
            if (over(s) || (round >= LEAST_ROUNDS && brume_tuner_now() > end)) return BRUME_OK;
            const brume_status st = brume_tuner_time(s->t, n, r->plan, &r->ms[r->n]);
            if (st != BRUME_OK) return st;
            r->n++;
            if (best == 0 || typical(r) < best) best = typical(r);
        }
        for (int i = 1; i < count && round + 1 >= LEAST_ROUNDS; i++) {
            if (!list[i].plan || typical(&list[i]) <= BEHIND * best) continue;
            brume_plan_free(list[i].plan);
            list[i].plan = NULL;
        }
    }
    return BRUME_OK;
}

/* The one that is faster than the rule's choice; that, if none is. */
static const struct runner *winner(const struct runner *list, int count)
{
    const struct runner *best = list;
    for (int i = 1; i < count; i++)
        if (list[i].plan && list[i].n >= LEAST_ROUNDS && typical(&list[i]) < typical(best)) best = &list[i];
    return beats(best, list) ? best : list;
}

/* The winner into the table of the device. */
static brume_status keep(struct search *s, struct brume_noted *n, const struct runner *rule, const struct runner *best)
{
    n->step.reached = 1;
    n->step.rule_ms = typical(rule);
    n->step.best_ms = typical(best);
    brume_choice_name(best->choice, n->step.best);
    struct brume_tuned e = { .key = n->key, .ms = n->step.best_ms, .rule_ms = n->step.rule_ms };
    memcpy(e.choice, n->step.best, sizeof e.choice);
    memcpy(e.rule, n->step.rule, sizeof e.rule);
    return brume_tuning_put(s->t->device->tuning, &e);
}

/* For about so many seconds; what is compiled already for other steps costs little, so that a second call may try what the first
 * could not. */
static brume_status tune(struct search *s, struct brume_noted *n, double seconds, bool *all_tried)
{
    struct runner list[MOST];
    int count = 0;
    const double end = brume_tuner_now() + seconds;
    *all_tried = true;
    brume_status st = line_up(s, n, end - seconds / 2, list, &count, all_tried);
    if (st == BRUME_OK && count > 1 && !over(s)) st = compare(s, n, list, count, end - brume_tuner_now());
    if (st == BRUME_OK && list[0].n >= LEAST_ROUNDS) {
        const struct runner *best = winner(list, count);
        /* Of several, the best is likely to have had luck: it must win once more, against the rule's choice alone. */
        struct runner last[2] = { { .choice = list[0].choice, .plan = list[0].plan },
                                  { .choice = best->choice, .plan = best->plan } };
        if (best == list) st = keep(s, n, best, best);
        else if ((st = compare(s, n, last, 2, end - brume_tuner_now())) == BRUME_OK && last[1].n >= LEAST_ROUNDS)
            st = keep(s, n, last, winner(last, 2));
        if (best != list) list[best - list].plan = last[1].plan; /* may be out by now */
    } else if (st == BRUME_OK && count == 1 && *all_tried) {
        n->step.reached = 1; /* no other was worth comparing */
    }
    while (count > 0) brume_plan_free(list[--count].plan); /* the first, whose arena the others use, last */
    return st;
}

/* How long the rule's choices take, as far as time allows: the largest by arithmetic first. */
static brume_status measure_rules(struct search *s)
{
    const double end = s->begin + FIRST_SHARE * (s->end - s->begin);
    brume_status st = BRUME_OK;
    for (int i = 0; i < s->t->n; i++) {
        brume_tuner_step *step = &s->t->noted[i].step;
        step->rule_ms = step->best_ms = 0;
        step->reached = step->tried = 0;
        memcpy(step->best, step->rule, sizeof step->best);
    }
    qsort(s->t->noted, (size_t)s->t->n, sizeof *s->t->noted, by_time);
    for (int i = 0; st == BRUME_OK && i < s->t->n && !s->stopped && brume_tuner_now() < end; i++) {
        struct brume_noted *n = &s->t->noted[i];
        brume_plan *plan = NULL;
        st = start(s, n, n->rule, NULL, &plan, &n->step.rule_ms);
        n->step.best_ms = n->step.rule_ms;
        brume_plan_free(plan);
    }
    qsort(s->t->noted, (size_t)s->t->n, sizeof *s->t->noted, by_time);
    return st;
}

/* Of a step's time; steps that were not measured count little. */
static double weight(const struct brume_noted *n) { return n->step.rule_ms * n->step.count + 0.01; }

brume_status brume_tuner_run(brume_tuner *t, const brume_tuner_options *o)
{
    struct search s = { .t = t, .o = o, .begin = brume_tuner_now() };
    if (!(o->seconds > 0)) return brume_fail(BRUME_E_ARG, "tuning: the budget expects more than 0 seconds, got %g", o->seconds);
    s.end = s.begin + o->seconds;
    if (!t->device->tuning) return brume_fail(BRUME_E_ARG, "tuning: the device was opened without tuning (no_tuning)");
    /* Plans made from here on are the tuner's own. */
    t->device->tuner = NULL;
    t->device->trial = true;
    brume_status st = brume_tuner_inputs(t);
    if (st == BRUME_OK) st = measure_rules(&s);
    /* Twice, because the first pass gives every step its share of the time alone, and most need less. */
    bool *tried = calloc((size_t)t->n + 1, sizeof *tried);
    if (!tried && st == BRUME_OK) st = brume_fail(BRUME_E_MEMORY, "tuning: out of memory");
    for (int pass = 0; st == BRUME_OK && pass < 2; pass++) {
        double rest = 0;
        for (int i = 0; i < t->n; i++) rest += tried[i] ? 0 : weight(&t->noted[i]);
        for (int i = 0; st == BRUME_OK && i < t->n && !over(&s); i++) {
            struct brume_noted *n = &t->noted[i];
            if (tried[i]) continue;
            const double part = weight(n), left = s.end - brume_tuner_now();
            st = tune(&s, n, pass ? left : left * part / rest, &tried[i]);
            rest -= part;
            s.done += tried[i];
        }
    }
    free(tried);
    tell(&s, NULL, (struct brume_choice){ NULL, 0 });
    t->device->tuner = t;
    t->device->trial = false;
    return st;
}

brume_status brume_tuner_save(brume_tuner *t) { return brume_tuning_save(t->device); }

void brume_device_get_tuning(const brume_device *d, brume_tuning_info *info)
{
    const struct brume_tuning *t = d->tuning;
    *info = (brume_tuning_info){ .entries = t ? t->n : 0 };
    if (!t) return;
    info->refused = t->refused;
    memcpy(info->note, t->note, sizeof info->note);
    if (t->path) snprintf(info->file, sizeof info->file, "%s", t->path);
}
