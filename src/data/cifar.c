/* SPDX-License-Identifier: MIT
 * CIFAR-10 in its binary form: records of a label byte and planes of 32 x 32 red, green and blue bytes, compressed or not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/image.h"
#include "data/dataset.h"
#include "data/packed.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, RECORD = 1 + 3 * PLANE, CLASSES = 10, BATCHES = 5 };

static const char *const class_names[CLASSES] = { "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck" };

static brume_status get(const brume_dataset *ds, int64_t i, float *hwc, int32_t *label)
{
    const uint8_t *r = (const uint8_t *)ds->state + i * RECORD;
    if (label) *label = r[0];
    for (int p = 0; hwc && p < PLANE; p++)
        for (int c = 0; c < 3; c++) hwc[3 * p + c] = brume_from_byte(r[1 + c * PLANE + p]);
    return BRUME_OK;
}

static void caption(const brume_dataset *ds, int64_t i, char *text, size_t bytes)
{
    const char *name = class_names[((const uint8_t *)ds->state)[i * RECORD]];
    snprintf(text, bytes, "%s %s", strchr("aeiou", name[0]) ? "an" : "a", name);
}

static const char *class_name(const brume_dataset *ds, int32_t k)
{
    (void)ds;
    return class_names[k];
}

static void release(brume_dataset *ds) { free(ds->state); }

static const struct brume_dataset_kind kind = { "cifar10", get, caption, class_name, release, NULL };

static brume_status append(brume_dataset *ds, const char *path)
{
    uint8_t *bytes;
    size_t n;
    int cut;
    brume_status s = brume_packed_read(path, &bytes, &n, &cut);
    if (s != BRUME_OK) return s;
    if (cut || n == 0 || n % RECORD)
        s = brume_fail(BRUME_E_FORMAT, "%s: %s%zu bytes, expected a multiple of %d (records of CIFAR-10)", path, cut ? "cut short: " : "", n, RECORD);
    for (size_t i = 0; s == BRUME_OK && i < n; i += RECORD)
        if (bytes[i] >= CLASSES) s = brume_fail(BRUME_E_FORMAT, "%s: record %zu has label %d, expected 0 to 9", path, i / RECORD, bytes[i]);
    if (s == BRUME_OK) {
        const size_t have = (size_t)ds->count * RECORD;
        uint8_t *all = realloc(ds->state, have + n);
        if (all) {
            memcpy(all + have, bytes, n);
            ds->state = all;
            ds->count += (int64_t)(n / RECORD);
        } else {
            s = brume_fail(BRUME_E_MEMORY, "%s: no memory for %zu bytes", path, have + n);
        }
    }
    free(bytes);
    return s;
}

brume_status brume_cifar_open(const char *folder, const brume_dataset_options *o, brume_dataset *ds, int *found)
{
    brume_status s = BRUME_OK;
    *found = 0;
    for (int b = 1; s == BRUME_OK && b <= (o->test ? 1 : BATCHES); b++) {
        char name[32];
        snprintf(name, sizeof name, o->test ? "test_batch.bin" : "data_batch_%d.bin", b);
        char *path = brume_packed_find(folder, name);
        if (path) {
            *found = 1;
            ds->kind = &kind;
            s = append(ds, path);
        }
        free(path);
    }
    ds->height = ds->width = SIDE;
    ds->channels = 3;
    ds->classes = CLASSES;
    if (o->count && o->count < ds->count) ds->count = o->count;
    return s;
}
