/* SPDX-License-Identifier: MIT
 * UNet2DModel: every option of its config built and differentiated, parameter counts of published models, model folders written and
 * read back, damaged configs and weights, dropout, and the network as a denoiser with guidance. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "brume/model.h"
#include "brume/params.h"
#include "brume/plan.h"
#include "check.h"

static char dir[] = "/tmp/brume-nn-XXXXXX";
static brume_device *cpu;

static const char *in_dir(const char *name)
{
    static char path[4][400];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

/* Two levels, small widths, one option changed per row. */
struct option { const char *name; void (*set)(brume_unet2d_config *c); };

static brume_unet2d_config tiny(void)
{
    brume_unet2d_config c;
    brume_unet2d_config_default(&c);
    c.levels = 2;
    c.in_channels = 2;
    c.out_channels = 3;
    c.block_out_channels[0] = 8;
    c.block_out_channels[1] = 12;
    c.layers_per_block = 1;
    c.norm_num_groups = 4;
    c.attention_head_dim = 4;
    c.down_block_types[1] = c.up_block_types[0] = BRUME_BLOCK_ATTENTION;
    return c;
}

static void plain(brume_unet2d_config *c) { (void)c; }
static void center(brume_unet2d_config *c) { c->center_input_sample = true; }
static void fourier(brume_unet2d_config *c) { c->time_embedding_type = BRUME_TIME_FOURIER; }
static void learned(brume_unet2d_config *c) { c->time_embedding_type = BRUME_TIME_LEARNED; c->num_train_timesteps = 7; }
static void embedding_dim(brume_unet2d_config *c) { c->time_embedding_dim = 20; }
static void sin_first(brume_unet2d_config *c) { c->flip_sin_to_cos = false; c->freq_shift = 1; }
static void no_mid(brume_unet2d_config *c) { c->mid_block = false; }
static void mid_no_attention(brume_unet2d_config *c) { c->add_attention = false; }
static void mid_scale(brume_unet2d_config *c) { c->mid_block_scale_factor = 1.5; }
static void layers(brume_unet2d_config *c) { c->layers_per_block = 3; }
static void bottom_right(brume_unet2d_config *c) { c->downsample_padding = 0; }
static void resnet_samplers(brume_unet2d_config *c)
{
    c->downsample_type = c->upsample_type = BRUME_RESAMPLE_RESNET;
    c->down_block_types[0] = BRUME_BLOCK_ATTENTION;
}
static void resnet_blocks(brume_unet2d_config *c) { c->down_block_types[0] = c->up_block_types[0] = BRUME_BLOCK_RESNET_RESAMPLE; }
static void mish(brume_unet2d_config *c) { c->act_fn = BRUME_ACT_MISH; }
static void gelu(brume_unet2d_config *c) { c->act_fn = BRUME_ACT_GELU_ERF; }
static void relu(brume_unet2d_config *c) { c->act_fn = BRUME_ACT_RELU; }
static void one_head(brume_unet2d_config *c) { c->attention_head_dim = 0; }
static void odd_heads(brume_unet2d_config *c) { c->attention_head_dim = 5; } /* 2 heads of 5: inner width 10 of 12 channels */
static void mid_groups(brume_unet2d_config *c) { c->attn_norm_num_groups = 3; }
static void scale_shift(brume_unet2d_config *c) { c->resnet_time_scale_shift = BRUME_TIME_SCALE_SHIFT; }
static void classes(brume_unet2d_config *c) { c->class_embed_type = BRUME_CLASS_TABLE; c->num_class_embeds = 5; }
static void class_times(brume_unet2d_config *c) { c->class_embed_type = BRUME_CLASS_TIMESTEP; }
static void class_identity(brume_unet2d_config *c) { c->class_embed_type = BRUME_CLASS_IDENTITY; }
static void dropout(brume_unet2d_config *c) { c->dropout = 0.25; }
static void one_level(brume_unet2d_config *c) { c->levels = 1; c->up_block_types[0] = BRUME_BLOCK_RESNET; }

static void ncsnpp(brume_unet2d_config *c)
{
    c->in_channels = c->out_channels = 3;
    c->block_out_channels[0] = c->block_out_channels[1] = 32;
    c->down_block_types[0] = c->up_block_types[1] = BRUME_BLOCK_SKIP;
    c->down_block_types[1] = c->up_block_types[0] = BRUME_BLOCK_ATTENTION_SKIP;
    c->norm_num_groups = 0;
    fourier(c);
}

static const struct option options[] = {
    { "defaults", plain }, { "center_input_sample", center }, { "fourier", fourier }, { "learned", learned }, { "time_embedding_dim", embedding_dim },
    { "flip_sin_to_cos false", sin_first }, { "mid_block null", no_mid }, { "add_attention false", mid_no_attention },
    { "mid_block_scale_factor", mid_scale }, { "layers_per_block", layers }, { "downsample_padding 0", bottom_right },
    { "resnet resamplers of attention blocks", resnet_samplers }, { "resnet resample blocks", resnet_blocks }, { "mish", mish }, { "gelu", gelu },
    { "relu", relu }, { "attention_head_dim null", one_head }, { "attention_head_dim 5", odd_heads }, { "attn_norm_num_groups", mid_groups },
    { "scale_shift", scale_shift }, { "class table", classes }, { "class timestep", class_times }, { "class identity", class_identity },
    { "dropout", dropout }, { "one level", one_level }, { "ncsnpp", ncsnpp },
};

/* A training graph with its inputs set. */
struct net {
    brume_graph *g;
    brume_plan *p;
    brume_tensor slab, x, t, labels, target, y, loss, grad, seeds, step;
    int64_t params;
    float *host;
};

static void net_free(struct net *n)
{
    brume_plan_free(n->p);
    brume_graph_free(n->g);
    free(n->host);
}

