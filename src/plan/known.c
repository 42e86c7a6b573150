/* SPDX-License-Identifier: MIT
 * Known-answer tests: making the graphs, running them on both devices, and judging. */
#include "plan/known.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/hash.h"

/*
 * Of the largest value of a result: kernels add in other orders (1e-6), Winograd's transforms lose a digit more. A kernel that is
 * wrong leaves out terms, takes others' or writes nothing: what it does is off by far more than that.
 */
#define TOLERANCE 1e-4
#define FEW 16 /* values */
#define SMALLEST 1e-6 /* where all values are small: f32 near 1 has steps of 1e-7 */

static brume_status no_memory(void) { return brume_fail(BRUME_E_MEMORY, "self-test: out of memory"); }

/* ---- inputs ---------------------------------------------------------------------------------------------------------------- */

/* The same for every run: between -1 and 1, by value and element (SplitMix64). */
static float number(int value, int64_t e)
{
    uint64_t z = ((uint64_t)value << 40 ^ (uint64_t)e) * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (float)((double)(z >> 11) * 0x1p-52 - 1.0);
}

/* Indices must be in range whatever they count: below the smallest length of the node's tensors. */
static int64_t index_limit(const struct brume_graph *g)
{
    int64_t least = 7;
    for (int i = 0; i < brume_graph_value_count(g); i++) {
        const struct brume_value *v = brume_value_of(g, i);
        for (int a = 0; v->dtype == BRUME_F32 && v->kind != BRUME_VALUE_NODE && a < v->shape.ndim; a++)
            if (v->shape.d[a] < least) least = v->shape.d[a];
    }
    return least;
}

/* The few numbers that drive an update, such as rates and what keeps a divisor above zero. */
static bool drives_update(const struct brume_graph *g, const struct brume_value *v)
{
    for (int i = 0; i < brume_graph_node_count(g); i++) {
        const struct brume_node *n = brume_graph_node(g, i);
        for (int j = 0; n->op->updates && j < n->n_in; j++)
            if (n->in_v[j] == v && brume_shape_numel(v->shape) <= FEW) return true;
    }
    return false;
}

/* The terms of a few sums. */
static bool is_summed(const struct brume_graph *g, const struct brume_value *v)
{
    for (int i = 0; i < brume_graph_node_count(g); i++) {
        const struct brume_node *n = brume_graph_node(g, i);
        if (!(n->op->flags & BRUME_OP_TERMS) || !n->n_out || brume_shape_numel(n->out_v[0]->shape) > FEW) continue;
        for (int j = 0; j < n->n_in; j++)
            if (n->in_v[j] == v) return true;
    }
    return false;
}

static brume_status write_input(brume_plan *p, const struct brume_value *v, int64_t limit)
{
    /* Above 0 and not small: an eps of another sign would take what it is added to (AdamW) nearly to zero, and so would terms of
     * both signs where there are few sums; then any rounding error makes any result. */
    const float scale = drives_update(p->graph, v) || is_summed(p->graph, v) ? 0.375f : 1, shift = scale < 1 ? 0.625f : 0;
    const size_t n = (size_t)brume_shape_numel(v->shape), size = (size_t)brume_dtype_bytes(v->dtype);
    unsigned char *raw = malloc(n * size + 1);
    if (!raw) return no_memory();
    for (size_t e = 0; e < n; e++) {
        const float x = number(v->id, (int64_t)e);
        const int64_t index = (int64_t)(((double)x + 1) / 2 * (double)limit);
        if (v->dtype == BRUME_F32) ((float *)raw)[e] = shift + scale * x;
        else if (v->dtype == BRUME_F16) ((uint16_t *)raw)[e] = brume_half_narrow(x);
        else if (v->dtype == BRUME_I32) ((int32_t *)raw)[e] = (int32_t)index;
        else ((int64_t *)raw)[e] = index;
    }
    const brume_status s = brume_plan_write(p, v->id, raw, n * size);
    free(raw);
    return s;
}

/* ---- results --------------------------------------------------------------------------------------------------------------- */

struct result { brume_tensor t; int64_t n; double *want; };

static double value_at(const unsigned char *raw, brume_dtype t, size_t e)
{
    if (t == BRUME_F32) return (double)((const float *)raw)[e];
    if (t == BRUME_F16) return (double)brume_half_widen(((const uint16_t *)raw)[e]);
    return t == BRUME_I32 ? (double)((const int32_t *)raw)[e] : (double)((const int64_t *)raw)[e];
}

/* What a node leaves: its results, or the tensors that it updates. Returns their number; all of them: of all nodes. */
static int results_of(const struct brume_node *n, brume_tensor list[BRUME_SMALL_IN])
{
    int count = 0;
    for (int k = 0; k < n->n_out; k++) list[count++] = n->out[k];
    for (int j = 0; j < n->n_in && j < 32; j++)
        if (n->op->updates >> j & 1 && n->in_v[j] && count < BRUME_SMALL_IN) list[count++] = n->in[j];
    return count;
}

