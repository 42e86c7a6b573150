/* SPDX-License-Identifier: MIT
 * Data sets: numbered pictures with labels and captions, and the order in which training sees them.
 * Item i is a pure function of the data set and i, and the order one of (seed, position): a run can stop and go on anywhere. */
#ifndef BRUME_DATA_H
#define BRUME_DATA_H

#include <stddef.h>
#include <stdint.h>

#include "brume/api.h"
#include "brume/status.h"

BRUME_API_BEGIN

/** An open data set; read-only, so that several loaders and threads may use it. */
typedef struct brume_dataset brume_dataset;

/** What of a picture is seen: the middle; or, for training, a part of 0.8 to 1 of the largest that fits, anywhere (as Dhariwal &
 * Nichol 2021 crop). */
typedef enum brume_crop { BRUME_CROP_CENTER = 0, BRUME_CROP_RANDOM } brume_crop;
/** A picture that cannot be read is an error, or is left out (found when the set is opened) or replaced by the next good one
 * (found later). */
typedef enum brume_bad_files_policy { BRUME_BAD_FILES_FAIL = 0, BRUME_BAD_FILES_SKIP } brume_bad_files_policy;
/**
 * Whether pictures that were read and brought to size are kept: in memory; not at all; or in a file of the cache folder (part
 * data, see brume devices), for which all of them are read when the set is first opened, and whenever a picture's file has
 * changed or that file is damaged. Random crops need pictures whole: those are read again each time.
 */
typedef enum brume_data_cache { BRUME_DATA_CACHE_MEMORY = 0, BRUME_DATA_CACHE_OFF, BRUME_DATA_CACHE_DISK } brume_data_cache;
/** What black and white are in arrays of floats: as the first 64 images suggest; 0 and 1; -1 and 1; 0 and 255. */
typedef enum brume_value_range { BRUME_RANGE_AUTO = 0, BRUME_RANGE_UNIT, BRUME_RANGE_SIGNED, BRUME_RANGE_BYTE } brume_value_range;

enum { BRUME_INSIST_SIZE = 1, BRUME_INSIST_CHANNELS = 2 };

/** What is read of a data set, and how; { 0 } takes it as it is. */
typedef struct brume_dataset_options {
    int test;          /* 1: the held-out part (t10k of MNIST; other items of "shapes") */
    int32_t size;      /* height and width, 8 .. 1024 (shapes-text: from 16). shapes: 0 = 32;  folders of pictures: 0 = as the
                          first picture */
    int32_t channels;  /* shapes: 1 or 3, folders of pictures: 1, 3 or 4; 0 = 3 */
    int64_t count;     /* shapes, shapes-text and points: items, 0 = 8192, 32768 and 16384;  others: use the first count items, 0
                          = all */
    uint64_t seed;     /* shapes and points: another seed, other pictures */
    int32_t width;     /* if it is not size, which is the height then; 0 = as size. Not for what brume draws itself */
    unsigned insist;   /* BRUME_INSIST_...: hold for IDX, CIFAR and arrays as well, whose pictures are taken as they are
                          otherwise */
    int coarse;        /* CIFAR-100: 1 = its 20 coarse classes instead of the 100 fine ones */
    brume_value_range range;          /* of arrays of floats */
    brume_crop crop;                  /* by loaders: brume_dataset_get() gives the middle always */
    int flip;                         /* 1: loaders mirror every other picture from left to right, by chance */
    brume_bad_files_policy bad_files; /* of folders of pictures */
    brume_data_cache cache;           /* of folders of pictures */
    uint64_t cache_bytes;             /* of memory, 0 = 256 MiB; what comes later is read again */
    int threads;                      /* that loaders prepare batches with: 0 = one;  -1 = none, batches are read when they are
                                         asked for */
} brume_dataset_options;

/**
 * Opens a data set; options may be NULL. what is
 * - "shapes", drawn by brume itself: 6 shapes, 8 colours, anywhere, on varied backgrounds;
 * - "shapes-text", likewise, for models that are told what to draw: one or two figures, 5 shapes, 8 colours, 2 sizes, with
 *   captions such as "a small red circle left of a blue square". Two colours of each shape occur in the test part alone, which
 *   has no others: red and blue circles, blue and yellow squares, yellow and pink triangles, pink and cyan crosses, cyan and
 *   orange rings;
 * - a distribution of points of the plane (brume_planar_name(): images of 1 x 1 pixel, channels (x, y));
 * - an array: a .npy file (versions 1 to 3; u1, u2, f2, f4, f8 of either byte order, C or Fortran order) with labels (integers)
 *   in the file that is called "labels" where it is called "images", if there is one; or a .safetensors file with tensors
 *   "images" and, optionally, "labels". Shapes (N, H, W), (N, H, W, C) or (N, C, H, W) with C 1, 3 or 4;
 * - or a folder, which is recognised by its files: arrays called images.npy, images.safetensors, train.safetensors or
 *   train_images.npy (test part: test...), MNIST's IDX files, CIFAR-10's or CIFAR-100's binary batches (all three also with .gz),
 *   or pictures (PNG, JPEG, GIF, PGM, PPM) in one sub-folder per class; with sub-folders "train" and "test" these are the two
 *   parts. A caption is the first line of a text file beside its picture (cat1.txt beside cat1.png), or a line {"file_name":
 *   "cat1.png", "text": "a black cat"} of the folder's metadata.jsonl. Classes other than the sub-folders are given as "label" in
 *   these lines, or by labels.csv (lines "cat1.png,cat") or labels.txt ("cat1.png cat").
 * The message of an error says what was looked for; a bad line of these files, one for a picture that is not there, and a second
 * one for the same picture are BRUME_E_FORMAT with the line's number. Opening reads the first bytes of every picture, no more:
 * see brume_dataset_bad().
 */
