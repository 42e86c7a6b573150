/* SPDX-License-Identifier: MIT
 * UNet2DModel and UNet2DConditionModel: down path, middle, up path with skip connections (Ronneberger et al. 2015; Ho et al.
 * 2020). */
#include "brume/unet2d.h"

#include <stdio.h>

#include "base/fail.h"
#include "nn/blocks.h"
#include "nn/unet2d_build.h"

#define MAX_SKIPS (1 + BRUME_UNET2D_MAX_LEVELS * (BRUME_UNET2D_MAX_LAYERS + 1))

int64_t brume_unet2d_embedding_dim(const brume_unet2d_config *c)
{
    const int32_t base = c->architecture == BRUME_ARCHITECTURE_LUCIDRAINS ? c->dim : c->block_out_channels[0];
    return c->time_embedding_dim ? c->time_embedding_dim : 4 * (int64_t)base;
}

static int64_t shrinks_by(const brume_unet2d_config *c) { return (int64_t)1 << (c->levels - 1); }

int64_t brume_unet2d_multiple(const brume_unet2d_config *c)
{
    return c->architecture == BRUME_ARCHITECTURE_CONDITION ? 1 : shrinks_by(c);
}

/* The time projection of t, before its linear layers; table: parameter of the learned and the Fourier embedding, else
 * BRUME_NONE. */
static brume_tensor project(brume_graph *g, const brume_unet2d_config *c, brume_tensor table, brume_tensor t)
{
    switch (c->time_embedding_type) {
    case BRUME_TIME_FOURIER: return brume_fourier_embedding(g, t, table);
    case BRUME_TIME_LEARNED: return brume_embedding(g, table, t);
    case BRUME_TIME_POSITIONAL: break;
    }
    return brume_timestep_embedding(g, t, c->block_out_channels[0], c->flip_sin_to_cos, (float)c->freq_shift);
}

static brume_tensor time_table(brume_graph *g, const brume_unet2d_config *c, brume_tensor slab)
{
    const int64_t c0 = c->block_out_channels[0];
    brume_param_info info = { .name = "time_proj.weight", .layout = BRUME_LAYOUT_SAME, .init = BRUME_INIT_NORMAL, .fan_in = 1 };
    if (c->time_embedding_type == BRUME_TIME_FOURIER) {
        info.shape = BRUME_SHAPE(c0);
        info.init_scale = 16.0f;
    } else if (c->time_embedding_type == BRUME_TIME_LEARNED) {
        info.shape = BRUME_SHAPE(c->num_train_timesteps, c0);
        info.init_scale = 1.0f;
        info.trainable = 1;
    } else {
        return BRUME_NONE;
    }
    return brume_param(g, slab, &info);
}

/* Activation within the time embedding and after the last norm. */
static brume_act outer_act(const brume_unet2d_config *c)
{
    return c->architecture == BRUME_ARCHITECTURE_CONDITION ? c->act_fn : BRUME_ACT_SILU;
}

/* Time and class embedding (N, E). */
static brume_tensor embed(struct brume_nn *m, const brume_unet2d_config *c, brume_tensor t, brume_tensor labels)
{
    brume_graph *g = m->g;
    const int64_t width = brume_unet2d_embedding_dim(c);
    const brume_act act = outer_act(c);
    const brume_tensor table = time_table(g, c, m->slab);
    brume_scope_push(g, "time_proj");
    const brume_tensor p = project(g, c, table, t);
    brume_scope_pop(g);
    brume_tensor emb = brume_nn_time_mlp(m, "time_embedding", p, width, act), class_emb = labels;
    switch (c->class_embed_type) {
    case BRUME_CLASS_NONE: return emb;
    case BRUME_CLASS_TABLE: class_emb = brume_nn_embedding(m, "class_embedding", labels, c->num_class_embeds, width); break;
    case BRUME_CLASS_TIMESTEP:
        class_emb = brume_nn_time_mlp(m, "class_embedding", project(g, c, table, labels), width, act);
        break;
    case BRUME_CLASS_IDENTITY: break;
    case BRUME_CLASS_PROJECTION: class_emb = brume_nn_time_mlp(m, "class_embedding", labels, width, BRUME_ACT_SILU); break;
    case BRUME_CLASS_SIMPLE_PROJECTION: class_emb = brume_nn_linear(m, "class_embedding", labels, width); break;
    }
    brume_scope_push(g, "class_embedding");
    emb = brume_add(g, emb, class_emb);
    brume_scope_pop(g);
    return emb;
}