static brume_status read_result(brume_plan *p, const struct brume_value *v, double *to)
{
    const size_t n = (size_t)brume_shape_numel(v->shape), size = (size_t)brume_dtype_bytes(v->dtype);
    unsigned char *raw = malloc(n * size + 1);
    const brume_status s = raw ? brume_plan_read(p, v->id, raw, n * size) : no_memory();
    for (size_t e = 0; s == BRUME_OK && e < n; e++) to[e] = value_at(raw, v->dtype, e);
    free(raw);
    return s;
}

/* The worst element of a result into the finding. */
static void judge(brume_finding *f, int number_of, const double *want, const double *got, int64_t n)
{
    double most = 0;
    for (int64_t e = 0; e < n; e++)
        if (isfinite(want[e])) most = fmax(most, fabs(want[e]));
    const double limit = TOLERANCE * most + SMALLEST;
    for (int64_t e = 0; e < n; e++) {
        const bool equal = got[e] == want[e] || (isnan(got[e]) && isnan(want[e]));
        const double error = equal ? 0 : fabs(got[e] - want[e]) / limit, excess = isnan(error) ? INFINITY : error;
        if (excess <= f->excess) continue;
        f->excess = excess;
        f->passed = excess <= 1;
        if (!f->passed)
            snprintf(f->text, sizeof f->text, "result %d, index %" PRId64 ": got %.7g, expected %.7g", number_of, e, got[e],
                     want[e]);
    }
}

/* ---- running --------------------------------------------------------------------------------------------------------------- */

/* The plainest kernel of a node: the last of the list. */
static struct brume_choice plainest(const struct brume_device *d, const struct brume_node *n)
{
    struct brume_choice k = { NULL, 0 };
    for (const struct brume_variant *v = n->op->kernels; v && v->name; v++)
        if (brume_variant_runs(v, n, &d->caps)) k.variant = v;
    return k;
}

/* A plan that ran once. chosen: per node, filled by the plainest kernels where plain. */
static brume_status run(brume_device *d, const brume_graph *g, struct brume_choice *chosen, bool plain, brume_plan **out)
{
    const brume_plan_options options = { .poison = 1, .no_fusion = plain };
    const int64_t limit = index_limit(g);
    for (int i = 0; plain && i < brume_graph_node_count(g); i++) chosen[i] = plainest(d, brume_graph_node(g, i));
    brume_status s = brume_plan_new_chosen(d, g, &options, chosen, out);
    if (s == BRUME_OK) (*out)->spared = plain;
    for (int i = 0; s == BRUME_OK && i < brume_graph_value_count(g); i++) {
        const struct brume_value *v = brume_value_of(g, i);
        if (v->kind != BRUME_VALUE_NODE) s = write_input(*out, v, limit);
    }
    if (s == BRUME_OK) s = brume_plan_run(*out);
    if (s == BRUME_OK) s = brume_plan_check_guards(*out);
    return s;
}

static void add_shapes(brume_finding *f, const struct brume_node *n)
{
    char text[96];
    size_t used = 0;
    for (int j = 0; j < n->n_in && used < sizeof f->shapes; j++)
        used += (size_t)snprintf(f->shapes + used, sizeof f->shapes - used, "%s%s", j ? ", " : "",
                                 n->in_v[j] ? brume_shape_text(n->in_v[j]->shape, text) : "-");
    for (int k = 0; k < n->n_out && used < sizeof f->shapes; k++)
        used += (size_t)snprintf(f->shapes + used, sizeof f->shapes - used, "%s%s", k ? ", " : " -> ",
                                 brume_shape_text(n->out_v[k]->shape, text));
}

static void describe(struct brume_known *t)
{
    const struct brume_node *n = t->node;
    brume_finding *f = &t->found;
    const int members = t->plan ? brume_plan_chain_members(t->plan, n->index, NULL) : 1;
    *f = (brume_finding){ .op = n->op->name, .passed = 1 };
    if (t->choice.variant) brume_choice_name(t->choice, f->kernel);
    else snprintf(f->kernel, sizeof f->kernel, "%s", members > 1 ? "chain" : "single");
}

