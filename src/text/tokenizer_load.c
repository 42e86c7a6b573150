/* SPDX-License-Identifier: MIT
 * Reading a tokenizer's folder: tokenizer.json, or vocab.json and merges.txt; and the configs beside them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/json.h"
#include "text/tokenizer.h"

#define MAX_MERGES_BYTES ((size_t)64 << 20)

/* Loads folder/name; *out is NULL where there is no such file. */
static brume_status load_if_there(const char *folder, const char *name, brume_json **out)
{
    *out = NULL;
    char *path = brume_path_join(folder, name);
    if (!path) return brume_fail(BRUME_E_MEMORY, "%s: no memory", name);
    const brume_status s = brume_is_file(path) ? brume_json_load(path, out) : BRUME_OK;
    free(path);
    if (s == BRUME_OK && *out && brume_json_typeof(*out) != BRUME_JSON_OBJECT) {
        brume_json_free(*out);
        *out = NULL;
        return brume_fail(BRUME_E_FORMAT, "%s/%s: expected an object", folder, name);
    }
    return s;
}

/* An object of symbol to id. */
static brume_status read_vocab(struct brume_tokenizer *t, const brume_json *vocab)
{
    if (brume_json_typeof(vocab) != BRUME_JSON_OBJECT)
        return brume_fail(BRUME_E_FORMAT, "%s: the vocabulary must be an object of symbols and ids",
                          vocab ? brume_json_where(vocab) : "tokenizer.json");
    for (int64_t i = 0; i < brume_json_count(vocab); i++) {
        const brume_json *v = brume_json_at(vocab, i);
        const brume_status s = brume_vocab_add(&t->bpe.vocab, brume_json_key(v), brume_json_integer(v, -1));
        if (s != BRUME_OK) return brume_fail_in(s, "%s", brume_json_where(v));
    }
    return BRUME_OK;
}

/* "A B" in a line of n bytes. */
static brume_status read_merge(struct brume_tokenizer *t, const char *line, size_t n)
{
    const char *space = memchr(line, ' ', n);
    const size_t left = space ? (size_t)(space - line) : 0;
    if (!left || left + 1 == n || memchr(space + 1, ' ', n - left - 1))
        return brume_fail(BRUME_E_FORMAT, "\"%.*s\" is no merge: expected two symbols with one space between",
                          n < 60 ? (int)n : 60, line);
    return brume_bpe_add_merge(&t->bpe, line, left, space + 1, n - left - 1);
}

static brume_status read_merges_text(struct brume_tokenizer *t, const char *path)
{
    void *data;
    size_t bytes;
    brume_status s = brume_file_read(path, MAX_MERGES_BYTES, &data, &bytes);
    if (s != BRUME_OK) return s;
    const char *line = data, *const end = line + bytes;
    for (int64_t number = 1; line < end && s == BRUME_OK; number++) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop) stop = end;
        size_t n = (size_t)(stop - line);
        if (n && line[n - 1] == '\r') n--;
        /* other lines may begin with '#': it is a symbol */
        const int version = number == 1 && n >= 8 && !memcmp(line, "#version", 8);
        if (n && !version) s = read_merge(t, line, n);
        if (s != BRUME_OK) brume_fail_in(s, "%s:%lld", path, (long long)number);
        line = stop + 1;
    }
    free(data);
    return s;
}

static brume_status read_merges_json(struct brume_tokenizer *t, const brume_json *merges)
{
    if (brume_json_typeof(merges) != BRUME_JSON_ARRAY)
        return brume_fail(BRUME_E_FORMAT, "tokenizer.json: model.merges must be an array");
    for (int64_t i = 0; i < brume_json_count(merges); i++) {
        const brume_json *m = brume_json_at(merges, i);
        const char *line = brume_json_string(m, NULL), *left = brume_json_string(brume_json_at(m, 0), NULL),
                   *right = brume_json_string(brume_json_at(m, 1), NULL);
        brume_status s;
        if (line) s = read_merge(t, line, strlen(line));
        else if (left && right && brume_json_count(m) == 2)
            s = brume_bpe_add_merge(&t->bpe, left, strlen(left), right, strlen(right));
        else s = brume_fail(BRUME_E_FORMAT, "expected \"A B\" or [\"A\", \"B\"]");
        if (s != BRUME_OK) return brume_fail_in(s, "%s", brume_json_where(m));
    }
    return BRUME_OK;
}

