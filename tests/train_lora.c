/* SPDX-License-Identifier: MIT
 * Training of low-rank adapters: weights that stay as they are to the bit and cost no gradient, a resumed run with the same bits,
 * micro-batches, recomputation and f16 as for whole networks, and a file that merges to what the trainer draws with. */
#include "brume/model.h"
#include "brume/params.h"
#include "check.h"
#include "train/trainer.h"
#include "train_tiny.h"

static char folder[400];

static void small_config(brume_train_config *c)
{
    tiny_text_config(c);
    c->lora = (brume_train_lora){ .rank = 2, .alpha = 3, .targets = BRUME_LORA_OF_UNET };
}

/* Trains beside the model's weights to step `last` and checkpoints; returns what has been learned, which is freed by the
 * caller. */
static float *run(brume_device *d, const brume_train_config *c, const brume_dataset *data, const brume_model *m, int last,
                  int resume, const char *to, double *losses)
{
    brume_trainer *t = NULL;
    if (!CHECK_OK(brume_trainer_new(d, c, data, &t)) || !CHECK_OK(brume_trainer_set_params(t, m->params, m->n_params)))
        return NULL;
    const int64_t n = t->n_weights;
    float *before = malloc((size_t)n * sizeof *before), *after = malloc((size_t)n * sizeof *after), *learned = NULL;
    CHECK_OK(brume_plan_read(t->plan, t->weights, before, (size_t)n * sizeof *before));
    if (resume) CHECK_OK(brume_trainer_resume(t, to, NULL));
    while (brume_trainer_steps_done(t) < last) {
        brume_train_result r;
        if (!CHECK_OK(brume_trainer_step(t, &r))) break;
        CHECK(r.grad_norm > 0);
        if (losses) losses[brume_trainer_steps_done(t) - 1] = r.loss;
    }
    CHECK_OK(brume_plan_read(t->plan, t->weights, after, (size_t)n * sizeof *after));
    CHECK(!memcmp(before, after, (size_t)n * sizeof *after));
    CHECK(!memcmp(before + t->text.n_params, m->params, (size_t)m->n_params * sizeof *before));
    learned = malloc((size_t)t->n_params * sizeof *learned);
    CHECK_OK(brume_trainer_get_params(t, 0, learned));
    if (to) CHECK_OK(brume_trainer_save(t, to, 0));
    free(before);
    free(after);
    brume_trainer_free(t);
    return learned;
}

/* What the trainer draws with is what its file makes of the model, in either format. */
static void test_file(brume_device *d, brume_train_config c, const brume_dataset *data, const brume_model *m,
                      const brume_text_model *text)
{
    for (int format = 0; format < 2; format++) {
        brume_trainer *t = NULL;
        brume_model *again = NULL;
        brume_text_model words = *text;
        brume_train_result r;
        c.lora.format = (brume_lora_format)format;
        if (!CHECK_OK(brume_trainer_new(d, &c, data, &t)) || !CHECK_OK(brume_trainer_set_params(t, m->params, m->n_params)))
            return;
        for (int i = 0; i < 2; i++) CHECK_OK(brume_trainer_step(t, &r));
        CHECK_OK(brume_trainer_save(t, folder, 0));
        float *merged = malloc((size_t)t->n_weights * sizeof *merged);
        const int64_t n_text = t->text.n_params;
        CHECK_OK(brume_adapters_merged(t, merged));
        if (CHECK_OK(brume_model_new(&m->unet, NULL, 1, &again))) {
            memcpy(again->params, m->params, (size_t)m->n_params * sizeof *m->params);
            words.params = malloc((size_t)text->n_params * sizeof *words.params);
            memcpy(words.params, text->params, (size_t)text->n_params * sizeof *words.params);
            again->text_encoder = &words;
            CHECK_OK(brume_lora_merge(again, folder, 1, NULL));
            CHECK(memcmp(again->params, m->params, (size_t)m->n_params * sizeof *m->params));
            /* kohya's has alpha beside the same bits; diffusers' has it in B, rounded once more */
            double worst = 0;
            for (int64_t i = 0; i < m->n_params; i++)
                worst = fmax(worst, fabs((double)again->params[i] - (double)merged[n_text + i]));
            for (int64_t i = 0; i < n_text; i++) worst = fmax(worst, fabs((double)words.params[i] - (double)merged[i]));
            CHECK(worst <= (format == BRUME_LORA_KOHYA ? 0 : 1e-7));
            free(words.params);
            again->text_encoder = NULL;
        }
        brume_model_free(again);
        free(merged);
        brume_trainer_free(t);
    }
}

