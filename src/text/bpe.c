/* SPDX-License-Identifier: MIT
 * Byte-pair encoding (Sennrich, Haddow & Birch 2016) over bytes, with "</w>" at the end of words as in CLIP. */
#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "text/unicode.h"

brume_status brume_ids_push(struct brume_ids *l, int32_t id)
{
    if (l->n == l->cap) {
        const int64_t cap = l->cap ? 2 * l->cap : 64;
        int32_t *more = realloc(l->at, (size_t)cap * sizeof *more);
        if (!more) return brume_fail(BRUME_E_MEMORY, "no memory for %lld tokens", (long long)cap);
        l->at = more;
        l->cap = cap;
    }
    l->at[l->n++] = id;
    return BRUME_OK;
}

/* Bytes that stand for themselves as code points; the others (0 to 32, 127 to 160, 173) are U+0100, U+0101, ... in order. */
static int stands_for_itself(uint32_t byte) { return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 255 && byte != 173); }

static uint32_t rune_of_byte(unsigned char byte)
{
    if (stands_for_itself(byte)) return byte;
    return 0x100u + (byte <= 32 ? byte : byte <= 160 ? 33u + (byte - 127u) : 67u);
}

void brume_byte_symbol(unsigned char byte, char out[3])
{
    unsigned char utf8[4];
    const int n = brume_rune_encode(rune_of_byte(byte), utf8);
    memcpy(out, utf8, 2);
    out[n] = 0;
}

void brume_byte_order(unsigned char order[256])
{
    int n = 0;
    for (int pass = 1; pass >= 0; pass--)
        for (int b = 0; b < 256; b++)
            if (stands_for_itself((uint32_t)b) == pass) order[n++] = (unsigned char)b;
}

int brume_byte_of(uint32_t rune)
{
    const uint32_t other = rune - 0x100;
    if (stands_for_itself(rune)) return (int)rune;
    return rune < 0x100 || other > 67 ? -1 : (int)(other < 33 ? other : other < 67 ? other - 33 + 127 : 173);
}

brume_status brume_bpe_add_merge(struct brume_bpe *b, const char *left, size_t n_left, const char *right, size_t n_right)
{
    char *joined = malloc(n_left + n_right + 1);
    if (!joined) return brume_fail(BRUME_E_MEMORY, "no memory for merge %d", b->n_merges);
    memcpy(joined, left, n_left);
    memcpy(joined + n_left, right, n_right);
    joined[n_left + n_right] = 0;
    const struct brume_merge m = { brume_vocab_find(&b->vocab, left, n_left), brume_vocab_find(&b->vocab, right, n_right),
                                   brume_vocab_find(&b->vocab, joined, n_left + n_right), b->n_merges };
    brume_status s = BRUME_OK;
    if (m.left < 0 || m.right < 0 || m.result < 0)
        s = brume_fail(BRUME_E_FORMAT, "merge \"%.*s %.*s\": \"%.*s\" is not in the vocabulary", (int)n_left, left, (int)n_right,
                       right,
                       m.left < 0    ? (int)n_left
                       : m.right < 0 ? (int)n_right
                                     : 60,
                       m.left < 0    ? left
                       : m.right < 0 ? right
                                     : joined);
    free(joined);
    if (s != BRUME_OK) return s;
    if ((uint32_t)b->n_merges == b->cap_merges) {
        const uint32_t cap = b->cap_merges ? 2 * b->cap_merges : 1024;
        struct brume_merge *more = realloc(b->list, cap * sizeof *more);
        if (!more) return brume_fail(BRUME_E_MEMORY, "no memory for %u merges", cap);
        b->list = more;
        b->cap_merges = cap;
    }
    b->list[b->n_merges++] = m;
    return BRUME_OK;
}

static uint32_t probe(const struct brume_bpe *b, int32_t left, int32_t right)
{
    const uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    uint32_t i = (uint32_t)(key * 0x9e3779b97f4a7c15u >> 40) & b->mask; /* Fibonacci hashing: Knuth, volume 3, section 6.4 */
    while (b->table[i].left >= 0 && (b->table[i].left != left || b->table[i].right != right)) i = (i + 1) & b->mask;
    return i;
}

