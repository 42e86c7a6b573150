/* SPDX-License-Identifier: MIT
 * OpenCL launches of matrix products and convolutions, shared by linear, matmul and the conv2d ops. Each family of kernels
 * computes the same: "tile" (cl/gemm_tile.cl) on devices of CPU type, "local" (cl/gemm_local.cl) and CLBlast on GPUs, "any"
 * (cl/gemm_any.cl). */
#ifndef BRUME_OPS_GEMM_CL_H
#define BRUME_OPS_GEMM_CL_H

#include "graph/cl_launch.h"
#include "graph/op.h"
#include "ops/suits.h"
#include "simd/conv.h"

/* Operands of launches: inputs, outputs, workspace or packed copies by kind and index. */
struct brume_cl_arg brume_at_in(int input);         /* input -1: absent */
struct brume_cl_arg brume_at_out(int output);
struct brume_cl_arg brume_at_work(int64_t byte_offset);
struct brume_cl_arg brume_at_packed(int64_t byte_offset);
void brume_cl_operand(struct brume_cl_launch *k, struct brume_cl_arg a);
void brume_cl_ints(struct brume_cl_launch *k, int n, const int64_t *v);
/* Size of work-groups without local memory: 64, or 1 on devices that have less. */
size_t brume_cl_group(const struct brume_caps *c);
/* out[i] = sum over splits of part[split][i], i < n. */
void brume_cl_sum_splits(struct brume_cl_list *l, const struct brume_caps *c, struct brume_cl_arg part, struct brume_cl_arg out,
                         int64_t n, int64_t splits);

/* Y (m, n) = A B + bias + res, for every index of batch. A is (m, k), or (k, m) if trans_a; B (k, n), or (n, k) if trans_b. */
struct brume_product {
    int64_t m, n, k, batch;
    bool trans_a, trans_b;
    int64_t bias_rows;                               /* 0: bias (n); else one row of n per bias_rows rows of Y */
    struct brume_cl_arg a, b, bias, res, y;
};

/* A 1x1 convolution without stride or padding is a product over the list of pixels. */
bool brume_conv_is_product(const struct brume_conv *c);

/* Products. pack/packed: where the copy of B goes and is found (tile). work: partial sums, by the functions named _work. */
bool brume_fits_tile(const struct brume_node *n, const struct brume_caps *c);    /* 32-bit indices suffice */
bool brume_fits_local(const struct brume_node *n, const struct brume_caps *c);   /* likewise, with enough local memory */
bool brume_fits_clblast(const struct brume_node *n, const struct brume_caps *c);
bool brume_local_runs(const struct brume_caps *c);
bool brume_is_absent(struct brume_cl_arg a);
/* A^T B over many rows is the weight gradient of a 1x1 convolution: few results with long sums, which are split. */
bool brume_product_as_dw(const struct brume_product *p, struct brume_conv *g);
/* "tile": vectors of vw floats; mr rows by nv vectors = nr columns. The row of parameters that is asked for, else two vectors of
 * columns and rows as many as the registers hold: 6 with 16 registers (AVX2, SSE), 8 with 32 (AVX-512). */
struct brume_tile { int vw, mr, nv, nr; };
extern const struct brume_rows brume_tile_rows, brume_local_rows;
struct brume_tile brume_tile_of(const struct brume_caps *c);
struct brume_cl_launch *brume_tile_add(struct brume_cl_list *l, const struct brume_caps *c, const char *file, const char *kernel,
                                       const char *more);

size_t brume_product_tile_pack_bytes(const struct brume_product *p, const struct brume_caps *c);
void brume_product_tile_pack(const struct brume_product *p, const struct brume_caps *c, struct brume_cl_list *l,
                             struct brume_cl_arg packed);
void brume_product_tile(const struct brume_product *p, const struct brume_caps *c, struct brume_cl_list *l,
                        struct brume_cl_arg packed);

size_t brume_conv_tile_pack_bytes(const struct brume_conv *g, const struct brume_caps *c);
void brume_conv_tile_pack(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg w,
                          struct brume_cl_arg packed);
void brume_conv_tile(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg x,
                     struct brume_cl_arg packed, struct brume_cl_arg bias, bool per_sample, struct brume_cl_arg res,
                     struct brume_cl_arg y);
size_t brume_conv_tile_dx_pack_bytes(const struct brume_conv *g, const struct brume_caps *c);
void brume_conv_tile_dx_pack(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l,
                             struct brume_cl_arg w, struct brume_cl_arg packed);
void brume_conv_tile_dx(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg dy,
                        struct brume_cl_arg packed, struct brume_cl_arg dx);
size_t brume_conv_tile_dw_work(const struct brume_conv *g, const struct brume_caps *c);
void brume_conv_tile_dw(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg x,
                        struct brume_cl_arg dy, struct brume_cl_arg work, struct brume_cl_arg dw);

