/* SPDX-License-Identifier: MIT
 * What the launches of all product and convolution kernels share. */
#include "ops/gemm_cl.h"

struct brume_cl_arg brume_at_in(int input) { return (struct brume_cl_arg){ BRUME_CL_IN, input, 0 }; }
struct brume_cl_arg brume_at_out(int output) { return (struct brume_cl_arg){ BRUME_CL_OUT, output, 0 }; }
struct brume_cl_arg brume_at_work(int64_t byte_offset) { return (struct brume_cl_arg){ BRUME_CL_WORK, byte_offset, 0 }; }
struct brume_cl_arg brume_at_packed(int64_t byte_offset) { return (struct brume_cl_arg){ BRUME_CL_PACKED, byte_offset, 0 }; }

void brume_cl_operand(struct brume_cl_launch *k, struct brume_cl_arg a)
{
    if (a.kind == BRUME_CL_OUT) brume_cl_out(k, (int)a.index);
    else if (a.kind == BRUME_CL_WORK) brume_cl_work(k, a.index);
    else if (a.kind == BRUME_CL_PACKED) brume_cl_packed(k, a.index);
    else brume_cl_in(k, (int)a.index);
}

void brume_cl_ints(struct brume_cl_launch *k, int n, const int64_t *v)
{
    for (int i = 0; i < n; i++) brume_cl_int(k, v[i]);
}

size_t brume_cl_group(const struct brume_caps *c) { return c->max_work_group < 64 ? 1 : 64; }

void brume_cl_sum_splits(struct brume_cl_list *l, const struct brume_caps *c, struct brume_cl_arg part, struct brume_cl_arg out,
                         int64_t n, int64_t splits)
{
    struct brume_cl_launch *k = brume_cl_add(l, "gemm_sum.cl", "gemm_sum_splits", "%s", "");
    brume_cl_size1(k, (size_t)n, brume_cl_group(c));
    brume_cl_operand(k, part);
    brume_cl_operand(k, out);
    brume_cl_long(k, n);
    brume_cl_int(k, splits);
}

bool brume_conv_is_product(const struct brume_conv *g)
{
    return g->kh == 1 && g->kw == 1 && g->stride == 1 && g->ho == g->h && g->wo == g->w;
}

bool brume_is_absent(struct brume_cl_arg a) { return a.kind == BRUME_CL_IN && a.index < 0; }

/* Kernels index pixels and elements of one tensor with int, a tile's rounding included. */
static bool small(const struct brume_node *n)
{
    for (int i = 0; i < n->n_in; i++)
        if (n->in_v[i] && brume_shape_numel(n->in_v[i]->shape) >= INT32_MAX - 4096) return false;
    return brume_shape_numel(n->out_v[0]->shape) < INT32_MAX - 4096;
}

bool brume_fits_tile(const struct brume_node *n, const struct brume_caps *c) { return c->opencl && small(n); }
bool brume_fits_local(const struct brume_node *n, const struct brume_caps *c)
{
    return c->opencl && brume_local_runs(c) && small(n);
}
bool brume_fits_clblast(const struct brume_node *n, const struct brume_caps *c) { return c->clblast && small(n); }

bool brume_product_as_dw(const struct brume_product *p, struct brume_conv *g)
{
    if (!p->trans_a || p->trans_b || p->batch > 1 || p->k < 256) return false;
    *g = (struct brume_conv){
        .n = 1, .h = p->k, .w = 1, .i = p->m, .ho = p->k, .wo = 1, .o = p->n, .kh = 1, .kw = 1, .stride = 1
    };
    return true;
}
