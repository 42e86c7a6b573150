/* SPDX-License-Identifier: MIT
 * The Runge-Kutta pair of Dormand & Prince (1980), 5(4) with local extrapolation; steps are controlled as in Hairer, Norsett &
 * Wanner (1993), sec. II.4, with one error norm over the whole batch. */
#include "diffusion/rk45.h"

#include <math.h>
#include <stdlib.h>

#include "base/fail.h"
#include "brume/ops.h"
#include "diffusion/sampler.h"

enum { STAGES = 6, K = 0, STAGE = 7, RATIO = 8 }; /* registers: slopes of the stages and of the new state, then work */

static const double c[STAGES] = { 0, 1.0 / 5, 3.0 / 10, 4.0 / 5, 8.0 / 9, 1 };
static const double a[STAGES][STAGES - 1] = {
    { 0 },
    { 1.0 / 5 },
    { 3.0 / 40, 9.0 / 40 },
    { 44.0 / 45, -56.0 / 15, 32.0 / 9 },
    { 19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729 },
    { 9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656 },
};
static const double b[STAGES] = { 35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84 };
static const double error_of[STAGES + 1] = {
    -71.0 / 57600, 0, 71.0 / 16695, -71.0 / 1920, 17253.0 / 339200, -22.0 / 525, 1.0 / 40
};

/* A point of the solution: the state on the device, the numbers that go with it on the host. */
struct point { brume_buffer *x; double *y; };

struct work {
    const struct brume_rk45 *r;
    struct point k[STAGES + 1], stage, ratio;
    double *norms, *memory;
};

static brume_status work_new(struct work *w, const struct brume_rk45 *r)
{
    struct point *all[] = { &w->k[0], &w->k[1], &w->k[2], &w->k[3], &w->k[4], &w->k[5], &w->k[6], &w->stage, &w->ratio };
    brume_status e = BRUME_OK;
    *w = (struct work){ .r = r, .memory = calloc((size_t)(BRUME_RK45_REGISTERS * r->n_y + r->s->images), sizeof(double)) };
    if (!w->memory) return brume_fail(BRUME_E_MEMORY, "out of memory for an ODE solver");
    w->norms = w->memory + BRUME_RK45_REGISTERS * r->n_y;
    for (int i = 0; i < BRUME_RK45_REGISTERS && e == BRUME_OK; i++) {
        all[i]->y = w->memory + i * r->n_y;
        e = brume_sampling_register(r->s, K + i, &all[i]->x);
    }
    return e;
}

/* Weights are rounded to f32 on the device. One by one that would change their sum, which is the length of the step: the smallest
 * takes up what the others lose. */
static void keep_sum(double *weight, int n)
{
    int least = -1;
    double rest = 0;
    for (int j = 0; j < n; j++)
        if (weight[j] != 0 && (least < 0 || fabs(weight[j]) < fabs(weight[least]))) least = j;
    for (int j = 0; j < n; j++)
        if (j != least) rest += weight[j] - (float)weight[j];
    if (least >= 0) weight[least] += rest;
}

/* out = from + h sum_j coef[j] k[j]; from may be NULL: 0 */
static brume_status advance(struct work *w, const struct point *from, double h, const double *coef, int n,
                            const struct point *out)
{
    struct brume_terms x = { 0 };
    double weight[STAGES + 1] = { 0 };
    for (int j = 0; j < n; j++) weight[j] = h * coef[j];
    keep_sum(weight, n);
    if (from) brume_terms_add(&x, 1, from->x);
    for (int j = 0; j < n; j++) brume_terms_add(&x, weight[j], w->k[j].x);
    for (int64_t i = 0; i < w->r->n_y; i++) {
        double sum = 0;
        for (int j = 0; j < n; j++) sum += coef[j] * w->k[j].y[i];
        out->y[i] = (from ? from->y[i] : 0) + h * sum;
    }
    return brume_sampling_combine(w->r->s, &x, out->x);
}

static brume_status slope(struct work *w, double u, const struct point *at, const struct point *k)
{
    return w->r->slope(w->r->self, u, at->x, k->x, k->y);
}

/* root mean square of e / (atol + rtol max(|p|, |q|)) over all images and numbers */
static brume_status ratio(struct work *w, const struct point *e, const struct point *p, const struct point *q, double *rms)
{
    const struct brume_rk45 *r = w->r;
    struct brume_sampler *o = r->s->sampler;
    struct brume_job *j = &o->ratio;
    brume_status st = BRUME_OK;
    if (!j->p && (st = brume_job_begin(j, o->shape, 3, 2)) == BRUME_OK) {
        brume_graph *g = j->g; /* max(p^2, q^2) = p^2 + relu(q^2 - p^2) */
        const brume_tensor p2 = brume_square(g, j->in[1]), q2 = brume_square(g, j->in[2]);
        const brume_tensor top = brume_sqrt(g, brume_add(g, p2, brume_relu(g, brume_sub(g, q2, p2))));
        const brume_tensor rtol = brume_slice(g, j->coef, 0, 0, 1), atol = brume_slice(g, j->coef, 0, 1, 1);
        st = brume_job_end(j, o->device, brume_div(g, j->in[0], brume_add(g, brume_mul(g, top, rtol), atol)));
    }
    if (st == BRUME_OK)
        st = brume_job_run(j, (brume_buffer *[]){ e->x, p->x, q->x }, 3, (const double[]){ r->rtol, r->atol }, 2, w->ratio.x);
    if (st == BRUME_OK) st = brume_sampling_norms(r->s, w->ratio.x, w->norms);
    double sum = 0;
    for (int64_t i = 0; st == BRUME_OK && i < r->s->images; i++) sum += w->norms[i] * w->norms[i];
    for (int64_t i = 0; i < r->n_y; i++) {
        const double v = e->y[i] / (r->atol + r->rtol * fmax(fabs(p->y[i]), fabs(q->y[i])));
        sum += v * v;
    }
    *rms = sqrt(sum / (double)(r->s->count + r->n_y));
    return st;
}

