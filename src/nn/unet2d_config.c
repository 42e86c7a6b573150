/* SPDX-License-Identifier: MIT
 * The config.json of UNet2DModel and its relatives: reading, writing, and checking before anything is built. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "brume/json.h"
#include "nn/unet2d_build.h"

static const struct brume_config_word time_types[] = { { "positional", BRUME_TIME_POSITIONAL }, { "fourier", BRUME_TIME_FOURIER },
                                                       { "learned", BRUME_TIME_LEARNED },
                                          { 0 } };
static const struct brume_config_word resample_types[] = { { "conv", BRUME_RESAMPLE_CONV },
                                                           { "resnet", BRUME_RESAMPLE_RESNET }, { 0 } };
const struct brume_config_word brume_unet2d_act_names[] = { { "silu", BRUME_ACT_SILU }, { "swish", BRUME_ACT_SILU },
                                                            { "mish", BRUME_ACT_MISH },
                                                           { "gelu", BRUME_ACT_GELU_ERF }, { "relu", BRUME_ACT_RELU }, { 0 } };
const struct brume_config_word brume_unet2d_shift_types[] = { { "default", BRUME_TIME_DEFAULT },
                                                              { "scale_shift", BRUME_TIME_SCALE_SHIFT }, { 0 } };
static const struct brume_config_word mid_types[] = { { "UNetMidBlock2D", 1 }, { 0 } };

#define AT(field) offsetof(brume_unet2d_config, field)
#define MAX_WIDTH BRUME_CONFIG_MAX_WIDTH
static const struct brume_config_key keys[] = {
    { "act_fn", BRUME_CONFIG_WORD, AT(act_fn), BRUME_ACT_SILU, 0, 0, false, brume_unet2d_act_names },
    { "add_attention", BRUME_CONFIG_BOOL, AT(add_attention), 1, 0, 1, false, NULL },
    { "attention_head_dim", BRUME_CONFIG_INT, AT(attention_head_dim), 8, 1, MAX_WIDTH, true, NULL },
    { "attn_norm_num_groups", BRUME_CONFIG_INT, AT(attn_norm_num_groups), 0, 1, MAX_WIDTH, true, NULL },
    { "center_input_sample", BRUME_CONFIG_BOOL, AT(center_input_sample), 0, 0, 1, false, NULL },
    { "downsample_padding", BRUME_CONFIG_INT, AT(downsample_padding), 1, 0, 1, false, NULL },
    { "downsample_type", BRUME_CONFIG_WORD, AT(downsample_type), BRUME_RESAMPLE_CONV, 0, 0, false, resample_types },
    { "dropout", BRUME_CONFIG_REAL, AT(dropout), 0, 0, 1, false, NULL },
    { "flip_sin_to_cos", BRUME_CONFIG_BOOL, AT(flip_sin_to_cos), 1, 0, 1, false, NULL },
    { "freq_shift", BRUME_CONFIG_REAL, AT(freq_shift), 0, -1e6, 1e6, false, NULL },
    { "in_channels", BRUME_CONFIG_INT, AT(in_channels), 3, 1, MAX_WIDTH, false, NULL },
    { "layers_per_block", BRUME_CONFIG_INT, AT(layers_per_block), 2, 1, BRUME_UNET2D_MAX_LAYERS, false, NULL },
    { "mid_block_scale_factor", BRUME_CONFIG_REAL, AT(mid_block_scale_factor), 1, 1e-6, 1e6, false, NULL },
    { "mid_block_type", BRUME_CONFIG_WORD_BOOL, AT(mid_block), 1, 0, 0, true, mid_types },
    { "norm_eps", BRUME_CONFIG_REAL, AT(norm_eps), 1e-5, 1e-30, 1, false, NULL },
    { "norm_num_groups", BRUME_CONFIG_INT, AT(norm_num_groups), 32, 1, MAX_WIDTH, true, NULL },
    { "num_class_embeds", BRUME_CONFIG_INT, AT(num_class_embeds), 0, 1, INT_MAX, true, NULL },
    { "num_train_timesteps", BRUME_CONFIG_INT, AT(num_train_timesteps), 0, 1, INT_MAX, true, NULL },
    { "out_channels", BRUME_CONFIG_INT, AT(out_channels), 3, 1, MAX_WIDTH, false, NULL },
    { "resnet_time_scale_shift", BRUME_CONFIG_WORD, AT(resnet_time_scale_shift), BRUME_TIME_DEFAULT, 0, 0, false,
      brume_unet2d_shift_types },
    { "time_embedding_dim", BRUME_CONFIG_INT, AT(time_embedding_dim), 0, 1, MAX_WIDTH, true, NULL },
    { "time_embedding_type", BRUME_CONFIG_WORD, AT(time_embedding_type), BRUME_TIME_POSITIONAL, 0, 0, false, time_types },
    { "upsample_type", BRUME_CONFIG_WORD, AT(upsample_type), BRUME_RESAMPLE_CONV, 0, 0, false, resample_types },
    { 0 },
};
static const char *const other_keys[] = { "block_out_channels", "class_embed_type", "down_block_types", "sample_size",
                                          "up_block_types", NULL };

/* Block types by the way they stand on. */
struct block { const char *down, *up; brume_unet2d_block type; };
static const struct block blocks[] = {
    { "DownBlock2D", "UpBlock2D", BRUME_BLOCK_RESNET },
    { "AttnDownBlock2D", "AttnUpBlock2D", BRUME_BLOCK_ATTENTION },
    { "ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D", BRUME_BLOCK_RESNET_RESAMPLE },
    { "SkipDownBlock2D", "SkipUpBlock2D", BRUME_BLOCK_SKIP },
    { "AttnSkipDownBlock2D", "AttnSkipUpBlock2D", BRUME_BLOCK_ATTENTION_SKIP },
    { "CrossAttnDownBlock2D", "CrossAttnUpBlock2D", BRUME_BLOCK_CROSS_ATTENTION },
};
enum { N_BLOCKS = sizeof blocks / sizeof *blocks };

