/* SPDX-License-Identifier: MIT
 * What a folder's text files say of its pictures: captions and labels of metadata.jsonl, labels of labels.csv and labels.txt. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "data/folder.h"

enum { MOST_NUMBERED = 1 << 20 }; /* classes that are numbers */

static int by_path(const void *a, const void *b) { return strcmp(**(char **const *)a, **(char **const *)b); }
static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Gives captions and labels of a file to their pictures. sorted: places in files.at, by path. */
static brume_status assign(struct brume_folder *st, const struct brume_captions *lines, const char *folder, const char *path,
                           char ***sorted, const char **labels)
{
    for (int64_t k = 0; k < lines->n; k++) {
        const struct brume_caption *c = &lines->at[k];
        char *picture = brume_path_join(folder, c->file), **key = &picture;
        if (!picture) return brume_fail(BRUME_E_MEMORY, "%s: no memory", path);
        char ***found = bsearch(&key, sorted, (size_t)st->files.n, sizeof *sorted, by_path);
        const int is_file = brume_is_file(picture);
        free(picture);
        if (!found)
            return brume_fail(
                BRUME_E_FORMAT,
                is_file
                    ? "%s:%lld: '%s' is not among the pictures of the folder (.png, .jpg, .jpeg, .gif, .pgm, .ppm; where it has "
                      "sub-folders, in one of these)"
                    : "%s:%lld: there is no picture '%s'",
                path, (long long)c->line, c->file);
        const int64_t i = *found - st->files.at;
        const char **text = st->texts ? &st->texts[i] : NULL, **label = &labels[i];
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): lines with texts come with a list of texts */
        if (c->text && *text)
            return brume_fail(BRUME_E_FORMAT, "%s:%lld: '%s' has a caption already", path, (long long)c->line, c->file);
        if (c->label && *label)
            return brume_fail(BRUME_E_FORMAT, "%s:%lld: '%s' has a label already", path, (long long)c->line, c->file);
        if (c->text) *text = c->text;
        if (c->label) *label = c->label;
    }
    return BRUME_OK;
}

/* The number that a label is, or -1. */
static int64_t number(const char *label)
{
    const size_t n = strlen(label);
    return n && n < 8 && strspn(label, "0123456789") == n ? strtoll(label, NULL, 10) : -1;
}

/* Classes 0 .. the largest number if all labels are numbers, else the different labels in order of their names. */
static brume_status make_classes(struct brume_folder *st, const char **labels)
{
    const int64_t n = st->files.n;
    int64_t given = 0, largest = -1, bare = -1;
    int numbers = 1;
    for (int64_t i = 0; i < n; i++) {
        if (!labels[i]) {
            if (bare < 0) bare = i;
            continue;
        }
        const int64_t v = number(labels[i]);
        given++;
        numbers &= v >= 0 && v < MOST_NUMBERED;
        if (v > largest) largest = v;
    }
    if (!given) return BRUME_OK;
    if (bare >= 0)
        return brume_fail(BRUME_E_FORMAT, "%lld of %lld pictures have no label, the first is %s", (long long)(n - given),
                          (long long)n, st->files.at[bare]);
    const char **sorted = malloc((size_t)n * sizeof *sorted);
    if (!sorted) return brume_fail(BRUME_E_MEMORY, "no memory for the labels of %lld pictures", (long long)n);
    memcpy(sorted, labels, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, by_text);
    int64_t distinct = 0;
    for (int64_t i = 0; i < n; i++)
        if (!i || strcmp(sorted[i], sorted[distinct - 1])) sorted[distinct++] = sorted[i];
    brume_status s = BRUME_OK;
    brume_names_clear(&st->classes);
    for (int64_t k = 0; s == BRUME_OK && k < (numbers ? largest + 1 : distinct); k++) {
        char name[32];
        snprintf(name, sizeof name, "%lld", (long long)k);
        s = brume_names_add(&st->classes, strdup(numbers ? name : sorted[k]));
    }
    for (int64_t i = 0; i < n; i++)
        st->labels[i] =
            numbers ? (int32_t)number(labels[i])
                    : (int32_t)((const char **)bsearch(&labels[i], sorted, (size_t)distinct, sizeof *sorted, by_text) - sorted);
    free(sorted);
    return s;
}

brume_status brume_folder_describe(struct brume_folder *st, const char *folder)
{
    char *metadata, *csv = NULL, *text = NULL;
    brume_status s = brume_file_in(folder, "metadata.jsonl", &metadata);
    if (s == BRUME_OK) s = brume_file_in(folder, "labels.csv", &csv);
    if (s == BRUME_OK) s = brume_file_in(folder, "labels.txt", &text);
    const char *list = csv ? csv : text;
    const size_t n = (size_t)st->files.n;
    if (s == BRUME_OK && (metadata || list)) {
        char ***sorted = malloc(n * sizeof *sorted);
        const char **labels = calloc(n, sizeof *labels);
        if (metadata) st->texts = calloc(n, sizeof *st->texts);
        if (!sorted || !labels || (metadata && !st->texts)) s = brume_fail(BRUME_E_MEMORY, "%s: no memory", folder);
        for (size_t i = 0; sorted && i < n; i++) sorted[i] = &st->files.at[i];
        if (s == BRUME_OK) qsort(sorted, n, sizeof *sorted, by_path);
        if (s == BRUME_OK && metadata) s = brume_captions_read(metadata, &st->metadata);
        if (s == BRUME_OK && metadata) s = assign(st, &st->metadata, folder, metadata, sorted, labels);
        if (s == BRUME_OK && list) s = brume_labels_read(list, csv ? ',' : ' ', &st->label_lines);
        if (s == BRUME_OK && list) s = assign(st, &st->label_lines, folder, list, sorted, labels);
        if (s == BRUME_OK) s = make_classes(st, labels);
        free(sorted);
        free(labels);
    }
    free(metadata);
    free(csv);
    free(text);
    return s;
}