static bool by_resnet(brume_unet2d_block type, brume_resample chosen)
{
    return type == BRUME_BLOCK_RESNET_RESAMPLE || (type == BRUME_BLOCK_ATTENTION && chosen == BRUME_RESAMPLE_RESNET);
}

struct skips { int n; brume_tensor t[MAX_SKIPS]; };

static struct brume_nn_resnet resnet(const brume_unet2d_config *c, enum brume_nn_mode mode, float scale)
{
    return (struct brume_nn_resnet){ .groups = c->norm_num_groups, .groups_out = c->norm_num_groups,
                                     .mode = mode, .scale = scale };
}

/* What follows a resnet at a level of the way down. */
static brume_tensor attend(struct brume_nn *m, const brume_unet2d_config *c, brume_unet2d_block type, int level, const char *path,
                           brume_tensor x)
{
    if (type == BRUME_BLOCK_ATTENTION) return brume_nn_attention(m, path, x, c->norm_num_groups, c->attention_head_dim, 1.0f);
    const struct brume_nn_transformer t = { .groups = c->norm_num_groups, .heads = brume_unet2d_heads(c, level),
                                            .depth = brume_unet2d_depth(c, level), .linear = c->use_linear_projection,
                                            .only_cross = c->only_cross_attention[level] };
    return type == BRUME_BLOCK_CROSS_ATTENTION ? brume_nn_transformer2d(m, path, x, &t) : x;
}

static brume_tensor down(struct brume_nn *m, const brume_unet2d_config *c, int i, brume_tensor x, struct skips *s)
{
    const brume_unet2d_block type = c->down_block_types[i];
    const struct brume_nn_resnet keep = resnet(c, BRUME_NN_KEEP, 1.0f), shrink = resnet(c, BRUME_NN_DOWN, 1.0f);
    char path[BRUME_NN_PATH];
    for (int j = 0; j < brume_unet2d_layers(c, i); j++) {
        snprintf(path, sizeof path, "down_blocks.%d.resnets.%d", i, j);
        x = brume_nn_resnet(m, path, x, c->block_out_channels[i], &keep);
        snprintf(path, sizeof path, "down_blocks.%d.attentions.%d", i, j);
        s->t[s->n++] = x = attend(m, c, type, i, path, x);
    }
    if (i == c->levels - 1) return x;
    snprintf(path, sizeof path, "down_blocks.%d.downsamplers.0", i);
    if (by_resnet(type, c->downsample_type))
        x = brume_nn_resnet(m, path, x, c->block_out_channels[i], &shrink);
    else
        x = brume_nn_downsample(m, path, x, c->downsample_padding);
    return s->t[s->n++] = x;
}

static brume_tensor middle(struct brume_nn *m, const brume_unet2d_config *c, brume_tensor x)
{
    const int64_t width = c->block_out_channels[c->levels - 1];
    const float scale = (float)c->mid_block_scale_factor;
    const int level_groups = brume_unet2d_groups(c, c->levels - 1);
    const int groups = c->attn_norm_num_groups ? c->attn_norm_num_groups : m->scale_shift ? 0 : level_groups;
    const struct brume_nn_resnet r = { .groups = level_groups, .groups_out = level_groups,
                                       .mode = BRUME_NN_KEEP, .scale = scale };
    x = brume_nn_resnet(m, "mid_block.resnets.0", x, width, &r);
    if (c->architecture == BRUME_ARCHITECTURE_CONDITION) {
        const struct brume_nn_transformer t = { .groups = level_groups, .heads = brume_unet2d_heads(c, c->levels - 1),
                                                .depth = brume_unet2d_depth(c, c->levels - 1),
                                                .linear = c->use_linear_projection };
        if (!c->mid_cross_attention) return x;
        x = brume_nn_transformer2d(m, "mid_block.attentions.0", x, &t); /* never only_cross: diffusers does not pass that on */
    } else if (c->add_attention) x = brume_nn_attention(m, "mid_block.attentions.0", x, groups, c->attention_head_dim, scale);
    return brume_nn_resnet(m, "mid_block.resnets.1", x, width, &r);
}

