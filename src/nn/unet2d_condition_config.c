/* SPDX-License-Identifier: MIT
 * The config.json of UNet2DConditionModel: its keys, their lists per level, and what brume does not build. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/fail.h"
#include "nn/unet2d_build.h"

static const struct brume_config_word time_types[] = { { "positional", BRUME_TIME_POSITIONAL }, { 0 } };

#define AT(field) offsetof(brume_unet2d_config, field)
#define MAX_WIDTH BRUME_CONFIG_MAX_WIDTH
#define MAX_KERNEL 31
const struct brume_config_key brume_unet2d_condition_keys[] = {
    { "act_fn", BRUME_CONFIG_WORD, AT(act_fn), BRUME_ACT_SILU, 0, 0, false, brume_unet2d_act_names },
    { "center_input_sample", BRUME_CONFIG_BOOL, AT(center_input_sample), 0, 0, 1, false, NULL },
    { "conv_in_kernel", BRUME_CONFIG_INT, AT(conv_in_kernel), 3, 1, MAX_KERNEL, false, NULL },
    { "conv_out_kernel", BRUME_CONFIG_INT, AT(conv_out_kernel), 3, 1, MAX_KERNEL, false, NULL },
    { "downsample_padding", BRUME_CONFIG_INT, AT(downsample_padding), 1, 0, 1, false, NULL },
    { "dropout", BRUME_CONFIG_REAL, AT(dropout), 0, 0, 1, false, NULL },
    { "flip_sin_to_cos", BRUME_CONFIG_BOOL, AT(flip_sin_to_cos), 1, 0, 1, false, NULL },
    { "freq_shift", BRUME_CONFIG_REAL, AT(freq_shift), 0, -1e6, 1e6, false, NULL },
    { "in_channels", BRUME_CONFIG_INT, AT(in_channels), 4, 1, MAX_WIDTH, false, NULL },
    { "mid_block_scale_factor", BRUME_CONFIG_REAL, AT(mid_block_scale_factor), 1, 1e-6, 1e6, false, NULL },
    { "norm_eps", BRUME_CONFIG_REAL, AT(norm_eps), 1e-5, 1e-30, 1, false, NULL },
    { "norm_num_groups", BRUME_CONFIG_INT, AT(norm_num_groups), 32, 1, MAX_WIDTH, true, NULL },
    { "num_class_embeds", BRUME_CONFIG_INT, AT(num_class_embeds), 0, 1, INT_MAX, true, NULL },
    { "out_channels", BRUME_CONFIG_INT, AT(out_channels), 4, 1, MAX_WIDTH, false, NULL },
    { "projection_class_embeddings_input_dim", BRUME_CONFIG_INT, AT(projection_class_embeddings_input_dim), 0, 1,
      MAX_WIDTH, true, NULL },
    { "resnet_time_scale_shift", BRUME_CONFIG_WORD, AT(resnet_time_scale_shift), BRUME_TIME_DEFAULT, 0, 0, false,
      brume_unet2d_shift_types },
    { "time_embedding_dim", BRUME_CONFIG_INT, AT(time_embedding_dim), 0, 1, MAX_WIDTH, true, NULL },
    { "time_embedding_type", BRUME_CONFIG_WORD, AT(time_embedding_type), BRUME_TIME_POSITIONAL, 0, 0, false, time_types },
    { "use_linear_projection", BRUME_CONFIG_BOOL, AT(use_linear_projection), 0, 0, 1, false, NULL },
    { 0 },
};

/* Keys that hold one number, or a list with one per level. */
#define LEVEL_KEYS(ROW) \
    ROW("attention_head_dim", AT(attention_head_dim), AT(level_attention_heads), 8, MAX_WIDTH) \
    ROW("cross_attention_dim", AT(cross_attention_dim), AT(level_cross_attention_dim), 1280, MAX_WIDTH) \
    ROW("layers_per_block", AT(layers_per_block), AT(level_layers), 2, BRUME_UNET2D_MAX_LAYERS) \
    ROW("transformer_layers_per_block", AT(transformer_layers_per_block), AT(level_transformer_layers), 1, 64)
#define AS_ROW(...) { __VA_ARGS__ },
#define AS_NAME(name, ...) name,

