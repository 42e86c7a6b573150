/* SPDX-License-Identifier: MIT
 * Spoils the results of the kernel that BRUME_PLANT names. */
#include "plan/plant.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"

/* What is done to the values of a result; `most`: the place of the largest magnitude. */
static void off(float *x, int64_t n, int64_t most) { (void)n; x[most] = x[most] == 0.0f ? 1e-2f : x[most] * 1.01f; }
static void sign(float *x, int64_t n, int64_t most) { (void)n; x[most] = -x[most]; }
static void zero(float *x, int64_t n, int64_t most) { (void)n; x[most] = 0; }
static void nan_(float *x, int64_t n, int64_t most) { (void)n; x[most] = NAN; }
static void inf(float *x, int64_t n, int64_t most) { (void)n; x[most] = INFINITY; }
static void next(float *x, int64_t n, int64_t most) { x[most] = x[(most + 1) % n]; }
static void scale(float *x, int64_t n, int64_t most)
{
    (void)most;
    for (int64_t i = 0; i < n; i++) x[i] *= 1.01f;
}

static const struct { const char *name; void (*spoil)(float *x, int64_t n, int64_t most); } kinds[] = {
    { "off", off }, { "sign", sign }, { "zero", zero }, { "nan", nan_ }, { "inf", inf }, { "scale", scale }, { "next", next },
    { "unwritten", NULL }, /* needs what was there before */
};
#define KINDS (sizeof kinds / sizeof *kinds)

static const char *const wheres[] = { "cpu", "opencl", "a", "b" };

struct plant { char op[64], variant[32], where[16]; int out, kind; };

static brume_status misread(const char *text)
{
    return brume_fail(
        BRUME_E_ARG,
        "BRUME_PLANT=%s: expected OP[.OUT][/VARIANT][@cpu|@opencl|@a|@b][:KIND], KIND one of off, sign, zero, nan, inf, scale, "
        "next, unwritten",
        text);
}

/* Copies up to one of the letters in `ends`; false if it does not fit or is empty. */
static bool take(const char **at, const char *ends, char *to, size_t size)
{
    const size_t n = strcspn(*at, ends);
    if (n == 0 || n >= size) return false;
    memcpy(to, *at, n);
    to[n] = 0;
    *at += n;
    return true;
}

static brume_status parse(const char *text, struct plant *p)
{
    const char *at = text;
    char word[16];
    *p = (struct plant){ .kind = 0 };
    if (!take(&at, "./@:", p->op, sizeof p->op)) return misread(text);
    if (*at == '.') p->out = (int)strtol(at + 1, (char **)&at, 10);
    if (*at == '/' && (at++, !take(&at, "@:", p->variant, sizeof p->variant))) return misread(text);
    if (*at == '@' && (at++, !take(&at, ":", p->where, sizeof p->where))) return misread(text);
    bool known = !*p->where;
    for (size_t i = 0; i < sizeof wheres / sizeof *wheres; i++) known = known || !strcmp(p->where, wheres[i]);
    if (!known) return misread(text);
    if (*at == ':') {
        at++;
        if (!take(&at, "", word, sizeof word)) return misread(text);
        while (p->kind < (int)KINDS && strcmp(word, kinds[p->kind].name)) p->kind++;
    }
    return *at || p->kind == (int)KINDS || p->out < 0 ? misread(text) : BRUME_OK;
}

/* Does the plant name this step's kernel, or an op of its chain? */
static bool hits(const struct brume_plan *p, const struct plant *f, const struct brume_step *s)
{
    const char side[2] = { p->side, 0 };
    if (*f->where && strcmp(f->where, p->device->backend->kind) && (!p->side || strcmp(f->where, side))) return false;
    if (!s->fused) return !strcmp(s->node->op->name, f->op) && (!*f->variant || !strcmp(s->variant->name, f->variant));
    if (*f->variant) return false;
    if (!strcmp(f->op, "elementwise")) return true; /* as tables call all chains */
    for (int i = 0; i <= s->node->index; i++)
        if (p->needed[i] && p->group[i] == s->node->index && !strcmp(brume_graph_node(p->graph, i)->op->name, f->op)) return true;
    return false;
}

/* The result of that number, or the tensor updated as the one of that number; NULL if there is none. */
static const struct brume_value *target(const struct brume_step *s, int out, struct brume_place *at)
{
    const struct brume_node *n = s->node;
    if (n->n_out) {
        if (out >= n->n_out) return NULL;
        *at = s->out[out];
        return n->out_v[out];
    }
    for (int j = 0; j < n->n_in && j < 32; j++)
        if (n->op->updates >> j & 1 && n->in_v[j] && out-- == 0) {
            *at = s->in[j];
            return n->in_v[j];
        }
    return NULL;
}

