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

#define LIMIT ((size_t)2 << 30) /* a small file may unpack to anything */

brume_status brume_packed_read(const char *path, uint8_t **out, size_t *bytes, int *cut)
{
    uint8_t *data = NULL;
    size_t n = 0, cap = (size_t)1 << 20;
    *out = NULL;
    *bytes = 0;
    *cut = 0;
    if (!brume_is_file(path)) return brume_fail(BRUME_E_IO, "%s: is no regular file", path);
    errno = 0;
    gzFile f = gzopen(path, "rb");
    if (!f) return brume_fail(BRUME_E_IO, "%s: cannot open: %s", path, errno ? strerror(errno) : "no memory");
    gzbuffer(f, 1 << 17);
    brume_status s = BRUME_OK;
    for (;;) {
        uint8_t *more = realloc(data, cap);
        if (!more) {
            s = brume_fail(BRUME_E_MEMORY, "%s: no memory for %zu bytes", path, cap);
            break;
        }
        data = more;
        const size_t want = cap - n < ((size_t)1 << 30) ? cap - n : (size_t)1 << 30;
        const int got = gzread(f, data + n, (unsigned)want);
        int code = Z_OK;
        const char *why = gzerror(f, &code);
        if (got > 0) n += (size_t)got;
        if (code == Z_BUF_ERROR) {
            *cut = 1;
            break;
        }
        if (got < 0) {
            s = brume_fail(code == Z_ERRNO ? BRUME_E_IO : BRUME_E_FORMAT, "%s: cannot read: %s", path, code == Z_ERRNO ? strerror(errno) : why);
            break;
        }
        if (got == 0) break;
        if (n > LIMIT) {
            s = brume_fail(BRUME_E_UNSUPPORTED, "%s: more than %zu bytes", path, LIMIT);
            break;
        }
        if (n == cap) cap *= 2;
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

char *brume_packed_find(const char *folder, const char *name)
{
    char packed[256];
    for (int gz = 0; gz < 2; gz++) {
        snprintf(packed, sizeof packed, "%s%s", name, gz ? ".gz" : "");
        char *path = brume_path_join(folder, packed);
        if (path && brume_is_file(path)) return path;
        free(path);
    }
    return NULL;
}
