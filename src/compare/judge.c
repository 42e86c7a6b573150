/* SPDX-License-Identifier: MIT
 * Judging one tensor of two devices. */
#include <math.h>
#include <string.h>

#include "compare/compare.h"

#define BOTH 2.0          /* each side may be off by what the table says of one */
#define TINY 2.4e-38      /* devices may flush what is below the smallest normal number to zero: two of them */

struct brume_bound brume_bound_of(const struct brume_op *op)
{
    const struct brume_tolerance *t = &brume_tolerances[op->tolerance];
    /* abs of a row with rel is for results that are zero but for roundings: here the root mean square of the tensor stands for
     * it */
    return (struct brume_bound){ BOTH * t->rel, t->rel > 0 ? 0 : BOTH * t->abs };
}

struct brume_bound brume_bound_of_step(const struct brume_plan *p, const struct brume_step *s, const struct brume_tolerance **row)
{
    *row = &brume_tolerances[s->node->op->tolerance];
    if (!s->fused) return brume_bound_of(s->node->op);
    struct brume_bound all = { 0, 0 };
    for (int i = 0; i <= s->node->index; i++) {
        if (!p->needed[i] || p->group[i] != s->node->index) continue;
        const struct brume_op *op = brume_graph_node(p->graph, i)->op;
        const struct brume_bound one = brume_bound_of(op);
        if (one.rel > all.rel) *row = &brume_tolerances[op->tolerance];
        all.rel = one.rel > all.rel ? one.rel : all.rel;
        all.abs = one.abs > all.abs ? one.abs : all.abs;
    }
    return all;
}

/* Root mean square of what is finite. */
static double rms_of(const float *x, int64_t n)
{
    double sum = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) continue;
        sum += (double)x[i] * x[i];
        count++;
    }
    return count ? sqrt(sum / (double)count) : 0;
}

static bool same(float a, float b) { return a == b || (isnan(a) && isnan(b)); }

static double ulp_of(double scale)
{
    int e;
    if (scale < 0x1p-126) return 0x1p-149;
    frexp(scale, &e);
    return ldexp(1, e - 24);
}

void brume_judge(const float *a, const float *b, int64_t n, struct brume_bound bound, const float *terms, const float *before,
                 struct brume_verdict *v)
{
    *v = (struct brume_verdict){ .only_rounding = true };
    const double rms = rms_of(a, n);
    bool found = false;
    for (int64_t i = 0; i < n; i++) {
        if (same(a[i], b[i])) {
            v->not_finite += !isfinite(a[i]);
            continue;
        }
        double scale = fmax(fabs((double)a[i]), rms);
        const double error = fabs((double)b[i] - a[i]), relative = scale > 0 ? error / scale : INFINITY,
                     ulp = error / ulp_of(scale);
        if (before && isfinite(before[i])) scale = fmax(scale, fabs((double)before[i]));
        if (terms) scale = fmax(scale, terms[i]);
        const double allowed = bound.rel > 0 || bound.abs > 0 ? bound.rel * scale + bound.abs + TINY : 0;
        const bool finite = isfinite(a[i]) && isfinite(b[i]);
        const double share = !finite ? INFINITY : allowed > 0 ? error / allowed : INFINITY;
        v->relative = finite ? fmax(v->relative, relative) : INFINITY;
        v->ulp = finite ? fmax(v->ulp, ulp) : INFINITY;
        v->beyond += !(share <= 1);
        v->only_rounding = v->only_rounding && (share <= 1 || (finite && allowed > 0));
        if (found && share <= v->share) continue;
        found = true;
        v->share = share;
        v->index = i;
        v->a = a[i];
        v->b = b[i];
        v->allowed = allowed;
    }
    v->only_rounding = v->only_rounding && v->beyond > 0;
}

void brume_judge_whole(const float *a, const float *b, int64_t n, double limit, const float *terms, struct brume_verdict *v)
{
    *v = (struct brume_verdict){ .relative = 0 };
    const double rms = rms_of(a, n);
    double sum = 0, most = 0;
    bool one_sided = false;
    for (int64_t i = 0; i < n; i++) {
        if (same(a[i], b[i])) {
            v->not_finite += !isfinite(a[i]);
            continue;
        }
        const bool finite = isfinite(a[i]) && isfinite(b[i]);
        const double error = finite ? fabs((double)b[i] - a[i]) : INFINITY;
        if (finite) sum += error * error;
        v->beyond += !finite;
        if (one_sided || (finite && error <= most)) continue;
        one_sided = !finite;
        most = error;
        v->index = i;
        v->a = a[i];
        v->b = b[i];
    }
    const double off = n ? sqrt(sum / (double)n) : 0;
    v->allowed = limit * fmax(rms, terms ? rms_of(terms, n) : 0) + TINY;
    v->relative = one_sided ? INFINITY : off == 0 ? 0 : rms > 0 ? off / rms : INFINITY;
    v->ulp = one_sided ? INFINITY : most / ulp_of(rms);
    v->share = one_sided ? INFINITY : off / v->allowed;
    v->only_rounding = !one_sided && v->share > 1;
}
