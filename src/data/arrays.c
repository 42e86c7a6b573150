/* SPDX-License-Identifier: MIT
 * Images in an array: NumPy's .npy files, and tensors "images" and "labels" of a safetensors file. They are read when asked
 * for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/safetensors.h"
#include "data/dataset.h"
#include "io/npy.h"

enum { LOOKED_AT = 64, MAX_SIDE = 65535, MAX_CLASSES = 1 << 20 };
#define MAX_FORTRAN ((int64_t)1 << 29) /* values */

struct arrays {
    char *path;
    struct brume_npy npy;         /* name NULL: safetensors */
    brume_safetensors *file;
    const brume_st_tensor *tensor;
    float *whole;                 /* of an array in Fortran's order: its items lie in pieces */
    int64_t stored;               /* items */
    int32_t height, width, channels;
    int64_t item, row, column, channel; /* steps, in values; item: from one to the next, or values of one where whole is NULL */
    double black, white;          /* as values of the file */
    int32_t *labels;              /* NULL: there are none */
    char (*names)[12];
};

static brume_status read_values(const struct arrays *st, int64_t first, int64_t n, float *out)
{
    return st->tensor ? brume_st_read_f32(st->tensor, first, n, out) : brume_npy_read_f32(&st->npy, first, n, out);
}

static int64_t numel(const struct arrays *st) { return (int64_t)st->height * st->width * st->channels; }

/* The values of item i as the file has them, (H, W, C) or in the order of the file. */
static brume_status read_item(const struct arrays *st, int64_t i, float *out)
{
    if (!st->whole) return read_values(st, i * st->item, st->item, out);
    for (int32_t y = 0; y < st->height; y++)
        for (int32_t x = 0; x < st->width; x++)
            for (int32_t c = 0; c < st->channels; c++)
                *out++ = st->whole[i * st->item + y * st->row + x * st->column + c * st->channel];
    return BRUME_OK;
}

static brume_status picture(const brume_dataset *ds, int64_t i, struct brume_raster *r)
{
    const struct arrays *st = ds->state;
    const int64_t n = numel(st);
    float *v = malloc((size_t)n * sizeof *v);
    if (!v) return brume_fail(BRUME_E_MEMORY, "%s: no memory for an image", st->path);
    brume_status s = read_item(st, i, v);
    const double half = (st->white - st->black) / 2;
    for (int64_t k = 0; s == BRUME_OK && k < n; k++) {
        if (!((double)v[k] >= st->black && (double)v[k] <= st->white))
            s = brume_fail(BRUME_E_FORMAT, "%s: image %lld has a value of %g, expected %g to %g; see --data-range", st->path,
                           (long long)i, (double)v[k], st->black, st->white);
        v[k] = (float)(((double)v[k] - st->black) / half - 1);
    }
    if (s != BRUME_OK) {
        free(v);
        return s;
    }
    *r = (struct brume_raster){ st->height, st->width, st->channels, BRUME_RASTER_F32, v, st->row, st->column, st->channel,
                                NULL,       v };
    if (st->whole) r->row = (int64_t)st->width * st->channels, r->column = st->channels, r->channel = 1;
    return BRUME_OK;
}

static int32_t label(const brume_dataset *ds, int64_t i)
{
    const struct arrays *st = ds->state;
    return st->labels ? st->labels[i] : 0;
}

static const char *class_name(const brume_dataset *ds, int32_t k)
{
    const struct arrays *st = ds->state;
    return st->names ? st->names[k] : "image";
}

static void caption(const brume_dataset *ds, int64_t i, char *text, size_t bytes)
{
    const struct arrays *st = ds->state;
    if (st->labels) snprintf(text, bytes, "number %d", st->labels[i]);
    else snprintf(text, bytes, "image");
}

static void release(brume_dataset *ds)
{
    struct arrays *st = ds->state;
    if (!st) return;
    brume_npy_close(&st->npy);
    brume_safetensors_close(st->file);
    free(st->whole);
    free(st->labels);
    free(st->names);
    free(st->path);
    free(st);
}

static const struct brume_dataset_kind kind = { .name = "arrays", .picture = picture, .label = label, .caption = caption,
                                                .class_name = class_name, .free = release };

static int channels_fit(int64_t c) { return c == 1 || c == 3 || c == 4; }

