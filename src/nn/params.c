/* SPDX-License-Identifier: MIT
 * Parameters on the host: fresh values, and the way between a slab and a safetensors file. */
#include "brume/params.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/pool.h"
#include "brume/rng.h"

int64_t brume_params_numel(const brume_graph *g, brume_tensor slab) { return brume_shape_numel(brume_tensor_shape(g, slab)); }

#define TASK 65536 /* values that a task draws */

/* A parameter and its number, whose values tasks draw. */
struct drawing { const brume_param_info *param; uint64_t seed; uint32_t stream; float *values; };

static void draw(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct drawing *d = ctx;
    const brume_param_info *p = d->param;
    const int64_t first = task * TASK, rest = brume_shape_numel(p->shape) - first, n = rest < TASK ? rest : TASK;
    float *x = d->values + first;
    switch (p->init) {
    case BRUME_INIT_ZERO: memset(x, 0, (size_t)n * sizeof *x); break;
    case BRUME_INIT_ONE: for (int64_t k = 0; k < n; k++) x[k] = 1.0f; break;
    case BRUME_INIT_UNIFORM_FAN_IN: {
        const float b = p->init_scale / (float)sqrt((double)p->fan_in);
        brume_fill_uniform(d->seed, d->stream, 0, (uint64_t)first, n, x);
        for (int64_t k = 0; k < n; k++) x[k] = (2.0f * x[k] - 1.0f) * b;
        break;
    }
    case BRUME_INIT_NORMAL:
        brume_fill_normal(d->seed, d->stream, 0, (uint64_t)first, n, x);
        for (int64_t k = 0; k < n; k++) x[k] *= p->init_scale;
        break;
    }
}

static void draw_param(const brume_param_info *p, int i, uint64_t seed, float *values, brume_pool *pool)
{
    struct drawing d = { p, seed, (uint32_t)i, values };
    brume_pool_run(pool, (brume_shape_numel(p->shape) + TASK - 1) / TASK, draw, &d);
}

static brume_pool *pool_for(int64_t values)
{
    brume_pool *pool = NULL; /* without threads it only takes longer */
    return values > 4 * TASK && brume_pool_new(0, &pool) == BRUME_OK ? pool : NULL;
}

void brume_params_init(const brume_graph *g, brume_tensor slab, uint64_t seed, float *host)
{
    brume_pool *pool = pool_for(brume_params_numel(g, slab));
    for (int i = 0; i < brume_param_count(g, slab); i++) {
        const brume_param_info *p = brume_param_at(g, slab, i);
        draw_param(p, i, seed, host + p->offset, pool);
    }
    brume_pool_free(pool);
}

brume_status brume_params_fresh(void *seed, const brume_param_info *p, int i, float *to)
{
    brume_pool *pool = pool_for(brume_shape_numel(p->shape));
    draw_param(p, i, *(const uint64_t *)seed, to, pool);
    brume_pool_free(pool);
    return BRUME_OK;
}

brume_shape brume_param_file_shape(const brume_param_info *info)
{
    const int64_t *d = info->shape.d;
    switch (info->layout) {
    case BRUME_LAYOUT_LINEAR: return BRUME_SHAPE(d[1], d[0]);
    case BRUME_LAYOUT_CONV: return BRUME_SHAPE(d[3], d[2], d[0], d[1]);
    case BRUME_LAYOUT_SAME: break;
    }
    return info->shape;
}

/* Every layout is a transposition of two axes: inside (inner, outer), in the file (outer, inner); CONV: one of kh kw x (I O),
 * where the pixels of the kernel are innermost in the file. */
struct axes { int64_t taps, in, out; };

static struct axes axes_of(const brume_param_info *info)
{
    const int64_t *d = info->shape.d;
    if (info->layout == BRUME_LAYOUT_LINEAR) return (struct axes){ 1, d[0], d[1] };
    if (info->layout == BRUME_LAYOUT_CONV) return (struct axes){ d[0] * d[1], d[2], d[3] };
    return (struct axes){ 1, 1, brume_shape_numel(info->shape) };
}

void brume_param_from_file(const brume_param_info *info, const float *file, float *inside)
{
    const struct axes a = axes_of(info);
    for (int64_t o = 0; o < a.out; o++)
        for (int64_t i = 0; i < a.in; i++)
            for (int64_t k = 0; k < a.taps; k++) inside[(k * a.in + i) * a.out + o] = *file++;
}

void brume_param_to_file(const brume_param_info *info, const float *inside, float *file)
{
    const struct axes a = axes_of(info);
    for (int64_t o = 0; o < a.out; o++)
        for (int64_t i = 0; i < a.in; i++)
            for (int64_t k = 0; k < a.taps; k++) *file++ = inside[(k * a.in + i) * a.out + o];
}