static brume_tensor join(struct brume_nn *m, const char *prefix, brume_tensor x, struct skips *s)
{
    brume_scope_push(m->g, "%s", prefix);
    x = brume_concat(m->g, 2, (brume_tensor[]){ x, s->t[--s->n] }, 3);
    brume_scope_pop(m->g);
    return x;
}

static brume_tensor up(struct brume_nn *m, const brume_unet2d_config *c, int i, brume_tensor x, struct skips *s)
{
    const brume_unet2d_block type = c->up_block_types[i];
    const int level = c->levels - 1 - i;
    const int64_t width = c->block_out_channels[level];
    const struct brume_nn_resnet keep = resnet(c, BRUME_NN_KEEP, 1.0f), grow = resnet(c, BRUME_NN_UP, 1.0f);
    char path[BRUME_NN_PATH];
    for (int j = 0; j <= brume_unet2d_layers(c, level); j++) {
        snprintf(path, sizeof path, "up_blocks.%d.resnets.%d", i, j);
        brume_segment_begin(m->g); /* the joined tensor is a copy of two that are kept anyway */
        x = brume_nn_resnet(m, path, join(m, path, x, s), width, &keep);
        brume_segment_end(m->g);
        snprintf(path, sizeof path, "up_blocks.%d.attentions.%d", i, j);
        x = attend(m, c, type, level, path, x);
    }
    if (level == 0) return x;
    snprintf(path, sizeof path, "up_blocks.%d.upsamplers.0", i);
    if (by_resnet(type, c->upsample_type)) return brume_nn_resnet(m, path, x, width, &grow);
    const brume_shape next = brume_tensor_shape(m->g, s->t[s->n - 1]); /* twice the size, unless the way down met an odd one */
    return brume_nn_upsample_to(m, path, x, next.d[1], next.d[2]);
}

/* NCSN++ blocks (Song et al. 2021, app. H): every residual is divided by sqrt 2, and `image` goes along beside x, FIR-resampled;
 * on the way down it is mixed into x, on the way up every block adds to it. */
static const float sqrt2 = 1.41421356f;

static brume_tensor skip_down(struct brume_nn *m, const brume_unet2d_config *c, int i, brume_tensor x, struct skips *s,
                              brume_tensor *image)
{
    const int64_t width = c->block_out_channels[i];
    struct brume_nn_resnet r = { .groups_out = brume_unet2d_quarter(width), .mode = BRUME_NN_KEEP, .scale = sqrt2 };
    char path[BRUME_NN_PATH];
    for (int j = 0; j < c->layers_per_block; j++) {
        snprintf(path, sizeof path, "down_blocks.%d.resnets.%d", i, j);
        r.groups = brume_unet2d_quarter(j || i == 0 ? width : c->block_out_channels[i - 1]);
        x = brume_nn_resnet(m, path, x, width, &r);
        if (c->down_block_types[i] == BRUME_BLOCK_ATTENTION_SKIP) {
            snprintf(path, sizeof path, "down_blocks.%d.attentions.%d", i, j);
            x = brume_nn_attention(m, path, x, 32, c->attention_head_dim, sqrt2);
        }
        s->t[s->n++] = x;
    }
    if (i == c->levels - 1) return x;
    r = (struct brume_nn_resnet){ r.groups_out, r.groups_out, BRUME_NN_FIR_DOWN, sqrt2, true };
    snprintf(path, sizeof path, "down_blocks.%d.resnet_down", i);
    x = brume_nn_resnet(m, path, x, width, &r);
    snprintf(path, sizeof path, "down_blocks.%d.skip_conv", i);
    *image = brume_fir_downsample2(m->g, *image);
    x = brume_nn_conv(m, path, *image, width, 1, BRUME_NONE, x);
    return s->t[s->n++] = x;
}

