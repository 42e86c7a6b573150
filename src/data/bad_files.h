/* SPDX-License-Identifier: MIT
 * Files of a data set that cannot be read: which they are, and why. */
#ifndef BRUME_DATA_BAD_FILES_H
#define BRUME_DATA_BAD_FILES_H

#include <stdint.h>

#include "brume/status.h"

enum brume_item_state { BRUME_ITEM_UNKNOWN = 0, BRUME_ITEM_GOOD, BRUME_ITEM_BAD };

/* All calls may come from several threads. */
struct brume_bad_files;

brume_status brume_bad_files_new(struct brume_bad_files **out);
/* Once the number of items is known. */
brume_status brume_bad_files_items(struct brume_bad_files *b, int64_t count);
void brume_bad_files_free(struct brume_bad_files *b);
/* A file that is no item. reason: a text with its path. */
brume_status brume_bad_files_add(struct brume_bad_files *b, const char *reason);
enum brume_item_state brume_bad_files_state(const struct brume_bad_files *b, int64_t item);
void brume_bad_files_good(struct brume_bad_files *b, int64_t item);
/* Notes an item as bad; the second time nothing happens. */
brume_status brume_bad_files_bad(struct brume_bad_files *b, int64_t item, const char *reason);
int64_t brume_bad_files_count(struct brume_bad_files *b);
const char *brume_bad_files_at(struct brume_bad_files *b, int64_t k);

#endif