/* Names that very old diffusers files give to the linear layers of attention. */
static const struct { const char *now, *then; } old_names[] = {
    { ".to_q.", ".query." }, { ".to_k.", ".key." }, { ".to_v.", ".value." }, { ".to_out.0.", ".proj_attn." },
};

const brume_st_tensor *brume_params_find(const brume_weights *w, const char *name)
{
    static const char prefix[] = "text_model."; /* of text encoders; transformers 5 writes fresh ones without */
    const brume_st_tensor *t = brume_weights_find(w, name);
    if (!t && !strncmp(name, prefix, strlen(prefix))) t = brume_weights_find(w, name + strlen(prefix));
    for (size_t i = 0; !t && i < sizeof old_names / sizeof *old_names; i++) {
        const char *at = strstr(name, old_names[i].now);
        char old[256];
        if (!at) continue;
        snprintf(old, sizeof old, "%.*s%s%s", (int)(at - name), name, old_names[i].then, at + strlen(old_names[i].now));
        t = brume_weights_find(w, old);
    }
    return t;
}

/* The Fourier table again, in older files; what CLIP has beside the text encoder. */
bool brume_params_idle(const char *name)
{
    static const char *const names[] = { "time_proj.W", "text_model.embeddings.position_ids",
                                         "embeddings.position_ids", "vision_model.", "visual_projection.",
                                         "text_projection.", "logit_scale" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t n = strlen(names[i]);
        if (names[i][n - 1] == '.' ? !strncmp(name, names[i], n) : !strcmp(name, names[i])) return true;
    }
    return false;
}

static bool shape_matches(const brume_param_info *info, const brume_st_tensor *t)
{
    const brume_shape s = brume_param_file_shape(info);
    int n = t->ndim;
    if (info->layout == BRUME_LAYOUT_LINEAR && n == 4 && t->shape[2] == 1 && t->shape[3] == 1) n = 2; /* a 1x1 convolution */
    if (n != s.ndim) return false;
    for (int i = 0; i < n; i++)
        if (t->shape[i] != s.d[i]) return false;
    return true;
}

static void shape_text(int ndim, const int64_t *d, char text[96])
{
    size_t used = (size_t)snprintf(text, 96, "[");
    for (int i = 0; i < ndim && used < 80; i++)
        used += (size_t)snprintf(text + used, 96 - used, i ? ", %lld" : "%lld", (long long)d[i]);
    snprintf(text + used, 96 - used, "]");
}

/* A list of complaints of which only the first few are spelt out. */
struct list { char text[1200]; size_t used; int n; };

static void complain(struct list *l, const char *what)
{
    if (l->n++ < 6)
        l->used += (size_t)snprintf(l->text + l->used, sizeof l->text - l->used, "%s%.180s", l->used ? ", " : "", what);
}

/* Values of the largest parameter. */
static int64_t largest(const brume_graph *g, brume_tensor slab)
{
    int64_t most = 1;
    for (int i = 0; i < brume_param_count(g, slab); i++) {
        const int64_t count = brume_shape_numel(brume_param_at(g, slab, i)->shape);
        if (count > most) most = count;
    }
    return most;
}

/* How many values are NaN or infinite. */
static int64_t not_finite(const float *x, int64_t n)
{
    int64_t bad = 0;
    for (int64_t i = 0; i < n; i++) bad += !isfinite(x[i]);
    return bad;
}

/* The tensor of each parameter; used: one per parameter. Fails where one is missing or has another shape, and names them. */
static brume_status match(const brume_graph *g, brume_tensor slab, const brume_weights *w, const brume_st_tensor **used)
{
    const int n = brume_param_count(g, slab);
    struct list missing = { .n = 0 }, wrong = { .n = 0 };
    for (int i = 0; i < n; i++) {
        const brume_param_info *p = brume_param_at(g, slab, i);
        const brume_st_tensor *t = used[i] = brume_params_find(w, p->name);
        if (!t) {
            complain(&missing, p->name);
        } else if (!shape_matches(p, t)) {
            const brume_shape want = brume_param_file_shape(p);
            char text[400], a[96], b[96];
            shape_text(want.ndim, want.d, a);
            shape_text(t->ndim, t->shape, b);
            snprintf(text, sizeof text, "%.100s (%s expected, %s found)", p->name, a, b);
            complain(&wrong, text);
        }
    }
    if (missing.n + wrong.n == 0) return BRUME_OK;
    const char *where = brume_weights_files(w) > 0 ? brume_weights_file(w, 0) : "weights";
    return brume_fail(BRUME_E_FORMAT, "%s: %d of %d parameters are missing%s%s%s; %d have another shape%s%s%s", where, missing.n,
                      n, missing.n ? " (" : "", missing.text,
                      missing.n > 6 ? ", ...)"
                      : missing.n   ? ")"
                                    : "",
                      wrong.n, wrong.n ? ": " : "", wrong.text, wrong.n > 6 ? ", ..." : "");
}