static void test_training(brume_device *d, const brume_dataset *data)
{
    brume_train_config c, other, full;
    brume_tokenizer *words = NULL;
    brume_text_model *text = NULL;
    brume_model *m = NULL;
    brume_trainer *t = NULL;
    brume_plan_stats less, more;
    double whole[4], parts[4];
    small_config(&c);
    CHECK_OK(brume_train_config_fit(&c, data, 0));
    if (!CHECK_OK(brume_train_config_text(&c, data, &words)) || !CHECK_OK(brume_text_model_new(&c.text.encoder, 3, &text)))
        return;
    c.text.frozen = text;
    if (!CHECK_OK(brume_model_new(&c.unet, NULL, 11, &m))) return;
    for (uint32_t targets = 1; targets <= 3; targets++) {
        c.lora.targets = targets;
        float *a = run(d, &c, data, m, 4, 0, NULL, whole);
        free(run(d, &c, data, m, 2, 0, folder, NULL));
        float *b = run(d, &c, data, m, 4, 1, folder, NULL);
        CHECK_OK(brume_trainer_new(d, &c, data, &t));
        const size_t bytes = (size_t)brume_trainer_param_count(t) * sizeof *a;
        CHECK(a && b && !memcmp(a, b, bytes));
        brume_trainer_get_stats(t, &less);
        CHECK_FAILS(brume_trainer_resume(t, folder, NULL), BRUME_E_ARG, "beside other weights"); /* fresh ones */
        brume_trainer_free(t);
        other = c;
        other.recompute = 1;
        float *r = run(d, &other, data, m, 4, 0, NULL, NULL);
        CHECK(a && r && !memcmp(a, r, bytes));
        free(a);
        free(b);
        free(r);
        other = c;
        other.micro_batch = 2;
        free(run(d, &other, data, m, 4, 0, NULL, parts));
        /* other orders of the sums, and what Adam makes of them */
        for (int i = 0; i < 4; i++) CHECK_NEAR(parts[i], whole[i], 1e-4 * whole[i]);
        other.micro_batch = 0;
        other.storage = BRUME_STORAGE_F16;
        free(run(d, &other, data, m, 4, 0, NULL, parts));
        for (int i = 0; i < 4; i++) CHECK_NEAR(parts[i], whole[i], 1e-2 * whole[i]);
        other = c;
        other.lora.alpha = 1;
        CHECK_OK(brume_trainer_new(d, &other, data, &t));
        CHECK_OK(brume_trainer_set_params(t, m->params, m->n_params));
        CHECK_FAILS(brume_trainer_resume(t, folder, NULL), BRUME_E_ARG, "alpha 3");
        brume_trainer_free(t);
        /* State of the weights is there once, not four times (optimizer's m and v, average); what is left are the adapters. */
        full = c;
        full.lora.rank = 0;
        CHECK_OK(brume_train_estimate(d, &full, &more));
        if (targets == BRUME_LORA_OF_UNET)
            CHECK(less.persistent_bytes < more.persistent_bytes / 2 && less.arena_bytes < more.arena_bytes && !less.packed_bytes);
    }
    test_file(d, c, data, m, text);
    brume_model_free(m);
    brume_text_model_free(text);
    brume_tokenizer_free(words);
}

static void test_refusals(brume_device *d, const brume_dataset *data)
{
    brume_train_config c;
    brume_trainer *t = NULL;
    brume_train_config_load(NULL, "shapes", 16, &c, NULL);
    CHECK_OK(brume_train_config_fit(&c, data, 0));
    c.lora = (brume_train_lora){ .rank = -1, .targets = BRUME_LORA_OF_UNET };
    CHECK_FAILS(brume_trainer_new(d, &c, data, &t), BRUME_E_ARG, "rank of 1 to 4096");
    c.lora = (brume_train_lora){ .rank = 4 };
    CHECK_FAILS(brume_trainer_new(d, &c, data, &t), BRUME_E_ARG, "the U-Net, the text encoder or both");
    c.lora.targets = BRUME_LORA_OF_TEXT;
    CHECK_FAILS(brume_trainer_new(d, &c, data, &t), BRUME_E_ARG, "need captions");
    c.lora.targets = BRUME_LORA_OF_UNET;
    for (int i = 0; i < c.unet.levels; i++) c.unet.down_block_types[i] = c.unet.up_block_types[i] = BRUME_BLOCK_RESNET;
    c.unet.add_attention = false;
    CHECK_FAILS(brume_trainer_new(d, &c, data, &t), BRUME_E_ARG, "no attention to adapt");
    brume_train_config_classifier(&c);
    c.unet.out_channels = brume_dataset_classes(data);
    CHECK_FAILS(brume_trainer_new(d, &c, data, &t), BRUME_E_UNSUPPORTED, "classifier");
}

int main(void)
{
    const char *tmp = getenv("TMPDIR");
    brume_dataset *data = NULL;
    brume_device *d = NULL;
    const brume_dataset_options options = { .size = 16, .count = 64 };
    snprintf(folder, sizeof folder, "%s/brume-train-lora-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!CHECK(mkdtemp(folder) != NULL)) return check_report();
    if (CHECK_OK(brume_dataset_open("shapes-text", &options, &data)) && CHECK_OK(brume_device_open("cpu", NULL, &d))) {
        test_training(d, data);
        test_refusals(d, data);
    }
    brume_device_close(d);
    brume_dataset_free(data);
    char command[500];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(system(command), 0);
    return check_report();
}
