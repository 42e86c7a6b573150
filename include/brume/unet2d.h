/* SPDX-License-Identifier: MIT
 * The U-Net of Ho et al. (2020) and its variants: diffusers' UNet2DModel and UNet2DConditionModel, described by their
 * config.json, and others. */
#ifndef BRUME_UNET2D_H
#define BRUME_UNET2D_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "brume/api.h"
#include "brume/graph.h"
#include "brume/lora.h"
#include "brume/ops.h"

BRUME_API_BEGIN

/** Most levels of resolution; configs with more are refused. */
#define BRUME_UNET2D_MAX_LEVELS 10

/** Kinds of levels; a config names one for the way down and one for the way up, per level. */
typedef enum brume_unet2d_block {
    BRUME_BLOCK_RESNET = 0,      /**< "DownBlock2D", "UpBlock2D": resnets; always resampled by a convolution */
    BRUME_BLOCK_ATTENTION,       /**< "AttnDownBlock2D", "AttnUpBlock2D": attention after each resnet; downsample_type,
                                      upsample_type */
    BRUME_BLOCK_RESNET_RESAMPLE, /**< "ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D": resnets; always resampled by a resnet */
    /* NCSN++ (Song et al. 2021): residuals over sqrt 2, FIR resampling, and the image itself carried along. 3 channels in and
     * out. */
    BRUME_BLOCK_SKIP,            /**< "SkipDownBlock2D", "SkipUpBlock2D" */
    BRUME_BLOCK_ATTENTION_SKIP,  /**< "AttnSkipDownBlock2D", "AttnSkipUpBlock2D" */
    BRUME_BLOCK_CROSS_ATTENTION  /**< "CrossAttnDownBlock2D", "CrossAttnUpBlock2D", of UNet2DConditionModel: a transformer after
                                      each resnet, which reads the context; always resampled by a convolution */
} brume_unet2d_block;

/**
 * What the network is told of time: sines of t (Vaswani et al. 2017), random Fourier features of ln t (Tancik et al. 2020), or
 * those with learnt frequencies.
 */
typedef enum brume_time_embedding { BRUME_TIME_POSITIONAL = 0, BRUME_TIME_FOURIER, BRUME_TIME_LEARNED } brume_time_embedding;
/** How levels change resolution: a convolution, or a whole residual block. */
typedef enum brume_resample { BRUME_RESAMPLE_CONV = 0, BRUME_RESAMPLE_RESNET } brume_resample;
/** How the time embedding enters a residual block: added, or as scale and shift of its second norm. */
typedef enum brume_time_scale_shift { BRUME_TIME_DEFAULT = 0, BRUME_TIME_SCALE_SHIFT } brume_time_scale_shift;
/** How classes enter: see brume_unet2d_config.class_embed_type. */
typedef enum brume_class_embedding {
    BRUME_CLASS_NONE = 0,        /**< no labels */
    BRUME_CLASS_TABLE,           /**< num_class_embeds rows of width E, chosen by labels i32 (N) */
    BRUME_CLASS_TIMESTEP,        /**< labels (N), of the type of t, pass through the time projection and two linear layers */
    BRUME_CLASS_IDENTITY,        /**< labels are embeddings f32 (N, E) */
    BRUME_CLASS_PROJECTION,      /**< of UNet2DConditionModel: labels f32 (N, projection_class_embeddings_input_dim) through two
                                      linear layers */
    BRUME_CLASS_SIMPLE_PROJECTION /**< of UNet2DConditionModel: the same through one linear layer */
} brume_class_embedding;

/** What the config describes: the U-Net; or, brume's own, a residual multilayer perceptron for points of the plane, or a
 * classifier of noisy images. */
