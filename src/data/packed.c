/* SPDX-License-Identifier: MIT
 * Files of pixels, read through zlib: it passes uncompressed files on as they are. */
#include "data/packed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/fail.h"
#include "base/file.h"

static brume_status open_packed(const char *path, gzFile *f)
{
    if (!brume_is_file(path)) return brume_fail(BRUME_E_IO, "%s: is no regular file", path);
    errno = 0;
    *f = gzopen(path, "rb");
    if (*f) return BRUME_OK;
    if (!errno || errno == ENOMEM) return brume_fail(BRUME_E_MEMORY, "%s: no memory to open it", path);
    return brume_fail(BRUME_E_IO, "%s: cannot open: %s", path, strerror(errno));
}

/* Reads on; *n is less than asked for at the end. */
static brume_status read_part(gzFile f, const char *path, uint8_t *to, size_t want, size_t *n, int *cut)
{
    const int got = gzread(f, to, (unsigned)want);
    int code = Z_OK;
    const char *why = gzerror(f, &code);
    *n = got > 0 ? (size_t)got : 0;
    *cut = code == Z_BUF_ERROR;
    if (got >= 0 || *cut) return BRUME_OK;
    if (code == Z_MEM_ERROR) return brume_fail(BRUME_E_MEMORY, "%s: no memory to read it", path);
    return brume_fail(code == Z_ERRNO ? BRUME_E_IO : BRUME_E_FORMAT, "%s: cannot read: %s", path,
                      code == Z_ERRNO ? strerror(errno) : why);
}

brume_status brume_packed_head(const char *path, uint8_t *head, size_t n, size_t *bytes)
{
    gzFile f;
    int cut;
    *bytes = 0;
    brume_status s = open_packed(path, &f);
    if (s != BRUME_OK) return s;
    s = read_part(f, path, head, n, bytes, &cut);
    gzclose(f);
    return s;
}

brume_status brume_packed_read(const char *path, size_t most, uint8_t **out, size_t *bytes, int *cut)
{
    enum { AT_ONCE = 1 << 30 };
    uint8_t *data = NULL;
    size_t n = 0, cap = most < (1 << 20) ? most + 1 : 1 << 20;
    gzFile f;
    *out = NULL;
    *bytes = 0;
    *cut = 0;
    brume_status s = open_packed(path, &f);
    if (s != BRUME_OK) return s;
    gzbuffer(f, 1 << 17);
    for (int end = 0; s == BRUME_OK && !end && !*cut && n <= most;) {
        uint8_t *more = realloc(data, cap);
        if (!more) {
            s = brume_fail(BRUME_E_MEMORY, "%s: no memory for %zu bytes", path, cap);
            break;
        }
        data = more;
        const size_t want = cap - n < AT_ONCE ? cap - n : AT_ONCE;
        size_t got;
        s = read_part(f, path, data + n, want, &got, cut);
        end = got == 0;
        n += got;
        if (n == cap) cap = 2 * cap < most ? 2 * cap : most + 1;
    }
    gzclose(f);
    if (s != BRUME_OK) {
        free(data);
        return s;
    }
    *out = data;
    *bytes = n;
    return BRUME_OK;
}

brume_status brume_packed_find(const char *folder, const char *name, char **path)
{
    char packed[256];
    brume_status s = BRUME_OK;
    *path = NULL;
    for (int gz = 0; gz < 2 && s == BRUME_OK && !*path; gz++) {
        snprintf(packed, sizeof packed, "%s%s", name, gz ? ".gz" : "");
        s = brume_file_in(folder, packed, path);
    }
    return s;
}
