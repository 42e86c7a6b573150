/* SPDX-License-Identifier: MIT
 * OpenCL launches of group normalisation: variants sample and vector (devices of CPU type), local (GPUs), any. */
#ifndef BRUME_OPS_GROUP_NORM_CL_H
#define BRUME_OPS_GROUP_NORM_CL_H

#include "graph/cl_launch.h"
#include "ops/group_norm.h"

struct brume_group_norm_dims { int64_t n, rows, c, groups, chunk, chunks; };

/* Rows are cut into chunks by shape only, of about 32 KiB: one chunk is a task, and its sums are combined in order. */
static inline struct brume_group_norm_dims brume_group_norm_dims_of(const struct brume_node *node)
{
    const struct brume_group_norm_attrs *at = node->attrs;
    const brume_shape s = node->in_v[0]->shape;
    struct brume_group_norm_dims d = { .n = s.d[0], .c = s.d[s.ndim - 1], .groups = at->groups };
    d.rows = brume_shape_numel(s) / d.n / d.c;
    d.chunk = (8192 / d.c + 16) / 16 * 16;
    if (d.chunk < 32) d.chunk = 32;
    if (d.chunk > d.rows) d.chunk = d.rows;
    d.chunks = (d.rows + d.chunk - 1) / d.chunk;
    return d;
}

bool brume_group_norm_sample_suits(const struct brume_node *n, const struct brume_caps *c);
void brume_group_norm_sample(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l);
void brume_group_norm_sample_grad(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l);
size_t brume_group_norm_sample_work(const struct brume_node *n, const struct brume_caps *c);
size_t brume_group_norm_sample_grad_work(const struct brume_node *n, const struct brume_caps *c);
void brume_group_norm_vector(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l);
void brume_group_norm_vector_grad(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l);
size_t brume_group_norm_vector_work(const struct brume_node *n, const struct brume_caps *c);
size_t brume_group_norm_vector_grad_work(const struct brume_node *n, const struct brume_caps *c);
void brume_group_norm_local(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l);
void brume_group_norm_local_grad(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l);
size_t brume_group_norm_local_work(const struct brume_node *n, const struct brume_caps *c);
size_t brume_group_norm_local_grad_work(const struct brume_node *n, const struct brume_caps *c);
void brume_group_norm_any(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l);
void brume_group_norm_any_grad(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l);
size_t brume_group_norm_any_work(const struct brume_node *n, const struct brume_caps *c);
size_t brume_group_norm_any_grad_work(const struct brume_node *n, const struct brume_caps *c);

#endif
