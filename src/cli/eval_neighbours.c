/* SPDX-License-Identifier: MIT
 * Samples beside their nearest training images: does the model remember? Images that nobody trained with are the measure. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/image.h"
#include "eval.h"
#include "memory.h"
#include "progress.h"

enum { MOST = 256, ROWS = 16, PART = 256 }; /* samples that are looked up; rows of the picture; images at once */

struct search {
    const struct eval_args *a;
    const struct eval_images *im;
    brume_feature_network *f;
    brume_dataset *train, *test;   /* test: NULL where there is none */
    int64_t values, dims;          /* of an image; of what is compared */
    struct cli_progress bar;
};

static brume_status no_memory(void) { return BRUME_E_MEMORY; }

static brume_status open_part(const struct search *s, int test, brume_dataset **out)
{
    const brume_dataset_options o = { .test = test, .size = (int32_t)s->im->h,
                                      .width = s->im->w == s->im->h ? 0 : (int32_t)s->im->w, .channels = (int32_t)s->im->c,
                                      .insist = BRUME_INSIST_SIZE | BRUME_INSIST_CHANNELS };
    return brume_dataset_open(s->a->data, &o, out);
}

/* n images of a data set as they are compared. pixels: room for them */
static brume_status rows(const struct search *s, const brume_dataset *ds, int64_t first, int64_t n, float *pixels, float *out)
{
    brume_status st = BRUME_OK;
    for (int64_t i = 0; i < n && st == BRUME_OK; i++) st = brume_dataset_get(ds, first + i, pixels + i * s->values, NULL);
    if (st != BRUME_OK || out == pixels) return st;
    return brume_feature_network_run(s->f, pixels, n, out);
}

/* Neighbours of the samples, and of the test images, among the training images, in one pass over those. */
static brume_status look_up(struct search *s, const float *queries, int64_t n, const float *others, int64_t n_others, int32_t k,
                            brume_neighbour *near, brume_neighbour *near_others)
{
    const int64_t all = brume_dataset_count(s->train);
    float *pixels = cli_array(PART * s->values, sizeof *pixels),
          *points = s->f ? malloc((size_t)(PART * s->dims) * sizeof *points) : pixels;
    brume_status st = pixels && points ? BRUME_OK : no_memory();
    cli_progress_begin(&s->bar, "training images", 0, all, s->a->quiet);
    for (int64_t i = 0; i < all && st == BRUME_OK; i += PART) {
        const int64_t part = all - i < PART ? all - i : PART;
        st = rows(s, s->train, i, part, pixels, points);
        if (st == BRUME_OK) st = brume_neighbours_add(queries, n, points, part, s->dims, i, k, near);
        if (st == BRUME_OK) st = brume_neighbours_add(others, n_others, points, part, s->dims, i, 1, near_others);
        cli_progress_step(&s->bar, i + part, "%s", "");
    }
    cli_progress_end(&s->bar);
    if (points != pixels) free(points);
    free(pixels);
    return st;
}

static int ascending(const void *x, const void *y)
{
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* Sorted distances of the first of k neighbours. */
static double *nearest(const brume_neighbour *near, int64_t n, int32_t k)
{
    double *d = malloc((size_t)(n ? n : 1) * sizeof *d);
    for (int64_t i = 0; d && i < n; i++) d[i] = near[i * k].distance;
    if (d) qsort(d, (size_t)n, sizeof *d, ascending);
    return d;
}

static void put_summary(const struct search *s, const double *d, int64_t n, const char *what, const char *key,
                        brume_json_writer *w)
{
    char name[64];
    const double values[] = { d[0], d[n / 2], d[n - 1] };
    static const char *const ends[] = { "min", "median", "max" };
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s_%s", key, ends[i]);
        brume_json_put_double(w, name, values[i]);
    }
    if (!s->a->json) printf("  %-40s%11.5g%11.5g%11.5g%9lld\n", what, values[0], values[1], values[2], (long long)n);
}

static brume_status summary(const struct search *s, const brume_neighbour *near, int64_t n, int32_t k,
                            const brume_neighbour *near_others, int64_t n_others, brume_json_writer *w)
{
    double *d = nearest(near, n, k), *o = nearest(near_others, n_others, 1);
    if (!d || !o) {
        free(d);
        free(o);
        return no_memory();
    }
    brume_json_put_string(w, "neighbours_by", s->f ? "features" : "pixels");
    if (!s->a->json)
        printf("\n  %-40s%11s%11s%11s%9s\n", s->f ? "nearest training image, by features" : "nearest training image, by pixels",
               "least", "median", "most", "images");
    put_summary(s, d, n, "samples", "neighbour_distance", w);
    if (n_others) {
        int64_t closer = 0;
        while (closer < n && d[closer] < o[0]) closer++;
        put_summary(s, o, n_others, "test images, never trained with", "neighbour_distance_of_test", w);
        brume_json_put_int(w, "samples_nearer_than_any_test_image", closer);
        if (!s->a->json)
            printf("  Nearer to a training image than any of these test images: %lld of %lld samples. Euclidean distances over "
                   "%lld values.\n",
                   (long long)closer, (long long)n, (long long)s->dims);
    }
    free(d);
    free(o);
    return BRUME_OK;
}

