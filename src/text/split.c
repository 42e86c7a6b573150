/* SPDX-License-Identifier: MIT
 * Text to words, as CLIP's regular expression cuts it. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "text/tokenizer.h"

#define MAX_TEXT ((size_t)1 << 20) /* bytes; ordering marks that pile up on one letter takes quadratic time */

struct splitter {
    const struct brume_tokenizer *t;
    unsigned char *utf8; /* room for a word of the text under work */
    brume_piece_fn *fn;
    void *ctx;
};

static brume_status word(struct splitter *s, const uint32_t *r, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) bytes += (size_t)brume_rune_encode(r[i], s->utf8 + bytes);
    return s->fn(s->ctx, s->utf8, bytes, -1);
}

static int begins_with(const uint32_t *r, size_t n, const char *ascii)
{
    for (size_t i = 0; ascii[i]; i++)
        if (i >= n || r[i] != (unsigned char)ascii[i]) return 0;
    return 1;
}

static size_t contraction(const uint32_t *r, size_t n)
{
    static const char *const forms[] = { "'s", "'t", "'re", "'ve", "'m", "'ll", "'d" };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (begins_with(r, n, forms[i])) return strlen(forms[i]);
    return 0;
}

/* What lower-casing made into a special token's text is one match of CLIP's expression, which GPT-2's then cuts in three. */
static brume_status spelled_special(struct splitter *s, const uint32_t *r, size_t n, size_t *taken)
{
    static const char *const forms[] = { BRUME_START_TEXT, BRUME_END_TEXT };
    for (int i = 0; i < 2; i++) {
        if (!begins_with(r, n, forms[i])) continue;
        *taken = strlen(forms[i]);
        brume_status st = word(s, r, 2);
        if (st == BRUME_OK) st = word(s, r + 2, *taken - 4);
        return st == BRUME_OK ? word(s, r + *taken - 2, 2) : st;
    }
    *taken = 0;
    return BRUME_OK;
}

/* Words of normalised text without specials. */
static brume_status split_words(struct splitter *s, const uint32_t *r, size_t n)
{
    brume_status st = BRUME_OK;
    for (size_t i = 0; i < n && st == BRUME_OK;) {
        size_t len;
        st = spelled_special(s, r + i, n - i, &len);
        if (st == BRUME_OK && !len) {
            const enum brume_rune_class c = brume_rune_class(r[i]);
            len = contraction(r + i, n - i);
            if (!len) {
                len = 1;
                if (c == BRUME_RUNE_LETTER || c == BRUME_RUNE_OTHER)
                    while (i + len < n && brume_rune_class(r[i + len]) == c) len++;
            }
            if (c != BRUME_RUNE_SPACE) st = word(s, r + i, len);
        }
        i += len;
    }
    return st;
}

/* The longest special that begins at r, or NULL. */
static const struct brume_special *special_at(const struct brume_tokenizer *t, const uint32_t *r, size_t n, int normalised)
{
    const struct brume_special *best = NULL;
    for (int32_t i = 0; i < t->n_specials; i++) {
        const struct brume_special *p = &t->specials[i];
        if (p->normalised == normalised && p->text.n <= n && !memcmp(p->text.at, r, p->text.n * sizeof *r) &&
            (!best || p->text.n > best->text.n))
            best = p;
    }
    return best;
}

static brume_status split_normalised(struct splitter *s, const uint32_t *r, size_t n);
static brume_status split_rest(struct splitter *s, const uint32_t *r, size_t n, int normalised)
{
    if (!n) return BRUME_OK;
    if (normalised) return split_words(s, r, n);
    struct brume_runes nfc;
    brume_status st = brume_runes_normalise(r, n, &nfc);
    if (st != BRUME_OK) return st;
    if (!(s->utf8 = malloc(4 * nfc.n + 1))) st = brume_fail(BRUME_E_MEMORY, "no memory for a text of %zu characters", nfc.n);
    if (st == BRUME_OK) st = split_normalised(s, nfc.at, nfc.n);
    free(s->utf8);
    free(nfc.at);
    return st;
}

static brume_status split_at_specials(struct splitter *s, const uint32_t *r, size_t n, int normalised)
{
    brume_status st = BRUME_OK;
    size_t from = 0, i = 0;
    while (i < n && st == BRUME_OK) {
        const struct brume_special *p = s->t ? special_at(s->t, r + i, n - i, normalised) : NULL;
        if (!p) {
            i++;
            continue;
        }
        st = split_rest(s, r + from, i - from, normalised);
        if (st == BRUME_OK) st = s->fn(s->ctx, NULL, 0, p->id);
        i += p->text.n;
        from = i;
    }
    return st == BRUME_OK ? split_rest(s, r + from, n - from, normalised) : st;
}

static brume_status split_normalised(struct splitter *s, const uint32_t *r, size_t n) { return split_at_specials(s, r, n, 1); }

brume_status brume_text_split(const struct brume_tokenizer *t, const char *text, brume_piece_fn *fn, void *ctx)
{
    struct splitter s = { .t = t, .fn = fn, .ctx = ctx };
    const size_t bytes = strnlen(text, MAX_TEXT + 1);
    if (bytes > MAX_TEXT) return brume_fail(BRUME_E_ARG, "a prompt has more than %zu bytes", MAX_TEXT);
    struct brume_runes raw;
    brume_status st = brume_runes_of(text, bytes, &raw);
    if (st == BRUME_OK) st = split_at_specials(&s, raw.at, raw.n, 0);
    free(raw.at);
    return st;
}
