/* SPDX-License-Identifier: MIT
 * Copies of rows; see copy.h. */
#include "ops/copy.h"

#include <string.h>

#include "base/pool.h"
#include "ops/axes.h"

#define TASK 65536 /* floats per task */

struct rows { int64_t rows, cols, x_stride, y_stride, rows_per_task, cols_per_task, cuts; const float *x; float *y; };

static void copy_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct rows *c = ctx;
    const int64_t r0 = task / c->cuts * c->rows_per_task, c0 = task % c->cuts * c->cols_per_task;
    const int64_t r1 = r0 + c->rows_per_task < c->rows ? r0 + c->rows_per_task : c->rows;
    const int64_t n = c->cols - c0 < c->cols_per_task ? c->cols - c0 : c->cols_per_task;
    if (n == c->x_stride && n == c->y_stride) {
        memcpy(c->y + r0 * n, c->x + r0 * n, (size_t)((r1 - r0) * n) * sizeof(float));
        return;
    }
    for (int64_t r = r0; r < r1; r++) memcpy(c->y + r * c->y_stride + c0, c->x + r * c->x_stride + c0, (size_t)n * sizeof(float));
}

void brume_cpu_copy_rows(struct brume_pool *pool, int64_t rows, int64_t cols, const float *x, int64_t x_stride, float *y,
                         int64_t y_stride)
{
    struct rows c = { .rows = rows, .cols = cols, .x_stride = x_stride, .y_stride = y_stride, .x = x, .y = y };
    c.cols_per_task = cols < TASK ? cols : TASK;
    c.cuts = (cols + c.cols_per_task - 1) / c.cols_per_task;
    c.rows_per_task = TASK / c.cols_per_task;
    brume_pool_run(pool, (rows + c.rows_per_task - 1) / c.rows_per_task * c.cuts, copy_task, &c);
}

void brume_cl_copy_rows(struct brume_cl_list *l, const struct brume_caps *c, int in, int64_t rows, int64_t cols, int64_t x_off,
                        int64_t x_stride, int64_t y_off, int64_t y_stride)
{
    /* Vectors may start anywhere (vloadn needs the alignment of a float), so only the length of a row counts. */
    const int vec = brume_cl_vec(c, cols), run = brume_cl_run(c);
    const int64_t runs = (cols / vec + run - 1) / run;
    struct brume_cl_launch *k = brume_cl_add(l, "copy.cl", "copy_rows", "-DVW=%d -DRUN=%d", vec, run);
    brume_cl_size1(k, (size_t)(rows * runs), 64);
    brume_cl_in(k, in);
    brume_cl_out(k, 0);
    brume_cl_long(k, rows);
    brume_cl_long(k, cols / vec);
    brume_cl_long(k, runs);
    brume_cl_long(k, x_off);
    brume_cl_long(k, x_stride);
    brume_cl_long(k, y_off);
    brume_cl_long(k, y_stride);
}
