/* SPDX-License-Identifier: MIT
 * Removes files that killed processes left under construction. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"

/* ".NAME.PROCESS-NUMBER.tmp", as brume_atomic calls them? */
static int is_temporary(const char *name)
{
    const size_t n = strlen(name);
    const char *at = name + n - 4;
    if (n < 9 || *name != '.' || strcmp(at, ".tmp")) return 0;
    while (at > name && at[-1] >= '0' && at[-1] <= '9') at--;
    if (at == name + n - 4 || at == name || *--at != '-') return 0;
    const char *dash = at;
    while (at > name && at[-1] >= '0' && at[-1] <= '9') at--;
    return at < dash && at > name + 1 && at[-1] == '.';
}

/* A writer holds a lock on its file, which ends with it. */
static void remove_unlocked(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (!flock(fd, LOCK_EX | LOCK_NB)) unlink(path);
    close(fd);
}

void brume_remove_unfinished(const char *folder, int depth)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        char *path = brume_path_join(folder, e->d_name);
        if (path && is_temporary(e->d_name)) remove_unlocked(path);
        else if (path && depth > 0 && e->d_name[0] != '.' && brume_is_folder(path)) brume_remove_unfinished(path, depth - 1);
        free(path);
    }
    if (d) closedir(d);
}