void brume_unet2d_config_default(brume_unet2d_config *c)
{
    _Static_assert(sizeof(brume_act) == sizeof(int32_t), "enums are read and written as int32_t");
    memset(c, 0, sizeof *c);
    brume_config_defaults(brume_unet2d_condition_keys, c); /* for what only it knows */
    brume_unet2d_condition_level_defaults(c);
    brume_config_defaults(brume_unet2d_lucidrains_keys, c);
    brume_config_defaults(keys, c);
}

/* Groups that must divide a width. */
static brume_status divides(const char *key, int groups, int64_t width, const char *where)
{
    if (groups > 0 && width % groups == 0) return BRUME_OK;
    return brume_fail(BRUME_E_ARG, "%s is %d, which does not divide the %lld channels of %s", key, groups, (long long)width,
                      where);
}

static brume_status check_groups(const brume_unet2d_config *c)
{
    static const char key[] = "norm_num_groups", own[] = "the number of groups of NCSN++, min(channels / 4, 32),";
    const int L = c->levels;
    const int32_t *ch = c->block_out_channels;
    char where[64];
    const bool classifier = c->architecture == BRUME_ARCHITECTURE_CLASSIFIER,
               condition = c->architecture == BRUME_ARCHITECTURE_CONDITION;
    brume_status s = divides(c->norm_num_groups ? key : own, brume_unet2d_groups(c, classifier ? L - 1 : 0),
                             ch[classifier ? L - 1 : 0], classifier ? "norm_out" : "conv_norm_out");
    if (s == BRUME_OK && c->mid_block)
        s = divides(c->norm_num_groups ? key : own, brume_unet2d_groups(c, L - 1), ch[L - 1], "mid_block");
    for (int i = 0; i < L && s == BRUME_OK; i++) {
        const bool skip = brume_unet2d_is_skip(c->down_block_types[i]);
        snprintf(where, sizeof where, "down_blocks.%d", i);
        s = divides(skip ? own : key, skip ? brume_unet2d_quarter(ch[i]) : c->norm_num_groups, ch[i], where);
        if (s == BRUME_OK && skip && i > 0) s = divides(own, brume_unet2d_quarter(ch[i - 1]), ch[i - 1], where);
        if (s == BRUME_OK && c->down_block_types[i] == BRUME_BLOCK_ATTENTION_SKIP)
            s = divides("the number of groups of NCSN++'s attention", 32, ch[i], where);
    }
    for (int i = 0; i < L && s == BRUME_OK && !classifier; i++) {
        const brume_unet2d_block type = c->up_block_types[i];
        const bool skip = brume_unet2d_is_skip(type);
        const int64_t out = ch[L - 1 - i], prev = i ? ch[L - i] : ch[L - 1], next = ch[L - 2 - i > 0 ? L - 2 - i : 0];
        const int n = brume_unet2d_layers(c, L - 1 - i);
        for (int j = 0; j <= n && s == BRUME_OK; j++) {
            const int64_t x = j == 0 ? prev : out, beside = j == n ? next : out;
            snprintf(where, sizeof where, "up_blocks.%d.resnets.%d.norm1", i, j);
            s = divides(skip ? own : key, skip ? brume_unet2d_skip_up_groups(type, x, beside) : c->norm_num_groups, x + beside,
                        where);
        }
        snprintf(where, sizeof where, "up_blocks.%d", i);
        if (s == BRUME_OK) s = divides(skip ? own : key, skip ? brume_unet2d_quarter(out) : c->norm_num_groups, out, where);
        if (s == BRUME_OK && type == BRUME_BLOCK_ATTENTION_SKIP)
            s = divides("the number of groups of NCSN++'s attention", 32, out, where);
    }
    if (s == BRUME_OK && c->mid_block && !condition && c->add_attention && c->attn_norm_num_groups)
        s = divides("attn_norm_num_groups", c->attn_norm_num_groups, ch[L - 1], "mid_block.attentions.0");
    return s;
}

