/* SPDX-License-Identifier: MIT
 * Points of the plane drawn. */
#include "plane.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canvas.h"
#include "replay.h"

enum { SIDE = 320, MARGIN = 8, CAPTION = 22, FIELD = 21, MOST_PATHS = 120 };
static const double reach = 1.6; /* panels show [-reach, reach] */

static const struct colour palette[] = { { 31, 90, 170, 0.55f }, { 214, 96, 30, 0.55f }, { 40, 140, 70, 0.55f },
                                         { 190, 40, 60, 0.55f }, { 120, 80, 170, 0.55f }, { 140, 90, 70, 0.55f },
                                         { 220, 110, 180, 0.55f }, { 110, 110, 110, 0.55f } };
static const struct colour border = { 200, 200, 200, 1 }, path_colour = { 90, 110, 150, 0.35f };

int plane_is(const struct drawing *d) { return !d->model->autoencoder && d->h == 1 && d->w == 1 && d->c == 2; }

static struct colour colour_of(const struct drawing *d, int64_t i)
{
    return palette[d->labels ? (size_t)d->labels[i % d->n] % (sizeof palette / sizeof *palette) : 0];
}

/* Panel k: the point (x, y) of the plane to pixels. */
static double px(int64_t k, double x) { return (double)k * (SIDE + MARGIN) + MARGIN + SIDE * (x + reach) / (2 * reach); }
static double py(double y) { return MARGIN + SIDE * (reach - y) / (2 * reach); }

static brume_status panels_begin(struct canvas *c, int64_t n, int vector)
{
    const brume_status s =
        canvas_begin(c, (int32_t)(n * (SIDE + MARGIN) + MARGIN), SIDE + 2 * MARGIN + (vector ? CAPTION : 0), vector);
    for (int64_t k = 0; s == BRUME_OK && k < n; k++) canvas_frame(c, px(k, -reach), py(reach), SIDE, SIDE, border);
    return s;
}

static void points(struct canvas *c, const struct drawing *d, int64_t panel, const float *xy, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (fabsf(xy[2 * i]) < reach && fabsf(xy[2 * i + 1]) < reach)
            canvas_disc(c, px(panel, xy[2 * i]), py(xy[2 * i + 1]), 1.2, colour_of(d, i));
}

static brume_status finish(struct canvas *c, const struct drawing *d, const char *picture, const char *path)
{
    const brume_status s = c->image ? replay_record(d, picture, c->image) : BRUME_OK;
    return s == BRUME_OK ? canvas_write(c, path) : s;
}

brume_status plane_scatter(const struct drawing *d, const char *path)
{
    struct canvas c;
    brume_status s = panels_begin(&c, 1, canvas_is_vector(path));
    if (s == BRUME_OK) points(&c, d, 0, d->images, d->n);
    char text[80];
    snprintf(text, sizeof text, "%s, %lld points", d->sampler_name, (long long)d->n);
    canvas_text(&c, MARGIN + SIDE / 2.0, SIDE + MARGIN + 16, 13, text);
    if (s == BRUME_OK) s = finish(&c, d, "out", path);
    canvas_free(&c);
    return s;
}

brume_status plane_watch_begin(struct plane_watch *w, const struct drawing *d)
{
    const struct sample_args *a = d->a;
    const int64_t batch = d->batch < d->n ? d->batch : d->n;
    *w = (struct plane_watch){ .points = batch,
                               .columns = a->strip_columns,
                               .paths = batch < MOST_PATHS ? batch : MOST_PATHS,
                               .strip = a->strip,
                               .trajectories = a->trajectories,
                               .centiseconds = a->frame_ms < 20 ? 2 : (int)a->frame_ms / 10 };
    if (w->strip && !(w->panels = calloc((size_t)(w->columns * w->points * 2), sizeof *w->panels))) return BRUME_E_MEMORY;
    return a->film ? brume_film_new(a->film, &w->film) : BRUME_OK;
}

static brume_status frame(struct plane_watch *w, const struct drawing *d, const float *xy, int centiseconds)
{
    struct canvas c;
    brume_status s = panels_begin(&c, 1, 0);
    if (s == BRUME_OK) points(&c, d, 0, xy, w->points);
    if (s == BRUME_OK) s = brume_film_add(w->film, c.image, centiseconds);
    canvas_free(&c);
    return s;
}

