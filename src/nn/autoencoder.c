/* SPDX-License-Identifier: MIT
 * AutoencoderKL: an encoder to the moments of a normal distribution, a decoder from a sample of it (Rombach et al. 2022). */
#include "brume/autoencoder.h"

#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "nn/autoencoder_build.h"
#include "nn/blocks.h"

static const float norm_eps = 1e-6f; /* of all norms; no config changes it */

int64_t brume_autoencoder_factor(const brume_autoencoder_config *c) { return (int64_t)1 << (c->levels - 1); }

static struct brume_nn network(brume_graph *g, const brume_autoencoder_config *c, brume_tensor slab)
{
    return (struct brume_nn){ .g = g, .slab = slab, .root = "", .act = c->act_fn, .norm_eps = norm_eps, .temb = BRUME_NONE };
}

static struct brume_nn_resnet resnet(const brume_autoencoder_config *c)
{
    return (struct brume_nn_resnet){ .groups = c->norm_num_groups, .groups_out = c->norm_num_groups,
                                     .mode = BRUME_NN_KEEP, .scale = 1.0f };
}

#define AT(...) (snprintf(path, sizeof path, __VA_ARGS__), path)

/* half: "encoder" or "decoder" */
static brume_tensor middle(struct brume_nn *m, const brume_autoencoder_config *c, const char *half, brume_tensor x)
{
    const int64_t width = c->block_out_channels[c->levels - 1];
    const struct brume_nn_resnet r = resnet(c);
    char path[BRUME_NN_PATH];
    x = brume_nn_resnet(m, AT("%s.mid_block.resnets.0", half), x, width, &r);
    if (c->mid_block_add_attention)
        x = brume_nn_attention(m, AT("%s.mid_block.attentions.0", half), x, c->norm_num_groups, 0, 1.0f);
    return brume_nn_resnet(m, AT("%s.mid_block.resnets.1", half), x, width, &r);
}

static brume_tensor encoder(struct brume_nn *m, const brume_autoencoder_config *c, brume_tensor x)
{
    const struct brume_nn_resnet r = resnet(c);
    char path[BRUME_NN_PATH];
    x = brume_nn_conv(m, "encoder.conv_in", x, c->block_out_channels[0], 3, BRUME_NONE, BRUME_NONE);
    for (int i = 0; i < c->levels; i++) {
        for (int j = 0; j < c->layers_per_block; j++)
            x = brume_nn_resnet(m, AT("encoder.down_blocks.%d.resnets.%d", i, j), x, c->block_out_channels[i], &r);
        if (i < c->levels - 1) x = brume_nn_downsample(m, AT("encoder.down_blocks.%d.downsamplers.0", i), x, 0);
    }
    x = middle(m, c, "encoder", x);
    x = brume_nn_group_norm(m, "encoder.conv_norm_out", x, c->norm_num_groups, BRUME_ACT_SILU);
    x = brume_nn_conv(m, "encoder.conv_out", x, 2 * c->latent_channels, 3, BRUME_NONE, BRUME_NONE);
    return c->use_quant_conv ? brume_nn_conv(m, "quant_conv", x, 2 * c->latent_channels, 1, BRUME_NONE, BRUME_NONE) : x;
}

static brume_tensor decoder_middle(struct brume_nn *m, const brume_autoencoder_config *c, brume_tensor z)
{
    if (c->use_post_quant_conv) z = brume_nn_conv(m, "post_quant_conv", z, c->latent_channels, 1, BRUME_NONE, BRUME_NONE);
    z = brume_nn_conv(m, "decoder.conv_in", z, c->block_out_channels[c->levels - 1], 3, BRUME_NONE, BRUME_NONE);
    return middle(m, c, "decoder", z);
}

static brume_tensor decoder_up(struct brume_nn *m, const brume_autoencoder_config *c, brume_tensor x)
{
    const struct brume_nn_resnet r = resnet(c);
    char path[BRUME_NN_PATH];
    for (int i = 0; i < c->levels; i++) {
        for (int j = 0; j <= c->layers_per_block; j++)
            x = brume_nn_resnet(m, AT("decoder.up_blocks.%d.resnets.%d", i, j), x, c->block_out_channels[c->levels - 1 - i], &r);
        if (i < c->levels - 1) x = brume_nn_upsample(m, AT("decoder.up_blocks.%d.upsamplers.0", i), x);
    }
    x = brume_nn_group_norm(m, "decoder.conv_norm_out", x, c->norm_num_groups, BRUME_ACT_SILU);
    return brume_nn_conv(m, "decoder.conv_out", x, c->out_channels, 3, BRUME_NONE, BRUME_NONE);
}

static brume_status on_paper(brume_graph *g, const void *config, brume_tensor *slab)
{
    const brume_autoencoder_config *c = config;
    const brume_status s = brume_autoencoder_config_check(c);
    if (s != BRUME_OK) return s;
    const int64_t side = brume_autoencoder_factor(c);
    *slab = brume_slab(g, "params");
    struct brume_nn m = network(g, c, *slab);
    encoder(&m, c, brume_input(g, "x", BRUME_F32, BRUME_SHAPE(1, side, side, c->in_channels)));
    decoder_up(&m, c, decoder_middle(&m, c, brume_input(g, "z", BRUME_F32, BRUME_SHAPE(1, 1, 1, c->latent_channels))));
    return BRUME_OK;
}

const struct brume_network_kind brume_autoencoder_network = { "an autoencoder", "diffusion_pytorch_model", on_paper };

