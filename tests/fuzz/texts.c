/* SPDX-License-Identifier: MIT
 * Tokenizers from files, and any text through one. */
#include <stdlib.h>
#include <string.h>

#include "brume/tokenizer.h"
#include "fuzz.h"

static void encode(const brume_tokenizer *t, const uint8_t *data, size_t n)
{
    char *text = malloc(n + 1), *back;
    const int32_t length = brume_tokenizer_max_length(t);
    int32_t *ids = malloc((size_t)length * sizeof *ids), *raw;
    brume_encoding e;
    int64_t n_raw;
    memcpy(text, data, n);
    text[n] = 0;
    if (brume_tokenizer_encode(t, text, ids, &e) == BRUME_OK) {
        for (int32_t i = 0; i < length; i++)
            if (ids[i] < 0 || ids[i] >= brume_tokenizer_vocab_size(t)) fuzz_broken("an id that the vocabulary has not");
        if (e.n_used > length || e.n_used < 2 || e.n_cut > e.n_tokens || e.n_cut < 0)
            fuzz_broken("counts of an encoding do not fit");
    }
    if (brume_tokenizer_encode_raw(t, text, &raw, &n_raw) == BRUME_OK) {
        if (brume_tokenizer_decode(t, raw, n_raw, &back) == BRUME_OK) {
            fuzz_use_text(back);
            free(back);
        }
        free(raw);
    }
    free(ids);
    free(text);
}

void fuzz_tokenizer(const uint8_t *data, size_t n)
{
    brume_tokenizer *t;
    size_t length = 0;
    fuzz_unpack(data, n);
    if (brume_tokenizer_load(fuzz_folder(), &t) != BRUME_OK) return;
    const uint8_t *text = fuzz_entry(data, n, "text", &length);
    encode(t, text ? text : data, text ? length : n < 64 ? n : 64);
    brume_tokenizer_free(t);
}

void fuzz_encode(const uint8_t *data, size_t n)
{
    static const char *const merges[] = { "t h", "th e</w>", "c a", "ca t</w>", "r e", "re d</w>", "l e", "f t</w>", "1 2",
                                          "\xc3\x83 \xc2\xa9</w>", "' s</w>", "a </w>" };
    static brume_tokenizer *t;
    enum { N = sizeof merges / sizeof *merges - 1 };
    if (!t && brume_tokenizer_new(merges, N, 16, NULL, &t) != BRUME_OK) fuzz_broken(brume_error());
    encode(t, data, n);
}
