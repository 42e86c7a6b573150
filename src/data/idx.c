/* SPDX-License-Identifier: MIT
 * IDX files (yann.lecun.com/exdb/mnist): pictures and labels of MNIST and its relatives, compressed or not. */
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "data/dataset.h"
#include "data/packed.h"

struct idx {
    uint8_t *pixels, *labels; /* whole files */
    const uint8_t *first_pixel, *first_label;
    int32_t height, width;
    char names[256][12];
};

static uint32_t be32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

enum { MAX_HEAD = 16 };

/* What the header says: sizes, and their product. Before anything else is read, so that no size asks for memory that the file
 * does not fill. */
static brume_status read_head(const char *path, int ndim, const char *holds, uint32_t dims[4], uint64_t *want)
{
    uint8_t p[MAX_HEAD];
    size_t n;
    const size_t head = 4 + 4 * (size_t)ndim;
    const brume_status s = brume_packed_head(path, p, head, &n);
    if (s != BRUME_OK) return s;
    if (n < head)
        return brume_fail(BRUME_E_FORMAT, "%s: cut short: %zu bytes, expected at least %zu of an IDX header", path, n, head);
    if (be32(p) != 0x0800u + (unsigned)ndim)
        return brume_fail(BRUME_E_FORMAT, "%s: begins with %08x, expected %08x (IDX, %s)", path, be32(p),
                          0x0800u + (unsigned)ndim, holds);
    int overflow = 0;
    *want = 1;
    for (int i = 0; i < ndim; i++) {
        dims[i] = be32(p + 4 + 4 * i);
        overflow |= __builtin_mul_overflow(*want, (uint64_t)dims[i], want);
        if (!dims[i]) return brume_fail(BRUME_E_FORMAT, "%s: size %d of its IDX header is 0", path, i);
    }
    if (overflow || *want > BRUME_PACKED_MOST - head)
        return brume_fail(BRUME_E_UNSUPPORTED, "%s: its IDX header tells of %u x %u x %u %s, expected at most %zu", path, dims[0],
                          dims[1], dims[2], holds, BRUME_PACKED_MOST - head);
    return BRUME_OK;
}

/* Reads a file of unsigned bytes with ndim (at most 3; the rest of dims stays 1) sizes. */
static brume_status read_idx(const char *path, int ndim, const char *holds, uint8_t **out, uint32_t dims[4])
{
    const size_t head = 4 + 4 * (size_t)ndim;
    uint64_t want = 0;
    size_t n;
    int cut;
    brume_status s = read_head(path, ndim, holds, dims, &want);
    if (s == BRUME_OK) s = brume_packed_read(path, head + (size_t)want, out, &n, &cut);
    if (s != BRUME_OK) return s;
    if (n > head + want)
        return brume_fail(BRUME_E_FORMAT, "%s: more bytes of %s than the %llu that its header tells of", path, holds,
                          (unsigned long long)want);
    if (n < head + want || cut)
        return brume_fail(BRUME_E_FORMAT, "%s: %s%zu bytes of %s, expected %llu", path, cut ? "cut short: " : "",
                          n < head ? 0 : n - head, holds, (unsigned long long)want);
    return BRUME_OK;
}

static brume_status picture(const brume_dataset *ds, int64_t i, struct brume_raster *r)
{
    const struct idx *st = ds->state;
    *r = (struct brume_raster){
        st->height, st->width, 1, BRUME_RASTER_U8, st->first_pixel + i * st->height * st->width, st->width, 1, 1, NULL, NULL
    };
    return BRUME_OK;
}

static int32_t label(const brume_dataset *ds, int64_t i) { return ((const struct idx *)ds->state)->first_label[i]; }

static void caption(const brume_dataset *ds, int64_t i, char *text, size_t bytes)
{
    const struct idx *st = ds->state;
    snprintf(text, bytes, "number %d", st->first_label[i]); /* a digit in MNIST, a kind of clothes in Fashion-MNIST */
}

static const char *class_name(const brume_dataset *ds, int32_t k) { return ((const struct idx *)ds->state)->names[k]; }

static void release(brume_dataset *ds)
{
    struct idx *st = ds->state;
    if (!st) return;
    free(st->pixels);
    free(st->labels);
    free(st);
}

static const struct brume_dataset_kind kind = { .name = "idx", .picture = picture, .label = label, .caption = caption,
                                                .class_name = class_name, .free = release };

/* The file of a part ("train", "t10k"): "train-images-idx3-ubyte", also with a '.' before idx as some archives unpack it. */
static brume_status find(const char *folder, const char *part, const char *what, int ndim, char **path)
{
    char name[64];
    brume_status s = BRUME_OK;
    *path = NULL;
    for (int dot = 0; dot < 2 && s == BRUME_OK && !*path; dot++) {
        snprintf(name, sizeof name, "%s-%s%cidx%d-ubyte", part, what, dot ? '.' : '-', ndim);
        s = brume_packed_find(folder, name, path);
    }
    return s;
}

brume_status brume_idx_open(const char *folder, const brume_dataset_options *o, brume_dataset *ds, int *found)
{
    const char *part = o->test ? "t10k" : "train";
    uint32_t dims[4] = { 1, 1, 1, 1 }, n_labels[4] = { 1, 1, 1, 1 };
    char *images, *labels = NULL;
    struct idx *st = NULL;
    brume_status s = find(folder, part, "images", 3, &images);
    if (s == BRUME_OK) s = find(folder, part, "labels", 1, &labels);
    *found = images || labels;
    if (s != BRUME_OK || !*found) goto done;
    if (!images || !labels) {
        s = brume_fail(BRUME_E_IO, "%s: has %s, but no %s-%s-ubyte beside it", folder, images ? images : labels, part,
                       images ? "labels-idx1" : "images-idx3");
        goto done;
    }
    if (!(st = calloc(1, sizeof *st))) {
        s = brume_fail(BRUME_E_MEMORY, "%s: no memory", folder);
        goto done;
    }
    ds->kind = &kind; /* from here on st is freed with ds */
    ds->state = st;
    if ((s = read_idx(images, 3, "pixels", &st->pixels, dims)) != BRUME_OK) goto done;
    if ((s = read_idx(labels, 1, "labels", &st->labels, n_labels)) != BRUME_OK) goto done;
    if (dims[0] != n_labels[0]) {
        s = brume_fail(BRUME_E_FORMAT, "%s: %u labels, expected %u, as %s has pictures", labels, n_labels[0], dims[0], images);
        goto done;
    }
    if (dims[1] > 4096 || dims[2] > 4096) {
        s = brume_fail(BRUME_E_UNSUPPORTED, "%s: pictures of %u x %u pixels, expected at most 4096 a side", images, dims[1],
                       dims[2]);
        goto done;
    }
    st->first_pixel = st->pixels + 16;
    st->first_label = st->labels + 8;
    ds->count = o->count && o->count < (int64_t)dims[0] ? o->count : (int64_t)dims[0];
    st->height = (int32_t)dims[1];
    st->width = (int32_t)dims[2];
    brume_dataset_take_size(ds, o, st->height, st->width, 1);
    for (uint32_t i = 0; i < dims[0]; i++) /* over all: the number of classes must not depend on how many items are used */
        if (st->first_label[i] >= ds->classes) ds->classes = st->first_label[i] + 1;
    for (int k = 0; k < 256; k++) snprintf(st->names[k], sizeof st->names[k], "%d", k);
done:
    free(images);
    free(labels);
    return s;
}
