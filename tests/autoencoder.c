/* SPDX-License-Identifier: MIT
 * AutoencoderKL: parameter counts of published models, one layout for graphs of either half, every option differentiated, odd
 * sizes, the helpers of its distribution, folders written and read back, damaged configs. */
#include <unistd.h>

#include "base/file.h"
#include "brume/autoencoder.h"
#include "brume/json.h"
#include "brume/model.h"
#include "brume/params.h"
#include "brume/plan.h"
#include "brume/rng.h"
#include "check.h"

static char dir[] = "/tmp/brume-vae-XXXXXX";
static brume_device *cpu;

static brume_autoencoder_config tiny(void)
{
    brume_autoencoder_config c;
    brume_autoencoder_config_default(&c);
    c.levels = 3;
    c.block_out_channels[0] = 8;
    c.block_out_channels[1] = 12;
    c.block_out_channels[2] = 16;
    c.norm_num_groups = 4;
    c.latent_channels = 3;
    c.in_channels = 2;
    c.out_channels = 1;
    return c;
}

static brume_status parse(const char *text, brume_autoencoder_config *c, char note[512])
{
    return brume_autoencoder_config_parse(text, strlen(text), "config.json", c, note);
}

static void test_counts(void)
{
    brume_autoencoder_config c;
    char note[512];
    /* stable-diffusion-v1-5's vae/config.json; diffusers counts 83,653,863 parameters */
    CHECK_OK(parse(
        "{\"_class_name\": \"AutoencoderKL\", \"_diffusers_version\": \"0.6.0\", \"act_fn\": \"silu\", \"block_out_channels\": "
        "[128, 256, 512, 512],\"down_block_types\": [\"DownEncoderBlock2D\", \"DownEncoderBlock2D\", \"DownEncoderBlock2D\", "
        "\"DownEncoderBlock2D\"],\"in_channels\": 3, \"latent_channels\": 4, \"layers_per_block\": 2, \"norm_num_groups\": 32, "
        "\"out_channels\": 3, \"sample_size\": 512,\"up_block_types\": [\"UpDecoderBlock2D\", \"UpDecoderBlock2D\", "
        "\"UpDecoderBlock2D\", \"UpDecoderBlock2D\"], \"pace\": 1}",
        &c, note));
    CHECK_INT(brume_autoencoder_param_count(&c), 83653863);
    CHECK_INT(brume_autoencoder_factor(&c), 8);
    CHECK_STR(note, "keys ignored in the model's config: pace");
    CHECK_NEAR(c.scaling_factor, 0.18215, 0);
    CHECK(c.use_quant_conv && c.use_post_quant_conv && c.mid_block_add_attention && c.shift_factor == 0);
    c.use_quant_conv = c.use_post_quant_conv = false;
    CHECK_INT(brume_autoencoder_param_count(&c), 83653863 - (8 * 8 + 8) - (4 * 4 + 4));
    CHECK_OK(parse("{}", &c, NULL));
    CHECK_INT(c.levels, 1);
    CHECK_INT(c.block_out_channels[0], 64);
}

