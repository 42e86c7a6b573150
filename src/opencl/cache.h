/* SPDX-License-Identifier: MIT
 * The folder of compiled programs. All functions are quiet: what cannot be read or written is as if it were not there. */
#ifndef BRUME_OPENCL_CACHE_H
#define BRUME_OPENCL_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "brume/device.h"

struct brume_cl_cache { char *folder; uint64_t limit; }; /* folder NULL: nothing is kept; limit: bytes of all entries */

/** The folder that the environment names (see brume_cache_get_info()), made if missing. Without one, why says the reason. */
void brume_cl_cache_open(struct brume_cl_cache *c, char why[256]);
void brume_cl_cache_close(struct brume_cl_cache *c);

/**
 * The binary of a key (any text), which has so many kernels. Returns the memory that holds it, to be freed; NULL if there is no
 * entry or not a sound one.
 */
void *brume_cl_cache_load(const struct brume_cl_cache *c, const char *key, const unsigned char **binary, size_t *bytes,
                          unsigned *kernels);
/** Keeps a binary, in place of what the key had. */
void brume_cl_cache_store(const struct brume_cl_cache *c, const char *key, const unsigned char *binary, size_t bytes,
                          unsigned kernels);
/** Removes what was not used for longest until the rest is within the limit. */
void brume_cl_cache_trim(const struct brume_cl_cache *c);

#endif
