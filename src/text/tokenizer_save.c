/* SPDX-License-Identifier: MIT
 * Writing a tokenizer's folder. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/json.h"
#include "text/tokenizer.h"

/* Writes and frees w. */
static brume_status finish(brume_json_writer *w, const char *folder, const char *name)
{
    char *path = brume_path_join(folder, name);
    brume_status s;
    if (w && path) {
        brume_json_end(w);
        s = brume_json_writer_save(w, path);
    } else {
        s = brume_fail(BRUME_E_MEMORY, "%s: no memory", name);
    }
    brume_json_writer_free(w);
    free(path);
    return s;
}

static brume_status save_vocab(const struct brume_tokenizer *t, const char *folder)
{
    brume_json_writer *w = brume_json_writer_new();
    if (w) {
        brume_json_begin_object(w, NULL);
        for (int32_t id = 0; id < t->bpe.vocab.size; id++)
            if (t->bpe.vocab.text[id]) brume_json_put_int(w, t->bpe.vocab.text[id], id);
    }
    return finish(w, folder, "vocab.json");
}

static brume_status save_merges(const struct brume_tokenizer *t, const char *folder)
{
    static const char version[] = "#version: 0.2\n";
    char *path = brume_path_join(folder, "merges.txt");
    brume_atomic *file;
    brume_status s = path ? brume_atomic_open(path, &file) : brume_fail(BRUME_E_MEMORY, "%s: no memory", folder);
    free(path);
    if (s != BRUME_OK) return s;
    s = brume_atomic_write(file, version, strlen(version));
    for (int32_t i = 0; i < t->bpe.n_merges && s == BRUME_OK; i++) {
        const char *parts[] = { brume_tokenizer_symbol(t, t->bpe.list[i].left), " ",
                                brume_tokenizer_symbol(t, t->bpe.list[i].right), "\n" };
        for (int k = 0; k < 4 && s == BRUME_OK; k++) s = brume_atomic_write(file, parts[k], strlen(parts[k]));
    }
    if (s == BRUME_OK) return brume_atomic_commit(file);
    brume_atomic_abort(file);
    return s;
}

static void put_tokens(const struct brume_tokenizer *t, brume_json_writer *w)
{
    brume_json_put_string(w, "bos_token", brume_tokenizer_symbol(t, t->start));
    brume_json_put_string(w, "eos_token", brume_tokenizer_symbol(t, t->end));
    brume_json_put_string(w, "pad_token", brume_tokenizer_symbol(t, t->pad));
    brume_json_put_string(w, "unk_token", brume_tokenizer_symbol(t, t->bpe.unknown));
}

static brume_status save_config(const struct brume_tokenizer *t, const char *folder)
{
    brume_json_writer *w = brume_json_writer_new();
    if (w) {
        brume_json_begin_object(w, NULL);
        brume_json_put_bool(w, "add_prefix_space", 0);
        brume_json_begin_object(w, "added_tokens_decoder");
        for (int32_t i = 0; i < t->n_specials; i++) {
            char key[16];
            snprintf(key, sizeof key, "%d", t->specials[i].id);
            brume_json_begin_object(w, key);
            brume_json_put_string(w, "content", brume_tokenizer_symbol(t, t->specials[i].id));
            brume_json_put_bool(w, "lstrip", 0);
            brume_json_put_bool(w, "normalized", t->specials[i].normalised);
            brume_json_put_bool(w, "rstrip", 0);
            brume_json_put_bool(w, "single_word", 0);
            brume_json_put_bool(w, "special", 1);
            brume_json_end(w);
        }
        brume_json_end(w);
        brume_json_put_bool(w, "do_lower_case", 1);
        brume_json_put_string(w, "errors", "replace");
        brume_json_put_int(w, "model_max_length", t->max_length);
        brume_json_put_string(w, "tokenizer_class", "CLIPTokenizer");
        put_tokens(t, w);
    }
    return finish(w, folder, "tokenizer_config.json");
}

static brume_status save_specials(const struct brume_tokenizer *t, const char *folder)
{
    brume_json_writer *w = brume_json_writer_new();
    if (w) {
        brume_json_begin_object(w, NULL);
        put_tokens(t, w);
    }
    return finish(w, folder, "special_tokens_map.json");
}

brume_status brume_tokenizer_save(const brume_tokenizer *t, const char *folder)
{
    brume_status s = brume_make_folders(folder);
    if (s == BRUME_OK) s = save_vocab(t, folder);
    if (s == BRUME_OK) s = save_merges(t, folder);
    if (s == BRUME_OK) s = save_config(t, folder);
    if (s == BRUME_OK) s = save_specials(t, folder);
    char *stale = s == BRUME_OK ? brume_path_join(folder, "tokenizer.json") : NULL;
    if (s == BRUME_OK && (!stale || (remove(stale) && errno != ENOENT)))
        s = brume_fail(BRUME_E_IO, "%s/tokenizer.json: cannot remove it, and it would win over what was written: %s", folder,
                       strerror(errno));
    free(stale);
    return s;
}
