/* SPDX-License-Identifier: MIT
 * Renaming of weights: finds tensors by rules, splits stacked ones, and writes what comes out tensor by tensor. */
#include "convert/names.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/params.h"

enum { NAME = 256 };

brume_status brume_renaming_begin(struct brume_renaming *r, const brume_weights *in, const char *layout, const char *their_root)
{
    r->in = in;
    r->layout = layout;
    r->their_root = their_root;
    r->used = calloc((size_t)brume_weights_count(in) + 1, sizeof *r->used);
    if (!r->used)
        r->status = brume_fail(BRUME_E_MEMORY, "no memory for a list of %lld tensors", (long long)brume_weights_count(in));
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
    r->status =
        brume_fail(s, "%s, %s as %s: %s", brume_weights_file(r->in, 0), r->back ? "to be written" : "read", r->layout, text);
}

/* NULL: a tensor of theirs that the input has not. */
static const brume_st_tensor *theirs(const struct brume_renaming *r, const char *name)
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
    return theirs(r, name);
}

int64_t brume_renaming_size(struct brume_renaming *r, const char *name, int axis)
{
    const brume_st_tensor *t = theirs(r, name);
    if (t && t->ndim > axis && t->shape[axis] > 0 && t->shape[axis] <= 1 << 20) return t->shape[axis];
    if (!t) brume_renaming_fail(r, BRUME_E_FORMAT, "tensor '%s%s' is missing", r->their_root, name);
    else brume_renaming_fail(r, BRUME_E_FORMAT, "tensor '%s' has no usable size in dimension %d", t->name, axis);
    return 1;
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

static void shape_text(int ndim, const int64_t *shape, char text[128])
{
    size_t used = (size_t)snprintf(text, 128, "(");
    for (int i = 0; i < ndim && used < 100; i++)
        used += (size_t)snprintf(text + used, 128 - used, i ? ", %lld" : "%lld", (long long)shape[i]);
    snprintf(text + used, 128 - used, ")");
}

static brume_st_dtype dtype_of(const struct brume_renaming *r, const brume_st_tensor *t)
{
    if (!r->keep_dtype) return r->dtype;
    return t->dtype == BRUME_ST_F16 || t->dtype == BRUME_ST_BF16 ? t->dtype : BRUME_ST_F32;
}

/* Shape of the result before rows are split or joined. ndim: of their weight where it is a convolution, or 0. */
static bool take_shape(struct brume_renaming *r, struct brume_renamed *to, const brume_st_tensor *t, int ndim)
{
    int n = t->ndim;
    bool ok = n <= 4;
    if (ok && ndim)
        for (; n > 2; n--) ok = ok && t->shape[n - 1] == 1;
    for (int i = 0; i < n && ok; i++) to->shape[i] = t->shape[i];
    for (int i = 0; i < 4 && ok && r->back; i++)
        if (i >= n && i < ndim) to->shape[i] = 1;
    to->ndim = ok && r->back && n < ndim ? ndim : n;
    if (ok) return true;
    char text[128];
    shape_text(t->ndim, t->shape, text);
    brume_renaming_fail(r, BRUME_E_UNSUPPORTED, "tensor '%s' has the shape %s, which has no counterpart", t->name, text);
    return false;
}

/* The moving average of t. */
static const brume_st_tensor *average_of(struct brume_renaming *r, const brume_st_tensor *t)
{
    char name[NAME];
    size_t used = (size_t)snprintf(name, sizeof name, "%s", r->averages);
    const char *from = strchr(t->name, '.');
    for (; from && *from && used < sizeof name - 1; from++)
        if (*from != '.') name[used++] = *from;
    name[used] = 0;
    const brume_st_tensor *average = brume_weights_find(r->in, name);
    bool same = average && average->ndim == t->ndim;
    for (int i = 0; same && i < t->ndim; i++) same = average->shape[i] == t->shape[i];
    if (!same)
        brume_renaming_fail(r, BRUME_E_FORMAT, "tensor '%s', the moving average of '%s', %s", name, t->name,
                            average ? "has another shape" : "is missing");
    return same ? average : NULL;
}

/* The tensor of that name in the input, marked as used; a missing one is an error unless it is optional. */
static const brume_st_tensor *take(struct brume_renaming *r, const char *name, bool optional)
{
    const brume_st_tensor *t = r->back ? brume_params_find(r->in, name) : theirs(r, name);
    if (t) mark(r, t);
    else if (!optional) brume_renaming_fail(r, BRUME_E_FORMAT, "tensor '%s%s' is missing", r->back ? "" : r->their_root, name);
    return t && r->averages ? average_of(r, t) : t;
}

void brume_renaming_take(struct brume_renaming *r, const char *name)
{
    const brume_st_tensor *t = r->status == BRUME_OK ? take(r, name, false) : NULL;
    struct brume_renamed *to = t ? append(r, name) : NULL;
    if (!to || !take_shape(r, to, t, 0)) return;
    to->from[0] = t;
    to->parts = 1;
    to->block = to->ndim ? to->shape[0] : 1;
    to->dtype = dtype_of(r, t);
}

void brume_renaming_add(struct brume_renaming *r, const char *name, int64_t n, bool scalar, const float *values)
{
    struct brume_renamed *to = r->status == BRUME_OK ? append(r, name) : NULL;
    if (!to) return;
    to->ndim = !scalar;
    to->shape[0] = n;
    to->values = values;
}

void brume_renaming_ignore(struct brume_renaming *r, const char *prefix)
{
    char full[NAME];
    snprintf(full, sizeof full, "%s%s", r->their_root, prefix);
    for (int64_t i = 0; i < brume_weights_count(r->in) && r->used; i++)
        if (!strncmp(brume_weights_at(r->in, i)->name, full, strlen(full))) r->used[i] = true;
}

/* A tensor of a rule at a place: its names on both sides. */
struct place { const struct brume_rule *rule; int ndim; char theirs[NAME], ours[3][NAME]; };

/* Their stack becomes three of ours. */
static void split(struct brume_renaming *r, const struct place *at)
{
    const brume_st_tensor *t = take(r, at->theirs, at->rule->flags & RULE_OPTIONAL);
    if (!t) return;
    const int64_t rows = t->ndim ? t->shape[0] : 1, block = r->stack_block ? r->stack_block : rows / 3;
    if (block < 1 || rows % (3 * block)) {
        brume_renaming_fail(r, BRUME_E_FORMAT,
                            "tensor '%s' has %lld rows, which cannot be cut into queries, keys and values of %lld", t->name,
                            (long long)rows, (long long)block);
        return;
    }
    for (int p = 0; p < 3; p++) {
        struct brume_renamed *to = append(r, at->ours[p]);
        if (!to || !take_shape(r, to, t, at->ndim)) return;
        to->from[0] = t;
        to->shape[0] = rows / 3;
        to->parts = 3;
        to->part = p;
        to->block = block;
        to->dtype = dtype_of(r, t);
    }
}

/* Three of ours become their stack. */
static void join(struct brume_renaming *r, const struct place *at)
{
    char name[2 * NAME];
    snprintf(name, sizeof name, "%s%s", r->their_root, at->theirs);
    const brume_st_tensor *parts[3];
    for (int p = 0; p < 3; p++)
        if (!(parts[p] = take(r, at->ours[p], at->rule->flags & RULE_OPTIONAL))) return;
    struct brume_renamed *to = append(r, name);
    if (!to || !take_shape(r, to, parts[0], at->ndim)) return;
    for (int p = 0; p < 3; p++) {
        bool same = parts[p]->ndim == parts[0]->ndim && parts[0]->ndim > 0 && parts[p]->dtype == parts[0]->dtype;
        for (int i = 0; same && i < parts[0]->ndim; i++) same = parts[p]->shape[i] == parts[0]->shape[i];
        if (!same) {
            brume_renaming_fail(r, BRUME_E_FORMAT, "tensors '%s' and '%s', which become one, differ in shape or type",
                                parts[0]->name, parts[p]->name);
            return;
        }
        to->from[p] = parts[p];
    }
    to->joined = true;
    to->parts = 3;
    to->block = r->stack_block ? r->stack_block : to->shape[0];
    to->shape[0] *= 3;
    to->dtype = dtype_of(r, parts[0]);
}

static void rename_one(struct brume_renaming *r, const struct place *at)
{
    char name[2 * NAME];
    snprintf(name, sizeof name, "%s%s", r->their_root, at->theirs);
    const brume_st_tensor *t = take(r, r->back ? at->ours[0] : at->theirs, at->rule->flags & RULE_OPTIONAL);
    struct brume_renamed *to = t ? append(r, r->back ? name : at->ours[0]) : NULL;
    if (!to || !take_shape(r, to, t, at->ndim)) return;
    to->from[0] = t;
    to->parts = 1;
    to->block = to->ndim ? to->shape[0] : 1;
    to->dtype = dtype_of(r, t);
}

static void rename_tensor(struct brume_renaming *r, const struct brume_rule *rule, const char *theirs, const char *ours,
                          bool bias)
{
    const char *leaf = bias ? "bias" : "weight", *dot = rule->flags & RULE_FLAT ? "_" : ".";
    const bool bare = rule->flags & RULE_BARE;
    struct place at = { .rule = rule, .ndim = bias ? 0 : rule->ndim };
    snprintf(at.theirs, NAME, "%s%s%s%s%s", theirs, theirs[0] ? "." : "", rule->theirs, bare ? "" : dot, bare ? "" : leaf);
    for (int p = 0; p < 3 && rule->ours[p]; p++)
        snprintf(at.ours[p], NAME, "%s%s%s.%s", ours, ours[0] ? "." : "", rule->ours[p], leaf);
    if (!rule->ours[1]) rename_one(r, &at);
    else if (r->back) join(r, &at);
    else split(r, &at);
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
        if (r->used[i] || (r->back && brume_params_idle(t->name))) continue;
        if (r->below_root && strncmp(t->name, r->their_root, strlen(r->their_root))) continue;
        shape_text(t->ndim, t->shape, text);
        brume_renaming_fail(r, BRUME_E_UNSUPPORTED, "tensor '%s' %s has no counterpart in %s", t->name, text, class_name);
    }
}

