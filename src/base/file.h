/* SPDX-License-Identifier: MIT
 * Files and paths: whole reads with a limit, folders, and replacement that leaves the old file or the new one, never a torn
 * one. */
#ifndef BRUME_BASE_FILE_H
#define BRUME_BASE_FILE_H

#include <stddef.h>

/* brume_file_write(): the three calls of brume_atomic at once; brume_make_folders(), brume_name_check() */
#include "brume/file.h"
#include "brume/status.h"

/**
 * Reads a whole file. *out is allocated (one zero byte follows the data, so text is a string), the caller frees it with free().
 * More than limit bytes, a folder, or a read error: BRUME_E_IO or BRUME_E_FORMAT with path and reason.
 */
brume_status brume_file_read(const char *path, size_t limit, void **out, size_t *bytes);

int brume_is_folder(const char *path);
int brume_is_file(const char *path);

/** Puts a finished file in place of another, which is kept under the name `keep` (in the same folder), unless that is NULL. */
brume_status brume_file_replace(const char *fresh, const char *path, const char *keep);
/**
 * Removes files under construction (see brume_atomic) that nobody writes any more, as killed processes leave them, from a folder
 * and `depth` levels of folders in it. What cannot be removed stays.
 */
void brume_remove_unfinished(const char *folder, int depth);

/** The last '/' of a path (on Windows also '\\'), NULL: there is none. */
char *brume_path_slash(const char *path);

/** Makes the folder that a file is to lie in, and its parents. BRUME_E_IO, BRUME_E_MEMORY. */
brume_status brume_make_parents(const char *path);

/** "a/b", allocated; free() it. NULL without memory. b is returned alone if a is empty or b begins with '/' or a drive. */
char *brume_path_join(const char *a, const char *b);

/** *path: folder/name if that is a file, else NULL; free() it. BRUME_E_MEMORY. */
brume_status brume_file_in(const char *folder, const char *name, char **path);

/**
 * A file under construction: written beside its target under a hidden name, then renamed onto it.
 * A target that exists and is no regular file (/dev/null, a pipe) is written directly.
 */
typedef struct brume_atomic brume_atomic;

/** Begins; the folder of path must exist. */
brume_status brume_atomic_open(const char *path, brume_atomic **out);
/** Appends bytes. After a failure the file can only be closed with brume_atomic_abort(). */
brume_status brume_atomic_write(brume_atomic *a, const void *data, size_t bytes);
/** Flushes to the disk, renames, flushes the folder, and frees a. On failure the old file is untouched. */
brume_status brume_atomic_commit(brume_atomic *a);
/** Removes what was written and frees a; NULL is fine. */
void brume_atomic_abort(brume_atomic *a);

#endif