/* Gives every parameter its place, whichever half is built first. */
static void declare(brume_graph *g, const brume_autoencoder_config *c, brume_tensor slab)
{
    for (int i = 0; i < brume_param_count(g, slab); i++)
        if (!strcmp(brume_param_at(g, slab, i)->name, "encoder.conv_in.weight")) return;
    brume_graph *paper = brume_graph_new();
    if (!paper) {
        brume_graph_fail(g, BRUME_E_MEMORY, "autoencoder: out of memory");
        return;
    }
    brume_tensor whole = BRUME_NONE;
    if (on_paper(paper, c, &whole) != BRUME_OK) brume_graph_fail(g, BRUME_E_ARG, "%s", brume_error());
    else if (brume_graph_status(paper) != BRUME_OK)
        brume_graph_fail(g, brume_graph_status(paper), "%s", brume_graph_error(paper));
    for (int i = 0; i < brume_param_count(paper, whole); i++) brume_param(g, slab, brume_param_at(paper, whole, i));
    brume_graph_free(paper);
}

/* Checks config and input, then declares the parameters. false: g holds an error. */
static bool begin(brume_graph *g, const brume_autoencoder_config *c, brume_tensor slab, brume_tensor x, const char *what,
                  bool encodes, struct brume_nn *m)
{
    if (brume_graph_status(g) != BRUME_OK) return false;
    const brume_status status = brume_autoencoder_config_check(c);
    if (status != BRUME_OK) return brume_graph_fail(g, status, "%s", brume_error()), false;
    const brume_shape s = brume_tensor_shape(g, x);
    const long long least = encodes ? brume_autoencoder_factor(c) : 1;
    const int32_t channels = encodes                    ? c->in_channels
                             : strcmp(what, "features") ? c->latent_channels
                                                        : c->block_out_channels[c->levels - 1];
    if (s.ndim != 4 || s.d[3] != channels || brume_tensor_dtype(g, x) != BRUME_F32)
        return brume_graph_fail(g, BRUME_E_SHAPE,
                                "autoencoder: %s must be f32 (N, H, W, %d), got %d dimensions, the last of %lld", what, channels,
                                s.ndim, s.ndim ? (long long)s.d[s.ndim - 1] : 1),
               false;
    if (s.d[1] < least || s.d[2] < least)
        return brume_graph_fail(g, BRUME_E_SHAPE,
                                "autoencoder: %d levels need a height and width of at least %lld, got %lld x %lld", c->levels,
                                least, (long long)s.d[1], (long long)s.d[2]),
               false;
    declare(g, c, slab);
    *m = network(g, c, slab);
    m->declared = true;
    return brume_graph_status(g) == BRUME_OK;
}

brume_tensor brume_autoencoder_encode(brume_graph *g, const brume_autoencoder_config *c, brume_tensor slab, brume_tensor x)
{
    struct brume_nn m;
    return begin(g, c, slab, x, "x", true, &m) ? encoder(&m, c, x) : BRUME_NONE;
}

brume_tensor brume_autoencoder_decode_middle(brume_graph *g, const brume_autoencoder_config *c, brume_tensor slab, brume_tensor z)
{
    struct brume_nn m;
    return begin(g, c, slab, z, "z", false, &m) ? decoder_middle(&m, c, z) : BRUME_NONE;
}

brume_tensor brume_autoencoder_decode_up(brume_graph *g, const brume_autoencoder_config *c, brume_tensor slab,
                                         brume_tensor features)
{
    struct brume_nn m;
    return begin(g, c, slab, features, "features", false, &m) ? decoder_up(&m, c, features) : BRUME_NONE;
}

brume_tensor brume_autoencoder_decode(brume_graph *g, const brume_autoencoder_config *c, brume_tensor slab, brume_tensor z)
{
    return brume_autoencoder_decode_up(g, c, slab, brume_autoencoder_decode_middle(g, c, slab, z));
}

/* Half of the moments' channels. */
static brume_tensor half(brume_graph *g, brume_tensor moments, int second)
{
    const brume_shape s = brume_tensor_shape(g, moments);
    if (brume_graph_status(g) != BRUME_OK) return BRUME_NONE;
    if (s.ndim != 4 || s.d[3] % 2)
        return brume_graph_fail(g, BRUME_E_SHAPE,
                                "autoencoder: moments must be (N, h, w, 2 Z), got %d dimensions, the last of %lld", s.ndim,
                                s.ndim ? (long long)s.d[s.ndim - 1] : 1);
    return brume_slice(g, moments, 3, second * (s.d[3] / 2), s.d[3] / 2);
}

brume_tensor brume_autoencoder_mean(brume_graph *g, brume_tensor moments) { return half(g, moments, 0); }
brume_tensor brume_autoencoder_logvar(brume_graph *g, brume_tensor moments)
{
    return brume_clamp(g, half(g, moments, 1), -30.0f, 20.0f);
}

brume_tensor brume_autoencoder_sample(brume_graph *g, brume_tensor moments, brume_tensor eps)
{
    const brume_tensor std = brume_exp(g, brume_affine(g, brume_autoencoder_logvar(g, moments), 0.5f, 0.0f));
    return brume_add(g, brume_autoencoder_mean(g, moments), brume_mul(g, std, eps));
}

brume_tensor brume_autoencoder_kl(brume_graph *g, brume_tensor moments)
{
    const brume_tensor mean = brume_autoencoder_mean(g, moments), logvar = brume_autoencoder_logvar(g, moments);
    /* exp(v) - 1 as one function: near v = 0, where training leads, the difference would lose its digits */
    const brume_tensor terms = brume_add(g, brume_square(g, mean), brume_sub(g, brume_expm1(g, logvar), logvar));
    return brume_affine(g, brume_sum(g, terms, 1u << 1 | 1u << 2 | 1u << 3, 0), 0.5f, 0.0f);
}

int64_t brume_autoencoder_param_count(const brume_autoencoder_config *c)
{
    return brume_network_count(&brume_autoencoder_network, c);
}