/* Tokens of an array, or of an object by id, of {"content": .., "normalized": ..}. */
static brume_status read_added(struct brume_tokenizer *t, const brume_json *added)
{
    for (int64_t i = 0; i < brume_json_count(added); i++) {
        const brume_json *a = brume_json_at(added, i);
        const char *text = brume_json_string(brume_json_find(a, "content"), NULL);
        const char *key = brume_json_key(a);
        char *end;
        const int64_t id = *key ? strtoll(key, &end, 10) : brume_json_integer(brume_json_find(a, "id"), -1);
        if (!text || !*text || (*key && *end))
            return brume_fail(BRUME_E_FORMAT, "%s: an added token needs an id and a content", brume_json_where(a));
        if (brume_json_boolean(brume_json_find(a, "single_word"), 0))
            return brume_fail(BRUME_E_UNSUPPORTED, "%s: tokens that are single words (single_word) are not supported",
                              brume_json_where(a));
        brume_status s = brume_vocab_add(&t->bpe.vocab, text, id);
        if (s == BRUME_OK)
            s = brume_tokenizer_add_special(t, (int32_t)id, brume_json_boolean(brume_json_find(a, "normalized"), 0));
        if (s != BRUME_OK) return brume_fail_in(s, "%s", brume_json_where(a));
    }
    return BRUME_OK;
}

static brume_status read_tokenizer_json(struct brume_tokenizer *t, const brume_json *root)
{
    const brume_json *model = brume_json_find(root, "model");
    const char *type = brume_json_string(brume_json_find(model, "type"), "BPE");
    const char *suffix = brume_json_string(brume_json_find(model, "end_of_word_suffix"), "");
    if (brume_json_typeof(model) != BRUME_JSON_OBJECT)
        return brume_fail(BRUME_E_FORMAT, "%s model is missing", brume_json_where(root));
    if (strcmp(type, "BPE") || strcmp(suffix, "</w>") || brume_json_boolean(brume_json_find(model, "byte_fallback"), 0))
        return brume_fail(BRUME_E_UNSUPPORTED,
                          "%s is a tokenizer of type %s with end_of_word_suffix \"%s\"; only CLIP's is supported (BPE, \"</w>\")",
                          brume_json_where(root), type, suffix);
    brume_status s = read_vocab(t, brume_json_find(model, "vocab"));
    if (s == BRUME_OK) s = read_merges_json(t, brume_json_find(model, "merges"));
    if (s == BRUME_OK) s = read_added(t, brume_json_find(root, "added_tokens"));
    return s;
}

static brume_status read_two_files(struct brume_tokenizer *t, const char *folder, const char *vocab_path, const char *merges_path)
{
    brume_json *vocab, *added = NULL;
    brume_status s = brume_json_load(vocab_path, &vocab);
    if (s != BRUME_OK) return s;
    s = read_vocab(t, vocab);
    if (s == BRUME_OK) s = read_merges_text(t, merges_path);
    if (s == BRUME_OK) s = load_if_there(folder, "added_tokens.json", &added);
    for (int64_t i = 0; i < brume_json_count(added) && s == BRUME_OK; i++) {
        const brume_json *a = brume_json_at(added, i);
        s = brume_vocab_add(&t->bpe.vocab, brume_json_key(a), brume_json_integer(a, -1));
        if (s == BRUME_OK) s = brume_tokenizer_add_special(t, (int32_t)brume_json_integer(a, -1), 0);
        if (s != BRUME_OK) brume_fail_in(s, "%s", brume_json_where(a));
    }
    brume_json_free(vocab);
    brume_json_free(added);
    return s;
}

