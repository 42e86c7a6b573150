/* SPDX-License-Identifier: MIT
 * What a kind of data set implements. */
#ifndef BRUME_DATA_DATASET_H
#define BRUME_DATA_DATASET_H

#include "brume/data.h"

struct brume_dataset_kind {
    const char *name;
    /* i is in range; hwc or label may be NULL. */
    brume_status (*get)(const brume_dataset *ds, int64_t i, float *hwc, int32_t *label);
    void (*caption)(const brume_dataset *ds, int64_t i, char *text, size_t bytes);
    const char *(*class_name)(const brume_dataset *ds, int32_t k);
    void (*free)(brume_dataset *ds); /* what state holds, not ds itself */
    brume_status (*check_captions)(const brume_dataset *ds); /* fails where an item has none of its own; NULL: all have */
};

struct brume_dataset {
    const struct brume_dataset_kind *kind;
    int64_t count;
    int32_t height, width, channels, classes;
    void *state;
};

/** Each fills ds->kind and the sizes. Folder kinds set *found to 0, and return BRUME_OK, where none of their files is there. */
brume_status brume_shapes_open(const brume_dataset_options *o, brume_dataset *ds);
brume_status brume_scenes_open(const brume_dataset_options *o, brume_dataset *ds);
/** Names a point set, not a folder. */
brume_status brume_planar_open(const char *name, const brume_dataset_options *o, brume_dataset *ds, int *found);
brume_status brume_idx_open(const char *folder, const brume_dataset_options *o, brume_dataset *ds, int *found);
brume_status brume_cifar_open(const char *folder, const brume_dataset_options *o, brume_dataset *ds, int *found);
brume_status brume_folder_open(const char *folder, const brume_dataset_options *o, brume_dataset *ds, int *found);

#endif
