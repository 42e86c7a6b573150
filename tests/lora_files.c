/* SPDX-License-Identifier: MIT
 * Files of low-rank adapters: every way of naming a tensor merges the same, alpha means what the file says, any linear layer and
 * convolution is merged against a product in double, and what does not fit is refused by name with the model untouched. */
#include "brume/lora.h"

#include "brume/model.h"
#include "brume/rng.h"
#include "brume/safetensors.h"
#include "check.h"

enum { WIDTH = 8, INNER = 16, RANK = 2 };
static char path[300];

static brume_model *new_model(int text)
{
    brume_unet2d_config c;
    brume_text_encoder_config e;
    brume_model *m = NULL;
    brume_unet2d_condition_config_default(&c);
    c.levels = 1;
    c.block_out_channels[0] = INNER;
    c.down_block_types[0] = c.up_block_types[0] = BRUME_BLOCK_CROSS_ATTENTION;
    c.layers_per_block = 1;
    c.norm_num_groups = 4;
    c.attention_head_dim = 2;
    c.cross_attention_dim = WIDTH;
    brume_text_encoder_config_default(&e);
    e.vocab_size = 11;
    e.hidden_size = WIDTH;
    e.intermediate_size = 12;
    e.num_attention_heads = e.num_hidden_layers = 2;
    if (CHECK_OK(brume_model_new(&c, NULL, 1, &m)) && text) CHECK_OK(brume_text_model_new(&e, 2, &m->text_encoder));
    return m;
}

/* A tensor of a file under test; ndim 0: a number. Values follow from the role, so that names alone differ. */
struct part { const char *name; int up, ndim; int64_t shape[4]; };

static float values[2][4096];

static void write_file(const struct part *parts, int n, float alpha, const char *const *metadata)
{
    brume_st_item items[8];
    for (int i = 0; i < n; i++)
        items[i] = (brume_st_item){ parts[i].name, BRUME_ST_F32, parts[i].ndim, parts[i].shape,
                                    parts[i].ndim ? values[parts[i].up] : &alpha };
    CHECK_OK(brume_safetensors_write(path, items, n, metadata));
}

/* Merges the file into a fresh model; the sum of all changes weighed by their place tells one result from another. */
static double merged(double scale)
{
    brume_model *m = new_model(1), *old = new_model(1);
    double sum = 0;
    if (CHECK_OK(brume_lora_merge(m, path, scale, NULL))) {
        for (int64_t i = 0; i < m->n_params; i++)
            sum += ((double)m->params[i] - (double)old->params[i]) * (1 + (double)(i % 997));
        for (int64_t i = 0; i < m->text_encoder->n_params; i++)
            sum += ((double)m->text_encoder->params[i] - (double)old->text_encoder->params[i]) * (1 + (double)(i % 997));
    }
    brume_model_free(m);
    brume_model_free(old);
    return sum;
}

static double pair(const char *down, const char *up, int64_t in, int64_t out)
{
    write_file((const struct part[]){ { down, 0, 2, { RANK, in } }, { up, 1, 2, { out, RANK } } }, 2, 0, NULL);
    return merged(1);
}

static void test_names(void)
{
#define Q "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
#define OUT "down_blocks.0.attentions.0.transformer_blocks.0.attn2"
#define KOHYA "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
#define TEXT "text_encoder.text_model.encoder.layers.1.self_attn"
    const double q = pair("unet." Q ".lora_A.weight", "unet." Q ".lora_B.weight", INNER, INNER);
    CHECK(q != 0);
    CHECK(pair("unet." Q ".lora.down.weight", "unet." Q ".lora.up.weight", INNER, INNER) == q);
    CHECK(pair(Q ".lora_A.weight", Q ".lora_B.weight", INNER, INNER) == q);
    CHECK(pair(KOHYA ".lora_down.weight", KOHYA ".lora_up.weight", INNER, INNER) == q);
#define OLD "down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora"
    CHECK(pair(OLD ".down.weight", OLD ".up.weight", INNER, INNER) == q);
    CHECK(pair("unet." OLD ".down.weight", "unet." OLD ".up.weight", INNER, INNER) == q);
    const double out = pair("unet." OUT ".to_out.0.lora_A.weight", "unet." OUT ".to_out.0.lora_B.weight", INNER, INNER);
    CHECK(out != 0 && out != q);
    CHECK(pair(OUT ".processor.to_out_lora.down.weight", OUT ".processor.to_out_lora.up.weight", INNER, INNER) == out);
    const double text = pair(TEXT ".out_proj.lora_A.weight", TEXT ".out_proj.lora_B.weight", WIDTH, WIDTH);
    CHECK(text != 0);
    CHECK(pair(TEXT ".to_out_lora.down.weight", TEXT ".to_out_lora.up.weight", WIDTH, WIDTH) == text);
    CHECK(pair(TEXT ".out_proj.lora_linear_layer.down.weight", TEXT ".out_proj.lora_linear_layer.up.weight",
               WIDTH, WIDTH) == text);
    CHECK(pair("text_encoder.encoder.layers.1.self_attn.out_proj.lora_A.weight",
               "text_encoder.encoder.layers.1.self_attn.out_proj.lora_B.weight", WIDTH, WIDTH) == text);
#define TE "lora_te_text_model_encoder_layers_1_self_attn_out_proj"
    CHECK(pair(TE ".lora_down.weight", TE ".lora_up.weight", WIDTH, WIDTH) == text);
}