static brume_status keep_track(struct plane_watch *w, const float *xy)
{
    if (w->moments == w->room) {
        const int64_t room = 2 * w->room + 64;
        float *grown = realloc(w->tracks, (size_t)(room * w->paths * 2) * sizeof *grown);
        if (!grown) return BRUME_E_MEMORY;
        w->tracks = grown;
        w->room = room;
    }
    memcpy(w->tracks + w->moments++ * w->paths * 2, xy, (size_t)(w->paths * 2) * sizeof *xy);
    return BRUME_OK;
}

brume_status plane_watch_observe(struct plane_watch *w, const struct drawing *d, const brume_sampler_event *e)
{
    if (!e->complete || (!w->strip && !w->trajectories && !w->film)) return BRUME_OK;
    float *xy = malloc((size_t)(w->points * 2) * sizeof *xy);
    brume_status s = xy ? brume_buffer_read(e->x, 0, xy, (size_t)(w->points * 2) * sizeof *xy) : BRUME_E_MEMORY;
    for (int64_t i = 0; s == BRUME_OK && i < 2 * w->points; i++) xy[i] *= (float)e->view_scale;
    for (; s == BRUME_OK && w->strip && w->filled < w->columns &&
           e->progress >= (double)w->filled / (double)(w->columns - 1) - 1e-9;
         w->filled++)
        memcpy(w->panels + w->filled * w->points * 2, xy, (size_t)(w->points * 2) * sizeof *xy);
    if (s == BRUME_OK && w->trajectories) s = keep_track(w, xy);
    if (s == BRUME_OK && w->film) s = frame(w, d, xy, e->progress >= 1 - 1e-9 ? 200 : w->centiseconds);
    free(xy);
    return s;
}

static brume_status write_strip(const struct plane_watch *w, const struct drawing *d)
{
    struct canvas c;
    brume_status s = panels_begin(&c, w->columns, canvas_is_vector(w->strip));
    for (int64_t k = 0; s == BRUME_OK && k < w->columns; k++) points(&c, d, k, w->panels + k * w->points * 2, w->points);
    if (s == BRUME_OK) s = finish(&c, d, "strip", w->strip);
    canvas_free(&c);
    return s;
}

static brume_status write_trajectories(const struct plane_watch *w, const struct drawing *d)
{
    struct canvas c;
    brume_status s = panels_begin(&c, 1, canvas_is_vector(w->trajectories));
    for (int64_t i = 0; s == BRUME_OK && i < w->paths; i++)
        for (int64_t k = 1; k < w->moments; k++) {
            const float *from = w->tracks + ((k - 1) * w->paths + i) * 2, *to = w->tracks + (k * w->paths + i) * 2;
            canvas_line(&c, px(0, from[0]), py(from[1]), px(0, to[0]), py(to[1]), 0.8, path_colour);
        }
    for (int64_t i = 0; s == BRUME_OK && i < d->n; i++)
        canvas_disc(&c, px(0, d->images[2 * i]), py(d->images[2 * i + 1]), 0.8, (struct colour){ 200, 200, 200, 0.5f });
    for (int64_t i = 0; s == BRUME_OK && i < w->paths; i++) {
        const float *end = w->tracks + ((w->moments - 1) * w->paths + i) * 2;
        canvas_disc(&c, px(0, end[0]), py(end[1]), 2, colour_of(d, i));
    }
    if (s == BRUME_OK) s = finish(&c, d, "trajectories", w->trajectories);
    canvas_free(&c);
    return s;
}

brume_status plane_watch_end(struct plane_watch *w, const struct drawing *d)
{
    brume_status s = w->strip ? write_strip(w, d) : BRUME_OK;
    if (s == BRUME_OK && w->trajectories) s = write_trajectories(w, d);
    if (s == BRUME_OK && w->film) {
        s = brume_film_close(w->film);
        w->film = NULL;
    }
    return s;
}

void plane_watch_free(struct plane_watch *w)
{
    brume_film_abort(w->film);
    free(w->panels);
    free(w->tracks);
}

