/* SPDX-License-Identifier: MIT
 * Renaming of weights: finds tensors by rules, splits stacked ones, and writes what comes out tensor by tensor. */
#include "convert/names.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 256 };

brume_status brume_renaming_begin(struct brume_renaming *r, const brume_weights *in, const char *layout, const char *their_root)
{
    r->in = in;
    r->layout = layout;
    r->their_root = their_root;
    r->used = calloc((size_t)brume_weights_count(in) + 1, sizeof *r->used);
    if (!r->used) r->status = brume_fail(BRUME_E_MEMORY, "no memory for a list of %lld tensors", (long long)brume_weights_count(in));
    return r->status;
}

void brume_renaming_free(struct brume_renaming *r)
{
    for (int64_t i = 0; i < r->n; i++) free(r->out[i].name);
    free(r->out);
    free(r->used);
    r->out = NULL;
    r->used = NULL;
}

void brume_renaming_fail(struct brume_renaming *r, brume_status s, const char *fmt, ...)
{
    char text[700];
    if (r->status != BRUME_OK) return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    r->status = brume_fail(s, "%s, read as %s: %s", brume_weights_file(r->in, 0), r->layout, text);
}

static const brume_st_tensor *source(const struct brume_renaming *r, const char *name)
{
    char full[NAME];
    snprintf(full, sizeof full, "%s%s", r->their_root, name);
    return brume_weights_find(r->in, full);
}

const brume_st_tensor *brume_renaming_find(const struct brume_renaming *r, const char *fmt, ...)
{
    char name[NAME];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    return source(r, name);
}

static void mark(struct brume_renaming *r, const brume_st_tensor *t)
{
    for (int64_t i = 0; i < brume_weights_count(r->in); i++)
        if (brume_weights_at(r->in, i) == t) r->used[i] = true;
}

static struct brume_renamed *append(struct brume_renaming *r, const char *name)
{
    if (r->n == r->capacity) {
        const int64_t more = r->capacity ? 2 * r->capacity : 256;
        struct brume_renamed *out = realloc(r->out, (size_t)more * sizeof *out);
        if (!out) return r->status = brume_fail(BRUME_E_MEMORY, "no memory for a list of %lld tensors", (long long)more), NULL;
        r->out = out;
        r->capacity = more;
    }
    struct brume_renamed *t = &r->out[r->n];
    memset(t, 0, sizeof *t);
    if (!(t->name = strdup(name))) return r->status = brume_fail(BRUME_E_MEMORY, "no memory for a name"), NULL;
    r->n++;
    return t;
}

static void shape_text(const brume_st_tensor *t, char text[128])
{
    size_t used = (size_t)snprintf(text, 128, "(");
    for (int i = 0; i < t->ndim && used < 100; i++) used += (size_t)snprintf(text + used, 128 - used, i ? ", %lld" : "%lld", (long long)t->shape[i]);
    snprintf(text + used, 128 - used, ")");
}

static brume_st_dtype dtype_of(const struct brume_renaming *r, const brume_st_tensor *t)
{
    if (!r->keep_dtype) return r->dtype;
    return t->dtype == BRUME_ST_F16 || t->dtype == BRUME_ST_BF16 ? t->dtype : BRUME_ST_F32;
}

/* Shape of the result before its rows are split off. ndim: of their weight where it is a convolution, or 0. */
static bool take_shape(struct brume_renaming *r, struct brume_renamed *to, const brume_st_tensor *t, int ndim)
{
    int n = t->ndim;
    bool ok = n <= 4;
    if (ok && ndim)
        for (; n > 2; n--) ok = ok && t->shape[n - 1] == 1;
    for (int i = 0; i < n && ok; i++) to->shape[i] = t->shape[i];
    to->ndim = n;
    if (ok) return true;
    char text[128];
    shape_text(t, text);
    brume_renaming_fail(r, BRUME_E_UNSUPPORTED, "tensor '%s' has the shape %s, which has no counterpart", t->name, text);
    return false;
}

/* A rule at a place: what it renames at the moment. */
struct place { const struct brume_rule *rule; const char *ours, *leaf; int ndim; };

static void our_name(const struct place *at, int part, char name[NAME])
{
    snprintf(name, NAME, "%s%s%s%s", at->ours, at->ours[0] ? "." : "", at->rule->ours[part], at->leaf);
}

/* The source of that name, marked as used; a missing one is an error unless the rule is optional. */
static const brume_st_tensor *take(struct brume_renaming *r, const struct place *at, const char *name)
{
    const brume_st_tensor *t = source(r, name);
    if (t) mark(r, t);
    else if (!(at->rule->flags & RULE_OPTIONAL))
        brume_renaming_fail(r, BRUME_E_FORMAT, "tensor '%s%s' is missing", r->their_root, name);
    return t;
}

