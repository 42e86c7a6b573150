/* SPDX-License-Identifier: MIT
 * UNet2DConditionModel: its config written and read back, what is refused, the published size, and denoisers with a context. */
#include <math.h>
#include <unistd.h>

#include "brume/model.h"
#include "brume/rng.h"
#include "check.h"

static brume_device *cpu;

static brume_unet2d_config tiny(void)
{
    brume_unet2d_config c;
    brume_unet2d_condition_config_default(&c);
    c.levels = 2;
    c.block_out_channels[0] = 8;
    c.block_out_channels[1] = 12;
    c.up_block_types[0] = BRUME_BLOCK_RESNET;
    c.down_block_types[1] = BRUME_BLOCK_RESNET;
    c.up_block_types[1] = BRUME_BLOCK_CROSS_ATTENTION;
    c.level_layers[0] = 2;
    c.level_layers[1] = 1;
    c.level_attention_heads[0] = 2;
    c.level_attention_heads[1] = 3;
    c.only_cross_attention[1] = true;
    c.norm_num_groups = 4;
    c.cross_attention_dim = 6;
    c.use_linear_projection = true;
    return c;
}

static brume_status parse(const char *text, brume_unet2d_config *c)
{
    char note[512];
    return brume_unet2d_config_parse(text, strlen(text), "test.json", c, note);
}

static void test_config(void)
{
    char path[] = "/tmp/brume-condition-XXXXXX", note[512];
    const int file = mkstemp(path);
    brume_unet2d_config c = tiny(), back;
    CHECK_OK(brume_unet2d_config_write(path, &c));
    if (CHECK_OK(brume_unet2d_config_read(path, &back, note))) {
        CHECK_STR(note, "");
        CHECK(back.level_layers[0] == 2 && back.level_layers[1] == 1 && back.level_attention_heads[1] == 3 &&
              back.cross_attention_dim == 6);
        CHECK(!back.only_cross_attention[0] && back.only_cross_attention[1] && back.use_linear_projection &&
              back.mid_cross_attention);
        CHECK_INT(brume_unet2d_param_count(&back), brume_unet2d_param_count(&c));
    }
    close(file);
    unlink(path);
    CHECK_OK(parse("{\"_class_name\": \"UNet2DConditionModel\", \"cross_attention_dim\": 768}", &c));
    CHECK_INT(brume_unet2d_param_count(&c), 859520964); /* Stable Diffusion 1.x */
}

static void test_refusals(void)
{
    static const struct { const char *key, *says; brume_status status; } rows[] = {
        { "\"addition_embed_type\": \"text_time\"", "addition_embed_type \"text_time\"", BRUME_E_UNSUPPORTED },
        { "\"encoder_hid_dim\": 32", "encoder_hid_dim", BRUME_E_UNSUPPORTED },
        { "\"dual_cross_attention\": true", "dual_cross_attention", BRUME_E_UNSUPPORTED },
        { "\"resnet_out_scale_factor\": 1.5", "resnet_out_scale_factor", BRUME_E_UNSUPPORTED },
        { "\"attention_type\": \"gated\"", "attention_type", BRUME_E_UNSUPPORTED },
        { "\"num_attention_heads\": 8", "num_attention_heads", BRUME_E_UNSUPPORTED },
        { "\"mid_block_type\": \"UNetMidBlock2DSimpleCrossAttn\"", "UNetMidBlock2DSimpleCrossAttn", BRUME_E_UNSUPPORTED },
        { "\"time_embedding_type\": \"fourier\"", "fourier", BRUME_E_UNSUPPORTED },
        { "\"attention_head_dim\": [8, 8]", "4", BRUME_E_ARG },
        { "\"cross_attention_dim\": [8, 8, 9, 8]", "cross_attention_dim", BRUME_E_UNSUPPORTED },
        { "\"conv_in_kernel\": 4", "odd", BRUME_E_ARG },
        { "\"class_embed_type\": \"projection\"", "projection_class_embeddings_input_dim", BRUME_E_ARG },
        { "\"only_cross_attention\": 1", "true or false", BRUME_E_FORMAT },
    };
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        brume_unet2d_config c;
        char text[300];
        snprintf(text, sizeof text, "{\"_class_name\": \"UNet2DConditionModel\", %s}", rows[k].key);
        CHECK_FAILS(parse(text, &c), rows[k].status, rows[k].says);
    }
}

enum { N = 2, H = 3, W = 5, S = 4, X = 6, ROW = S * X, PIXELS = N * H * W * 4 };

