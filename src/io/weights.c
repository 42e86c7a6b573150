/* SPDX-License-Identifier: MIT
 * The weights of a model folder: finds the files, opens them all, and looks tensors up by name. */
#include "brume/weights.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/json.h"

#define SUFFIX ".safetensors"
#define MAX_FILES 4096

struct brume_weights {
    int n_files;
    brume_safetensors **files;
    int64_t n;
    const brume_st_tensor **tensors; /* by name */
};

void brume_weights_close(brume_weights *w)
{
    if (!w) return;
    for (int i = 0; i < w->n_files; i++) brume_safetensors_close(w->files[i]);
    free(w->files);
    free(w->tensors);
    free(w);
}

int64_t brume_weights_count(const brume_weights *w) { return w->n; }

const brume_st_tensor *brume_weights_at(const brume_weights *w, int64_t i) { return i >= 0 && i < w->n ? w->tensors[i] : NULL; }

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const brume_st_tensor *const *)a)->name, (*(const brume_st_tensor *const *)b)->name);
}

const brume_st_tensor *brume_weights_find(const brume_weights *w, const char *name)
{
    const brume_st_tensor key = { .name = name }, *p = &key;
    const brume_st_tensor *const *hit = bsearch(&p, w->tensors, (size_t)w->n, sizeof *w->tensors, by_name);
    return hit ? *hit : NULL;
}

int brume_weights_files(const brume_weights *w) { return w->n_files; }

const char *brume_weights_file(const brume_weights *w, int i)
{
    return i >= 0 && i < w->n_files ? brume_safetensors_name(w->files[i]) : NULL;
}

static brume_status no_memory(const char *what)
{
    return brume_fail(BRUME_E_MEMORY, "%s: no memory for its list of tensors", what);
}

static brume_status open_single(const char *path, brume_weights *w)
{
    if (!(w->files = calloc(1, sizeof *w->files))) return no_memory(path);
    const brume_status s = brume_safetensors_open(path, &w->files[0]);
    if (s != BRUME_OK) return s;
    w->n_files = 1;
    w->n = brume_safetensors_count(w->files[0]);
    if (!(w->tensors = calloc((size_t)w->n + 1, sizeof *w->tensors))) return no_memory(path);
    for (int64_t i = 0; i < w->n; i++) w->tensors[i] = brume_safetensors_at(w->files[0], i);
    qsort(w->tensors, (size_t)w->n, sizeof *w->tensors, by_name);
    return BRUME_OK;
}

static int begins(const char *path, const char *with, size_t n) { return !strncmp(path, with, n) && path[n] == '/'; }

/* A shard that is a link must stay in its folder. The one exception is the layout of Hugging Face's cache,
 * ROOT/snapshots/REVISION/... with links to ROOT/blobs. */
static brume_status check_link(const char *folder, const char *path, const char *index)
{
    struct stat st;
    if (lstat(path, &st) || !S_ISLNK(st.st_mode)) return BRUME_OK; /* its name has no '/', so it is inside; or it is not there */
    char *target = realpath(path, NULL), *home = realpath(folder, NULL);
    const char *snapshots = home ? strstr(home, "/snapshots/") : NULL;
    const size_t root = snapshots ? (size_t)(snapshots - home) : 0;
    const int fine =
        target && home &&
        (begins(target, home, strlen(home)) || (snapshots && !strncmp(target, home, root) && begins(target + root, "/blobs", 6)));
    const brume_status s =
        fine ? BRUME_OK
        : target && home
            ? brume_fail(BRUME_E_FORMAT,
                         "%s: the shard %s is a link to %s, outside of its folder; copy the file to where the link is", index,
                         path, target)
            : brume_fail(BRUME_E_IO, "%s: the shard %s is a link that leads nowhere: %s", index, path, strerror(errno));
    free(target);
    free(home);
    return s;
}