typedef enum brume_architecture {
    BRUME_ARCHITECTURE_UNET = 0, /**< "UNet2DModel" */
    BRUME_ARCHITECTURE_MLP,      /**< "BrumeMLP": layers_per_block residual blocks of width block_out_channels[0] over all values
                                      of an image of sample_size (1 x 1 if null), with the time and class embeddings of the U-Net;
                                      the keys of convolutions, norms and attention say nothing */
    BRUME_ARCHITECTURE_CLASSIFIER, /**< "BrumeNoisyClassifier": the way down and the middle of the U-Net, then norm, mean over the
                                        pixels and a linear layer to out_channels classes (Dhariwal & Nichol 2021, sec. 4); no
                                        class embedding, no up_block_types; a Fourier embedding of sigma does not divide the
                                        result */
    BRUME_ARCHITECTURE_CONDITION, /**< "UNet2DConditionModel" of Stable Diffusion 1.x and 2.x (Rombach et al. 2022): blocks RESNET
                                       and CROSS_ATTENTION, positional time embedding, images of any height and width */
    BRUME_ARCHITECTURE_LUCIDRAINS /**< "BrumeLucidrainsUnet", the Unet of denoising-diffusion-pytorch 2.x: its weights are its
                                       state dict, names and shapes alike. Of the keys above it has in_channels, out_channels,
                                       dropout, block_out_channels (dim times dim_mults), sample_size and time_embedding_dim; no
                                       classes */
} brume_architecture;

/** Keys of config.json under their own names; defaults are those of diffusers. 0 stands for null where "0 = null" is said. */
typedef struct brume_unet2d_config {
    brume_architecture architecture;   /**< U-Net; "_class_name" in the file */
    int32_t sample_size[2];            /**< height and width that the model was made for; 0 = null; informative only */
    int32_t in_channels, out_channels; /**< 3, 3 */
    bool center_input_sample;          /**< false; true: the input is 2 x - 1 */
    brume_time_embedding time_embedding_type; /**< positional */
    int32_t time_embedding_dim;        /**< 0 = null: 4 block_out_channels[0] */
    double freq_shift;                 /**< 0 */
    bool flip_sin_to_cos;              /**< true: cos before sin */
    int32_t levels;                    /**< L = length of the three lists below, 1 .. BRUME_UNET2D_MAX_LEVELS */
    int32_t block_out_channels[BRUME_UNET2D_MAX_LEVELS]; /**< channels of each level, from the image inwards */
    brume_unet2d_block down_block_types[BRUME_UNET2D_MAX_LEVELS]; /**< full resolution first */
    brume_unet2d_block up_block_types[BRUME_UNET2D_MAX_LEVELS];   /**< lowest resolution first */
    bool mid_block;                    /**< true: "UNetMidBlock2D"; false: null */
    int32_t layers_per_block;          /**< 2 */
    double mid_block_scale_factor;     /**< 1: results of the mid block's resnets and attention are divided by it */
    int32_t downsample_padding;        /**< 1: one zero all around; 0: one row at the bottom and one column at the right */
    brume_resample downsample_type, upsample_type; /**< conv */
    double dropout;                    /**< 0; in training only, before the second convolution of every resnet */
    brume_act act_fn;                  /**< BRUME_ACT_SILU */
    int32_t attention_head_dim;        /**< 8; 0 = null: one head */
    int32_t norm_num_groups;           /**< 32; 0 = null, for skip blocks only: min(C / 4, 32) */
    int32_t attn_norm_num_groups;      /**< 0 = null */
    double norm_eps;                   /**< 1e-5 */
    brume_time_scale_shift resnet_time_scale_shift; /**< default */
    bool add_attention;                /**< true: attention in the mid block */
    brume_class_embedding class_embed_type; /**< NONE; TABLE is spelt null with num_class_embeds set */
    int32_t num_class_embeds;          /**< 0 = null */
    int32_t num_train_timesteps;       /**< 0 = null; rows of the learned time embedding */

    /* Of BRUME_ARCHITECTURE_CONDITION alone. There attention_head_dim is the NUMBER of heads, and act_fn follows the time
     * embedding and the last norm, too. level_...[i] overrides the one number for level i of the way down (the way up reads the
     * list backwards, the mid block the last entry); 0: no override. */
    int32_t cross_attention_dim;       /**< 1280; width X of the context */
    int32_t level_cross_attention_dim[BRUME_UNET2D_MAX_LEVELS]; /**< of cross_attention_dim */
    int32_t level_attention_heads[BRUME_UNET2D_MAX_LEVELS];     /**< of attention_head_dim */
    int32_t level_layers[BRUME_UNET2D_MAX_LEVELS];              /**< of layers_per_block */
    int32_t transformer_layers_per_block;                       /**< 1 */
    int32_t level_transformer_layers[BRUME_UNET2D_MAX_LEVELS];  /**< of transformer_layers_per_block */
    bool only_cross_attention[BRUME_UNET2D_MAX_LEVELS]; /**< false; true: the first attention of a transformer reads the context,
                                                             too */
    bool use_linear_projection;        /**< false: a transformer begins and ends with 1x1 convolutions; the same numbers, other
                                            shapes in files */
    bool mid_cross_attention;          /**< true: "UNetMidBlock2DCrossAttn"; false: "UNetMidBlock2D", which is one resnet here */
    int32_t projection_class_embeddings_input_dim; /**< 0 = null; width of labels for the class types of projections */
    int32_t conv_in_kernel, conv_out_kernel;       /**< 3; odd */

    /* Of BRUME_ARCHITECTURE_LUCIDRAINS alone, under the names of its constructor; level_attention_heads is attn_heads there, 4 at
     * every level. The way up reads the lists backwards, the middle has full attention with the last entries. */
    int32_t dim;                       /**< 64, even; width of the sinusoidal embedding, a quarter of the time embedding's */
    int32_t init_dim;                  /**< 0 = null: dim; width of the first level */
    int32_t level_head_dim[BRUME_UNET2D_MAX_LEVELS]; /**< attn_dim_head, 32 at every level */
    bool full_attention[BRUME_UNET2D_MAX_LEVELS];    /**< full_attn, true at the last level alone; false: linear attention */
    int32_t num_mem_kv;                /**< 4; keys and values that each attention has of its own */
    int32_t learned_sinusoidal_dim;    /**< 0 = null: sinusoidal embedding; else even, twice the number of learned frequencies */
    bool random_fourier_features;      /**< false; true: these frequencies are not trained */
    bool self_condition;               /**< false; true: the input has in_channels zeros in front, where an estimate of x0 may
                                            stand */
} brume_unet2d_config;

