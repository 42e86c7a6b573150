/* SPDX-License-Identifier: MIT
 * Tokenizers: the cases that transformers computed, with every form of files; learning; damaged files and texts. */
#include <sys/stat.h>
#include <unistd.h>

#include "brume/file.h"
#include "brume/json.h"
#include "brume/tokenizer.h"
#include "check_text.h"

static char folder[] = "/tmp/brume-test-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text) { CHECK_OK(brume_file_write(in_folder(name), text, strlen(text))); }

static void empty_folder(void)
{
    static const char *const names[] = { "vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json",
                                         "special_tokens_map.json", "added_tokens.json" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(in_folder(names[i]));
}

static int same_ids(const brume_json *want, const int32_t *ids, int64_t n)
{
    int ok = brume_json_count(want) == n;
    for (int64_t i = 0; i < n && ok; i++) ok = brume_json_integer(brume_json_at(want, i), -1) == ids[i];
    return ok;
}

static void check_cases(const brume_tokenizer *t, const char *path)
{
    brume_json *root;
    if (!CHECK_OK(brume_json_load(path, &root))) return;
    const brume_json *cases = brume_json_find(root, "cases");
    const int32_t max = (int32_t)brume_json_integer(brume_json_find(root, "model_max_length"), 0);
    CHECK_INT(brume_tokenizer_max_length(t), max);
    CHECK(brume_json_count(cases) > 0);
    for (int64_t i = 0; i < brume_json_count(cases) && max == brume_tokenizer_max_length(t); i++) {
        const brume_json *c = brume_json_at(cases, i);
        const char *text = brume_json_string(brume_json_find(c, "text"), NULL);
        int32_t *raw, ids[1024];
        int64_t n;
        brume_encoding e;
        if (!CHECK(text && max <= 1024) || !CHECK_OK(brume_tokenizer_encode_raw(t, text, &raw, &n))) break;
        if (!CHECK(same_ids(brume_json_find(c, "raw_ids"), raw, n))) fprintf(stderr, "    \"%s\"\n", text);
        if (CHECK_OK(brume_tokenizer_encode(t, text, ids, &e))) {
            if (!CHECK(same_ids(brume_json_find(c, "ids"), ids, max))) fprintf(stderr, "    \"%s\"\n", text);
            CHECK_INT(e.n_cut > 0, brume_json_boolean(brume_json_find(c, "truncated"), 0));
            CHECK_INT(e.n_tokens, n);
            CHECK_INT(e.n_used, n - e.n_cut + 2);
        }
        free(raw);
    }
    brume_json_free(root);
}

/* The folder as tokenizer.json, with merges as strings ("A B") or as pairs. */
static void write_as_json(const char *from, int pairs)
{
    char path[512], line[256];
    brume_json *vocab;
    snprintf(path, sizeof path, "%s/vocab.json", from);
    if (!CHECK_OK(brume_json_load(path, &vocab))) return;
    brume_json_writer *w = brume_json_writer_new();
    brume_json_begin_object(w, NULL);
    brume_json_begin_array(w, "added_tokens", 0);
    static const char *const specials[] = { "<|startoftext|>", "<|endoftext|>" };
    for (int i = 0; i < 2; i++) {
        brume_json_begin_object(w, NULL);
        brume_json_put_int(w, "id", brume_json_integer(brume_json_find(vocab, specials[i]), -1));
        brume_json_put_string(w, "content", specials[i]);
        brume_json_put_bool(w, "normalized", 0);
        brume_json_end(w);
    }
    brume_json_end(w);
    brume_json_begin_object(w, "model");
    brume_json_put_string(w, "type", "BPE");
    brume_json_put_string(w, "end_of_word_suffix", "</w>");
    brume_json_begin_object(w, "vocab");
    for (int64_t i = 0; i < brume_json_count(vocab); i++)
        brume_json_put_int(w, brume_json_key(brume_json_at(vocab, i)), brume_json_integer(brume_json_at(vocab, i), -1));
    brume_json_end(w);
    brume_json_begin_array(w, "merges", 0);
    snprintf(path, sizeof path, "%s/merges.txt", from);
    FILE *f = fopen(path, "r");
    for (int number = 0; f && fgets(line, sizeof line, f); number++) {
        line[strcspn(line, "\n")] = 0;
        if (!number || !*line) continue;
        if (!pairs) {
            brume_json_put_string(w, NULL, line);
            continue;
        }
        char *space = strchr(line, ' ');
        *space = 0;
        brume_json_begin_array(w, NULL, 1);
        brume_json_put_string(w, NULL, line);
        brume_json_put_string(w, NULL, space + 1);
        brume_json_end(w);
    }
    if (CHECK(f)) fclose(f);
    brume_json_end(w);
    brume_json_end(w);
    brume_json_end(w);
    CHECK_OK(brume_json_writer_save(w, in_folder("tokenizer.json")));
    brume_json_writer_free(w);
    brume_json_free(vocab);
}

static void test_forms(const char *from, const char *cases)
{
    brume_tokenizer *t;
    if (!CHECK_OK(brume_tokenizer_load(from, &t))) return;
    check_cases(t, cases);
    const int32_t max = brume_tokenizer_max_length(t);
    empty_folder();
    put("tokenizer.json", "stale");
    CHECK_OK(brume_tokenizer_save(t, folder));
    CHECK(access(in_folder("tokenizer.json"), F_OK) != 0);
    brume_tokenizer_free(t);
    if (CHECK_OK(brume_tokenizer_load(folder, &t))) {
        check_cases(t, cases);
        brume_tokenizer_free(t);
    }
    for (int pairs = 0; pairs < 2; pairs++) {
        empty_folder();
        write_as_json(from, pairs);
        if (!CHECK_OK(brume_tokenizer_load(folder, &t))) continue;
        CHECK_INT(brume_tokenizer_max_length(t), 77); /* the default, where no config says more */
        CHECK_OK(brume_tokenizer_set_max_length(t, max));
        check_cases(t, cases);
        brume_tokenizer_free(t);
    }
}

static int64_t count(const brume_tokenizer *t, const char *text)
{
    int32_t *ids;
    int64_t n;
    if (!CHECK_OK(brume_tokenizer_encode_raw(t, text, &ids, &n))) return -1;
    free(ids);
    return n;
}

static void test_new(void)
{
    static const char *const merges[] = { "t h", "th e</w>", "# #</w>", "a a", "aa aa", "aa a</w>" };
    brume_tokenizer *t;
    int32_t ids[8], *raw;
    int64_t n;
    brume_encoding e;
    CHECK_FAILS(brume_tokenizer_new(merges, 6, 1, NULL, &t), BRUME_E_ARG, "max_length");
    CHECK_FAILS(brume_tokenizer_new(merges, 6, 8, "<pad>", &t), BRUME_E_ARG, "padding");
    CHECK_FAILS(brume_tokenizer_new((const char *const[]){ "a b c" }, 1, 8, NULL, &t), BRUME_E_ARG, "two symbols");
    CHECK_FAILS(brume_tokenizer_new((const char *const[]){ "ab c" }, 1, 8, NULL, &t), BRUME_E_FORMAT,
                "\"ab\" is not in the vocabulary");
    if (!CHECK_OK(brume_tokenizer_new(merges, 6, 8, "!", &t))) return;
    CHECK_INT(brume_tokenizer_vocab_size(t), 256 + 256 + 6 + 2);
    CHECK_INT(brume_tokenizer_start_id(t), 518);
    CHECK_INT(brume_tokenizer_end_id(t), 519);
    CHECK_INT(brume_tokenizer_pad_id(t), 0);
    /* Every "!" is the padding, as in Stable Diffusion 2; a word's last letter carries its end. */
    if (CHECK_OK(brume_tokenizer_encode(t, "THE!##", ids, &e))) {
        const int32_t want[8] = { 518, 513, 0, 514, 519, 0, 0, 0 };
        CHECK(!memcmp(ids, want, sizeof ids));
        CHECK_INT(e.n_used, 5);
    }
    /* aaaaa</w>: the pairs aa, aa are merged from the left, then aa aa, then nothing more: "aaaa a</w>". */
    if (CHECK_OK(brume_tokenizer_encode_raw(t, "aaaaa", &raw, &n))) {
        CHECK(n == 2 && raw[0] == 516 && raw[1] == 320);
        free(raw);
    }
    if (CHECK_OK(brume_tokenizer_encode(t, "a b c d e f g h", ids, &e))) {
        CHECK_INT(e.n_cut, 2);
        CHECK_INT(ids[7], 519);
    }
    if (CHECK_OK(brume_tokenizer_encode_raw(t, "The caf\xc3\xa9 <|endoftext|> it", &raw, &n))) {
        char *text;
        if (CHECK_OK(brume_tokenizer_decode(t, raw, n, &text))) CHECK_STR(text, "the caf\xc3\xa9 <|endoftext|> it");
        free(text);
        free(raw);
    }
    /* Malformed UTF-8: each longest malformed part is one U+FFFD of three bytes. */
    CHECK_INT(count(t, "\xff"), 3);
    CHECK_INT(count(t, "a\xe2\x98"), 1 + 3);
    CHECK_INT(count(t, "\xc0\xaf"), 6);
    CHECK_INT(count(t, "\xed\xa0\x80"), 9);
    CHECK_INT(count(t, "\xf4\x90\x80\x80"), 12);
    CHECK_INT(count(t, ""), 0);
    CHECK_INT(count(t, " \t\n\xc2\x85\xe3\x80\x80"), 0);
    char *longest = malloc((1 << 20) + 2);
    memset(longest, 'a', (1 << 20) + 1);
    longest[(1 << 20) + 1] = 0;
    CHECK_FAILS(brume_tokenizer_encode_raw(t, longest, &raw, &n), BRUME_E_ARG, "1048576 bytes");
    longest[1 << 20] = 0;
    CHECK_INT(count(t, longest), (1 << 18) - 1 + 3); /* aaaa .. aaaa aa a a</w> */
    free(longest);
    brume_tokenizer_free(t);
    brume_tokenizer_free(NULL);
}

static void test_train(void)
{
    static const char *const captions[] = { "a small red circle left of a blue square", "a big blue circle",
                                            "a small green square", "A RED square; a red circle", "" };
    brume_tokenizer *a, *b;
    if (!CHECK_OK(brume_tokenizer_train(captions, 5, 100, 16, &a))) return;
    if (CHECK_OK(brume_tokenizer_train(captions, 5, 100, 16, &b))) {
        CHECK_INT(brume_tokenizer_vocab_size(a), brume_tokenizer_vocab_size(b));
        CHECK_INT(count(a, "a small red circle"), 4); /* each word occurs twice and more */
        CHECK(count(a, "green") > 1);
        for (int i = 0; i < 4; i++) {
            int32_t x[16], y[16];
            CHECK_OK(brume_tokenizer_encode(a, captions[i], x, NULL));
            CHECK_OK(brume_tokenizer_encode(b, captions[i], y, NULL));
            CHECK(!memcmp(x, y, sizeof x));
        }
        brume_tokenizer_free(b);
    }
    if (CHECK_OK(brume_tokenizer_train(captions, 5, 1, 16, &b))) {
        CHECK_INT(brume_tokenizer_vocab_size(b), 515);
        brume_tokenizer_free(b);
    }
    if (CHECK_OK(brume_tokenizer_train(NULL, 0, 10, 16, &b))) {
        CHECK_INT(brume_tokenizer_vocab_size(b), 514);
        brume_tokenizer_free(b);
    }
    brume_tokenizer_free(a);
}

#define SPECIALS "\"<|startoftext|>\": 8, \"<|endoftext|>\": 9"

static void check_damage(const char *vocab, const char *merges, brume_status status, const char *says)
{
    brume_tokenizer *t;
    empty_folder();
    put("vocab.json", vocab);
    put("merges.txt", merges);
    CHECK_FAILS(brume_tokenizer_load(folder, &t), status, says);
    CHECK(!t);
}

static void test_damage(void)
{
    static const char good[] = "{\"a\": 0, \"b</w>\": 1, \"ab</w>\": 2, " SPECIALS "}";
    brume_tokenizer *t;
    empty_folder();
    CHECK_FAILS(brume_tokenizer_load(folder, &t), BRUME_E_IO, "looked for tokenizer.json");
    CHECK_FAILS(brume_tokenizer_load("/nonexistent", &t), BRUME_E_IO, "nonexistent");
    check_damage("{\"a\": 0, \"b", "#version: 0.2\n", BRUME_E_FORMAT, "vocab.json: not valid JSON");
    check_damage("[1]", "#version: 0.2\n", BRUME_E_FORMAT, "object");
    check_damage("{}", "#version: 0.2\n", BRUME_E_FORMAT, "<|startoftext|>");
    check_damage("{\"a\": 0, \"b\": 0, " SPECIALS "}", "", BRUME_E_FORMAT, "id 0 belongs to two symbols");
    check_damage("{\"a\": 0, \"a\": 1, " SPECIALS "}", "", BRUME_E_FORMAT, "vocab.json");
    check_damage("{\"a\": -1, " SPECIALS "}", "", BRUME_E_FORMAT, "has id -1");
    check_damage("{\"a\": 99999999999, " SPECIALS "}", "", BRUME_E_FORMAT, "99999999999");
    check_damage("{\"a\": \"x\", " SPECIALS "}", "", BRUME_E_FORMAT, "has id -1");
    check_damage(good, "#version: 0.2\na b c\n", BRUME_E_FORMAT, "merges.txt:2");
    check_damage(good, "#version: 0.2\na\n", BRUME_E_FORMAT, "merges.txt:2");
    check_damage(good, "#version: 0.2\na  b</w>\n", BRUME_E_FORMAT, "merges.txt:2");
    check_damage(good, "#version: 0.2\na b</w>\nb</w> a\n", BRUME_E_FORMAT, "merges.txt:3");

    /* Ids without a symbol are no fault; bytes without one are <|endoftext|>. Lines may end in CR LF. */
    empty_folder();
    put("vocab.json", good);
    put("merges.txt", "#version: 0.2\r\na b</w>\r\n\r\n");
    if (CHECK_OK(brume_tokenizer_load(folder, &t))) {
        int32_t *ids;
        int64_t n;
        CHECK_INT(brume_tokenizer_vocab_size(t), 10);
        if (CHECK_OK(brume_tokenizer_encode_raw(t, "ab cb", &ids, &n))) {
            CHECK(n == 3 && ids[0] == 2 && ids[1] == 9 && ids[2] == 1);
            free(ids);
        }
        brume_tokenizer_free(t);
    }
    /* The special tokens' map wins over the config. */
    put("tokenizer_config.json", "{\"pad_token\": \"<|endoftext|>\", \"model_max_length\": 1000000000000000019884624838656}");
    put("special_tokens_map.json", "{\"pad_token\": {\"content\": \"a\"}}");
    if (CHECK_OK(brume_tokenizer_load(folder, &t))) {
        CHECK_INT(brume_tokenizer_pad_id(t), 0);
        CHECK_INT(brume_tokenizer_max_length(t), 77);
        brume_tokenizer_free(t);
    }
    put("tokenizer_config.json", "{\"model_max_length\": 1}");
    CHECK_FAILS(brume_tokenizer_load(folder, &t), BRUME_E_FORMAT, "model_max_length");
    put("tokenizer_config.json", "{\"added_tokens_decoder\": {\"x\": {\"content\": \"a\"}}}");
    CHECK_FAILS(brume_tokenizer_load(folder, &t), BRUME_E_FORMAT, "added token");
    put("tokenizer_config.json", "[]");
    CHECK_FAILS(brume_tokenizer_load(folder, &t), BRUME_E_FORMAT, "expected an object");

    empty_folder();
    put("tokenizer.json", "{\"model\": {\"type\": \"Unigram\"}}");
    CHECK_FAILS(brume_tokenizer_load(folder, &t), BRUME_E_UNSUPPORTED, "Unigram");
    put("tokenizer.json", "{}");
    CHECK_FAILS(brume_tokenizer_load(folder, &t), BRUME_E_FORMAT, "model");
    put("tokenizer.json", "{\"model\": {\"end_of_word_suffix\": \"</w>\", \"vocab\": {\"a\": 0}, \"merges\": [[\"a\"]]}}");
    CHECK_FAILS(brume_tokenizer_load(folder, &t), BRUME_E_FORMAT, "merges[0]");
    put("tokenizer.json", "{\"model\": {\"end_of_word_suffix\": \"</w>\", \"vocab\": {\"a\": 0}, \"merges\": []}, "
        "\"added_tokens\": [{\"id\": 0, \"content\": \"<|endoftext|>\"}]}");
    CHECK_FAILS(brume_tokenizer_load(folder, &t), BRUME_E_FORMAT, "belongs to two symbols");
}

int main(void)
{
    if (!check_has_text()) return check_report();
    if (!CHECK(mkdtemp(folder))) return check_report();
    test_forms("tests/data/tokenizer", "tests/data/tokenizer/cases.json");
    char cases[512], from[512];
    snprintf(cases, sizeof cases, "%s", check_shared("golden/models/clip-text-tiny/tokenizer_cases.json"));
    snprintf(from, sizeof from, "%s", check_shared("golden/models/clip-text-tiny/tokenizer"));
    if (access(cases, R_OK)) check_skip("golden/models/clip-text-tiny: no shared data");
    else test_forms(from, cases);
    test_new();
    test_train();
    test_damage();
    empty_folder();
    rmdir(folder);
    return check_report();
}
