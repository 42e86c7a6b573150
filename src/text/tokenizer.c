/* SPDX-License-Identifier: MIT
 * Tokenizers: made from merges, asked for ids. */
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

const char *brume_tokenizer_symbol(const struct brume_tokenizer *t, int32_t id)
{
    const struct brume_vocab *v = &t->bpe.vocab;
    return id >= 0 && id < v->size && v->text[id] ? v->text[id] : "";
}

brume_status brume_tokenizer_add_special(struct brume_tokenizer *t, int32_t id, int normalised)
{
    for (int32_t i = 0; i < t->n_specials; i++)
        if (t->specials[i].id == id) return BRUME_OK;
    const char *text = brume_tokenizer_symbol(t, id);
    if (!*text) return BRUME_OK; /* matches nothing */
    struct brume_special *more = realloc(t->specials, (size_t)(t->n_specials + 1) * sizeof *more);
    if (!more) return brume_fail(BRUME_E_MEMORY, "no memory for a special token");
    t->specials = more;
    struct brume_special *p = &more[t->n_specials];
    *p = (struct brume_special){ .id = id, .normalised = normalised };
    brume_status s = brume_runes_of(text, strlen(text), &p->text);
    if (s == BRUME_OK && normalised) {
        struct brume_runes folded;
        s = brume_runes_normalise(p->text.at, p->text.n, &folded);
        if (s == BRUME_E_UNSUPPORTED) s = BRUME_OK; /* without libutf8proc no text is ever compared with it */
        else {
            free(p->text.at);
            p->text = folded;
        }
    }
    t->n_specials += s == BRUME_OK;
    if (s != BRUME_OK) free(p->text.at);
    return s;
}

void brume_tokenizer_free(brume_tokenizer *t)
{
    if (!t) return;
    for (int32_t i = 0; i < t->n_specials; i++) free(t->specials[i].text.at);
    free(t->specials);
    brume_bpe_clear(&t->bpe);
    free(t);
}

static brume_status add_bytes(struct brume_vocab *v)
{
    unsigned char order[256];
    brume_byte_order(order);
    brume_status s = BRUME_OK;
    for (int i = 0; i < 512 && s == BRUME_OK; i++) {
        char symbol[8];
        brume_byte_symbol(order[i & 255], symbol);
        if (i >= 256) strcat(symbol, "</w>");
        s = brume_vocab_add(v, symbol, i);
    }
    return s;
}

/* The symbol and the merge of a line "A B". */
static brume_status add_merge(struct brume_tokenizer *t, const char *line)
{
    struct brume_vocab *v = &t->bpe.vocab;
    const char *space = strchr(line, ' ');
    if (!space || space == line || !space[1] || strchr(space + 1, ' '))
        return brume_fail(BRUME_E_ARG, "merge %d is \"%.60s\", expected two symbols with one space between", t->bpe.n_merges,
                          line);
    const size_t n = (size_t)(space - line);
    char *joined = malloc(strlen(line));
    if (!joined) return brume_fail(BRUME_E_MEMORY, "no memory for a merge");
    memcpy(joined, line, n);
    strcpy(joined + n, space + 1);
    /* Two merges may give one symbol: it has the id of the first, and no later id stays unused. */
    brume_status s = brume_vocab_find(v, joined, strlen(joined)) >= 0 ? BRUME_OK : brume_vocab_add(v, joined, v->size);
    if (s == BRUME_OK) s = brume_bpe_add_merge(&t->bpe, line, n, space + 1, strlen(space + 1));
    free(joined);
    return s;
}

brume_status brume_tokenizer_new(const char *const *merges, int64_t n_merges, int32_t max_length, const char *pad,
                                 brume_tokenizer **out)
{
    *out = NULL;
    if (max_length < 2) return brume_fail(BRUME_E_ARG, "a tokenizer's max_length is %d, expected 2 or more", max_length);
    if (n_merges < 0 || n_merges > BRUME_VOCAB_MAX_ID - 514)
        return brume_fail(BRUME_E_ARG, "%lld merges, expected 0 to %d", (long long)n_merges, BRUME_VOCAB_MAX_ID - 514);
    brume_tokenizer *t = calloc(1, sizeof *t);
    if (!t) return brume_fail(BRUME_E_MEMORY, "no memory for a tokenizer");
    struct brume_vocab *v = &t->bpe.vocab;
    brume_status s = add_bytes(v);
    for (int64_t i = 0; i < n_merges && s == BRUME_OK; i++) s = add_merge(t, merges[i]);
    t->start = v->size;
    t->end = v->size + 1;
    if (s == BRUME_OK) s = brume_vocab_add(v, BRUME_START_TEXT, t->start);
    if (s == BRUME_OK) s = brume_vocab_add(v, BRUME_END_TEXT, t->end);
    if (s == BRUME_OK) {
        t->max_length = max_length;
        t->pad = pad ? brume_vocab_find(v, pad, strlen(pad)) : t->end;
        if (t->pad < 0) s = brume_fail(BRUME_E_ARG, "the padding \"%.60s\" is no symbol of the vocabulary", pad);
    }
    if (s == BRUME_OK) s = brume_tokenizer_add_special(t, t->start, 0);
    if (s == BRUME_OK) s = brume_tokenizer_add_special(t, t->end, 0);
    if (s == BRUME_OK) s = brume_tokenizer_add_special(t, t->pad, 0);
    if (s == BRUME_OK) s = brume_bpe_finish(&t->bpe, t->end);
    if (s != BRUME_OK) {
        brume_tokenizer_free(t);
        return s;
    }
    *out = t;
    return BRUME_OK;
}