const struct brume_renamed *brume_renaming_result(const struct brume_renaming *r, const char *name)
{
    for (int64_t i = 0; i < r->n; i++)
        if (!strcmp(r->out[i].name, name)) return &r->out[i];
    return NULL;
}

/* Shape of a parameter among ours: of the result, or on the way back of the input. What tensor of the input it is, or NULL. */
static const brume_st_tensor *our_shape(const struct brume_renaming *r, const char *name, int *ndim, const int64_t **shape)
{
    const struct brume_renamed *got = r->back ? NULL : brume_renaming_result(r, name);
    const brume_st_tensor *t = r->back ? brume_params_find(r->in, name) : got ? got->from[0] : NULL;
    if (!t) return NULL;
    *ndim = got ? got->ndim : t->ndim;
    *shape = got ? got->shape : t->shape;
    return t;
}

static void compare_one(struct brume_renaming *r, const brume_param_info *p, const char *class_name)
{
    const brume_shape want = brume_param_file_shape(p);
    const int64_t *shape = NULL;
    int ndim = 0;
    const brume_st_tensor *t = our_shape(r, p->name, &ndim, &shape);
    if (!t) {
        brume_renaming_fail(r, BRUME_E_FORMAT, "nothing becomes '%s' of %s: a tensor is missing", p->name, class_name);
        return;
    }
    if (r->back && p->layout == BRUME_LAYOUT_LINEAR) /* very old folders have convolutions there */
        while (ndim > want.ndim && shape[ndim - 1] == 1) ndim--;
    bool same = ndim == want.ndim;
    for (int d = 0; same && d < ndim; d++) same = shape[d] == want.d[d];
    char a[128], b[128];
    shape_text(ndim, shape, a);
    shape_text(want.ndim, want.d, b);
    if (!same)
        brume_renaming_fail(r, BRUME_E_UNSUPPORTED,
                            "tensor '%s' gives %s, but '%s' of the %s that the other tensors describe is %s", t->name, a, p->name,
                            class_name, b);
}

