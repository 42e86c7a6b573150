/* SPDX-License-Identifier: MIT
 * Chains of elementwise functions in blocks that stay in the first-level cache: function after function over one block. */
#include "cpu/fused.h"

#include <string.h>

#include "base/pool.h"

#define BLOCK 1024       /* floats; a handful of such blocks fit the 32 KiB of a first-level cache */
#define TASK 16384       /* floats per task: long against the hand-out of a task, short enough to balance */

/* The last two axes are one plane of `rows` rows of `row` elements; the axes before it are walked one plane at a time. */
struct chain {
    const struct brume_fused *f;
    const struct brume_simd *simd;
    const float *const *in;
    float *out, *scratch;
    size_t stride;
    int64_t planes, rows, row, rows_per_block, blocks_per_plane, cols_per_block, blocks_per_row, blocks_per_task, blocks;
};

size_t brume_cpu_fused_scratch(const struct brume_fused *f) { return (size_t)(f->n_in + f->n_ops) * BLOCK; }

/* Element offset of input k at the begin of a plane. */
static int64_t plane_offset(const struct brume_fused *f, int k, int64_t plane)
{
    int64_t offset = 0;
    for (int i = f->ndim - 3; i >= 0; i--) {
        offset += plane % f->dims[i] * f->stride[k][i];
        plane /= f->dims[i];
    }
    return offset;
}

/* The block's elements of input k as one contiguous run: in place if they are, else copied to `copy`. */
static const float *gather(const struct chain *c, int k, int64_t plane, int64_t r0, int64_t rows, int64_t c0, int64_t cols,
                           float *copy)
{
    const struct brume_fused *f = c->f;
    const int64_t s1 = f->stride[k][f->ndim - 1], s0 = f->ndim > 1 ? f->stride[k][f->ndim - 2] : 0;
    const float *x = c->in[k] + plane_offset(f, k, plane) + r0 * s0 + c0 * s1;
    if (s1 == 1 && (rows == 1 || s0 == cols)) return x;
    for (int64_t r = 0; r < rows; r++, x += s0) {
        float *to = copy + r * cols;
        if (s1 == 1) {
            memcpy(to, x, (size_t)cols * sizeof *to);
        } else if (s1 == 0) {
            const float v = *x;
            for (int64_t i = 0; i < cols; i++) to[i] = v;
        } else {
            for (int64_t i = 0; i < cols; i++) to[i] = x[i * s1];
        }
    }
    return copy;
}

static void run_block(const struct chain *c, int64_t block, float *scratch)
{
    const struct brume_fused *f = c->f;
    const int64_t per_plane = c->blocks_per_plane * c->blocks_per_row;
    const int64_t plane = block / per_plane, b = block % per_plane;
    const int64_t r0 = b / c->blocks_per_row * c->rows_per_block, c0 = b % c->blocks_per_row * c->cols_per_block;
    const int64_t rows = r0 + c->rows_per_block <= c->rows ? c->rows_per_block : c->rows - r0;
    const int64_t cols = c0 + c->cols_per_block <= c->row ? c->cols_per_block : c->row - c0;
    float *out = c->out + (plane * c->rows + r0) * c->row + c0;
    const float *value[BRUME_FUSED_MAX_IN + BRUME_FUSED_MAX_OPS];
    for (int k = 0; k < f->n_in; k++) value[k] = gather(c, k, plane, r0, rows, c0, cols, scratch + k * BLOCK);
    for (int i = 0; i < f->n_ops; i++) {
        const struct brume_fused_op *op = &f->op[i];
        const float *arg[BRUME_EW_MAX_IN];
        for (int j = 0; j < op->ew->n_in; j++) arg[j] = value[op->arg[j]];
        float *to = i + 1 == f->n_ops ? out : scratch + (f->n_in + i) * BLOCK;
        c->simd->ew[op->ew->row](rows * cols, arg, to, op->p);
        value[f->n_in + i] = to;
    }
}

static void run_task(void *ctx, int64_t task, int thread)
{
    const struct chain *c = ctx;
    const int64_t first = task * c->blocks_per_task;
    const int64_t last = first + c->blocks_per_task < c->blocks ? first + c->blocks_per_task : c->blocks;
    for (int64_t b = first; b < last; b++) run_block(c, b, c->scratch + (size_t)thread * c->stride);
}

void brume_cpu_fused_run(const struct brume_fused *f, const struct brume_simd *simd, struct brume_pool *pool,
                         const float *const *in, float *out, float *scratch, size_t stride)
{
    struct chain c = { .f = f, .simd = simd, .in = in, .out = out, .scratch = scratch, .stride = stride, .planes = 1, .rows = 1 };
    c.row = f->dims[f->ndim - 1];
    if (f->ndim > 1) c.rows = f->dims[f->ndim - 2];
    for (int i = 0; i < f->ndim - 2; i++) c.planes *= f->dims[i];
    /* A block is whole rows if they are short (rows of one block are contiguous in the result), else a part of one row. */
    c.rows_per_block = c.row >= BLOCK ? 1 : BLOCK / c.row < c.rows ? BLOCK / c.row : c.rows;
    c.blocks_per_plane = (c.rows + c.rows_per_block - 1) / c.rows_per_block;
    c.cols_per_block = c.row < BLOCK ? c.row : BLOCK;
    c.blocks_per_row = (c.row + c.cols_per_block - 1) / c.cols_per_block;
    c.blocks = c.planes * c.blocks_per_plane * c.blocks_per_row;
    const int64_t block_floats = c.rows_per_block * c.cols_per_block;
    c.blocks_per_task = block_floats < TASK ? TASK / block_floats : 1;
    brume_pool_run(pool, (c.blocks + c.blocks_per_task - 1) / c.blocks_per_task, run_task, &c);
}