enum { N = 2, H = 4, W = 6 };

static int net_new(struct net *n, const brume_unet2d_config *c, int train)
{
    static const float times[N] = { 3.5f, 640.0f };
    static const int32_t whole[N] = { 3, 6 }, labels[N] = { 4, 0 };
    static const int64_t seeds[N] = { 11, 12 };
    *n = (struct net){ .g = brume_graph_new(), .labels = BRUME_NONE };
    brume_graph *g = n->g;
    n->slab = brume_slab(g, "params");
    const brume_unet2d_inputs in = brume_unet2d_declare_inputs(g, c, N, H, W, 1);
    n->x = in.x;
    n->t = in.t;
    n->labels = in.labels;
    n->seeds = brume_input(g, "seeds", BRUME_I64, BRUME_SHAPE(N));
    n->step = brume_input(g, "step", BRUME_I32, BRUME_SCALAR);
    const brume_dropout_source source = { n->seeds, n->step, 100 };
    n->y = brume_unet2d(g, c, n->slab, &in, train ? &source : NULL);
    n->target = brume_input(g, "target", BRUME_F32, BRUME_SHAPE(N, H, W, c->out_channels));
    n->loss = brume_mse(g, n->y, n->target);
    n->grad = brume_grad_slab(g, n->loss, n->slab);
    brume_output(g, n->y, "y");
    brume_output(g, n->loss, "loss");
    brume_output(g, n->grad, "grad");
    if (!CHECK_OK(brume_graph_status(g))) { fprintf(stderr, "    %s\n", brume_graph_error(g)); return 0; }
    if (!CHECK_OK(brume_plan_new(cpu, g, &(brume_plan_options){ .poison = 1 }, &n->p))) return 0;
    n->params = brume_params_numel(g, n->slab);
    n->host = malloc((size_t)n->params * 4);
    brume_params_init(g, n->slab, 5, n->host);
    float image[N * H * W * 4], emb[N * 80];
    for (int i = 0; i < N * H * W * 4; i++) image[i] = (float)sin(1.7 * i);
    for (int i = 0; i < N * 80; i++) emb[i] = (float)cos(0.3 * i);
    const size_t pixels = (size_t)N * H * W * 4;
    int ok = CHECK_OK(brume_plan_write(n->p, n->slab, n->host, (size_t)n->params * 4));
    ok &= CHECK_OK(brume_plan_write(n->p, n->x, image, pixels * (size_t)c->in_channels));
    ok &= CHECK_OK(brume_plan_write(n->p, n->target, image + 7, pixels * (size_t)c->out_channels));
    ok &= CHECK_OK(brume_plan_write(n->p, n->t, brume_tensor_dtype(g, n->t) == BRUME_I32 ? (const void *)whole : times, N * 4));
    if (c->class_embed_type == BRUME_CLASS_IDENTITY) ok &= CHECK_OK(brume_plan_write(n->p, n->labels, emb, (size_t)(N * brume_unet2d_embedding_dim(c)) * 4));
    else if (n->labels != BRUME_NONE)
        ok &= CHECK_OK(brume_plan_write(n->p, n->labels, brume_tensor_dtype(g, n->labels) == BRUME_I32 ? (const void *)labels : times, N * 4));
    if (train && c->dropout > 0) {
        ok &= CHECK_OK(brume_plan_write(n->p, n->seeds, seeds, sizeof seeds));
        ok &= CHECK_OK(brume_plan_write(n->p, n->step, &(int32_t){ 0 }, 4));
    }
    return ok;
}

/* Every option: the graph builds, runs in a poisoned arena, and every trainable parameter has a finite gradient that is not 0. */
static void test_options(void)
{
    for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
        brume_unet2d_config c = tiny();
        struct net n;
        options[k].set(&c);
        const int before = check_failed;
        if (net_new(&n, &c, 1) && CHECK_OK(brume_plan_run(n.p)) && CHECK_OK(brume_plan_check_guards(n.p))) {
            float loss = NAN, *grad = malloc((size_t)n.params * 4);
            CHECK_INT(n.params, brume_unet2d_param_count(&c));
            CHECK_OK(brume_plan_read(n.p, n.loss, &loss, sizeof loss));
            CHECK(isfinite(loss) && loss > 0);
            CHECK_OK(brume_plan_read(n.p, n.grad, grad, (size_t)n.params * 4));
            for (int i = 0; i < brume_param_count(n.g, n.slab); i++) {
                const brume_param_info *p = brume_param_at(n.g, n.slab, i);
                int finite = 1, nonzero = 0;
                for (int64_t e = 0; e < brume_shape_numel(p->shape); e++) {
                    finite &= isfinite(grad[p->offset + e]) != 0;
                    nonzero |= grad[p->offset + e] != 0;
                }
                /* the gradient of a key bias vanishes in theory; a table that is not trained has none */
                const int ok = finite && (p->trainable ? nonzero || strstr(p->name, "to_k.bias") : !nonzero);
                if (!CHECK(ok)) fprintf(stderr, "    gradient of %s\n", p->name);
            }
            free(grad);
        }
        if (check_failed != before) fprintf(stderr, "    option: %s\n", options[k].name);
        net_free(&n);
    }
}