/* Their stack becomes three of ours. */
static void split(struct brume_renaming *r, const struct place *at, const char *their_name)
{
    const brume_st_tensor *t = take(r, at, their_name);
    if (!t) return;
    const int64_t rows = t->ndim ? t->shape[0] : 1, block = r->stack_block ? r->stack_block : rows / 3;
    if (block < 1 || rows % (3 * block)) {
        brume_renaming_fail(r, BRUME_E_FORMAT, "tensor '%s' has %lld rows, which cannot be cut into queries, keys and values of %lld", t->name,
                            (long long)rows, (long long)block);
        return;
    }
    for (int p = 0; p < 3; p++) {
        char name[NAME];
        our_name(at, p, name);
        struct brume_renamed *to = append(r, name);
        if (!to || !take_shape(r, to, t, at->ndim)) return;
        to->from = t;
        to->shape[0] = rows / 3;
        to->parts = 3;
        to->part = p;
        to->block = block;
        to->dtype = dtype_of(r, t);
    }
}

static void rename_one(struct brume_renaming *r, const struct place *at, const char *their_name)
{
    char ours[NAME];
    our_name(at, 0, ours);
    const brume_st_tensor *t = take(r, at, their_name);
    struct brume_renamed *to = t ? append(r, ours) : NULL;
    if (!to || !take_shape(r, to, t, at->ndim)) return;
    to->from = t;
    to->parts = 1;
    to->block = t->ndim ? t->shape[0] : 1;
    to->dtype = dtype_of(r, t);
}

static void rename_tensor(struct brume_renaming *r, const struct brume_rule *rule, const char *theirs, const char *ours, bool bias)
{
    char name[NAME];
    const struct place at = { rule, ours, bias ? ".bias" : ".weight", bias ? 0 : rule->ndim };
    snprintf(name, sizeof name, "%s%s%s%s", theirs, theirs[0] ? "." : "", rule->theirs, at.leaf);
    if (rule->ours[1]) split(r, &at, name);
    else rename_one(r, &at, name);
}

void brume_rename(struct brume_renaming *r, const struct brume_rule *rules, const char *theirs, const char *ours)
{
    for (const struct brume_rule *rule = rules; rule->theirs && r->status == BRUME_OK; rule++) {
        rename_tensor(r, rule, theirs, ours, false);
        if (!(rule->flags & RULE_NO_BIAS) && r->status == BRUME_OK) rename_tensor(r, rule, theirs, ours, true);
    }
}

void brume_renaming_complete(struct brume_renaming *r, const char *class_name)
{
    for (int64_t i = 0; i < brume_weights_count(r->in) && r->status == BRUME_OK; i++) {
        const brume_st_tensor *t = brume_weights_at(r->in, i);
        char text[128];
        if (r->used[i]) continue;
        shape_text(t, text);
        brume_renaming_fail(r, BRUME_E_UNSUPPORTED, "tensor '%s' %s has no counterpart in %s", t->name, text, class_name);
    }
}

const struct brume_renamed *brume_renaming_result(const struct brume_renaming *r, const char *name)
{
    for (int64_t i = 0; i < r->n; i++)
        if (!strcmp(r->out[i].name, name)) return &r->out[i];
    return NULL;
}

/* Values first .. first + n - 1 of a result: runs within blocks of rows. */
static brume_status read_values(const void *data, int64_t first, int64_t n, void *dst)
{
    const struct brume_renamed *t = data;
    int64_t width = 1;
    for (int i = 1; i < t->ndim; i++) width *= t->shape[i];
    const int64_t run = t->block * width;
    float *out = dst;
    brume_status s = BRUME_OK;
    while (n > 0 && s == BRUME_OK) {
        const int64_t block = first / run, within = first % run, count = n < run - within ? n : run - within;
        s = brume_st_read_f32(t->from, (block * t->parts + t->part) * run + within, count, out);
        first += count;
        out += count;
        n -= count;
    }
    return s;
}

brume_status brume_renaming_write(const struct brume_renaming *r, const char *path)
{
    brume_st_item *items = calloc((size_t)r->n + 1, sizeof *items);
    if (!items) return brume_fail(BRUME_E_MEMORY, "%s: no memory for a list of %lld tensors", path, (long long)r->n);
    for (int64_t i = 0; i < r->n; i++) {
        const struct brume_renamed *t = &r->out[i];
        items[i] = (brume_st_item){ .name = t->name, .dtype = t->dtype, .ndim = t->ndim, .shape = t->shape, .data = t };
    }
    const brume_status s = brume_safetensors_write_from(path, items, r->n, NULL, read_values);
    free(items);
    return s;
}