/* Length of the first step: from the sizes of the solution, its slope, and the slope's change over a tiny Euler step. */
static brume_status first_step(struct work *w, const struct point *at, double from, double to, double *h)
{
    const double sign = to < from ? -1 : 1, most = fabs(to - from), one = 1, minus = -1;
    double d0, d1, d2;
    brume_status e = slope(w, from, at, &w->k[0]);
    if (e == BRUME_OK) e = ratio(w, at, at, at, &d0);
    if (e == BRUME_OK) e = ratio(w, &w->k[0], at, at, &d1);
    if (e != BRUME_OK) return e;
    const double h0 = fmin(d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * d0 / d1, most);
    e = advance(w, at, sign * h0, &one, 1, &w->stage);
    if (e == BRUME_OK) e = slope(w, from + sign * h0, &w->stage, &w->k[1]);
    if (e == BRUME_OK) e = advance(w, &w->k[1], 1, &minus, 1, &w->stage);
    if (e == BRUME_OK) e = ratio(w, &w->stage, at, at, &d2);
    if (e != BRUME_OK) return e;
    d2 /= h0;
    const double h1 = d1 <= 1e-15 && d2 <= 1e-15 ? fmax(1e-6, h0 * 1e-3) : pow(0.01 / fmax(d1, d2), 0.2);
    *h = fmin(fmin(100 * h0, h1), most);
    return BRUME_OK;
}

/* The stages of one step of length hs from at; the new state goes to w->stage, its slope to k[6], the estimated error to *err. */
static brume_status attempt(struct work *w, const struct point *at, double u, double hs, double to, double *err)
{
    brume_status e = BRUME_OK;
    for (int q = 1; q < STAGES && e == BRUME_OK; q++) {
        e = advance(w, at, hs, a[q], q, &w->stage);
        if (e == BRUME_OK) e = slope(w, u + c[q] * hs, &w->stage, &w->k[q]);
    }
    if (e == BRUME_OK) e = advance(w, at, hs, b, STAGES, &w->stage);
    if (e == BRUME_OK) e = slope(w, to, &w->stage, &w->k[STAGES]);
    /* k[1] has no weight in the error: its room serves for it */
    if (e == BRUME_OK) e = advance(w, NULL, hs, error_of, STAGES + 1, &w->k[1]);
    return e == BRUME_OK ? ratio(w, &w->k[1], at, &w->stage, err) : e;
}

/* The solution moves on to w->stage; the slope there is the first stage of the next step. */
static brume_status accept(struct work *w, struct point *at, double u)
{
    struct brume_sampling *s = w->r->s;
    const struct point first = w->k[0];
    struct brume_terms x = { 0 };
    brume_terms_add(&x, 1, w->stage.x);
    const brume_status e = brume_sampling_update(s, &x);
    at->x = s->x;
    for (int64_t i = 0; i < w->r->n_y; i++) at->y[i] = w->stage.y[i];
    w->k[0] = w->k[STAGES];
    w->k[STAGES] = first;
    s->accepted++;
    return e == BRUME_OK && w->r->accepted ? w->r->accepted(w->r->self, u) : e;
}

static brume_status integrate(struct work *w, double from, double to)
{
    struct brume_sampling *s = w->r->s;
    const double sign = to < from ? -1 : 1;
    struct point at = { s->x, w->r->y };
    double u = from, h = 0, err = 0;
    brume_status e = first_step(w, &at, from, to, &h);
    for (int rejected = 0; e == BRUME_OK && sign * (to - u) > 0;) {
        const double tiny = 10 * fabs(nextafter(u, sign * INFINITY) - u);
        if (!rejected) h = fmax(h, tiny);
        if (!(h >= tiny))
            return brume_fail(BRUME_E_NUMERIC, "the ODE cannot be followed beyond time %g: even tiny steps miss rtol %g, atol %g",
                              u, w->r->rtol, w->r->atol);
        const double next = sign * (u + sign * h - to) > 0 ? to : u + sign * h, hs = next - u;
        h = fabs(hs);
        e = attempt(w, &at, u, hs, next, &err);
        if (e != BRUME_OK) return e;
        if (!isfinite(err))
            return brume_fail(BRUME_E_NUMERIC, "the ODE became infinite or NaN at time %g: is the model trained?", u);
        if (err < 1) {
            const double most = rejected ? 1 : 10;
            h *= err == 0 ? most : fmin(most, 0.9 * pow(err, -0.2));
            rejected = 0;
            u = next;
            e = accept(w, &at, u);
        } else {
            h *= fmax(0.2, 0.9 * pow(err, -0.2));
            rejected = 1;
            s->rejected++;
        }
    }
    return e;
}

brume_status brume_rk45_run(const struct brume_rk45 *r, double from, double to)
{
    struct work w;
    brume_status e = work_new(&w, r);
    if (e == BRUME_OK && from != to) e = integrate(&w, from, to);
    free(w.memory);
    return e;
}
