/* SPDX-License-Identifier: MIT
 * Pseudo numerical methods (Liu et al. 2022): linear multistep (PLMS), started by Runge-Kutta or by one improved Euler step. */
#include "diffusion/sampling.h"

enum { KEPT = 4 /* slopes */, STAGES = 3 /* of Runge-Kutta after the first */ };

struct pndm {
    struct brume_sampling *s;
    int raw;                     /* slopes are the network's output as it is, turned into eps where they are used */
    brume_buffer *slope[KEPT];   /* newest first */
    brume_buffer *stage[STAGES];
    brume_buffer *start;         /* state before the current step */
    int kept;
};

/* The node of an integer time, which may lie before the chain: there alpha_bar is 1, or that of time 0 if set_alpha_to_one is
 * off. */
static struct brume_node at_time(const struct brume_sampling *s, double t)
{
    const brume_level first = brume_process_level(s->process, 0);
    if (t < 0 && s->config->set_alpha_to_one) return (struct brume_node){ .t = t, .u = t, .a = 1, .s = 0, .scale = 1 };
    const brume_level l = t < 0 ? first : brume_process_level(s->process, t);
    return (struct brume_node){ .t = l.t, .u = t, .a = l.a, .s = l.s, .scale = 1 };
}

/* Steps of discrete models go from t to t - floor(T / n), as in diffusers, whether or not that is on the grid. */
static double stride(const struct brume_sampling *s) { return s->schedule->T / s->n; }
static double half_stride(const struct brume_sampling *s) { return s->schedule->T / s->n / 2; }

/* Asks for the state at a node; *slope receives the network's output, or eps, and its buffer is used for that. */
static brume_status ask(struct pndm *p, brume_buffer *state, const struct brume_node *at, brume_buffer **slope)
{
    struct brume_sampling *s = p->s;
    if (!p->raw) {
        const brume_status e = brume_sampling_predict(s, state, at);
        return e == BRUME_OK ? brume_sampling_eps(s, state, *slope) : e;
    }
    s->m = *slope;
    const brume_status e = brume_sampling_predict(s, state, at);
    *slope = s->m;
    return e;
}

static brume_status ask_new(struct pndm *p, const struct brume_node *at)
{
    brume_buffer *oldest = p->slope[KEPT - 1];
    for (int k = KEPT - 1; k > 0; k--) p->slope[k] = p->slope[k - 1];
    p->slope[0] = oldest;
    if (p->kept < KEPT) p->kept++;
    return ask(p, p->s->x, at, &p->slope[0]);
}

/* x' = (b/a) x + (c - b s/a) eps from (a, s) to (b, c): eq. 11, the DDIM step. eps = sum of weights times slopes, of a state at
 * `from`. */
static void move(const struct pndm *p, brume_buffer *x, const struct brume_node *from, const struct brume_node *to, int n,
                 const double *weight, brume_buffer *const *slope, struct brume_terms *out)
{
    const double along = to->s - to->a * from->s / from->a;
    double cx = 0.0, cm = 1.0;
    const brume_level level = { .t = from->t, .a = from->a, .s = from->s };
    if (p->raw) brume_prediction_eps(p->s->prediction, &level, &cx, &cm);
    brume_terms_add(out, to->a / from->a + along * cx, x);
    for (int k = 0; k < n; k++) brume_terms_add(out, along * cm * weight[k], slope[k]);
}

/* x becomes the terms, and `start` keeps the buffer that x had. */
static brume_status update_keeping(struct pndm *p, const struct brume_terms *x)
{
    struct brume_sampling *s = p->s;
    const brume_status e = brume_sampling_update(s, x);
    if (e != BRUME_OK) return e;
    brume_buffer *before = s->spare;
    s->spare = p->start;
    p->start = before;
    return BRUME_OK;
}

