/* SPDX-License-Identifier: MIT
 * Starting from a model that is not quite the one to train: parameters by name and shape, the rest fresh. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/params.h"
#include "train/trainer.h"

enum { NAMED = 4, NOTE_BYTES = 1024 }; /* parameters that a note names; the others it counts */

/* A network of the model: its layout on paper, and the values. */
struct part {
    const char *prefix;
    brume_graph *graph;
    brume_tensor slab;
    const float *values;
    bool *used;
};

static brume_status no_memory(void)
{
    return brume_fail(BRUME_E_MEMORY, "training: out of memory for the weights to start from");
}

static brume_status finish_part(struct part *p)
{
    if (brume_graph_status(p->graph) != BRUME_OK)
        return brume_fail(brume_graph_status(p->graph), "%s", brume_graph_error(p->graph));
    const int n = brume_param_count(p->graph, p->slab);
    p->used = calloc((size_t)(n ? n : 1), sizeof *p->used);
    return p->used ? BRUME_OK : no_memory();
}

static brume_status open_unet(struct part *p, const brume_model *m)
{
    *p = (struct part){ .prefix = "", .graph = brume_graph_new(), .slab = BRUME_NONE, .values = m->params };
    if (!p->graph) return no_memory();
    const brume_status s = brume_unet2d_on_paper(p->graph, &m->unet, &p->slab);
    return s == BRUME_OK ? finish_part(p) : s;
}

static brume_status open_text(struct part *p, const brume_model *m)
{
    *p = (struct part){ .prefix = "text_encoder.", .graph = brume_graph_new(), .slab = BRUME_NONE };
    if (!p->graph) return no_memory();
    p->slab = brume_slab(p->graph, "params");
    if (m->text_encoder) {
        const brume_tensor ids = brume_input(p->graph, "ids", BRUME_I32, BRUME_SHAPE(1, 1));
        brume_text_encoder(p->graph, &m->text_encoder->config, p->slab, "", ids);
        p->values = m->text_encoder->params;
    }
    return finish_part(p);
}

static void close_part(struct part *p)
{
    brume_graph_free(p->graph);
    free(p->used);
}

/* Number of the parameter of that name, or -1. */
static int find(const struct part *p, const char *name)
{
    for (int i = 0; i < brume_param_count(p->graph, p->slab); i++)
        if (!strcmp(brume_param_at(p->graph, p->slab, i)->name, name)) return i;
    return -1;
}

/* Output channels of conv_out, which stand last, are those of the mean and, after them, those of the variance. */
static bool is_half(const brume_param_info *a, const brume_param_info *b)
{
    const int last = a->shape.ndim - 1;
    if (strncmp(a->name, "conv_out.", 9) || a->shape.ndim != b->shape.ndim || last < 0) return false;
    for (int i = 0; i < last; i++)
        if (a->shape.d[i] != b->shape.d[i]) return false;
    return a->shape.d[last] == 2 * b->shape.d[last] || 2 * a->shape.d[last] == b->shape.d[last];
}

static bool equal(const brume_shape *a, const brume_shape *b)
{
    return a->ndim == b->ndim && !memcmp(a->d, b->d, (size_t)a->ndim * sizeof a->d[0]);
}

/* Copies what both have; the number of values. */
static int64_t copy(const brume_param_info *to, float *dst, const brume_param_info *from, const float *src)
{
    const int last = to->shape.ndim - 1;
    if (equal(&to->shape, &from->shape)) {
        memcpy(dst, src, (size_t)brume_shape_numel(to->shape) * sizeof *dst);
        return brume_shape_numel(to->shape);
    }
    if (!is_half(to, from)) return 0;
    const int64_t wide = to->shape.d[last], own = from->shape.d[last], rows = brume_shape_numel(to->shape) / wide,
                  both = wide < own ? wide : own;
    for (int64_t r = 0; r < rows; r++) memcpy(dst + r * wide, src + r * own, (size_t)both * sizeof *dst);
    return rows * both;
}