/* Scores of the grid points at a level, in units where arrows of all levels compare: s * score = -eps. */
static brume_status scores(const brume_denoiser *n, const brume_level *l, brume_buffer *x, brume_buffer *m, float *xy,
                           float *score)
{
    enum { COUNT = FIELD * FIELD * 2 };
    double cx, cm;
    brume_status s = BRUME_OK;
    const double norm = sqrt(l->a * l->a + l->s * l->s); /* panels show the state with unit variance at the noisy end */
    for (int i = 0; i < FIELD; i++)
        for (int j = 0; j < FIELD; j++) {
            float *p = xy + (i * FIELD + j) * 2;
            p[0] = (float)(norm * 0.95 * reach * (2.0 * j / (FIELD - 1) - 1));
            p[1] = (float)(norm * 0.95 * reach * (2.0 * i / (FIELD - 1) - 1));
        }
    s = brume_buffer_write(x, 0, xy, COUNT * sizeof *xy);
    if (s == BRUME_OK) s = n->predict(n->self, x, l, m, NULL);
    if (s == BRUME_OK) s = brume_buffer_read(m, 0, score, COUNT * sizeof *score);
    brume_prediction_eps(n->prediction_type, l, &cx, &cm);
    for (int i = 0; i < COUNT; i++) {
        score[i] = (float)-(cx * xy[i] + cm * score[i]);
        xy[i] /= (float)norm;
    }
    return s;
}

static brume_status draw_field(const struct drawing *d, struct canvas *c, const brume_denoiser *n, brume_buffer *x,
                               brume_buffer *m, int64_t columns)
{
    static float xy[FIELD * FIELD * 2], score[FIELD * FIELD * 2];
    const double cell = 2 * 0.95 * reach / (FIELD - 1);
    for (int64_t k = 0; k < columns; k++) {
        const brume_level l = brume_process_along(brume_sampler_process(d->sampler),
                                                  1 - 0.97 * (double)k / (double)(columns > 1 ? columns - 1 : 1));
        const brume_status s = scores(n, &l, x, m, xy, score);
        if (s != BRUME_OK) return s;
        const float shrink = (float)(1 / sqrt(l.a * l.a + l.s * l.s) * l.a);
        for (int64_t i = 0; i < d->n && i < 600; i++) /* the data, where this level sees it */
            canvas_disc(c, px(k, shrink * d->images[2 * i]), py(shrink * d->images[2 * i + 1]), 0.9,
                        (struct colour){ 210, 150, 90, 0.5f });
        for (int i = 0; i < FIELD * FIELD; i++) {
            const double length = hypot(score[2 * i], score[2 * i + 1]), f = length > 0 ? cell * tanh(length) / length : 0;
            canvas_arrow(c, px(k, xy[2 * i]), py(xy[2 * i + 1]), px(k, xy[2 * i] + f * score[2 * i]),
                         py(xy[2 * i + 1] + f * score[2 * i + 1]), 1.1, (struct colour){ 31, 70, 140, 0.8f });
        }
        char text[80];
        snprintf(text, sizeof text, "sigma = %.3g", l.s / l.a);
        canvas_text(c, px(k, 0), SIDE + MARGIN + 16, 13, text);
    }
    return BRUME_OK;
}

brume_status plane_field(const struct drawing *d, const char *path, int64_t columns)
{
    const brume_shape shape = BRUME_SHAPE(FIELD * FIELD, 1, 1, 2);
    int32_t *labels = d->conditional ? malloc(FIELD * FIELD * sizeof *labels) : NULL;
    brume_unet2d_denoiser *n = NULL;
    brume_buffer *x = NULL, *m = NULL;
    struct canvas c = { 0 };
    if (d->conditional && !labels) return BRUME_E_MEMORY;
    for (int i = 0; labels && i < FIELD * FIELD; i++) labels[i] = d->labels[0];
    const brume_unet2d_denoiser_options o = { .prediction_type = d->model->scheduler.prediction_type, .labels = labels,
                                              .null_label = d->model->unet.num_class_embeds - 1,
                                              .guidance = { .scale = d->conditional ? d->a->guidance : 1 } };
    brume_status s = brume_unet2d_denoiser_new(d->device, &d->model->unet, d->model->params, shape, &o, &n);
    if (s == BRUME_OK) s = brume_buffer_new(d->device, FIELD * FIELD * 2 * sizeof(float), &x);
    if (s == BRUME_OK) s = brume_buffer_new(d->device, FIELD * FIELD * 2 * sizeof(float), &m);
    if (s == BRUME_OK) s = panels_begin(&c, columns, canvas_is_vector(path));
    if (s == BRUME_OK) s = draw_field(d, &c, brume_unet2d_denoiser_get(n), x, m, columns);
    if (s == BRUME_OK) s = finish(&c, d, "field", path);
    canvas_free(&c);
    brume_buffer_free(x);
    brume_buffer_free(m);
    brume_unet2d_denoiser_free(n);
    free(labels);
    return s;
}
