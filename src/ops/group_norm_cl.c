/* SPDX-License-Identifier: MIT
 * OpenCL launches of group normalisation: cl/group_norm.cl, cl/group_norm_sample.cl. */
#include "ops/group_norm_cl.h"

/* vw: channels of a vector; share: work-items that share the sums of a group; sample: by gn_sample. */
struct way { int vw, share; int64_t chunk; bool sample; };

static struct way way_vector(const struct brume_node *node, const struct brume_caps *caps)
{
    const struct brume_group_norm_dims d = brume_group_norm_dims_of(node);
    struct way w = { caps->vector_width < 16 ? caps->vector_width : 16, 1, 64, false };
    while (w.vw > 1 && d.c % w.vw) w.vw /= 2;
    return w;
}
static struct way way_sample(const struct brume_node *node, const struct brume_caps *caps)
{
    struct way w = way_vector(node, caps);
    w.sample = true;
    return w;
}
static struct way way_local(const struct brume_node *node, const struct brume_caps *caps)
{
    (void)node;
    (void)caps;
    return (struct way){ 1, 64, 16, false };
}
static struct way way_any(const struct brume_node *node, const struct brume_caps *caps)
{
    (void)node;
    (void)caps;
    return (struct way){ 1, 1, 32, false };
}

/* Workspace: parts of chunks, coefficients of channels ("sample" only), then (backward) sums per sample and means per group; each
 * at a multiple of 256 bytes. */
struct layout { struct brume_group_norm_dims d; int64_t coef, sums, means, end; };

static int64_t round256(int64_t bytes) { return (bytes + 255) / 256 * 256; }

static struct layout layout_of(const struct brume_node *node, const struct way *w, bool backward)
{
    struct layout l = { .d = brume_group_norm_dims_of(node) };
    l.d.chunk = w->chunk < l.d.rows ? w->chunk : l.d.rows;
    l.d.chunks = (l.d.rows + l.d.chunk - 1) / l.d.chunk;
    l.coef = round256(l.d.n * l.d.chunks * (backward ? 2 : 3) * l.d.c * 4);
    l.sums = w->sample ? round256(l.coef + l.d.n * (backward ? 5 : 3) * l.d.c * 4) : l.coef;
    l.means = backward ? round256(l.sums + l.d.n * 2 * l.d.c * 4) : l.sums;
    l.end = backward ? l.means + l.d.n * l.d.groups * 2 * 4 : l.sums;
    return l;
}

static struct brume_cl_launch *add(struct brume_cl_list *l, const struct brume_node *node, const struct way *w,
                                   const char *kernel)
{
    const struct brume_group_norm_attrs *at = node->attrs;
    return brume_cl_add(l, w->sample ? "group_norm_sample.cl" : "group_norm.cl", kernel, "-DVW=%d -DSILU=%d -DLOCAL=%d%s", w->vw,
                        at->act == BRUME_ACT_SILU, w->share, w->vw > 1 ? " -DKEEP_DZ" : "");
}

static void ints(struct brume_cl_launch *k, int n, const int64_t *v)
{
    for (int i = 0; i < n; i++) brume_cl_int(k, v[i]);
}

static void grid_rows(struct brume_cl_launch *k, const struct brume_group_norm_dims *d, const struct way *w)
{
    const size_t lanes = (size_t)(d->c / w->vw);
    brume_cl_size3(k, lanes, (size_t)d->chunks, (size_t)d->n, w->vw > 1 ? 1 : 64, 1, 1);
}

static void grid_groups(struct brume_cl_launch *k, const struct brume_group_norm_dims *d, const struct way *w)
{
    brume_cl_size2(k, (size_t)(d->groups * w->share), (size_t)d->n, w->share > 1 ? (size_t)w->share : 8, 1);
}