struct note { char *text; size_t used; int n; };

static void add(struct note *n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const int more = vsnprintf(n->text + n->used, NOTE_BYTES - n->used, fmt, ap);
    va_end(ap);
    if (more > 0) n->used = n->used + (size_t)more < NOTE_BYTES ? n->used + (size_t)more : NOTE_BYTES - 1;
}

static void add_shape(struct note *n, const brume_param_info *info)
{
    const brume_shape s = brume_param_file_shape(info);
    for (int i = 0; i < s.ndim; i++) add(n, "%s%lld", i ? "x" : "", (long long)s.d[i]);
}

/* from: the model's parameter of that name in another shape, or NULL. */
static void tell_new(struct note *n, const brume_param_info *to, const brume_param_info *from)
{
    if (n->n++ >= NAMED) return;
    add(n, "%s%s (", n->n == 1 ? "new: " : ", ", to->name);
    add_shape(n, to);
    if (from) {
        add(n, is_half(from, to) ? ", in part: the model's is " : ", the model's is ");
        add_shape(n, from);
    }
    add(n, ")");
}

static void tell_unused(struct note *n, const struct part *p)
{
    int unused = 0;
    for (int i = 0; i < brume_param_count(p->graph, p->slab); i++) {
        if (p->used[i]) continue; /* NOLINT(clang-analyzer-core.NullDereference): open parts have it */
        if (unused++ < NAMED)
            add(n, "%s%s%s",
                unused > 1 ? ", "
                : n->used  ? "; left out: "
                           : "left out: ",
                p->prefix, brume_param_at(p->graph, p->slab, i)->name);
    }
    if (unused > NAMED) add(n, " and %d more", unused - NAMED);
}

/* Fills all parameters of the trainer from the parts where they can be; returns the number of values that were found. */
static int64_t take(struct brume_trainer *t, struct part parts[2], float *all, struct note *n)
{
    int64_t taken = 0;
    for (int i = 0; i < brume_param_count(t->graph, t->params); i++) {
        const brume_param_info *to = brume_param_at(t->graph, t->params, i);
        struct part *p = &parts[!strncmp(to->name, parts[1].prefix, strlen(parts[1].prefix))];
        const int k = find(p, to->name + strlen(p->prefix));
        const brume_param_info *from = k >= 0 ? brume_param_at(p->graph, p->slab, k) : NULL;
        const int64_t got = from ? copy(to, all + to->offset, from, p->values + from->offset) : 0;
        if (k >= 0) p->used[k] = true; /* told once. NOLINT(clang-analyzer-core.NullDereference): open parts have it */
        if (got < brume_shape_numel(to->shape)) tell_new(n, to, from);
        taken += got;
    }
    if (n->n > NAMED) add(n, " and %d more", n->n - NAMED);
    return taken;
}

brume_status brume_trainer_init(brume_trainer *t, const brume_model *m, char note[NOTE_BYTES])
{
    struct part parts[2] = { { 0 }, { 0 } };
    struct note n = { .text = note };
    note[0] = 0;
    if (brume_trainer_adapts(&t->config)) return brume_trainer_set_params(t, m->params, m->n_params);
    float *all = malloc((size_t)t->n_params * sizeof *all);
    brume_status s = all ? open_unet(&parts[0], m) : no_memory();
    if (s == BRUME_OK) s = open_text(&parts[1], m);
    if (s == BRUME_OK) {
        brume_params_init(t->graph, t->params, t->config.seed, all);
        if (!take(t, parts, all, &n))
            s = brume_fail(BRUME_E_ARG, "training: the model to start from has no parameter of the network's names and shapes");
    }
    if (s == BRUME_OK) {
        tell_unused(&n, &parts[0]);
        if (t->text.n_params) tell_unused(&n, &parts[1]);
        s = brume_trainer_set_params(t, all, t->n_params);
    }
    close_part(&parts[0]);
    close_part(&parts[1]);
    free(all);
    return s;
}