static brume_tensor skip_up(struct brume_nn *m, const brume_unet2d_config *c, int i, brume_tensor x, struct skips *s,
                            brume_tensor *image)
{
    const brume_unet2d_block type = c->up_block_types[i];
    const int L = c->levels, n = c->layers_per_block;
    const int32_t *ch = c->block_out_channels;
    const int64_t width = ch[L - 1 - i], prev = i ? ch[L - i] : ch[L - 1], next = ch[L - 2 - i > 0 ? L - 2 - i : 0];
    struct brume_nn_resnet r = { .groups_out = brume_unet2d_quarter(width), .mode = BRUME_NN_KEEP, .scale = sqrt2 };
    char path[BRUME_NN_PATH];
    for (int j = 0; j <= n; j++) {
        snprintf(path, sizeof path, "up_blocks.%d.resnets.%d", i, j);
        r.groups = brume_unet2d_skip_up_groups(type, j == 0 ? prev : width, j == n ? next : width);
        x = brume_nn_resnet(m, path, join(m, path, x, s), width, &r);
    }
    if (type == BRUME_BLOCK_ATTENTION_SKIP) {
        snprintf(path, sizeof path, "up_blocks.%d.attentions.0", i);
        x = brume_nn_attention(m, path, x, 32, c->attention_head_dim, sqrt2);
    }
    if (*image != BRUME_NONE) *image = brume_fir_upsample2(m->g, *image);
    if (i == L - 1) return x;
    snprintf(path, sizeof path, "up_blocks.%d.skip_norm", i);
    const brume_tensor h = brume_nn_group_norm(m, path, x, r.groups_out, BRUME_ACT_SILU);
    snprintf(path, sizeof path, "up_blocks.%d.skip_conv", i);
    *image = brume_nn_conv(m, path, h, 3, 3, BRUME_NONE, *image);
    r = (struct brume_nn_resnet){ r.groups_out, r.groups_out, BRUME_NN_FIR_UP, sqrt2, true };
    snprintf(path, sizeof path, "up_blocks.%d.resnet_up", i);
    return brume_nn_resnet(m, path, x, width, &r);
}

static bool context_fits(brume_graph *g, const brume_unet2d_config *c, brume_tensor context, int64_t n)
{
    const long long width = (long long)brume_unet2d_context_dim(c);
    const brume_shape s = brume_tensor_shape(g, context);
    if (!width && context == BRUME_NONE) return true;
    if (!width) return brume_graph_fail(g, BRUME_E_ARG, "unet2d: context given, but the model has no cross-attention"), false;
    if (context == BRUME_NONE)
        return brume_graph_fail(g, BRUME_E_ARG, "unet2d: the model has cross-attention, so a context must be given"), false;
    if (s.ndim == 3 && s.d[0] == n && s.d[2] == width && brume_tensor_dtype(g, context) == BRUME_F32) return true;
    return brume_graph_fail(g, BRUME_E_SHAPE,
                            "unet2d: context must be f32 of shape (%lld, tokens, %lld), got %d dimensions, the last of %lld",
                            (long long)n, width, s.ndim, s.ndim ? (long long)s.d[s.ndim - 1] : 1),
           false;
}

/* Width of labels that are vectors of f32; 0: they are numbers. */
static int64_t label_width(const brume_unet2d_config *c)
{
    if (c->class_embed_type == BRUME_CLASS_IDENTITY) return brume_unet2d_embedding_dim(c);
    return c->class_embed_type >= BRUME_CLASS_PROJECTION ? c->projection_class_embeddings_input_dim : 0;
}

