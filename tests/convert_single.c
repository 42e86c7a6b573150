/* SPDX-License-Identifier: MIT
 * Single files of Stable Diffusion: folder to file and back has the same bits and configs; what must be refused, and is named. */
#include <stdarg.h>
#include <unistd.h>

#include "brume/convert.h"
#include "brume/model.h"
#include "brume/weights.h"
#include "check.h"
#include "patch.h"

static char dir[] = "/tmp/brume_single_XXXXXX";
static const char *const captions[] = { "a small red circle", "a small blue square", "a red square", "a blue circle" };

/* A path below dir; the last four stay. */
static const char *at(const char *fmt, ...)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    int used = snprintf(path, 256, "%s/", dir);
    va_list args;
    va_start(args, fmt);
    vsnprintf(path + used, 256 - (size_t)used, fmt, args);
    va_end(args);
    return path;
}

static const brume_convert_options version1 = { .keep_dtype = true, .heads = 4, .text_heads = 3 };
static const brume_convert_options version2 = { .keep_dtype = true, .head_channels = 16, .text_heads = 3 };

static brume_model *make(bool second)
{
    brume_unet2d_config u;
    brume_autoencoder_config a;
    brume_text_encoder_config t;
    brume_scheduler_config scheduler;
    brume_model *m = NULL;
    brume_unet2d_condition_config_default(&u);
    u.levels = 2;
    u.block_out_channels[0] = 32;
    u.block_out_channels[1] = 64;
    u.down_block_types[1] = u.up_block_types[0] = BRUME_BLOCK_RESNET;
    u.up_block_types[1] = BRUME_BLOCK_CROSS_ATTENTION;
    u.layers_per_block = 1;
    u.cross_attention_dim = 24;
    u.attention_head_dim = 4;
    u.use_linear_projection = second;
    if (second) { u.level_attention_heads[0] = 2; u.level_attention_heads[1] = 4; }
    brume_autoencoder_config_default(&a);
    a.levels = 2;
    a.block_out_channels[0] = 32;
    a.block_out_channels[1] = 64;
    if (!second) a.scaling_factor = 0.75;
    brume_text_encoder_config_default(&t);
    t.hidden_size = t.projection_dim = 24;
    t.intermediate_size = 40;
    t.num_hidden_layers = 2;
    t.num_attention_heads = 3;
    t.max_position_embeddings = 9;
    t.hidden_act = second ? BRUME_ACT_GELU_ERF : BRUME_ACT_GELU_QUICK;
    CHECK_OK(brume_scheduler_config_class("DDIMScheduler", &scheduler));
    strcpy(scheduler.beta_schedule, second ? "scaled_linear" : "linear");
    scheduler.beta_start = 0.0015;
    scheduler.beta_end = 0.0195;
    scheduler.prediction_type = second ? BRUME_PREDICT_V : BRUME_PREDICT_EPS;
    if (CHECK_OK(brume_model_new(&u, &scheduler, 1, &m)) && CHECK_OK(brume_tokenizer_train(captions, 4, 200, 9, &m->tokenizer))) {
        t.vocab_size = brume_tokenizer_vocab_size(m->tokenizer);
        t.bos_token_id = brume_tokenizer_start_id(m->tokenizer);
        t.eos_token_id = brume_tokenizer_end_id(m->tokenizer);
        CHECK_OK(brume_text_model_new(&t, 2, &m->text_encoder));
        CHECK_OK(brume_autoencoder_new(&a, 3, &m->autoencoder));
    }
    brume_scheduler_config_clear(&scheduler);
    return m;
}

static void same_params(const float *a, int64_t n, const float *b, int64_t m)
{
    if (CHECK_INT(m, n)) CHECK(!memcmp(a, b, (size_t)n * sizeof *a));
}