/* Channels that are whole groups and whole vectors: the least that a work-item of gn_sample can take. */
static int64_t span_of(const struct brume_group_norm_dims *d, const struct way *w)
{
    int64_t span = d->c / d->groups;
    while (span % w->vw) span += d->c / d->groups;
    return span;
}

bool brume_group_norm_sample_suits(const struct brume_node *node, const struct brume_caps *caps)
{
    const struct brume_group_norm_dims d = brume_group_norm_dims_of(node);
    const struct way w = way_sample(node, caps);
    /* Work for every core, or too little of it to share. */
    return caps->cpu_type && (d.n * (d.c / span_of(&d, &w)) >= 2 * caps->compute_units || d.n * d.rows * d.c <= 8192);
}

/* All channels of a sample at once where there are enough samples: its rows are contiguous then. Returns the width of a
 * work-item. */
static int64_t grid_samples(struct brume_cl_launch *k, const struct brume_group_norm_dims *d, const struct way *w,
                            const struct brume_caps *caps)
{
    const int64_t span = span_of(d, w), spans = d->c / span, wanted = (4 * caps->compute_units + d->n - 1) / d->n;
    const int64_t parts = wanted < 1 ? 1 : wanted > spans ? spans : wanted, width = (spans + parts - 1) / parts * span;
    brume_cl_size2(k, (size_t)((d->c + width - 1) / width), (size_t)d->n, 1, 1);
    return width;
}

static void sample(const struct brume_node *node, const struct brume_caps *caps, struct brume_cl_list *l, struct way w)
{
    const struct brume_group_norm_attrs *at = node->attrs;
    const struct layout y = layout_of(node, &w, false);
    const struct brume_group_norm_dims *d = &y.d;
    struct brume_cl_launch *k = add(l, node, &w, "gn_sample");
    const int64_t width = grid_samples(k, d, &w, caps);
    for (int i = 0; i < 3; i++) brume_cl_in(k, i);
    brume_cl_work(k, 0);
    brume_cl_work(k, y.coef);
    brume_cl_out(k, 1);
    brume_cl_out(k, 2);
    brume_cl_out(k, 0);
    ints(k, 6, (int64_t[]){ d->rows, d->c, d->groups, d->chunk, d->chunks, width });
    brume_cl_float(k, at->norm_eps);
}

static void params_grad(const struct brume_node *node, struct brume_cl_list *l, const struct way *w, const struct layout *y)
{
    struct brume_cl_launch *k = add(l, node, w, "gn_grad_params");
    brume_cl_size1(k, (size_t)y->d.c, 64);
    brume_cl_work(k, y->sums);
    brume_cl_out(k, 1);
    brume_cl_out(k, 2);
    ints(k, 2, (int64_t[]){ y->d.n, y->d.c });
}

static void sample_grad(const struct brume_node *node, const struct brume_caps *caps, struct brume_cl_list *l, struct way w)
{
    const struct layout y = layout_of(node, &w, true);
    const struct brume_group_norm_dims *d = &y.d;
    struct brume_cl_launch *k = add(l, node, &w, "gn_sample_grad");
    const int64_t width = grid_samples(k, d, &w, caps);
    for (int i = 0; i < 6; i++) brume_cl_in(k, i);
    brume_cl_work(k, 0);
    brume_cl_work(k, y.coef);
    brume_cl_work(k, y.sums);
    brume_cl_work(k, y.means);
    brume_cl_out(k, 0);
    ints(k, 6, (int64_t[]){ d->rows, d->c, d->groups, d->chunk, d->chunks, width });
    params_grad(node, l, &w, &y);
}

