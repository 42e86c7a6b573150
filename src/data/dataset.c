/* SPDX-License-Identifier: MIT
 * Opening a data set by name or by what a folder holds, and the checks that all kinds share. */
#include "data/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"

static brume_status open_folder(const char *what, const brume_dataset_options *o, brume_dataset *ds)
{
    int found = 0;
    brume_status s = brume_planar_open(what, o, ds, &found);
    if (s != BRUME_OK || found) return s;
    if (!brume_is_folder(what)) {
        char known[200] = "shapes, shapes-text";
        for (int i = 0; brume_planar_name(i); i++) snprintf(known + strlen(known), sizeof known - strlen(known), ", %s", brume_planar_name(i));
        return brume_fail(BRUME_E_IO, "data set '%s': no such folder, and no built-in set of that name; built-in are %s", what, known);
    }
    s = brume_idx_open(what, o, ds, &found);
    if (s == BRUME_OK && !found) s = brume_cifar_open(what, o, ds, &found);
    if (s == BRUME_OK && !found) s = brume_folder_open(what, o, ds, &found);
    if (s != BRUME_OK || found) return s;
    return brume_fail(BRUME_E_FORMAT,
                      "data set '%s': the folder holds nothing known; looked for %s-images-idx3-ubyte and %s-labels-idx1-ubyte (MNIST), for %s "
                      "(CIFAR-10 binary), each also with .gz, and for .png, .jpg and .jpeg files in sub-folders (one per class)",
                      what, o->test ? "t10k" : "train", o->test ? "t10k" : "train", o->test ? "test_batch.bin" : "data_batch_1.bin ...");
}

brume_status brume_dataset_open(const char *what, const brume_dataset_options *options, brume_dataset **out)
{
    const brume_dataset_options none = { 0 }, *o = options ? options : &none;
    *out = NULL;
    if (o->count < 0) return brume_fail(BRUME_E_ARG, "data set '%s': a count of %lld items", what, (long long)o->count);
    brume_dataset *ds = calloc(1, sizeof *ds);
    if (!ds) return brume_fail(BRUME_E_MEMORY, "data set '%s': no memory", what);
    const brume_status s = !strcmp(what, "shapes") ? brume_shapes_open(o, ds) : !strcmp(what, "shapes-text") ? brume_scenes_open(o, ds) : open_folder(what, o, ds);
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
    free(ds);
}

int64_t brume_dataset_count(const brume_dataset *ds) { return ds->count; }
int32_t brume_dataset_height(const brume_dataset *ds) { return ds->height; }
int32_t brume_dataset_width(const brume_dataset *ds) { return ds->width; }
int32_t brume_dataset_channels(const brume_dataset *ds) { return ds->channels; }
int32_t brume_dataset_classes(const brume_dataset *ds) { return ds->classes; }
const char *brume_dataset_kind(const brume_dataset *ds) { return ds->kind->name; }

const char *brume_dataset_class_name(const brume_dataset *ds, int32_t k) { return k >= 0 && k < ds->classes ? ds->kind->class_name(ds, k) : ""; }

static brume_status check(const brume_dataset *ds, int64_t i)
{
    if (i >= 0 && i < ds->count) return BRUME_OK;
    return brume_fail(BRUME_E_ARG, "data set '%s' has items 0 to %lld, asked for %lld", ds->kind->name, (long long)ds->count - 1, (long long)i);
}

brume_status brume_dataset_get(const brume_dataset *ds, int64_t i, float *hwc, int32_t *label)
{
    const brume_status s = check(ds, i);
    return s == BRUME_OK ? ds->kind->get(ds, i, hwc, label) : s;
}

brume_status brume_dataset_caption(const brume_dataset *ds, int64_t i, char *text, size_t bytes)
{
    const brume_status s = check(ds, i);
    if (s == BRUME_OK) ds->kind->caption(ds, i, text, bytes);
    return s;
}

brume_status brume_dataset_check_captions(const brume_dataset *ds) { return ds->kind->check_captions ? ds->kind->check_captions(ds) : BRUME_OK; }
