/* SPDX-License-Identifier: MIT
 * Inside of a tokenizer. */
#ifndef BRUME_TEXT_TOKENIZER_H
#define BRUME_TEXT_TOKENIZER_H

#include "brume/tokenizer.h"
#include "text/bpe.h"
#include "text/unicode.h"

#define BRUME_START_TEXT "<|startoftext|>"
#define BRUME_END_TEXT "<|endoftext|>"
#define BRUME_DEFAULT_MAX_LENGTH 77

/** A token that is cut out of the text before anything else happens to it. */
struct brume_special {
    struct brume_runes text;
    int32_t id;
    int normalised;  /**< looked for in the normalised text instead of the raw one */
};

struct brume_tokenizer {
    struct brume_bpe bpe;
    struct brume_special *specials;
    int32_t n_specials, start, end, pad, max_length;
};

/** Adds a symbol of the vocabulary to those that are cut out of raw text; one that is there already stays as it is. */
brume_status brume_tokenizer_add_special(struct brume_tokenizer *t, int32_t id, int normalised);
/** Text of a symbol of the vocabulary. */
const char *brume_tokenizer_symbol(const struct brume_tokenizer *t, int32_t id);

/** Receives one word of a text, n >= 1 bytes of UTF-8; or, if piece is NULL, the special token id. */
typedef brume_status brume_piece_fn(void *ctx, const unsigned char *piece, size_t n, int32_t id);

/** Cuts a text into specials (those of t, which may be NULL) and words, in order. */
brume_status brume_text_split(const struct brume_tokenizer *t, const char *text, brume_piece_fn *fn, void *ctx);

#endif