brume_status brume_dataset_open(const char *what, const brume_dataset_options *options, brume_dataset **out);
/** Names of the built-in distributions of points: "moons", "swiss-roll", "gaussians", ...: i = 0, 1, ... until NULL. */
const char *brume_planar_name(int i);
/** Frees it; NULL is fine. */
void brume_dataset_free(brume_dataset *ds);

/** Number of items. */
int64_t brume_dataset_count(const brume_dataset *ds);
/** Rows of every item. */
int32_t brume_dataset_height(const brume_dataset *ds);
/** Columns of every item. */
int32_t brume_dataset_width(const brume_dataset *ds);
/** Channels of every item: 1, 3 or 4; 2 of points. */
int32_t brume_dataset_channels(const brume_dataset *ds);
/** Number of classes; 1 where nothing tells items apart. */
int32_t brume_dataset_classes(const brume_dataset *ds);
/** "shapes", "mnist" (IDX), ... */
const char *brume_dataset_kind(const brume_dataset *ds);
/** Name of class 0 .. classes - 1, else "". */
const char *brume_dataset_class_name(const brume_dataset *ds, int32_t k);

/** Item i (0 .. count - 1) as (H, W, C) f32 in [-1, 1], and its class; either may be NULL. May be called from several threads. */
brume_status brume_dataset_get(const brume_dataset *ds, int64_t i, float *hwc, int32_t *label);
/**
 * A description of item i, "a small red circle at the top left", cut to bytes - 1. Pictures in folders that have none are
 * described by the name of their class. May be called from several threads.
 */
brume_status brume_dataset_caption(const brume_dataset *ds, int64_t i, char *text, size_t bytes);

/** What an item is before it is brought to size. */
typedef struct brume_item_info {
    int32_t height, width, channels, label; /**< as its file has them; its class */
    int bits;          /**< 8 or 16; 32: floats */
    const char *path;  /**< its file; NULL: it has none of its own */
} brume_item_info;
/** Reads item i and tells; an error is that of reading it, whatever the options say of bad files. path and label are set all the
 * same. */
brume_status brume_dataset_look(const brume_dataset *ds, int64_t i, brume_item_info *info);
/**
 * With BRUME_BAD_FILES_SKIP: how many files have been found bad, and what of file k = 0, 1, ... ("path: reason"; owned by the
 * set; NULL: there are no more). What is found when the set is opened (no picture by its first bytes) is no item; of what is
 * found later the next good item takes the place, with label and caption, so that what item i is depends on the files alone.
 */
int64_t brume_dataset_bad_count(const brume_dataset *ds);
const char *brume_dataset_bad(const brume_dataset *ds, int64_t k);
/** Do loaders change items at random (options crop, flip)? */
int brume_dataset_augments(const brume_dataset *ds);

/** BRUME_OK if every item has a caption, or all are described by their class; else BRUME_E_FORMAT with the number and the first
 * of those that have none. */
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
/**
 * Items at positions first .. first + n - 1: images (n, H, W, C), labels and indices (n); any of the three may be NULL. What of a
 * picture is seen and whether it is mirrored depends on (seed, item, epoch) alone.
 */
brume_status brume_loader_read(brume_loader *l, int64_t first, int64_t n, float *images, int64_t *labels, int64_t *indices);
/**
 * From now on a thread prepares the next two batches of images while the caller works: after positions first .. first + n - 1
 * those of the next 2 n. The numbers are the same as without; reading elsewhere works, and waits. Errors come with the batch that
 * they belong to. Does nothing where the set's options say so. The loader stays one caller's at a time.
 */
brume_status brume_loader_ahead(brume_loader *l);
/**
 * Tells, before the first read, that several readers share the sequence: of every `every` positions this one takes a run of
 * `share`, which divides both `every` and the first of them. What is prepared ahead is then what it will ask for.
 */
void brume_loader_share(brume_loader *l, int64_t share, int64_t every);
/** Seconds that brume_loader_read() has taken so far: with brume_loader_ahead() the time that callers waited for the thread. */
double brume_loader_waited(const brume_loader *l);

BRUME_API_END

#endif
