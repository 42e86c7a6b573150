/* SPDX-License-Identifier: MIT
 * A folder of pictures. They are read when asked for, so a set may be larger than the memory. */
#include "data/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/image.h"

static brume_status picture(const brume_dataset *ds, int64_t i, struct brume_raster *r)
{
    brume_image *im;
    const brume_status s = brume_image_read(((const struct brume_folder *)ds->state)->files.at[i], &im);
    if (s != BRUME_OK) return s;
    *r = brume_raster_of(im);
    r->image = im;
    return BRUME_OK;
}

static int32_t label(const brume_dataset *ds, int64_t i) { return ((const struct brume_folder *)ds->state)->labels[i]; }
static const char *path_of(const brume_dataset *ds, int64_t i) { return ((const struct brume_folder *)ds->state)->files.at[i]; }

/* Returns 0 where a picture has no caption of its own. */
static int own_caption(const struct brume_folder *st, int64_t i, char *text, size_t bytes)
{
    if (!st->texts || !st->texts[i]) return brume_caption_beside(st->files.at[i], text, bytes);
    snprintf(text, bytes, "%s", st->texts[i]);
    return 1;
}

static void caption(const brume_dataset *ds, int64_t i, char *text, size_t bytes)
{
    const struct brume_folder *st = ds->state;
    if (!own_caption(st, i, text, bytes)) snprintf(text, bytes, "%s", st->classes.at[st->labels[i]]);
}

static brume_status check_captions(const brume_dataset *ds)
{
    const struct brume_folder *st = ds->state;
    int64_t missing = 0, first = 0;
    char text[8];
    for (int64_t i = ds->count - 1; i >= 0; i--)
        if (!own_caption(st, i, text, sizeof text)) missing++, first = i;
    if (!missing || (missing == ds->count && ds->classes > 1)) return BRUME_OK; /* names of classes are captions, too */
    return brume_fail(
        BRUME_E_FORMAT,
        "%lld of %lld pictures have no caption, the first is %s: write it into a text file beside the picture (cat1.txt beside "
        "cat1.png), or into metadata.jsonl in the folder, a line {\"file_name\": \"cat1.png\", \"text\": \"a black cat\"} for "
        "each picture",
        (long long)missing, (long long)ds->count, st->files.at[first]);
}

static const char *class_name(const brume_dataset *ds, int32_t k)
{
    return ((const struct brume_folder *)ds->state)->classes.at[k];
}

static void release(brume_dataset *ds)
{
    struct brume_folder *st = ds->state;
    if (!st) return;
    brume_names_clear(&st->classes);
    brume_names_clear(&st->files);
    free(st->labels);
    free(st->texts);
    brume_captions_free(&st->metadata);
    brume_captions_free(&st->label_lines);
    free(st);
}

static const struct brume_dataset_kind kind = { .name = "pictures", .picture = picture, .label = label,
                                                .path = path_of, .caption = caption, .class_name = class_name, .free = release,
                                                .check_captions = check_captions };

/* Looks at the first bytes of every picture: bad ones are an error, or no items. */
static brume_status sort_out(struct brume_folder *st, struct brume_bad_files *skipped, const char *folder)
{
    int64_t good = 0, bad = 0;
    char first[1024] = "";
    for (int64_t i = 0; i < st->files.n; i++) {
        brume_status s = brume_image_check(st->files.at[i]);
        if (s == BRUME_E_MEMORY) return s;
        if (s == BRUME_OK) {
            if (skipped && good < i) {
                char *path = st->files.at[good];
                st->files.at[good] = st->files.at[i];
                st->files.at[i] = path;
                st->labels[good] = st->labels[i];
                if (st->texts) st->texts[good] = st->texts[i];
            }
            good++;
            continue;
        }
        if (!bad++) snprintf(first, sizeof first, "%s", brume_error());
        s = skipped ? brume_bad_files_add(skipped, brume_error()) : BRUME_OK;
        if (s != BRUME_OK) return s;
    }
    if (!bad) return BRUME_OK;
    if (!skipped)
        return brume_fail(
            BRUME_E_FORMAT,
            "%s: %lld of %lld files are no pictures; the first: %s. `brume data` lists them, --bad-files skip leaves them out",
            folder, (long long)bad, (long long)st->files.n, first);
    if (!good)
        return brume_fail(BRUME_E_FORMAT, "%s: none of its %lld files is a picture; the first: %s", folder, (long long)bad,
                          first);
    while (st->files.n > good) free(st->files.at[--st->files.n]);
    return BRUME_OK;
}

/* Height and width of the first picture that can be read. */
static brume_status first_size(brume_dataset *ds)
{
    struct brume_raster r;
    brume_status s = BRUME_OK;
    for (int64_t i = 0; i < ((const struct brume_folder *)ds->state)->files.n; i++) {
        if ((s = picture(ds, i, &r)) == BRUME_OK) {
            ds->height = r.height;
            ds->width = r.width;
            brume_raster_free(&r);
            return BRUME_OK;
        }
        if (!ds->bad || s == BRUME_E_MEMORY) break;
    }
    return s;
}

brume_status brume_folder_open(const char *folder, const brume_dataset_options *o, brume_dataset *ds, int *found)
{
    struct brume_folder *st = calloc(1, sizeof *st);
    char *train = brume_path_join(folder, "train"), *test = brume_path_join(folder, "test");
    brume_status s = BRUME_OK;
    *found = 0;
    if (!st || !train || !test) {
        free(st);
        s = brume_fail(BRUME_E_MEMORY, "%s: no memory", folder);
        goto done;
    }
    ds->kind = &kind; /* from here on st is freed with ds */
    ds->state = st;
    const int parts = brume_is_folder(train) && brume_is_folder(test);
    const char *part = !parts ? folder : o->test ? test : train;
    if ((s = brume_folder_list(st, part)) != BRUME_OK || !st->files.n || (s = brume_folder_describe(st, part)) != BRUME_OK)
        goto done;
    *found = 1;
    if ((o->size && (o->size < 8 || o->size > 1024)) ||
        (o->channels && o->channels != 1 && o->channels != 3 && o->channels != 4)) {
        s = brume_fail(BRUME_E_ARG, "data set '%s': size %d and %d channels, expected 8 to 1024 pixels and 1, 3 or 4 channels",
                       folder, o->size, o->channels);
        goto done;
    }
    if (o->bad_files == BRUME_BAD_FILES_SKIP && (s = brume_bad_files_new(&ds->bad)) != BRUME_OK) goto done;
    if ((s = sort_out(st, ds->bad, part)) != BRUME_OK) goto done;
    ds->height = o->size;
    ds->width = o->width ? o->width : o->size;
    if (!o->size && (s = first_size(ds)) != BRUME_OK) goto done;
    ds->channels = o->channels ? o->channels : 3;
    ds->classes = (int32_t)st->classes.n;
    ds->count = o->count && o->count < st->files.n ? o->count : st->files.n;
done:
    free(train);
    free(test);
    return s;
}