/* Everything that the operators themselves would not notice, or only deep inside the network. */
static bool inputs_fit(brume_graph *g, const brume_unet2d_config *c, const brume_unet2d_inputs *in)
{
    const brume_tensor t = in->t, labels = in->labels;
    const brume_shape sx = brume_tensor_shape(g, in->x), st = brume_tensor_shape(g, t), sl = brume_tensor_shape(g, labels);
    const long long m = (long long)brume_unet2d_multiple(c), e = (long long)label_width(c);
    const brume_dtype time_type = c->time_embedding_type == BRUME_TIME_LEARNED ? BRUME_I32 : BRUME_F32;
    if (sx.ndim != 4 || sx.d[3] != c->in_channels)
        return brume_graph_fail(g, BRUME_E_SHAPE, "unet2d: x must be (N, H, W, %d), got %d dimensions, the last of %lld",
                                c->in_channels, sx.ndim, sx.ndim ? (long long)sx.d[sx.ndim - 1] : 1),
               false;
    if (sx.d[1] % m || sx.d[2] % m)
        return brume_graph_fail(g, BRUME_E_SHAPE,
                                "unet2d: %d levels need a height and width that are multiples of %lld, got %lld x %lld",
                                c->levels, m, (long long)sx.d[1], (long long)sx.d[2]),
               false;
    if (st.ndim != 1 || st.d[0] != sx.d[0] || brume_tensor_dtype(g, t) != time_type)
        return brume_graph_fail(g, BRUME_E_SHAPE, "unet2d: t must be %s of shape (%lld)", time_type == BRUME_I32 ? "i32" : "f32",
                                (long long)sx.d[0]), false;
    if (!context_fits(g, c, in->context, sx.d[0])) return false;
    if (c->class_embed_type == BRUME_CLASS_NONE) {
        if (labels == BRUME_NONE) return true;
        return brume_graph_fail(g, BRUME_E_ARG, "unet2d: labels given, but the model has no class embedding"), false;
    }
    if (labels == BRUME_NONE)
        return brume_graph_fail(g, BRUME_E_ARG, "unet2d: the model has a class embedding, so labels must be given"), false;
    const brume_dtype want = c->class_embed_type == BRUME_CLASS_TABLE ? BRUME_I32 : e ? BRUME_F32 : time_type;
    if (sl.ndim != 1 + (e > 0) || sl.d[0] != sx.d[0] || (e && sl.d[1] != e) || brume_tensor_dtype(g, labels) != want) {
        char shape[64];
        if (e) snprintf(shape, sizeof shape, "(%lld, %lld)", (long long)sx.d[0], e);
        else snprintf(shape, sizeof shape, "(%lld)", (long long)sx.d[0]);
        return brume_graph_fail(g, BRUME_E_SHAPE, "unet2d: labels must be %s of shape %s", want == BRUME_I32 ? "i32" : "f32",
                                shape),
               false;
    }
    return true;
}

static brume_tensor way_down(struct brume_nn *m, const brume_unet2d_config *c, brume_tensor x, struct skips *s,
                             brume_tensor *image)
{
    x = s->t[s->n++] = brume_nn_conv(m, "conv_in", x, c->block_out_channels[0], c->conv_in_kernel, BRUME_NONE, BRUME_NONE);
    for (int i = 0; i < c->levels; i++)
        x = brume_unet2d_is_skip(c->down_block_types[i]) ? skip_down(m, c, i, x, s, image) : down(m, c, i, x, s);
    return c->mid_block ? middle(m, c, x) : x;
}

/* The encoder, and what all pixels say together. */
static brume_tensor classifier(struct brume_nn *m, const brume_unet2d_config *c, brume_tensor x, brume_tensor *features)
{
    struct skips s = { 0 };
    x = way_down(m, c, x, &s, &(brume_tensor){ x });
    x = brume_nn_group_norm(m, "norm_out", x, brume_unet2d_groups(c, c->levels - 1), BRUME_ACT_SILU);
    x = brume_mean(m->g, x, 1u << 1 | 1u << 2, 0);
    if (features) *features = x;
    return brume_nn_linear(m, "classifier", x, c->out_channels);
}

/* Down, middle and up. */
static brume_tensor unet(struct brume_nn *m, const brume_unet2d_config *c, brume_tensor x)
{
    struct skips s = { 0 };
    brume_tensor image = x; /* only NCSN++ blocks use it */
    x = way_down(m, c, x, &s, &image);
    image = BRUME_NONE;
    for (int i = 0; i < c->levels; i++)
        x = brume_unet2d_is_skip(c->up_block_types[i]) ? skip_up(m, c, i, x, &s, &image) : up(m, c, i, x, &s);
    x = brume_nn_group_norm(m, "conv_norm_out", x, brume_unet2d_groups(c, 0), outer_act(c));
    return brume_nn_conv(m, "conv_out", x, c->out_channels, c->conv_out_kernel, BRUME_NONE, image);
}