static void test_damaged_configs(void)
{
    static const struct { const char *text, *says; brume_status status; } rows[] = {
        { "[]", "expected an object", BRUME_E_FORMAT },
        { "{\"_class_name\": \"AutoencoderTiny\"}", "AutoencoderTiny", BRUME_E_UNSUPPORTED },
        { "{\"down_block_types\": [\"AttnDownEncoderBlock2D\"]}", "AttnDownEncoderBlock2D", BRUME_E_UNSUPPORTED },
        { "{\"up_block_types\": [\"UpBlock2D\"]}", "UpBlock2D", BRUME_E_UNSUPPORTED },
        { "{\"up_block_types\": [7]}", "name of a block type", BRUME_E_FORMAT },
        { "{\"up_block_types\": 7}", "list of block types", BRUME_E_FORMAT },
        { "{\"block_out_channels\": [32, 64], \"up_block_types\": [\"UpDecoderBlock2D\"]}", "same length", BRUME_E_ARG },
        { "{\"block_out_channels\": [48]}", "norm_num_groups is 32", BRUME_E_ARG },
        { "{\"block_out_channels\": [32,32,32,32,32,32,32,32,32,32,32]}", "block_out_channels", BRUME_E_FORMAT },
        { "{\"latent_channels\": 0}", "latent_channels", BRUME_E_FORMAT },
        { "{\"scaling_factor\": 0}", "scaling_factor", BRUME_E_FORMAT },
        { "{\"act_fn\": \"tanh\"}", "tanh", BRUME_E_UNSUPPORTED },
        { "{\"latents_mean\": [0, 0, 0, 0]}", "latents_mean must be null", BRUME_E_UNSUPPORTED },
    };
    brume_autoencoder_config c;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_FAILS(parse(rows[i].text, &c, NULL), rows[i].status, rows[i].says);
    c = tiny();
    c.levels = 0;
    CHECK_FAILS(brume_autoencoder_config_check(&c), BRUME_E_ARG, "block_out_channels");
    CHECK_INT(brume_autoencoder_param_count(&c), 0);
}

static int same_layout(const brume_graph *a, brume_tensor sa, const brume_graph *b, brume_tensor sb)
{
    if (brume_param_count(a, sa) != brume_param_count(b, sb)) return 0;
    for (int i = 0; i < brume_param_count(a, sa); i++) {
        const brume_param_info *p = brume_param_at(a, sa, i), *q = brume_param_at(b, sb, i);
        if (strcmp(p->name, q->name) || p->offset != q->offset || !brume_shape_equal(p->shape, q->shape)) return 0;
    }
    return 1;
}

static void test_layout(void)
{
    const brume_autoencoder_config c = tiny();
    brume_graph *g[3];
    brume_tensor slab[3];
    for (int i = 0; i < 3; i++) {
        g[i] = brume_graph_new();
        slab[i] = brume_slab(g[i], "params");
        const brume_tensor x = brume_input(g[i], "x", BRUME_F32, BRUME_SHAPE(2, 9, 12, 2)),
                           z = brume_input(g[i], "z", BRUME_F32, BRUME_SHAPE(2, 2, 3, 3));
        if (i != 1) {
            const brume_tensor moments = brume_autoencoder_encode(g[i], &c, slab[i], x);
            CHECK(brume_shape_equal(brume_tensor_shape(g[i], moments), BRUME_SHAPE(2, 2, 3, 6)));
        }
        if (i != 0) {
            const brume_tensor y = brume_autoencoder_decode(g[i], &c, slab[i], z);
            CHECK(brume_shape_equal(brume_tensor_shape(g[i], y), BRUME_SHAPE(2, 8, 12, 1)));
            /* again */
            CHECK(brume_shape_equal(brume_tensor_shape(g[i], brume_autoencoder_decode(g[i], &c, slab[i], z)),
                                    BRUME_SHAPE(2, 8, 12, 1)));
        }
        CHECK_STR(brume_graph_error(g[i]), "");
        CHECK_INT(brume_params_numel(g[i], slab[i]), brume_autoencoder_param_count(&c));
    }
    CHECK(same_layout(g[0], slab[0], g[1], slab[1]));
    CHECK(same_layout(g[0], slab[0], g[2], slab[2]));
    for (int i = 0; i < 3; i++) brume_graph_free(g[i]);
}