static void compare(const brume_model *m, const brume_model *back)
{
    same_params(m->params, m->n_params, back->params, back->n_params);
    same_params(m->autoencoder->params, m->autoencoder->n_params, back->autoencoder->params, back->autoencoder->n_params);
    same_params(m->text_encoder->params, m->text_encoder->n_params, back->text_encoder->params, back->text_encoder->n_params);
    brume_unet2d_config u = back->unet;
    CHECK_INT(u.sample_size[0], m->unet.use_linear_projection ? 384 : 256);
    u.sample_size[0] = u.sample_size[1] = 0; /* which a file does not hold */
    u.attention_head_dim = m->unet.attention_head_dim; /* overridden at all levels, or equal */
    CHECK(!memcmp(&u, &m->unet, sizeof u));
    if (!m->unet.use_linear_projection) CHECK_INT(back->unet.attention_head_dim, 4);
    brume_autoencoder_config a = back->autoencoder->config;
    a.sample_size = m->autoencoder->config.sample_size;
    CHECK(!memcmp(&a, &m->autoencoder->config, sizeof a));
    CHECK(!memcmp(&back->text_encoder->config, &m->text_encoder->config, sizeof m->text_encoder->config));
    CHECK_STR(back->scheduler.beta_schedule, m->scheduler.beta_schedule);
    CHECK(back->scheduler.beta_start == m->scheduler.beta_start && back->scheduler.beta_end == m->scheduler.beta_end);
    CHECK_INT(back->scheduler.prediction_type, m->scheduler.prediction_type);
}

static void remove_folder(const char *path)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    CHECK_INT(system(command), 0);
}

static void test_round_trip(bool second)
{
    brume_model *m = make(second), *back = NULL;
    brume_convert_options o = second ? version2 : version1;
    char note[512];
    if (!m || !CHECK_OK(brume_model_save(m, at("in"))) ||
        !CHECK_OK(brume_convert_to_single(at("in"), at("file.safetensors"), &o, note))) {
        brume_model_free(m);
        return;
    }
    CHECK(strstr(note, second ? "2.x (OpenCLIP)" : "1.x (CLIP)") != NULL);

    remove_folder(at("out"));
    /* Without a tokenizer it is no pipeline yet, and says so. */
    CHECK_OK(brume_convert_to_folder(at("file.safetensors"), at("out"), &o, note));
    CHECK(strstr(note, "--tokenizer DIR") && strstr(note, "autoencoder, text encoder"));
    CHECK(!brume_is_folder(at("out/tokenizer")));
    char tokenizer[128];
    snprintf(tokenizer, sizeof tokenizer, "%s", at("in/tokenizer"));
    o.tokenizer = tokenizer;
    if (CHECK_OK(brume_convert_to_folder(at("file.safetensors"), at("out"), &o, note)) &&
        CHECK_OK(brume_model_load(at("out"), NULL, &back))) {
        CHECK(!strstr(note, "--tokenizer"));
        CHECK_STR(back->note, "");
        CHECK(back->tokenizer != NULL);
        compare(m, back);
        void *index = NULL;
        size_t bytes;
        if (CHECK_OK(brume_file_read(at("out/model_index.json"), 1 << 16, &index, &bytes)))
            CHECK(strstr(index, "\"StableDiffusionPipeline\"") != NULL);
        free(index);
    }
    /* The file made of that folder is the first one again, byte by byte. */
    void *first = NULL, *again = NULL;
    size_t n = 0, k = 0;
    CHECK_OK(brume_convert_to_single(at("out"), at("file2.safetensors"), &o, note));
    if (CHECK_OK(brume_file_read(at("file.safetensors"), 1 << 26, &first, &n)) &&
        CHECK_OK(brume_file_read(at("file2.safetensors"), 1 << 26, &again, &k)) && CHECK_INT((int64_t)k, (int64_t)n))
        CHECK(!memcmp(first, again, n));
    free(first);
    free(again);
    /* In half precision, kept. */
    brume_weights *w = NULL;
    o.keep_dtype = false;
    o.dtype = BRUME_ST_F16;
    CHECK_OK(brume_convert_to_single(at("in"), at("file.safetensors"), &o, note));
    o.keep_dtype = true;
    if (CHECK_OK(brume_convert_to_folder(at("file.safetensors"), at("out"), &o, note)) &&
        CHECK_OK(brume_weights_open(at("out/unet"), "diffusion_pytorch_model", NULL, &w)))
        CHECK_INT(brume_weights_at(w, 0)->dtype, BRUME_ST_F16);
    brume_weights_close(w);
    brume_model_free(back);
    brume_model_free(m);
}

/* Any tensor under another name, and any whose first two dimensions change places, is refused; the first kind by its name, new or
 * old. */