static float widen(const unsigned char *raw, brume_dtype t, int64_t i)
{
    if (t == BRUME_F32) return ((const float *)raw)[i];
    if (t == BRUME_F16) return brume_half_widen(((const uint16_t *)raw)[i]);
    return t == BRUME_I32 ? (float)((const int32_t *)raw)[i] : (float)((const int64_t *)raw)[i];
}

static void narrow(unsigned char *raw, brume_dtype t, int64_t i, float x)
{
    if (t == BRUME_F32) ((float *)raw)[i] = x;
    else if (t == BRUME_F16) ((uint16_t *)raw)[i] = brume_half_narrow(x);
    else if (t == BRUME_I32) ((int32_t *)raw)[i] = (int32_t)x;
    else ((int64_t *)raw)[i] = (int64_t)x;
}

static brume_status spoil(const struct brume_plan *p, const struct plant *f, const struct brume_value *v, struct brume_place at)
{
    const struct brume_backend *b = p->device->backend;
    const size_t n = (size_t)brume_shape_numel(v->shape), bytes = n * (size_t)brume_dtype_bytes(v->dtype);
    unsigned char *raw = malloc(bytes);
    float *x = malloc(n * sizeof *x);
    brume_status s = raw && x ? b->read(p->buffers[at.slot], (size_t)at.offset, raw, bytes)
                              : brume_fail(BRUME_E_MEMORY, "plant: out of host memory");
    size_t most = 0;
    for (size_t i = 0; s == BRUME_OK && i < n; i++) {
        x[i] = widen(raw, v->dtype, (int64_t)i);
        if (fabsf(x[i]) > fabsf(x[most])) most = i;
    }
    if (s == BRUME_OK) {
        kinds[f->kind].spoil(x, (int64_t)n, (int64_t)most);
        for (size_t i = 0; i < n; i++) narrow(raw, v->dtype, (int64_t)i, x[i]);
        s = b->write(p->buffers[at.slot], (size_t)at.offset, raw, bytes);
    }
    free(raw);
    free(x);
    return s;
}

static brume_status run_spoiled(struct brume_plan *p, const struct plant *f, int step)
{
    const struct brume_backend *b = p->device->backend;
    struct brume_place at;
    const struct brume_value *v = target(&p->steps[step], f->out, &at);
    unsigned char last[8];
    if (!v) return b->run(p->exec, p->buffers, step, step + 1);
    const size_t size = (size_t)brume_dtype_bytes(v->dtype),
                 end = (size_t)at.offset + ((size_t)brume_shape_numel(v->shape) - 1) * size;
    const bool unwritten = !kinds[f->kind].spoil;
    brume_status s = unwritten ? b->read(p->buffers[at.slot], end, last, size) : BRUME_OK;
    if (s == BRUME_OK) s = b->run(p->exec, p->buffers, step, step + 1);
    if (s != BRUME_OK) return s;
    return unwritten ? b->write(p->buffers[at.slot], end, last, size) : spoil(p, f, v, at);
}

/* An error that nothing meets must not pass for one that is not found. */
static atomic_bool met;
static void warn_unmet(void)
{
    if (!met) fprintf(stderr, "brume: BRUME_PLANT: no kernel that ran has this op, variant and device\n");
}
static void watch(void) { atexit(warn_unmet); }

/* Step i, spoiled by the first of the list that names its kernel. */
static brume_status run_one(struct brume_plan *p, const char *list, int i)
{
    for (const char *at = list; *at;) {
        char text[160];
        struct plant f;
        const size_t n = strcspn(at, ",");
        if (n >= sizeof text) return misread(list);
        memcpy(text, at, n);
        text[n] = 0;
        const brume_status s = parse(text, &f);
        if (s != BRUME_OK) return s;
        if (hits(p, &f, &p->steps[i])) {
            met = true;
            return run_spoiled(p, &f, i);
        }
        at += n + (at[n] == ',');
    }
    return p->device->backend->run(p->exec, p->buffers, i, i + 1);
}

brume_status brume_plant_run(struct brume_plan *p, int from, int to)
{
    const char *list = getenv("BRUME_PLANT");
    brume_status s = BRUME_OK;
    static pthread_once_t watched = PTHREAD_ONCE_INIT;
    if (!list || !*list) return p->device->backend->run(p->exec, p->buffers, from, to);
    pthread_once(&watched, watch);
    for (int i = from; s == BRUME_OK && i < to; i++) s = run_one(p, list, i);
    return s;
}
