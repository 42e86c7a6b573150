/* SPDX-License-Identifier: MIT
 * Pictures of the two processes. */
#include "strips.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "brume/image.h"
#include "brume/rng.h"
#include "brume/sampler.h"

brume_status strip_begin(struct strip *s, int64_t rows, int64_t columns, int64_t h, int64_t w, int64_t c)
{
    *s = (struct strip){ .wanted = 1, .rows = rows, .columns = columns, .h = h, .w = w, .c = c };
    s->cells = calloc((size_t)(rows * columns * h * w * c), sizeof *s->cells);
    return s->cells ? BRUME_OK : BRUME_E_MEMORY;
}

void strip_free(struct strip *s) { free(s->cells); }

/* Step that column k of a run of n steps shows: 0 (noise) first, n (image) last. */
static int32_t moment(const struct strip *s, int64_t k, int32_t n) { return (int32_t)llround((double)k * n / (double)(s->columns - 1)); }

brume_status strip_observe(struct strip *s, int32_t i, int32_t n, brume_buffer *x)
{
    const int64_t pixels = s->h * s->w * s->c;
    if (!s->wanted) return BRUME_OK;
    for (int64_t k = 0; k < s->columns; k++) {
        if (moment(s, k, n) != i) continue;
        for (int64_t r = 0; r < s->rows; r++) {
            const brume_status st = brume_buffer_read(x, (size_t)(r * pixels) * sizeof(float), s->cells + (r * s->columns + k) * pixels,
                                                      (size_t)pixels * sizeof(float));
            if (st != BRUME_OK) return st;
        }
    }
    return BRUME_OK;
}

brume_status strip_write(const struct strip *s, const char *path)
{
    brume_image *picture = NULL;
    brume_status st = brume_image_grid(s->cells, s->rows * s->columns, (int32_t)s->h, (int32_t)s->w, (int32_t)s->c, (int32_t)s->columns, 0, &picture);
    if (st == BRUME_OK) st = brume_png_write(path, picture);
    brume_image_free(picture);
    return st;
}

brume_status strip_forward(const brume_schedule *schedule, const float *x0, const int64_t *seeds, int64_t n, int64_t h, int64_t w, int64_t c,
                           int64_t columns, const char *path)
{
    struct strip s;
    const int64_t pixels = h * w * c;
    float *eps = malloc((size_t)pixels * sizeof *eps);
    brume_status st = strip_begin(&s, n, columns, h, w, c);
    if (!eps) st = BRUME_E_MEMORY;
    for (int64_t r = 0; st == BRUME_OK && r < n; r++) {
        brume_fill_normal((uint64_t)seeds[r], BRUME_STREAM_START, 0, 0, pixels, eps);
        for (int64_t k = 0; k < columns; k++) {
            const int32_t t = (int32_t)llround((double)k * schedule->T / (double)(columns - 1)) - 1; /* -1: the image itself */
            const float a = (float)sqrt(brume_alpha_bar(schedule, t)), b = (float)sqrt(brume_one_minus_alpha_bar(schedule, t));
            float *cell = s.cells + (r * columns + k) * pixels;
            for (int64_t p = 0; p < pixels; p++) cell[p] = a * x0[r * pixels + p] + b * eps[p];
        }
    }
    if (st == BRUME_OK) st = strip_write(&s, path);
    strip_free(&s);
    free(eps);
    return st;
}
