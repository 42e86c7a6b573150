/* SPDX-License-Identifier: MIT
 * CLIP's text encoder (Radford et al. 2021): a causal transformer over token ids, as Stable Diffusion conditions on it. */
#ifndef BRUME_TEXT_ENCODER_H
#define BRUME_TEXT_ENCODER_H

#include <stdbool.h>
#include <stdint.h>

#include "brume/api.h"
#include "brume/device.h"
#include "brume/graph.h"
#include "brume/lora.h"
#include "brume/ops.h"

BRUME_API_BEGIN

/** The keys of transformers' CLIPTextConfig, with its defaults. */
typedef struct brume_text_encoder_config {
    int32_t hidden_size;             /**< H = 512 */
    int32_t intermediate_size;       /**< I = 2048 */
    int32_t num_hidden_layers;       /**< 12 */
    int32_t num_attention_heads;     /**< 8; divides H */
    int32_t max_position_embeddings; /**< 77: the longest sequence */
    int32_t vocab_size;              /**< 49408 */
    int32_t projection_dim;          /**< 512; used with projection */
    brume_act hidden_act;            /**< BRUME_ACT_GELU_QUICK ("quick_gelu") or BRUME_ACT_GELU_ERF ("gelu") */
    double layer_norm_eps;           /**< 1e-5 */
    int32_t bos_token_id;            /**< 49406 */
    int32_t eos_token_id;            /**< 49407; 2 in old configs, where it means the largest id of a text */
    int32_t pad_token_id;            /**< 1, which nothing uses */
    bool projection;                 /**< class CLIPTextModelWithProjection: text_projection.weight (projection_dim, H) */
} brume_text_encoder_config;

/** The defaults of CLIPTextConfig. */
void brume_text_encoder_config_default(brume_text_encoder_config *c);
/** BRUME_E_ARG names the key and what it must be. */
brume_status brume_text_encoder_config_check(const brume_text_encoder_config *c);
/** Reads a config.json; keys that are not known are listed in note (may be NULL). BRUME_E_UNSUPPORTED: another class of model. */
brume_status brume_text_encoder_config_read(const char *path, brume_text_encoder_config *c, char note[512]);
/** Writes one that transformers reads. */
brume_status brume_text_encoder_config_write(const char *path, const brume_text_encoder_config *c);

/**
 * x = token_embedding[id] + position_embedding[position]; per layer x += attention(norm1(x)), causal, then x += mlp(norm2(x));
 * final norm.
 * prefix  begins the parameters' names in the slab: "" for an encoder alone, "text_encoder." in a slab with others. The names go
 *         on with "text_model.", as published files have them.
 * ids     i32 (N, S), 1 <= S <= max_position_embeddings, values below vocab_size
 * Returns (N, S, H), what cross-attention takes as context, or BRUME_NONE once g holds an error.
 */
brume_tensor brume_text_encoder(brume_graph *g, const brume_text_encoder_config *c, brume_tensor slab, const char *prefix,
                                brume_tensor ids);
/** The same with adapters on the attention of every layer, named "text_encoder.text_model. ..." whatever the prefix is; NULL:
 * none. */
brume_tensor brume_text_encoder_adapted(brume_graph *g, const brume_text_encoder_config *c, brume_tensor slab, const char *prefix,
                                        brume_tensor ids, const brume_lora *lora);
/**
 * Row of hidden, taken as (N S, H), that stands for each text: the first eos_token_id, or the largest id where eos_token_id is 2.
 * ids (n, s) on the host; rows (n).
 */
void brume_text_encoder_pooled_rows(const brume_text_encoder_config *c, const int32_t *ids, int64_t n, int64_t s, int32_t *rows);
/** Those rows (i32 (N)) of hidden (N, S, H): (N, H), transformers' pooler_output. */
brume_tensor brume_text_encoder_pooled(brume_graph *g, brume_tensor hidden, brume_tensor rows);
/** pooled (N, H) to text_embeds (N, projection_dim); c->projection must be set, and brume_text_encoder() be called on the slab
 * before. */
brume_tensor brume_text_encoder_project(brume_graph *g, const brume_text_encoder_config *c, brume_tensor slab, const char *prefix,
                                        brume_tensor pooled);

/** A text encoder on the host. */
typedef struct brume_text_model {
    brume_text_encoder_config config; /**< what the parameters are of */
    int64_t n_params; /**< floats in params */
    float *params; /**< laid out like the slab of brume_text_encoder(), then the projection */
} brume_text_model;

/** Fresh parameters. */
brume_status brume_text_model_new(const brume_text_encoder_config *c, uint64_t seed, brume_text_model **out);
/**
 * Loads a folder with config.json and model.safetensors (or shards, or the variant's file), names with and without "text_model.".
 * note may be NULL: what was ignored.
 */
brume_status brume_text_model_load(const char *folder, const char *variant, brume_text_model **out, char note[1100]);
/** Writes config.json and model.safetensors, which transformers loads; the folder is created. */
brume_status brume_text_model_save(const brume_text_model *m, const char *folder);
/** Frees; NULL is fine. */
void brume_text_model_free(brume_text_model *m);

/** A text encoder planned on a device for one text at a time: what a text becomes depends on no other. */
typedef struct brume_text_run brume_text_run;

/** params as brume_text_model has them, copied to the device; tokens: S of every text, at most max_position_embeddings. */
brume_status brume_text_run_new(brume_device *d, const brume_text_encoder_config *c, const float *params, int32_t tokens,
                                brume_text_run **out);
/** ids: S numbers below vocab_size; hidden: (S, H). */
brume_status brume_text_run_encode(brume_text_run *r, const int32_t *ids, float *hidden);
/** Frees; NULL is fine. */
void brume_text_run_free(brume_text_run *r);

BRUME_API_END

#endif
