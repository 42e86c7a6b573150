/* SPDX-License-Identifier: MIT
 * Pictures: PNG files with text, and grids of samples. Pixels are rows of interleaved channels (H, W, C), top row first. */
#ifndef BRUME_IMAGE_H
#define BRUME_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "brume/api.h"
#include "brume/status.h"

BRUME_API_BEGIN

/** A picture in memory. Made and freed by the functions here. */
typedef struct brume_image {
    int32_t height, width, channels; /* channels: 1 grey, 3 RGB, 4 RGBA */
    uint8_t *pixels;                 /* (height, width, channels) */
    uint16_t *deep;                  /* the same with 16 bits, where the file has more than 8; else NULL */
    int n_text;                      /**< pairs */
    char **text;                     /* key, value, key, value, ...: 2 n_text strings, UTF-8 */
} brume_image;

/** Makes an image with pixels of zero. height, width 1 .. 65535; channels 1, 3 or 4. */
brume_status brume_image_new(int32_t height, int32_t width, int32_t channels, brume_image **out);
/** Frees it; NULL is fine. */
void brume_image_free(brume_image *im);
/** Sets a text pair (replaces an equal key). key: 1 to 79 printable ASCII characters, spaces only one by one between others (as
 * PNG demands); value: UTF-8. */
brume_status brume_image_set_text(brume_image *im, const char *key, const char *value);
/** Value of a key, or NULL. */
const char *brume_image_text(const brume_image *im, const char *key);

/** round((x + 1) / 2 * 255), clamped to 0 .. 255; NaN gives 0. And back: b / 127.5 - 1. */
uint8_t brume_to_byte(float x);
float brume_from_byte(uint8_t b);

/**
 * Reads a PNG of any kind: 16 bits are scaled to 8 and kept as deep, palettes and transparency expanded; grey with alpha becomes
 * RGBA. At most 65535 pixels a side and 2^28 bytes. Text pairs (tEXt, zTXt, iTXt) are kept.
 */
brume_status brume_png_read(const char *path, brume_image **out);
/** The same from memory; name stands for the file in messages. */
brume_status brume_png_read_memory(const void *bytes, size_t n, const char *name, brume_image **out);
/** Reads a PNG, PGM, PPM (text or bytes) or, where the build has libjpeg and giflib, a JPEG or the first frame of a GIF, whatever
 * its name. */
brume_status brume_image_read(const char *path, brume_image **out);
/** BRUME_OK if the file begins as one of these; else the reason. It may be damaged further on. */
brume_status brume_image_check(const char *path);
/**
 * Cuts the middle part of the wanted proportions out and resamples it by areas into hwc (height, width, channels), f32 in [-1,
 * 1], from 16 bits where the image has them. channels: 1 (luma) or 3, where transparent parts become white; or 4, opaque being 1.
 * All sizes >= 1.
 */
void brume_image_fit(const brume_image *im, int32_t height, int32_t width, int32_t channels, float *hwc);
/** Writes a PNG with the image's text, whole or not at all. */
brume_status brume_png_write(const char *path, const brume_image *im);
/** The same to memory, which the caller frees with free(); name stands for the file in messages. */
brume_status brume_png_write_memory(const brume_image *im, const char *name, void **bytes, size_t *n);

/** A film under construction: an animated GIF that repeats for ever. */
typedef struct brume_film brume_film;
/** Begins a film. BRUME_E_UNSUPPORTED where the build has no giflib. */
brume_status brume_film_new(const char *path, brume_film **out);
/**
 * Appends a frame, shown for that many hundredths of a second; all frames have the size of the first (else BRUME_E_SHAPE).
 * Colours are reduced to 256 for each frame; grey is exact. centiseconds 1 .. 65535.
 */
brume_status brume_film_add(brume_film *f, const brume_image *frame, int centiseconds);
/** Writes the file, whole or not at all, and frees f. At least one frame is needed. */
brume_status brume_film_close(brume_film *f);
/** Frees f without writing; NULL is fine. */
void brume_film_abort(brume_film *f);

/**
 * Arranges n images (N, H, W, C), f32 in [-1, 1], in a grid with 2 white pixels around each.
 * C: 1, 3 or 4 (more: the first 3; 2: the first)
 * columns  0 = about square
 * scale    nearest-neighbour enlargement; 0 = small images are enlarged by a whole factor until the grid is pleasant to look at
 */
brume_status brume_image_grid(const float *images, int64_t n, int32_t height, int32_t width, int32_t channels, int32_t columns,
                              int32_t scale, brume_image **out);

BRUME_API_END

#endif
