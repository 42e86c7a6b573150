/* SPDX-License-Identifier: MIT
 * What a kind of data set implements. */
#ifndef BRUME_DATA_DATASET_H
#define BRUME_DATA_DATASET_H

#include "brume/data.h"
#include "data/bad_files.h"
#include "data/decoded.h"
#include "io/raster.h"

/* i is in range. A kind has get, or picture and label. */
struct brume_dataset_kind {
    const char *name;
    /* Draws an item in the set's own size; hwc or label may be NULL. */
    brume_status (*get)(const brume_dataset *ds, int64_t i, float *hwc, int32_t *label);
    void (*caption)(const brume_dataset *ds, int64_t i, char *text, size_t bytes);
    const char *(*class_name)(const brume_dataset *ds, int32_t k);
    void (*free)(brume_dataset *ds); /* what state holds, not ds itself */
    brume_status (*check_captions)(const brume_dataset *ds); /* fails where an item has none of its own; NULL: all have */
    /* The picture of an item as it is stored. */
    brume_status (*picture)(const brume_dataset *ds, int64_t i, struct brume_raster *r);
    int32_t (*label)(const brume_dataset *ds, int64_t i);
    const char *(*path)(const brume_dataset *ds, int64_t i); /* the file of an item; NULL: items have no files of their own */
};

struct brume_dataset {
    const struct brume_dataset_kind *kind;
    int64_t count;
    int32_t height, width, channels, classes;
    void *state;
    /* of all kinds, set by brume_dataset_open() */
    brume_crop crop;
    int flip, threads;
    struct brume_bad_files *bad;   /* NULL: a bad file is an error */
    struct brume_decoded *decoded; /* NULL: nothing is kept */
};

/* How an item is looked at. */
struct brume_view {
    struct brume_window window;
    int flip;
};

/** Each fills ds->kind and the sizes. Folder kinds set *found to 0, and return BRUME_OK, where none of their files is there. */
brume_status brume_shapes_open(const brume_dataset_options *o, brume_dataset *ds);
brume_status brume_scenes_open(const brume_dataset_options *o, brume_dataset *ds);
/** Names a point set, not a folder. */
brume_status brume_planar_open(const char *name, const brume_dataset_options *o, brume_dataset *ds, int *found);
brume_status brume_idx_open(const char *folder, const brume_dataset_options *o, brume_dataset *ds, int *found);
brume_status brume_cifar_open(const char *folder, const brume_dataset_options *o, brume_dataset *ds, int *found);
brume_status brume_folder_open(const char *folder, const brume_dataset_options *o, brume_dataset *ds, int *found);
/** what: a folder or a .npy or .safetensors file. */
brume_status brume_arrays_open(const char *what, const brume_dataset_options *o, brume_dataset *ds, int *found);

/** Sets height, width and channels of a set whose pictures all have these: its own, or those that the options insist on. */
void brume_dataset_take_size(brume_dataset *ds, const brume_dataset_options *o, int32_t height, int32_t width, int32_t channels);
/** The picture of item i itself, good or bad. */
brume_status brume_dataset_read_file(const brume_dataset *ds, int64_t i, float *hwc);
/** Item i, or the one that stands for it where its file is bad. hwc or label may be NULL. */
brume_status brume_dataset_view(const brume_dataset *ds, int64_t i, const struct brume_view *view, float *hwc, int32_t *label);

#endif
