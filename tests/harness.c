/* SPDX-License-Identifier: MIT
 * Runs operator tables. For every case, on one device, with every kernel variant that fits:
 *   - arena, workspaces and outputs start as NaN words, guard words surround every tensor and are checked;
 *   - every element is compared with the oracle, and the worst one judged; NaN fails;
 *   - gradients are compared with central differences of the oracle at sampled elements;
 *   - a second run must give the same bytes, a plan with memory reuse and fusion passes the same comparison. */
#include "harness.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "brume/plan.h"
#include "graph/op.h"
#include "graph/tolerance.h"
#include "plan/backend.h"
#include "plan/variants.h"

#define MAX_SAMPLES 24 /* elements of each input whose gradient is checked */
#define MAX_NAMES 32

static const struct brume_tolerance *find_tolerance(const char *name)
{
    for (int i = 0; i < BRUME_TOLERANCES; i++)
        if (!strcmp(brume_tolerances[i].name, name)) return &brume_tolerances[i];
    fprintf(stderr, "tests: no tolerance row '%s'\n", name);
    exit(1);
}

int64_t test_numel(const struct test_case *k, int input) { return brume_shape_numel(k->in[input].shape); }
int64_t test_dim(const struct test_case *k, int input, int axis) { return k->in[input].shape.d[axis]; }

static void *must(void *p)
{
    if (!p) { fprintf(stderr, "tests: out of memory\n"); exit(1); }
    return p;
}

