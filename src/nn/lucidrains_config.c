/* SPDX-License-Identifier: MIT
 * The config.json of BrumeLucidrainsUnet: its keys, its lists per level, and what can be built. */
#include "base/fail.h"
#include "nn/unet2d_build.h"

#define AT(field) offsetof(brume_unet2d_config, field)
#define MAX_WIDTH BRUME_CONFIG_MAX_WIDTH
#define MAX_TOKENS 65536
const struct brume_config_key brume_unet2d_lucidrains_keys[] = {
    { "dim", BRUME_CONFIG_INT, AT(dim), 64, 1, MAX_WIDTH, false, NULL },
    { "dropout", BRUME_CONFIG_REAL, AT(dropout), 0, 0, 1, false, NULL },
    { "in_channels", BRUME_CONFIG_INT, AT(in_channels), 3, 1, MAX_WIDTH, false, NULL },
    { "init_dim", BRUME_CONFIG_INT, AT(init_dim), 0, 1, MAX_WIDTH, true, NULL },
    { "learned_sinusoidal_dim", BRUME_CONFIG_INT, AT(learned_sinusoidal_dim), 0, 1, MAX_WIDTH, true, NULL },
    { "num_mem_kv", BRUME_CONFIG_INT, AT(num_mem_kv), 4, 1, MAX_TOKENS, false, NULL },
    { "out_channels", BRUME_CONFIG_INT, AT(out_channels), 3, 1, MAX_WIDTH, false, NULL },
    { "random_fourier_features", BRUME_CONFIG_BOOL, AT(random_fourier_features), 0, 0, 1, false, NULL },
    { "self_condition", BRUME_CONFIG_BOOL, AT(self_condition), 0, 0, 1, false, NULL },
    { "time_embedding_dim", BRUME_CONFIG_INT, AT(time_embedding_dim), 0, 1, MAX_WIDTH, true, NULL },
    { 0 },
};
const char *const brume_unet2d_lucidrains_other_keys[] = { "attn_dim_head", "attn_heads", "block_out_channels",
                                                           "full_attn", "sample_size", NULL };

void brume_unet2d_lucidrains_config_default(brume_unet2d_config *c)
{
    brume_unet2d_config_default(c);
    c->architecture = BRUME_ARCHITECTURE_LUCIDRAINS;
    c->levels = 4;
    for (int i = 0; i < c->levels; i++) {
        c->block_out_channels[i] = c->dim << i;
        c->level_attention_heads[i] = 4;
        c->level_head_dim[i] = 32;
    }
    c->full_attention[c->levels - 1] = true;
}

/* One number for all levels, or a list with one for each. */
static brume_status read_numbers(const brume_json *root, const char *key, int levels, int fallback, int32_t *out)
{
    int64_t values[BRUME_UNET2D_MAX_LEVELS];
    int n = 0;
    const brume_status s = brume_json_get_ints(root, key, BRUME_UNET2D_MAX_LEVELS, 1, MAX_WIDTH, values, &n);
    if (s != BRUME_OK) return s;
    if (n > 1 && n != levels)
        return brume_fail(BRUME_E_ARG, "%s: %s has %d entries, block_out_channels has %d; they need the same length",
                          brume_json_where(root), key, n, levels);
    for (int i = 0; i < levels; i++) out[i] = n ? (int32_t)values[n > 1 ? i : 0] : fallback;
    return BRUME_OK;
}

static brume_status read_full(const brume_json *root, brume_unet2d_config *c)
{
    const brume_json *v = brume_json_find(root, "full_attn");
    const bool list = brume_json_typeof(v) == BRUME_JSON_ARRAY;
    if (list && brume_json_count(v) != c->levels)
        return brume_fail(BRUME_E_ARG, "%s: full_attn has %lld entries, block_out_channels has %d; they need the same length",
                          brume_json_where(v), (long long)brume_json_count(v), c->levels);
    for (int i = 0; i < c->levels; i++) {
        const brume_json *entry = list ? brume_json_at(v, i) : v;
        const brume_json_type type = brume_json_typeof(entry);
        const bool none = !list && brume_json_is_null(v);
        if (!none && type != BRUME_JSON_TRUE && type != BRUME_JSON_FALSE)
            return brume_fail(BRUME_E_FORMAT, "%s: expected true or false", brume_json_where(entry));
        c->full_attention[i] = none ? i == c->levels - 1 : type == BRUME_JSON_TRUE;
    }
    return BRUME_OK;
}

brume_status brume_unet2d_lucidrains_read(const brume_json *root, brume_unet2d_config *c)
{
    brume_status s = brume_config_read(root, brume_unet2d_lucidrains_keys, c);
    if (s == BRUME_OK) s = read_numbers(root, "attn_heads", c->levels, 4, c->level_attention_heads);
    if (s == BRUME_OK) s = read_numbers(root, "attn_dim_head", c->levels, 32, c->level_head_dim);
    return s == BRUME_OK ? read_full(root, c) : s;
}

static void write_numbers(brume_json_writer *w, const char *key, int levels, const int32_t *values)
{
    brume_json_begin_array(w, key, 1);
    for (int i = 0; i < levels; i++) brume_json_put_int(w, NULL, values[i]);
    brume_json_end(w);
}

void brume_unet2d_lucidrains_write(brume_json_writer *w, const brume_unet2d_config *c)
{
    write_numbers(w, "attn_heads", c->levels, c->level_attention_heads);
    write_numbers(w, "attn_dim_head", c->levels, c->level_head_dim);
    brume_json_begin_array(w, "full_attn", 1);
    for (int i = 0; i < c->levels; i++) brume_json_put_bool(w, NULL, c->full_attention[i]);
    brume_json_end(w);
}

brume_status brume_unet2d_lucidrains_check(const brume_unet2d_config *c)
{
    if (!c->learned_sinusoidal_dim && (c->dim % 2 || c->dim < 4))
        return brume_fail(BRUME_E_ARG,
                          "dim must be even and at least 4, as its sinusoidal embedding divides by dim / 2 - 1, got %d", c->dim);
    if (c->learned_sinusoidal_dim % 2)
        return brume_fail(BRUME_E_ARG, "learned_sinusoidal_dim must be even, got %d", c->learned_sinusoidal_dim);
    if (c->class_embed_type != BRUME_CLASS_NONE)
        return brume_fail(BRUME_E_ARG, "BrumeLucidrainsUnet takes no classes, so class_embed_type and num_class_embeds must be "
                                       "null; train it with --cond none");
    if (c->time_embedding_type != BRUME_TIME_POSITIONAL)
        return brume_fail(BRUME_E_ARG,
                          "BrumeLucidrainsUnet has a time embedding of its own: time_embedding_type must be positional");
    for (int i = 0; i < c->levels; i++) {
        const int32_t heads = c->level_attention_heads[i], dim = c->level_head_dim[i];
        /* the middle has full attention with the heads of the last level */
        const bool full = c->full_attention[i] || i == c->levels - 1;
        if (heads < 1 || heads > (full ? BRUME_UNET2D_MAX_FULL_HEADS : MAX_WIDTH))
            return brume_fail(BRUME_E_ARG, "attn_heads[%d] must be within 1 .. %d, got %d", i,
                              full ? BRUME_UNET2D_MAX_FULL_HEADS : MAX_WIDTH, heads);
        if (dim < 1 || dim > MAX_WIDTH || (int64_t)heads * dim > MAX_WIDTH)
            return brume_fail(BRUME_E_ARG, "attn_dim_head[%d] must be at least 1 and at most %d together with the heads, got %d",
                              i, MAX_WIDTH, dim);
    }
    return BRUME_OK;
}
