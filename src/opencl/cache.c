/* SPDX-License-Identifier: MIT
 * Compiled programs on disk. An entry holds its whole key (device, driver, options, source) beside the driver's binary, so that a
 * file of another device or another version of brume is never taken, and a checksum, so that a damaged one is not either. Nothing
 * here fails towards the caller: without a cache, programs are compiled. */
#include "opencl/cache.h"
#include "opencl/opencl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>
#include <zlib.h>

#include "base/cache_folder.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/system.h"

#define SUFFIX ".clbin"
#define NAME_BYTES (16 + sizeof SUFFIX)
#define MAGIC 0x314c4362u
#define DEFAULT_LIMIT_MIB 256
#define ABANDONED 3600 /* seconds after which a half-written file has no writer any more */

/* What stands before the key and the binary. The checksum covers all that follows it. */
struct header {
    uint32_t magic, checksum;
    uint64_t key_bytes, binary_bytes;
    uint32_t kernels, reserved;
};

static uint32_t checksum(const struct header *h, const char *key, const unsigned char *binary)
{
    uLong c = crc32_z(0, (const unsigned char *)&h->key_bytes, sizeof *h - offsetof(struct header, key_bytes));
    c = crc32_z(c, (const unsigned char *)key, (size_t)h->key_bytes);
    return (uint32_t)crc32_z(c, binary, (size_t)h->binary_bytes);
}

static uint64_t find_limit(void)
{
    const char *text = getenv("BRUME_CACHE_MIB");
    char *end = NULL;
    const double mib = text ? strtod(text, &end) : DEFAULT_LIMIT_MIB;
    return (uint64_t)((!text || (end != text && mib >= 0 && mib < 1e9) ? mib : DEFAULT_LIMIT_MIB) * 1048576);
}

void brume_cl_cache_open(struct brume_cl_cache *c, char why[256])
{
    *c = (struct brume_cl_cache){ .folder = brume_cache_folder("programs", why), .limit = find_limit() };
    if (!c->folder) return;
    if (brume_make_folders(c->folder) != BRUME_OK) snprintf(why, 256, "%.255s", brume_error());
    else if (access(c->folder, R_OK | W_OK | X_OK)) snprintf(why, 256, "%.200s: %s", c->folder, strerror(errno));
    if (why[0]) brume_cl_cache_close(c);
}

void brume_cl_cache_close(struct brume_cl_cache *c)
{
    free(c->folder);
    c->folder = NULL;
}

static char *entry_path(const struct brume_cl_cache *c, const char *key)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%016llx" SUFFIX, (unsigned long long)brume_fnv1a(key, strlen(key)));
    return brume_path_join(c->folder, name);
}

/* 1 if the bytes are the entry of this key, whole and unharmed. */
static bool valid(const unsigned char *data, size_t bytes, const char *key, struct header *h)
{
    const size_t key_bytes = strlen(key);
    if (bytes < sizeof *h) return false;
    memcpy(h, data, sizeof *h);
    return h->magic == MAGIC && h->key_bytes == key_bytes && bytes - sizeof *h >= key_bytes &&
           h->binary_bytes == bytes - sizeof *h - key_bytes && !memcmp(data + sizeof *h, key, key_bytes) &&
           h->checksum == checksum(h, key, data + sizeof *h + key_bytes);
}

void *brume_cl_cache_load(const struct brume_cl_cache *c, const char *key, const unsigned char **binary, size_t *binary_bytes,
                          unsigned *kernels)
{
    char *path = c->folder ? entry_path(c, key) : NULL;
    void *data = NULL;
    size_t bytes = 0;
    struct header h;
    if (path && brume_is_file(path) && brume_file_read(path, (size_t)1 << 30, &data, &bytes) == BRUME_OK) {
        if (valid(data, bytes, key, &h)) {
            *binary = (const unsigned char *)data + sizeof h + h.key_bytes;
            *binary_bytes = (size_t)h.binary_bytes;
            *kernels = h.kernels;
            utime(path, NULL); /* the time of last use: which entries go first when room is needed */
        } else {
            free(data);
            data = NULL;
        }
    }
    free(path);
    return data;
}

