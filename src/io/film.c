/* SPDX-License-Identifier: MIT
 * Films as animated GIF, through giflib, written to memory first so that the file is whole or absent. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/image.h"
#include "config.h"

#if BRUME_HAVE_GIF

#include <gif_lib.h>

struct brume_film {
    char *path;
    GifFileType *gif;
    unsigned char *bytes;
    size_t n, room;
    int32_t height, width, channels; /* of the first frame; 0: none yet */
    int no_memory;
};

/* giflib's output function: returns how much it took, less means an error. */
static int collect(GifFileType *gif, const GifByteType *data, int n)
{
    brume_film *f = gif->UserData;
    if (f->n + (size_t)n > f->room) {
        const size_t room = 2 * (f->n + (size_t)n) + 65536;
        unsigned char *grown = realloc(f->bytes, room);
        if (!grown) { f->no_memory = 1; return 0; }
        f->bytes = grown;
        f->room = room;
    }
    memcpy(f->bytes + f->n, data, (size_t)n);
    f->n += (size_t)n;
    return n;
}

static brume_status no_memory(void) { return brume_fail(BRUME_E_MEMORY, "out of memory for a film"); }

static brume_status failed(const brume_film *f, int error)
{
    if (f->no_memory) return no_memory();
    const char *why = GifErrorString(error);
    return brume_fail(BRUME_E_FORMAT, "%s: giflib: %s", f->path, why ? why : "unknown error");
}

brume_status brume_film_new(const char *path, brume_film **out)
{
    int error = 0;
    *out = NULL;
    brume_film *f = calloc(1, sizeof *f);
    if (!f) return no_memory();
    f->path = strdup(path);
    if (f->path) f->gif = EGifOpen(f, collect, &error);
    if (!f->path || !f->gif) {
        brume_film_abort(f);
        return no_memory();
    }
    EGifSetGifVersion(f->gif, 1); /* GIF89a: delays and repetition */
    *out = f;
    return BRUME_OK;
}

void brume_film_abort(brume_film *f)
{
    int error;
    if (!f) return;
    if (f->gif) EGifCloseFile(f->gif, &error);
    free(f->bytes);
    free(f->path);
    free(f);
}

static int begin(brume_film *f)
{
    static const unsigned char for_ever[3] = { 1, 0, 0 };
    return EGifPutScreenDesc(f->gif, f->width, f->height, 8, 0, NULL) == GIF_OK &&
           EGifPutExtensionLeader(f->gif, APPLICATION_EXT_FUNC_CODE) == GIF_OK &&
           EGifPutExtensionBlock(f->gif, 11, "NETSCAPE2.0") == GIF_OK && EGifPutExtensionBlock(f->gif, 3, for_ever) == GIF_OK &&
           EGifPutExtensionTrailer(f->gif) == GIF_OK;
}

/* Palette and index of every pixel; transparency is drawn on white. */
static int quantize(const brume_image *im, ColorMapObject *map, GifByteType *index)
{
    const size_t n = (size_t)im->height * (size_t)im->width;
    int colours = 256;
    if (im->channels == 1) {
        for (int i = 0; i < 256; i++) map->Colors[i] = (GifColorType){ (GifByteType)i, (GifByteType)i, (GifByteType)i };
        memcpy(index, im->pixels, n);
        return GIF_OK;
    }
    GifByteType *planes = malloc(3 * n);
    if (!planes) return GIF_ERROR;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = im->pixels + i * (size_t)im->channels;
        const int alpha = im->channels == 4 ? p[3] : 255;
        for (size_t k = 0; k < 3; k++) planes[k * n + i] = (GifByteType)((p[k] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
    const int ok = GifQuantizeBuffer((unsigned)im->width, (unsigned)im->height, &colours, planes, planes + n, planes + 2 * n,
                                     index, map->Colors);
    free(planes);
    /* giflib counts colours in 5 bits a channel, so that white came out as 248 */
    for (int i = 0; i < 256 && ok == GIF_OK; i++) {
        GifColorType *k = &map->Colors[i];
        k->Red = (GifByteType)(k->Red * 255 / 248);
        k->Green = (GifByteType)(k->Green * 255 / 248);
        k->Blue = (GifByteType)(k->Blue * 255 / 248);
    }
    return ok;
}

static int put(brume_film *f, const brume_image *im, const ColorMapObject *map, GifByteType *index, int centiseconds)
{
    GraphicsControlBlock control = { .DisposalMode = DISPOSE_DO_NOT, .DelayTime = centiseconds,
                                     .TransparentColor = NO_TRANSPARENT_COLOR };
    GifByteType block[4];
    EGifGCBToExtension(&control, block);
    if (EGifPutExtension(f->gif, GRAPHICS_EXT_FUNC_CODE, 4, block) != GIF_OK ||
        EGifPutImageDesc(f->gif, 0, 0, im->width, im->height, 0, map) != GIF_OK)
        return GIF_ERROR;
    for (int32_t y = 0; y < im->height; y++)
        if (EGifPutLine(f->gif, index + (size_t)y * (size_t)im->width, im->width) != GIF_OK) return GIF_ERROR;
    return GIF_OK;
}

brume_status brume_film_add(brume_film *f, const brume_image *im, int centiseconds)
{
    if (centiseconds < 1 || centiseconds > 65535)
        return brume_fail(BRUME_E_ARG, "%s: a frame lasts 1 .. 65535 hundredths of a second, got %d", f->path, centiseconds);
    if (!f->width) {
        f->height = im->height;
        f->width = im->width;
        if (!begin(f)) return failed(f, f->gif->Error);
    } else if (im->height != f->height || im->width != f->width) {
        return brume_fail(BRUME_E_SHAPE, "%s: frames of a film have one size, expected %dx%d, got %dx%d", f->path, f->width,
                          f->height, im->width, im->height);
    }
    ColorMapObject *map = GifMakeMapObject(256, NULL);
    GifByteType *index = malloc((size_t)im->height * (size_t)im->width);
    brume_status s = BRUME_OK;
    if (!map || !index || quantize(im, map, index) != GIF_OK) s = no_memory();
    else if (put(f, im, map, index, centiseconds) != GIF_OK) s = failed(f, f->gif->Error);
    if (map) GifFreeMapObject(map);
    free(index);
    return s;
}

brume_status brume_film_close(brume_film *f)
{
    int error = 0;
    brume_status s = BRUME_OK;
    if (!f->width) s = brume_fail(BRUME_E_ARG, "%s: a film needs at least one frame", f->path);
    const int ok = EGifCloseFile(f->gif, &error);
    f->gif = NULL;
    if (s == BRUME_OK && ok != GIF_OK) s = failed(f, error);
    if (s == BRUME_OK) s = brume_file_write(f->path, f->bytes, f->n);
    brume_film_abort(f);
    return s;
}

#else

brume_status brume_film_new(const char *path, brume_film **out)
{
    *out = NULL;
    return brume_fail(BRUME_E_UNSUPPORTED, "%s: this build writes no GIF files; build it with giflib (-Dgif=enabled)", path);
}
brume_status brume_film_add(brume_film *f, const brume_image *frame, int centiseconds)
{
    (void)f; (void)frame; (void)centiseconds;
    return BRUME_E_UNSUPPORTED;
}
brume_status brume_film_close(brume_film *f) { (void)f; return BRUME_E_UNSUPPORTED; }
void brume_film_abort(brume_film *f) { (void)f; }

#endif
