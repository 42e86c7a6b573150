/* SPDX-License-Identifier: MIT
 * Whole folders: put in place at once, removed. */
#ifndef BRUME_BASE_FOLDER_H
#define BRUME_BASE_FOLDER_H

#include "brume/status.h"

/** Removes a folder with all that is in it, or a file; links are removed, not followed. What does not exist is fine. BRUME_E_IO:
 * something is left. */
brume_status brume_folder_remove(const char *path);
/**
 * Puts a finished folder in place, and that on the disk. One that is there already is moved to `aside` (which is removed before
 * and after): whoever ends in between leaves the old folder there, and nothing half done under the name itself.
 */
brume_status brume_folder_replace(const char *fresh, const char *path, const char *aside);

#endif