/* Tests of one graph. s: how it went on d; a failure counts for all of them, so it is used where there is one. */
static brume_status run_graph(brume_device *d, brume_device *reference, struct brume_known *tests, int n, brume_status *on_device)
{
    brume_graph *g = brume_graph_new();
    const struct brume_node **at = calloc(n > 0 ? (size_t)n : 1, sizeof(*at));
    struct brume_choice *chosen = NULL;
    brume_plan *plan = NULL, *plain = NULL;
    brume_status s = g && at ? BRUME_OK : no_memory();
    *on_device = BRUME_OK;
    for (int i = 0; s == BRUME_OK && i < n; i++) {
        s = brume_small_copy(g, d, &tests[i], &at[i]);
        if (at && at[i]) add_shapes(&tests[i].found, at[i]);
    }
    if (s == BRUME_OK && !(chosen = calloc((size_t)brume_graph_node_count(g) + 1, sizeof *chosen))) s = no_memory();
    const bool any = s == BRUME_OK && brume_graph_node_count(g) > 0;
    if (any) s = run(reference, g, chosen, true, &plain);
    if (s == BRUME_OK) memset(chosen, 0, (size_t)brume_graph_node_count(g) * sizeof *chosen);
    for (int i = 0; s == BRUME_OK && i < n; i++)
        if (at[i]) chosen[at[i]->index] = tests[i].choice;
    if (s == BRUME_OK && any) *on_device = run(d, g, chosen, false, &plan);
    for (int i = 0; s == BRUME_OK && *on_device == BRUME_OK && i < n; i++) {
        brume_tensor list[BRUME_SMALL_IN];
        const int count = at[i] ? results_of(at[i], list) : 0;
        for (int k = 0; k < count && s == BRUME_OK; k++) {
            const struct brume_value *v = brume_value_of(g, list[k]);
            const size_t numel = (size_t)brume_shape_numel(v->shape);
            double *want = malloc((2 * numel + 1) * sizeof *want);
            s = want ? read_result(plain, v, want) : no_memory();
            if (s == BRUME_OK) *on_device = read_result(plan, v, want + numel);
            if (s == BRUME_OK && *on_device == BRUME_OK) judge(&tests[i].found, k, want, want + numel, (int64_t)numel);
            free(want);
        }
    }
    brume_plan_free(plan);
    brume_plan_free(plain);
    brume_graph_free(g);
    free(chosen);
    free(at);
    return s;
}

brume_status brume_known_run(struct brume_device *d, struct brume_device *reference, struct brume_known *tests, int n)
{
    brume_status on_device, s = BRUME_OK;
    for (int i = 0; i < n; i++) describe(&tests[i]);
    if (n) s = run_graph(d, reference, tests, n, &on_device);
    if (s != BRUME_OK || !n || on_device == BRUME_OK) return s;
    for (int i = 0; s == BRUME_OK && i < n; i++) {
        char text[sizeof tests[i].found.text];
        snprintf(text, sizeof text, "%.*s", (int)sizeof text - 1, brume_error());
        describe(&tests[i]);
        if (n > 1) s = run_graph(d, reference, &tests[i], 1, &on_device);
        if (s != BRUME_OK || on_device == BRUME_OK) continue;
        if (on_device == BRUME_E_MEMORY) return on_device;
        if (n > 1) snprintf(text, sizeof text, "%.*s", (int)sizeof text - 1, brume_error());
        tests[i].found.passed = 0;
        tests[i].found.excess = INFINITY;
        memcpy(tests[i].found.text, text, sizeof text);
    }
    return s;
}

/* ---- keys ------------------------------------------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t h, uint64_t x) { return brume_hash_values(h, &x, 1, sizeof x); }
static uint64_t mix_text(uint64_t h, const char *text) { return mix(h, brume_fnv1a(text, strlen(text))); }

uint64_t brume_known_key(const struct brume_device *d, const struct brume_node *n, struct brume_choice k)
{
    char attrs[128] = "", name[BRUME_CHOICE_NAME];
    if (n->op->key) n->op->key(n, attrs, sizeof attrs);
    uint64_t h = mix_text(mix_text(mix_text(1, n->op->name), brume_choice_name(k, name)), attrs);
    for (int j = 0; j < n->n_in && j < 32; j++) h = mix(h, n->in_v[j] ? 1 + (uint64_t)n->in_v[j]->dtype : 0);
    return mix(h, brume_launch_hash(n, &d->caps, k));
}

uint64_t brume_known_chain_key(const struct brume_plan *p, const struct brume_fused *f, const struct brume_node *last)
{
    uint64_t h = mix(2, (uint64_t)f->ndim);
    for (int i = 0; i <= last->index; i++)
        if (p->needed[i] && p->group[i] == last->index) h = mix_text(h, brume_graph_node(p->graph, i)->op->name);
    for (int i = 0; i < f->n_ops; i++)
        for (int j = 0; j < f->op[i].ew->n_in; j++) h = mix(h, (uint64_t)f->op[i].arg[j]);
    for (int k = 0; k < f->n_in; k++)
        for (int a = 0; a < f->ndim; a++) h = mix(h, (f->stride[k][a] != 0) + 2 * (f->dims[a] >= 32));
    return h;
}