/* The open shard of that name; opens it where it is new. */
static brume_status shard_of(brume_weights *w, const char *folder, const char *index, const char *name, brume_safetensors **out)
{
    brume_status s = brume_name_check(name, index);
    if (s != BRUME_OK) return s;
    char *path = brume_path_join(folder, name);
    if (!path) return no_memory(index);
    int i = w->n_files - 1; /* the last one first: indices list names shard by shard, mostly */
    while (i >= 0 && strcmp(brume_safetensors_name(w->files[i]), path)) i--;
    if (i < 0) {
        brume_safetensors **more = w->n_files < MAX_FILES ? realloc(w->files, ((size_t)w->n_files + 1) * sizeof *more) : NULL;
        if (more) w->files = more;
        else s = brume_fail(BRUME_E_MEMORY, "%s: no memory for %d shards", index, w->n_files + 1);
        if (s == BRUME_OK) s = check_link(folder, path, index);
        if (s == BRUME_OK) {
            s = brume_safetensors_open(path, &w->files[w->n_files]);
            if (s == BRUME_OK) i = w->n_files++;
            else s = brume_fail_in(s, "%s", index);
        }
    }
    free(path);
    if (s == BRUME_OK) *out = w->files[i];
    return s;
}

/* One name in two shards: which values count would depend on the reader. */
static brume_status check_unique(const brume_weights *w, const char *index)
{
    for (int i = 0; i < w->n_files; i++)
        for (int64_t k = 0; k < brume_safetensors_count(w->files[i]); k++) {
            const brume_st_tensor *t = brume_safetensors_at(w->files[i], k), *listed = brume_weights_find(w, t->name);
            if (listed && listed != t)
                return brume_fail(BRUME_E_FORMAT, "%s: tensor '%s' is in two shards, %s and %s; it must be in one", index,
                                  t->name, brume_safetensors_name(listed->file), brume_safetensors_name(t->file));
        }
    return BRUME_OK;
}

static brume_status open_index(const char *folder, const char *path, brume_weights *w)
{
    brume_json *root;
    brume_status s = brume_json_load(path, &root);
    if (s != BRUME_OK) return s;
    const brume_json *map = brume_json_find(root, "weight_map");
    if (brume_json_typeof(map) != BRUME_JSON_OBJECT) {
        s = brume_fail(BRUME_E_FORMAT, "%s: has no \"weight_map\" object", path);
    } else if (!(w->tensors = calloc((size_t)brume_json_count(map) + 1, sizeof *w->tensors))) {
        s = no_memory(path);
    }
    for (int64_t i = 0; s == BRUME_OK && i < brume_json_count(map); i++) {
        const brume_json *v = brume_json_at(map, i);
        const char *shard = brume_json_string(v, NULL);
        brume_safetensors *f = NULL;
        if (!shard) s = brume_fail(BRUME_E_FORMAT, "%s is not the name of a file", brume_json_where(v));
        else s = shard_of(w, folder, path, shard, &f);
        if (s != BRUME_OK) break;
        const brume_st_tensor *t = brume_safetensors_find(f, brume_json_key(v));
        if (!t)
            s = brume_fail(BRUME_E_FORMAT, "%s: tensor '%s' should be in '%s', which has none of that name", path,
                           brume_json_key(v), shard);
        else w->tensors[w->n++] = t;
    }
    if (s == BRUME_OK) {
        qsort(w->tensors, (size_t)w->n, sizeof *w->tensors, by_name);
        s = check_unique(w, path);
    }
    brume_json_free(root);
    return s;
}

/* "STEM.VARIANT.safetensors" or "STEM.safetensors.index.VARIANT.json": copies VARIANT and returns 1. Shards are no variants. */
static int variant_of(const char *file, const char *stem, char *variant, size_t cap)
{
    const size_t n = strlen(file), ns = strlen(stem);
    if (n <= ns + 1 || strncmp(file, stem, ns) || file[ns] != '.') return 0;
    const char *begin = file + ns + 1, *end;
    const char index[] = "safetensors.index.";
    if (!strncmp(begin, index, sizeof index - 1)) {
        begin += sizeof index - 1;
        end = file + n - 5;
        if (end <= begin || strcmp(end, ".json")) return 0;
    } else {
        end = file + n - (sizeof SUFFIX - 1);
        if (end <= begin || strcmp(end, SUFFIX)) return 0;
    }
    if ((size_t)(end - begin) >= cap || memchr(begin, '.', (size_t)(end - begin)) || strstr(file, "-of-")) return 0;
    memcpy(variant, begin, (size_t)(end - begin));
    variant[end - begin] = 0;
    return 1;
}