/* A slope of the loss along a random direction against the gradient: the whole network, end to end. */
static void test_slope(void)
{
    brume_unet2d_config c = tiny();
    struct net n;
    scale_shift(&c);
    classes(&c);
    if (net_new(&n, &c, 0) && CHECK_OK(brume_plan_run(n.p))) {
        float *grad = malloc((size_t)n.params * 4), *moved = malloc((size_t)n.params * 4), loss[2];
        double want = 0;
        CHECK_OK(brume_plan_read(n.p, n.grad, grad, (size_t)n.params * 4));
        const double h = 2e-3;
        for (int64_t i = 0; i < n.params; i++) want += grad[i] * (double)grad[i];
        const double scale = h / sqrt(want);
        for (int side = 0; side < 2; side++) {
            for (int64_t i = 0; i < n.params; i++) moved[i] = (float)(n.host[i] + (side ? scale : -scale) * grad[i]);
            CHECK_OK(brume_plan_write(n.p, n.slab, moved, (size_t)n.params * 4));
            CHECK_OK(brume_plan_run(n.p));
            CHECK_OK(brume_plan_read(n.p, n.loss, &loss[side], 4));
        }
        CHECK_NEAR((loss[1] - (double)loss[0]) / (2 * h), sqrt(want), 5e-3 * sqrt(want));
        free(grad);
        free(moved);
    }
    net_free(&n);
}

static void read_y(struct net *n, float *y)
{
    CHECK_OK(brume_plan_run(n->p));
    CHECK_OK(brume_plan_read(n->p, n->y, y, (size_t)brume_shape_numel(brume_tensor_shape(n->g, n->y)) * 4));
}

static void test_dropout(void)
{
    brume_unet2d_config c = tiny();
    struct net train, eval;
    float a[N * H * W * 3], b[N * H * W * 3], e[N * H * W * 3];
    dropout(&c);
    if (net_new(&train, &c, 1)) {
        read_y(&train, a);
        read_y(&train, b);
        CHECK(!memcmp(a, b, sizeof a));
        CHECK_OK(brume_plan_write(train.p, train.step, &(int32_t){ 1 }, 4));
        read_y(&train, b);
        CHECK(memcmp(a, b, sizeof a) != 0);
    }
    if (net_new(&eval, &c, 0)) {
        read_y(&eval, e);
        CHECK(memcmp(a, e, sizeof a) != 0);
    }
    net_free(&train);
    net_free(&eval);
}

static void test_inputs(void)
{
    static const struct { int64_t h, w, channels; int labels; const char *says; brume_status status; } rows[] = {
        { 5, 6, 2, 1, "multiples of 2", BRUME_E_SHAPE }, { 4, 6, 3, 1, "(N, H, W, 2)", BRUME_E_SHAPE }, { 4, 6, 2, 0, "labels must be given", BRUME_E_ARG },
        { 4, 6, 2, 2, "i32 of shape (1)", BRUME_E_SHAPE },
    };
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        brume_unet2d_config c = tiny();
        classes(&c);
        brume_graph *g = brume_graph_new();
        const brume_tensor x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(1, rows[k].h, rows[k].w, rows[k].channels));
        const brume_tensor t = brume_input(g, "t", BRUME_F32, BRUME_SHAPE(1));
        const brume_tensor l = rows[k].labels ? brume_input(g, "l", rows[k].labels == 1 ? BRUME_I32 : BRUME_F32, BRUME_SHAPE(1)) : BRUME_NONE;
        CHECK(brume_unet2d(g, &c, brume_slab(g, "p"), &(brume_unet2d_inputs){ x, t, l, BRUME_NONE, NULL }, NULL) == BRUME_NONE);
        CHECK_INT(brume_graph_status(g), rows[k].status);
        if (!CHECK(strstr(brume_graph_error(g), rows[k].says) != NULL)) fprintf(stderr, "    %s\n", brume_graph_error(g));
        brume_graph_free(g);
    }
    brume_unet2d_config c = tiny();
    brume_graph *g = brume_graph_new();
    const brume_tensor x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(1, 4, 4, 2)), t = brume_input(g, "t", BRUME_F32, BRUME_SHAPE(1));
    const brume_tensor slab = brume_slab(g, "p");
    brume_unet2d(g, &c, slab, &(brume_unet2d_inputs){ x, t, BRUME_NONE, BRUME_NONE, NULL }, NULL);
    CHECK_OK(brume_graph_status(g));
    brume_unet2d(g, &c, slab, &(brume_unet2d_inputs){ x, t, BRUME_NONE, BRUME_NONE, NULL }, NULL);
    CHECK(strstr(brume_graph_error(g), "cannot grow any more") != NULL || strstr(brume_graph_error(g), "already has one of that name") != NULL);
    brume_graph_free(g);
}

static brume_status parse(const char *text, brume_unet2d_config *c, char note[512])
{
    return brume_unet2d_config_parse(text, strlen(text), "test.json", c, note);
}

/* Published configs, as far as they say anything. */
#define CIFAR10                                                                                                                      \
    "{\"_class_name\": \"UNet2DModel\", \"act_fn\": \"silu\", \"attention_head_dim\": null, \"block_out_channels\": [128, 256, 256, 256], " \
    "\"downsample_padding\": 0, \"flip_sin_to_cos\": false, \"freq_shift\": 1, \"norm_eps\": 1e-06, \"sample_size\": 32, \"num_res\": 1, "   \
    "\"down_block_types\": [\"UNetResDownBlock2D\", \"UNetResAttnDownBlock2D\", \"DownBlock2D\", \"DownBlock2D\"], "                        \
    "\"up_block_types\": [\"UpBlock2D\", \"UpBlock2D\", \"AttnUpBlock2D\", \"UpBlock2D\"]}"
#define CELEBA                                                                                                                       \
    "{\"attention_head_dim\": null, \"block_out_channels\": [128, 128, 256, 256, 512, 512], \"sample_size\": 256, \"down_block_types\": "    \
    "[\"DownBlock2D\", \"DownBlock2D\", \"DownBlock2D\", \"DownBlock2D\", \"AttnDownBlock2D\", \"DownBlock2D\"], \"up_block_types\": "       \
    "[\"UpBlock2D\", \"AttnUpBlock2D\", \"UpBlock2D\", \"UpBlock2D\", \"UpBlock2D\", \"UpBlock2D\"]}"

