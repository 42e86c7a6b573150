/* SPDX-License-Identifier: MIT
 * A folder of pictures, one sub-folder per class. They are read when asked for, so a set may be larger than the memory. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/image.h"
#include "data/captions.h"
#include "data/dataset.h"

struct names {
    char **at;
    int64_t n, cap;
};

struct folder {
    struct names classes, files; /* names of classes; paths of pictures, class by class, each sorted */
    int32_t *labels;
    int64_t cap;
    const char **texts; /* captions that metadata.jsonl gives, NULL for pictures that it does not name; NULL without that file */
    struct brume_captions metadata;
};

static int is_picture(const char *name)
{
    const char *dot = strrchr(name, '.');
    return name[0] != '.' && dot && (!strcasecmp(dot, ".png") || !strcasecmp(dot, ".jpg") || !strcasecmp(dot, ".jpeg"));
}

static brume_status add(struct names *list, char *name)
{
    if (list->n == list->cap) {
        const int64_t cap = list->cap ? 2 * list->cap : 64;
        char **more = name ? realloc(list->at, (size_t)cap * sizeof *more) : NULL;
        if (!more) {
            free(name);
            return brume_fail(BRUME_E_MEMORY, "no memory for the names of %lld files", (long long)list->n);
        }
        list->at = more;
        list->cap = cap;
    }
    if (!name) return brume_fail(BRUME_E_MEMORY, "no memory for a name");
    list->at[list->n++] = name;
    return BRUME_OK;
}

static void clear(struct names *list)
{
    for (int64_t i = 0; i < list->n; i++) free(list->at[i]);
    free(list->at);
    *list = (struct names){ 0 };
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Sorted names of the sub-folders (pictures 0) or pictures (1) of a folder: the order of readdir() differs between machines. */
static brume_status list(const char *folder, int pictures, struct names *out)
{
    DIR *d = opendir(folder);
    brume_status s = BRUME_OK;
    if (!d) return brume_fail(BRUME_E_IO, "%s: cannot be listed", folder);
    for (struct dirent *e; s == BRUME_OK && (e = readdir(d));) {
        if (e->d_name[0] == '.' || (pictures && !is_picture(e->d_name))) continue;
        char *path = brume_path_join(folder, e->d_name);
        if (!path) s = brume_fail(BRUME_E_MEMORY, "%s: no memory", folder);
        else if (pictures ? brume_is_file(path) : brume_is_folder(path)) s = add(out, strdup(e->d_name));
        free(path);
    }
    closedir(d);
    if (out->n) qsort(out->at, (size_t)out->n, sizeof *out->at, by_text);
    return s;
}

/* Appends the pictures of one folder with a label. */
static brume_status take(struct folder *st, const char *folder, int32_t label)
{
    struct names names = { 0 };
    brume_status s = list(folder, 1, &names);
    for (int64_t i = 0; s == BRUME_OK && i < names.n; i++) {
        if (st->files.n == st->cap) {
            const int64_t cap = st->cap ? 2 * st->cap : 64;
            int32_t *more = realloc(st->labels, (size_t)cap * sizeof *more);
            if (!more) {
                s = brume_fail(BRUME_E_MEMORY, "%s: no memory for %lld labels", folder, (long long)cap);
                break;
            }
            st->labels = more;
            st->cap = cap;
        }
        st->labels[st->files.n] = label;
        s = add(&st->files, brume_path_join(folder, names.at[i]));
    }
    clear(&names);
    return s;
}

/* All pictures under folder: in its sub-folders, or in the folder itself as one class. */
static brume_status scan(struct folder *st, const char *folder)
{
    struct names subs = { 0 };
    brume_status s = list(folder, 0, &subs);
    for (int64_t k = 0; s == BRUME_OK && k < subs.n; k++) {
        char *path = brume_path_join(folder, subs.at[k]);
        const int64_t before = st->files.n;
        s = path ? take(st, path, (int32_t)st->classes.n) : brume_fail(BRUME_E_MEMORY, "%s: no memory", folder);
        free(path);
        if (s == BRUME_OK && st->files.n > before) s = add(&st->classes, strdup(subs.at[k])); /* empty folders are no classes */
    }
    clear(&subs);
    if (s == BRUME_OK && !st->files.n) {
        s = take(st, folder, 0);
        if (s == BRUME_OK && st->files.n) s = add(&st->classes, strdup("picture"));
    }
    return s;
}

static brume_status get(const brume_dataset *ds, int64_t i, float *hwc, int32_t *label)
{
    const struct folder *st = ds->state;
    if (label) *label = st->labels[i];
    if (!hwc) return BRUME_OK;
    brume_image *im;
    const brume_status s = brume_image_read(st->files.at[i], &im);
    if (s != BRUME_OK) return s;
    brume_image_fit(im, ds->height, ds->width, ds->channels, hwc);
    brume_image_free(im);
    return BRUME_OK;
}

/* Returns 0 where a picture has no caption of its own. */
static int own_caption(const struct folder *st, int64_t i, char *text, size_t bytes)
{
    if (!st->texts || !st->texts[i]) return brume_caption_beside(st->files.at[i], text, bytes);
    snprintf(text, bytes, "%s", st->texts[i]);
    return 1;
}

static void caption(const brume_dataset *ds, int64_t i, char *text, size_t bytes)
{
    const struct folder *st = ds->state;
    if (!own_caption(st, i, text, bytes)) snprintf(text, bytes, "%s", st->classes.at[st->labels[i]]);
}

static brume_status check_captions(const brume_dataset *ds)
{
    const struct folder *st = ds->state;
    int64_t missing = 0, first = 0;
    char text[8];
    for (int64_t i = ds->count - 1; i >= 0; i--)
        if (!own_caption(st, i, text, sizeof text)) missing++, first = i;
    if (!missing || (missing == ds->count && ds->classes > 1)) return BRUME_OK; /* names of classes are captions, too */
    return brume_fail(BRUME_E_FORMAT, "%lld of %lld pictures have no caption, the first is %s: write it into a text file beside the picture (cat1.txt beside "
                      "cat1.png), or into metadata.jsonl in the folder, a line {\"file_name\": \"cat1.png\", \"text\": \"a black cat\"} for each picture",
                      (long long)missing, (long long)ds->count, st->files.at[first]);
}

static int by_path(const void *a, const void *b) { return strcmp(**(char **const *)a, **(char **const *)b); }

/* Gives each caption of metadata.jsonl to its picture. sorted: places in files.at, by path. */
static brume_status assign(struct folder *st, const char *folder, const char *path, char ***sorted)
{
    for (int64_t i = 0; i < st->files.n; i++) sorted[i] = &st->files.at[i];
    qsort(sorted, (size_t)st->files.n, sizeof *sorted, by_path);
    for (int64_t k = 0; k < st->metadata.n; k++) {
        const struct brume_caption *c = &st->metadata.at[k];
        char *picture = brume_path_join(folder, c->file), **key = &picture;
        if (!picture) return brume_fail(BRUME_E_MEMORY, "%s: no memory", path);
        char ***found = bsearch(&key, sorted, (size_t)st->files.n, sizeof *sorted, by_path);
        const int is_file = brume_is_file(picture);
        free(picture);
        if (!found)
            return brume_fail(BRUME_E_FORMAT, is_file ? "%s:%lld: '%s' is not among the pictures of the folder (.png, .jpg, .jpeg; where it has sub-folders, in one of these)"
                              : "%s:%lld: there is no picture '%s'", path, (long long)c->line, c->file);
        const char **text = &st->texts[*found - st->files.at];
        if (*text) return brume_fail(BRUME_E_FORMAT, "%s:%lld: '%s' has a caption already", path, (long long)c->line, c->file);
        *text = c->text;
    }
    return BRUME_OK;
}

static brume_status read_metadata(struct folder *st, const char *folder)
{
    char *path = brume_path_join(folder, "metadata.jsonl");
    brume_status s = path ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "%s: no memory", folder);
    if (path && brume_is_file(path) && (s = brume_captions_read(path, &st->metadata)) == BRUME_OK) {
        char ***sorted = malloc((size_t)st->files.n * sizeof *sorted);
        st->texts = calloc((size_t)st->files.n, sizeof *st->texts);
        s = sorted && st->texts ? assign(st, folder, path, sorted) : brume_fail(BRUME_E_MEMORY, "%s: no memory", path);
        free(sorted);
    }
    free(path);
    return s;
}