/* Sizes and steps from a shape (N, H, W), (N, H, W, C) or (N, C, H, W). */
static brume_status take_shape(struct arrays *st, int ndim, const int64_t *d, int fortran)
{
    const int planes = ndim == 4 && !channels_fit(d[3]) && channels_fit(d[1]), y = planes ? 2 : 1, x = y + 1, c = planes ? 1 : 3;
    if ((ndim != 3 && ndim != 4) || (ndim == 4 && !planes && !channels_fit(d[3])))
        return brume_fail(BRUME_E_SHAPE,
                          "%s: images must be (N, H, W), (N, H, W, C) or (N, C, H, W) with C 1, 3 or 4, got %d sizes%s", st->path,
                          ndim, ndim == 4 ? ", none of them such a C" : "");
    if (d[0] < 1 || d[y] < 1 || d[x] < 1 || d[y] > MAX_SIDE || d[x] > MAX_SIDE)
        return brume_fail(BRUME_E_SHAPE, "%s: %lld images of %lld x %lld pixels; expected at least one, of 1 to %d pixels a side",
                          st->path, (long long)d[0], (long long)d[y], (long long)d[x], MAX_SIDE);
    int64_t step[4] = { 1, 1, 1, 1 };
    for (int k = 0; k < ndim; k++) {
        step[k] = 1;
        for (int j = fortran ? 0 : k + 1; j < (fortran ? k : ndim); j++) step[k] *= d[j];
    }
    st->stored = d[0];
    st->height = (int32_t)d[y];
    st->width = (int32_t)d[x];
    st->channels = ndim == 4 ? (int32_t)d[c] : 1;
    st->item = step[0];
    st->row = step[y];
    st->column = step[x];
    st->channel = ndim == 4 ? step[c] : 1;
    return BRUME_OK;
}

/* Black and white of floats that the options leave open: the narrowest usual range that holds the first images. */
static brume_status guess_range(struct arrays *st)
{
    const int64_t n = numel(st);
    float *v = malloc((size_t)n * sizeof *v), least = 0, most = 0;
    brume_status s = v ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "%s: no memory for an image", st->path);
    for (int64_t i = 0; s == BRUME_OK && i < st->stored && i < LOOKED_AT; i++) {
        s = read_item(st, i, v);
        for (int64_t k = 0; s == BRUME_OK && k < n; k++) {
            if (v[k] < least) least = v[k];
            if (v[k] > most) most = v[k];
        }
    }
    free(v);
    st->black = least < 0 ? -1 : 0;
    st->white = most > 1 && least >= 0 ? 255 : 1;
    return s;
}

static brume_status take_range(struct arrays *st, int is_float, int bytes, brume_value_range range)
{
    static const double ends[][2] = { { 0, 0 }, { 0, 1 }, { -1, 1 }, { 0, 255 } };
    if (!is_float) {
        if (bytes > 2)
            return brume_fail(BRUME_E_UNSUPPORTED, "%s: images of integers must have 8 or 16 bits without a sign", st->path);
        st->white = bytes == 1 ? 255 : 65535;
        return BRUME_OK;
    }
    if (range == BRUME_RANGE_AUTO) return guess_range(st);
    st->black = ends[range][0];
    st->white = ends[range][1];
    return BRUME_OK;
}

/* Classes from n labels as integers; takes them. */
static brume_status take_labels(struct arrays *st, brume_dataset *ds, const char *where, int64_t n, const int64_t *labels)
{
    int64_t largest = 0;
    if (n != st->stored)
        return brume_fail(BRUME_E_FORMAT, "%s: %lld labels, expected %lld, as there are images", where, (long long)n,
                          (long long)st->stored);
    for (int64_t i = 0; i < n; i++) {
        if (labels[i] < 0 || labels[i] >= MAX_CLASSES)
            return brume_fail(BRUME_E_FORMAT, "%s: label %lld is %lld, expected 0 to %d", where, (long long)i,
                              (long long)labels[i], MAX_CLASSES - 1);
        if (labels[i] > largest) largest = labels[i];
    }
    st->labels = malloc((size_t)n * sizeof *st->labels);
    st->names = malloc((size_t)(largest + 1) * sizeof *st->names);
    if (!st->labels || !st->names) return brume_fail(BRUME_E_MEMORY, "%s: no memory for %lld labels", where, (long long)n);
    for (int64_t i = 0; i < n; i++) st->labels[i] = (int32_t)labels[i];
    for (int64_t k = 0; k <= largest; k++) snprintf(st->names[k], sizeof *st->names, "%d", (int)k);
    ds->classes = (int32_t)largest + 1;
    return BRUME_OK;
}

/* The file of labels beside one of images: the last "images" of its name is "labels". NULL: there is none. */
static brume_status labels_beside(const char *path, char **labels)
{
    char *other = strdup(path);
    const char *base = brume_path_slash(path);
    char *at = NULL;
    *labels = NULL;
    if (!other) return brume_fail(BRUME_E_MEMORY, "%s: no memory for a path", path);
    for (char *p = other + (base ? base + 1 - path : 0); (p = strstr(p, "images")); p++) at = p;
    if (at) memcpy(at, "labels", 6);
    if (at && brume_is_file(other)) *labels = other;
    else free(other);
    return BRUME_OK;
}

static brume_status read_labels_npy(struct arrays *st, brume_dataset *ds, const char *path)
{
    struct brume_npy a;
    int64_t *v = NULL;
    brume_status s = brume_npy_open(path, &a);
    if (s != BRUME_OK) return s;
    if (a.count != st->stored) s = take_labels(st, ds, path, a.count, NULL);
    else if (!(v = malloc((size_t)a.count * sizeof *v))) s = brume_fail(BRUME_E_MEMORY, "%s: no memory", path);
    if (s == BRUME_OK) s = brume_npy_read_i64(&a, 0, a.count, v);
    if (s == BRUME_OK) s = take_labels(st, ds, path, a.count, v);
    free(v);
    brume_npy_close(&a);
    return s;
}

