/* SPDX-License-Identifier: MIT
 * UTF-8 here; composition, categories and lower case from libutf8proc. */
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "config.h"
#if BRUME_HAVE_UTF8PROC
#include <utf8proc.h>
#endif

/* Takes one code point, or one malformed part, off *s. */
static uint32_t next(const unsigned char **s, const unsigned char *end)
{
    const unsigned char first = *(*s)++;
    if (first < 0x80) return first;
    const int more = first < 0xc2 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf5 ? 3 : 0;
    /* The second byte's range excludes overlong forms, surrogates, and what lies beyond U+10FFFF. */
    unsigned lo = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80, hi = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    uint32_t rune = first & (0x3fu >> more);
    for (int i = 0; i < more; i++) {
        if (*s == end || **s < lo || **s > hi) return 0xfffd;
        rune = rune << 6 | (*(*s)++ & 0x3f);
        lo = 0x80;
        hi = 0xbf;
    }
    return more ? rune : 0xfffd;
}

brume_status brume_runes_of(const char *text, size_t bytes, struct brume_runes *out)
{
    *out = (struct brume_runes){ malloc((bytes + 1) * sizeof *out->at), 0 };
    if (!out->at) return brume_fail(BRUME_E_MEMORY, "no memory for a text of %zu bytes", bytes);
    const unsigned char *s = (const unsigned char *)text, *const end = s + bytes;
    while (s < end) out->at[out->n++] = next(&s, end);
    return BRUME_OK;
}

int brume_rune_encode(uint32_t rune, unsigned char out[4])
{
    if (rune < 0x80) {
        out[0] = (unsigned char)rune;
        return 1;
    }
    const int n = rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, rune >>= 6) out[i] = (unsigned char)(0x80 | (rune & 0x3f));
    out[0] = (unsigned char)(0xf00 >> n | rune);
    return n;
}

#if BRUME_HAVE_UTF8PROC

static brume_status compose(const uint32_t *runes, size_t n, struct brume_runes *out)
{
    const utf8proc_option_t options = UTF8PROC_COMPOSE | UTF8PROC_STABLE;
    unsigned char *utf8 = malloc(4 * n + 1);
    size_t bytes = 0;
    utf8proc_int32_t *buffer = NULL;
    if (utf8) {
        for (size_t i = 0; i < n; i++) bytes += (size_t)brume_rune_encode(runes[i], utf8 + bytes);
        utf8proc_ssize_t len = utf8proc_decompose(utf8, (utf8proc_ssize_t)bytes, NULL, 0, options);
        if (len >= 0 && (buffer = malloc(((size_t)len + 1) * sizeof *buffer))) {
            len = utf8proc_decompose(utf8, (utf8proc_ssize_t)bytes, buffer, len, options);
            if (len >= 0) len = utf8proc_normalize_utf32(buffer, len, options);
        }
        free(utf8);
        if (len >= 0 && buffer) {
            *out = (struct brume_runes){ (uint32_t *)buffer, (size_t)len };
            return BRUME_OK;
        }
        free(buffer);
        if (len < 0 && len != UTF8PROC_ERROR_NOMEM && len != UTF8PROC_ERROR_OVERFLOW)
            return brume_fail(BRUME_E_FORMAT, "a text cannot be composed: %s", utf8proc_errmsg(len));
    }
    return brume_fail(BRUME_E_MEMORY, "no memory for a text of %zu characters", n);
}

brume_status brume_runes_normalise(const uint32_t *runes, size_t n, struct brume_runes *out)
{
    struct brume_runes nfc = { 0 };
    *out = (struct brume_runes){ 0 };
    const brume_status s = compose(runes, n, &nfc);
    if (s != BRUME_OK) return s;
    if (!(out->at = malloc((2 * nfc.n + 1) * sizeof *out->at))) {
        free(nfc.at);
        return brume_fail(BRUME_E_MEMORY, "no memory for a text of %zu characters", n);
    }
    for (size_t i = 0; i < nfc.n; i++) {
        if (nfc.at[i] == 0x130) { /* the one lower-case form of two characters (Unicode's SpecialCasing.txt) */
            out->at[out->n++] = 'i';
            out->at[out->n++] = 0x307;
        } else {
            out->at[out->n++] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)nfc.at[i]);
        }
    }
    free(nfc.at);
    return BRUME_OK;
}

enum brume_rune_class brume_rune_class(uint32_t rune)
{
    if ((rune >= 9 && rune <= 13) || rune == 0x85) return BRUME_RUNE_SPACE;
    switch (utf8proc_category((utf8proc_int32_t)rune)) {
    case UTF8PROC_CATEGORY_ZS: case UTF8PROC_CATEGORY_ZL: case UTF8PROC_CATEGORY_ZP: return BRUME_RUNE_SPACE;
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return BRUME_RUNE_LETTER;
    case UTF8PROC_CATEGORY_ND: case UTF8PROC_CATEGORY_NL: case UTF8PROC_CATEGORY_NO: return BRUME_RUNE_NUMBER;
    default: return BRUME_RUNE_OTHER;
    }
}

#else

brume_status brume_runes_normalise(const uint32_t *runes, size_t n, struct brume_runes *out)
{
    (void)runes;
    (void)n;
    *out = (struct brume_runes){ 0 };
    return brume_fail(BRUME_E_UNSUPPORTED,
                      "this brume was built without libutf8proc, which tokenizers need: install libutf8proc-dev (Debian's name) "
                      "and build again with -Dtext=enabled");
}

enum brume_rune_class brume_rune_class(uint32_t rune)
{
    (void)rune;
    return BRUME_RUNE_OTHER;
}

#endif