/* What a folder without plain weights holds: the names of its variants, and whether there are pickled weights. */
static int scan(const char *folder, const char *stem, char *only, size_t only_cap, char *list, size_t list_cap, int *pickled)
{
    int n = 0;
    size_t used = 0;
    *pickled = 0;
    list[0] = only[0] = 0;
    DIR *d = opendir(folder);
    if (!d) return 0;
    for (struct dirent *e; (e = readdir(d));) {
        char variant[128];
        const char *dot = strrchr(e->d_name, '.');
        if (dot && (!strcmp(dot, ".bin") || !strcmp(dot, ".ckpt") || !strcmp(dot, ".pt") || !strcmp(dot, ".pth"))) *pickled = 1;
        if (!variant_of(e->d_name, stem, variant, sizeof variant) || (n && !strcmp(only, variant))) continue;
        n++;
        snprintf(only, only_cap, "%s", variant);
        if (used < list_cap) used += (size_t)snprintf(list + used, list_cap - used, "%s%s", used ? ", " : "", variant);
    }
    closedir(d);
    return n;
}

/* Opens the index or the single file of a variant ("" for none); *found says whether there was one. */
static brume_status open_variant(const char *folder, const char *stem, const char *variant, brume_weights *w, int *found)
{
    char name[512];
    const char *dot = *variant ? "." : "";
    *found = 0;
    for (int single = 0; single < 2; single++) {
        if (single) snprintf(name, sizeof name, "%s%s%s" SUFFIX, stem, dot, variant);
        else snprintf(name, sizeof name, "%s" SUFFIX ".index%s%s.json", stem, dot, variant);
        char *path = brume_path_join(folder, name);
        if (!path) return no_memory(folder);
        brume_status s = BRUME_OK;
        if (brume_is_file(path)) {
            *found = 1;
            s = single ? open_single(path, w) : open_index(folder, path, w);
        }
        free(path);
        if (*found) return s;
    }
    return BRUME_OK;
}

static brume_status open_folder(const char *folder, const char *stem, const char *variant, brume_weights *w)
{
    int found, pickled;
    char only[128], list[256];
    brume_status s = open_variant(folder, stem, variant ? variant : "", w, &found);
    if (found || s != BRUME_OK) return s;
    const int n = scan(folder, stem, only, sizeof only, list, sizeof list, &pickled);
    if (!variant && n == 1) {
        s = open_variant(folder, stem, only, w, &found);
        if (found || s != BRUME_OK) return s;
    }
    if (variant)
        return brume_fail(BRUME_E_IO, "%s: no weights of variant '%s' (%s.%s" SUFFIX "); %s%s", folder, variant, stem, variant,
                          n ? "there are the variants " : "there is no other variant", list);
    if (n > 1) return brume_fail(BRUME_E_IO, "%s: no %s" SUFFIX ", but the variants %s: name one", folder, stem, list);
    if (pickled)
        return brume_fail(BRUME_E_UNSUPPORTED,
                          "%s: only pickled weights (.bin), which can run code when opened; save the model as safetensors first",
                          folder);
    return brume_fail(BRUME_E_IO, "%s: no weights: looked for %s" SUFFIX ".index.json, %s" SUFFIX " and %s.VARIANT" SUFFIX,
                      folder, stem, stem, stem);
}

brume_status brume_weights_open(const char *folder, const char *stem, const char *variant, brume_weights **out)
{
    *out = NULL;
    brume_weights *w = calloc(1, sizeof *w);
    if (!w) return no_memory(folder);
    brume_status s;
    if (variant && brume_name_check(variant, folder) != BRUME_OK)
        s = brume_fail(BRUME_E_ARG, "%s: '%s' is no name of a variant", folder, variant);
    else if (brume_is_file(folder)) s = open_single(folder, w);
    else if (!brume_is_folder(folder)) s = brume_fail(BRUME_E_IO, "%s: no such folder", folder);
    else s = open_folder(folder, stem, variant, w);
    if (s != BRUME_OK) brume_weights_close(w);
    else *out = w;
    return s;
}