/* What NCSN++ blocks ask of the rest: they carry an image of 3 channels along; only they do without norm_num_groups. */
static brume_status check_skip(const brume_unet2d_config *c)
{
    int skips = 0;
    for (int i = 0; i < c->levels; i++)
        skips += brume_unet2d_is_skip(c->down_block_types[i]) + brume_unet2d_is_skip(c->up_block_types[i]);
    if (c->norm_num_groups == 0 && skips < 2 * c->levels)
        return brume_fail(
            BRUME_E_ARG,
            "norm_num_groups is null, which only NCSN++ skip blocks know; give the number of groups (32 by default)");
    if (skips && (c->in_channels != 3 || c->out_channels != 3))
        return brume_fail(BRUME_E_ARG, "NCSN++ skip blocks need in_channels and out_channels of 3, got %d and %d", c->in_channels,
                          c->out_channels);
    return BRUME_OK;
}

static bool attends(brume_unet2d_block b) { return b == BRUME_BLOCK_ATTENTION || b == BRUME_BLOCK_ATTENTION_SKIP; }

static brume_status check_head_dim(const brume_unet2d_config *c, int level, const char *where)
{
    if (c->attention_head_dim <= c->block_out_channels[level]) return BRUME_OK;
    return brume_fail(BRUME_E_ARG, "attention_head_dim is %d, more than the %d channels of the attention in %s",
                      c->attention_head_dim, c->block_out_channels[level], where);
}

static const char *const class_names[] = { "UNet2DModel", "BrumeMLP", "BrumeNoisyClassifier", "UNet2DConditionModel",
                                          "BrumeLucidrainsUnet" }; /* order of brume_architecture */
enum { ARCHITECTURES = sizeof class_names / sizeof *class_names };

const char *brume_unet2d_class_name(const brume_unet2d_config *c)
{
    return (unsigned)c->architecture < ARCHITECTURES ? class_names[c->architecture] : NULL;
}

