/* SPDX-License-Identifier: MIT
 * What a tokenizer needs to know of Unicode. */
#ifndef BRUME_TEXT_UNICODE_H
#define BRUME_TEXT_UNICODE_H

#include <stddef.h>
#include <stdint.h>

#include "brume/status.h"

/** Text as code points. */
struct brume_runes {
    uint32_t *at;
    size_t n;
};

enum brume_rune_class { BRUME_RUNE_SPACE, BRUME_RUNE_LETTER, BRUME_RUNE_NUMBER, BRUME_RUNE_OTHER };

/** Code points of UTF-8; each longest part of a malformed sequence becomes one U+FFFD (Unicode 15, section 3.9). free()
 * out->at. */
brume_status brume_runes_of(const char *text, size_t bytes, struct brume_runes *out);
/** UTF-8 of a code point, 1 to 4 bytes; returns their number. */
int brume_rune_encode(uint32_t rune, unsigned char out[4]);
/**
 * NFC, then every character in lower case on its own: U+03A3 is U+03C3 at the end of words, too, and U+0130 becomes two. free()
 * out->at. BRUME_E_UNSUPPORTED without libutf8proc.
 */
brume_status brume_runes_normalise(const uint32_t *runes, size_t n, struct brume_runes *out);
/** White space, \p{L}, \p{N}, or anything else. */
enum brume_rune_class brume_rune_class(uint32_t rune);

#endif
