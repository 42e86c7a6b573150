/* SPDX-License-Identifier: MIT
 * Text encoders: files there and back, pooled rows, projection, causality, refusals. */
#include <sys/stat.h>
#include <unistd.h>

#include "brume/file.h"
#include "brume/params.h"
#include "brume/plan.h"
#include "brume/text_encoder.h"
#include "check.h"
#include "text_tiny.h"

static char folder[] = "/tmp/brume-test-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static brume_text_encoder_config small(void)
{
    brume_text_encoder_config c;
    brume_text_encoder_config_default(&c);
    CHECK_INT(c.hidden_size, 512);
    c = tiny_text();
    c.hidden_act = BRUME_ACT_GELU_ERF;
    return c;
}

static void test_files(void)
{
    for (int projection = 0; projection < 2; projection++) {
        brume_text_encoder_config c = small();
        c.projection = projection;
        brume_text_model *m, *again;
        char note[1100];
        if (!CHECK_OK(brume_text_model_new(&c, 5, &m))) continue;
        CHECK_INT(m->n_params, 12 * (30 + 9) + 2 * (4 * 12 * 13 + 2 * 12 * 20 + 20 + 12 + 4 * 12) + 24 + projection * 7 * 12);
        CHECK_OK(brume_text_model_save(m, folder));
        if (CHECK_OK(brume_text_model_load(folder, NULL, &again, note))) {
            CHECK(again->n_params == m->n_params && !memcmp(again->params, m->params, (size_t)m->n_params * sizeof *m->params));
            CHECK(!memcmp(&again->config, &c, sizeof c));
            CHECK_STR(note, "");
            brume_text_model_free(again);
        }
        c.num_hidden_layers = 3;
        CHECK_OK(brume_text_encoder_config_write(in_folder("config.json"), &c));
        CHECK_FAILS(brume_text_model_load(folder, NULL, &again, note), BRUME_E_FORMAT, "text_model.encoder.layers.2");
        CHECK(!again);
        m->n_params--;
        CHECK_FAILS(brume_text_model_save(m, folder), BRUME_E_ARG, "describes");
        brume_text_model_free(m);
    }
}

static void test_refusals(void)
{
    brume_text_encoder_config c = small();
    brume_text_model *m;
    c.num_attention_heads = 5;
    CHECK_FAILS(brume_text_model_new(&c, 1, &m), BRUME_E_ARG, "num_attention_heads");
    static const struct { const char *text, *says; brume_status status; } cases[] = {
        { "{\"architectures\": [\"BertModel\"]}", "BertModel", BRUME_E_UNSUPPORTED },
        { "{\"hidden_act\": \"tanh\"}", "tanh", BRUME_E_UNSUPPORTED },
        { "{\"hidden_size\": 0}", "hidden_size", BRUME_E_FORMAT },
        { "{\"hidden_size\": 10, \"num_attention_heads\": 3}", "num_attention_heads", BRUME_E_FORMAT },
        { "{\"hidden_size\": ", "JSON", BRUME_E_FORMAT },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_OK(brume_file_write(in_folder("config.json"), cases[i].text, strlen(cases[i].text)));
        CHECK_FAILS(brume_text_model_load(folder, NULL, &m, NULL), cases[i].status, cases[i].says);
    }
    /* Longer than there are positions. */
    c = small();
    brume_graph *g = brume_graph_new();
    brume_text_encoder(g, &c, brume_slab(g, "params"), "", brume_input(g, "ids", BRUME_I32, BRUME_SHAPE(1, 10)));
    CHECK(brume_graph_status(g) != BRUME_OK);
    brume_graph_free(g);
}

static void test_rows(void)
{
    static const int32_t ids[12] = { 1, 29, 29, 5, 7, 8, 9, 29, 1, 2, 3, 4 };
    int32_t rows[3];
    brume_text_encoder_config c = small();
    brume_text_encoder_pooled_rows(&c, ids, 3, 4, rows);
    CHECK(rows[0] == 1 && rows[1] == 7 && rows[2] == 8);
    c.eos_token_id = 2; /* old configs: the largest id */
    brume_text_encoder_pooled_rows(&c, ids, 3, 4, rows);
    CHECK(rows[0] == 1 && rows[1] == 7 && rows[2] == 11);
}

/* Two texts that differ in the last token have equal rows before it; the projection is the matrix times the pooled row. */
static void test_run(void)
{
    static const int32_t ids[8] = { 1, 2, 3, 4, 1, 2, 3, 5 }, row[2] = { 3, 7 };
    brume_text_encoder_config c = small();
    c.projection = true;
    float hidden[2][4][12], embeds[2][7];
    brume_text_model *m;
    brume_device *d = NULL;
    brume_plan *plan = NULL;
    if (!CHECK_OK(brume_text_model_new(&c, 5, &m)) || !CHECK_OK(brume_device_open("cpu", NULL, &d))) return;
    brume_graph *g = brume_graph_new();
    const brume_tensor slab = brume_slab(g, "params"), in = brume_input(g, "ids", BRUME_I32, BRUME_SHAPE(2, 4));
    const brume_tensor rows = brume_input(g, "rows", BRUME_I32, BRUME_SHAPE(2)),
    y = brume_text_encoder(g, &c, slab, "text_encoder.", in);
    const brume_tensor z = brume_text_encoder_project(g, &c, slab, "text_encoder.", brume_text_encoder_pooled(g, y, rows));
    brume_output(g, y, "hidden");
    brume_output(g, z, "embeds");
    CHECK_INT(brume_params_numel(g, slab), m->n_params);
    CHECK_STR(brume_param_at(g, slab, 0)->name, "text_encoder.text_model.embeddings.token_embedding.weight");
    if (CHECK_OK(brume_plan_new(d, g, NULL, &plan))) {
        CHECK_OK(brume_plan_write(plan, slab, m->params, (size_t)m->n_params * sizeof *m->params));
        CHECK_OK(brume_plan_write(plan, in, ids, sizeof ids));
        CHECK_OK(brume_plan_write(plan, rows, row, sizeof row));
        CHECK_OK(brume_plan_run(plan));
        CHECK_OK(brume_plan_read(plan, y, hidden, sizeof hidden));
        CHECK_OK(brume_plan_read(plan, z, embeds, sizeof embeds));
        CHECK(!memcmp(hidden[0], hidden[1], 3 * sizeof hidden[0][0]));
        CHECK(memcmp(hidden[0][3], hidden[1][3], sizeof hidden[0][0]) != 0);
        const float *w = m->params + m->n_params - 7 * 12; /* (I, O): the last parameter */
        for (int t = 0; t < 2; t++)
            for (int o = 0; o < 7; o++) {
                double sum = 0;
                for (int i = 0; i < 12; i++) sum += (double)hidden[t][3][i] * w[i * 7 + o];
                CHECK_NEAR(embeds[t][o], sum, 1e-5); /* 12 products of order 1 in f32 */
            }
    }
    brume_plan_free(plan);
    brume_graph_free(g);
    brume_device_close(d);
    brume_text_model_free(m);
}

int main(void)
{
    if (!CHECK(mkdtemp(folder))) return check_report();
    test_files();
    test_refusals();
    test_rows();
    test_run();
    unlink(in_folder("config.json"));
    unlink(in_folder("model.safetensors"));
    rmdir(folder);
    return check_report();
}