void brume_cl_cache_store(const struct brume_cl_cache *c, const char *key, const unsigned char *binary, size_t binary_bytes,
                          unsigned kernels)
{
    if (!c->folder) return;
    struct header h = { .magic = MAGIC, .key_bytes = strlen(key), .binary_bytes = binary_bytes, .kernels = kernels };
    h.checksum = checksum(&h, key, binary);
    char *path = sizeof h + h.key_bytes + h.binary_bytes <= c->limit ? entry_path(c, key) : NULL;
    brume_atomic *a = NULL;
    if (path && brume_atomic_open(path, &a) == BRUME_OK) {
        if (brume_atomic_write(a, &h, sizeof h) == BRUME_OK && brume_atomic_write(a, key, (size_t)h.key_bytes) == BRUME_OK &&
            brume_atomic_write(a, binary, binary_bytes) == BRUME_OK)
            brume_atomic_commit(a);
        else
            brume_atomic_abort(a);
    }
    free(path);
}

struct file { char name[NAME_BYTES]; uint64_t bytes; int64_t used[2]; /* seconds, nanoseconds */ };

static bool is_entry(const char *name)
{
    return strlen(name) == NAME_BYTES - 1 && strspn(name, "0123456789abcdef") == 16 && !strcmp(name + 16, SUFFIX);
}

/* ".0123456789abcdef.clbin.123-4.tmp": an entry under construction */
static bool is_unfinished(const char *name)
{
    const size_t n = strlen(name);
    return name[0] == '.' && strspn(name + 1, "0123456789abcdef") == 16 && !strncmp(name + 17, SUFFIX ".", sizeof SUFFIX) &&
           n > 4 && !strcmp(name + n - 4, ".tmp");
}

/* All entries; what an interrupted writer left behind is removed on the way. */
static struct file *list_entries(const char *folder, int *n)
{
    struct file *files = NULL;
    int cap = 0;
    *n = 0;
    DIR *dir = opendir(folder);
    if (!dir) return NULL;
    for (struct dirent *e; (e = readdir(dir));) {
        struct stat st;
        const bool entry = is_entry(e->d_name), unfinished = is_unfinished(e->d_name);
        char *path = entry || unfinished ? brume_path_join(folder, e->d_name) : NULL;
        const bool found = path && !lstat(path, &st) && S_ISREG(st.st_mode);
        if (found && unfinished && time(NULL) - st.st_mtime > ABANDONED) unlink(path);
        free(path);
        if (!found || unfinished) continue;
        if (*n == cap) {
            struct file *grown = realloc(files, (size_t)(cap = cap ? 2 * cap : 64) * sizeof *files);
            if (!grown) break;
            files = grown;
        }
        struct file *f = &files[(*n)++];
        snprintf(f->name, sizeof f->name, "%s", e->d_name);
        f->bytes = (uint64_t)st.st_size;
        brume_system_modified(&st, f->used);
    }
    closedir(dir);
    return files;
}

static int by_age(const void *pa, const void *pb)
{
    const int64_t *a = ((const struct file *)pa)->used, *b = ((const struct file *)pb)->used;
    return a[0] != b[0] ? (a[0] > b[0]) - (a[0] < b[0]) : (a[1] > b[1]) - (a[1] < b[1]);
}

void brume_cl_cache_trim(const struct brume_cl_cache *c)
{
    if (!c->folder) return;
    int n;
    uint64_t total = 0;
    struct file *files = list_entries(c->folder, &n);
    for (int i = 0; i < n; i++) total += files[i].bytes;
    if (total > c->limit) {
        qsort(files, (size_t)n, sizeof *files, by_age);
        for (int i = 0; i < n && total > c->limit; i++) {
            char *path = brume_path_join(c->folder, files[i].name);
            if (path && !unlink(path)) total -= files[i].bytes;
            free(path);
        }
    }
    free(files);
}

void brume_opencl_cache(brume_cache_info *info)
{
    struct brume_cl_cache c;
    *info = (brume_cache_info){ .entries = 0 };
    brume_cl_cache_open(&c, info->note);
    info->limit = c.limit;
    if (!c.folder) return;
    snprintf(info->folder, sizeof info->folder, "%s", c.folder);
    info->usable = 1;
    struct file *files = list_entries(c.folder, &info->entries);
    for (int i = 0; i < info->entries; i++) info->bytes += files[i].bytes;
    free(files);
    brume_cl_cache_close(&c);
}
