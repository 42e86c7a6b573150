/* SPDX-License-Identifier: MIT
 * Data sets: numbered pictures with labels and captions, and the order in which training sees them.
 * Item i is a pure function of the data set and i, and the order one of (seed, position): a run can stop and go on anywhere. */
#ifndef BRUME_DATA_H
#define BRUME_DATA_H

#include <stddef.h>
#include <stdint.h>

#include "brume/status.h"

typedef struct brume_dataset brume_dataset;

typedef struct brume_dataset_options {
    int test;          /* 1: the held-out part (t10k of MNIST; other items of "shapes") */
    int32_t size;      /* height and width, 8 .. 1024 (shapes-text: from 16). shapes: 0 = 32;  folders of pictures: 0 = as the first picture */
    int32_t channels;  /* shapes and folders of pictures: 1 or 3, 0 = 3 */
    int64_t count;     /* shapes, shapes-text and points: items, 0 = 8192, 32768 and 16384;  others: use the first count items, 0 = all */
    uint64_t seed;     /* shapes and points: another seed, other pictures */
} brume_dataset_options;

/**
 * Opens a data set; options may be NULL. what is
 * - "shapes", drawn by brume itself: 6 shapes, 8 colours, anywhere, on varied backgrounds;
 * - "shapes-text", likewise, for models that are told what to draw: one or two figures, 5 shapes, 8 colours, 2 sizes, with captions such as
 *   "a small red circle left of a blue square". Two colours of each shape occur in the test part alone, which has no others: red and blue circles,
 *   blue and yellow squares, yellow and pink triangles, pink and cyan crosses, cyan and orange rings;
 * - a distribution of points of the plane (brume_planar_name(): images of 1 x 1 pixel, channels (x, y));
 * - or a folder, which is recognised by its files: MNIST's IDX files, CIFAR-10's binary batches (both also with .gz), or pictures (PNG, JPEG) in
 *   one sub-folder per class; with sub-folders "train" and "test" these are the two parts. A caption is the first line of a text file beside its
 *   picture (cat1.txt beside cat1.png), or a line {"file_name": "cat1.png", "text": "a black cat"} of the folder's metadata.jsonl.
 * The message of an error says what was looked for; a bad line of metadata.jsonl, one for a picture that is not there, and a second one for
 * the same picture are BRUME_E_FORMAT with the line's number.
 */
brume_status brume_dataset_open(const char *what, const brume_dataset_options *options, brume_dataset **out);
/** Names of the built-in distributions of points: "moons", "swiss-roll", "gaussians", ...: i = 0, 1, ... until NULL. */
const char *brume_planar_name(int i);
/** Frees it; NULL is fine. */
void brume_dataset_free(brume_dataset *ds);

int64_t brume_dataset_count(const brume_dataset *ds);
int32_t brume_dataset_height(const brume_dataset *ds);
int32_t brume_dataset_width(const brume_dataset *ds);
int32_t brume_dataset_channels(const brume_dataset *ds);
int32_t brume_dataset_classes(const brume_dataset *ds);
/** "shapes", "mnist" (IDX), ... */
const char *brume_dataset_kind(const brume_dataset *ds);
/** Name of class 0 .. classes - 1, else "". */
const char *brume_dataset_class_name(const brume_dataset *ds, int32_t k);

/** Item i (0 .. count - 1) as (H, W, C) f32 in [-1, 1], and its class; either may be NULL. May be called from several threads. */
brume_status brume_dataset_get(const brume_dataset *ds, int64_t i, float *hwc, int32_t *label);
/**
 * A description of item i, "a small red circle at the top left", cut to bytes - 1. Pictures in folders that have none are described by the
 * name of their class. May be called from several threads.
 */
brume_status brume_dataset_caption(const brume_dataset *ds, int64_t i, char *text, size_t bytes);
/** BRUME_OK if every item has a caption, or all are described by their class; else BRUME_E_FORMAT with the number and the first of those that have none. */
brume_status brume_dataset_check_captions(const brume_dataset *ds);

/**
 * The endless shuffled sequence of a data set: positions e count .. (e + 1) count - 1 are a permutation (Fisher-Yates) that
 * depends on (seed, e) alone. Batch k of size B are the positions k B .. k B + B - 1; a batch may lie in two epochs.
 */
typedef struct brume_loader brume_loader;

/** ds must outlive the loader. */
brume_status brume_loader_new(const brume_dataset *ds, uint64_t seed, brume_loader **out);
void brume_loader_free(brume_loader *l);
/** Item number at a position >= 0. */
brume_status brume_loader_index(brume_loader *l, int64_t position, int64_t *index);
/** Items at positions first .. first + n - 1: images (n, H, W, C), labels and indices (n); any of the three may be NULL. */
brume_status brume_loader_read(brume_loader *l, int64_t first, int64_t n, float *images, int64_t *labels, int64_t *indices);

#endif