/** Fills the defaults of UNet2DModel above; the lists stay empty (levels 0). */
void brume_unet2d_config_default(brume_unet2d_config *c);
/**
 * The defaults of UNet2DConditionModel: 4 channels in and out, four levels of 320, 640, 1280, 1280 channels with cross-attention
 * in all but the last. Stable Diffusion 1.x is this with cross_attention_dim 768.
 */
void brume_unet2d_condition_config_default(brume_unet2d_config *c);

/** The defaults of BrumeLucidrainsUnet: dim 64, four levels of 1, 2, 4 and 8 times that, four heads of 32, full attention at the
 * last level. */
void brume_unet2d_lucidrains_config_default(brume_unet2d_config *c);

/** "UNet2DModel", "BrumeMLP" and so on; NULL for an architecture that nobody knows. */
const char *brume_unet2d_class_name(const brume_unet2d_config *c);

/**
 * Checks that a model can be built: lists of one length, groups that divide every width they meet, positive sizes.
 * BRUME_E_ARG with a text that names the key, what was expected and what it holds.
 */
brume_status brume_unet2d_config_check(const brume_unet2d_config *c);

/**
 * Reads a config.json (checked as above). Missing keys take their defaults, a leading "UNetRes" of a block type is stripped.
 * where   named in messages (a path)
 * note    may be NULL; receives a sentence that lists keys nobody knows (they are ignored), or ""
 * BRUME_E_FORMAT: not JSON, or a value of the wrong kind; BRUME_E_ARG: brume_unet2d_config_check(); BRUME_E_UNSUPPORTED: a block
 * type or model class that brume does not build, named in the text.
 */