static const struct brume_config_key *keys_of(const brume_unet2d_config *c)
{
    return c->architecture == BRUME_ARCHITECTURE_CONDITION ? brume_unet2d_condition_keys
        : c->architecture == BRUME_ARCHITECTURE_LUCIDRAINS ? brume_unet2d_lucidrains_keys : keys;
}

/* What only UNet2DConditionModel has. */
static brume_status check_others(const brume_unet2d_config *c)
{
    for (int i = 0; i < c->levels; i++)
        if (c->down_block_types[i] == BRUME_BLOCK_CROSS_ATTENTION || c->up_block_types[i] == BRUME_BLOCK_CROSS_ATTENTION)
            return brume_fail(BRUME_E_UNSUPPORTED,
                              "CrossAttnDownBlock2D and CrossAttnUpBlock2D are blocks of UNet2DConditionModel; this is a %s",
                              brume_unet2d_class_name(c));
    if (c->conv_in_kernel != 3 || c->conv_out_kernel != 3)
        return brume_fail(BRUME_E_ARG, "conv_in_kernel and conv_out_kernel must be 3 of a %s, got %d and %d",
                          brume_unet2d_class_name(c), c->conv_in_kernel, c->conv_out_kernel);
    if (c->class_embed_type < BRUME_CLASS_PROJECTION) return BRUME_OK;
    return brume_fail(BRUME_E_UNSUPPORTED, "class_embed_type is a projection, which only UNet2DConditionModel has");
}

static brume_status check_classifier(const brume_unet2d_config *c)
{
    for (int i = 0; i < c->levels; i++)
        if (brume_unet2d_is_skip(c->down_block_types[i]))
            return brume_fail(BRUME_E_ARG,
                              "BrumeNoisyClassifier is built of other blocks than NCSN++'s, got one in down_block_types[%d]", i);
    if (c->class_embed_type != BRUME_CLASS_NONE)
        return brume_fail(BRUME_E_ARG,
                          "BrumeNoisyClassifier takes no classes, so class_embed_type and num_class_embeds must be null");
    return BRUME_OK;
}