struct ranked { double distance; int64_t sample; };

static int nearer(const void *x, const void *y)
{
    const struct ranked *a = x, *b = y;
    return a->distance != b->distance ? (a->distance > b->distance) - (a->distance < b->distance)
                                      : (a->sample > b->sample) - (a->sample < b->sample);
}

/* A row for each of the samples with the nearest neighbours: it, and they. */
static brume_status draw(const struct search *s, const brume_neighbour *near, int64_t n, int32_t k, const char *path)
{
    const int64_t count = n < ROWS ? n : ROWS, v = s->values;
    brume_image *grid = NULL;
    struct ranked *order = malloc((size_t)n * sizeof *order);
    float *x = cli_array(count * (k + 1) * v, sizeof *x);
    brume_status st = order && x ? BRUME_OK : no_memory();
    for (int64_t i = 0; i < n && st == BRUME_OK; i++) order[i] = (struct ranked){ near[i * k].distance, i };
    if (st == BRUME_OK) qsort(order, (size_t)n, sizeof *order, nearer);
    for (int64_t i = 0; i < count && st == BRUME_OK; i++) {
        float *row = x + i * (k + 1) * v;
        const brume_neighbour *of = near + order[i].sample * k;
        memcpy(row, s->im->x + order[i].sample * v, (size_t)v * sizeof *row);
        for (int32_t q = 0; q < k && st == BRUME_OK; q++) {
            float *to = row + (q + 1) * v;
            if (of[q].index >= 0) st = brume_dataset_get(s->train, of[q].index, to, NULL);
            else for (int64_t j = 0; j < v; j++) to[j] = 1; /* fewer training images than columns */
        }
    }
    if (st == BRUME_OK)
        st = brume_image_grid(x, count * (k + 1), (int32_t)s->im->h, (int32_t)s->im->w, (int32_t)s->im->c, k + 1, 0, &grid);
    if (st == BRUME_OK) st = brume_png_write(path, grid);
    if (st == BRUME_OK && !s->a->quiet)
        fprintf(stderr, "wrote   %s: %lld samples, the nearest to training images first, and %d neighbours of each\n", path,
                (long long)count, (int)k);
    brume_image_free(grid);
    free(order);
    free(x);
    return st;
}

brume_status eval_neighbours(const struct eval_args *a, const struct eval_images *im, brume_feature_network *f,
                             const char *picture, brume_json_writer *w)
{
    struct search s = { .a = a, .im = im, .f = f, .values = im->h * im->w * im->c };
    const int64_t n = im->n < MOST ? im->n : MOST;
    const int32_t k = (int32_t)a->k;
    s.dims = f ? brume_feature_network_width(f) : s.values;
    brume_status st = open_part(&s, 0, &s.train);
    if (st != BRUME_OK) return st;
    if (open_part(&s, 1, &s.test) != BRUME_OK) s.test = NULL; /* a folder without one */
    const int64_t n_test = s.test ? brume_dataset_count(s.test) : 0, m = n_test < n ? n_test : n;
    float *queries = cli_array(n * s.dims, sizeof *queries),
          *pixels = cli_array((m ? m : 1) * s.values, sizeof *pixels);
    float *others = f ? cli_array((m ? m : 1) * s.dims, sizeof *others) : pixels;
    brume_neighbour *near = cli_array(n * k, sizeof *near),
                    *near_others = malloc((size_t)(m ? m : 1) * sizeof *near_others);
    if (!queries || !pixels || !others || !near || !near_others) st = no_memory();
    if (st == BRUME_OK) {
        brume_neighbours_clear(near, n, k);
        brume_neighbours_clear(near_others, m, 1);
        if (f) st = brume_feature_network_run(f, im->x, n, queries);
        else memcpy(queries, im->x, (size_t)(n * s.dims) * sizeof *queries);
    }
    if (st == BRUME_OK && m) st = rows(&s, s.test, 0, m, pixels, others);
    if (st == BRUME_OK) st = look_up(&s, queries, n, others, m, k, near, near_others);
    if (st == BRUME_OK) st = summary(&s, near, n, k, near_others, m, w);
    if (st == BRUME_OK) st = draw(&s, near, n, k, picture);
    if (others != pixels) free(others);
    free(pixels);
    free(queries);
    free(near);
    free(near_others);
    brume_dataset_free(s.train);
    brume_dataset_free(s.test);
    return st;
}