void brume_renaming_compare(struct brume_renaming *r, brume_graph *g, brume_tensor slab, const char *class_name)
{
    if (!g) brume_renaming_fail(r, BRUME_E_MEMORY, "no memory for the network");
    else if (brume_graph_status(g) != BRUME_OK) brume_renaming_fail(r, brume_graph_status(g), "%s", brume_graph_error(g));
    for (int i = 0; r->status == BRUME_OK && i < brume_param_count(g, slab); i++)
        compare_one(r, brume_param_at(g, slab, i), class_name);
    brume_graph_free(g);
}

/* Values first .. first + n - 1 of a result: runs within blocks of rows. */
static brume_status read_values(const void *data, int64_t first, int64_t n, void *dst)
{
    const struct brume_renamed *t = data;
    int64_t width = 1;
    if (t->values) {
        memcpy(dst, t->values + first, (size_t)n * sizeof *t->values);
        return BRUME_OK;
    }
    for (int i = 1; i < t->ndim; i++) width *= t->shape[i];
    const int64_t run = t->block * width;
    float *out = dst;
    brume_status s = BRUME_OK;
    while (n > 0 && s == BRUME_OK) {
        const int64_t block = first / run, within = first % run, count = n < run - within ? n : run - within;
        if (t->joined) s = brume_st_read_f32(t->from[block % t->parts], block / t->parts * run + within, count, out);
        else s = brume_st_read_f32(t->from[0], (block * t->parts + t->part) * run + within, count, out);
        first += count;
        out += count;
        n -= count;
    }
    return s;
}

brume_status brume_renaming_write(const struct brume_renaming *r, int n, const char *path)
{
    int64_t count = 0, at = 0;
    for (int k = 0; k < n; k++) count += r[k].n;
    brume_st_item *items = calloc((size_t)count + 1, sizeof *items);
    if (!items) return brume_fail(BRUME_E_MEMORY, "%s: no memory for a list of %lld tensors", path, (long long)count);
    for (int k = 0; k < n; k++)
        for (int64_t i = 0; i < r[k].n; i++) {
            const struct brume_renamed *t = &r[k].out[i];
            items[at++] = (brume_st_item){ .name = t->name, .dtype = t->dtype, .ndim = t->ndim, .shape = t->shape, .data = t };
        }
    const brume_status s = brume_safetensors_write_from(path, items, count, NULL, read_values);
    free(items);
    return s;
}