brume_status brume_unet2d_config_check(const brume_unet2d_config *c)
{
    if (c->levels < 1 || c->levels > BRUME_UNET2D_MAX_LEVELS)
        return brume_fail(BRUME_E_ARG, "block_out_channels, down_block_types and up_block_types need 1 to %d entries, got %d",
                          BRUME_UNET2D_MAX_LEVELS, c->levels);
    if (!brume_unet2d_class_name(c))
        return brume_fail(BRUME_E_ARG, "architecture holds %d, which stands for nothing", (int)c->architecture);
    brume_status s = brume_config_check(keys_of(c), c);
    if (s != BRUME_OK) return s;
    if (!(c->dropout < 1)) return brume_fail(BRUME_E_ARG, "dropout must be below 1, got %g", c->dropout);
    for (int i = 0; i < c->levels; i++)
        if (c->block_out_channels[i] < 1 || c->block_out_channels[i] > MAX_WIDTH)
            return brume_fail(BRUME_E_ARG, "block_out_channels[%d] must be within 1 .. %d, got %d", i, MAX_WIDTH,
                              c->block_out_channels[i]);
    if (c->architecture == BRUME_ARCHITECTURE_LUCIDRAINS) return brume_unet2d_lucidrains_check(c);
    for (int i = 0; i < c->levels; i++)
        if ((unsigned)c->down_block_types[i] >= N_BLOCKS || (unsigned)c->up_block_types[i] >= N_BLOCKS)
            return brume_fail(BRUME_E_ARG, "down_block_types[%d] or up_block_types[%d] holds a number that stands for no block",
                              i, i);
    if ((unsigned)c->class_embed_type > BRUME_CLASS_SIMPLE_PROJECTION)
        return brume_fail(BRUME_E_ARG, "class_embed_type holds %d, which stands for nothing", (int)c->class_embed_type);
    const int half = c->block_out_channels[0] / 2;
    if (c->time_embedding_type == BRUME_TIME_POSITIONAL && (half < 1 || half - c->freq_shift == 0))
        return brume_fail(BRUME_E_ARG,
                          "the positional time embedding divides by block_out_channels[0] / 2 - freq_shift, which is %d - %g",
                          half, c->freq_shift);
    if (c->time_embedding_type == BRUME_TIME_LEARNED && c->num_train_timesteps == 0)
        return brume_fail(BRUME_E_ARG,
                          "time_embedding_type is learned, so num_train_timesteps must say how many rows its table has");
    if (c->class_embed_type == BRUME_CLASS_TABLE && c->num_class_embeds == 0)
        return brume_fail(BRUME_E_ARG, "a class embedding table needs num_class_embeds >= 1");
    const bool condition = c->architecture == BRUME_ARCHITECTURE_CONDITION;
    s = condition ? brume_unet2d_condition_check(c) : check_others(c);
    if (s != BRUME_OK) return s;
    if (c->architecture == BRUME_ARCHITECTURE_MLP)
        return c->levels == 1 ? BRUME_OK
                              : brume_fail(BRUME_E_ARG, "BrumeMLP takes one width in block_out_channels, got %d", c->levels);
    const bool classifier = c->architecture == BRUME_ARCHITECTURE_CLASSIFIER;
    s = classifier ? check_classifier(c) : check_skip(c);
    if (s == BRUME_OK) s = check_groups(c);
    for (int i = 0; i < c->levels && s == BRUME_OK && !condition; i++) {
        if (attends(c->down_block_types[i])) s = check_head_dim(c, i, "a down block");
        if (s == BRUME_OK && !classifier && attends(c->up_block_types[i]))
            s = check_head_dim(c, c->levels - 1 - i, "an up block");
    }
    if (s == BRUME_OK && c->mid_block && !condition && c->add_attention) s = check_head_dim(c, c->levels - 1, "the mid block");
    return s;
}

static brume_status read_block(const brume_json *v, bool down, brume_unet2d_block *out)
{
    const char *name = brume_json_string(v, NULL);
    if (!name) return brume_fail(BRUME_E_FORMAT, "%s: expected the name of a block type", brume_json_where(v));
    const char *bare = strncmp(name, "UNetRes", 7) ? name : name + 7; /* very old files */
    for (int i = 0; i < N_BLOCKS; i++)
        if (!strcmp(bare, down ? blocks[i].down : blocks[i].up)) { *out = blocks[i].type; return BRUME_OK; }
    char known[200] = "";
    for (int i = 0; i < N_BLOCKS; i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "",
                 down ? blocks[i].down : blocks[i].up);
    return brume_fail(BRUME_E_UNSUPPORTED, "%s: \"%.80s\" is not a block type that brume builds; these are %s",
                      brume_json_where(v), name, known);
}

static brume_status read_blocks(const brume_json *root, const char *key, bool down, brume_unet2d_config *c,
                                brume_unet2d_block *out)
{
    const brume_json *list = brume_json_find(root, key);
    if (!list && c->architecture == BRUME_ARCHITECTURE_CONDITION && c->levels == 4) return BRUME_OK; /* its defaults */
    if (brume_json_typeof(list) != BRUME_JSON_ARRAY)
        return brume_fail(BRUME_E_FORMAT, "%s %s must be a list of block types", brume_json_where(root), key);
    const int64_t n = brume_json_count(list);
    for (int64_t i = 0; i < n && i < BRUME_UNET2D_MAX_LEVELS; i++) {
        const brume_status s = read_block(brume_json_at(list, i), down, &out[i]);
        if (s != BRUME_OK) return s;
    }
    if (n == c->levels) return BRUME_OK;
    return brume_fail(BRUME_E_ARG, "%s: block_out_channels has %d entries but %s has %lld; they need the same length",
                      brume_json_where(root), c->levels, key, (long long)n);
}

