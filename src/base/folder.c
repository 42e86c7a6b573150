/* SPDX-License-Identifier: MIT
 * Whole folders, over POSIX. */
#include "base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/file.h"

brume_status brume_folder_remove(const char *path)
{
    struct stat st;
    brume_status s = BRUME_OK;
    if (lstat(path, &st))
        return errno == ENOENT ? BRUME_OK : brume_fail(BRUME_E_IO, "%s: cannot look at it: %s", path, strerror(errno));
    DIR *d = S_ISDIR(st.st_mode) ? opendir(path) : NULL;
    for (struct dirent *e; s == BRUME_OK && d && (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        char *inner = brume_path_join(path, e->d_name);
        s = inner ? brume_folder_remove(inner) : brume_fail(BRUME_E_MEMORY, "%s: no memory for a path", path);
        free(inner);
    }
    if (d) closedir(d);
    /* On Windows, remove() takes no folders. */
    if (s == BRUME_OK && (S_ISDIR(st.st_mode) ? rmdir(path) : unlink(path)) && errno != ENOENT)
        s = brume_fail(BRUME_E_IO, "%s: cannot remove: %s", path, strerror(errno));
    return s;
}

brume_status brume_folder_replace(const char *fresh, const char *path, const char *aside)
{
    brume_status s = brume_folder_remove(aside);
    if (s == BRUME_OK && brume_is_folder(path) && rename(path, aside))
        s = brume_fail(BRUME_E_IO, "%s: cannot be moved to %s: %s", path, aside, strerror(errno));
    if (s == BRUME_OK) s = brume_file_replace(fresh, path, NULL);
    return s == BRUME_OK ? brume_folder_remove(aside) : s;
}