static void test_malformed(const brume_convert_options *o)
{
    struct patch p;
    char note[512], bad[128];
    brume_weights *w = NULL;
    snprintf(bad, sizeof bad, "%s", at("bad.safetensors"));
    if (!CHECK_OK(brume_weights_open(at("file.safetensors"), "model", NULL, &w)) || !patch_begin(&p, at("file.safetensors"), bad))
        return;
    for (int64_t i = 0; i < brume_weights_count(w); i++) {
        const brume_st_tensor *t = brume_weights_at(w, i);
        /* buffers: their own rules */
        if (strncmp(t->name, "cond", 4) && strncmp(t->name, "model", 5) && strncmp(t->name, "first", 5)) continue;
        patch_name(&p, t);
        const brume_status s = brume_convert_to_folder(bad, at("never"), o, note);
        char name[200];
        snprintf(name, sizeof name, "%.*s", (int)strlen(t->name) - 1, t->name);
        if (!CHECK(s == BRUME_E_FORMAT || s == BRUME_E_UNSUPPORTED) ||
            !CHECK(strstr(brume_error(), name) || strstr(brume_error(), "is missing")))
            fprintf(stderr, "    without %s: %s\n", t->name, s ? brume_error() : "done");
        if (patch_turn(&p, t) && !CHECK(brume_convert_to_folder(bad, at("never"), o, note) != BRUME_OK))
            fprintf(stderr, "    turned %s\n", t->name);
    }
    CHECK(!brume_is_folder(at("never")));
    patch_end(&p);
    brume_weights_close(w);
}

/* The tensors of the file, with one more (or NULL) and, if asked, moving averages beside the network's: values + 1. */
static void rewrite(const char *to, const char *extra, bool averages)
{
    brume_weights *w = NULL;
    if (!CHECK_OK(brume_weights_open(at("file.safetensors"), "model", NULL, &w))) return;
    const int64_t n = brume_weights_count(w);
    brume_st_item *items = calloc((size_t)(2 * n + 1), sizeof *items);
    char(*names)[160] = calloc((size_t)n, sizeof *names);
    int64_t k = 0;
    static const float one = 1;
    for (int64_t i = 0; i < n; i++) {
        const brume_st_tensor *t = brume_weights_at(w, i);
        float *x = malloc((size_t)(t->count + 1) * sizeof *x);
        CHECK_OK(brume_st_read_f32(t, 0, t->count, x));
        items[k++] = (brume_st_item){ .name = t->name, .dtype = BRUME_ST_F32, .ndim = t->ndim, .shape = t->shape, .data = x };
        if (!averages || strncmp(t->name, "model.", 6)) continue;
        size_t used = (size_t)snprintf(names[i], sizeof names[i], "model_ema.");
        for (const char *c = t->name + 6; *c; c++)
            if (*c != '.') names[i][used++] = *c;
        float *y = malloc((size_t)(t->count + 1) * sizeof *y);
        for (int64_t j = 0; j < t->count; j++) y[j] = x[j] + 1;
        items[k++] = (brume_st_item){ .name = names[i], .dtype = BRUME_ST_F32, .ndim = t->ndim, .shape = t->shape, .data = y };
    }
    if (extra) items[k++] = (brume_st_item){ .name = extra, .dtype = BRUME_ST_F32, .data = &one };
    CHECK_OK(brume_safetensors_write(to, items, k, NULL));
    for (int64_t i = 0; i < k - (extra != NULL); i++) free((void *)(uintptr_t)items[i].data);
    free(names);
    free(items);
    brume_weights_close(w);
}

static void test_averages(brume_convert_options o)
{
    brume_model *plain = NULL, *averaged = NULL;
    char note[512];
    o.averages = true;
    CHECK_FAILS(brume_convert_to_folder(at("file.safetensors"), at("never"), &o, note), BRUME_E_ARG, "no moving averages");
    rewrite(at("ema.safetensors"), "model_ema.num_updates", true);
    CHECK_OK(brume_convert_to_folder(at("ema.safetensors"), at("out"), &o, note));
    CHECK_OK(brume_model_load(at("out"), NULL, &averaged));
    o.averages = false;
    CHECK_OK(brume_convert_to_folder(at("ema.safetensors"), at("out"), &o, note));
    CHECK(strstr(note, "left out moving averages") != NULL);
    CHECK_OK(brume_model_load(at("out"), NULL, &plain));
    int64_t wrong = 0;
    for (int64_t i = 0; plain && averaged && i < plain->n_params; i++) wrong += averaged->params[i] != plain->params[i] + 1;
    CHECK_INT(wrong, 0);
    brume_model_free(plain);
    brume_model_free(averaged);
}

