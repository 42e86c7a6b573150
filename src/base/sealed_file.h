/* SPDX-License-Identifier: MIT
 * Small texts kept between runs: a line that says what they belong to, the text itself, and a checksum of both. A file that is
 * damaged or belongs to something else is none, so that whoever asks needs no check of his own. */
#ifndef BRUME_BASE_SEALED_FILE_H
#define BRUME_BASE_SEALED_FILE_H

#include <stddef.h>

#include "brume/status.h"

/** Ends of lines become spaces: texts of drivers may hold anything, and `owner` below is one line. */
void brume_sealed_owner(char *owner);
/** The file of an owner in the folder `part` of caches; to be freed. NULL: no memory, or the reason in why, see
 * brume_cache_folder(). */
char *brume_sealed_path(const char *part, const char *owner, char why[256]);
/** The text, to be freed; NULL: no such file, longer than limit bytes, damaged, or another owner's. */
char *brume_sealed_read(const char *path, const char *owner, size_t limit);
/** Replaces the file at once; its folder is made. */
brume_status brume_sealed_write(const char *path, const char *owner, const char *text);

#endif
