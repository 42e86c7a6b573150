/* SPDX-License-Identifier: MIT
 * Launches of cl/gemm_any.cl, which assumes nothing, and of CLBlast, which does plain products. */
#include "ops/gemm_cl.h"

void brume_product_any(const struct brume_product *p, const struct brume_caps *c, struct brume_cl_list *l)
{
    struct brume_cl_launch *k = brume_cl_add(l, "gemm_any.cl", "gemm_any", "%s", "");
    brume_cl_size1(k, (size_t)(p->batch * p->m * p->n), brume_cl_group(c));
    brume_cl_operand(k, p->a);
    brume_cl_operand(k, p->b);
    brume_cl_operand(k, p->bias);
    brume_cl_operand(k, p->res);
    brume_cl_operand(k, p->y);
    brume_cl_long(k, p->batch);
    brume_cl_long(k, p->m);
    brume_cl_long(k, p->n);
    brume_cl_long(k, p->k);
    brume_cl_long(k, p->trans_a ? 1 : p->k);
    brume_cl_long(k, p->trans_a ? p->m : 1);
    brume_cl_long(k, p->trans_b ? 1 : p->n);
    brume_cl_long(k, p->trans_b ? p->k : 1);
    brume_cl_long(k, p->bias_rows);
}

static void geometry(struct brume_cl_launch *k, const struct brume_conv *g)
{
    const int64_t v[] = { g->n, g->h, g->w, g->i, g->ho, g->wo, g->o, g->kh, g->kw, g->stride, g->top, g->left };
    brume_cl_ints(k, (int)(sizeof v / sizeof *v), v);
}

void brume_conv_any(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg x,
                    struct brume_cl_arg w, struct brume_cl_arg bias, bool per_sample, struct brume_cl_arg res,
                    struct brume_cl_arg y)
{
    struct brume_cl_launch *k = brume_cl_add(l, "gemm_any.cl", "conv_any", "%s", "");
    brume_cl_size1(k, (size_t)(g->n * g->ho * g->wo * g->o), brume_cl_group(c));
    brume_cl_operand(k, x);
    brume_cl_operand(k, w);
    brume_cl_operand(k, bias);
    brume_cl_operand(k, res);
    brume_cl_operand(k, y);
    geometry(k, g);
    brume_cl_int(k, per_sample);
}

void brume_conv_any_dx(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg dy,
                       struct brume_cl_arg w, struct brume_cl_arg dx)
{
    struct brume_cl_launch *k = brume_cl_add(l, "gemm_any.cl", "conv_any_dx", "%s", "");
    brume_cl_size1(k, (size_t)(g->n * g->h * g->w * g->i), brume_cl_group(c));
    brume_cl_operand(k, dy);
    brume_cl_operand(k, w);
    brume_cl_operand(k, dx);
    geometry(k, g);
}

/* Lines of about 1024 pixels to a split: short sums lose fewer digits, and small weights get enough work-items. */
static int64_t dw_splits(const struct brume_conv *g)
{
    const int64_t lines = g->n * g->ho, splits = lines * g->wo / 1024;
    return splits < 1 ? 1 : splits > 64 ? 64 : splits > lines ? lines : splits;
}

static int64_t dw_size(const struct brume_conv *g) { return g->kh * g->kw * g->i * g->o; }

size_t brume_conv_any_dw_work(const struct brume_conv *g)
{
    return dw_splits(g) > 1 ? (size_t)(dw_splits(g) * dw_size(g)) * sizeof(float) : 0;
}

void brume_conv_any_dw(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg x,
                       struct brume_cl_arg dy, struct brume_cl_arg work, struct brume_cl_arg dw)
{
    const int64_t splits = dw_splits(g);
    struct brume_cl_launch *k = brume_cl_add(l, "gemm_any.cl", "conv_any_dw", "%s", "");
    brume_cl_size1(k, (size_t)(dw_size(g) * splits), brume_cl_group(c));
    brume_cl_operand(k, x);
    brume_cl_operand(k, dy);
    brume_cl_operand(k, splits > 1 ? work : dw);
    geometry(k, g);
    brume_cl_int(k, splits);
    if (splits > 1) brume_cl_sum_splits(l, c, work, dw, dw_size(g), splits);
}

void brume_product_clblast(const struct brume_product *p, const struct brume_caps *c, struct brume_cl_list *l)
{
    struct brume_cl_launch *k = brume_cl_gemm(l, &(struct brume_cl_gemm){
        .trans_a = p->trans_a, .trans_b = p->trans_b, .m = p->m, .n = p->n, .k = p->k,
        .lda = p->trans_a ? p->m : p->k, .ldb = p->trans_b ? p->k : p->n, .ldc = p->n,
        .batch = p->batch, .stride_a = p->m * p->k, .stride_b = p->k * p->n, .stride_c = p->m * p->n, .alpha = 1.0f });
    brume_cl_operand(k, p->a);
    brume_cl_operand(k, p->b);
    brume_cl_operand(k, p->y);
    if (brume_is_absent(p->bias) && brume_is_absent(p->res)) return;
    k = brume_cl_add(l, "gemm_sum.cl", "gemm_add", "%s", "");
    brume_cl_size1(k, (size_t)(p->batch * p->m * p->n), brume_cl_group(c));
    brume_cl_operand(k, p->bias);
    brume_cl_operand(k, p->res);
    brume_cl_operand(k, p->y);
    brume_cl_long(k, p->batch * p->m * p->n);
    brume_cl_int(k, p->n);
    brume_cl_int(k, p->bias_rows);
}