#define NCSNPP                                                                                                                       \
    "{\"time_embedding_type\": \"fourier\", \"norm_num_groups\": null, \"norm_eps\": 1e-06, \"attention_head_dim\": null, "                  \
    "\"mid_block_scale_factor\": 1.41421356237, \"block_out_channels\": [128, 128, 256, 256, 256, 256, 256], \"down_block_types\": "        \
    "[\"SkipDownBlock2D\", \"SkipDownBlock2D\", \"SkipDownBlock2D\", \"SkipDownBlock2D\", \"AttnSkipDownBlock2D\", \"SkipDownBlock2D\", "     \
    "\"SkipDownBlock2D\"], \"up_block_types\": [\"SkipUpBlock2D\", \"SkipUpBlock2D\", \"AttnSkipUpBlock2D\", \"SkipUpBlock2D\", "             \
    "\"SkipUpBlock2D\", \"SkipUpBlock2D\", \"SkipUpBlock2D\"]}"

static void test_published(void)
{
    brume_unet2d_config c;
    char note[512];
    if (CHECK_OK(parse(CIFAR10, &c, note))) {
        CHECK_STR(note, "keys ignored in the model's config: num_res");
        CHECK(c.layers_per_block == 2 && c.norm_num_groups == 32 && c.attention_head_dim == 0 && c.mid_block && c.sample_size[1] == 32);
        CHECK(c.down_block_types[1] == BRUME_BLOCK_ATTENTION && !c.flip_sin_to_cos && c.freq_shift == 1 && c.norm_eps == 1e-6);
        CHECK_INT(brume_unet2d_param_count(&c), 35746307);
    }
    if (CHECK_OK(parse(NCSNPP, &c, NULL))) CHECK_INT(brume_unet2d_param_count(&c), 65574549); /* its table included */
    if (CHECK_OK(parse(CELEBA, &c, NULL))) CHECK_INT(brume_unet2d_param_count(&c), 113673219);
}

static void test_damaged_configs(void)
{
#define LISTS "\"block_out_channels\": [32, 64], \"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\"], \"up_block_types\": [\"UpBlock2D\", \"UpBlock2D\"]"
    static const struct { const char *text, *says; brume_status status; } rows[] = {
        { "", "test.json", BRUME_E_FORMAT },
        { "[]", "object", BRUME_E_FORMAT },
        { "{" LISTS, "test.json", BRUME_E_FORMAT },
        { "{}", "block_out_channels", BRUME_E_FORMAT },
        { "{\"block_out_channels\": [32], \"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\"], \"up_block_types\": [\"UpBlock2D\"]}", "same length",
          BRUME_E_ARG },
        { "{\"block_out_channels\": [32], \"down_block_types\": \"DownBlock2D\", \"up_block_types\": [\"UpBlock2D\"]}", "down_block_types", BRUME_E_FORMAT },
        { "{\"block_out_channels\": [32], \"down_block_types\": [\"SkipDownBlock2D\"], \"up_block_types\": [\"SkipUpBlock2D\"], \"in_channels\": 1}",
          "in_channels and out_channels of 3", BRUME_E_ARG },
        { "{\"block_out_channels\": [40], \"down_block_types\": [\"AttnSkipDownBlock2D\"], \"up_block_types\": [\"AttnSkipUpBlock2D\"]}",
          "does not divide", BRUME_E_ARG },
        { "{\"block_out_channels\": [32], \"down_block_types\": [\"KDownBlock2D\"], \"up_block_types\": [\"KUpBlock2D\"]}", "KDownBlock2D",
          BRUME_E_UNSUPPORTED },
        { "{\"block_out_channels\": [32], \"down_block_types\": [\"UpBlock2D\"], \"up_block_types\": [\"UpBlock2D\"]}", "\"UpBlock2D\" is not",
          BRUME_E_UNSUPPORTED },
        { "{\"block_out_channels\": [32], \"down_block_types\": [3], \"up_block_types\": [\"UpBlock2D\"]}", "down_block_types[0]", BRUME_E_FORMAT },
        { "{\"block_out_channels\": [], \"down_block_types\": [], \"up_block_types\": []}", "block_out_channels", BRUME_E_FORMAT },
        { "{\"_class_name\": \"AutoencoderKL\", " LISTS "}", "AutoencoderKL", BRUME_E_UNSUPPORTED },
        { "{\"norm_num_groups\": 24, " LISTS "}", "norm_num_groups is 24", BRUME_E_ARG },
        { "{\"norm_num_groups\": null, " LISTS "}", "norm_num_groups is null", BRUME_E_ARG },
        { "{\"norm_num_groups\": 0, " LISTS "}", "norm_num_groups", BRUME_E_FORMAT },
        { "{\"attn_norm_num_groups\": 7, " LISTS "}", "attn_norm_num_groups is 7", BRUME_E_ARG },
        { "{\"attention_head_dim\": 65, " LISTS "}", "attention_head_dim is 65", BRUME_E_ARG },
        { "{\"layers_per_block\": 0, " LISTS "}", "layers_per_block", BRUME_E_FORMAT },
        { "{\"layers_per_block\": 2.5, " LISTS "}", "layers_per_block", BRUME_E_FORMAT },
        { "{\"act_fn\": \"swoosh\", " LISTS "}", "swoosh", BRUME_E_UNSUPPORTED },
        { "{\"act_fn\": 3, " LISTS "}", "act_fn", BRUME_E_FORMAT },
        { "{\"mid_block_type\": \"UNetMidBlock2DCrossAttn\", " LISTS "}", "UNetMidBlock2DCrossAttn", BRUME_E_UNSUPPORTED },
        { "{\"time_embedding_type\": \"learned\", " LISTS "}", "num_train_timesteps", BRUME_E_ARG },
        { "{\"class_embed_type\": \"projection\", " LISTS "}", "projection", BRUME_E_UNSUPPORTED },
        { "{\"dropout\": 1, " LISTS "}", "dropout", BRUME_E_ARG },
        { "{\"dropout\": \"a lot\", " LISTS "}", "dropout", BRUME_E_FORMAT },
        { "{\"freq_shift\": 16, " LISTS "}", "freq_shift", BRUME_E_ARG },
        { "{\"center_input_sample\": 1, " LISTS "}", "center_input_sample", BRUME_E_FORMAT },
        { "{\"in_channels\": 3, \"in_channels\": 4, " LISTS "}", "in_channels", BRUME_E_FORMAT },
    };
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        brume_unet2d_config c;
        char note[512];
        if (!CHECK_FAILS(parse(rows[k].text, &c, note), rows[k].status, rows[k].says)) fprintf(stderr, "    config: %s\n", rows[k].text);
    }
    brume_unet2d_config c;
    brume_unet2d_config_default(&c);
    CHECK_FAILS(brume_unet2d_config_check(&c), BRUME_E_ARG, "1 to");
    CHECK_INT(brume_unet2d_param_count(&c), 0);
}

