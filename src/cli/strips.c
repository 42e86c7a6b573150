/* SPDX-License-Identifier: MIT
 * Pictures of the two processes. */
#include "strips.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "brume/rng.h"
#include "brume/sampler.h"
#include "memory.h"

brume_status strip_begin(struct strip *s, const struct view *v, int64_t rows, int64_t columns)
{
    *s = (struct strip){ .view = v, .rows = rows, .columns = columns };
    s->cells = cli_array(rows * columns * v->h * v->w * v->c, sizeof *s->cells);
    return s->cells ? BRUME_OK : BRUME_E_MEMORY;
}

void strip_free(struct strip *s) { free(s->cells); }

brume_status strip_observe(struct strip *s, const brume_sampler_event *e, int x0)
{
    const float scale = x0 ? 1 : (float)e->view_scale;
    if (!s->view || !e->complete || (x0 && !e->x0)) return BRUME_OK;
    const int64_t pixels = s->view->h * s->view->w * s->view->c;
    for (; s->filled < s->columns && e->progress >= (double)s->filled / (double)(s->columns - 1) - 1e-9; s->filled++)
        for (int64_t r = 0; r < s->rows; r++) {
            float *cell = s->cells + (r * s->columns + s->filled) * pixels;
            const brume_status st =
                brume_buffer_read(x0 ? e->x0 : e->x, (size_t)(r * pixels) * sizeof(float), cell, (size_t)pixels * sizeof(float));
            if (st != BRUME_OK) return st;
            for (int64_t p = 0; p < pixels; p++) cell[p] *= scale;
        }
    return BRUME_OK;
}

brume_status strip_picture(const struct strip *s, brume_image **out)
{
    return view_grid(s->view, s->cells, s->rows * s->columns, s->columns, 0, out);
}

brume_status strip_forward(const brume_process *process, const struct view *v, const float *x0, const int64_t *seeds, int64_t n,
                           int64_t columns, brume_image **out)
{
    struct strip s;
    const int64_t pixels = v->h * v->w * v->c;
    float *eps = malloc((size_t)pixels * sizeof *eps);
    brume_status st = strip_begin(&s, v, n, columns);
    if (!eps) st = BRUME_E_MEMORY;
    for (int64_t r = 0; st == BRUME_OK && r < n; r++) {
        brume_fill_normal((uint64_t)seeds[r], BRUME_STREAM_START, 0, 0, pixels, eps);
        for (int64_t k = 0; k < columns; k++) {
            const brume_level l = brume_process_along(process, (double)k / (double)(columns - 1));
            const double norm = sqrt(l.a * l.a + l.s * l.s);
            const float a = (float)(l.a / norm), b = (float)(l.s / norm);
            float *cell = s.cells + (r * columns + k) * pixels;
            for (int64_t p = 0; p < pixels; p++) cell[p] = a * x0[r * pixels + p] + b * eps[p];
        }
    }
    if (st == BRUME_OK) st = strip_picture(&s, out);
    strip_free(&s);
    free(eps);
    return st;
}
