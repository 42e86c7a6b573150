/* SPDX-License-Identifier: MIT
 * Files that are whole or as they were before. */
#ifndef BRUME_FILE_H
#define BRUME_FILE_H

#include <stddef.h>

#include "brume/status.h"

/**
 * Replaces a file at once: on failure (BRUME_E_IO, with path and reason) the old one is untouched. What exists and is no regular file
 * (/dev/null, a pipe) is written directly.
 */
brume_status brume_file_write(const char *path, const void *data, size_t bytes);

#endif
