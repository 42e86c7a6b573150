/* SPDX-License-Identifier: MIT
 * Files of pixels that may be compressed with gzip. */
#ifndef BRUME_DATA_PACKED_H
#define BRUME_DATA_PACKED_H

#include <stddef.h>
#include <stdint.h>

#include "brume/status.h"

#define BRUME_PACKED_MOST ((size_t)2 << 30) /* a small file may unpack to anything */

/** The first n bytes of a file, unpacked; *bytes is less where it has fewer. */
brume_status brume_packed_head(const char *path, uint8_t *head, size_t n, size_t *bytes);
/**
 * Reads a whole file, unpacked, but not much more than `most` bytes of it (at most BRUME_PACKED_MOST): *bytes > most says that
 * there are more. The caller frees *out. *cut is 1 if a compressed file ends too early: what came before is there.
 */
brume_status brume_packed_read(const char *path, size_t most, uint8_t **out, size_t *bytes, int *cut);

/** *path: folder/name or folder/name.gz, whichever is there, allocated; NULL if neither. BRUME_E_MEMORY. */
brume_status brume_packed_find(const char *folder, const char *name, char **path);

#endif
