/* SPDX-License-Identifier: MIT
 * Files of UNet2DModel: published configs and their parameter counts, damaged configs, model folders written and read back,
 * damaged weights. */
#include <sys/stat.h>

#include "base/file.h"
#include "brume/model.h"
#include "brume/params.h"
#include "nn_tiny.h"

static brume_status parse(const char *text, brume_unet2d_config *c, char note[512])
{
    return brume_unet2d_config_parse(text, strlen(text), "test.json", c, note);
}

/* Published configs, as far as they say anything. */
#define CIFAR10 \
    "{\"_class_name\": \"UNet2DModel\", \"act_fn\": \"silu\", \"attention_head_dim\": null, \"block_out_channels\": [128, " \
    "256, 256, 256], " \
    "\"downsample_padding\": 0, \"flip_sin_to_cos\": false, \"freq_shift\": 1, \"norm_eps\": 1e-06, \"sample_size\": 32, " \
    "\"num_res\": 1, " \
    "\"down_block_types\": [\"UNetResDownBlock2D\", \"UNetResAttnDownBlock2D\", \"DownBlock2D\", \"DownBlock2D\"], " \
    "\"up_block_types\": [\"UpBlock2D\", \"UpBlock2D\", \"AttnUpBlock2D\", \"UpBlock2D\"]}"
#define CELEBA \
    "{\"attention_head_dim\": null, \"block_out_channels\": [128, 128, 256, 256, 512, 512], \"sample_size\": 256, " \
    "\"down_block_types\": " \
    "[\"DownBlock2D\", \"DownBlock2D\", \"DownBlock2D\", \"DownBlock2D\", \"AttnDownBlock2D\", \"DownBlock2D\"], " \
    "\"up_block_types\": " \
    "[\"UpBlock2D\", \"AttnUpBlock2D\", \"UpBlock2D\", \"UpBlock2D\", \"UpBlock2D\", \"UpBlock2D\"]}"

#define NCSNPP \
    "{\"time_embedding_type\": \"fourier\", \"norm_num_groups\": null, \"norm_eps\": 1e-06, \"attention_head_dim\": null, " \
    "\"mid_block_scale_factor\": 1.41421356237, \"block_out_channels\": [128, 128, 256, 256, 256, 256, 256], " \
    "\"down_block_types\": " \
    "[\"SkipDownBlock2D\", \"SkipDownBlock2D\", \"SkipDownBlock2D\", \"SkipDownBlock2D\", \"AttnSkipDownBlock2D\", " \
    "\"SkipDownBlock2D\", " \
    "\"SkipDownBlock2D\"], \"up_block_types\": [\"SkipUpBlock2D\", \"SkipUpBlock2D\", \"AttnSkipUpBlock2D\", " \
    "\"SkipUpBlock2D\", " \
    "\"SkipUpBlock2D\", \"SkipUpBlock2D\", \"SkipUpBlock2D\"]}"

static void test_published(void)
{
    brume_unet2d_config c;
    char note[512];
    if (CHECK_OK(parse(CIFAR10, &c, note))) {
        CHECK_STR(note, "keys ignored in the model's config: num_res");
        CHECK(c.layers_per_block == 2 && c.norm_num_groups == 32 && c.attention_head_dim == 0 && c.mid_block &&
              c.sample_size[1] == 32);
        CHECK(c.down_block_types[1] == BRUME_BLOCK_ATTENTION && !c.flip_sin_to_cos && c.freq_shift == 1 && c.norm_eps == 1e-6);
        CHECK_INT(brume_unet2d_param_count(&c), 35746307);
    }
    if (CHECK_OK(parse(NCSNPP, &c, NULL))) CHECK_INT(brume_unet2d_param_count(&c), 65574549); /* its table included */
    if (CHECK_OK(parse(CELEBA, &c, NULL))) CHECK_INT(brume_unet2d_param_count(&c), 113673219);
}

