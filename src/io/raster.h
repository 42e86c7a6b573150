/* SPDX-License-Identifier: MIT
 * Pixels of any kind and order, and their way to the size and channels that a model takes. */
#ifndef BRUME_IO_RASTER_H
#define BRUME_IO_RASTER_H

#include "brume/image.h"

enum brume_raster_type {
    BRUME_RASTER_U8,  /* 0 .. 255 */
    BRUME_RASTER_U16, /* 0 .. 65535 */
    BRUME_RASTER_F32  /* -1 .. 1 */
};

struct brume_raster {
    int32_t height, width, channels;  /* channels: 1 grey, 3 RGB, 4 RGBA */
    enum brume_raster_type type;
    const void *values;
    int64_t row, column, channel;     /* from one to the next, in values */
    brume_image *image;               /* what the values belong to, if it goes with the raster; */
    void *memory;                     /* or so */
};

/* What to take of a picture: of the largest part that has the wanted proportions, the share `part` of its sides; where it lies in
 * the picture, from 0 to 1. */
struct brume_window { double part, y, x; };
#define BRUME_WINDOW_MIDDLE { 1, 0.5, 0.5 }

/* Those of an image; with 16 bits, where it has them. The image stays the caller's. */
struct brume_raster brume_raster_of(const brume_image *im);
/* Frees image and memory. */
void brume_raster_free(struct brume_raster *r);
/* See brume_image_fit(). A picture that has size and channels already is taken as it is: bytes by brume_from_byte(). */
void brume_raster_fit(const struct brume_raster *r, const struct brume_window *w, int32_t height, int32_t width, int32_t channels,
                      float *hwc);

#endif