static const struct { const char *name; size_t one, list; int fallback, hi; } level_keys[] = { LEVEL_KEYS(AS_ROW) };
enum { N_LEVEL_KEYS = sizeof level_keys / sizeof *level_keys };

static int32_t *one(brume_unet2d_config *c, int k) { return (int32_t *)(void *)((char *)c + level_keys[k].one); }
static int32_t *list(brume_unet2d_config *c, int k) { return (int32_t *)(void *)((char *)c + level_keys[k].list); }
static int32_t get_one(const brume_unet2d_config *c, int k)
{
    return *(const int32_t *)(const void *)((const char *)c + level_keys[k].one);
}
static const int32_t *get_list(const brume_unet2d_config *c, int k)
{
    return (const int32_t *)(const void *)((const char *)c + level_keys[k].list);
}

/* Keys of models beyond Stable Diffusion 2.x, and the value with which they say nothing: false for false, 0 and null, else a
 * number or a word. */
#define REFUSED(ROW) \
    ROW("addition_embed_type", NULL, 0) ROW("attention_type", "default", 0) ROW("class_embeddings_concat", NULL, 0) \
    ROW("cross_attention_norm", NULL, 0) ROW("dual_cross_attention", NULL, 0) ROW("encoder_hid_dim", NULL, 0) \
    ROW("encoder_hid_dim_type", NULL, 0) ROW("num_attention_heads", NULL, 0) ROW("resnet_out_scale_factor", NULL, 1) \
    ROW("resnet_skip_time_act", NULL, 0) ROW("reverse_transformer_layers_per_block", NULL, 0) ROW("time_cond_proj_dim", NULL, 0) \
    ROW("time_embedding_act_fn", NULL, 0) ROW("timestep_post_act", NULL, 0)
static const struct { const char *name, *word; double number; } refused[] = { REFUSED(AS_ROW) };
enum { N_REFUSED = sizeof refused / sizeof *refused };

/* The last line: keys that are inert here, for parts that are refused or of arithmetic in half precision. */
const char *const brume_unet2d_condition_other_keys[] = {
    "block_out_channels", "class_embed_type", "down_block_types", "mid_block_type", "only_cross_attention",
    "sample_size", "up_block_types", LEVEL_KEYS(AS_NAME) REFUSED(AS_NAME)
    "addition_embed_type_num_heads", "addition_time_embed_dim", "mid_block_only_cross_attention", "upcast_attention", NULL };

void brume_unet2d_condition_config_default(brume_unet2d_config *c)
{
    brume_unet2d_config_default(c);
    brume_config_defaults(brume_unet2d_condition_keys, c);
    c->architecture = BRUME_ARCHITECTURE_CONDITION;
    c->levels = 4;
    for (int i = 0; i < 4; i++) {
        c->block_out_channels[i] = i == 0 ? 320 : i == 1 ? 640 : 1280;
        c->down_block_types[i] = i < 3 ? BRUME_BLOCK_CROSS_ATTENTION : BRUME_BLOCK_RESNET;
        c->up_block_types[i] = i > 0 ? BRUME_BLOCK_CROSS_ATTENTION : BRUME_BLOCK_RESNET;
    }
}

void brume_unet2d_condition_level_defaults(brume_unet2d_config *c)
{
    for (int k = 0; k < N_LEVEL_KEYS; k++) *one(c, k) = level_keys[k].fallback;
    c->mid_cross_attention = true;
}

static bool is_cross(brume_unet2d_block b) { return b == BRUME_BLOCK_CROSS_ATTENTION; }

static int32_t width(const brume_unet2d_config *c, int level)
{
    return c->level_cross_attention_dim[level] ? c->level_cross_attention_dim[level] : c->cross_attention_dim;
}

/* Whether a level of the way down attends to the context anywhere. */
static bool reads_context(const brume_unet2d_config *c, int level)
{
    return is_cross(c->down_block_types[level]) || is_cross(c->up_block_types[c->levels - 1 - level]) ||
           (level == c->levels - 1 && c->mid_block && c->mid_cross_attention);
}

int64_t brume_unet2d_context_dim(const brume_unet2d_config *c)
{
    if (c->architecture != BRUME_ARCHITECTURE_CONDITION || c->levels < 1 || c->levels > BRUME_UNET2D_MAX_LEVELS) return 0;
    for (int i = 0; i < c->levels; i++)
        if (reads_context(c, i)) return width(c, i);
    return 0;
}

