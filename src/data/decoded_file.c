/* SPDX-License-Identifier: MIT
 * Pictures that were read and brought to size, in a file of the cache folder for later runs. It is mapped: runs share what lies
 * in memory, and the system takes that back where it must.
 *
 * The file: struct head, count x values f32, a byte per item (1: it could not be read), and a checksum of these two. Numbers are
 * the machine's own; the head tells another order of bytes from its own.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cache_folder.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/pool.h"
#include "base/system.h"
#include "data/decoded.h"
#include "data/dataset.h"

static const char magic[8] = { 'B', 'R', 'U', 'M', 'E', 'P', 'I', 'X' };
enum { VERSION = 1, CHUNK = 64 };

struct head {
    char magic[8];
    uint32_t version, order; /* order: 1 */
    int64_t count, values;
    uint64_t key;
};

/* A change of any file (its path, size or time) or of the size that pictures are brought to is another key. */
static uint64_t key_of(const brume_dataset *ds)
{
    const int64_t sizes[] = { ds->count, ds->height, ds->width, ds->channels };
    uint64_t h = brume_hash_values(0, sizes, 4, sizeof *sizes);
    for (int64_t i = 0; i < ds->count; i++) {
        const char *path = ds->kind->path(ds, i);
        struct stat st;
        char *whole = realpath(path, NULL);
        const char *name = whole ? whole : path;
        h = brume_hash_values(h, name, strlen(name) + 1, 1);
        if (!stat(path, &st)) {
            int64_t file[3] = { (int64_t)st.st_size };
            brume_system_modified(&st, file + 1);
            h = brume_hash_values(h, file, 3, sizeof *file);
        }
        free(whole);
    }
    return h;
}

static struct head head_of(const brume_dataset *ds, uint64_t key)
{
    struct head h = { .version = VERSION, .order = 1, .count = ds->count,
                      .values = (int64_t)ds->height * ds->width * ds->channels, .key = key };
    memcpy(h.magic, magic, sizeof magic);
    return h;
}

/* Of the file without its checksum. */
static uint64_t bytes_of(const struct head *h)
{
    return sizeof *h + (uint64_t)h->count * (uint64_t)h->values * sizeof(float) + (uint64_t)h->count;
}

/* Maps a file that is whole and meant for this; NULL: there is none. */
static void *map_file(const char *path, const struct head *want, size_t *bytes)
{
    struct stat st;
    const size_t data = (size_t)bytes_of(want);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return NULL;
    void *map = MAP_FAILED;
    if (!fstat(fd, &st) && S_ISREG(st.st_mode) && (uint64_t)st.st_size == data + sizeof(uint64_t))
        map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (map == MAP_FAILED) return NULL;
    uint64_t sum;
    const size_t flags = data - (size_t)want->count;
    memcpy(&sum, (const char *)map + data, sizeof sum);
    *bytes = data + sizeof sum;
    const size_t n = (flags - sizeof *want) / sizeof(float);
    const uint64_t values = brume_hash_values(0, (const char *)map + sizeof *want, n, sizeof(float));
    if (!memcmp(map, want, sizeof *want) && brume_hash_values(values, (const char *)map + flags, (size_t)want->count, 1) == sum)
        return map;
    munmap(map, *bytes);
    return NULL;
}

struct chunk {
    const brume_dataset *ds;
    int64_t first, values;
    float *out;
    uint8_t *broken;   /* of all items */
    brume_status status[CHUNK];
    char error[CHUNK][512];
};

static void read_one(void *ctx, int64_t k, int thread)
{
    struct chunk *c = ctx;
    (void)thread;
    c->status[k] = brume_dataset_read_file(c->ds, c->first + k, c->out + k * c->values);
    if (c->status[k] == BRUME_OK) return;
    snprintf(c->error[k], sizeof c->error[k], "%s", brume_error());
    memset(c->out + k * c->values, 0, (size_t)c->values * sizeof *c->out);
}

