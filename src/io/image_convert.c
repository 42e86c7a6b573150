/* SPDX-License-Identifier: MIT
 * Picture files by their content, and pictures to the size that a model takes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/image.h"
#include "io/picture_files.h"
#include "io/raster.h"

typedef brume_status reader(const void *bytes, size_t n, const char *name, brume_image **out);

static reader *reader_of(const uint8_t *b, size_t n)
{
    if (n >= 3 && b[0] == 0xff && b[1] == 0xd8 && b[2] == 0xff) return brume_jpeg_read_memory;
    if (n >= 4 && !memcmp(b, "\x89PNG", 4)) return brume_png_read_memory;
    if (n >= 6 && (!memcmp(b, "GIF87a", 6) || !memcmp(b, "GIF89a", 6))) return brume_gif_read_memory;
    if (n >= 3 && b[0] == 'P' && strchr("2356", b[1]) && b[1] && strchr(" \t\n\v\f\r#", b[2])) return brume_pnm_read_memory;
    return NULL;
}

static brume_status unknown(const char *path, size_t n)
{
    return n ? brume_fail(BRUME_E_FORMAT, "%s: is neither PNG nor JPEG, nor GIF, PGM or PPM", path)
             : brume_fail(BRUME_E_FORMAT, "%s: is empty", path);
}

brume_status brume_image_read(const char *path, brume_image **out)
{
    void *bytes;
    size_t n;
    *out = NULL;
    brume_status s = brume_file_read(path, (size_t)1 << 30, &bytes, &n);
    if (s != BRUME_OK) return s;
    reader *read = reader_of(bytes, n);
    s = read ? read(bytes, n, path, out) : unknown(path, n);
    free(bytes);
    return s;
}

brume_status brume_image_check(const char *path)
{
    uint8_t head[8];
    FILE *f = fopen(path, "rb");
    if (!f) return brume_fail(errno == ENOMEM ? BRUME_E_MEMORY : BRUME_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    setvbuf(f, NULL, _IONBF, 0); /* thousands of files, a few bytes of each */
    const size_t n = fread(head, 1, sizeof head, f);
    const int failed = ferror(f) ? errno : 0;
    fclose(f);
    if (failed) return brume_fail(BRUME_E_IO, "%s: cannot be read: %s", path, strerror(failed));
    return reader_of(head, n) ? BRUME_OK : unknown(path, n);
}

void brume_image_fit(const brume_image *im, int32_t height, int32_t width, int32_t channels, float *hwc)
{
    const struct brume_window middle = BRUME_WINDOW_MIDDLE;
    const struct brume_raster r = brume_raster_of(im);
    brume_raster_fit(&r, &middle, height, width, channels, hwc);
}
