/* SPDX-License-Identifier: MIT
 * CIFAR-10 and CIFAR-100 in their binary form: records of a label byte (of two: coarse and fine) and planes of 32 x 32 red, green
 * and blue bytes, compressed or not. */
#include "data/cifar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "data/dataset.h"
#include "data/packed.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, BATCHES = 5 };

struct cifar {
    uint8_t *records;
    int labels, which;     /* bytes of labels in a record, and the one that counts */
    int32_t classes[2];    /* of each of them */
    const char *const *names;
};

static size_t record(const struct cifar *st) { return (size_t)st->labels + 3 * PLANE; }
static const uint8_t *at(const brume_dataset *ds, int64_t i)
{
    return ((const struct cifar *)ds->state)->records + (size_t)i * record(ds->state);
}
static int32_t label(const brume_dataset *ds, int64_t i) { return at(ds, i)[((const struct cifar *)ds->state)->which]; }

static brume_status picture(const brume_dataset *ds, int64_t i, struct brume_raster *r)
{
    const struct cifar *st = ds->state;
    *r = (struct brume_raster){ SIDE, SIDE, 3, BRUME_RASTER_U8, at(ds, i) + st->labels, SIDE, 1, PLANE, NULL, NULL };
    return BRUME_OK;
}

static const char *class_name(const brume_dataset *ds, int32_t k) { return ((const struct cifar *)ds->state)->names[k]; }

static void caption(const brume_dataset *ds, int64_t i, char *text, size_t bytes)
{
    const struct cifar *st = ds->state;
    const char *name = st->names[label(ds, i)];
    if (st->labels == 2 && st->which == 0) snprintf(text, bytes, "%s", name); /* coarse classes are plurals */
    else snprintf(text, bytes, "%s %s", strchr("aeiou", name[0]) ? "an" : "a", name);
}

static void release(brume_dataset *ds)
{
    struct cifar *st = ds->state;
    if (!st) return;
    free(st->records);
    free(st);
}

static const struct brume_dataset_kind cifar10 = { .name = "cifar10", .picture = picture, .label = label, .caption = caption,
                                                   .class_name = class_name, .free = release };
static const struct brume_dataset_kind cifar100 = { .name = "cifar100", .picture = picture, .label = label, .caption = caption,
                                                    .class_name = class_name, .free = release };

static brume_status append(brume_dataset *ds, const char *path)
{
    struct cifar *st = ds->state;
    const size_t size = record(st);
    uint8_t *bytes;
    size_t n;
    int cut;
    brume_status s = brume_packed_read(path, BRUME_PACKED_MOST, &bytes, &n, &cut);
    if (s != BRUME_OK) return s;
    if (n > BRUME_PACKED_MOST)
        s = brume_fail(BRUME_E_UNSUPPORTED, "%s: unpacks to more than %zu bytes, the most that is read", path, BRUME_PACKED_MOST);
    else if (cut || n == 0 || n % size)
        s = brume_fail(BRUME_E_FORMAT, "%s: %s%zu bytes, expected a multiple of %zu (records of %s)", path,
                       cut ? "cut short: " : "", n, size, st->labels == 1 ? "CIFAR-10" : "CIFAR-100");
    for (size_t i = 0; s == BRUME_OK && i < n; i += size)
        for (int k = 0; k < st->labels; k++)
            if (bytes[i + (size_t)k] >= st->classes[k]) {
                s = brume_fail(BRUME_E_FORMAT, "%s: record %zu has label %d, expected 0 to %d", path, i / size,
                               bytes[i + (size_t)k], st->classes[k] - 1);
                i = n - size;
                break;
            }
    if (s == BRUME_OK) {
        const size_t have = (size_t)ds->count * size;
        uint8_t *all = realloc(st->records, have + n);
        if (all) {
            memcpy(all + have, bytes, n);
            st->records = all;
            ds->count += (int64_t)(n / size);
        } else {
            s = brume_fail(BRUME_E_MEMORY, "%s: no memory for %zu bytes", path, have + n);
        }
    }
    free(bytes);
    return s;
}

static brume_status begin(brume_dataset *ds, int hundred, int coarse)
{
    struct cifar *st = calloc(1, sizeof *st);
    if (!st) return brume_fail(BRUME_E_MEMORY, "CIFAR: no memory");
    ds->state = st; /* from here on it is freed with ds */
    ds->kind = hundred ? &cifar100 : &cifar10;
    st->labels = hundred ? 2 : 1;
    st->which = hundred && !coarse;
    st->classes[0] = hundred ? BRUME_CIFAR100_COARSE : BRUME_CIFAR10;
    st->classes[1] = BRUME_CIFAR100_FINE;
    st->names = !hundred ? brume_cifar10_names : coarse ? brume_cifar100_coarse_names : brume_cifar100_fine_names;
    ds->classes = st->classes[st->which];
    return BRUME_OK;
}

brume_status brume_cifar_open(const char *folder, const brume_dataset_options *o, brume_dataset *ds, int *found)
{
    brume_status s = BRUME_OK;
    *found = 0;
    for (int b = 0; s == BRUME_OK && b <= (o->test ? 1 : BATCHES); b++) { /* 0: the one file of CIFAR-100 */
        char name[32];
        if (b && *found && ds->kind == &cifar100) break;
        if (!b) snprintf(name, sizeof name, "%s.bin", o->test ? "test" : "train");
        else snprintf(name, sizeof name, o->test ? "test_batch.bin" : "data_batch_%d.bin", b);
        char *path;
        s = brume_packed_find(folder, name, &path);
        if (path) {
            if (!*found) s = begin(ds, !b, o->coarse);
            *found = 1;
            if (s == BRUME_OK) s = append(ds, path);
        }
        free(path);
    }
    if (*found) brume_dataset_take_size(ds, o, SIDE, SIDE, 3);
    if (o->count && o->count < ds->count) ds->count = o->count;
    return s;
}
