/* SPDX-License-Identifier: MIT
 * Where things are kept between runs that can be made again. */
#include "base/cache_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

char *brume_cache_folder(const char *part, char why[256])
{
    const char *own = getenv("BRUME_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME"),
               *local = getenv("LOCALAPPDATA"); /* Windows */
    char *base = NULL;
    snprintf(why, 256, "out of memory");
    if (own && !strcmp(own, "off")) snprintf(why, 256, "switched off by BRUME_CACHE=off");
    else if (own && *own) base = strdup(own);
    else if (xdg && *xdg == '/') base = brume_path_join(xdg, "brume");
    else if (home && *home) base = brume_path_join(home, ".cache/brume");
    else if (local && *local) base = brume_path_join(local, "brume");
    else snprintf(why, 256, "none of BRUME_CACHE, XDG_CACHE_HOME and HOME is set");
    char *folder = base ? brume_path_join(base, part) : NULL;
    free(base);
    if (folder) why[0] = 0;
    return folder;
}