static void test_alpha(void)
{
    const struct part parts[] = { { KOHYA ".lora_down.weight", 0, 2, { RANK, INNER } },
                                  { KOHYA ".lora_up.weight", 1, 2, { INNER, RANK } }, { KOHYA ".alpha", 0, 0, { 0 } } };
    const struct part peft[] = { { "unet." Q ".lora_A.weight", 0, 2, { RANK, INNER } },
                                 { "unet." Q ".lora_B.weight", 1, 2, { INNER, RANK } } };
    write_file(parts, 2, 0, NULL);
    const double once = merged(1);
    const double tol = 1e-4 * fabs(once); /* weights of 0.25 are rounded to 1e-8, changes are 1e-1 */
    CHECK_NEAR(merged(-0.5), -0.5 * once, tol);
    write_file(parts, 3, RANK, NULL);
    CHECK(merged(1) == once);
    write_file(parts, 3, 0.5f, NULL);
    CHECK_NEAR(merged(1), once * 0.5 / RANK, tol);
    write_file(peft, 2, 0, (const char *const[]){ "lora_adapter_metadata",
                                                  "{\"unet.r\": 2, \"unet.lora_alpha\": 6, \"unet.alpha_pattern\": {}}", NULL });
    CHECK_NEAR(merged(1), once * 3, 3 * tol);
    write_file(peft, 2, 0, (const char *const[]){ "lora_adapter_metadata",
                                                  "{\"unet.lora_alpha\": 6, \"unet.use_rslora\": true}", NULL });
    CHECK_NEAR(merged(1), once * 6 / sqrt(RANK), 5 * tol);
    write_file(peft, 2, 0, (const char *const[]){ "lora_adapter_metadata", "{\"text_encoder.lora_alpha\": 6}", NULL });
    CHECK(merged(1) == once);
}

/* Of every kind of layer: W[o, i, k] + factor sum_r up[o, r] down[r, i, k], where the layouts inside are (kh, kw, I, O). */
static void test_layers(void)
{
    static const struct { const char *name, *param; int ndim; int64_t out, in, taps; } rows[] = {
        { "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_ff_net_0_proj",
          "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj", 2, 128, 16, 1 },
        { "lora_unet_down_blocks_0_attentions_0_proj_in", "down_blocks.0.attentions.0.proj_in", 4, 16, 16, 1 },
        { "lora_unet_down_blocks_0_attentions_0_proj_in", "down_blocks.0.attentions.0.proj_in", 2, 16, 16, 1 },
        { "lora_unet_conv_out", "conv_out", 4, 4, 16, 9 },
        { "lora_unet_down_blocks_0_resnets_0_conv1", "down_blocks.0.resnets.0.conv1", 4, 16, 16, 9 },
        { "lora_unet_time_embedding_linear_1", "time_embedding.linear_1", 2, 64, 16, 1 },
    };
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        char down[120], up[120], name[120];
        brume_model *m = new_model(0), *old = new_model(0);
        const int64_t side = rows[k].taps == 9 ? 3 : 1, in = rows[k].in, out = rows[k].out, taps = rows[k].taps;
        snprintf(down, sizeof down, "%s.lora_down.weight", rows[k].name);
        snprintf(up, sizeof up, "%s.lora_up.weight", rows[k].name);
        snprintf(name, sizeof name, "%s.weight", rows[k].param);
        write_file((const struct part[]){ { down, 0, rows[k].ndim, { RANK, in, side, side } },
                                          { up, 1, rows[k].ndim, { out, RANK, 1, 1 } } },
                   2, 0, NULL);
        char note[256];
        CHECK_OK(brume_lora_merge(m, path, 0.5, note));
        CHECK_STR(note, "adapters of 1 layers, rank 2, scale 0.5");
        brume_graph *g = brume_graph_new();
        const brume_tensor slab = brume_slab(g, "params");
        const brume_unet2d_inputs inputs = brume_unet2d_declare_inputs(g, &m->unet, 1, 8, 8, 1);
        brume_unet2d(g, &m->unet, slab, &inputs, NULL);
        int64_t offset = -1, others = 0;
        for (int i = 0; i < brume_param_count(g, slab); i++)
            if (!strcmp(brume_param_at(g, slab, i)->name, name)) offset = brume_param_at(g, slab, i)->offset;
        CHECK(offset >= 0);
        for (int64_t i = 0; i < m->n_params; i++) {
            const int64_t at = i - offset;
            if (at < 0 || at >= out * in * taps) {
                others += m->params[i] != old->params[i];
                continue;
            }
            const int64_t tap = at / (in * out), c = at / out % in, o = at % out;
            double want = (double)old->params[i];
            for (int r = 0; r < RANK; r++)
                want += 0.5 * (double)values[1][o * RANK + r] * (double)values[0][(r * in + c) * taps + tap];
            if (!CHECK(m->params[i] == (float)want)) break;
        }
        CHECK_INT(others, 0);
        brume_graph_free(g);
        brume_model_free(m);
        brume_model_free(old);
    }
}

