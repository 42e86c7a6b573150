/* SPDX-License-Identifier: MIT
 * Which pictures a folder holds, and which classes its sub-folders make. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fail.h"
#include "base/file.h"
#include "data/folder.h"

static const char *const endings[] = { ".png", ".jpg", ".jpeg", ".gif", ".pgm", ".ppm", ".pnm", NULL };

static int is_picture(const char *name)
{
    const char *dot = strrchr(name, '.');
    for (int k = 0; name[0] != '.' && dot && endings[k]; k++)
        if (!strcasecmp(dot, endings[k])) return 1;
    return 0;
}

brume_status brume_names_add(struct brume_names *list, char *name)
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

void brume_names_clear(struct brume_names *list)
{
    for (int64_t i = 0; i < list->n; i++) free(list->at[i]);
    free(list->at);
    *list = (struct brume_names){ 0 };
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Sorted names of the sub-folders (pictures 0) or pictures (1) of a folder: the order of readdir() differs between machines. */
static brume_status list(const char *folder, int pictures, struct brume_names *out)
{
    DIR *d = opendir(folder);
    brume_status s = BRUME_OK;
    if (!d) return brume_fail(BRUME_E_IO, "%s: cannot be listed", folder);
    for (struct dirent *e; s == BRUME_OK && (e = readdir(d));) {
        if (e->d_name[0] == '.' || (pictures && !is_picture(e->d_name))) continue;
        char *path = brume_path_join(folder, e->d_name);
        if (!path) s = brume_fail(BRUME_E_MEMORY, "%s: no memory", folder);
        else if (pictures ? brume_is_file(path) : brume_is_folder(path)) s = brume_names_add(out, strdup(e->d_name));
        free(path);
    }
    closedir(d);
    if (out->n) qsort(out->at, (size_t)out->n, sizeof *out->at, by_text);
    return s;
}

/* Appends the pictures of one folder with a label. */
static brume_status take(struct brume_folder *st, const char *folder, int32_t label)
{
    struct brume_names names = { 0 };
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
        s = brume_names_add(&st->files, brume_path_join(folder, names.at[i]));
    }
    brume_names_clear(&names);
    return s;
}

brume_status brume_folder_list(struct brume_folder *st, const char *folder)
{
    struct brume_names subs = { 0 };
    brume_status s = list(folder, 0, &subs);
    for (int64_t k = 0; s == BRUME_OK && k < subs.n; k++) {
        char *path = brume_path_join(folder, subs.at[k]);
        const int64_t before = st->files.n;
        s = path ? take(st, path, (int32_t)st->classes.n) : brume_fail(BRUME_E_MEMORY, "%s: no memory", folder);
        free(path);
        /* empty folders are no classes */
        if (s == BRUME_OK && st->files.n > before) s = brume_names_add(&st->classes, strdup(subs.at[k]));
    }
    brume_names_clear(&subs);
    if (s == BRUME_OK && !st->files.n) {
        s = take(st, folder, 0);
        if (s == BRUME_OK && st->files.n) s = brume_names_add(&st->classes, strdup("picture"));
    }
    return s;
}