static void test_inputs(void)
{
    const brume_autoencoder_config c = tiny();
    const struct { int encode; brume_shape s; const char *says; } rows[] = {
        { 1, BRUME_SHAPE(1, 8, 8, 3), "x must be f32 (N, H, W, 2)" }, { 1, BRUME_SHAPE(8, 8, 2), "x must be" },
        { 1, BRUME_SHAPE(1, 8, 3, 2), "at least 4, got 8 x 3" },      { 0, BRUME_SHAPE(1, 8, 8, 4),
                                                                        "z must be f32 (N, H, W, 3)" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        brume_graph *g = brume_graph_new();
        const brume_tensor slab = brume_slab(g, "params"), x = brume_input(g, "x", BRUME_F32, rows[i].s);
        CHECK_INT(rows[i].encode ? brume_autoencoder_encode(g, &c, slab, x) : brume_autoencoder_decode(g, &c, slab, x),
                  BRUME_NONE);
        CHECK_INT(brume_graph_status(g), BRUME_E_SHAPE);
        CHECK(strstr(brume_graph_error(g), rows[i].says));
        brume_graph_free(g);
    }
    brume_graph *g = brume_graph_new();
    brume_autoencoder_kl(g, brume_input(g, "m", BRUME_F32, BRUME_SHAPE(1, 2, 2, 3)));
    CHECK(strstr(brume_graph_error(g), "moments must be"));
    brume_graph_free(g);
}

/* KL and sample against double precision, logvar beyond both ends of its range included. */
static void test_distribution(void)
{
    enum { N = 2, P = 3, Z = 2 };
    static const float mean[Z] = { 0.5f, -2.0f }, logvar[N * P] = { 0.0f, 1e-4f, -31.0f, 25.0f, 3.0f, -0.7f };
    float m[N * P * 2 * Z], e[N * P * Z], z[N * P * Z], kl[N];
    double want_kl[N] = { 0 };
    brume_graph *g = brume_graph_new();
    const brume_tensor moments = brume_input(g, "m", BRUME_F32, BRUME_SHAPE(N, P, 1, 2 * Z)),
    eps = brume_input(g, "e", BRUME_F32, BRUME_SHAPE(N, P, 1, Z));
    const brume_tensor tz = brume_autoencoder_sample(g, moments, eps), tkl = brume_autoencoder_kl(g, moments);
    brume_output(g, tz, "z");
    brume_output(g, tkl, "kl");
    brume_plan *p = NULL;
    brume_fill_normal(5, 0, 0, 0, N * P * Z, e);
    for (int i = 0; i < N * P; i++)
        for (int k = 0; k < Z; k++) {
            m[i * 2 * Z + k] = mean[k];
            m[i * 2 * Z + Z + k] = logvar[i];
            const double v = fmin(fmax(logvar[i], -30.0), 20.0);
            want_kl[i / P] += 0.5 * ((double)mean[k] * mean[k] + expm1(v) - v);
        }
    if (CHECK_OK(brume_plan_new(cpu, g, NULL, &p)) && CHECK_OK(brume_plan_write(p, moments, m, sizeof m)) &&
        CHECK_OK(brume_plan_write(p, eps, e, sizeof e)) && CHECK_OK(brume_plan_run(p)) &&
        CHECK_OK(brume_plan_read(p, tz, z, sizeof z)) && CHECK_OK(brume_plan_read(p, tkl, kl, sizeof kl))) {
        for (int i = 0; i < N * P * Z; i++) {
            const double want = mean[i % Z] + exp(0.5 * fmin(fmax(logvar[i / Z], -30.0), 20.0)) * e[i];
            CHECK_NEAR(z[i], want, 1e-6 * (1 + fabs(want)));
        }
        for (int n = 0; n < N; n++) CHECK_NEAR(kl[n], want_kl[n], 1e-6 * want_kl[n]);
    }
    brume_plan_free(p);
    brume_graph_free(g);
}

static void no_quant(brume_autoencoder_config *c) { c->use_quant_conv = false; }
static void no_post_quant(brume_autoencoder_config *c) { c->use_post_quant_conv = false; }
static void no_attention(brume_autoencoder_config *c) { c->mid_block_add_attention = false; }
static void mish(brume_autoencoder_config *c) { c->act_fn = BRUME_ACT_MISH; }
static void layers(brume_autoencoder_config *c) { c->layers_per_block = 2; }
static void one_level(brume_autoencoder_config *c) { c->levels = 1; }
static void plain(brume_autoencoder_config *c) { (void)c; }

/* The slope of the loss along its gradient, by a central difference, is the gradient's squared norm: for every option, both
 * halves at once. */
static void test_options(void)
{
    static void (*const options[])(brume_autoencoder_config *) = { plain, no_quant, no_post_quant, no_attention,
                                                                   mish, layers, one_level };
    for (size_t o = 0; o < sizeof options / sizeof *options; o++) {
        brume_autoencoder_config c = tiny();
        brume_autoencoder *a = NULL;
        brume_plan *p = NULL;
        options[o](&c);
        const int64_t f = brume_autoencoder_factor(&c), H = 2 * f, W = 3 * f;
        float *x = malloc((size_t)(2 * H * W * 2) * 4);
        brume_graph *g = brume_graph_new();
        const brume_tensor slab = brume_slab(g, "params"), tx = brume_input(g, "x", BRUME_F32, BRUME_SHAPE(2, H, W, 2));
        const brume_tensor moments = brume_autoencoder_encode(g, &c, slab, tx),
                           y = brume_autoencoder_decode(g, &c, slab, brume_autoencoder_mean(g, moments));
        const brume_tensor loss = brume_add(g, brume_mean(g, brume_square(g, y), 15, 0),
                                            brume_affine(g, brume_mean(g, brume_autoencoder_kl(g, moments), 1, 0), 0.1f, 0));
        const brume_tensor grad = brume_grad_slab(g, loss, slab);
        brume_output(g, loss, "loss");
        brume_output(g, grad, "grad");
        CHECK_STR(brume_graph_error(g), "");
        if (CHECK_OK(brume_autoencoder_new(&c, 3, &a)) && CHECK_OK(brume_plan_new(cpu, g, NULL, &p))) {
            const size_t bytes = (size_t)a->n_params * 4;
            float *d = malloc(bytes), *moved = malloc(bytes), at[2] = { 0 };
            double norm = 0;
            brume_fill_normal(1, 0, 0, 0, 2 * H * W * 2, x);
            CHECK_OK(brume_plan_write(p, tx, x, (size_t)(2 * H * W * 2) * 4));
            CHECK_OK(brume_plan_write(p, slab, a->params, bytes));
            CHECK_OK(brume_plan_run(p));
            CHECK_OK(brume_plan_read(p, grad, d, bytes));
            for (int64_t i = 0; i < a->n_params; i++) norm += (double)d[i] * d[i];
            const double h = 2e-3 / sqrt(norm);
            for (int s = 0; s < 2; s++) {
                for (int64_t i = 0; i < a->n_params; i++) moved[i] = a->params[i] + (float)((s ? h : -h) * d[i] / sqrt(norm));
                CHECK_OK(brume_plan_write(p, slab, moved, bytes));
                CHECK_OK(brume_plan_run(p));
                CHECK_OK(brume_plan_read(p, loss, &at[s], 4));
            }
            const double slope = ((double)at[1] - at[0]) / (2 * h);
            /* the loss changes by 4e-3, of which f32 leaves 1e-7 / 4e-3 unsure; curvature of third order is measured at 4e-4 */
            CHECK_NEAR(slope / sqrt(norm), 1, 2e-3);
            free(moved);
            free(d);
        }
        brume_plan_free(p);
        brume_graph_free(g);
        brume_autoencoder_free(a);
        free(x);
    }
}

static void test_folders(void)
{
    brume_autoencoder_config c = tiny();
    brume_autoencoder *a = NULL, *b = NULL;
    char note[1100], *vae = brume_path_join(dir, "vae"), *nothing = brume_path_join(dir, "nothing");
    c.scaling_factor = 0.7;
    c.shift_factor = -0.25;
    c.use_post_quant_conv = false;
    if (CHECK_OK(brume_autoencoder_new(&c, 11, &a)) && CHECK_OK(brume_autoencoder_save(a, vae))) {
        for (int i = 0; i < 2; i++) /* the folder itself, and as part of a pipeline */
            if (CHECK_OK(brume_autoencoder_load(i ? dir : vae, NULL, &b, note))) {
                CHECK_STR(note, "");
                CHECK(!memcmp(&a->config, &b->config, sizeof c));
                CHECK(a->n_params == b->n_params && !memcmp(a->params, b->params, (size_t)a->n_params * 4));
                brume_autoencoder_free(b);
            }
        a->config.latent_channels = 5;
        CHECK_FAILS(brume_autoencoder_save(a, vae), BRUME_E_ARG, "the config describes");
    }
    CHECK_FAILS(brume_autoencoder_load(nothing, NULL, &b, note), BRUME_E_IO, "vae/config.json");
    CHECK(b == NULL);
    brume_autoencoder_free(a);
    free(vae);
    free(nothing);
}

/* As a part of a pipeline; the index says what belongs to it, whatever else lies in the folder. */
static void test_component(void)
{
    brume_unet2d_config u;
    const brume_autoencoder_config c = tiny();
    brume_model *m = NULL, *back = NULL;
    brume_json *index = NULL;
    char *folder = brume_path_join(dir, "pipeline"), *path = brume_path_join(folder, "model_index.json"),
    *vae = brume_path_join(folder, "vae");
    brume_unet2d_config_default(&u);
    u.levels = 1;
    u.in_channels = u.out_channels = c.latent_channels;
    u.block_out_channels[0] = 32;
    if (CHECK_OK(brume_model_new(&u, NULL, 1, &m)) && CHECK_OK(brume_autoencoder_new(&c, 2, &m->autoencoder)) &&
        CHECK_OK(brume_model_save(m, folder))) {
        CHECK_OK(brume_json_load(path, &index));
        CHECK_STR(brume_json_string(brume_json_find(index, "_class_name"), ""), "BrumePipeline");
        CHECK_STR(brume_json_string(brume_json_at(brume_json_find(index, "vae"), 1), ""), "AutoencoderKL");
        brume_json_free(index);
        if (CHECK_OK(brume_model_load(folder, NULL, &back)) && CHECK(back->autoencoder != NULL)) {
            CHECK_STR(back->note, "");
            CHECK(!memcmp(&back->autoencoder->config, &c, sizeof c));
            CHECK(!memcmp(back->autoencoder->params, m->autoencoder->params, (size_t)m->autoencoder->n_params * 4));
        }
        brume_model_free(back);
        const char *damaged = "{\"block_out_channels\": 0}",
                   *index_text = "{\"unet\": [\"diffusers\", \"UNet2DModel\"], \"vae\": [null, null]}";
        char *config = brume_path_join(vae, "config.json");
        CHECK_OK(brume_file_write(config, damaged, strlen(damaged)));
        CHECK_FAILS(brume_model_load(folder, NULL, &back), BRUME_E_FORMAT, "block_out_channels");
        CHECK(back == NULL);
        CHECK_OK(brume_file_write(path, index_text, strlen(index_text)));
        if (CHECK_OK(brume_model_load(folder, NULL, &back))) CHECK(back->autoencoder == NULL);
        brume_model_free(back);
        brume_autoencoder_free(m->autoencoder);
        m->autoencoder = NULL;
        CHECK_OK(brume_model_save(m, folder)); /* over the old one */
        if (CHECK_OK(brume_model_load(folder, NULL, &back))) CHECK(back->autoencoder == NULL);
        brume_model_free(back);
        index_text = "{\"unet\": [\"diffusers\", \"UNet2DModel\"], \"vae\": [\"diffusers\", \"AutoencoderKL\"]}";
        CHECK_OK(brume_file_write(path, index_text, strlen(index_text)));
        free(config);
        config = brume_path_join(dir, "elsewhere");
        CHECK(!rename(vae, config));
        CHECK_FAILS(brume_model_load(folder, NULL, &back), BRUME_E_IO, "names a part vae");
        free(config);
    }
    brume_model_free(m);
    free(vae);
    free(path);
    free(folder);
}

/* Root of the mean square difference of two images over that of the first, in the rows and columns whose distance from the lines
 * given is >= away. */
static double difference(const float *a, const float *b, int64_t size, const int64_t *seams, int n_seams, int64_t away)
{
    double d = 0, all = 0;
    for (int64_t y = 0; y < size; y++)
        for (int64_t x = 0; x < size; x++) {
            int far = 1;
            for (int i = 0; i < n_seams; i++) far &= llabs(y - seams[i]) >= away && llabs(x - seams[i]) >= away;
            const double e = (double)a[y * size + x] - b[y * size + x];
            if (far) d += e * e, all += (double)a[y * size + x] * a[y * size + x];
        }
    return sqrt(d / all);
}

static void test_tiles(void)
{
    enum { SIDE = 40, N = 2 };
    const int64_t f = 4, out = SIDE * f * SIDE * f, in = SIDE * SIDE * 3;
    const brume_autoencoder_config c = tiny();
    brume_autoencoder *a = NULL;
    float *z = malloc((size_t)(N * in) * 4), *whole = malloc((size_t)(N * out) * 4), *y = malloc((size_t)(N * out) * 4),
    *again = malloc((size_t)(N * out) * 4);
    char note[256];
    const brume_shape shape = BRUME_SHAPE(N, SIDE, SIDE, 3);
    brume_fill_normal(7, 0, 0, 0, N * in, z);
    if (CHECK_OK(brume_autoencoder_new(&c, 3, &a)) && CHECK_OK(brume_latents_decode(cpu, a, z, shape, NULL, whole, note))) {
        CHECK_STR(note, "");
        /* Two tiles a side of 24 that share 8: latent rows 16 to 24, pixels 64 to 96. Independent latents decorrelate within a
         * pixel, so that a tile a pixel out of place is wrong by 1 and more; the statistics of a tile's norms, of 576 latent
         * pixels in groups of 2 to 4 channels, are those of the whole within a few percent (0.06 measured). */
        const int64_t seams[] = { 64, 96 };
        const brume_latent_options by_hand = { .tile = 24 };
        memset(y, 255, (size_t)(N * out) * 4);
        CHECK_OK(brume_latents_decode(cpu, a, z, shape, &by_hand, y, note));
        CHECK_STR(note, "images are decoded in 2 x 2 tiles of 96 x 96 pixels");
        for (int i = 0; i < N; i++) CHECK_NEAR(difference(whole + i * out, y + i * out, SIDE * f, seams, 2, 8), 0, 0.1);
        for (int i = 0; i < N; i++) CHECK_NEAR(difference(whole + i * out, y + i * out, SIDE * f, seams, 0, 0), 0, 0.15);
        CHECK_OK(brume_latents_decode(cpu, a, z, shape, &by_hand, again, note));
        CHECK(!memcmp(y, again, (size_t)(N * out) * 4));
        /* A tile as large as the latent is the whole, by other plans or not. */
        CHECK_OK(brume_latents_decode(cpu, a, z, shape, &(brume_latent_options){ .tile = SIDE }, y, note));
        CHECK(!memcmp(y, whole, (size_t)(N * out) * 4));
        /* Limits: one that the whole meets, one that tiles meet, one that nothing does. */
        CHECK_OK(brume_latents_decode(cpu, a, z, shape, &(brume_latent_options){ .memory_limit = 1 << 30 }, y, note));
        CHECK_STR(note, "");
        const brume_latent_options small = { .memory_limit = 1200000, .overlap = 4 };
        if (CHECK_OK(brume_latents_decode(cpu, a, z, shape, &small, y, note)))
            CHECK(strstr(note, "tiles of") && strstr(note, "MiB"));
        CHECK_NEAR(difference(whole, y, SIDE * f, seams, 0, 0), 0, 0.25);
        CHECK_FAILS(brume_latents_decode(cpu, a, z, shape, &(brume_latent_options){ .memory_limit = 1000 }, y, note),
                    BRUME_E_MEMORY, "allowed");
        CHECK_FAILS(brume_latents_decode(cpu, a, z, shape, &(brume_latent_options){ .tile = 16 }, y, note), BRUME_E_ARG,
                    "2 overlaps");
        CHECK_FAILS(brume_latents_decode(cpu, a, z, BRUME_SHAPE(N, SIDE, SIDE, 4), NULL, y, note), BRUME_E_SHAPE, "(N, h, w, 3)");
    }
    brume_autoencoder_free(a);
    free(z);
    free(whole);
    free(y);
    free(again);
}

/* Scaling and shifting: latents of a scaled autoencoder are those of a plain one, (z - shift) scale, and decode to the same
 * image. */
static void test_scaling(void)
{
    enum { H = 2, W = 3, N = 2, Z = 3, LATENT = H * W * Z, IN = 8 * 12 * 2, OUT = 8 * 12 };
    brume_autoencoder_config c = tiny();
    brume_autoencoder *a = NULL;
    brume_latent_coder *plain_coder = NULL, *scaled = NULL;
    static float x[N * IN], z[N * LATENT], zs[N * LATENT], y[N * OUT], ys[N * OUT];
    const uint64_t seeds[N] = { 4, 9 };
    brume_fill_normal(2, 0, 0, 0, N * IN, x);
    c.scaling_factor = 1;
    if (CHECK_OK(brume_autoencoder_new(&c, 3, &a)) && CHECK_OK(brume_latent_coder_new(cpu, a, H, W, NULL, &plain_coder))) {
        a->config.scaling_factor = 0.5;
        a->config.shift_factor = 0.25;
        if (CHECK_OK(brume_latent_coder_new(cpu, a, H, W, NULL, &scaled)))
            for (int sampled = 1; sampled >= 0; sampled--) {
                CHECK_OK(brume_latent_coder_encode(plain_coder, x, N, sampled ? seeds : NULL, z));
                CHECK_OK(brume_latent_coder_encode(scaled, x, N, sampled ? seeds : NULL, zs));
                for (int i = 0; i < N * LATENT; i++) CHECK_NEAR(zs[i], (z[i] - 0.25) * 0.5, 1e-6 * (1 + fabs(z[i])));
                CHECK_OK(brume_latent_coder_decode(plain_coder, z, N, y));
                CHECK_OK(brume_latent_coder_decode(scaled, zs, N, ys));
                for (int i = 0; i < N * OUT; i++) CHECK_NEAR(ys[i], y[i], 1e-4); /* values near 1 behind 20 layers of f32 */
            }
        /* the mean has no noise in it; with other noise latents differ */
        CHECK_OK(brume_latent_coder_encode(plain_coder, x, 1, &seeds[1], zs));
        int differ = 0;
        for (int i = 0; i < LATENT; i++) differ += fabs(zs[i] - z[i]) > 1e-3;
        CHECK(differ > LATENT / 2);
    }
    brume_latent_coder_free(plain_coder);
    brume_latent_coder_free(scaled);
    brume_autoencoder_free(a);
}

static void remove_tree(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    if (system(command)) fprintf(stderr, "%s stays\n", dir);
}

int main(void)
{
    if (!CHECK(mkdtemp(dir) != NULL) || !CHECK_OK(brume_device_open("cpu", NULL, &cpu))) return check_report();
    test_counts();
    test_damaged_configs();
    test_layout();
    test_inputs();
    test_distribution();
    test_options();
    test_folders();
    test_component();
    test_tiles();
    test_scaling();
    brume_device_close(cpu);
    remove_tree();
    return check_report();
}
