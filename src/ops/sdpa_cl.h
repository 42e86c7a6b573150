/* SPDX-License-Identifier: MIT
 * OpenCL launches of attention: variants tile (devices of CPU type), local (GPUs) and row (any). */
#ifndef BRUME_OPS_SDPA_CL_H
#define BRUME_OPS_SDPA_CL_H

#include "graph/cl_launch.h"
#include "graph/op.h"
#include "ops/sdpa.h"

struct brume_sdpa_dims { int64_t b, heads, sq, sk, d, ld; };

static inline struct brume_sdpa_dims brume_sdpa_dims_of(const struct brume_node *n)
{
    const struct brume_sdpa_attrs *at = n->attrs;
    const brume_shape q = n->in_v[0]->shape, k = n->in_v[1]->shape;
    return (struct brume_sdpa_dims){ q.d[0], at->heads, q.d[1], k.d[1], q.d[2] / at->heads, q.d[2] };
}

bool brume_sdpa_fits_local(const struct brume_node *n, const struct brume_caps *c);

size_t brume_sdpa_tile_work(const struct brume_node *n, const struct brume_caps *c);
size_t brume_sdpa_tile_grad_work(const struct brume_node *n, const struct brume_caps *c);
size_t brume_sdpa_grad_work(const struct brume_node *n, const struct brume_caps *c); /* of local_grad and row_grad */

void brume_sdpa_tile(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l);
void brume_sdpa_tile_grad(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l);
void brume_sdpa_local(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l);
void brume_sdpa_local_grad(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l);
void brume_sdpa_row(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l);
void brume_sdpa_row_grad(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l);

#endif