/* config.json of every option is read back as it was. */
static void test_config_files(void)
{
    for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
        brume_unet2d_config c = tiny(), back;
        char note[512];
        options[k].set(&c);
        c.sample_size[0] = 28;
        c.sample_size[1] = k % 2 ? 28 : 32;
        for (int i = c.levels; i < BRUME_UNET2D_MAX_LEVELS; i++) c.block_out_channels[i] = 0;
        for (int i = c.levels; i < BRUME_UNET2D_MAX_LEVELS; i++) c.down_block_types[i] = c.up_block_types[i] = BRUME_BLOCK_RESNET;
        if (!CHECK_OK(brume_unet2d_config_write(in_dir("config.json"), &c))) continue;
        if (!CHECK_OK(brume_unet2d_config_read(in_dir("config.json"), &back, note))) continue;
        CHECK_STR(note, "");
        if (!CHECK(!memcmp(&c, &back, sizeof c))) fprintf(stderr, "    option: %s\n", options[k].name);
    }
}

static void test_init(void)
{
    brume_unet2d_config c = tiny();
    brume_model *m = NULL, *again = NULL, *other = NULL;
    fourier(&c);
    if (!CHECK_OK(brume_model_new(&c, NULL, 1, &m)) || !CHECK_OK(brume_model_new(&c, NULL, 1, &again))) return;
    CHECK_OK(brume_model_new(&c, NULL, 2, &other));
    const size_t bytes = (size_t)m->n_params * sizeof(float);
    CHECK(!memcmp(m->params, again->params, bytes) && memcmp(m->params, other->params, bytes));
    brume_graph *g = brume_graph_new();
    const brume_tensor x = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(1, 2, 2, 2)), t = brume_input(g, "t", BRUME_F32, BRUME_SHAPE(1));
    const brume_tensor slab = brume_slab(g, "p");
    brume_unet2d(g, &c, slab, &(brume_unet2d_inputs){ x, t, BRUME_NONE, BRUME_NONE, NULL }, NULL);
    for (int i = 0; i < brume_param_count(g, slab); i++) {
        const brume_param_info *p = brume_param_at(g, slab, i);
        const float *v = m->params + p->offset;
        const int64_t n = brume_shape_numel(p->shape);
        double top = 0, sq = 0;
        for (int64_t k = 0; k < n; k++) { top = fmax(top, fabs((double)v[k])); sq += (double)v[k] * v[k]; }
        const double rms = sqrt(sq / (double)n), b = 1 / sqrt((double)p->fan_in);
        int ok = 1;
        if (strstr(p->name, "norm")) ok = strstr(p->name, "weight") ? v[0] == 1 && v[n - 1] == 1 : top == 0;
        else if (!strcmp(p->name, "time_proj.weight")) ok = rms > 4 && rms < 40 && !p->trainable;
        else ok = top <= b && (n < 100 || fabs(rms / (b / sqrt(3.0)) - 1) < 0.15);
        if (!CHECK(ok)) fprintf(stderr, "    %s: largest %g, rms %g, bound %g\n", p->name, top, rms, b);
    }
    brume_graph_free(g);
    brume_model_free(m);
    brume_model_free(again);
    brume_model_free(other);
}

/* Rewrites the weights of a saved model: every tensor is offered to edit(), which may rename, reshape, or drop it (return 0). */
static void rewrite(const char *from, const char *to, int (*edit)(brume_st_item *item, char name[200], int64_t shape[4]), const char *extra)
{
    brume_safetensors *f = NULL;
    brume_st_item items[400];
    static char names[400][200];
    static int64_t shapes[400][4];
    int64_t n = 0;
    if (!CHECK_OK(brume_safetensors_open(from, &f))) return;
    for (int64_t i = 0; i < brume_safetensors_count(f) && n < 399; i++) {
        const brume_st_tensor *t = brume_safetensors_at(f, i);
        float *data = malloc((size_t)t->count * 4);
        CHECK_OK(brume_st_read_f32(t, 0, t->count, data));
        snprintf(names[n], sizeof names[n], "%s", t->name);
        memcpy(shapes[n], t->shape, (size_t)t->ndim * sizeof *t->shape);
        items[n] = (brume_st_item){ .name = names[n], .dtype = BRUME_ST_F32, .ndim = t->ndim, .shape = shapes[n], .data = data };
        if (edit(&items[n], names[n], shapes[n])) n++;
        else free(data);
    }
    if (extra) items[n++] = (brume_st_item){ .name = extra, .dtype = BRUME_ST_F32, .ndim = 0, .shape = shapes[399], .data = calloc(1, 4) };
    CHECK_OK(brume_safetensors_write(to, items, n, NULL));
    for (int64_t i = 0; i < n; i++) free((void *)items[i].data);
    brume_safetensors_close(f);
}