static bool is_plain(brume_unet2d_block b) { return b == BRUME_BLOCK_RESNET || is_cross(b); }

brume_status brume_unet2d_condition_check(const brume_unet2d_config *c)
{
    for (int k = 0; k < N_LEVEL_KEYS; k++)
        for (int i = -1; i < c->levels; i++) {
            const int32_t v = i < 0 ? get_one(c, k) : get_list(c, k)[i];
            if (v < (i < 0) || v > level_keys[k].hi)
                return brume_fail(BRUME_E_ARG, "%s must be within 1 .. %d, got %d", level_keys[k].name, level_keys[k].hi, v);
        }
    if (c->norm_num_groups == 0)
        return brume_fail(BRUME_E_ARG, "norm_num_groups is null; UNet2DConditionModel needs a number of groups (32 by default)");
    if (c->conv_in_kernel % 2 == 0 || c->conv_out_kernel % 2 == 0)
        return brume_fail(BRUME_E_ARG,
                          "conv_in_kernel and conv_out_kernel must be odd, got %d and %d: the image would change its size",
                          c->conv_in_kernel, c->conv_out_kernel);
    if (c->class_embed_type >= BRUME_CLASS_PROJECTION && c->projection_class_embeddings_input_dim == 0)
        return brume_fail(
            BRUME_E_ARG,
            "class_embed_type is a projection, so projection_class_embeddings_input_dim must say how wide labels are");
    for (int i = 0; i < c->levels; i++) {
        if (!is_plain(c->down_block_types[i]) || !is_plain(c->up_block_types[i]))
            return brume_fail(
                BRUME_E_UNSUPPORTED,
                "UNet2DConditionModel is built of DownBlock2D, CrossAttnDownBlock2D, UpBlock2D and CrossAttnUpBlock2D; "
                "down_block_types[%d] or up_block_types[%d] is another",
                i, i);
        if (!reads_context(c, i)) continue;
        if (brume_unet2d_heads(c, i) > c->block_out_channels[i])
            return brume_fail(BRUME_E_ARG,
                              "attention_head_dim, the number of heads here, is %d at level %d, more than its %d channels",
                              brume_unet2d_heads(c, i), i, c->block_out_channels[i]);
        if (width(c, i) != brume_unet2d_context_dim(c))
            return brume_fail(
                BRUME_E_UNSUPPORTED,
                "cross_attention_dim must be the same at all levels with cross-attention, got %lld and %d: there is one context",
                (long long)brume_unet2d_context_dim(c), width(c, i));
    }
    return BRUME_OK;
}

static brume_status refuse(const brume_json *root)
{
    for (int k = 0; k < N_REFUSED; k++) {
        const brume_json *v = brume_json_find(root, refused[k].name);
        const brume_json_type type = brume_json_typeof(v);
        const char *text = brume_json_string(v, NULL);
        double number = 0;
        bool idle = brume_json_is_null(v) || (type == BRUME_JSON_FALSE && !refused[k].word && refused[k].number == 0);
        if (text && refused[k].word) idle = !strcmp(text, refused[k].word);
        if ((type == BRUME_JSON_INT || type == BRUME_JSON_REAL) && refused[k].number != 0)
            idle = brume_json_get_double(root, refused[k].name, 0, -INFINITY, INFINITY, &number) == BRUME_OK &&
                   number == refused[k].number;
        if (!idle)
            return brume_fail(BRUME_E_UNSUPPORTED,
                              "%s: brume builds UNet2DConditionModel as in Stable Diffusion 1.x and 2.x, without %s%s%s%s",
                              brume_json_where(v), refused[k].name, text ? " \"" : "", text ? text : "", text ? "\"" : "");
    }
    return BRUME_OK;
}

static brume_status wrong_length(const brume_json *v, const char *name, int64_t n, int levels)
{
    return brume_fail(BRUME_E_ARG, "%s: %s has %lld entries, block_out_channels has %d; they need the same length",
                      brume_json_where(v), name, (long long)n, levels);
}