static brume_status open_npy(struct arrays *st, brume_dataset *ds, const brume_dataset_options *o)
{
    brume_status s = brume_npy_open(st->path, &st->npy);
    if (s != BRUME_OK) return s;
    const struct brume_npy *a = &st->npy;
    s = take_shape(st, a->ndim, a->shape, a->fortran);
    if (s == BRUME_OK && a->kind != 'f' && a->kind != 'u')
        s = brume_fail(BRUME_E_UNSUPPORTED, "%s: images of integers must have 8 or 16 bits without a sign", st->path);
    if (s == BRUME_OK && a->fortran) {
        if (a->count > MAX_FORTRAN)
            return brume_fail(BRUME_E_UNSUPPORTED,
                              "%s: %lld values in Fortran's order must all be in memory; save numpy.ascontiguousarray() of it",
                              st->path, (long long)a->count);
        st->whole = malloc((size_t)a->count * sizeof *st->whole);
        s = st->whole ? brume_npy_read_f32(a, 0, a->count, st->whole)
                      : brume_fail(BRUME_E_MEMORY, "%s: no memory for %lld values", st->path, (long long)a->count);
    }
    if (s == BRUME_OK) s = take_range(st, a->kind == 'f', a->bytes, o->range);
    char *labels = NULL;
    if (s == BRUME_OK) s = labels_beside(st->path, &labels);
    if (labels) s = read_labels_npy(st, ds, labels);
    free(labels);
    return s;
}

static brume_status open_safetensors(struct arrays *st, brume_dataset *ds, const brume_dataset_options *o)
{
    brume_status s = brume_safetensors_open(st->path, &st->file);
    if (s != BRUME_OK) return s;
    const brume_st_tensor *images = brume_safetensors_find(st->file, "images"),
                          *labels = brume_safetensors_find(st->file, "labels");
    if (!images) return brume_fail(BRUME_E_FORMAT, "%s: has no tensor 'images'", st->path);
    const brume_st_dtype t = images->dtype;
    const int is_float = t == BRUME_ST_F32 || t == BRUME_ST_F16 || t == BRUME_ST_BF16 || t == BRUME_ST_F64;
    if (!is_float && t != BRUME_ST_U8 && t != BRUME_ST_U16)
        return brume_fail(BRUME_E_UNSUPPORTED, "%s: 'images' is %s, expected U8, U16 or floats", st->path,
                          brume_st_dtype_name(t));
    st->tensor = images;
    s = take_shape(st, images->ndim, images->shape, 0);
    if (s == BRUME_OK) s = take_range(st, is_float, (int)brume_st_dtype_bytes(t), o->range);
    if (s != BRUME_OK || !labels) return s;
    int64_t *v = malloc((size_t)(labels->count + 1) * sizeof *v);
    s = v ? brume_st_read_i64(labels, 0, labels->count, v) : brume_fail(BRUME_E_MEMORY, "%s: no memory", st->path);
    if (s == BRUME_OK) s = take_labels(st, ds, st->path, labels->count, v);
    free(v);
    return s;
}

static int ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/* The file that `what` is or, as a folder, holds; NULL: neither. */
static brume_status find(const char *what, int test, char **path)
{
    static const char *const names[2][6] = { { "train_images.npy", "train-images.npy", "images.npy", "train.safetensors",
                                               "images.safetensors", NULL },
                                             { "test_images.npy", "test-images.npy", "test.safetensors", NULL } };
    brume_status s = BRUME_OK;
    *path = NULL;
    if (brume_is_file(what) && !ends_with(what, ".npy") && !ends_with(what, ".safetensors")) return BRUME_OK;
    if (brume_is_file(what)) return brume_file_in("", what, path);
    for (int k = 0; names[test][k] && s == BRUME_OK && !*path; k++) s = brume_file_in(what, names[test][k], path);
    return s;
}

brume_status brume_arrays_open(const char *what, const brume_dataset_options *o, brume_dataset *ds, int *found)
{
    char *path;
    const brume_status looked = find(what, o->test != 0, &path);
    *found = path != NULL;
    if (!path) return looked;
    struct arrays *st = calloc(1, sizeof *st);
    if (!st) {
        free(path);
        return brume_fail(BRUME_E_MEMORY, "%s: no memory", what);
    }
    ds->kind = &kind; /* from here on st is freed with ds */
    ds->state = st;
    st->path = path;
    ds->classes = 1;
    const brume_status s = ends_with(path, ".npy") ? open_npy(st, ds, o) : open_safetensors(st, ds, o);
    if (s != BRUME_OK) return s;
    brume_dataset_take_size(ds, o, st->height, st->width, st->channels);
    ds->count = o->count && o->count < st->stored ? o->count : st->stored;
    return BRUME_OK;
}
