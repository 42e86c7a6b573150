/* SPDX-License-Identifier: MIT
 * Byte-pair encoding of pieces of text: the table of bytes, the table of merges, and their application. */
#ifndef BRUME_TEXT_BPE_H
#define BRUME_TEXT_BPE_H

#include "text/vocab.h"

struct brume_merge {
    int32_t left, right, result, rank; /* left: -1 for an empty slot of the table */
};

struct brume_bpe {
    struct brume_vocab vocab;
    int32_t byte[256], byte_end[256]; /* ids of the symbols for bytes inside and at the end of a word, or unknown */
    int32_t unknown;
    struct brume_merge *table;        /* hash table by (left, right) */
    uint32_t mask;
    struct brume_merge *list;         /* by rank */
    int32_t n_merges;
    uint32_t cap_merges;
};

/** A list of ids that grows. */
struct brume_ids {
    int32_t *at;
    int64_t n, cap;
};

brume_status brume_ids_push(struct brume_ids *l, int32_t id);

/** UTF-8 of the symbol that stands for a byte: 1 or 2 bytes and a zero (spec of GPT-2's and CLIP's byte table). */
void brume_byte_symbol(unsigned char byte, char out[3]);
/** The order of bytes in CLIP's vocabulary: 33 .. 126, 161 .. 172, 174 .. 255, then the others. */
void brume_byte_order(unsigned char order[256]);
/** The byte that a symbol's code point stands for, or -1. */
int brume_byte_of(uint32_t rune);

/** Adds the merge of two symbols as the next rank; parts and result must be in the vocabulary, else BRUME_E_FORMAT. */
brume_status brume_bpe_add_merge(struct brume_bpe *b, const char *left, size_t n_left, const char *right, size_t n_right);
/** After the last merge: builds the tables. unknown: id of symbols that are not in the vocabulary. */
brume_status brume_bpe_finish(struct brume_bpe *b, int32_t unknown);
/** Appends the ids of one piece of n bytes, n >= 1: its bytes as symbols, the last one ending the word, merged by rank. */
brume_status brume_bpe_encode(const struct brume_bpe *b, const unsigned char *piece, size_t n, struct brume_ids *out);
void brume_bpe_clear(struct brume_bpe *b);

#endif