static const char *class_name(const brume_dataset *ds, int32_t k) { return ((const struct folder *)ds->state)->classes.at[k]; }

static void release(brume_dataset *ds)
{
    struct folder *st = ds->state;
    if (!st) return;
    clear(&st->classes);
    clear(&st->files);
    free(st->labels);
    free(st->texts);
    brume_captions_free(&st->metadata);
    free(st);
}

static const struct brume_dataset_kind kind = { "pictures", get, caption, class_name, release, check_captions };

brume_status brume_folder_open(const char *folder, const brume_dataset_options *o, brume_dataset *ds, int *found)
{
    struct folder *st = calloc(1, sizeof *st);
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
    if ((s = scan(st, part)) != BRUME_OK || !st->files.n || (s = read_metadata(st, part)) != BRUME_OK) goto done;
    *found = 1;
    if ((o->size && (o->size < 8 || o->size > 1024)) || (o->channels && o->channels != 1 && o->channels != 3)) {
        s = brume_fail(BRUME_E_ARG, "data set '%s': size %d and %d channels, expected 8 to 1024 pixels and 1 or 3 channels", folder, o->size, o->channels);
        goto done;
    }
    ds->height = ds->width = o->size;
    if (!o->size) {
        brume_image *im;
        if ((s = brume_image_read(st->files.at[0], &im)) != BRUME_OK) goto done;
        ds->height = im->height;
        ds->width = im->width;
        brume_image_free(im);
    }
    ds->channels = o->channels ? o->channels : 3;
    ds->classes = (int32_t)st->classes.n;
    ds->count = o->count && o->count < st->files.n ? o->count : st->files.n;
done:
    free(train);
    free(test);
    return s;
}
