/* SPDX-License-Identifier: MIT
 * Tokenizers of CLIP: prompts to ids by merges of byte pairs (Sennrich, Haddow & Birch 2016; Radford et al. 2021), as the text
 * encoders of Stable Diffusion use them. */
#ifndef BRUME_TOKENIZER_H
#define BRUME_TOKENIZER_H

#include <stdint.h>

#include "brume/api.h"
#include "brume/status.h"

BRUME_API_BEGIN

/** A tokenizer: vocabulary, merges and special tokens; read-only, so that several threads may use it. */
typedef struct brume_tokenizer brume_tokenizer;

/**
 * Loads a folder: tokenizer.json, or vocab.json and merges.txt; beside either, where they are there, tokenizer_config.json and
 * special_tokens_map.json (model_max_length, pad_token and the other special tokens) and added_tokens.json.
 * Errors name file, key or line. BRUME_E_UNSUPPORTED: another kind of tokenizer.
 */
brume_status brume_tokenizer_load(const char *folder, brume_tokenizer **out);

/**
 * A tokenizer from merges in order of rank, each "A B" as in merges.txt. Vocabulary and ids follow CLIP: 256 symbols for bytes,
 * the same 256 at the end of a word, one symbol a merge, <|startoftext|>, <|endoftext|>.
 * max_length  ids of an encoded text, >= 2 (77 in CLIP)
 * pad         what fills up: a symbol of the vocabulary ("!" in Stable Diffusion 2), or NULL for <|endoftext|>
 */
brume_status brume_tokenizer_new(const char *const *merges, int64_t n_merges, int32_t max_length, const char *pad,
                                 brume_tokenizer **out);

/**
 * Learns merges from n captions: again and again the adjacent pair that occurs most often within words (of equals, the one with
 * the smaller ids), until max_merges are found or no pair occurs twice. The same captions give the same tokenizer. Then as
 * brume_tokenizer_new().
 */
brume_status brume_tokenizer_train(const char *const *captions, int64_t n, int64_t max_merges, int32_t max_length,
                                   brume_tokenizer **out);

/**
 * Writes vocab.json, merges.txt, tokenizer_config.json and special_tokens_map.json, which transformers loads as CLIPTokenizer.
 * The folder is created; a tokenizer.json in it is removed, because it would win over these.
 */
brume_status brume_tokenizer_save(const brume_tokenizer *t, const char *folder);
/** Frees; NULL is fine. */
void brume_tokenizer_free(brume_tokenizer *t);

/** Ids of an encoded text, specials included. */
int32_t brume_tokenizer_max_length(const brume_tokenizer *t);
/** Changes it, >= 2: to what a text encoder has positions for. */
brume_status brume_tokenizer_set_max_length(brume_tokenizer *t, int32_t max_length);
/** One more than the largest id: what the embedding table must have rows for. */
int32_t brume_tokenizer_vocab_size(const brume_tokenizer *t);
int32_t brume_tokenizer_start_id(const brume_tokenizer *t);
int32_t brume_tokenizer_end_id(const brume_tokenizer *t);
int32_t brume_tokenizer_pad_id(const brume_tokenizer *t);

/** How a text fitted. */
typedef struct brume_encoding {
    int64_t n_tokens; /**< tokens of the text, without start and end */
    int64_t n_cut;    /**< of these, cut away at the end for want of room */
    int64_t n_used;   /**< ids that are not padding: start, what was kept, end */
} brume_encoding;

/**
 * ids (max_length): start, tokens of the text, end, padding; a longer text is cut. text is UTF-8 of at most 1 MiB; bytes that are
 * no UTF-8 count as U+FFFD. e may be NULL. BRUME_E_UNSUPPORTED where the build has no libutf8proc.
 */
brume_status brume_tokenizer_encode(const brume_tokenizer *t, const char *text, int32_t *ids, brume_encoding *e);
/** The tokens alone, uncut: *ids is allocated (free() it), *n their number. */
brume_status brume_tokenizer_encode_raw(const brume_tokenizer *t, const char *text, int32_t **ids, int64_t *n);
/** Text of n tokens, with a space after each word but the last; ids outside the vocabulary give nothing. *text is allocated:
 * free() it. */
brume_status brume_tokenizer_decode(const brume_tokenizer *t, const int32_t *ids, int64_t n, char **text);

BRUME_API_END

#endif
