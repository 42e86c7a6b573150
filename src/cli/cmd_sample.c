/* SPDX-License-Identifier: MIT
 * brume sample: draws images from a model. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/image.h"
#include "commands.h"
#include "drawing.h"
#include "film.h"
#include "memory.h"
#include "parallel.h"
#include "plane.h"
#include "progress.h"
#include "replay.h"
#include "sampler_table.h"
#include "strips.h"

/* Everything that watches a drawing. */
struct watch {
    struct strip strip, x0_strip;
    struct film film;
    struct plane_watch plane; /* instead of the above for points */
    struct cli_progress bar;
    const struct drawing *d;
};

static void step(void *ctx, int64_t done)
{
    struct watch *w = ctx;
    cli_progress_step(&w->bar, done, "%s", "");
}

static brume_status observe(void *ctx, const brume_sampler_event *e)
{
    struct watch *w = ctx;
    if (plane_is(w->d)) return plane_watch_observe(&w->plane, w->d, e);
    brume_status st = strip_observe(&w->strip, e, 0);
    if (st == BRUME_OK) st = strip_observe(&w->x0_strip, e, 1);
    return st == BRUME_OK ? film_observe(&w->film, e) : st;
}

static brume_status watch_begin(struct watch *w, struct drawing *d)
{
    const struct sample_args *a = d->a;
    const int64_t rows = d->batch < a->strip_images ? d->batch : a->strip_images;
    brume_status st = BRUME_OK;
    w->d = d;
    d->observe = observe;
    d->step = step;
    d->ctx = w;
    if (plane_is(d)) return plane_watch_begin(&w->plane, d);
    if (a->strip) st = strip_begin(&w->strip, &d->view, rows, a->strip_columns);
    if (st == BRUME_OK && a->x0_strip) st = strip_begin(&w->x0_strip, &d->view, rows, a->strip_columns);
    if (st == BRUME_OK && a->film) st = film_begin(&w->film, a->film, &d->view, rows, (int)a->frame_ms);
    d->observe_x0 = a->film || a->x0_strip || a->keep_x0;
    return st;
}

static void watch_free(struct watch *w)
{
    strip_free(&w->strip);
    strip_free(&w->x0_strip);
    film_free(&w->film);
    plane_watch_free(&w->plane);
}

static void introduce(const struct drawing *d)
{
    const struct sample_args *a = d->a;
    const int32_t calls = brume_sampler_calls(d->sampler);
    fprintf(stderr, "sampler %s", d->sampler_name);
    if (calls) fprintf(stderr, ", %d network calls", (int)calls);
    if ((d->conditional || d->prompts) && a->guidance != 1)
        fprintf(stderr, ", guidance e = e_u + %g (e_c - e_u) = %g e_c - %g e_u", a->guidance, a->guidance, a->guidance - 1);
    if (d->classifier) fprintf(stderr, ", guided by %g times the gradient of a classifier", a->classifier_scale);
    fprintf(stderr, "\n");
}

/* Start noises on the way between the inversions of two pictures: slerp keeps their length (Song, Meng & Ermon 2021, sec.
 * 5.3). */
static brume_status interpolate(struct drawing *d)
{
    const struct sample_args *a = d->a;
    const int64_t per = d->h * d->w * d->c;
    float *ends = malloc((size_t)(2 * per) * sizeof *ends), *other = NULL;
    d->noise = cli_array(d->n * per, sizeof *d->noise);
    if (!ends || !d->noise) { free(ends); return BRUME_E_MEMORY; }
    brume_status st = view_read(&d->view, a->interpolate, &other);
    if (st == BRUME_OK) st = view_state(&d->view, d->known_picture, ends);
    if (st == BRUME_OK) st = view_state(&d->view, other, ends + per);
    free(other);
    for (int64_t i = 0; i < d->n && st == BRUME_OK; i++)
        memcpy(d->noise + i * per, ends + (i % 2) * per, (size_t)per * sizeof *ends);
    if (st == BRUME_OK) st = drawing_sampler(d, "ddim_inverse", a->steps);
    if (st == BRUME_OK) st = drawing_draw(d);
    if (st == BRUME_OK) memcpy(ends, d->images, (size_t)(2 * per) * sizeof *ends);
    double dot = 0, na = 0, nb = 0;
    for (int64_t p = 0; p < per; p++) {
        dot += (double)ends[p] * ends[per + p];
        na += (double)ends[p] * ends[p];
        nb += (double)ends[per + p] * ends[per + p];
    }
    const double angle = acos(fmax(-1, fmin(1, dot / sqrt(na * nb))));
    for (int64_t i = 0; i < d->n; i++) {
        const double u = d->n > 1 ? (double)i / (double)(d->n - 1) : 0.5;
        const double wa = sin(angle) > 1e-6 ? sin((1 - u) * angle) / sin(angle) : 1 - u,
                     wb = sin(angle) > 1e-6 ? sin(u * angle) / sin(angle) : u;
        for (int64_t p = 0; p < per; p++) d->noise[i * per + p] = (float)(wa * ends[p] + wb * ends[per + p]);
    }
    free(ends);
    return st;
}

static brume_status draw(struct drawing *d, struct watch *w)
{
    const struct sample_args *a = d->a;
    brume_status st = BRUME_OK;
    if (a->interpolate) st = interpolate(d);
    if (st == BRUME_OK) st = drawing_sampler(d, a->sampler ? a->sampler : a->interpolate ? "ddim" : NULL, a->steps);
    if (st == BRUME_OK && cli_parallel_first()) st = watch_begin(w, d);
    if (st != BRUME_OK) return st;
    if (!a->quiet) introduce(d);
    cli_progress_begin(&w->bar, "sampling", 0, drawing_calls(d), a->quiet);
    st = drawing_draw(d);
    cli_progress_end(&w->bar);
    brume_sampler_stats stats;
    brume_sampler_get_stats(d->sampler, &stats);
    if (st == BRUME_OK && !a->quiet && !brume_sampler_calls(d->sampler))
        fprintf(stderr, "%d network calls, %d steps, %d rejected\n", (int)stats.calls, (int)stats.accepted, (int)stats.rejected);
    return st;
}