static brume_status read_level_key(const brume_json *root, brume_unet2d_config *c, int k)
{
    const char *name = level_keys[k].name;
    const brume_json *v = brume_json_find(root, name);
    int64_t values[BRUME_UNET2D_MAX_LEVELS];
    int n = 0;
    if (brume_json_is_null(v)) return BRUME_OK;
    const brume_status s = brume_json_get_ints(root, name, BRUME_UNET2D_MAX_LEVELS, 1, level_keys[k].hi, values, &n);
    if (s != BRUME_OK) return s;
    if (brume_json_typeof(v) != BRUME_JSON_ARRAY) {
        *one(c, k) = (int32_t)values[0];
        return BRUME_OK;
    }
    if (n != c->levels) return wrong_length(v, name, n, c->levels);
    for (int i = 0; i < n; i++) list(c, k)[i] = (int32_t)values[i];
    return BRUME_OK;
}

static brume_status read_only_cross(const brume_json *root, brume_unet2d_config *c)
{
    const brume_json *v = brume_json_find(root, "only_cross_attention");
    if (brume_json_is_null(v)) return BRUME_OK;
    const bool many = brume_json_typeof(v) == BRUME_JSON_ARRAY;
    if (many && brume_json_count(v) != c->levels) return wrong_length(v, "only_cross_attention", brume_json_count(v), c->levels);
    for (int i = 0; i < c->levels; i++) {
        const brume_json *entry = many ? brume_json_at(v, i) : v;
        const brume_json_type type = brume_json_typeof(entry);
        if (type != BRUME_JSON_TRUE && type != BRUME_JSON_FALSE)
            return brume_fail(BRUME_E_FORMAT, "%s: expected true or false", brume_json_where(entry));
        c->only_cross_attention[i] = type == BRUME_JSON_TRUE;
    }
    return BRUME_OK;
}

enum { NO_MID, PLAIN_MID, CROSS_MID };
static const struct brume_config_word mid_types[] = { { "UNetMidBlock2DCrossAttn", CROSS_MID },
                                                      { "UNetMidBlock2D", PLAIN_MID }, { 0 } };

static brume_status read_mid(const brume_json *root, brume_unet2d_config *c)
{
    static const struct brume_config_key key = { .name = "mid_block_type", .null_is_0 = true, .words = mid_types };
    const brume_json *v = brume_json_find(root, key.name);
    int type = v ? NO_MID : CROSS_MID;
    const brume_status s = brume_json_is_null(v) ? BRUME_OK : brume_config_read_word(&key, v, &type);
    c->mid_block = type != NO_MID;
    c->mid_cross_attention = type != PLAIN_MID;
    return s;
}

brume_status brume_unet2d_condition_read(const brume_json *root, brume_unet2d_config *c)
{
    brume_status s = refuse(root);
    if (s == BRUME_OK) s = brume_config_read(root, brume_unet2d_condition_keys, c);
    for (int k = 0; k < N_LEVEL_KEYS && s == BRUME_OK; k++) s = read_level_key(root, c, k);
    if (s == BRUME_OK) s = read_only_cross(root, c);
    return s == BRUME_OK ? read_mid(root, c) : s;
}

static void write_level_key(brume_json_writer *w, const brume_unet2d_config *c, int k)
{
    bool any = false;
    for (int i = 0; i < c->levels; i++) any |= get_list(c, k)[i] != 0;
    if (!any) { brume_json_put_int(w, level_keys[k].name, get_one(c, k)); return; }
    brume_json_begin_array(w, level_keys[k].name, 1);
    for (int i = 0; i < c->levels; i++) brume_json_put_int(w, NULL, get_list(c, k)[i] ? get_list(c, k)[i] : get_one(c, k));
    brume_json_end(w);
}

void brume_unet2d_condition_write(brume_json_writer *w, const brume_unet2d_config *c)
{
    int only = 0;
    for (int k = 0; k < N_LEVEL_KEYS; k++) write_level_key(w, c, k);
    if (c->mid_block) brume_json_put_string(w, "mid_block_type", mid_types[!c->mid_cross_attention].text);
    else brume_json_put_null(w, "mid_block_type");
    for (int i = 0; i < c->levels; i++) only += c->only_cross_attention[i];
    if (only == 0 || only == c->levels) { brume_json_put_bool(w, "only_cross_attention", only > 0); return; }
    brume_json_begin_array(w, "only_cross_attention", 1);
    for (int i = 0; i < c->levels; i++) brume_json_put_bool(w, NULL, c->only_cross_attention[i]);
    brume_json_end(w);
}