brume_status brume_bpe_finish(struct brume_bpe *b, int32_t unknown)
{
    uint32_t slots = 64;
    while (slots < 2 * (uint32_t)b->n_merges) slots *= 2;
    if (!(b->table = malloc(slots * sizeof *b->table))) return brume_fail(BRUME_E_MEMORY, "no memory for %d merges", b->n_merges);
    for (uint32_t i = 0; i < slots; i++) b->table[i].left = -1;
    b->mask = slots - 1;
    /* A pair that is listed twice has its later rank, as in the libraries that write these files. */
    for (int32_t i = 0; i < b->n_merges; i++) b->table[probe(b, b->list[i].left, b->list[i].right)] = b->list[i];
    b->unknown = unknown;
    for (int i = 0; i < 256; i++) {
        char symbol[8];
        brume_byte_symbol((unsigned char)i, symbol);
        const size_t n = strlen(symbol);
        memcpy(symbol + n, "</w>", 5);
        const int32_t inside = brume_vocab_find(&b->vocab, symbol, n), last = brume_vocab_find(&b->vocab, symbol, n + 4);
        b->byte[i] = inside < 0 ? unknown : inside;
        b->byte_end[i] = last < 0 ? unknown : last;
    }
    return BRUME_OK;
}

/* A symbol of the piece; merged ones leave the list. */
struct link {
    int32_t id;   /* -1 once it is merged into its left neighbour */
    int64_t before, after;
};

/* A merge that was possible when it was found: the pair that begins at a link. */
struct chance {
    int64_t at;
    int32_t rank, result;
};

struct heap {
    struct chance *at;
    int64_t n;
};

static int sooner(const struct chance *a, const struct chance *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void push(struct heap *h, struct chance c)
{
    int64_t i = h->n++;
    for (int64_t up; i && sooner(&c, &h->at[up = (i - 1) / 2]); i = up) h->at[i] = h->at[up];
    h->at[i] = c;
}

static struct chance pop(struct heap *h)
{
    const struct chance top = h->at[0], last = h->at[--h->n];
    int64_t i = 0;
    for (int64_t child; (child = 2 * i + 1) < h->n; i = child) {
        if (child + 1 < h->n && sooner(&h->at[child + 1], &h->at[child])) child++;
        if (!sooner(&h->at[child], &last)) break;
        h->at[i] = h->at[child];
    }
    h->at[i] = last;
    return top;
}

static void push_pair(const struct brume_bpe *b, struct heap *h, const struct link *l, int64_t at)
{
    if (at < 0 || l[at].after < 0) return;
    const struct brume_merge *m = &b->table[probe(b, l[at].id, l[l[at].after].id)];
    if (m->left >= 0) push(h, (struct chance){ at, m->rank, m->result });
}

/* Lowest rank first, from left to right; a heap, so that a word of a million letters is no problem. */
brume_status brume_bpe_encode(const struct brume_bpe *b, const unsigned char *piece, size_t n, struct brume_ids *out)
{
    const int64_t last = (int64_t)n - 1;
    struct link *l = malloc(n * sizeof *l);
    struct heap h = { malloc(3 * n * sizeof *h.at), 0 }; /* n - 1 pairs at first, and two more a merge */
    brume_status s = BRUME_OK;
    if (l && h.at) {
        for (int64_t i = 0; i <= last; i++)
            l[i] = (struct link){ i < last ? b->byte[piece[i]] : b->byte_end[piece[i]], i - 1, i < last ? i + 1 : -1 };
        for (int64_t i = 0; i < last; i++) push_pair(b, &h, l, i);
        while (h.n) {
            const struct chance c = pop(&h);
            struct link *left = &l[c.at];
            if (left->id < 0 || left->after < 0) continue;
            struct link *right = &l[left->after];
            const struct brume_merge *m = &b->table[probe(b, left->id, right->id)];
            if (m->left < 0 || m->rank != c.rank) continue; /* one of the two has been merged since */
            left->id = m->result;
            left->after = right->after;
            right->id = -1;
            if (left->after >= 0) l[left->after].before = c.at;
            push_pair(b, &h, l, left->before);
            push_pair(b, &h, l, c.at);
        }
        for (int64_t i = 0; i >= 0 && s == BRUME_OK; i = l[i].after) s = brume_ids_push(out, l[i].id);
    } else {
        s = brume_fail(BRUME_E_MEMORY, "no memory for a word of %zu bytes", n);
    }
    free(l);
    free(h.at);
    return s;
}

void brume_bpe_clear(struct brume_bpe *b)
{
    brume_vocab_clear(&b->vocab);
    free(b->table);
    free(b->list);
}
