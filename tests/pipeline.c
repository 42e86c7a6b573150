/* SPDX-License-Identifier: MIT
 * Pipelines with text: their parts there and back, what they are called, prompts to contexts, refusals. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "brume/json.h"
#include "brume/pipeline.h"
#include "check_text.h"
#include "text_tiny.h"

static char folder[] = "/tmp/brume-test-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const char *const captions[] = { "a small red circle", "a small blue square", "a red square", "a blue circle" };

/* A U-Net without cross-attention, a text encoder and a tokenizer. */
static brume_model *text_model(int projection)
{
    brume_unet2d_config u;
    brume_text_encoder_config c = tiny_text();
    brume_model *m = NULL;
    brume_unet2d_config_default(&u);
    u.levels = 1;
    u.block_out_channels[0] = 32;
    c.projection = projection;
    if (!CHECK_OK(brume_model_new(&u, NULL, 1, &m)) || !CHECK_OK(brume_tokenizer_train(captions, 4, 200, 9, &m->tokenizer)))
        return m;
    c.vocab_size = brume_tokenizer_vocab_size(m->tokenizer);
    c.eos_token_id = brume_tokenizer_end_id(m->tokenizer);
    CHECK_OK(brume_text_model_new(&c, 2, &m->text_encoder));
    return m;
}

static void check_entry(const char *part, const char *class_name)
{
    brume_json *index = NULL;
    if (!CHECK_OK(brume_json_load(in_folder("model_index.json"), &index))) return;
    const brume_json *entry = brume_json_find(index, part);
    CHECK_STR(part[0] == '_' ? brume_json_string(entry, "") : brume_json_string(brume_json_at(entry, 1), ""), class_name);
    brume_json_free(index);
}

static void test_parts(void)
{
    for (int projection = 0; projection < 2; projection++) {
        brume_model *m = text_model(projection), *back = NULL;
        if (CHECK(m && m->text_encoder) && CHECK_OK(brume_model_save(m, folder))) {
            check_entry("_class_name", "BrumePipeline");
            check_entry("text_encoder", projection ? "CLIPTextModelWithProjection" : "CLIPTextModel");
            check_entry("tokenizer", "CLIPTokenizer");
            if (CHECK_OK(brume_model_load(folder, NULL, &back)) &&
                CHECK(back->text_encoder && back->tokenizer && !back->autoencoder)) {
                CHECK_STR(back->note, "");
                CHECK_INT(back->text_encoder->n_params, m->text_encoder->n_params);
                CHECK(!memcmp(&back->text_encoder->config, &m->text_encoder->config, sizeof m->text_encoder->config));
                CHECK(!memcmp(back->text_encoder->params, m->text_encoder->params,
                              (size_t)m->text_encoder->n_params * sizeof(float)));
                CHECK_INT(brume_tokenizer_vocab_size(back->tokenizer), brume_tokenizer_vocab_size(m->tokenizer));
                CHECK_INT(brume_tokenizer_max_length(back->tokenizer), 9);
            }
            brume_model_free(back);
            /* a tokenizer with more room than the text encoder has positions is held to these */
            CHECK_OK(brume_tokenizer_set_max_length(m->tokenizer, 50));
            CHECK_OK(brume_model_save(m, folder));
            if (CHECK_OK(brume_model_load(folder, NULL, &back))) CHECK_INT(brume_tokenizer_max_length(back->tokenizer), 9);
            brume_model_free(back);
        }
        brume_model_free(m);
    }
}

static void test_foreign_tokenizer(void)
{
    brume_model *m = text_model(0), *back = NULL;
    const char *const more[] = { "one two three four five six seven eight", "one two three four five six seven eight",
                                 "a completely different vocabulary", "a completely different vocabulary" };
    if (CHECK(m && m->text_encoder)) {
        brume_tokenizer_free(m->tokenizer);
        m->tokenizer = NULL;
        if (CHECK_OK(brume_tokenizer_train(more, 4, 200, 9, &m->tokenizer)) &&
            CHECK(brume_tokenizer_vocab_size(m->tokenizer) > m->text_encoder->config.vocab_size)) {
            CHECK_OK(brume_model_save(m, folder));
            CHECK_FAILS(brume_model_load(folder, NULL, &back), BRUME_E_FORMAT, "vocab_size");
            CHECK(!back);
        }
    }
    brume_model_free(m);
}

static void test_prompts(brume_device *d)
{
    brume_model *m = text_model(1);
    brume_prompt_context *p = NULL, *one = NULL;
    const char *const prompts[] = { "a red circle", "", "small small small small small small small small small small small small",
                                    "a red circle", "a blue circle" };
    if (CHECK(m && m->text_encoder) && CHECK_OK(brume_prompt_encode(d, m, prompts, 5, &p))) {
        const size_t row = (size_t)(p->tokens * p->width);
        CHECK(p->n == 5 && p->tokens == 9 && p->width == 12);
        CHECK(p->n_cut[0] == 0 && p->n_cut[1] == 0 && p->n_cut[2] > 0);
        CHECK(p->ids[0] == brume_tokenizer_start_id(m->tokenizer) && p->ids[9 + 1] == brume_tokenizer_end_id(m->tokenizer));
        CHECK(!memcmp(p->context, p->context + 3 * row, row * sizeof(float)));
        CHECK(memcmp(p->context, p->context + 4 * row, row * sizeof(float)));
        /* alone as among others */
        if (CHECK_OK(brume_prompt_encode(d, m, prompts + 4, 1, &one)))
            CHECK(!memcmp(one->context, p->context + 4 * row, row * sizeof(float)));
        brume_prompt_context_free(one);
        const char *const missing[] = { "a", NULL };
        CHECK_FAILS(brume_prompt_encode(d, m, missing, 2, &one), BRUME_E_ARG, "prompt 1");
        CHECK_FAILS(brume_prompt_encode(d, m, prompts, 0, &one), BRUME_E_ARG, "at least one");
        m->text_encoder->config.max_position_embeddings = 8; /* fewer than the tokenizer's texts are long */
        CHECK_FAILS(brume_prompt_encode(d, m, prompts, 1, &one), BRUME_E_SHAPE, NULL);
        m->text_encoder->config.max_position_embeddings = 9;
        brume_tokenizer_free(m->tokenizer);
        m->tokenizer = NULL;
        CHECK_FAILS(brume_prompt_encode(d, m, prompts, 1, &one), BRUME_E_UNSUPPORTED, "no tokenizer");
        CHECK(!one);
    }
    brume_prompt_context_free(p);
    brume_model_free(m);
}

int main(void)
{
    brume_device *cpu = NULL;
    if (!check_has_text()) return check_report();
    if (!CHECK(mkdtemp(folder)) || !CHECK_OK(brume_device_open("cpu", NULL, &cpu))) return check_report();
    test_parts();
    test_foreign_tokenizer();
    test_prompts(cpu);
    brume_device_close(cpu);
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command)) check_skip("temporary folder not removed");
    return check_report();
}