static brume_status write_grid(const struct drawing *d)
{
    const struct sample_args *a = d->a;
    brume_image *grid = NULL;
    int64_t columns = a->columns                                ? a->columns
                      : a->interpolate                          ? d->n
                      : d->n_classes > 1 && d->n > d->n_classes ? d->n_classes
                                                                : 0;
    if (columns > d->n) columns = d->n;
    const brume_status st = brume_image_grid(d->pictures, d->n, (int32_t)d->view.height, (int32_t)d->view.width,
                                             (int32_t)d->view.channels, (int32_t)columns, (int32_t)a->scale, &grid);
    return st == BRUME_OK ? replay_write(d, "out", a->out, grid) : st;
}

static brume_status write_strip(const struct drawing *d, const struct strip *s, const char *picture, const char *path)
{
    brume_image *im = NULL;
    const brume_status st = path ? strip_picture(s, &im) : BRUME_OK;
    return path && st == BRUME_OK ? replay_write(d, picture, path, im) : st;
}

static brume_status write_forward(const struct drawing *d)
{
    const struct sample_args *a = d->a;
    brume_image *im = NULL;
    if (!a->forward_strip) return BRUME_OK;
    const brume_status st = strip_forward(brume_sampler_process(d->sampler), &d->view, d->images, d->seeds,
                                          d->n < a->strip_images ? d->n : a->strip_images, a->strip_columns, &im);
    return st == BRUME_OK ? replay_write(d, "forward-strip", a->forward_strip, im) : st;
}

static brume_status save_tensors(const struct drawing *d)
{
    const struct view *v = &d->view;
    const int64_t shape[4] = { d->n, v->channels, v->height, v->width };
    float *nchw = cli_array(d->n * v->height * v->width * v->channels, sizeof *nchw);
    if (!nchw) return BRUME_E_MEMORY;
    drawing_reorder(d->pictures, nchw, d->n, v->height * v->width, v->channels, 1);
    const brume_st_item item = { "samples", BRUME_ST_F32, 4, shape, nchw };
    const brume_status st = brume_safetensors_write(d->a->save_tensors, &item, 1, NULL);
    free(nchw);
    return st;
}

static brume_status pictures(const struct drawing *d, struct watch *w)
{
    const struct sample_args *a = d->a;
    brume_status st = a->out ? write_grid(d) : BRUME_OK;
    if (st == BRUME_OK) st = write_strip(d, &w->strip, "strip", a->strip);
    if (st == BRUME_OK) st = write_strip(d, &w->x0_strip, "x0-strip", a->x0_strip);
    if (st == BRUME_OK) st = film_end(&w->film);
    if (st == BRUME_OK) st = write_forward(d);
    return st;
}

static brume_status plots(const struct drawing *d, struct watch *w)
{
    const struct sample_args *a = d->a;
    brume_status st = a->out ? plane_scatter(d, a->out) : BRUME_OK;
    if (st == BRUME_OK) st = plane_watch_end(&w->plane, d);
    return st == BRUME_OK && a->field ? plane_field(d, a->field, a->strip_columns) : st;
}

static brume_status outputs(const struct drawing *d, struct watch *w)
{
    const struct sample_args *a = d->a;
    for (int64_t i = 0; i < d->n * d->view.height * d->view.width * d->view.channels; i++)
        if (!isfinite(d->pictures[i])) {
            fprintf(stderr, "warning: the model drew NaN or infinite values; is it trained?\n");
            break;
        }
    brume_status st = plane_is(d) ? plots(d, w) : pictures(d, w);
    if (st == BRUME_OK && a->save_tensors) st = save_tensors(d);
    if (st != BRUME_OK || a->quiet) return st;
    const char *const files[] = { a->out, a->save_tensors, a->strip, a->x0_strip, a->forward_strip, a->film,
                                  a->trajectories, a->field };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i]) fprintf(stderr, "wrote   %s\n", files[i]);
    return st;
}

int cmd_sample(int argc, char **argv)
{
    struct sample_args a;
    struct drawing d;
    struct watch w = { 0 };
    const struct cli_usage *u;
    const char *folder = NULL;
    int status = sample_args_parse(argc, argv, &a, &u, &folder);
    if (status != CLI_GO_ON) {
        sample_args_free(&a);
        return status;
    }
    if (!cli_parallel_first()) a.quiet = 1;
    if (a.table && cli_parallel()) {
        status = cli_wrong(u, "--table measures time in one process, not under mpirun");
        sample_args_free(&a);
        return status;
    }
    status = drawing_open(&d, &a, u, folder);
    if (status == CLI_GO_ON) replay_compare(&d);
    if (status == CLI_GO_ON && a.table) {
        status = sampler_table(&d, u, a.samplers, a.steps_list ? a.steps_list : "", a.reference_steps, a.table);
    } else if (status == CLI_GO_ON) {
        brume_status st = draw(&d, &w);
        if (st == BRUME_OK && cli_parallel_first()) st = drawing_decode(&d);
        if (st == BRUME_OK && cli_parallel_first()) st = outputs(&d, &w);
        status = st == BRUME_OK ? CLI_DONE : cli_failed();
    }
    watch_free(&w);
    drawing_close(&d);
    sample_args_free(&a);
    return status;
}