static void test_refusals(brume_convert_options o)
{
    static const struct { const char *extra, *says; } extras[] = {
        { "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight", "belongs to none of" },
        { "model.diffusion_model.label_emb.0.0.weight",
          "'model.diffusion_model.label_emb.0.0.weight' () has no counterpart in UNet2DConditionModel" },
        { "first_stage_model.quantize.embedding.weight",
          "'first_stage_model.quantize.embedding.weight' () has no counterpart in AutoencoderKL" },
        { "cond_stage_model.embedding.weight", "'cond_stage_model.embedding.weight' () has no counterpart in CLIPTextModel" },
    };
    char note[512];
    for (size_t i = 0; i < sizeof extras / sizeof *extras; i++) {
        rewrite(at("bad.safetensors"), extras[i].extra, false);
        CHECK_FAILS(brume_convert_to_folder(at("bad.safetensors"), at("never"), &o, note), BRUME_E_UNSUPPORTED, extras[i].says);
    }
    rewrite(at("bad.safetensors"), "first_stage_model.loss.logvar", false);
    CHECK_OK(brume_convert_to_folder(at("bad.safetensors"), at("out"), &o, note));
    o.text_heads = 0;
    CHECK_FAILS(brume_convert_to_folder(at("file.safetensors"), at("never"), &o, note), BRUME_E_ARG, "--text-heads");
    o.text_heads = 3;
    o.heads = 3;
    CHECK_FAILS(brume_convert_to_folder(at("file.safetensors"), at("never"), &o, note), BRUME_E_ARG, "--heads N");
    o.heads = 4;
    o.tokenizer = dir;
    CHECK_FAILS(brume_convert_to_folder(at("file.safetensors"), at("never"), &o, note), BRUME_E_IO, "no tokenizer there");
    o.tokenizer = "tests/data/tokenizer"; /* of another vocabulary */
    CHECK_FAILS(brume_convert_to_folder(at("file.safetensors"), at("never"), &o, note), BRUME_E_ARG, "do not belong together");
    CHECK(!brume_is_folder(at("never")));

    CHECK_FAILS(brume_convert_to_single(at("nowhere"), at("never"), &o, note), BRUME_E_IO, "unet/config.json is not there");
    brume_model *m = make(false);
    if (m) { /* keys that the layout has no place for */
        m->unet.flip_sin_to_cos = false;
        CHECK_OK(brume_model_save(m, at("in")));
        CHECK_FAILS(brume_convert_to_single(at("in"), at("never"), &o, note), BRUME_E_UNSUPPORTED,
                    "flip_sin_to_cos has no counterpart");
        m->unet.flip_sin_to_cos = true;
        m->autoencoder->config.shift_factor = 0.5;
        CHECK_OK(brume_model_save(m, at("in")));
        CHECK_FAILS(brume_convert_to_single(at("in"), at("never"), &o, note), BRUME_E_UNSUPPORTED,
                    "shift_factor has no counterpart");
    }
    CHECK(!brume_is_file(at("never")));
    brume_model_free(m);
}

int main(void)
{
    if (!CHECK(mkdtemp(dir) != NULL)) return check_report();
    test_round_trip(true);
    brume_model *m = make(true);
    char note[512];
    if (m && CHECK_OK(brume_model_save(m, at("in"))) &&
        CHECK_OK(brume_convert_to_single(at("in"), at("file.safetensors"), &version2, note)))
        test_malformed(&version2);
    brume_model_free(m);
    test_round_trip(false);
    m = make(false);
    if (m && CHECK_OK(brume_model_save(m, at("in"))) &&
        CHECK_OK(brume_convert_to_single(at("in"), at("file.safetensors"), &version1, note))) {
        test_malformed(&version1);
        test_averages(version1);
        test_refusals(version1);
    }
    brume_model_free(m);
    remove_folder(dir);
    return check_report();
}