static brume_status read_lists(const brume_json *root, brume_unet2d_config *c)
{
    int64_t widths[BRUME_UNET2D_MAX_LEVELS];
    int64_t size[2];
    int n = 0;
    brume_status s = brume_json_get_ints(root, "block_out_channels", BRUME_UNET2D_MAX_LEVELS, 1, MAX_WIDTH, widths, &n);
    if (s != BRUME_OK) return s;
    if (n == 0 && c->levels == 0) return brume_fail(BRUME_E_FORMAT, "%s block_out_channels is missing", brume_json_where(root));
    if (n > 0) c->levels = n;
    for (int i = 0; i < n; i++) c->block_out_channels[i] = (int32_t)widths[i];
    const bool own = c->architecture == BRUME_ARCHITECTURE_LUCIDRAINS;
    if (!own) s = read_blocks(root, "down_block_types", true, c, c->down_block_types);
    if (s == BRUME_OK && !own && c->architecture != BRUME_ARCHITECTURE_CLASSIFIER)
        s = read_blocks(root, "up_block_types", false, c, c->up_block_types);
    if (s == BRUME_OK) s = brume_json_get_ints(root, "sample_size", 2, 1, INT_MAX, size, &n);
    if (s == BRUME_OK && n > 0) {
        c->sample_size[0] = (int32_t)size[0];
        c->sample_size[1] = (int32_t)size[n - 1];
    }
    return s;
}

static const struct brume_config_word class_types[] = { { "timestep", BRUME_CLASS_TIMESTEP },
                                                        { "identity", BRUME_CLASS_IDENTITY },
                                                        { "projection", BRUME_CLASS_PROJECTION },
                                                        { "simple_projection", BRUME_CLASS_SIMPLE_PROJECTION }, { 0 } };

static brume_status read_class_type(const brume_json *root, brume_unet2d_config *c)
{
    static const struct brume_config_key key = { .name = "class_embed_type", .null_is_0 = true, .words = class_types };
    const brume_json *v = brume_json_find(root, key.name);
    int type = c->num_class_embeds ? BRUME_CLASS_TABLE : BRUME_CLASS_NONE;
    const brume_status s = brume_json_is_null(v) ? BRUME_OK : brume_config_read_word(&key, v, &type);
    c->class_embed_type = (brume_class_embedding)type;
    return s;
}

static brume_status read_root(const brume_json *root, brume_unet2d_config *c, char note[512])
{
    if (brume_json_typeof(root) != BRUME_JSON_OBJECT)
        return brume_fail(BRUME_E_FORMAT, "%s expected an object {...}", brume_json_where(root));
    const char *class_name = brume_json_string(brume_json_find(root, "_class_name"), NULL);
    if (!class_name) class_name = brume_json_string(brume_json_at(brume_json_find(root, "architectures"), 0), "UNet2DModel");
    int known = 0;
    while (known < ARCHITECTURES && strcmp(class_name, class_names[known])) known++;
    c->architecture = known < ARCHITECTURES ? (brume_architecture)known : BRUME_ARCHITECTURE_UNET;
    /* names of old files */
    if (known == ARCHITECTURES && strcmp(class_name, "UNetModel") && strcmp(class_name, "UNetUnconditionalModel"))
        return brume_fail(BRUME_E_UNSUPPORTED,
                          "%s this is a model of class %s; brume builds UNet2DModel and UNet2DConditionModel",
                          brume_json_where(root), class_name);
    const bool condition = c->architecture == BRUME_ARCHITECTURE_CONDITION,
               lucidrains = c->architecture == BRUME_ARCHITECTURE_LUCIDRAINS;
    if (condition) brume_unet2d_condition_config_default(c);
    brume_status s = read_lists(root, c);
    if (s == BRUME_OK)
        s = condition    ? brume_unet2d_condition_read(root, c)
            : lucidrains ? brume_unet2d_lucidrains_read(root, c)
                         : brume_config_read(root, keys, c);
    if (s == BRUME_OK && !lucidrains) s = read_class_type(root, c);
    if (s != BRUME_OK) return s;
    s = brume_unet2d_config_check(c);
    if (s != BRUME_OK) return brume_fail(s, "%s %s", brume_json_where(root), brume_error());
    if (note)
        brume_config_note_unknown(root, keys_of(c),
                                  condition    ? brume_unet2d_condition_other_keys
                                  : lucidrains ? brume_unet2d_lucidrains_other_keys
                                               : other_keys,
                                  note);
    return BRUME_OK;
}

