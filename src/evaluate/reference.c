/* SPDX-License-Identifier: MIT
 * Features of data sets, kept in files: computing them takes longer than everything else of an evaluation. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cache_folder.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/hash.h"
#include "brume/evaluate.h"
#include "brume/safetensors.h"

enum { PART = 64 }; /* images at once */

struct work {
    brume_reference *r;
    brume_feature_network *f;
    brume_loader *loader;
    int64_t values;   /* of an image */
    float *images;    /* PART */
    char data[20], network[20];
    void (*step)(void *ctx, int64_t done, int64_t n);
    void *ctx;
};

void brume_reference_free(brume_reference *r)
{
    if (!r) return;
    free(r->features);
    free(r->items);
    free(r->path);
    free(r);
}

static int64_t part_at(const struct work *w, int64_t i) { return w->r->n - i < PART ? w->r->n - i : PART; }

static brume_status fingerprint(struct work *w)
{
    brume_status s = BRUME_OK;
    uint64_t h = brume_fnv1a("images", 6);
    for (int64_t i = 0; i < w->r->n && s == BRUME_OK; i += PART) {
        s = brume_loader_read(w->loader, i, part_at(w, i), w->images, NULL, w->r->items + i);
        if (s == BRUME_OK) h = brume_hash_values(h, w->images, (size_t)(part_at(w, i) * w->values), sizeof *w->images);
    }
    const int64_t sizes[] = { w->r->n, w->values };
    w->r->data = brume_hash_values(h, sizes, 2, sizeof *sizes);
    snprintf(w->data, sizeof w->data, "%016" PRIx64, w->r->data);
    snprintf(w->network, sizeof w->network, "%016" PRIx64, brume_feature_network_fingerprint(w->f));
    return s;
}

static void checksum(const brume_reference *r, char text[20])
{
    snprintf(text, 20, "%016" PRIx64,
             brume_hash_values(brume_fnv1a("features", 8), r->features, (size_t)(r->n * r->dims), sizeof *r->features));
}

static int says(const brume_safetensors *f, const char *key, const char *want)
{
    const char *got = brume_safetensors_metadata(f, key);
    return got && !strcmp(got, want);
}

/* The file's features if they are whole. */
static int read_features(const struct work *w, const brume_safetensors *f)
{
    const brume_st_tensor *t = brume_safetensors_find(f, "features");
    char sum[20];
    if (!t || t->ndim != 2 || t->shape[0] != w->r->n || t->shape[1] != w->r->dims || t->dtype != BRUME_ST_F32) return 0;
    if (brume_st_read_f32(t, 0, t->count, w->r->features) != BRUME_OK) return 0;
    checksum(w->r, sum);
    return says(f, "checksum", sum);
}

/* from: what became of the file. A file that somebody named is overwritten only where it is this one, damaged. */
static brume_status find(const struct work *w, int named)
{
    brume_safetensors *f = NULL;
    if (!w->r->path || !brume_is_file(w->r->path)) return BRUME_OK;
    const brume_status s = brume_safetensors_open(w->r->path, &f);
    const int ours = s == BRUME_OK && says(f, "brume", "features"),
              same = ours && says(f, "data", w->data) && says(f, "network", w->network);
    w->r->from = same && read_features(w, f) ? BRUME_REFERENCE_READ : BRUME_REFERENCE_MENDED;
    brume_safetensors_close(f);
    if (!named || same) return BRUME_OK;
    return ours ? brume_fail(BRUME_E_ARG,
                             "%s: holds the features of other images or by another network; name another file, or delete it",
                             w->r->path)
                : brume_fail(BRUME_E_ARG, "%s: is no file of features that brume wrote; name another file", w->r->path);
}

static brume_status compute(struct work *w)
{
    brume_status s = BRUME_OK;
    for (int64_t i = 0; i < w->r->n && s == BRUME_OK; i += PART) {
        s = brume_loader_read(w->loader, i, part_at(w, i), w->images, NULL, NULL);
        if (s == BRUME_OK) s = brume_feature_network_run(w->f, w->images, part_at(w, i), w->r->features + i * w->r->dims);
        if (s == BRUME_OK && w->step) w->step(w->ctx, i + part_at(w, i), w->r->n);
    }
    return s;
}

static brume_status save(const struct work *w)
{
    const int64_t shape[2] = { w->r->n, w->r->dims };
    const brume_st_item item = { "features", BRUME_ST_F32, 2, shape, w->r->features };
    char sum[20];
    checksum(w->r, sum);
    const char *const metadata[] = { "brume", "features", "data", w->data, "network", w->network, "name",
                                     brume_feature_network_name(w->f), "checksum", sum, NULL };
    return brume_safetensors_write(w->r->path, &item, 1, metadata);
}

/* The file's place in the folder of caches; none where there is no such folder. */
static void own_path(struct work *w)
{
    char why[256], leaf[96];
    char *folder = brume_cache_folder("features", why);
    snprintf(leaf, sizeof leaf, "%s-%s-%lld.safetensors", w->data, w->network, (long long)w->r->n);
    if (folder && brume_make_folders(folder) == BRUME_OK) w->r->path = brume_path_join(folder, leaf);
    free(folder);
}

static brume_status fill(struct work *w, const char *file)
{
    brume_status s = fingerprint(w);
    if (s != BRUME_OK) return s;
    if (file) w->r->path = strdup(file);
    else own_path(w);
    if (file && !w->r->path) return brume_fail(BRUME_E_MEMORY, "out of memory for features of a data set");
    s = find(w, file != NULL);
    if (s != BRUME_OK || w->r->from == BRUME_REFERENCE_READ) return s;
    s = compute(w);
    if (s != BRUME_OK || !w->r->path) return s;
    s = save(w);
    if (s == BRUME_OK || file) return s;
    free(w->r->path); /* a full disk costs time only */
    w->r->path = NULL;
    return BRUME_OK;
}

brume_status brume_reference_new(brume_feature_network *f, const brume_dataset *ds, int64_t n, const char *file,
                                 void (*step)(void *ctx, int64_t done, int64_t n), void *ctx, brume_reference **out)
{
    struct work w = { .f = f, .step = step, .ctx = ctx };
    const int64_t all = brume_dataset_count(ds);
    *out = NULL;
    if (n < 0 || n > all)
        return brume_fail(BRUME_E_ARG, "features of a data set: expected 0 (all) to %lld images, got %lld", (long long)all,
                          (long long)n);
    w.values = (int64_t)brume_dataset_height(ds) * brume_dataset_width(ds) * brume_dataset_channels(ds);
    brume_reference *r = w.r = calloc(1, sizeof *r);
    if (r) {
        r->n = n ? n : all;
        r->dims = brume_feature_network_width(f);
        if ((uint64_t)(r->n * r->dims) <= SIZE_MAX / sizeof *r->features) /* which 32 bits may not reach */
            r->features = malloc((size_t)(r->n * r->dims) * sizeof *r->features);
        r->items = malloc((size_t)r->n * sizeof *r->items);
        w.images = malloc((size_t)(PART * w.values) * sizeof *w.images);
    }
    brume_status s = r && r->features && r->items && w.images
                         ? brume_loader_new(ds, 0, &w.loader)
                         : brume_fail(BRUME_E_MEMORY, "out of memory for features of a data set");
    if (s == BRUME_OK) s = fill(&w, file);
    brume_loader_free(w.loader);
    free(w.images);
    if (s != BRUME_OK) brume_reference_free(r);
    else *out = r;
    return s;
}
