/* SPDX-License-Identifier: MIT
 * Files of pixels that may be compressed with gzip. */
#ifndef BRUME_DATA_PACKED_H
#define BRUME_DATA_PACKED_H

#include <stddef.h>
#include <stdint.h>

#include "brume/status.h"

/** Reads a whole file, unpacked; the caller frees *out. *cut is 1 if a compressed file ends too early: what came before is there. */
brume_status brume_packed_read(const char *path, uint8_t **out, size_t *bytes, int *cut);

/** Path of folder/name or folder/name.gz, whichever is there, allocated; NULL if neither. */
char *brume_packed_find(const char *folder, const char *name);

#endif