brume_status brume_unet2d_config_parse(const char *text, size_t length, const char *where, brume_unet2d_config *c,
                                       char note[512]);
brume_status brume_unet2d_config_read(const char *path, brume_unet2d_config *c, char note[512]);

/** Writes config.json with every key, so that diffusers loads it. The file is whole or, on failure, untouched. */
brume_status brume_unet2d_config_write(const char *path, const brume_unet2d_config *c);

/** Width E of the time embedding: time_embedding_dim, or 4 block_out_channels[0]. */
int64_t brume_unet2d_embedding_dim(const brume_unet2d_config *c);
/** Width of the context that cross-attention reads; 0 of a model without any. */
int64_t brume_unet2d_context_dim(const brume_unet2d_config *c);
/** Height and width of inputs must be multiples of this: 2^(L-1); 1 for UNet2DConditionModel. */
int64_t brume_unet2d_multiple(const brume_unet2d_config *c);

/** Where dropout takes its random numbers. Each resnet uses a stream of its own: first_stream, first_stream + 1, ... */
typedef struct brume_dropout_source {
    brume_tensor seeds;     /**< i64 (N) */
    brume_tensor step;      /**< i32 scalar */
    uint32_t first_stream;  /**< Philox stream of the first dropout layer; the others count up */
} brume_dropout_source;

/** What a network is given. Tensors that its config does not know are BRUME_NONE, all others are there. */
typedef struct brume_unet2d_inputs {
    brume_tensor x;         /**< (N, H, W, in_channels) f32; H and W multiples of brume_unet2d_multiple(), else BRUME_E_SHAPE */
    brume_tensor t;         /**< (N) f32: time step, may be fractional; sigma > 0 for fourier. i32 0 .. num_train_timesteps - 1
                                 for the learned embedding */
    brume_tensor labels;    /**< see brume_class_embedding */
    brume_tensor context;   /**< (N, S, brume_unet2d_context_dim()) f32: what cross-attention reads, say the text encoder's
                                 result */
    const brume_lora *lora; /**< adapters on every attention, or NULL */
    brume_tensor *features; /**< NULL, or receives what a classifier's last layer reads: (N, width) */
} brume_unet2d_inputs;

/** Adds an input to g for everything that the config takes, named x, t, labels, context, for n images of height x width and
 * tokens rows of context. */
brume_unet2d_inputs brume_unet2d_declare_inputs(brume_graph *g, const brume_unet2d_config *c, int64_t n, int64_t height,
                                                int64_t width, int64_t tokens);

/**
 * Appends the whole network and its parameters to slab. Parameters are named as in diffusers' files; their order and offsets
 * (from the first one's) depend on c alone, not on N, H, W or train.
 * train    NULL: evaluation; else dropout is active (where c->dropout > 0)
 * Returns (N, H, W, out_channels), divided by t for fourier (of a classifier: (N, out_channels) logits), or BRUME_NONE once g
 * holds an error.
 */
brume_tensor brume_unet2d(brume_graph *g, const brume_unet2d_config *c, brume_tensor slab, const brume_unet2d_inputs *in,
                          const brume_dropout_source *train);

/** Appends the network for the smallest image to g, for the names, shapes and places of its parameters: *slab. Checks the config
 * first. */
brume_status brume_unet2d_on_paper(brume_graph *g, const brume_unet2d_config *c, brume_tensor *slab);
/** Number of parameters of a model: built on paper, nothing is allocated for them. 0 if the config cannot be built: see
 * brume_error(). */
int64_t brume_unet2d_param_count(const brume_unet2d_config *c);

BRUME_API_END

#endif