static int old_names(brume_st_item *item, char name[200], int64_t shape[4])
{
    static const char *const pairs[][2] = { { "to_q", "query" }, { "to_k", "key" }, { "to_v", "value" }, { "to_out.0", "proj_attn" } };
    for (int i = 0; i < 4; i++) {
        char *at = strstr(name, pairs[i][0]), rest[200];
        if (!at) continue;
        snprintf(rest, sizeof rest, "%s", at + strlen(pairs[i][0]));
        snprintf(at, 200 - (size_t)(at - name), "%s%s", pairs[i][1], rest);
        if (item->ndim == 2) {
            item->ndim = 4;
            shape[2] = shape[3] = 1;
        }
    }
    return 1;
}
static int keep(brume_st_item *item, char name[200], int64_t shape[4]) { (void)item; (void)name; (void)shape; return 1; }
static int damage(brume_st_item *item, char name[200], int64_t shape[4])
{
    if (!strcmp(name, "conv_in.weight")) { const int64_t s = shape[0]; shape[0] = shape[1]; shape[1] = s; }
    (void)item;
    return strcmp(name, "conv_out.bias") != 0;
}

static void test_folders(void)
{
    brume_unet2d_config c = tiny();
    brume_scheduler_config s;
    brume_model *m = NULL, *back = NULL;
    brume_scheduler_config_default(&s);
    snprintf(s.class_name, sizeof s.class_name, "DDIMScheduler");
    s.prediction_type = BRUME_PREDICT_V;
    classes(&c);
    if (!CHECK_OK(brume_model_new(&c, &s, 3, &m))) return;
    const size_t bytes = (size_t)m->n_params * sizeof(float);

    /* pipeline folder */
    if (CHECK_OK(brume_model_save(m, in_dir("pipeline"))) && CHECK_OK(brume_model_load(in_dir("pipeline"), NULL, &back))) {
        CHECK(back->n_params == m->n_params && !memcmp(back->params, m->params, bytes));
        CHECK(back->has_scheduler && back->scheduler.prediction_type == BRUME_PREDICT_V && back->unet.num_class_embeds == 5);
        CHECK_STR(back->scheduler.class_name, "DDIMScheduler");
        CHECK_STR(back->note, "");
    }
    brume_model_free(back);
    /* bare model folder */
    if (CHECK_OK(brume_model_load(in_dir("pipeline/unet"), NULL, &back))) CHECK(!back->has_scheduler && !memcmp(back->params, m->params, bytes));
    brume_model_free(back);
    /* flat pipeline with old names, 1x1 convolutions for linear layers, and a tensor too many */
    CHECK_OK(brume_make_folders(in_dir("flat")));
    CHECK(!link(in_dir("pipeline/unet/config.json"), in_dir("flat/config.json")));
    CHECK(!link(in_dir("pipeline/model_index.json"), in_dir("flat/model_index.json")));
    CHECK(!link(in_dir("pipeline/scheduler/scheduler_config.json"), in_dir("flat/scheduler_config.json")));
    const char *weights = in_dir("flat/diffusion_pytorch_model.safetensors");
    rewrite(in_dir("pipeline/unet/diffusion_pytorch_model.safetensors"), weights, old_names, "left.over");
    if (CHECK_OK(brume_model_load(in_dir("flat"), NULL, &back))) {
        CHECK(back->has_scheduler && !memcmp(back->params, m->params, bytes));
        CHECK(strstr(back->note, "left.over") != NULL);
    }
    brume_model_free(back);
    rewrite(in_dir("pipeline/unet/diffusion_pytorch_model.safetensors"), in_dir("flat/diffusion_pytorch_model.safetensors"), damage, NULL);
    CHECK_FAILS(brume_model_load(in_dir("flat"), NULL, &back), BRUME_E_FORMAT, "conv_out.bias");
    CHECK(strstr(brume_error(), "conv_in.weight ([8, 2, 3, 3] expected, [2, 8, 3, 3] found)") != NULL);
    rewrite(in_dir("pipeline/unet/diffusion_pytorch_model.safetensors"), in_dir("flat/diffusion_pytorch_model.safetensors"), keep, NULL);
    const char *other = "{\"unet\": [\"diffusers\", \"UNet1DModel\"]}";
    CHECK_OK(brume_file_write(in_dir("flat/model_index.json"), other, strlen(other)));
    CHECK_FAILS(brume_model_load(in_dir("flat"), NULL, &back), BRUME_E_UNSUPPORTED, "UNet1DModel");
    CHECK_FAILS(brume_model_load(in_dir("nothing"), NULL, &back), BRUME_E_IO, "nothing");
    CHECK(back == NULL);
    CHECK_OK(brume_make_folders(in_dir("empty")));
    CHECK_FAILS(brume_model_load(in_dir("empty"), NULL, &back), BRUME_E_IO, "config.json");
    brume_model_free(m);
}

static double deviation(const double *x, int n)
{
    double mean = 0, sq = 0;
    for (int i = 0; i < n; i++) mean += x[i] / n;
    for (int i = 0; i < n; i++) sq += (x[i] - mean) * (x[i] - mean);
    return sqrt(sq);
}