static void test_damaged_configs(void)
{
#define LISTS "\"block_out_channels\": [32, 64], \"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\"], " \
    "\"up_block_types\": [\"UpBlock2D\", \"UpBlock2D\"]"
    static const struct { const char *text, *says; brume_status status; } rows[] = {
        { "", "test.json", BRUME_E_FORMAT },
        { "[]", "object", BRUME_E_FORMAT },
        { "{" LISTS, "test.json", BRUME_E_FORMAT },
        { "{}", "block_out_channels", BRUME_E_FORMAT },
        { "{\"block_out_channels\": [32], \"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\"], \"up_block_types\": "
          "[\"UpBlock2D\"]}",
          "same length", BRUME_E_ARG },
        { "{\"block_out_channels\": [32], \"down_block_types\": \"DownBlock2D\", \"up_block_types\": [\"UpBlock2D\"]}",
          "down_block_types", BRUME_E_FORMAT },
        { "{\"block_out_channels\": [32], \"down_block_types\": [\"SkipDownBlock2D\"], \"up_block_types\": [\"SkipUpBlock2D\"], "
          "\"in_channels\": 1}",
          "in_channels and out_channels of 3", BRUME_E_ARG },
        { "{\"block_out_channels\": [40], \"down_block_types\": [\"AttnSkipDownBlock2D\"], \"up_block_types\": "
          "[\"AttnSkipUpBlock2D\"]}",
          "does not divide", BRUME_E_ARG },
        { "{\"block_out_channels\": [32], \"down_block_types\": [\"KDownBlock2D\"], \"up_block_types\": [\"KUpBlock2D\"]}",
          "KDownBlock2D", BRUME_E_UNSUPPORTED },
        { "{\"block_out_channels\": [32], \"down_block_types\": [\"UpBlock2D\"], \"up_block_types\": [\"UpBlock2D\"]}",
          "\"UpBlock2D\" is not", BRUME_E_UNSUPPORTED },
        { "{\"block_out_channels\": [32], \"down_block_types\": [3], \"up_block_types\": [\"UpBlock2D\"]}", "down_block_types[0]",
          BRUME_E_FORMAT },
        { "{\"block_out_channels\": [], \"down_block_types\": [], \"up_block_types\": []}", "block_out_channels",
          BRUME_E_FORMAT },
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
        if (!CHECK_FAILS(parse(rows[k].text, &c, note), rows[k].status, rows[k].says))
            fprintf(stderr, "    config: %s\n", rows[k].text);
    }
    brume_unet2d_config c;
    brume_unet2d_config_default(&c);
    CHECK_FAILS(brume_unet2d_config_check(&c), BRUME_E_ARG, "1 to");
    CHECK_INT(brume_unet2d_param_count(&c), 0);
}

/* Rewrites the weights of a saved model: every tensor is offered to edit(), which may rename, reshape, or drop it (return 0). */
static void rewrite(const char *from, const char *to, int (*edit)(brume_st_item *item, char name[200], int64_t shape[4]),
                    const char *extra)
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
    if (extra)
        items[n++] =
            (brume_st_item){ .name = extra, .dtype = BRUME_ST_F32, .ndim = 0, .shape = shapes[399], .data = calloc(1, 4) };
    CHECK_OK(brume_safetensors_write(to, items, n, NULL));
    for (int64_t i = 0; i < n; i++) free((void *)items[i].data);
    brume_safetensors_close(f);
}

static int old_names(brume_st_item *item, char name[200], int64_t shape[4])
{
    static const char *const pairs[][2] = { { "to_q", "query" }, { "to_k", "key" }, { "to_v", "value" },
                                            { "to_out.0", "proj_attn" } };
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
    if (CHECK_OK(brume_model_load(in_dir("pipeline/unet"), NULL, &back)))
        CHECK(!back->has_scheduler && !memcmp(back->params, m->params, bytes));
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
    rewrite(in_dir("pipeline/unet/diffusion_pytorch_model.safetensors"),
            in_dir("flat/diffusion_pytorch_model.safetensors"), damage, NULL);
    CHECK_FAILS(brume_model_load(in_dir("flat"), NULL, &back), BRUME_E_FORMAT, "conv_out.bias");
    CHECK(strstr(brume_error(), "conv_in.weight ([8, 2, 3, 3] expected, [2, 8, 3, 3] found)") != NULL);
    rewrite(in_dir("pipeline/unet/diffusion_pytorch_model.safetensors"),
            in_dir("flat/diffusion_pytorch_model.safetensors"), keep, NULL);
    const char *other = "{\"unet\": [\"diffusers\", \"UNet1DModel\"]}";
    CHECK_OK(brume_file_write(in_dir("flat/model_index.json"), other, strlen(other)));
    CHECK_FAILS(brume_model_load(in_dir("flat"), NULL, &back), BRUME_E_UNSUPPORTED, "UNet1DModel");
    CHECK_FAILS(brume_model_load(in_dir("nothing"), NULL, &back), BRUME_E_IO, "nothing");
    CHECK(back == NULL);
    CHECK_OK(brume_make_folders(in_dir("empty")));
    CHECK_FAILS(brume_model_load(in_dir("empty"), NULL, &back), BRUME_E_IO, "config.json");
    brume_model_free(m);
}

int main(void)
{
    test_published();
    test_damaged_configs();
    test_folders();
    remove_dir();
    return check_report();
}