/* SplitMix64: test data, nothing else depends on it. */
static uint64_t next_random(uint64_t *s)
{
    uint64_t z = (*s += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static double uniform(uint64_t *s) { return (double)(next_random(s) >> 11) * 0x1p-53; }

/* What the oracle says of one case; computed once per case and device. */
struct truth {
    uint64_t seed;
    double *in[TEST_MAX_IN];        /* values as the device sees them: f32 rounded, or integers */
    double *dy;
    int n_out;
    int64_t out_numel[TEST_MAX_OUT];
    double *out[TEST_MAX_OUT], *scale[TEST_MAX_OUT];
    int n_samples[TEST_MAX_IN];
    int64_t sample[TEST_MAX_IN][MAX_SAMPLES];
    double grad[TEST_MAX_IN][MAX_SAMPLES];
};

struct job { /* one case on one device */
    const struct test_op *op;
    const struct test_case *k;
    struct brume_device *d;
    const char *where;
    struct test_report *r;
    struct truth t;
    brume_graph *g;
    brume_tensor in[TEST_MAX_IN], dy, out[TEST_MAX_OUT], dx[TEST_MAX_IN];
};

static bool differentiable(const struct job *j, int i) { return j->k->in[i].dtype == BRUME_F32 && !(j->op->no_grad >> i & 1); }

static void result(const struct job *j, const char *variant, bool ok, const char *text)
{
    if (ok) j->r->passed++;
    else j->r->failed++;
    if (!ok && !j->r->quiet)
        printf("FAILED %s/%s on %s, variant %s, seed %" PRIu64 ": %s\n", j->op->name, j->k->name, j->where,
               variant ? variant : "(chosen)", j->t.seed, text);
}

static void draw_inputs(struct job *j)
{
    uint64_t s = 1469598103934665603u;
    for (const char *c = j->op->name; *c; c++) s = (s ^ (unsigned char)*c) * 1099511628211u;
    for (const char *c = j->k->name; *c; c++) s = (s ^ (unsigned char)*c) * 1099511628211u;
    j->t.seed = s;
    for (int i = 0; i < j->k->n_in; i++) {
        const struct test_input *in = &j->k->in[i];
        const int64_t n = brume_shape_numel(in->shape);
        const double lo = in->lo == in->hi ? -1 : in->lo, hi = in->lo == in->hi ? 1 : in->hi;
        j->t.in[i] = must(malloc((size_t)n * sizeof(double)));
        for (int64_t e = 0; e < n; e++) {
            const double x = lo + (hi - lo) * uniform(&s);
            j->t.in[i][e] = in->dtype == BRUME_F32 ? (double)(float)x : floor(x);
        }
    }
}

/* Sum of dy * out[0] with element e of input i moved by h. */
static double moved(struct job *j, int i, int64_t e, double h, double *const *out, double *const *scale)
{
    const double keep = j->t.in[i][e];
    j->t.in[i][e] = keep + h;
    j->op->oracle(j->k, (const double *const *)j->t.in, out, scale);
    j->t.in[i][e] = keep;
    double sum = 0;
    for (int64_t q = 0; q < j->t.out_numel[0]; q++) sum += j->t.dy[q] * out[0][q];
    return sum;
}

static void ask_oracle(struct job *j)
{
    struct truth *t = &j->t;
    double *out[TEST_MAX_OUT] = { 0 }, *scale[TEST_MAX_OUT] = { 0 };
    for (int k = 0; k < t->n_out; k++) {
        const size_t bytes = (size_t)t->out_numel[k] * sizeof(double);
        t->out[k] = must(calloc(1, bytes));
        t->scale[k] = must(calloc(1, bytes));
        out[k] = must(calloc(1, bytes));
        scale[k] = must(calloc(1, bytes));
    }
    j->op->oracle(j->k, (const double *const *)t->in, t->out, t->scale);
    uint64_t s = t->seed + 1;
    t->dy = must(malloc((size_t)t->out_numel[0] * sizeof(double)));
    for (int64_t e = 0; e < t->out_numel[0]; e++) t->dy[e] = (double)(float)(2 * uniform(&s) - 1);
    for (int i = 0; i < j->k->n_in && j->dy != BRUME_NONE; i++) {
        if (!differentiable(j, i)) continue;
        const int64_t n = brume_shape_numel(j->k->in[i].shape);
        t->n_samples[i] = n < MAX_SAMPLES ? (int)n : MAX_SAMPLES;
        for (int q = 0; q < t->n_samples[i]; q++) {
            const int64_t e = n <= MAX_SAMPLES ? q : q == 0 ? 0 : q == 1 ? n - 1 : (int64_t)(next_random(&s) % (uint64_t)n);
            const double h = 1e-5 * fmax(1, fabs(t->in[i][e]));
            t->sample[i][q] = e;
            t->grad[i][q] = (moved(j, i, e, h, out, scale) - moved(j, i, e, -h, out, scale)) / (2 * h);
        }
    }
    for (int k = 0; k < t->n_out; k++) {
        free(out[k]);
        free(scale[k]);
    }
}

/* The graph of a case: the op, and its gradient times dy where it has one. */
static bool build(struct job *j)
{
    j->g = must(brume_graph_new());
    for (int i = 0; i < j->k->n_in; i++) {
        char name[16];
        snprintf(name, sizeof name, "in%d", i);
        const struct test_input *in = &j->k->in[i];
        j->in[i] =
            in->persistent ? brume_persistent(j->g, name, in->dtype, in->shape) : brume_input(j->g, name, in->dtype, in->shape);
    }
    j->t.n_out = j->op->build(j->g, j->k, j->in, j->out);
    j->dy = BRUME_NONE;
    if (brume_graph_status(j->g) != BRUME_OK) return false;
    for (int k = 0; k < j->t.n_out; k++) {
        char name[16];
        snprintf(name, sizeof name, "out%d", k);
        brume_output(j->g, j->out[k], name);
        j->t.out_numel[k] = brume_shape_numel(brume_tensor_shape(j->g, j->out[k]));
    }
    brume_tensor wrt[TEST_MAX_IN];
    int n = 0;
    for (int i = 0; i < j->k->n_in; i++) {
        j->dx[i] = BRUME_NONE;
        if (differentiable(j, i)) wrt[n++] = j->in[i];
    }
    if (!n || j->op->no_grad == ~0u) return true;
    brume_tensor d[TEST_MAX_IN];
    j->dy = brume_input(j->g, "dy", BRUME_F32, brume_tensor_shape(j->g, j->out[0]));
    brume_grad(j->g, j->out[0], j->dy, n, wrt, d);
    for (int i = 0, q = 0; i < j->k->n_in; i++)
        if (differentiable(j, i)) {
            j->dx[i] = d[q++];
            char name[16];
            snprintf(name, sizeof name, "d%d", i);
            brume_output(j->g, j->dx[i], name);
        }
    return brume_graph_status(j->g) == BRUME_OK;
}

static brume_status write_values(brume_plan *p, brume_tensor t, brume_dtype dtype, const double *v, int64_t n)
{
    const size_t size = (size_t)brume_dtype_bytes(dtype), bytes = (size_t)n * size;
    unsigned char *raw = must(malloc(bytes));
    for (int64_t e = 0; e < n; e++) {
        if (dtype == BRUME_F32) ((float *)raw)[e] = (float)v[e];
        else if (dtype == BRUME_I32) ((int32_t *)raw)[e] = (int32_t)v[e];
        else ((int64_t *)raw)[e] = (int64_t)v[e];
    }
    brume_status s = brume_plan_write(p, t, raw, bytes);
    free(raw);
    return s;
}

/* One run from fresh inputs; results (outputs, then gradients) go to `got`, one after another. */
static brume_status run_once(struct job *j, brume_plan *p, float *got)
{
    brume_status s = BRUME_OK;
    for (int i = 0; s == BRUME_OK && i < j->k->n_in; i++)
        s = write_values(p, j->in[i], j->k->in[i].dtype, j->t.in[i], brume_shape_numel(j->k->in[i].shape));
    if (s == BRUME_OK && j->dy != BRUME_NONE) s = write_values(p, j->dy, BRUME_F32, j->t.dy, j->t.out_numel[0]);
    if (s == BRUME_OK) s = brume_plan_run(p);
    for (int k = 0; s == BRUME_OK && k < j->t.n_out; got += j->t.out_numel[k++])
        s = brume_plan_read(p, j->out[k], got, (size_t)j->t.out_numel[k] * sizeof *got);
    for (int i = 0; s == BRUME_OK && i < j->k->n_in; i++)
        if (j->dx[i] != BRUME_NONE) {
            const int64_t n = brume_shape_numel(j->k->in[i].shape);
            s = brume_plan_read(p, j->dx[i], got, (size_t)n * sizeof *got);
            got += n;
        }
    return s;
}

static int64_t results_numel(const struct job *j)
{
    int64_t n = 0;
    for (int k = 0; k < j->t.n_out; k++) n += j->t.out_numel[k];
    for (int i = 0; i < j->k->n_in; i++)
        if (j->dx[i] != BRUME_NONE) n += brume_shape_numel(j->k->in[i].shape);
    return n;
}

/* How far a value is beyond its tolerance: <= 1 passes; NaN becomes infinite. Equal infinities agree. */
static double excess(double got, double want, double limit)
{
    if (got == want || (isnan(want) && isnan(got))) return 0;
    const double e = fabs(got - want);
    return e <= limit ? (limit > 0 ? e / limit : 0) : isnan(e) || limit <= 0 ? INFINITY : e / limit;
}

/* Judges the worst element of everything; fills text if it fails. */
static bool judge(const struct job *j, const float *got, char *text, size_t size)
{
    const struct brume_tolerance *tol = find_tolerance(j->op->tolerance);
    double worst = 0;
    for (int k = 0; k < j->t.n_out; got += j->t.out_numel[k++])
        for (int64_t e = 0; e < j->t.out_numel[k]; e++) {
            const double want = j->t.out[k][e], x = excess(got[e], want, tol->abs + tol->rel * j->t.scale[k][e]);
            if (!(x <= worst)) {
                worst = x;
                snprintf(text, size, "output %d[%" PRId64 "]: got %.9g, want %.9g (%.3g times the tolerance)", k, e,
                         (double)got[e], want, x);
            }
        }
    for (int i = 0; i < j->k->n_in; i++) {
        if (!differentiable(j, i) || j->dy == BRUME_NONE) continue;
        if (j->dx[i] == BRUME_NONE) {
            snprintf(text, size, "no gradient arrives at input %d", i);
            return false;
        }
        double most = 0;
        const int64_t n = brume_shape_numel(j->k->in[i].shape);
        for (int q = 0; q < j->t.n_samples[i]; q++) most = fmax(most, fabs(j->t.grad[i][q]));
        for (int64_t e = 0; e < n; e++)
            if (!isfinite(got[e])) {
                worst = INFINITY;
                snprintf(text, size, "gradient of input %d[%" PRId64 "] is %g", i, e, (double)got[e]);
            }
        for (int q = 0; q < j->t.n_samples[i]; q++) {
            const int64_t e = j->t.sample[i][q];
            /* 1e-8: the central difference's own error, relative to the largest terms */
            const double x = excess(got[e], j->t.grad[i][q], tol->abs + (tol->grad_rel + 1e-8) * most);
            if (!(x <= worst)) {
                worst = x;
                snprintf(text, size, "gradient of input %d[%" PRId64 "]: got %.9g, want %.9g (%.3g times the tolerance)", i, e,
                         (double)got[e], j->t.grad[i][q], x);
            }
        }
        got += n;
    }
    return worst <= 1;
}

static void run_variant(struct job *j, const char *variant, bool poison)
{
    char text[512] = "";
    brume_plan *p = NULL;
    const size_t bytes = (size_t)results_numel(j) * sizeof(float);
    float *first = must(malloc(bytes)), *second = must(malloc(bytes));
    const brume_plan_options options = { .poison = poison, .variant = variant };
    brume_status s = brume_plan_new(j->d, j->g, &options, &p);
    if (s == BRUME_OK) s = run_once(j, p, first);
    if (s == BRUME_OK && poison) s = brume_plan_check_guards(p);
    if (s == BRUME_OK) s = run_once(j, p, second);
    bool ok = s == BRUME_OK;
    if (!ok) {
        snprintf(text, sizeof text, "%s: %s", brume_status_name(s), brume_error());
    } else if (!judge(j, first, text, sizeof text)) {
        ok = false;
    } else if (memcmp(first, second, bytes)) {
        ok = false;
        snprintf(text, sizeof text, "a second run gives other bytes");
    }
    if (s == BRUME_OK) j->r->bits = brume_hash_values(j->r->bits, first, bytes, 1);
    result(j, poison ? variant : "(reusing memory)", ok, text);
    brume_plan_free(p);
    free(first);
    free(second);
}

/* Every variant that computes a node of the graph on the device. One that has rows of parameters takes another row with every
 * ROW_EVERY-th case: every one in every case would cost many minutes of compiling. */
enum { ROW_EVERY = 4 };
static int variant_names(const struct job *j, int turn, char names[MAX_NAMES][BRUME_CHOICE_NAME])
{
    int n = 0;
    for (int i = 0; i < brume_graph_node_count(j->g); i++) {
        const struct brume_node *node = brume_graph_node(j->g, i);
        for (const struct brume_variant *v = node->op->kernels; v && v->name; v++) {
            if (!brume_variant_runs(v, node, &j->d->caps)) continue;
            char name[BRUME_CHOICE_NAME];
            int k = 0;
            /* 0, or one that does not fit: the rule */
            const int row = v->rows && turn % ROW_EVERY == 0 ? 1 + turn / ROW_EVERY % v->rows->n : 0;
            brume_choice_name((struct brume_choice){ v, row }, name);
            while (k < n && strcmp(names[k], name)) k++;
            if (k == n && n < MAX_NAMES) strcpy(names[n++], name);
        }
    }
    return n;
}

/* Of inputs and results. */
static int64_t values(const struct job *j)
{
    int64_t n = results_numel(j);
    for (int i = 0; i < j->k->n_in; i++) n += test_numel(j->k, i);
    return n;
}

static void run_case(const struct test_op *op, const struct test_case *k, struct brume_device *d, const char *where,
                     struct test_report *r)
{
    struct job j = { .op = op, .k = k, .d = d, .where = where, .r = r };
    draw_inputs(&j);
    if (!build(&j)) {
        result(&j, NULL, false, brume_graph_error(j.g));
    } else if (r->max_values && values(&j) > r->max_values) {
        r->left_out++;
    } else {
        char names[MAX_NAMES][BRUME_CHOICE_NAME];
        ask_oracle(&j);
        const int n = variant_names(&j, (int)(k - op->cases), names);
        for (int i = 0; i < n; i++) run_variant(&j, names[i], true);
        if (n == 0) run_variant(&j, NULL, true); /* elementwise only */
        run_variant(&j, NULL, false);
    }
    for (int i = 0; i < k->n_in; i++) free(j.t.in[i]);
    for (int i = 0; i < j.t.n_out; i++) {
        free(j.t.out[i]);
        free(j.t.scale[i]);
    }
    free(j.t.dy);
    brume_graph_free(j.g);
}

static int64_t case_numel(const struct test_case *k)
{
    int64_t n = 0;
    for (int i = 0; i < k->n_in; i++) n += brume_shape_numel(k->in[i].shape);
    return n;
}

/* One variant on a device; results into got. */
static brume_status run_on(struct job *j, struct brume_device *d, const char *variant, float *got, long *launches)
{
    brume_plan *p = NULL;
    const brume_plan_options options = { .poison = 1, .variant = variant };
    brume_status s = brume_plan_new(d, j->g, &options, &p);
    const uint64_t before = brume_device_launches(d);
    if (s == BRUME_OK) s = run_once(j, p, got);
    if (s == BRUME_OK) s = brume_plan_check_guards(p);
    *launches += (long)(brume_device_launches(d) - before);
    brume_plan_free(p);
    return s;
}

void test_run_split(const struct test_op *op, struct brume_device *whole, struct brume_device *pieces, const char *where,
                    struct test_report *r, long launches[2])
{
    const struct test_case *k = op->cases;
    if (!k || !k->name) return; /* refusals alone */
    for (const struct test_case *c = k; c->name; c++)
        if (case_numel(c) > case_numel(k)) k = c;
    struct job j = { .op = op, .k = k, .d = whole, .where = where, .r = r };
    char names[MAX_NAMES][BRUME_CHOICE_NAME];
    draw_inputs(&j);
    if (build(&j)) {
        uint64_t s = j.t.seed + 1;
        const int n = variant_names(&j, 1, names);
        const size_t bytes = (size_t)results_numel(&j) * sizeof(float);
        float *want = must(malloc(bytes)), *got = must(malloc(bytes));
        j.t.dy = must(malloc((size_t)j.t.out_numel[0] * sizeof(double)));
        for (int64_t e = 0; e < j.t.out_numel[0]; e++) j.t.dy[e] = (double)(float)(2 * uniform(&s) - 1);
        for (int i = 0; i < n || i == 0; i++) {
            const char *variant = n ? names[i] : NULL;
            const bool ok = run_on(&j, whole, variant, want, &launches[0]) == BRUME_OK &&
                            run_on(&j, pieces, variant, got, &launches[1]) == BRUME_OK;
            result(&j, variant, ok && !memcmp(want, got, bytes), ok ? "launches in pieces give other bytes" : brume_error());
        }
        free(want);
        free(got);
    }
    for (int i = 0; i < k->n_in; i++) free(j.t.in[i]);
    free(j.t.dy);
    brume_graph_free(j.g);
}

static void run_refusal(const struct test_op *op, const struct test_refusal *f, const char *where, struct test_report *r)
{
    struct test_case k = f->k;
    k.name = f->name;
    struct job j = { .op = op, .k = &k, .where = where, .r = r };
    char text[1400] = "";
    const bool built = build(&j);
    const char *error = brume_graph_error(j.g);
    const bool ok = !built && brume_graph_status(j.g) == f->status && strstr(error, f->says);
    if (!ok)
        snprintf(text, sizeof text, "expected a refusal (%s) saying '%s', got %s: %s", brume_status_name(f->status), f->says,
                 brume_status_name(brume_graph_status(j.g)), error);
    result(&j, NULL, ok, text);
    brume_graph_free(j.g);
}

void test_run_op(const struct test_op *op, struct brume_device *d, const char *where, struct test_report *r)
{
    for (const struct test_case *k = op->cases; k && k->name; k++) run_case(op, k, d, where, r);
    for (const struct test_refusal *f = op->refusals; f && f->name; f++) run_refusal(op, f, where, r);
}