/* y = denoiser(x, t = 321) for n images of 4 x 4, at s / a = sigma */
static void ask_stored(const brume_model *m, brume_storage storage, int n, const int32_t *labels, brume_guidance guidance, double sigma, const float *x, float *y)
{
    brume_unet2d_denoiser *d = NULL;
    brume_buffer *in = NULL, *out = NULL;
    const size_t bytes = (size_t)n * 16 * 2 * sizeof(float);
    const brume_unet2d_denoiser_options o = { .labels = labels, .null_label = 4, .guidance = guidance, .storage = storage };
    if (CHECK_OK(brume_buffer_new(cpu, bytes, &in)) && CHECK_OK(brume_buffer_new(cpu, bytes, &out)) && CHECK_OK(brume_buffer_write(in, 0, x, bytes)) &&
        CHECK_OK(brume_unet2d_denoiser_new(cpu, &m->unet, m->params, BRUME_SHAPE(n, 4, 4, 2), &o, &d))) {
        const brume_denoiser *f = brume_unet2d_denoiser_get(d);
        const brume_level level = { .t = 321, .a = 1, .s = sigma };
        CHECK_OK(f->predict(f->self, in, &level, out, NULL));
        CHECK_OK(brume_buffer_read(out, 0, y, bytes));
        CHECK_FAILS(brume_unet2d_denoiser_set_labels(d, (int32_t[]){ 5, 0, 0 }), BRUME_E_ARG, "class 5");
    }
    brume_unet2d_denoiser_free(d);
    brume_buffer_free(in);
    brume_buffer_free(out);
}

static void ask(const brume_model *m, int n, const int32_t *labels, brume_guidance guidance, double sigma, const float *x, float *y)
{
    ask_stored(m, BRUME_STORAGE_F32, n, labels, guidance, sigma, x, y);
}

/* Weights in f16 are the same as weights rounded to f16, to the bit: nothing else of so small a network waits in f16. */
static void test_half_weights(void)
{
    brume_unet2d_config c = tiny();
    brume_model *m = NULL;
    float x[96], half[96], wide[96], rounded[96];
    classes(&c);
    c.out_channels = 2;
    for (int i = 0; i < 96; i++) x[i] = (float)sin(0.7 * i);
    if (!CHECK_OK(brume_model_new(&c, NULL, 9, &m))) return;
    const int32_t labels[] = { 0, 1, 2 };
    for (int i = 0; i < 3; i++) { /* no guidance; everywhere; within an interval: two networks that share their weights */
        const brume_guidance guidance = { .scale = i ? 3 : 1, .sigma_lo = i == 2 ? 0.5 : 0, .sigma_hi = i == 2 ? 2 : INFINITY };
        float *exact = m->params;
        ask(m, 3, labels, guidance, 1, x, wide);
        ask_stored(m, BRUME_STORAGE_F16, 3, labels, guidance, 1, x, half);
        if (!(m->params = malloc((size_t)m->n_params * sizeof *exact))) exit(1);
        for (int64_t k = 0; k < m->n_params; k++) m->params[k] = brume_f16_to_f32(brume_f32_to_f16(exact[k]));
        ask(m, 3, labels, guidance, 1, x, rounded);
        CHECK(!memcmp(half, rounded, sizeof half));
        CHECK(memcmp(half, wide, sizeof half));
        free(m->params);
        m->params = exact;
    }
    brume_model_free(m);
}

static void test_denoiser(void)
{
    brume_unet2d_config c = tiny();
    brume_model *m = NULL;
    float x[96], cond[96], uncond[96], guided[96], alone[32];
    classes(&c);
    c.out_channels = 2;
    for (int i = 0; i < 96; i++) x[i] = (float)sin(0.9 * i);
    if (!CHECK_OK(brume_model_new(&c, NULL, 8, &m))) return;
    const brume_guidance none = { .scale = 1 }, three = { .scale = brume_guidance_from_w(2.0) }, back = { .scale = 3, .rescale = 0.7 },
                         within = { .scale = 3, .sigma_lo = 0.5, .sigma_hi = 2 };
    ask(m, 3, (int32_t[]){ 0, 1, 2 }, none, 1, x, cond);
    ask(m, 3, (int32_t[]){ 4, 4, 4 }, none, 1, x, uncond);
    ask(m, 3, (int32_t[]){ 0, 1, 2 }, three, 1, x, guided);
    for (int i = 0; i < 96; i++) CHECK_NEAR(guided[i], uncond[i] + 3.0 * (cond[i] - (double)uncond[i]), 1e-5);
    ask(m, 3, (int32_t[]){ 0, 1, 2 }, back, 1, x, guided);
    for (int k = 0; k < 3; k++) {
        double m3[32];
        for (int i = 0; i < 32; i++) m3[i] = uncond[32 * k + i] + 3.0 * (cond[32 * k + i] - (double)uncond[32 * k + i]);
        double plain[32];
        for (int i = 0; i < 32; i++) plain[i] = cond[32 * k + i];
        const double factor = 0.3 + 0.7 * deviation(plain, 32) / deviation(m3, 32);
        for (int i = 0; i < 32; i++) CHECK_NEAR(guided[32 * k + i], factor * m3[i], 1e-5);
    }
    for (int in = 0; in < 3; in++) { /* below, within and above the interval */
        ask(m, 3, (int32_t[]){ 0, 1, 2 }, within, in == 0 ? 0.4 : in == 1 ? 1.5 : 2.1, x, guided);
        for (int i = 0; i < 96; i++) CHECK_NEAR(guided[i], in == 1 ? uncond[i] + 3.0 * (cond[i] - (double)uncond[i]) : cond[i], 1e-5);
    }
    ask(m, 1, (int32_t[]){ 1 }, none, 1, x + 32, alone);
    for (int i = 0; i < 32; i++) CHECK_NEAR(alone[i], cond[32 + i], 1e-6);
    brume_unet2d_denoiser *d = NULL;
    CHECK_FAILS(brume_unet2d_denoiser_new(cpu, &c, m->params, BRUME_SHAPE(1, 4, 4, 2), &(brume_unet2d_denoiser_options){ .guidance = none }, &d),
                BRUME_E_ARG, "labels must be given");
    CHECK(d == NULL);
    brume_model_free(m);

    /* A time past the end of a learned table is refused, not drawn as NaN. */
    brume_buffer *b = NULL;
    c = tiny();
    c.out_channels = 2;
    c.time_embedding_type = BRUME_TIME_LEARNED;
    c.num_train_timesteps = 10;
    if (CHECK_OK(brume_model_new(&c, NULL, 8, &m)) && CHECK_OK(brume_buffer_new(cpu, 32 * sizeof(float), &b)) && CHECK_OK(brume_buffer_write(b, 0, x, 32 * sizeof(float))) &&
        CHECK_OK(brume_unet2d_denoiser_new(cpu, &c, m->params, BRUME_SHAPE(1, 4, 4, 2), &(brume_unet2d_denoiser_options){ .guidance = none }, &d))) {
        const brume_denoiser *f = brume_unet2d_denoiser_get(d);
        CHECK_OK(f->predict(f->self, b, &(brume_level){ .t = 9, .a = 1 }, b, NULL));
        CHECK_FAILS(f->predict(f->self, b, &(brume_level){ .t = 10, .a = 1 }, b, NULL), BRUME_E_ARG, "10 rows");
    }
    brume_unet2d_denoiser_free(d);
    brume_buffer_free(b);
    brume_model_free(m);
}

