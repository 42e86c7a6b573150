/* SPDX-License-Identifier: MIT
 * A vocabulary: symbols by id and ids by symbol. */
#ifndef BRUME_TEXT_VOCAB_H
#define BRUME_TEXT_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include "brume/status.h"

#define BRUME_VOCAB_MAX_ID ((1 << 22) - 1) /* the largest vocabularies in use have 2^18 symbols */

struct brume_vocab {
    int32_t size, cap; /* one more than the largest id; allocated */
    char **text;       /* by id; NULL for an id that no symbol has */
    int32_t *slot;     /* hash table of ids, -1 for an empty slot */
    uint32_t n, mask;  /* symbols; slots - 1, or 0 before the first */
};

/** Adds a symbol. The same symbol with the same id again is fine; another symbol for an id, or another id for a symbol, is
 * BRUME_E_FORMAT. */
brume_status brume_vocab_add(struct brume_vocab *v, const char *text, int64_t id);
/** Id of the symbol made of n bytes, or -1. */
int32_t brume_vocab_find(const struct brume_vocab *v, const char *text, size_t n);
void brume_vocab_clear(struct brume_vocab *v);

#endif
