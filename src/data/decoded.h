/* SPDX-License-Identifier: MIT
 * Pictures that were read from files and brought to size, kept for the next time. */
#ifndef BRUME_DATA_DECODED_H
#define BRUME_DATA_DECODED_H

#include <stddef.h>
#include <stdint.h>

#include "brume/data.h"

/* All calls may come from several threads. */
struct brume_decoded;

/* For count items of `values` f32 each, within limit bytes. */
brume_status brume_decoded_new(int64_t count, int64_t values, uint64_t limit, struct brume_decoded **out);
/* Over a mapped file, which goes with d: values from `offset` on, then a byte per item, 1 where it is not there. Takes the map,
 * whatever happens. */
brume_status brume_decoded_new_mapped(void *map, size_t bytes, size_t offset, int64_t count, int64_t values,
                                      struct brume_decoded **out);
/* decoded_file.c: those of the cache folder; where there are none, or damaged ones, all pictures are read and written there
 * first. */
brume_status brume_decoded_open(const brume_dataset *ds, struct brume_decoded **out);
void brume_decoded_free(struct brume_decoded *d);
/* The values of an item, or NULL where they are not kept. They stay as long as d. */
const float *brume_decoded_find(struct brume_decoded *d, int64_t item);
/* Keeps a copy, if there is room. */
void brume_decoded_keep(struct brume_decoded *d, int64_t item, const float *values);

#endif
