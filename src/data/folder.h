/* SPDX-License-Identifier: MIT
 * Inside of a folder of pictures: files, classes, captions. */
#ifndef BRUME_DATA_FOLDER_H
#define BRUME_DATA_FOLDER_H

#include "data/captions.h"
#include "data/dataset.h"

struct brume_names {
    char **at;
    int64_t n, cap;
};

struct brume_folder {
    struct brume_names classes, files; /* names of classes; paths of pictures, class by class, each sorted */
    int32_t *labels;
    int64_t cap;
    const char **texts; /* captions that metadata.jsonl gives, NULL for pictures that it does not name; NULL without that file */
    struct brume_captions metadata, label_lines;
};

/* folder_list.c */
brume_status brume_names_add(struct brume_names *list, char *name); /* takes name, which may be NULL: BRUME_E_MEMORY */
void brume_names_clear(struct brume_names *list);
/* All pictures under folder: in its sub-folders, one class each, or in the folder itself as one class. */
brume_status brume_folder_list(struct brume_folder *st, const char *folder);

/* labels.c: captions and classes that the folder's metadata.jsonl, labels.csv and labels.txt give to its pictures. */
brume_status brume_folder_describe(struct brume_folder *st, const char *folder);

#endif
