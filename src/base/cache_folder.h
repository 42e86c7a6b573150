/* SPDX-License-Identifier: MIT
 * Where things are kept between runs that can be made again. */
#ifndef BRUME_BASE_CACHE_FOLDER_H
#define BRUME_BASE_CACHE_FOLDER_H

/**
 * The folder `part` in $BRUME_CACHE, else in $XDG_CACHE_HOME/brume, else in ~/.cache/brume; to be freed. NULL with the reason in
 * why: switched off by BRUME_CACHE=off, no such variable, no memory. The folder is not made. A relative XDG path counts as unset
 * (its standard says so).
 */
char *brume_cache_folder(const char *part, char why[256]);

#endif