/* Winograd's 3x3 convolutions of stride 1 by "tile". */
bool brume_conv_winograd_fits(const struct brume_conv *g, const struct brume_caps *c);
bool brume_conv_winograd_pays(const struct brume_conv *g);
size_t brume_conv_winograd_work(const struct brume_conv *g, const struct brume_caps *c);
size_t brume_conv_winograd_dx_work(const struct brume_conv *g, const struct brume_caps *c);
size_t brume_conv_winograd_pack_bytes(const struct brume_conv *g, const struct brume_caps *c);
void brume_conv_winograd_pack(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l,
                              struct brume_cl_arg w, struct brume_cl_arg packed);
void brume_conv_winograd(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg x,
                         struct brume_cl_arg packed, struct brume_cl_arg bias, bool per_sample, struct brume_cl_arg res,
                         struct brume_cl_arg y);
bool brume_conv_winograd_dx_fits(const struct brume_conv *g, const struct brume_caps *c);
bool brume_conv_winograd_dx_pays(const struct brume_conv *g);
size_t brume_conv_winograd_dx_pack_bytes(const struct brume_conv *g, const struct brume_caps *c);
void brume_conv_winograd_dx_pack(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l,
                                 struct brume_cl_arg w, struct brume_cl_arg packed);
void brume_conv_winograd_dx(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l,
                            struct brume_cl_arg dy, struct brume_cl_arg packed, struct brume_cl_arg dx);
bool brume_conv_winograd_dw_fits(const struct brume_conv *g, const struct brume_caps *c);
bool brume_conv_winograd_dw_pays(const struct brume_conv *g);
size_t brume_conv_winograd_dw_work(const struct brume_conv *g, const struct brume_caps *c);
/* The workspace is brume_at_work(0). */
void brume_conv_winograd_dw(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l,
                            struct brume_cl_arg x, struct brume_cl_arg dy, struct brume_cl_arg dw);

void brume_product_local(const struct brume_product *p, const struct brume_caps *c, struct brume_cl_list *l);
void brume_conv_local(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg x,
                      struct brume_cl_arg w, struct brume_cl_arg bias, bool per_sample, struct brume_cl_arg res,
                      struct brume_cl_arg y);
void brume_conv_local_dx(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg dy,
                         struct brume_cl_arg w, struct brume_cl_arg dx);
size_t brume_conv_local_dw_work(const struct brume_conv *g, const struct brume_caps *c);
void brume_conv_local_dw(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg x,
                         struct brume_cl_arg dy, struct brume_cl_arg work, struct brume_cl_arg dw);

void brume_product_clblast(const struct brume_product *p, const struct brume_caps *c, struct brume_cl_list *l);

void brume_product_any(const struct brume_product *p, const struct brume_caps *c, struct brume_cl_list *l);
void brume_conv_any(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg x,
                    struct brume_cl_arg w, struct brume_cl_arg bias, bool per_sample, struct brume_cl_arg res,
                    struct brume_cl_arg y);
void brume_conv_any_dx(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg dy,
                       struct brume_cl_arg w, struct brume_cl_arg dx);
size_t brume_conv_any_dw_work(const struct brume_conv *g);
void brume_conv_any_dw(const struct brume_conv *g, const struct brume_caps *c, struct brume_cl_list *l, struct brume_cl_arg x,
                       struct brume_cl_arg dy, struct brume_cl_arg work, struct brume_cl_arg dw);

/* The launches of an op that is a product, from `of`: what product a node is. Defines tile_pack_bytes, tile_pack, cl_tile,
 * cl_clblast, cl_local and cl_any for its table of variants. */
#define BRUME_PRODUCT_LAUNCHES(of)                                                                                               \
    static size_t tile_pack_bytes(const struct brume_node *n, const struct brume_caps *c)                                        \
    {                                                                                                                            \
        const struct brume_product p = of(n);                                                                                    \
        return brume_product_tile_pack_bytes(&p, c);                                                                             \
    }                                                                                                                            \
    static void tile_pack(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)                       \
    {                                                                                                                            \
        const struct brume_product p = of(n);                                                                                    \
        brume_product_tile_pack(&p, c, l, brume_at_packed(0));                                                                   \
    }                                                                                                                            \
    static void cl_tile(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)                         \
    {                                                                                                                            \
        const struct brume_product p = of(n);                                                                                    \
        brume_product_tile(&p, c, l, brume_at_packed(0));                                                                        \
    }                                                                                                                            \
    static void cl_clblast(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)                      \
    {                                                                                                                            \
        const struct brume_product p = of(n);                                                                                    \
        brume_product_clblast(&p, c, l);                                                                                         \
    }                                                                                                                            \
    static void cl_local(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)                        \
    {                                                                                                                            \
        const struct brume_product p = of(n);                                                                                    \
        brume_product_local(&p, c, l);                                                                                           \
    }                                                                                                                            \
    static void cl_any(const struct brume_node *n, const struct brume_caps *c, struct brume_cl_list *l)                          \
    {                                                                                                                            \
        const struct brume_product p = of(n);                                                                                    \
        brume_product_any(&p, c, l);                                                                                             \
    }

#endif