/* The config of JSON that was read with that status; frees it. */
static brume_status take_root(brume_status s, brume_json *root, brume_unet2d_config *c, char note[512])
{
    brume_unet2d_config_default(c);
    if (note) note[0] = 0;
    if (s == BRUME_OK) s = read_root(root, c, note);
    brume_json_free(root);
    return s;
}

brume_status brume_unet2d_config_parse(const char *text, size_t length, const char *where, brume_unet2d_config *c, char note[512])
{
    brume_json *root = NULL;
    const brume_status s = brume_json_parse(text, length, where, &root);
    return take_root(s, root, c, note);
}

brume_status brume_unet2d_config_read(const char *path, brume_unet2d_config *c, char note[512])
{
    brume_json *root = NULL;
    const brume_status s = brume_json_load(path, &root);
    return take_root(s, root, c, note);
}

/* Block types of the levels, and that of the classes. */
static void write_types(brume_json_writer *w, const brume_unet2d_config *c)
{
    brume_json_begin_array(w, "down_block_types", 0);
    for (int i = 0; i < c->levels; i++) brume_json_put_string(w, NULL, blocks[c->down_block_types[i]].down);
    brume_json_end(w);
    if (c->architecture != BRUME_ARCHITECTURE_CLASSIFIER) {
        brume_json_begin_array(w, "up_block_types", 0);
        for (int i = 0; i < c->levels; i++) brume_json_put_string(w, NULL, blocks[c->up_block_types[i]].up);
        brume_json_end(w);
    }
    const struct brume_config_word *type = class_types;
    while (type->text && type->value != (int)c->class_embed_type) type++;
    if (type->text) brume_json_put_string(w, "class_embed_type", type->text);
    else brume_json_put_null(w, "class_embed_type");
}

brume_status brume_unet2d_config_write(const char *path, const brume_unet2d_config *c)
{
    brume_status s = brume_unet2d_config_check(c);
    if (s != BRUME_OK) return s;
    brume_json_writer *w = brume_json_writer_new();
    if (!w) return brume_fail(BRUME_E_MEMORY, "%s: out of memory while writing", path);
    brume_json_begin_object(w, NULL);
    brume_json_put_string(w, "_class_name", brume_unet2d_class_name(c));
    brume_json_put_string(w, "_diffusers_version", "0.42.1");
    brume_config_write(w, keys_of(c), c);
    if (c->architecture == BRUME_ARCHITECTURE_CONDITION) brume_unet2d_condition_write(w, c);
    brume_json_begin_array(w, "block_out_channels", 1);
    for (int i = 0; i < c->levels; i++) brume_json_put_int(w, NULL, c->block_out_channels[i]);
    brume_json_end(w);
    if (c->architecture == BRUME_ARCHITECTURE_LUCIDRAINS) brume_unet2d_lucidrains_write(w, c);
    else write_types(w, c);
    if (c->sample_size[0] == 0) brume_json_put_null(w, "sample_size");
    else if (c->sample_size[0] == c->sample_size[1]) brume_json_put_int(w, "sample_size", c->sample_size[0]);
    else {
        brume_json_begin_array(w, "sample_size", 1);
        brume_json_put_int(w, NULL, c->sample_size[0]);
        brume_json_put_int(w, NULL, c->sample_size[1]);
        brume_json_end(w);
    }
    brume_json_end(w);
    s = brume_json_writer_save(w, path);
    brume_json_writer_free(w);
    return s;
}
