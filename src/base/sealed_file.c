/* SPDX-License-Identifier: MIT
 * Small texts kept between runs, with their owner and a checksum. */
#include "base/sealed_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cache_folder.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/hash.h"

#define SUM_BYTES 17 /* 16 digits and the end of the line */

static void sum_of(const char *data, size_t bytes, char sum[SUM_BYTES + 1])
{
    snprintf(sum, SUM_BYTES + 1, "%016" PRIx64 "\n", brume_fnv1a(data, bytes));
}

void brume_sealed_owner(char *owner)
{
    for (char *c = owner; *c; c++)
        if (*c == '\n' || *c == '\r') *c = ' ';
}

char *brume_sealed_path(const char *part, const char *owner, char why[256])
{
    char name[32];
    snprintf(name, sizeof name, "%016" PRIx64 ".txt", brume_fnv1a(owner, strlen(owner)));
    char *folder = brume_cache_folder(part, why), *path = folder ? brume_path_join(folder, name) : NULL;
    free(folder);
    return path;
}

char *brume_sealed_read(const char *path, const char *owner, size_t limit)
{
    char *data = NULL, sum[SUM_BYTES + 1];
    size_t bytes = 0;
    const size_t head = strlen(owner);
    if (!brume_is_file(path) || brume_file_read(path, limit, (void **)&data, &bytes) != BRUME_OK) return NULL;
    if (bytes > head + SUM_BYTES && !memcmp(data, owner, head) && data[head] == '\n') {
        const size_t text = bytes - SUM_BYTES;
        sum_of(data, text, sum);
        if (!memcmp(data + text, sum, SUM_BYTES)) {
            data[text] = 0;
            memmove(data, data + head + 1, text - head);
            return data;
        }
    }
    free(data);
    return NULL;
}

brume_status brume_sealed_write(const char *path, const char *owner, const char *text)
{
    const size_t bytes = strlen(owner) + 1 + strlen(text);
    char *all = malloc(bytes + SUM_BYTES + 1);
    if (!all) return brume_fail(BRUME_E_MEMORY, "%s: no memory to write it", path);
    snprintf(all, bytes + 1, "%s\n%s", owner, text);
    sum_of(all, bytes, all + bytes);
    brume_status s = brume_make_parents(path);
    if (s == BRUME_OK) s = brume_file_write(path, all, bytes + SUM_BYTES);
    free(all);
    return s;
}
