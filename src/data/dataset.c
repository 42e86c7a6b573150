/* SPDX-License-Identifier: MIT
 * Opening a data set by name or by what a folder holds, and the checks that all kinds share. */
#include "data/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"

void brume_dataset_take_size(brume_dataset *ds, const brume_dataset_options *o, int32_t height, int32_t width, int32_t channels)
{
    const int resize = (o->insist & BRUME_INSIST_SIZE) && o->size;
    ds->height = resize ? o->size : height;
    ds->width = resize ? o->width ? o->width : o->size : width;
    ds->channels = (o->insist & BRUME_INSIST_CHANNELS) && o->channels ? o->channels : channels;
}

static brume_status open_folder(const char *what, const brume_dataset_options *o, brume_dataset *ds)
{
    int found = 0;
    brume_status s = brume_planar_open(what, o, ds, &found);
    if (s == BRUME_OK && !found) s = brume_arrays_open(what, o, ds, &found);
    if (s != BRUME_OK || found) return s;
    if (!brume_is_folder(what)) {
        char known[200] = "shapes, shapes-text";
        for (int i = 0; brume_planar_name(i); i++)
            snprintf(known + strlen(known), sizeof known - strlen(known), ", %s", brume_planar_name(i));
        return brume_fail(BRUME_E_IO, "data set '%s': no such folder or array, and no built-in set of that name; built-in are %s",
                          what, known);
    }
    s = brume_idx_open(what, o, ds, &found);
    if (s == BRUME_OK && !found) s = brume_cifar_open(what, o, ds, &found);
    if (s == BRUME_OK && !found) s = brume_folder_open(what, o, ds, &found);
    if (s != BRUME_OK || found) return s;
    const char *idx = o->test ? "t10k" : "train", *part = o->test ? "test" : "train";
    return brume_fail(BRUME_E_FORMAT,
                      "data set '%s': the folder holds nothing known; looked for %s-images-idx3-ubyte and %s-labels-idx1-ubyte "
                      "(MNIST), for %s (CIFAR-10 binary) and %s.bin (CIFAR-100), each also with .gz, for %s_images.npy and "
                      "%s.safetensors, and for .png, .jpg, .gif, .pgm and .ppm files in sub-folders (one per class)",
                      what, idx, idx, o->test ? "test_batch.bin" : "data_batch_1.bin ...", part, part, part);
}

static brume_status check_options(const char *what, const brume_dataset_options *o)
{
    const int insists = o->insist & BRUME_INSIST_SIZE;
    if (o->count < 0) return brume_fail(BRUME_E_ARG, "data set '%s': a count of %lld items", what, (long long)o->count);
    if (insists && o->size && (o->size < 1 || o->size > 4096))
        return brume_fail(BRUME_E_ARG, "data set '%s': a size of %d, expected 1 to 4096 pixels", what, o->size);
    if ((o->insist & BRUME_INSIST_CHANNELS) && o->channels && o->channels != 1 && o->channels != 3 && o->channels != 4)
        return brume_fail(BRUME_E_ARG, "data set '%s': %d channels, expected 1, 3 or 4", what, o->channels);
    if (o->width && (o->width < 8 || o->width > 1024 || !o->size))
        return brume_fail(BRUME_E_ARG, "data set '%s': a width of %d, expected 8 to 1024 pixels, and a height with it", what,
                          o->width);
    if ((unsigned)o->crop > BRUME_CROP_RANDOM || (unsigned)o->bad_files > BRUME_BAD_FILES_SKIP ||
        (unsigned)o->cache > BRUME_DATA_CACHE_DISK || (unsigned)o->range > BRUME_RANGE_BYTE || o->threads < -1)
        return brume_fail(BRUME_E_ARG,
                          "data set '%s': an unknown way to crop, to treat bad files, to keep pictures or to read values", what);
    return BRUME_OK;
}

