/* SPDX-License-Identifier: MIT
 * The config.json of AutoencoderKL: reading, writing, and checking before anything is built. */
#include <limits.h>
#include <string.h>

#include "base/fail.h"
#include "brume/autoencoder.h"
#include "brume/json.h"
#include "nn/config_table.h"

#define MAX_LEVELS BRUME_AUTOENCODER_MAX_LEVELS
#define MAX_WIDTH BRUME_CONFIG_MAX_WIDTH
#define AT(field) offsetof(brume_autoencoder_config, field)
static const struct brume_config_word act_names[] = { { "silu", BRUME_ACT_SILU }, { "swish", BRUME_ACT_SILU },
                                                      { "mish", BRUME_ACT_MISH }, { "gelu", BRUME_ACT_GELU_ERF },
                                                      { "relu", BRUME_ACT_RELU }, { 0 } };
static const struct brume_config_key keys[] = {
    { "act_fn", BRUME_CONFIG_WORD, AT(act_fn), BRUME_ACT_SILU, 0, 0, false, act_names },
    { "force_upcast", BRUME_CONFIG_BOOL, AT(force_upcast), 1, 0, 1, false, NULL },
    { "in_channels", BRUME_CONFIG_INT, AT(in_channels), 3, 1, MAX_WIDTH, false, NULL },
    { "latent_channels", BRUME_CONFIG_INT, AT(latent_channels), 4, 1, MAX_WIDTH, false, NULL },
    { "layers_per_block", BRUME_CONFIG_INT, AT(layers_per_block), 1, 1, 32, false, NULL },
    { "mid_block_add_attention", BRUME_CONFIG_BOOL, AT(mid_block_add_attention), 1, 0, 1, false, NULL },
    { "norm_num_groups", BRUME_CONFIG_INT, AT(norm_num_groups), 32, 1, MAX_WIDTH, false, NULL },
    { "out_channels", BRUME_CONFIG_INT, AT(out_channels), 3, 1, MAX_WIDTH, false, NULL },
    { "sample_size", BRUME_CONFIG_INT, AT(sample_size), 32, 1, INT_MAX, false, NULL },
    { "scaling_factor", BRUME_CONFIG_REAL, AT(scaling_factor), 0.18215, 1e-9, 1e9, false, NULL },
    { "shift_factor", BRUME_CONFIG_REAL, AT(shift_factor), 0, -1e9, 1e9, true, NULL },
    { "use_post_quant_conv", BRUME_CONFIG_BOOL, AT(use_post_quant_conv), 1, 0, 1, false, NULL },
    { "use_quant_conv", BRUME_CONFIG_BOOL, AT(use_quant_conv), 1, 0, 1, false, NULL },
    { 0 },
};
static const char *const other_keys[] = { "block_out_channels", "down_block_types", "latents_mean", "latents_std",
                                          "up_block_types", NULL };
static const char class_name[] = "AutoencoderKL", down_type[] = "DownEncoderBlock2D", up_type[] = "UpDecoderBlock2D";

void brume_autoencoder_config_default(brume_autoencoder_config *c)
{
    memset(c, 0, sizeof *c);
    brume_config_defaults(keys, c);
    c->levels = 1;
    c->block_out_channels[0] = 64;
}

brume_status brume_autoencoder_config_check(const brume_autoencoder_config *c)
{
    const brume_status s = brume_config_check(keys, c);
    if (s != BRUME_OK) return s;
    if (c->levels < 1 || c->levels > MAX_LEVELS)
        return brume_fail(BRUME_E_ARG, "block_out_channels must hold 1 to %d widths, got %d", MAX_LEVELS, c->levels);
    for (int i = 0; i < c->levels; i++) {
        const int32_t width = c->block_out_channels[i];
        if (width < 1 || width > MAX_WIDTH)
            return brume_fail(BRUME_E_ARG, "block_out_channels[%d] must be within 1 .. %d, got %d", i, MAX_WIDTH, width);
        if (width % c->norm_num_groups)
            return brume_fail(BRUME_E_ARG, "norm_num_groups is %d, which does not divide block_out_channels[%d], %d",
                              c->norm_num_groups, i, width);
    }
    return BRUME_OK;
}

/* A list of L block types that are all the one that there is; missing: so they are. */
static brume_status read_blocks(const brume_json *root, const char *key, const char *type, int levels)
{
    const brume_json *list = brume_json_find(root, key);
    if (brume_json_is_null(list)) return BRUME_OK;
    if (brume_json_typeof(list) != BRUME_JSON_ARRAY)
        return brume_fail(BRUME_E_FORMAT, "%s must be a list of block types", brume_json_where(list));
    for (int64_t i = 0; i < brume_json_count(list); i++) {
        const char *name = brume_json_string(brume_json_at(list, i), NULL);
        if (!name)
            return brume_fail(BRUME_E_FORMAT, "%s: expected the name of a block type", brume_json_where(brume_json_at(list, i)));
        if (strcmp(name, type))
            return brume_fail(BRUME_E_UNSUPPORTED,
                              "%s: \"%.80s\" is not a block type that brume builds in an autoencoder; that is %s",
                              brume_json_where(brume_json_at(list, i)), name, type);
    }
    if (brume_json_count(list) == levels) return BRUME_OK;
    return brume_fail(BRUME_E_ARG, "%s: block_out_channels has %d entries but %s has %lld; they need the same length",
                      brume_json_where(root), levels, key, (long long)brume_json_count(list));
}