static void test_refusals(void)
{
    static const struct { struct part parts[3]; int n; float alpha; brume_status status; const char *says; } rows[] = {
        { { { KOHYA ".lora_down.weight", 0, 2, { 2, 16 } } }, 1, 0, BRUME_E_FORMAT, "not the adapter's up (lora_B)" },
        { { { KOHYA ".lora_up.weight", 1, 2, { 16, 2 } } }, 1, 0, BRUME_E_FORMAT, "not the adapter's down (lora_A)" },
        { { { KOHYA ".alpha", 1, 0, { 0 } } }, 1, 1, BRUME_E_FORMAT, KOHYA ".alpha" },
        { { { KOHYA ".lora_down.weight", 0, 2, { 2, 16 } }, { KOHYA ".lora_up.weight", 1, 2, { 16, 3 } } }, 2, 0,
          BRUME_E_FORMAT, "of one rank" },
        { { { KOHYA ".lora_down.weight", 0, 2, { 2, 15 } }, { KOHYA ".lora_up.weight", 1, 2, { 16, 2 } } }, 2, 0,
          BRUME_E_FORMAT, "[2, 15]" },
        { { { KOHYA ".lora_down.weight", 0, 2, { 2, 16 } }, { KOHYA ".lora_up.weight", 1, 2, { 17, 2 } } }, 2, 0,
          BRUME_E_FORMAT, "[17, 2]" },
        { { { KOHYA ".lora_down.weight", 0, 0, { 0 } }, { KOHYA ".lora_up.weight", 1, 2, { 16, 1 } } }, 2, 0,
          BRUME_E_FORMAT, "[16, 1]" },
        { { { KOHYA ".lora_down.weight", 0, 4, { 2, 16, 3, 3 } }, { KOHYA ".lora_up.weight", 1, 2, { 16, 2 } } }, 2, 0,
          BRUME_E_FORMAT, "[2, 16, 3, 3]" },
        { { { KOHYA ".lora_down.weight", 0, 2, { 0, 16 } }, { KOHYA ".lora_up.weight", 1, 2, { 16, 0 } } }, 2, 0,
          BRUME_E_FORMAT, "[0, 16]" },
        { { { KOHYA ".lora_down.weight", 0, 2, { 2, 16 } }, { KOHYA ".lora_up.weight", 1, 2, { 16, 2 } },
            { KOHYA ".alpha", 1, 1, { 2 } } }, 3, 0,
          BRUME_E_FORMAT, "one number" },
        { { { KOHYA ".lora_down.weight", 0, 2, { 2, 16 } }, { KOHYA ".lora_up.weight", 1, 2, { 16, 2 } },
            { KOHYA ".alpha", 1, 0, { 0 } } }, 3, 0,
          BRUME_E_FORMAT, "other than 0" },
        { { { KOHYA ".lora_down.weight", 0, 2, { 2, 16 } }, { KOHYA ".lora_up.weight", 1, 2, { 16, 2 } },
            { KOHYA ".alpha", 1, 0, { 0 } } }, 3, NAN,
          BRUME_E_FORMAT, "other than 0" },
        { { { KOHYA ".lora_down.weight", 0, 2, { 2, 16 } }, { "unet." Q ".lora_A.weight", 0, 2, { 2, 16 } } }, 2, 0,
          BRUME_E_FORMAT, "the same part" },
        { { { "lora_unet_nowhere.lora_down.weight", 0, 2, { 2, 16 } } }, 1, 0, BRUME_E_UNSUPPORTED, "no layer 'nowhere'" },
        { { { "unet.down_blocks.7.attentions.0.to_q.lora_A.weight", 0, 2, { 2, 16 } } }, 1, 0,
          BRUME_E_UNSUPPORTED, "down_blocks.7" },
        { { { "unet.conv_norm_out.lora_A.weight", 0, 2, { 2, 16 } } }, 1, 0, BRUME_E_UNSUPPORTED,
          "neither a linear layer nor a convolution" },
        { { { KOHYA ".hada_w1_a", 0, 2, { 16, 2 } } }, 1, 0, BRUME_E_UNSUPPORTED, KOHYA ".hada_w1_a" },
        { { { KOHYA ".dora_scale", 0, 2, { 16, 1 } } }, 1, 0, BRUME_E_UNSUPPORTED, "dora_scale" },
        { { { "unet." Q ".lora_B.bias", 0, 1, { 16 } } }, 1, 0, BRUME_E_UNSUPPORTED, "lora_B.bias" },
        { { { "text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight", 0, 2, { 2, 8 } } }, 1, 0,
          BRUME_E_UNSUPPORTED, "text_encoder_2" },
        { { { "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight", 0, 2, { 2, 8 } } }, 1, 0,
          BRUME_E_UNSUPPORTED, "the model has none" },
        { { { "base_model.model.conv_in.lora_A.weight", 0, 2, { 2, 8 } } }, 1, 0, BRUME_E_UNSUPPORTED, "base_model" },
        { { { ".lora_A.weight", 0, 2, { 2, 8 } } }, 1, 0, BRUME_E_UNSUPPORTED, "'.lora_A.weight'" },
        { { { "unet..lora_A.weight", 0, 2, { 2, 8 } } }, 1, 0, BRUME_E_UNSUPPORTED, "unet..lora_A" },
    };
    brume_model *m = new_model(0), *old = new_model(0);
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        write_file(rows[k].parts, rows[k].n, rows[k].alpha, NULL);
        CHECK_FAILS(brume_lora_merge(m, path, 1, NULL), rows[k].status, rows[k].says);
    }
    const struct part good[] = { { "unet." Q ".lora_A.weight", 0, 2, { RANK, INNER } },
                                 { "unet." Q ".lora_B.weight", 1, 2, { INNER, RANK } } };
    write_file(good, 2, 0, (const char *const[]){ "lora_adapter_metadata", "{\"unet.alpha_pattern\": {\"to_q\": 3}}", NULL });
    CHECK_FAILS(brume_lora_merge(m, path, 1, NULL), BRUME_E_UNSUPPORTED, "unet.alpha_pattern");
    write_file(good, 2, 0, (const char *const[]){ "lora_adapter_metadata", "{", NULL });
    CHECK_FAILS(brume_lora_merge(m, path, 1, NULL), BRUME_E_FORMAT, NULL);
    write_file(good, 0, 0, NULL);
    CHECK_FAILS(brume_lora_merge(m, path, 1, NULL), BRUME_E_FORMAT, "no adapters");
    CHECK_FAILS(brume_lora_merge(m, path, NAN, NULL), BRUME_E_ARG, "finite");
    CHECK_FAILS(brume_lora_merge(m, "/nowhere/at.all", 1, NULL), BRUME_E_IO, "/nowhere/at.all");
    CHECK(!memcmp(m->params, old->params, (size_t)m->n_params * sizeof *m->params));
    brume_model_free(m);
    brume_model_free(old);
}

int main(void)
{
    const char *tmp = getenv("TMPDIR");
    char folder[256];
    snprintf(folder, sizeof folder, "%s/brume-lora-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!CHECK(mkdtemp(folder) != NULL)) return check_report();
    snprintf(path, sizeof path, "%s/adapters.safetensors", folder);
    for (int up = 0; up < 2; up++) brume_fill_normal(9, (uint32_t)up, 0, 0, 4096, values[up]);
    test_names();
    test_alpha();
    test_layers();
    test_refusals();
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(system(command), 0);
    return check_report();
}
