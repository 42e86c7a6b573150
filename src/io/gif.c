/* SPDX-License-Identifier: MIT
 * The first frame of GIF files, through giflib. */
#include "io/picture_files.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "config.h"

#if BRUME_HAVE_GIF

#include <gif_lib.h>

#define MAX_PIXELS ((size_t)1 << 26)
#define LZW_MOST 4096 /* pixels of a byte: there are 4096 codes of up to 12 bits, the longest for 4096 pixels */

struct source { const unsigned char *at; size_t left; };

static int supply(GifFileType *gif, GifByteType *to, int n)
{
    struct source *s = gif->UserData;
    const size_t take = n > 0 && (size_t)n < s->left ? (size_t)n : n > 0 ? s->left : 0;
    memcpy(to, s->at, take);
    s->at += take;
    s->left -= take;
    return (int)take;
}

static brume_status bad(int error, const char *name)
{
    const char *why = GifErrorString(error);
    if (error == D_GIF_ERR_NOT_ENOUGH_MEM) return brume_fail(BRUME_E_MEMORY, "%s: no memory to read it", name);
    return brume_fail(BRUME_E_FORMAT, "%s: not a good GIF: %s", name, why ? why : "unknown error");
}

/* Goes to the first frame; *clear is the colour that is transparent, or -1. */
static brume_status find_frame(GifFileType *gif, const char *name, int *clear)
{
    for (;;) {
        GifRecordType record;
        GifByteType *block = NULL;
        int code = 0;
        if (DGifGetRecordType(gif, &record) != GIF_OK) return bad(gif->Error, name);
        if (record == IMAGE_DESC_RECORD_TYPE) return DGifGetImageDesc(gif) == GIF_OK ? BRUME_OK : bad(gif->Error, name);
        if (record == TERMINATE_RECORD_TYPE) return brume_fail(BRUME_E_FORMAT, "%s: not a good GIF: it holds no picture", name);
        if (record != EXTENSION_RECORD_TYPE) continue;
        if (DGifGetExtension(gif, &code, &block) != GIF_OK) return bad(gif->Error, name);
        GraphicsControlBlock control;
        if (block && code == GRAPHICS_EXT_FUNC_CODE && DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK)
            *clear = control.TransparentColor;
        while (block)
            if (DGifGetExtensionNext(gif, &block) != GIF_OK) return bad(gif->Error, name);
    }
}

/* Draws the frame on the canvas, where everything is transparent before. */
static brume_status draw(GifFileType *gif, const char *name, int clear, GifPixelType *line, brume_image *im)
{
    static const int first[4] = { 0, 4, 2, 1 }, every[4] = { 8, 8, 4, 2 };
    const GifImageDesc *d = &gif->Image;
    const ColorMapObject *map = d->ColorMap ? d->ColorMap : gif->SColorMap;
    if (!map) return brume_fail(BRUME_E_FORMAT, "%s: not a good GIF: it has no colours", name);
    for (int pass = 0; pass < (d->Interlace ? 4 : 1); pass++)
        for (int y = d->Interlace ? first[pass] : 0; y < d->Height; y += d->Interlace ? every[pass] : 1) {
            if (DGifGetLine(gif, line, d->Width) != GIF_OK) return bad(gif->Error, name);
            uint8_t *p = im->pixels + ((size_t)(d->Top + y) * (size_t)im->width + (size_t)d->Left) * (size_t)im->channels;
            for (int x = 0; x < d->Width; x++, p += im->channels) {
                if (line[x] == clear) continue;
                if (line[x] >= map->ColorCount)
                    return brume_fail(BRUME_E_FORMAT, "%s: not a good GIF: colour %d of %d", name, line[x], map->ColorCount);
                const GifColorType *c = &map->Colors[line[x]];
                p[0] = c->Red;
                p[1] = c->Green;
                p[2] = c->Blue;
                if (im->channels == 4) p[3] = 255;
            }
        }
    return BRUME_OK;
}

static brume_status read_gif(GifFileType *gif, const char *name, size_t n, brume_image **out)
{
    int clear = -1;
    GifPixelType *line = NULL;
    brume_status s = find_frame(gif, name, &clear);
    if (s != BRUME_OK) return s;
    const GifImageDesc *d = &gif->Image;
    if (d->Left < 0 || d->Top < 0 || d->Width < 1 || d->Height < 1 || d->Left + d->Width > gif->SWidth ||
        d->Top + d->Height > gif->SHeight)
        return brume_fail(BRUME_E_FORMAT, "%s: not a good GIF: a frame of %d x %d at (%d, %d) on a screen of %d x %d", name,
                          d->Width, d->Height, d->Left, d->Top, gif->SWidth, gif->SHeight);
    if ((size_t)gif->SWidth * (size_t)gif->SHeight > MAX_PIXELS)
        return brume_fail(BRUME_E_UNSUPPORTED, "%s: more than %zu pixels", name, MAX_PIXELS);
    if ((size_t)d->Width * (size_t)d->Height / LZW_MOST > n)
        return brume_fail(BRUME_E_FORMAT, "%s: not a good GIF: a frame of %d x %d, more than %zu bytes can hold", name, d->Width,
                          d->Height, n);
    s = brume_image_new(gif->SHeight, gif->SWidth, clear >= 0 || d->Width < gif->SWidth || d->Height < gif->SHeight ? 4 : 3, out);
    if (s == BRUME_OK && !(line = malloc((size_t)d->Width * sizeof *line))) s = brume_fail(BRUME_E_MEMORY, "%s: no memory", name);
    if (s == BRUME_OK) s = draw(gif, name, clear, line, *out);
    free(line);
    return s;
}

brume_status brume_gif_read_memory(const void *bytes, size_t n, const char *name, brume_image **out)
{
    struct source source = { bytes, n };
    int error = 0;
    *out = NULL;
    GifFileType *gif = DGifOpen(&source, supply, &error);
    if (!gif) return bad(error, name);
    const brume_status s = read_gif(gif, name, n, out);
    DGifCloseFile(gif, &error);
    if (s == BRUME_OK) return s;
    brume_image_free(*out);
    *out = NULL;
    return s;
}

#else

brume_status brume_gif_read_memory(const void *bytes, size_t n, const char *name, brume_image **out)
{
    (void)bytes;
    (void)n;
    *out = NULL;
    return brume_fail(BRUME_E_UNSUPPORTED, "%s: this build reads no GIF; install giflib and build again, or convert it to PNG",
                      name);
}

#endif