static void ask(const brume_model *m, const brume_unet2d_denoiser_options *o, const float *x, float *y)
{
    brume_unet2d_denoiser *d = NULL;
    brume_buffer *in = NULL, *out = NULL;
    if (CHECK_OK(brume_buffer_new(cpu, PIXELS * 4, &in)) && CHECK_OK(brume_buffer_new(cpu, PIXELS * 4, &out)) &&
        CHECK_OK(brume_buffer_write(in, 0, x, PIXELS * 4)) &&
        CHECK_OK(brume_unet2d_denoiser_new(cpu, &m->unet, m->params, BRUME_SHAPE(N, H, W, 4), o, &d))) {
        const brume_denoiser *f = brume_unet2d_denoiser_get(d);
        CHECK_OK(f->predict(f->self, in, &(brume_level){ .t = 321, .a = 1, .s = 1 }, out, NULL));
        CHECK_OK(brume_buffer_read(out, 0, y, PIXELS * 4));
    }
    brume_unet2d_denoiser_free(d);
    brume_buffer_free(in);
    brume_buffer_free(out);
}

/* Parameters that are made one by one are those of the model; in f16 they are rounded, no less and no more. */
static void test_source(void)
{
    brume_unet2d_config c = tiny();
    brume_model *m = NULL;
    float x[PIXELS], context[N * ROW], want[PIXELS], got[PIXELS], rounded[PIXELS];
    uint64_t seed = 5;
    if (!CHECK_OK(brume_model_new(&c, NULL, seed, &m))) return;
    brume_fill_normal(1, 0, 0, 0, PIXELS, x);
    brume_fill_normal(1, 1, 0, 0, N * ROW, context);
    brume_unet2d_denoiser_options o = { .context = context, .tokens = S, .guidance.scale = 1 };
    const brume_model none = { .unet = c };
    brume_unet2d_denoiser *d = NULL;
    CHECK_FAILS(brume_unet2d_denoiser_new(cpu, &c, NULL, BRUME_SHAPE(N, H, W, 4), &o, &d), BRUME_E_ARG, "needs parameters");
    for (int half = 0; half < 2; half++) {
        o.storage = half ? BRUME_STORAGE_F16 : BRUME_STORAGE_F32;
        o.source = (brume_params_source){ 0 };
        for (int64_t i = 0; i < m->n_params; i++)
            if (half) m->params[i] = brume_f16_to_f32(brume_f32_to_f16(m->params[i]));
        ask(m, &o, x, want);
        o.source = (brume_params_source){ &seed, brume_params_fresh };
        ask(&none, &o, x, got);
        CHECK(memcmp(want, got, sizeof want) == 0);
    }
    o.storage = BRUME_STORAGE_F32;
    o.source = (brume_params_source){ 0 };
    ask(m, &o, x, rounded); /* only weights wait in f16 in so small a network: the arithmetic is f32 */
    for (int i = 0; i < PIXELS; i++) CHECK(fabsf(rounded[i] - got[i]) <= 1e-5f * (1 + fabsf(got[i])));
    brume_model_free(m);
}

/* Guidance is the sum of two denoisers without; a null context for all is the same as one copy for each. Odd sizes. */
static void test_denoiser(void)
{
    brume_unet2d_config c = tiny();
    brume_model *m = NULL;
    brume_unet2d_denoiser *d = NULL;
    float x[PIXELS], context[N * ROW], none[N * ROW], cond[PIXELS], uncond[PIXELS], got[PIXELS], each[PIXELS];
    for (int i = 0; i < PIXELS; i++) x[i] = (float)sin(1.7 * i);
    for (int i = 0; i < N * ROW; i++) context[i] = (float)cos(0.9 * i), none[i] = (float)sin(0.4 * (i % ROW));
    if (!CHECK_OK(brume_model_new(&c, NULL, 4, &m))) return;
    ask(m, &(brume_unet2d_denoiser_options){ .context = context, .tokens = S, .guidance.scale = 1 }, x, cond);
    ask(m, &(brume_unet2d_denoiser_options){ .context = none, .tokens = S, .guidance.scale = 1 }, x, uncond);
    brume_unet2d_denoiser_options o = { .context = context, .tokens = S, .null_context = none, .guidance.scale = 3 };
    ask(m, &o, x, got);
    o.null_context_each = true;
    ask(m, &o, x, each);
    CHECK(memcmp(cond, uncond, sizeof cond) != 0);
    CHECK(!memcmp(got, each, sizeof got));
    /* sums in another order at 2 N images */
    for (int i = 0; i < PIXELS; i++) CHECK_NEAR(got[i], uncond[i] + 3 * (cond[i] - uncond[i]), 1e-4);
    const brume_shape images = BRUME_SHAPE(N, H, W, 4);
    o.null_context = NULL;
    CHECK_FAILS(brume_unet2d_denoiser_new(cpu, &c, m->params, images, &o, &d), BRUME_E_ARG, "null_context");
    o.context = NULL;
    CHECK_FAILS(brume_unet2d_denoiser_new(cpu, &c, m->params, images, &o, &d), BRUME_E_ARG, "context must be given");
    brume_model_free(m);
}

int main(void)
{
    if (!CHECK_OK(brume_device_open("cpu", NULL, &cpu))) return check_report();
    test_config();
    test_refusals();
    test_denoiser();
    test_source();
    brume_device_close(cpu);
    return check_report();
}
