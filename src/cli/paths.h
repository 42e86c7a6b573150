/* SPDX-License-Identifier: MIT
 * What a path that a user gave leads to. */
#ifndef BRUME_CLI_PATHS_H
#define BRUME_CLI_PATHS_H

#include <sys/stat.h>

static inline int cli_is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

#endif