static brume_status read_root(const brume_json *root, brume_autoencoder_config *c, char note[512])
{
    if (brume_json_typeof(root) != BRUME_JSON_OBJECT)
        return brume_fail(BRUME_E_FORMAT, "%s expected an object {...}", brume_json_where(root));
    const char *name = brume_json_string(brume_json_find(root, "_class_name"), class_name);
    if (strcmp(name, class_name))
        return brume_fail(BRUME_E_UNSUPPORTED, "%s this is a model of class %.80s; an autoencoder is an %s",
                          brume_json_where(root), name, class_name);
    int64_t widths[MAX_LEVELS];
    int n = 0;
    brume_status s = brume_json_get_ints(root, "block_out_channels", MAX_LEVELS, 1, MAX_WIDTH, widths, &n);
    if (s != BRUME_OK) return s;
    if (n > 0) c->levels = n;
    for (int i = 0; i < n; i++) c->block_out_channels[i] = (int32_t)widths[i];
    s = read_blocks(root, "down_block_types", down_type, c->levels);
    if (s == BRUME_OK) s = read_blocks(root, "up_block_types", up_type, c->levels);
    if (s == BRUME_OK) s = brume_config_read(root, keys, c);
    static const char *const statistics[] = { "latents_mean", "latents_std" };
    for (int i = 0; i < 2 && s == BRUME_OK; i++)
        if (!brume_json_is_null(brume_json_find(root, statistics[i])))
            s = brume_fail(BRUME_E_UNSUPPORTED, "%s: latents are scaled by scaling_factor and shift_factor only; %s must be null",
                           brume_json_where(brume_json_find(root, statistics[i])), statistics[i]);
    if (s != BRUME_OK) return s;
    s = brume_autoencoder_config_check(c);
    if (s != BRUME_OK) return brume_fail(s, "%s %s", brume_json_where(root), brume_error());
    if (note) brume_config_note_unknown(root, keys, other_keys, note);
    return BRUME_OK;
}

/* The config of JSON that was read with that status; frees it. */
static brume_status take_root(brume_status s, brume_json *root, brume_autoencoder_config *c, char note[512])
{
    brume_autoencoder_config_default(c);
    if (note) note[0] = 0;
    if (s == BRUME_OK) s = read_root(root, c, note);
    brume_json_free(root);
    return s;
}

brume_status brume_autoencoder_config_parse(const char *text, size_t length, const char *where, brume_autoencoder_config *c,
                                            char note[512])
{
    brume_json *root = NULL;
    const brume_status s = brume_json_parse(text, length, where, &root);
    return take_root(s, root, c, note);
}

brume_status brume_autoencoder_config_read(const char *path, brume_autoencoder_config *c, char note[512])
{
    brume_json *root = NULL;
    const brume_status s = brume_json_load(path, &root);
    return take_root(s, root, c, note);
}

static void write_blocks(brume_json_writer *w, const char *key, const char *type, int levels)
{
    brume_json_begin_array(w, key, 0);
    for (int i = 0; i < levels; i++) brume_json_put_string(w, NULL, type);
    brume_json_end(w);
}

brume_status brume_autoencoder_config_write(const char *path, const brume_autoencoder_config *c)
{
    brume_status s = brume_autoencoder_config_check(c);
    if (s != BRUME_OK) return s;
    brume_json_writer *w = brume_json_writer_new();
    if (!w) return brume_fail(BRUME_E_MEMORY, "%s: out of memory while writing", path);
    brume_json_begin_object(w, NULL);
    brume_json_put_string(w, "_class_name", class_name);
    brume_json_put_string(w, "_diffusers_version", "0.42.1");
    brume_config_write(w, keys, c);
    brume_json_begin_array(w, "block_out_channels", 1);
    for (int i = 0; i < c->levels; i++) brume_json_put_int(w, NULL, c->block_out_channels[i]);
    brume_json_end(w);
    write_blocks(w, "down_block_types", down_type, c->levels);
    write_blocks(w, "up_block_types", up_type, c->levels);
    brume_json_put_null(w, "latents_mean");
    brume_json_put_null(w, "latents_std");
    brume_json_end(w);
    s = brume_json_writer_save(w, path);
    brume_json_writer_free(w);
    return s;
}