/* J^T v: u . (J^T v) is v . (J u), which central differences of the same network give. Two classes, with and without variance channels. */
static void test_derivative(void)
{
    enum { COUNT = 2 * 4 * 4 * 2 };
    for (int variance = 0; variance < 2; variance++) {
        brume_unet2d_config c = tiny();
        brume_model *m = NULL;
        brume_unet2d_denoiser *d = NULL;
        brume_buffer *b[5] = { NULL };
        float x[COUNT], v[COUNT], u[COUNT], y[2][COUNT], plain[COUNT], again[COUNT], product[COUNT];
        const double h = 1e-2;
        classes(&c);
        c.out_channels = variance ? 4 : 2;
        for (int i = 0; i < COUNT; i++) {
            x[i] = (float)sin(0.9 * i);
            v[i] = (float)cos(1.7 * i);
            u[i] = (float)sin(2.3 * i + 1);
        }
        const int32_t labels[2] = { 0, 3 };
        const brume_unet2d_denoiser_options o = { .labels = labels, .guidance = { .scale = 1 }, .derivative = true };
        const brume_unet2d_denoiser_options guided = { .labels = labels, .guidance = { .scale = 2 }, .derivative = true };
        const brume_level level = { .t = 321, .a = 1, .s = 1 };
        int ok = CHECK_OK(brume_model_new(&c, NULL, 8, &m)) && CHECK_OK(brume_unet2d_denoiser_new(cpu, &c, m->params, BRUME_SHAPE(2, 4, 4, 2), &o, &d));
        for (int i = 0; i < 5; i++) ok = ok && CHECK_OK(brume_buffer_new(cpu, sizeof x, &b[i]));
        if (ok && CHECK(brume_unet2d_denoiser_get(d)->vjp != NULL)) {
            const brume_denoiser *f = brume_unet2d_denoiser_get(d);
            double got = 0, want = 0, size = 0;
            for (int side = 0; side < 2; side++) {
                float shifted[COUNT];
                for (int i = 0; i < COUNT; i++) shifted[i] = (float)(x[i] + (side ? -h : h) * u[i]);
                CHECK_OK(brume_buffer_write(b[0], 0, shifted, sizeof x));
                CHECK_OK(f->predict(f->self, b[0], &level, b[2], variance ? b[4] : NULL));
                CHECK_OK(brume_buffer_read(b[2], 0, y[side], sizeof x));
            }
            CHECK_OK(brume_buffer_write(b[0], 0, x, sizeof x));
            CHECK_OK(brume_buffer_write(b[1], 0, v, sizeof x));
            CHECK_OK(f->predict(f->self, b[0], &level, b[2], variance ? b[4] : NULL));
            CHECK_OK(brume_buffer_read(b[2], 0, plain, sizeof x));
            CHECK_OK(f->vjp(f->self, b[0], &level, b[1], b[2], b[3]));
            CHECK_OK(brume_buffer_read(b[2], 0, again, sizeof x));
            CHECK_OK(brume_buffer_read(b[3], 0, product, sizeof x));
            for (int i = 0; i < COUNT; i++) {
                CHECK_NEAR(again[i], plain[i], 1e-5);
                got += (double)u[i] * product[i];
                want += v[i] * ((double)y[0][i] - y[1][i]) / (2 * h);
                size += fabs((double)u[i] * product[i]);
            }
            /* differences: curvature h^2 and rounding 1e-7 / h, each about 1e-4 at most */
            CHECK_NEAR(got, want, 2e-3 * size);
            CHECK(size > 0.1);
        }
        for (int i = 0; i < 5; i++) brume_buffer_free(b[i]);
        brume_unet2d_denoiser_free(d);
        if (m) CHECK_FAILS(brume_unet2d_denoiser_new(cpu, &c, m->params, BRUME_SHAPE(2, 4, 4, 2), &guided, &d), BRUME_E_UNSUPPORTED, "without guidance");
        brume_model_free(m);
    }
}

static void remove_tree(void)
{
    char command[600];
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    CHECK_INT(system(command), 0);
}

int main(void)
{
    if (!CHECK(mkdtemp(dir) != NULL) || !CHECK_OK(brume_device_open("cpu", NULL, &cpu))) return check_report();
    test_published();
    test_damaged_configs();
    test_config_files();
    test_options();
    test_slope();
    test_dropout();
    test_inputs();
    test_init();
    test_folders();
    test_denoiser();
    test_half_weights();
    test_derivative();
    remove_tree();
    brume_device_close(cpu);
    return check_report();
}
