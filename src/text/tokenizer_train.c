/* SPDX-License-Identifier: MIT
 * Learning the merges of a tokenizer from captions (Sennrich, Haddow & Birch 2016, algorithm 1). */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "text/tokenizer.h"

/* A distinct word as symbols of the growing vocabulary, and how often it occurs. */
struct entry {
    int32_t *ids;
    int64_t n, count;
};

struct corpus {
    struct brume_vocab words, symbols; /* the words' texts by index of their entries; symbols as brume_tokenizer_new() will number
                                          them */
    struct entry *entries;
    int64_t cap;
};

/* Words as strings: one of NUL bytes cannot occur in a C string. */
static brume_status count_word(void *ctx, const unsigned char *piece, size_t n, int32_t id)
{
    (void)id;
    struct corpus *c = ctx;
    if (!piece) return BRUME_OK;
    const int32_t have = brume_vocab_find(&c->words, (const char *)piece, n);
    if (have >= 0) {
        c->entries[have].count++;
        return BRUME_OK;
    }
    const int32_t at = c->words.size;
    if (at == c->cap) {
        const int64_t cap = c->cap ? 2 * c->cap : 256;
        struct entry *more = realloc(c->entries, (size_t)cap * sizeof *more);
        if (!more) return brume_fail(BRUME_E_MEMORY, "no memory for %lld words", (long long)cap);
        c->entries = more;
        c->cap = cap;
    }
    char *text = malloc(n + 1);
    struct entry e = { malloc(n * sizeof *e.ids), (int64_t)n, 1 };
    brume_status s = BRUME_E_MEMORY;
    if (text && e.ids) {
        memcpy(text, piece, n);
        text[n] = 0;
        for (size_t i = 0; i < n; i++) {
            char symbol[8];
            brume_byte_symbol(piece[i], symbol);
            if (i + 1 == n) strcat(symbol, "</w>");
            e.ids[i] = brume_vocab_find(&c->symbols, symbol, strlen(symbol));
        }
        s = brume_vocab_add(&c->words, text, at);
    } else {
        brume_fail(s, "no memory for a word of %zu bytes", n);
    }
    free(text);
    if (s == BRUME_OK) c->entries[at] = e;
    else free(e.ids);
    return s;
}

struct pair {
    uint64_t key; /* left id, right id */
    int64_t count;
};

static int by_pair(const void *a, const void *b)
{
    const uint64_t x = ((const struct pair *)a)->key, y = ((const struct pair *)b)->key;
    return (x > y) - (x < y);
}

/* The most frequent pair; of equals the smallest. count 0: there is none. pairs has room for all pairs of all words. */
static struct pair most_frequent(const struct corpus *c, struct pair *pairs)
{
    size_t n = 0;
    for (int32_t w = 0; w < c->words.size; w++)
        for (int64_t i = 0; i + 1 < c->entries[w].n; i++)
            pairs[n++] =
                (struct pair){ (uint64_t)c->entries[w].ids[i] << 32 | (uint32_t)c->entries[w].ids[i + 1], c->entries[w].count };
    qsort(pairs, n, sizeof *pairs, by_pair);
    struct pair best = { 0, 0 };
    for (size_t i = 0; i < n;) {
        struct pair p = { pairs[i].key, 0 };
        for (; i < n && pairs[i].key == p.key; i++) p.count += pairs[i].count;
        if (p.count > best.count) best = p;
    }
    return best;
}

static void apply(struct corpus *c, int32_t left, int32_t right, int32_t result)
{
    for (int32_t w = 0; w < c->words.size; w++) {
        struct entry *e = &c->entries[w];
        int64_t n = 0;
        for (int64_t i = 0; i < e->n; n++) {
            const int both = i + 1 < e->n && e->ids[i] == left && e->ids[i + 1] == right;
            e->ids[n] = both ? result : e->ids[i];
            i += 1 + both;
        }
        e->n = n;
    }
}

/* Finds one merge, appends its line to merges, and applies it. *line stays NULL where no pair occurs twice. */
static brume_status learn(struct corpus *c, struct pair *pairs, char **line)
{
    const struct pair p = most_frequent(c, pairs);
    if (p.count < 2) return BRUME_OK;
    const int32_t left = (int32_t)(p.key >> 32), right = (int32_t)(uint32_t)p.key;
    const char *a = c->symbols.text[left], *b = c->symbols.text[right];
    const size_t n = strlen(a), m = strlen(b);
    char *joined = malloc(n + m + 1);
    *line = malloc(n + m + 2);
    if (!joined || !*line) {
        free(joined);
        return brume_fail(BRUME_E_MEMORY, "no memory for a merge");
    }
    memcpy(joined, a, n);
    memcpy(joined + n, b, m + 1);
    memcpy(*line, a, n);
    (*line)[n] = ' ';
    memcpy(*line + n + 1, b, m + 1);
    int32_t result = brume_vocab_find(&c->symbols, joined, n + m); /* two merges may give the same symbol */
    brume_status s = BRUME_OK;
    if (result < 0) s = brume_vocab_add(&c->symbols, joined, result = c->symbols.size);
    if (s == BRUME_OK) apply(c, left, right, result);
    free(joined);
    return s;
}

brume_status brume_tokenizer_train(const char *const *captions, int64_t n, int64_t max_merges, int32_t max_length,
                                   brume_tokenizer **out)
{
    *out = NULL;
    if (max_merges < 0 || max_merges > 1 << 20)
        return brume_fail(BRUME_E_ARG, "%lld merges, expected 0 to 1048576", (long long)max_merges);
    struct corpus c = { 0 };
    brume_tokenizer *bytes;
    brume_status s = brume_tokenizer_new(NULL, 0, max_length, NULL, &bytes);
    if (s != BRUME_OK) return s;
    for (int32_t id = 0; id < 512 && s == BRUME_OK; id++) s = brume_vocab_add(&c.symbols, brume_tokenizer_symbol(bytes, id), id);
    for (int64_t i = 0; i < n && s == BRUME_OK; i++) s = brume_text_split(bytes, captions[i], count_word, &c);
    size_t room = 1;
    for (int32_t w = 0; w < c.words.size; w++) room += (size_t)c.entries[w].n;
    struct pair *pairs = malloc(room * sizeof *pairs);
    char **merges = calloc((size_t)max_merges + 1, sizeof *merges);
    if (s == BRUME_OK && (!pairs || !merges)) s = brume_fail(BRUME_E_MEMORY, "no memory for %zu pairs", room);
    int64_t found = 0;
    for (; found < max_merges && s == BRUME_OK; found++) {
        s = learn(&c, pairs, &merges[found]);
        if (!merges[found]) break;
    }
    if (s == BRUME_OK) s = brume_tokenizer_new((const char *const *)merges, found, max_length, NULL, out);
    for (int64_t i = 0; merges && i < max_merges; i++) free(merges[i]);
    free(merges);
    free(pairs);
    for (int32_t w = 0; w < c.words.size; w++) free(c.entries[w].ids);
    free(c.entries);
    brume_vocab_clear(&c.words);
    brume_vocab_clear(&c.symbols);
    brume_tokenizer_free(bytes);
    return s;
}
