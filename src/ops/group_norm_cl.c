/* SPDX-License-Identifier: MIT
 * OpenCL launches of group normalisation: cl/group_norm.cl. */
#include "ops/group_norm_cl.h"

/* vw: channels per work-item; share: work-items that share the sums of a group. */
struct way { int vw, share; int64_t chunk; };

static struct way way_vector(const struct brume_node *node, const struct brume_caps *caps)
{
    const struct brume_group_norm_dims d = brume_group_norm_dims_of(node);
    struct way w = { caps->vector_width < 16 ? caps->vector_width : 16, 1, 64 };
    while (w.vw > 1 && d.c % w.vw) w.vw /= 2;
    return w;
}
static struct way way_local(const struct brume_node *node, const struct brume_caps *caps)
{
    (void)node;
    (void)caps;
    return (struct way){ 1, 64, 16 };
}
static struct way way_any(const struct brume_node *node, const struct brume_caps *caps)
{
    (void)node;
    (void)caps;
    return (struct way){ 1, 1, 32 };
}

/* Workspace: parts of chunks, then (backward) sums per sample and means per group; each at a multiple of 256 bytes. */
struct layout { struct brume_group_norm_dims d; int64_t parts, sums, means, end; };

static struct layout layout_of(const struct brume_node *node, const struct way *w, bool backward)
{
    struct layout l = { .d = brume_group_norm_dims_of(node) };
    l.d.chunk = w->chunk < l.d.rows ? w->chunk : l.d.rows;
    l.d.chunks = (l.d.rows + l.d.chunk - 1) / l.d.chunk;
    l.sums = (l.d.n * l.d.chunks * (backward ? 2 : 3) * l.d.c * 4 + 255) / 256 * 256;
    l.means = backward ? (l.sums + l.d.n * 2 * l.d.c * 4 + 255) / 256 * 256 : l.sums;
    l.end = backward ? l.means + l.d.n * l.d.groups * 2 * 4 : l.sums;
    return l;
}

static struct brume_cl_launch *add(struct brume_cl_list *l, const struct brume_node *node, const struct way *w, const char *kernel)
{
    const struct brume_group_norm_attrs *at = node->attrs;
    return brume_cl_add(l, "group_norm.cl", kernel, "-DVW=%d -DSILU=%d -DLOCAL=%d%s", w->vw, at->act == BRUME_ACT_SILU, w->share,
                        w->vw > 1 ? " -DKEEP_DZ" : "");
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
    k = add(l, node, &w, "gn_grad_params");
    brume_cl_size1(k, (size_t)d->c, 64);
    brume_cl_work(k, y.sums);
    brume_cl_out(k, 1);
    brume_cl_out(k, 2);
    ints(k, 2, (int64_t[]){ d->n, d->c });
}

#define WAY(name)                                                                                                          \
    void brume_group_norm_##name(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)          \
    {                                                                                                                      \
        forward(n, l, way_##name(n, c));                                                                                   \
    }                                                                                                                      \
    void brume_group_norm_##name##_grad(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)   \
    {                                                                                                                      \
        backward(n, l, way_##name(n, c));                                                                                  \
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
WAY(vector)
WAY(local)
WAY(any)
