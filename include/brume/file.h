/* SPDX-License-Identifier: MIT
 * Files that are whole or as they were before, and what tells them apart. */
#ifndef BRUME_FILE_H
#define BRUME_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "brume/api.h"
#include "brume/status.h"

BRUME_API_BEGIN

/**
 * Replaces a file at once: on failure (BRUME_E_IO, with path and reason) the old one is untouched. What exists and is no regular
 * file (/dev/null, a pipe) is written directly.
 */
brume_status brume_file_write(const char *path, const void *data, size_t bytes);

/** Makes a folder and its parents; one that exists is fine. BRUME_E_IO. */
brume_status brume_make_folders(const char *path);

/**
 * BRUME_OK if a name found inside a file may be joined to a folder: not empty, no '/', '\\' or control characters, and not "." or
 * "..". where names the file that holds it, for the message.
 */
brume_status brume_name_check(const char *name, const char *where);

/** 64 bits that tell whether a file (or device) holds the same bytes as another; no protection against forgery. BRUME_E_IO. */
brume_status brume_file_fingerprint(const char *path, uint64_t *out);

BRUME_API_END

#endif