brume_status brume_params_check(const brume_graph *g, brume_tensor slab, const brume_weights *w)
{
    const int n = brume_param_count(g, slab);
    const brume_st_tensor **used = calloc((size_t)(n > 0 ? n : 1), sizeof *used);
    const brume_status s = used ? match(g, slab, w, used) : brume_fail(BRUME_E_MEMORY, "out of memory while loading parameters");
    free(used);
    return s;
}

static brume_status load_one(const brume_param_info *p, const brume_st_tensor *t, float *file, float *host, struct list *damaged)
{
    const int64_t count = brume_shape_numel(p->shape);
    const brume_status s = brume_st_read_f32(t, 0, count, file);
    if (s != BRUME_OK) return s;
    const int64_t bad = not_finite(file, count);
    if (bad) {
        char text[200]; /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): what was found is there */
        snprintf(text, sizeof text, "%.120s (%lld of %lld)", t->name, (long long)bad, (long long)count);
        complain(damaged, text);
    }
    brume_param_from_file(p, file, host + p->offset);
    return BRUME_OK;
}

/* What is worth telling about files that were read. */
static void describe(const struct list *damaged, const struct list *extra, char note[512])
{
    size_t used = 0;
    note[0] = 0;
    if (damaged->n)
        used =
            (size_t)snprintf(note, 512,
                             "%d tensors of the weights hold values that are NaN or infinite, and so may all results: %.180s%s",
                             damaged->n, damaged->text, damaged->n > 6 || strlen(damaged->text) > 180 ? ", ..." : "");
    if (extra->n)
        snprintf(note + used, 512 - used, "%s%d tensors of the weights are not part of the model: %.*s%s", used ? "; " : "",
                 extra->n, used ? 150 : 400, extra->text, extra->n > 6 ? ", ..." : "");
}

brume_status brume_params_load(const brume_graph *g, brume_tensor slab, const brume_weights *w, float *host, char note[512])
{
    const int n = brume_param_count(g, slab);
    struct list extra = { .n = 0 }, damaged = { .n = 0 };
    if (note) note[0] = 0;
    const brume_st_tensor **used = calloc((size_t)(n > 0 ? n : 1), sizeof *used);
    float *file = NULL;
    brume_status s = used ? match(g, slab, w, used) : brume_fail(BRUME_E_MEMORY, "out of memory while loading parameters");
    if (s == BRUME_OK && !(file = malloc((size_t)largest(g, slab) * sizeof *file)))
        s = brume_fail(BRUME_E_MEMORY, "out of memory while loading parameters");
    for (int i = 0; i < n && s == BRUME_OK; i++) s = load_one(brume_param_at(g, slab, i), used[i], file, host, &damaged);
    for (int64_t k = 0; k < brume_weights_count(w) && s == BRUME_OK && note; k++) {
        const brume_st_tensor *t = brume_weights_at(w, k);
        bool known = brume_params_idle(t->name);
        for (int i = 0; i < n && !known; i++) known = used[i] == t;
        if (!known) complain(&extra, t->name);
    }
    if (note && s == BRUME_OK) describe(&damaged, &extra, note);
    free(file);
    free(used);
    return s;
}

/* A parameter on its way into a file; room for the one that is being written. */
struct saving { const brume_param_info *param; const float *inside; float *file; };

static brume_status read_param(const void *data, int64_t first, int64_t n, void *dst)
{
    const struct saving *s = data;
    if (first == 0) brume_param_to_file(s->param, s->inside, s->file);
    memcpy(dst, s->file + first, (size_t)n * sizeof *s->file);
    return BRUME_OK;
}

brume_status brume_params_save(const brume_graph *g, brume_tensor slab, const float *host, const char *path)
{
    const int n = brume_param_count(g, slab);
    const size_t rows = (size_t)(n > 0 ? n : 1);
    brume_st_item *items = calloc(rows, sizeof *items);
    brume_shape *shapes = calloc(rows, sizeof *shapes);
    struct saving *saving = calloc(rows, sizeof *saving);
    float *file = malloc((size_t)largest(g, slab) * sizeof *file);
    brume_status s = items && shapes && saving && file
                         ? BRUME_OK
                         : brume_fail(BRUME_E_MEMORY, "%s: out of memory while writing parameters", path);
    for (int i = 0; i < n && s == BRUME_OK; i++) {
        const brume_param_info *p = brume_param_at(g, slab, i);
        shapes[i] = brume_param_file_shape(p);
        saving[i] = (struct saving){ p, host + p->offset, file };
        items[i] = (brume_st_item){ .name = p->name, .dtype = BRUME_ST_F32, .ndim = shapes[i].ndim,
                                    .shape = shapes[i].d, .data = &saving[i] };
    }
    if (s == BRUME_OK) s = brume_safetensors_write_from(path, items, n, NULL, read_param);
    free(file);
    free(saving);
    free(shapes);
    free(items);
    return s;
}