/* Text of a special token: a string, or an object with its content. */
static const char *token_text(const brume_json *config, const char *key)
{
    const brume_json *v = brume_json_find(config, key);
    return brume_json_string(v, brume_json_string(brume_json_find(v, "content"), NULL));
}

/* special_tokens_map.json wins over tokenizer_config.json: Stable Diffusion 2 names another pad_token in each. */
static brume_status read_special(struct brume_tokenizer *t, const char *folder, const brume_json *map, const brume_json *config,
                                 const char *key, const char *fallback, int32_t *id)
{
    const char *text = token_text(map, key);
    if (!text) text = token_text(config, key);
    if (!text) text = fallback;
    *id = brume_vocab_find(&t->bpe.vocab, text, strlen(text));
    if (*id < 0) return brume_fail(BRUME_E_FORMAT, "%s: the %s \"%.60s\" is not in the vocabulary", folder, key, text);
    return brume_tokenizer_add_special(t, *id, 0);
}

static brume_status read_configs(struct brume_tokenizer *t, const char *folder)
{
    brume_json *config, *map = NULL;
    brume_status s = load_if_there(folder, "tokenizer_config.json", &config);
    if (s == BRUME_OK) s = load_if_there(folder, "special_tokens_map.json", &map);
    if (s == BRUME_OK) s = read_added(t, brume_json_find(config, "added_tokens_decoder"));
    if (s == BRUME_OK) s = read_special(t, folder, map, config, "bos_token", BRUME_START_TEXT, &t->start);
    if (s == BRUME_OK) s = read_special(t, folder, map, config, "eos_token", BRUME_END_TEXT, &t->end);
    if (s == BRUME_OK) s = read_special(t, folder, map, config, "pad_token", brume_tokenizer_symbol(t, t->end), &t->pad);
    /* transformers writes 1e30 for "no limit"; the text encoder's number of positions is one all the same. */
    const double length = brume_json_number(brume_json_find(config, "model_max_length"), BRUME_DEFAULT_MAX_LENGTH);
    if (s == BRUME_OK && !(length >= 2))
        s = brume_fail(BRUME_E_FORMAT, "%s: model_max_length is %g, expected 2 or more", folder, length);
    t->max_length = length >= 2 && length <= 65536 ? (int32_t)length : BRUME_DEFAULT_MAX_LENGTH;
    brume_json_free(config);
    brume_json_free(map);
    return s;
}

brume_status brume_tokenizer_load(const char *folder, brume_tokenizer **out)
{
    *out = NULL;
    brume_tokenizer *t = calloc(1, sizeof *t);
    char *vocab = brume_path_join(folder, "vocab.json"), *merges = brume_path_join(folder, "merges.txt");
    brume_json *root = NULL;
    brume_status s = t && vocab && merges ? load_if_there(folder, "tokenizer.json", &root)
                                          : brume_fail(BRUME_E_MEMORY, "%s: no memory", folder);
    if (s == BRUME_OK) {
        if (root) s = read_tokenizer_json(t, root);
        else if (brume_is_file(vocab) && brume_is_file(merges)) s = read_two_files(t, folder, vocab, merges);
        else
            s = brume_fail(BRUME_E_IO, "%s: no tokenizer there; looked for tokenizer.json, and for vocab.json with merges.txt",
                           folder);
    }
    if (s == BRUME_OK) s = read_configs(t, folder);
    if (s == BRUME_OK) {
        const int32_t unknown = brume_vocab_find(&t->bpe.vocab, BRUME_END_TEXT, strlen(BRUME_END_TEXT));
        s = brume_bpe_finish(&t->bpe, unknown < 0 ? t->end : unknown);
    }
    brume_json_free(root);
    free(vocab);
    free(merges);
    if (s != BRUME_OK) {
        brume_tokenizer_free(t);
        return s;
    }
    *out = t;
    return BRUME_OK;
}