int32_t brume_tokenizer_max_length(const brume_tokenizer *t) { return t->max_length; }
int32_t brume_tokenizer_vocab_size(const brume_tokenizer *t) { return t->bpe.vocab.size; }
int32_t brume_tokenizer_start_id(const brume_tokenizer *t) { return t->start; }
int32_t brume_tokenizer_end_id(const brume_tokenizer *t) { return t->end; }
int32_t brume_tokenizer_pad_id(const brume_tokenizer *t) { return t->pad; }

brume_status brume_tokenizer_set_max_length(brume_tokenizer *t, int32_t max_length)
{
    if (max_length < 2) return brume_fail(BRUME_E_ARG, "a tokenizer's max_length is %d, expected 2 or more", max_length);
    t->max_length = max_length;
    return BRUME_OK;
}

struct encoder {
    const struct brume_bpe *bpe;
    struct brume_ids ids;
};

static brume_status encode_piece(void *ctx, const unsigned char *piece, size_t n, int32_t id)
{
    struct encoder *e = ctx;
    return piece ? brume_bpe_encode(e->bpe, piece, n, &e->ids) : brume_ids_push(&e->ids, id);
}

brume_status brume_tokenizer_encode_raw(const brume_tokenizer *t, const char *text, int32_t **ids, int64_t *n)
{
    struct encoder e = { &t->bpe, { 0 } };
    *ids = NULL;
    *n = 0;
    const brume_status s = brume_text_split(t, text, encode_piece, &e);
    if (s != BRUME_OK) {
        free(e.ids.at);
        return s;
    }
    if (!e.ids.at && !(e.ids.at = malloc(sizeof *e.ids.at))) return brume_fail(BRUME_E_MEMORY, "no memory for tokens");
    *ids = e.ids.at;
    *n = e.ids.n;
    return BRUME_OK;
}

brume_status brume_tokenizer_encode(const brume_tokenizer *t, const char *text, int32_t *ids, brume_encoding *e)
{
    int32_t *raw;
    int64_t n;
    const brume_status s = brume_tokenizer_encode_raw(t, text, &raw, &n);
    if (s != BRUME_OK) return s;
    const int64_t room = t->max_length - 2, kept = n < room ? n : room;
    ids[0] = t->start;
    memcpy(ids + 1, raw, (size_t)kept * sizeof *ids);
    ids[kept + 1] = t->end;
    for (int64_t i = kept + 2; i < t->max_length; i++) ids[i] = t->pad;
    if (e) *e = (brume_encoding){ n, n - kept, kept + 2 };
    free(raw);
    return BRUME_OK;
}

brume_status brume_tokenizer_decode(const brume_tokenizer *t, const int32_t *ids, int64_t n, char **text)
{
    static const char end_of_word[] = "</w>";
    size_t bytes = 1;
    for (int64_t i = 0; i < n; i++) bytes += strlen(brume_tokenizer_symbol(t, ids[i])) + 1;
    char *out = *text = malloc(bytes);
    if (!out) return brume_fail(BRUME_E_MEMORY, "no memory for a text of %zu bytes", bytes);
    for (int64_t i = 0; i < n; i++) {
        const char *symbol = brume_tokenizer_symbol(t, ids[i]);
        size_t len = strlen(symbol);
        const int last = len >= 4 && !memcmp(symbol + len - 4, end_of_word, 4), special = ids[i] == t->start || ids[i] == t->end;
        if (last) len -= 4;
        struct brume_runes r;
        const brume_status s = brume_runes_of(symbol, len, &r);
        if (s != BRUME_OK) {
            free(*text);
            *text = NULL;
            return s;
        }
        for (size_t k = 0; k < r.n; k++) {
            const int byte = special ? (int)r.at[k] : brume_byte_of(r.at[k]);
            if (byte >= 0) *out++ = (char)byte;
        }
        free(r.at);
        if ((last || special) && i + 1 < n) *out++ = ' ';
    }
    *out = 0;
    return BRUME_OK;
}
