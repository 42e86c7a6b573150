/* SPDX-License-Identifier: MIT
 * An item of a data set on its way to a model: read or taken from what is kept, brought to size, mirrored; bad files are replaced
 * or told. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "data/dataset.h"

static const struct brume_view plain = { BRUME_WINDOW_MIDDLE, 0 };

static void mirror(const brume_dataset *ds, float *hwc)
{
    for (int32_t y = 0; y < ds->height; y++, hwc += (int64_t)ds->width * ds->channels)
        for (int32_t x = 0; x < ds->width / 2; x++)
            for (int32_t c = 0; c < ds->channels; c++) {
                float *a = hwc + (int64_t)x * ds->channels + c, *b = hwc + (int64_t)(ds->width - 1 - x) * ds->channels + c,
                      t = *a;
                *a = *b;
                *b = t;
            }
}

/* hwc may be NULL: then the file is read all the same, to see whether it is good. */
static brume_status read_picture(const brume_dataset *ds, int64_t i, const struct brume_window *window, float *hwc)
{
    const int whole = window->part == 1 && window->y == 0.5 && window->x == 0.5;
    struct brume_decoded *d = hwc && whole ? ds->decoded : NULL;
    const float *kept = d ? brume_decoded_find(d, i) : NULL;
    if (kept) {
        memcpy(hwc, kept, (size_t)ds->height * (size_t)ds->width * (size_t)ds->channels * sizeof *hwc);
        return BRUME_OK;
    }
    struct brume_raster r;
    const brume_status s = ds->kind->picture(ds, i, &r);
    if (s != BRUME_OK) return s;
    if (hwc) brume_raster_fit(&r, window, ds->height, ds->width, ds->channels, hwc);
    brume_raster_free(&r);
    if (d) brume_decoded_keep(d, i, hwc);
    return BRUME_OK;
}

brume_status brume_dataset_read_file(const brume_dataset *ds, int64_t i, float *hwc)
{
    return read_picture(ds, i, &plain.window, hwc);
}

/*
 * Reads item *i, or the next one that can be read, and says which it was. So what stands for an item depends on the files alone,
 * not on what was asked for before.
 */
static brume_status read_good(const brume_dataset *ds, int64_t *i, const struct brume_window *window, float *hwc)
{
    for (int64_t k = 0; k < ds->count; k++) {
        const int64_t j = (*i + k) % ds->count;
        const enum brume_item_state state = brume_bad_files_state(ds->bad, j);
        if (state == BRUME_ITEM_BAD) continue;
        brume_status s = state == BRUME_ITEM_GOOD && !hwc ? BRUME_OK : read_picture(ds, j, window, hwc);
        if (s == BRUME_OK) {
            brume_bad_files_good(ds->bad, j);
            *i = j;
            return BRUME_OK;
        }
        if (s == BRUME_E_MEMORY) return s;
        if ((s = brume_bad_files_bad(ds->bad, j, brume_error())) != BRUME_OK) return s;
    }
    return brume_fail(BRUME_E_FORMAT, "data set '%s': none of its %lld items can be read", ds->kind->name, (long long)ds->count);
}

brume_status brume_dataset_view(const brume_dataset *ds, int64_t i, const struct brume_view *view, float *hwc, int32_t *label)
{
    brume_status s;
    if (ds->kind->get) {
        s = ds->kind->get(ds, i, hwc, label);
    } else {
        s = ds->bad ? read_good(ds, &i, &view->window, hwc) : hwc ? read_picture(ds, i, &view->window, hwc) : BRUME_OK;
        if (label && s == BRUME_OK) *label = ds->kind->label(ds, i);
    }
    if (s == BRUME_OK && hwc && view->flip) mirror(ds, hwc);
    return s;
}

static brume_status check(const brume_dataset *ds, int64_t i)
{
    if (i >= 0 && i < ds->count) return BRUME_OK;
    return brume_fail(BRUME_E_ARG, "data set '%s' has items 0 to %lld, asked for %lld", ds->kind->name, (long long)ds->count - 1,
                      (long long)i);
}

brume_status brume_dataset_get(const brume_dataset *ds, int64_t i, float *hwc, int32_t *label)
{
    const brume_status s = check(ds, i);
    return s == BRUME_OK ? brume_dataset_view(ds, i, &plain, hwc, label) : s;
}

brume_status brume_dataset_caption(const brume_dataset *ds, int64_t i, char *text, size_t bytes)
{
    brume_status s = check(ds, i);
    if (s == BRUME_OK && ds->bad && ds->kind->picture) s = read_good(ds, &i, &plain.window, NULL);
    if (s == BRUME_OK) ds->kind->caption(ds, i, text, bytes);
    return s;
}

brume_status brume_dataset_look(const brume_dataset *ds, int64_t i, brume_item_info *info)
{
    *info = (brume_item_info){ .height = ds->height, .width = ds->width, .channels = ds->channels, .bits = 32 };
    brume_status s = check(ds, i);
    if (s != BRUME_OK) return s;
    if (ds->kind->get) return ds->kind->get(ds, i, NULL, &info->label);
    struct brume_raster r;
    info->label = ds->kind->label(ds, i);
    info->path = ds->kind->path ? ds->kind->path(ds, i) : NULL;
    if ((s = ds->kind->picture(ds, i, &r)) != BRUME_OK) return s;
    info->height = r.height;
    info->width = r.width;
    info->channels = r.channels;
    info->bits = r.type == BRUME_RASTER_U8 ? 8 : r.type == BRUME_RASTER_U16 ? 16 : 32;
    brume_raster_free(&r);
    return BRUME_OK;
}
