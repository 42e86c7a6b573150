/* SPDX-License-Identifier: MIT
 * The film of a denoising. */
#include "film.h"

#include <stdlib.h>

#include "memory.h"

#define MOST_FRAMES 120
#define WIDTH 320 /* about, in pixels */

brume_status film_begin(struct film *f, const char *path, const struct view *v, int64_t images, int ms)
{
    *f = (struct film){ .view = v, .images = images, .centiseconds = ms < 20 ? 2 : ms / 10 };
    f->cells = cli_array(2 * images * v->h * v->w * v->c, sizeof *f->cells);
    return f->cells ? brume_film_new(path, &f->gif) : BRUME_E_MEMORY;
}

static brume_status put(struct film *f, int centiseconds)
{
    brume_image *grid = NULL;
    const int64_t fit = WIDTH / (f->images * f->view->width); /* a film holds many pictures: small ones */
    brume_status s = view_grid(f->view, f->cells, 2 * f->images, f->images, fit > 1 ? fit : 1, &grid);
    if (s == BRUME_OK) s = brume_film_add(f->gif, grid, centiseconds);
    brume_image_free(grid);
    return s;
}

brume_status film_observe(struct film *f, const brume_sampler_event *e)
{
    if (!f->gif || !e->complete) return BRUME_OK;
    const int64_t count = f->images * f->view->h * f->view->w * f->view->c;
    const size_t bytes = (size_t)count * sizeof(float);
    if (e->step % (1 + e->steps / MOST_FRAMES) && e->step != e->steps) return BRUME_OK; /* long runs: not every step */
    brume_status s = brume_buffer_read(e->x, 0, f->cells, bytes);
    for (int64_t i = 0; i < count; i++) f->cells[i] *= (float)e->view_scale;
    if (s == BRUME_OK && e->x0) s = brume_buffer_read(e->x0, 0, f->cells + count, bytes);
    return s == BRUME_OK ? put(f, f->centiseconds) : s;
}

brume_status film_end(struct film *f)
{
    if (!f->gif) return BRUME_OK;
    brume_status s = put(f, 200);
    brume_film *gif = f->gif;
    f->gif = NULL;
    if (s == BRUME_OK) return brume_film_close(gif);
    brume_film_abort(gif);
    return s;
}

void film_free(struct film *f)
{
    brume_film_abort(f->gif);
    free(f->cells);
}