/* Reads all pictures into the file; a bad one is an error, or noted. */
static brume_status write_values(const brume_dataset *ds, struct chunk *c, brume_pool *pool, brume_atomic *file, uint64_t *sum)
{
    for (c->first = 0; c->first < ds->count; c->first += CHUNK) {
        const int64_t n = ds->count - c->first < CHUNK ? ds->count - c->first : CHUNK;
        brume_pool_run(pool, n, read_one, c);
        for (int64_t k = 0; k < n; k++) {
            if (c->status[k] == BRUME_OK) continue;
            if (!ds->bad || c->status[k] == BRUME_E_MEMORY) return brume_fail(c->status[k], "%s", c->error[k]);
            c->broken[c->first + k] = 1;
            const brume_status s = brume_bad_files_bad(ds->bad, c->first + k, c->error[k]);
            if (s != BRUME_OK) return s;
        }
        const size_t bytes = (size_t)(n * c->values) * sizeof *c->out;
        const brume_status s = brume_atomic_write(file, c->out, bytes);
        if (s != BRUME_OK) return s;
        /* in whole words, but for the last chunk */
        *sum = brume_hash_values(*sum, c->out, (size_t)(n * c->values), sizeof *c->out);
    }
    return BRUME_OK;
}

static brume_status build(const brume_dataset *ds, const char *path, const struct head *head)
{
    brume_atomic *file = NULL;
    brume_pool *pool = NULL;
    uint64_t sum = 0;
    struct chunk *c = calloc(1, sizeof *c);
    brume_status s = c ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "%s: no memory", path);
    if (s == BRUME_OK) {
        c->ds = ds;
        c->values = head->values;
        c->out = malloc((size_t)(CHUNK * head->values) * sizeof *c->out);
        c->broken = calloc((size_t)ds->count, 1);
        if (!c->out || !c->broken) s = brume_fail(BRUME_E_MEMORY, "%s: no memory", path);
    }
    if (s == BRUME_OK) s = brume_pool_new(0, &pool);
    if (s == BRUME_OK) s = brume_atomic_open(path, &file);
    if (s == BRUME_OK) s = brume_atomic_write(file, head, sizeof *head);
    if (s == BRUME_OK) s = write_values(ds, c, pool, file, &sum);
    if (s == BRUME_OK) s = brume_atomic_write(file, c->broken, (size_t)ds->count);
    if (s == BRUME_OK) {
        sum = brume_hash_values(sum, c->broken, (size_t)ds->count, 1);
        s = brume_atomic_write(file, &sum, sizeof sum);
    }
    if (s == BRUME_OK) s = brume_atomic_commit(file);
    else brume_atomic_abort(file);
    brume_pool_free(pool);
    if (c) {
        free(c->out);
        free(c->broken);
    }
    free(c);
    return s;
}

brume_status brume_decoded_open(const brume_dataset *ds, struct brume_decoded **out)
{
    char why[256], name[32];
    size_t bytes = 0;
    *out = NULL;
    char *folder = brume_cache_folder("data", why);
    if (!folder) return brume_fail(BRUME_E_IO, "pictures cannot be kept on the disk: %s", why);
    const struct head head = head_of(ds, key_of(ds));
    if (bytes_of(&head) > SIZE_MAX / 2) {
        free(folder);
        return brume_fail(BRUME_E_UNSUPPORTED,
                          "pictures cannot be kept on the disk: %llu bytes are more than this machine can map",
                          (unsigned long long)bytes_of(&head));
    }
    snprintf(name, sizeof name, "%016llx.pixels", (unsigned long long)head.key);
    char *path = brume_path_join(folder, name);
    brume_status s = path ? brume_make_folders(folder) : brume_fail(BRUME_E_MEMORY, "%s: no memory", folder);
    void *map = s == BRUME_OK ? map_file(path, &head, &bytes) : NULL;
    if (s == BRUME_OK && !map) {
        s = build(ds, path, &head);
        if (s == BRUME_OK && !(map = map_file(path, &head, &bytes)))
            s = brume_fail(BRUME_E_IO, "%s: was written, but cannot be read", path);
    }
    if (map) s = brume_decoded_new_mapped(map, bytes, sizeof head, ds->count, head.values, out);
    free(path);
    free(folder);
    return s;
}
