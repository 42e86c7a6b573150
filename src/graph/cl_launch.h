/* SPDX-License-Identifier: MIT
 * OpenCL launches as plain data: what an op hands to the OpenCL backend, without an OpenCL header.
 *
 * Kernels take tensors as two arguments each, written TENSOR(x) in the signature and BIND(x) / CBIND(x) at the top (cl/common.h):
 * base pointer and offset in elements, because all tensors share one arena buffer. Scalars are int, long, float. */
#ifndef BRUME_GRAPH_CL_LAUNCH_H
#define BRUME_GRAPH_CL_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail.h"

#define BRUME_CL_MAX_ARGS 96

enum brume_cl_arg_kind {
    BRUME_CL_IN,     /* input index: (buffer, ulong offset); an absent input, or index -1, passes a valid dummy buffer and offset
                        ~0 */
    BRUME_CL_OUT,    /* output index */
    BRUME_CL_WORK,   /* workspace of the variant, index = byte offset within it (multiple of 256) */
    BRUME_CL_PACKED, /* packed weights, index = byte offset within them */
    BRUME_CL_INT, BRUME_CL_LONG, BRUME_CL_FLOAT,
    BRUME_CL_LOCAL   /* local memory of index bytes */
};

struct brume_cl_arg { enum brume_cl_arg_kind kind; int64_t index; float f; };

/* C = alpha op(A) op(B) + beta C, row-major, by CLBlast; batch > 1 with strides in elements. Operands are args 0 (A), 1 (B), 2
 * (C). */
struct brume_cl_gemm {
    bool trans_a, trans_b;
    int64_t m, n, k, lda, ldb, ldc, batch, stride_a, stride_b, stride_c;
    float alpha, beta;
};

struct brume_cl_launch {
    const char *file;            /* "group_norm.cl" */
    const char *kernel;          /* NULL: a CLBlast GEMM */
    char defines[192];           /* "-DVW=8 -DMR=6": part of the program's identity. Few combinations, sizes go as arguments */
    int dims;
    size_t global[3], local[3];  /* local[0] == 0: the driver chooses. global is rounded up to a multiple of local by the backend,
                                    so kernels test bounds */
    int n_args;
    struct brume_cl_arg args[BRUME_CL_MAX_ARGS];
    struct brume_cl_gemm gemm;
};

struct brume_cl_list { struct brume_cl_launch *at; int n, cap; brume_status status; };

/** Appends a launch (defines printf-like) and returns it, valid until the next one is added; on lack of memory sets l->status and
 * returns a dummy. The list is freed with free(l->at). */
struct brume_cl_launch *brume_cl_add(struct brume_cl_list *l, const char *file, const char *kernel, const char *defines, ...)
    BRUME_PRINTF(4, 5);
void brume_cl_size1(struct brume_cl_launch *k, size_t global, size_t local);
void brume_cl_size2(struct brume_cl_launch *k, size_t g0, size_t g1, size_t l0, size_t l1);
void brume_cl_size3(struct brume_cl_launch *k, size_t g0, size_t g1, size_t g2, size_t l0, size_t l1, size_t l2);
void brume_cl_in(struct brume_cl_launch *k, int input);
void brume_cl_out(struct brume_cl_launch *k, int output);
void brume_cl_work(struct brume_cl_launch *k, int64_t byte_offset);
void brume_cl_packed(struct brume_cl_launch *k, int64_t byte_offset);
void brume_cl_int(struct brume_cl_launch *k, int64_t v);
void brume_cl_long(struct brume_cl_launch *k, int64_t v);
void brume_cl_float(struct brume_cl_launch *k, float v);
void brume_cl_local(struct brume_cl_launch *k, size_t bytes);
/** A CLBlast launch; then give A, B, C with brume_cl_in / _out / _work. */
struct brume_cl_launch *brume_cl_gemm(struct brume_cl_list *l, const struct brume_cl_gemm *g);

#endif
