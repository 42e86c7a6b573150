/* SPDX-License-Identifier: MIT
 * Builder functions of OpenCL launches: plain data, no OpenCL. */
#include "graph/cl_launch.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What callers fill in after a failure: the list's status tells, nobody reads it. */
static _Thread_local struct brume_cl_launch dummy;

static struct brume_cl_launch *append(struct brume_cl_list *l)
{
    if (!l->status && l->n == l->cap) {
        const int cap = l->cap ? 2 * l->cap : 4;
        struct brume_cl_launch *at = realloc(l->at, (size_t)cap * sizeof *at);
        if (at) {
            l->at = at;
            l->cap = cap;
        } else {
            l->status = brume_fail(BRUME_E_MEMORY, "cannot allocate %d OpenCL launches", cap);
        }
    }
    struct brume_cl_launch *k = l->status ? &dummy : &l->at[l->n++];
    memset(k, 0, sizeof *k);
    return k;
}

struct brume_cl_launch *brume_cl_add(struct brume_cl_list *l, const char *file, const char *kernel, const char *defines, ...)
{
    struct brume_cl_launch *k = append(l);
    k->file = file;
    k->kernel = kernel;
    va_list ap;
    va_start(ap, defines);
    const int len = vsnprintf(k->defines, sizeof k->defines, defines, ap);
    va_end(ap);
    assert(len >= 0 && (size_t)len < sizeof k->defines);
    (void)len;
    return k;
}

struct brume_cl_launch *brume_cl_gemm(struct brume_cl_list *l, const struct brume_cl_gemm *g)
{
    struct brume_cl_launch *k = append(l);
    k->gemm = *g;
    return k;
}

void brume_cl_size1(struct brume_cl_launch *k, size_t global, size_t local)
{
    k->dims = 1;
    k->global[0] = global;
    k->local[0] = local;
}

void brume_cl_size2(struct brume_cl_launch *k, size_t g0, size_t g1, size_t l0, size_t l1)
{
    brume_cl_size1(k, g0, l0);
    k->dims = 2;
    k->global[1] = g1;
    k->local[1] = l1;
}

void brume_cl_size3(struct brume_cl_launch *k, size_t g0, size_t g1, size_t g2, size_t l0, size_t l1, size_t l2)
{
    brume_cl_size2(k, g0, g1, l0, l1);
    k->dims = 3;
    k->global[2] = g2;
    k->local[2] = l2;
}

static void arg(struct brume_cl_launch *k, enum brume_cl_arg_kind kind, int64_t index, float f)
{
    assert(k->n_args < BRUME_CL_MAX_ARGS);
    k->args[k->n_args++] = (struct brume_cl_arg){ kind, index, f };
}

void brume_cl_in(struct brume_cl_launch *k, int input) { arg(k, BRUME_CL_IN, input, 0); }
void brume_cl_out(struct brume_cl_launch *k, int output) { arg(k, BRUME_CL_OUT, output, 0); }
void brume_cl_work(struct brume_cl_launch *k, int64_t byte_offset) { arg(k, BRUME_CL_WORK, byte_offset, 0); }
void brume_cl_packed(struct brume_cl_launch *k, int64_t byte_offset) { arg(k, BRUME_CL_PACKED, byte_offset, 0); }
void brume_cl_long(struct brume_cl_launch *k, int64_t v) { arg(k, BRUME_CL_LONG, v, 0); }
void brume_cl_float(struct brume_cl_launch *k, float v) { arg(k, BRUME_CL_FLOAT, 0, v); }
void brume_cl_local(struct brume_cl_launch *k, size_t bytes) { arg(k, BRUME_CL_LOCAL, (int64_t)bytes, 0); }

void brume_cl_int(struct brume_cl_launch *k, int64_t v)
{
    assert(v >= INT32_MIN && v <= INT32_MAX);
    arg(k, BRUME_CL_INT, v, 0);
}