/* Runge-Kutta of order 4 from grid node i to the next (eq. 13); its first slope joins the history. */
static brume_status runge_kutta(struct pndm *p, int32_t i)
{
    struct brume_sampling *s = p->s;
    const struct brume_node *from = &s->grid->node[i], *to = &s->grid->node[i + 1];
    /* with an odd stride the middles seen from both ends differ */
    const struct brume_node half = at_time(s, from->u - half_stride(s)), middle = at_time(s, to->u + half_stride(s));
    static const double one[] = { 1 }, all[] = { 1.0 / 6, 1.0 / 3, 1.0 / 3, 1.0 / 6 };
    struct brume_terms x = { 0 };
    brume_status e = ask_new(p, from);
    if (e != BRUME_OK) return e;
    move(p, s->x, from, &half, 1, one, p->slope, &x);
    if ((e = update_keeping(p, &x)) != BRUME_OK || (e = brume_sampling_stage(s, &half)) != BRUME_OK) return e;
    for (int k = 0; k < STAGES - 1; k++) {
        const struct brume_node *end = k == 0 ? &middle : to;
        x.n = 0;
        if ((e = ask(p, s->x, &middle, &p->stage[k])) != BRUME_OK) return e;
        move(p, p->start, from, end, 1, one, &p->stage[k], &x);
        if ((e = brume_sampling_update(s, &x)) != BRUME_OK || (e = brume_sampling_stage(s, end)) != BRUME_OK) return e;
    }
    x.n = 0;
    if ((e = ask(p, s->x, to, &p->stage[STAGES - 1])) != BRUME_OK) return e;
    move(p, p->start, from, to, 4, all, (brume_buffer *[]){ p->slope[0], p->stage[0], p->stage[1], p->stage[2] }, &x);
    e = brume_sampling_update(s, &x);
    return e == BRUME_OK ? brume_sampling_step(s, to) : e;
}

/* First step without Runge-Kutta: Euler, then again with the mean of the slopes at both ends; the second is not kept. */
static brume_status improved_euler(struct pndm *p, int32_t i)
{
    struct brume_sampling *s = p->s;
    const struct brume_node *from = &s->grid->node[i], *to = &s->grid->node[i + 1];
    const struct brume_node end = at_time(s, from->u - stride(s)), start = at_time(s, to->u + stride(s));
    static const double one[] = { 1 }, mean[] = { 0.5, 0.5 };
    struct brume_terms x = { 0 };
    brume_status e = ask_new(p, from);
    if (e != BRUME_OK) return e;
    move(p, s->x, from, &end, 1, one, p->slope, &x);
    if ((e = update_keeping(p, &x)) != BRUME_OK || (e = brume_sampling_stage(s, &end)) != BRUME_OK) return e;
    x.n = 0;
    if ((e = ask(p, s->x, to, &p->stage[0])) != BRUME_OK) return e;
    move(p, p->start, &start, to, 2, mean, (brume_buffer *[]){ p->slope[0], p->stage[0] }, &x);
    e = brume_sampling_update(s, &x);
    return e == BRUME_OK ? brume_sampling_step(s, to) : e;
}

/* Adams-Bashforth with the slopes there are (eq. 12). */
static brume_status multistep(struct pndm *p, int32_t i)
{
    struct brume_sampling *s = p->s;
    static const double weight[KEPT][KEPT] = {
        { 1 }, { 3.0 / 2, -1.0 / 2 }, { 23.0 / 12, -16.0 / 12, 5.0 / 12 }, { 55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24 },
    };
    const struct brume_node *from = &s->grid->node[i], end = at_time(s, from->u - stride(s));
    struct brume_terms x = { 0 };
    brume_status e = ask_new(p, from);
    if (e != BRUME_OK) return e;
    move(p, s->x, from, &end, p->kept, weight[p->kept - 1], p->slope, &x);
    e = brume_sampling_update(s, &x);
    return e == BRUME_OK ? brume_sampling_step(s, &end) : e;
}

int32_t brume_calls_pndm(const brume_scheduler_config *c, const struct brume_sampler_options *o, int32_t n)
{
    (void)o;
    const int32_t runge_kutta_steps = n - 1 < 3 ? n - 1 : 3;
    return c->skip_prk_steps ? n + (n > 1) : n + 3 * runge_kutta_steps;
}

brume_status brume_run_pndm(struct brume_sampling *s)
{
    struct pndm p = { .s = s, .raw = s->prediction == BRUME_PREDICT_EPS || s->prediction == BRUME_PREDICT_V };
    const int prk = !s->config->skip_prk_steps;
    brume_status e = BRUME_OK;
    int reg = 0;
    for (int k = 0; k < KEPT && e == BRUME_OK; k++) e = brume_sampling_register(s, reg++, &p.slope[k]);
    for (int k = 0; k < STAGES && e == BRUME_OK; k++) e = brume_sampling_register(s, reg++, &p.stage[k]);
    if (e == BRUME_OK) e = brume_sampling_register(s, reg++, &p.start);
    for (int32_t i = s->first; i < s->n && e == BRUME_OK; i++) {
        const int32_t done = i - s->first;
        if (i < s->n - 1 && done < (prk ? 3 : 1)) e = prk ? runge_kutta(&p, i) : improved_euler(&p, i);
        else e = multistep(&p, i);
    }
    return e;
}
