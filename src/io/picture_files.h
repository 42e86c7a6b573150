/* SPDX-License-Identifier: MIT
 * Readers of picture files beside PNG: as brume_png_read_memory(), each for one format. */
#ifndef BRUME_IO_PICTURE_FILES_H
#define BRUME_IO_PICTURE_FILES_H

#include <stddef.h>

#include "brume/image.h"

/** Grey stays grey, everything else becomes RGB. BRUME_E_UNSUPPORTED in a build without libjpeg. */
brume_status brume_jpeg_read_memory(const void *bytes, size_t n, const char *name, brume_image **out);
/** The first frame: RGB, or RGBA where something is transparent. BRUME_E_UNSUPPORTED in a build without giflib. */
brume_status brume_gif_read_memory(const void *bytes, size_t n, const char *name, brume_image **out);
/** PGM and PPM, as text or bytes, with 8 or 16 bits. */
brume_status brume_pnm_read_memory(const void *bytes, size_t n, const char *name, brume_image **out);

#endif
