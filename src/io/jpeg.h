/* SPDX-License-Identifier: MIT
 * JPEG files, where the build has libjpeg. */
#ifndef BRUME_IO_JPEG_H
#define BRUME_IO_JPEG_H

#include <stddef.h>

#include "brume/image.h"

/** As brume_png_read_memory(): grey stays grey, everything else becomes RGB. BRUME_E_UNSUPPORTED in a build without libjpeg. */
brume_status brume_jpeg_read_memory(const void *bytes, size_t n, const char *name, brume_image **out);

#endif