/* What all kinds have in common, once the set is there. */
static brume_status finish(const char *what, const brume_dataset_options *o, brume_dataset *ds)
{
    const uint64_t limit = o->cache_bytes ? o->cache_bytes : (uint64_t)256 << 20;
    ds->crop = o->crop;
    ds->flip = o->flip;
    ds->threads = o->threads;
    if (o->width && ds->kind->get && ds->width != o->width)
        return brume_fail(BRUME_E_ARG, "data set '%s' is drawn in squares; give one --size", ds->kind->name);
    if (o->flip && !strcmp(ds->kind->name, "shapes-text"))
        return brume_fail(BRUME_E_ARG, "data set 'shapes-text': its captions tell left from right, which a flip would swap");
    if (!ds->kind->path) return BRUME_OK; /* what is in memory anyway needs no cache and has no bad files */
    brume_status s = ds->bad ? brume_bad_files_items(ds->bad, ds->count) : BRUME_OK;
    const int64_t values = (int64_t)ds->height * ds->width * ds->channels;
    if (s != BRUME_OK || o->cache == BRUME_DATA_CACHE_OFF) return s;
    if (o->cache == BRUME_DATA_CACHE_DISK && o->crop != BRUME_CROP_CENTER)
        return brume_fail(BRUME_E_ARG,
                          "data set '%s': random crops need whole pictures, the disk keeps those brought to size; take --crop "
                          "center or --data-cache off",
                          what);
    if (o->cache == BRUME_DATA_CACHE_DISK) return brume_decoded_open(ds, &ds->decoded);
    return o->crop == BRUME_CROP_CENTER ? brume_decoded_new(ds->count, values, limit, &ds->decoded) : BRUME_OK;
}

brume_status brume_dataset_open(const char *what, const brume_dataset_options *options, brume_dataset **out)
{
    const brume_dataset_options none = { 0 }, *o = options ? options : &none;
    *out = NULL;
    brume_status s = check_options(what, o);
    if (s != BRUME_OK) return s;
    brume_dataset *ds = calloc(1, sizeof *ds);
    if (!ds) return brume_fail(BRUME_E_MEMORY, "data set '%s': no memory", what);
    s = !strcmp(what, "shapes")        ? brume_shapes_open(o, ds)
        : !strcmp(what, "shapes-text") ? brume_scenes_open(o, ds)
                                       : open_folder(what, o, ds);
    if (s == BRUME_OK) s = finish(what, o, ds);
    if (s != BRUME_OK) {
        brume_dataset_free(ds);
        return s;
    }
    *out = ds;
    return BRUME_OK;
}

void brume_dataset_free(brume_dataset *ds)
{
    if (!ds) return;
    if (ds->kind && ds->kind->free) ds->kind->free(ds);
    brume_bad_files_free(ds->bad);
    brume_decoded_free(ds->decoded);
    free(ds);
}

int64_t brume_dataset_count(const brume_dataset *ds) { return ds->count; }
int32_t brume_dataset_height(const brume_dataset *ds) { return ds->height; }
int32_t brume_dataset_width(const brume_dataset *ds) { return ds->width; }
int32_t brume_dataset_channels(const brume_dataset *ds) { return ds->channels; }
int32_t brume_dataset_classes(const brume_dataset *ds) { return ds->classes; }
const char *brume_dataset_kind(const brume_dataset *ds) { return ds->kind->name; }

const char *brume_dataset_class_name(const brume_dataset *ds, int32_t k)
{
    return k >= 0 && k < ds->classes ? ds->kind->class_name(ds, k) : "";
}

brume_status brume_dataset_check_captions(const brume_dataset *ds)
{
    return ds->kind->check_captions ? ds->kind->check_captions(ds) : BRUME_OK;
}

int brume_dataset_augments(const brume_dataset *ds) { return ds->flip || (ds->crop == BRUME_CROP_RANDOM && ds->kind->picture); }

int64_t brume_dataset_bad_count(const brume_dataset *ds) { return ds->bad ? brume_bad_files_count(ds->bad) : 0; }
const char *brume_dataset_bad(const brume_dataset *ds, int64_t k) { return ds->bad ? brume_bad_files_at(ds->bad, k) : NULL; }