brume_tensor brume_unet2d(brume_graph *g, const brume_unet2d_config *c, brume_tensor slab, const brume_unet2d_inputs *in,
                          const brume_dropout_source *train)
{
    if (brume_graph_status(g) != BRUME_OK) return BRUME_NONE;
    const brume_status status = brume_unet2d_config_check(c);
    if (status != BRUME_OK) return brume_graph_fail(g, status, "%s", brume_error());
    if (!inputs_fit(g, c, in)) return BRUME_NONE;

    brume_tensor x = in->x;
    const int64_t n = brume_tensor_shape(g, x).d[0], c0 = c->block_out_channels[0];
    struct brume_nn m = { .g = g, .slab = slab, .root = "", .act = c->act_fn, .norm_eps = (float)c->norm_eps,
                          .dropout = (float)c->dropout, .scale_shift = c->resnet_time_scale_shift == BRUME_TIME_SCALE_SHIFT,
                          .context = in->context, .train = train, .lora = in->lora, .lora_root = "unet.",
                          .stream = train ? train->first_stream : 0 };
    if (c->architecture == BRUME_ARCHITECTURE_LUCIDRAINS) return brume_nn_lucidrains(&m, c, x, in->t);
    m.temb = brume_activation(g, embed(&m, c, in->t, in->labels), c->act_fn);
    if (c->center_input_sample) x = brume_affine(g, x, 2.0f, -1.0f);
    if (c->architecture == BRUME_ARCHITECTURE_CLASSIFIER) return classifier(&m, c, x, in->features);
    if (c->architecture == BRUME_ARCHITECTURE_MLP) x = brume_nn_mlp(&m, x, c->out_channels, c0, c->layers_per_block);
    else x = unet(&m, c, x);
    if (c->time_embedding_type == BRUME_TIME_FOURIER) x = brume_div(g, x, brume_reshape(g, in->t, BRUME_SHAPE(n, 1, 1, 1)));
    return x;
}

brume_unet2d_inputs brume_unet2d_declare_inputs(brume_graph *g, const brume_unet2d_config *c, int64_t n, int64_t height,
                                                int64_t width, int64_t tokens)
{
    const brume_dtype time_type = c->time_embedding_type == BRUME_TIME_LEARNED ? BRUME_I32 : BRUME_F32;
    brume_unet2d_inputs in = { .labels = BRUME_NONE, .context = BRUME_NONE };
    in.x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(n, height, width, c->in_channels));
    in.t = brume_input(g, "t", time_type, BRUME_SHAPE(n));
    switch (c->class_embed_type) {
    case BRUME_CLASS_NONE: break;
    case BRUME_CLASS_TABLE: in.labels = brume_input(g, "labels", BRUME_I32, BRUME_SHAPE(n)); break;
    case BRUME_CLASS_TIMESTEP: in.labels = brume_input(g, "labels", time_type, BRUME_SHAPE(n)); break;
    case BRUME_CLASS_IDENTITY: case BRUME_CLASS_PROJECTION: case BRUME_CLASS_SIMPLE_PROJECTION:
        in.labels = brume_input(g, "labels", BRUME_F32, BRUME_SHAPE(n, label_width(c)));
        break;
    }
    if (brume_unet2d_context_dim(c))
        in.context = brume_input(g, "context", BRUME_F32, BRUME_SHAPE(n, tokens, brume_unet2d_context_dim(c)));
    return in;
}

brume_status brume_unet2d_on_paper(brume_graph *g, const brume_unet2d_config *c, brume_tensor *slab)
{
    const brume_status s = brume_unet2d_config_check(c);
    if (s != BRUME_OK) return s;
    const int64_t side = shrinks_by(c); /* the weights of the MLP alone depend on the size of the image */
    const bool fixed = c->architecture == BRUME_ARCHITECTURE_MLP && c->sample_size[0];
    const int64_t height = fixed ? c->sample_size[0] : side, width = fixed ? c->sample_size[1] : side;
    *slab = brume_slab(g, "params");
    const brume_unet2d_inputs in = brume_unet2d_declare_inputs(g, c, 1, height, width, 1);
    brume_unet2d(g, c, *slab, &in, NULL);
    return BRUME_OK;
}

static brume_status on_paper(brume_graph *g, const void *config, brume_tensor *slab)
{
    return brume_unet2d_on_paper(g, config, slab);
}

const struct brume_network_kind brume_unet2d_network = { "a U-Net", "diffusion_pytorch_model", on_paper };

int64_t brume_unet2d_param_count(const brume_unet2d_config *c) { return brume_network_count(&brume_unet2d_network, c); }