static void forward(const struct brume_node *node, struct brume_cl_list *l, struct way w)
{
    const struct brume_group_norm_attrs *at = node->attrs;
    const struct layout y = layout_of(node, &w, false);
    const struct brume_group_norm_dims *d = &y.d;
    struct brume_cl_launch *k = add(l, node, &w, "gn_stats");
    grid_rows(k, d, &w);
    brume_cl_in(k, 0);
    brume_cl_work(k, 0);
    ints(k, 4, (int64_t[]){ d->rows, d->c, d->chunk, d->chunks });
    k = add(l, node, &w, "gn_finish");
    grid_groups(k, d, &w);
    brume_cl_work(k, 0);
    brume_cl_out(k, 1);
    brume_cl_out(k, 2);
    ints(k, 5, (int64_t[]){ d->rows, d->c, d->groups, d->chunk, d->chunks });
    brume_cl_float(k, at->norm_eps);
    k = add(l, node, &w, "gn_apply");
    grid_rows(k, d, &w);
    for (int i = 0; i < 3; i++) brume_cl_in(k, i);
    brume_cl_out(k, 1);
    brume_cl_out(k, 2);
    brume_cl_out(k, 0);
    ints(k, 5, (int64_t[]){ d->rows, d->c, d->groups, d->chunk, d->chunks });
}

static void backward(const struct brume_node *node, struct brume_cl_list *l, struct way w)
{
    const struct layout y = layout_of(node, &w, true);
    const struct brume_group_norm_dims *d = &y.d;
    struct brume_cl_launch *k = add(l, node, &w, "gn_grad_sums");
    grid_rows(k, d, &w);
    for (int i = 0; i < 6; i++) brume_cl_in(k, i);
    brume_cl_out(k, 0);
    brume_cl_work(k, 0);
    ints(k, 5, (int64_t[]){ d->rows, d->c, d->groups, d->chunk, d->chunks });
    k = add(l, node, &w, "gn_grad_chunks");
    brume_cl_size2(k, (size_t)d->c, (size_t)d->n, 64, 1);
    brume_cl_work(k, 0);
    brume_cl_in(k, 3);
    brume_cl_in(k, 4);
    brume_cl_work(k, y.sums);
    ints(k, 3, (int64_t[]){ d->c, d->groups, d->chunks });
    k = add(l, node, &w, "gn_grad_means");
    grid_groups(k, d, &w);
    brume_cl_work(k, y.sums);
    brume_cl_in(k, 1);
    brume_cl_work(k, y.means);
    ints(k, 3, (int64_t[]){ d->rows, d->c, d->groups });
    k = add(l, node, &w, "gn_grad_dx");
    grid_rows(k, d, &w);
    for (int i = 0; i < 6; i++) brume_cl_in(k, i);
    brume_cl_work(k, y.means);
    brume_cl_out(k, 0);
    ints(k, 5, (int64_t[]){ d->rows, d->c, d->groups, d->chunk, d->chunks });
    params_grad(node, l, &w, &y);
}

#define WAY(name)                                                                                                          \
    void brume_group_norm_##name(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)          \
    {                                                                                                                      \
        const struct way w = way_##name(n, c);                                                                             \
        if (w.sample) sample(n, c, l, w);                                                                                  \
        else forward(n, l, w);                                                                                             \
    }                                                                                                                      \
    void brume_group_norm_##name##_grad(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)   \
    {                                                                                                                      \
        const struct way w = way_##name(n, c);                                                                             \
        if (w.sample) sample_grad(n, c, l, w);                                                                             \
        else backward(n, l, w);                                                                                            \
    }                                                                                                                      \
    size_t brume_group_norm_##name##_work(const struct brume_node *n, const struct brume_caps *c)                          \
    {                                                                                                                      \
        const struct way w = way_##name(n, c);                                                                             \
        return (size_t)layout_of(n, &w, false).end;                                                                        \
    }                                                                                                                      \
    size_t brume_group_norm_##name##_grad_work(const struct brume_node *n, const struct brume_caps *c)                     \
    {                                                                                                                      \
        const struct way w = way_##name(n, c);                                                                             \
        return (size_t)layout_of(n, &w, true).end;                                                                         \
    }
WAY(sample)
WAY(vector)
WAY(local)
WAY(any)
