/* SPDX-License-Identifier: MIT
 * Training with captions: a resumed run has the same bits, parts and recomputation change nothing, a frozen encoder stays as it
 * is, and the folder holds a tokenizer and an encoder that load again. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/rng.h"
#include "brume/train.h"
#include "check_text.h"
#include "train_tiny.h"

static char folder[400];

/* Trains to step `last`, from a checkpoint if resume, and writes one; params: of the end (freed by the caller), losses: of the
 * steps done. */
static float *run(brume_device *d, const brume_train_config *c, const brume_dataset *data, int last, int resume, const char *to,
                  double *losses)
{
    brume_trainer *t = NULL;
    float *params = NULL;
    if (!CHECK_OK(brume_trainer_new(d, c, data, &t))) return NULL;
    if (resume) CHECK_OK(brume_trainer_resume(t, to, NULL));
    while (brume_trainer_steps_done(t) < last) {
        brume_train_result r;
        if (!CHECK_OK(brume_trainer_step(t, &r))) break;
        if (losses) losses[brume_trainer_steps_done(t) - 1] = r.loss;
    }
    params = malloc((size_t)brume_trainer_param_count(t) * sizeof *params);
    if (params) CHECK_OK(brume_trainer_get_params(t, 0, params));
    if (to) CHECK_OK(brume_trainer_save(t, to, 0));
    brume_trainer_free(t);
    return params;
}

static void test_joint(brume_device *d, const brume_dataset *data)
{
    brume_train_config c, other;
    brume_tokenizer *words = NULL, *again = NULL;
    double whole[4], parts[4];
    tiny_text_config(&c);
    CHECK_OK(brume_train_config_fit(&c, data, 0));
    if (!CHECK_OK(brume_train_config_text(&c, data, &words))) return;
    /* start, "a small red circle left of a large blue square", end: a token a word */
    CHECK_INT(brume_tokenizer_max_length(words), 12);
    const size_t bytes = (size_t)brume_unet2d_param_count(&c.unet) * sizeof(float); /* less than all: the encoder's come first */
    float *a = run(d, &c, data, 4, 0, NULL, whole);
    free(run(d, &c, data, 2, 0, folder, NULL));
    float *b = run(d, &c, data, 4, 1, folder, NULL);
    CHECK(a && b && !memcmp(a, b, bytes));
    other = c;
    other.recompute = 1;
    float *r = run(d, &other, data, 4, 0, NULL, NULL);
    CHECK(a && r && !memcmp(a, r, bytes));
    other = c;
    other.micro_batch = 2;
    free(run(d, &other, data, 4, 0, NULL, parts));
    /* other orders of the sums, and what Adam makes of them */
    for (int i = 0; i < 4; i++) CHECK_NEAR(parts[i], whole[i], 1e-4 * whole[i]);
    other.micro_batch = 0;
    other.storage = BRUME_STORAGE_F16;
    free(run(d, &other, data, 4, 0, NULL, parts));
    for (int i = 0; i < 4; i++) CHECK_NEAR(parts[i], whole[i], 1e-2 * whole[i]);
    other = c;
    other.cond_drop = 1; /* other numbers: the captions matter */
    float *n = run(d, &other, data, 4, 0, NULL, NULL);
    CHECK(a && n && memcmp(a, n, bytes));
    free(a);
    free(b);
    free(r);
    free(n);

    /* The folder: the same words, an encoder that stays as it is when training goes on with it. */
    brume_text_model *frozen = NULL;
    int32_t ids[2][12];
    tiny_text_config(&other);
    CHECK_OK(brume_train_config_fit(&other, data, 0));
    if (CHECK_OK(brume_train_config_text_load(&other, folder, &again, &frozen, NULL))) {
        CHECK_OK(brume_tokenizer_encode(words, "a red circle above a pink ring", ids[0], NULL));
        CHECK_OK(brume_tokenizer_encode(again, "a red circle above a pink ring", ids[1], NULL));
        CHECK(!memcmp(ids[0], ids[1], sizeof ids[0]));
        brume_trainer *t = NULL;
        CHECK_OK(brume_trainer_new(d, &other, data, &t));
        CHECK_FAILS(brume_trainer_resume(t, folder, NULL), BRUME_E_ARG, "captions by a frozen encoder");
        brume_trainer_free(t);
        strcat(folder, "/frozen");
        float *x = run(d, &other, data, 2, 0, folder, NULL), *y = NULL;
        free(x);
        x = run(d, &other, data, 4, 1, folder, NULL);
        y = run(d, &other, data, 4, 0, NULL, NULL);
        CHECK(x && y && !memcmp(x, y, bytes));
        free(x);
        free(y);
        brume_text_model *kept;
        char path[500];
        snprintf(path, sizeof path, "%s/text_encoder", folder);
        if (CHECK_OK(brume_text_model_load(path, NULL, &kept, NULL)))
            CHECK(!memcmp(kept->params, frozen->params, (size_t)kept->n_params * sizeof *kept->params));
        brume_text_model_free(kept);
        folder[strlen(folder) - strlen("/frozen")] = 0;
    }
    /* Weights that are no numbers are told. */
    char path[500], note[1100];
    brume_text_model *damaged = NULL;
    if (CHECK(frozen != NULL)) {
        snprintf(path, sizeof path, "%s/text_encoder", folder);
        frozen->params[0] = NAN;
        CHECK_OK(brume_text_model_save(frozen, path));
        brume_tokenizer_free(again);
        if (CHECK_OK(brume_train_config_text_load(&other, folder, &again, &damaged, note)))
            CHECK(strstr(note, "1 tensors of the weights hold values that are NaN") != NULL);
    }
    brume_text_model_free(damaged);
    brume_tokenizer_free(words);
    brume_tokenizer_free(again);
    brume_text_model_free(frozen);
}

static void test_refusals(brume_device *d, const brume_dataset *data)
{
    brume_train_config c;
    brume_tokenizer *words = NULL;
    brume_trainer *t = NULL;
    tiny_text_config(&c);
    CHECK_OK(brume_train_config_fit(&c, data, 0));
    CHECK_FAILS(brume_trainer_new(d, &c, data, &t), BRUME_E_ARG, "--cond text");
    if (CHECK_OK(brume_train_config_text(&c, data, &words))) {
        c.unet.cross_attention_dim = 32;
        CHECK_FAILS(brume_trainer_new(d, &c, data, &t), BRUME_E_ARG,
                    "vectors of width 16, the network's cross_attention_dim is 32");
        brume_tokenizer_free(words);
    }
    brume_train_config_load(NULL, "shapes", 16, &c, NULL);
    CHECK_FAILS(brume_train_config_text(&c, data, &words), BRUME_E_ARG, "cross-attention");
}

int main(void)
{
    const char *tmp = getenv("TMPDIR");
    brume_dataset *data = NULL;
    brume_device *d = NULL;
    const brume_dataset_options options = { .size = 16, .count = 64 };
    if (!check_has_text()) return check_report();
    snprintf(folder, sizeof folder, "%s/brume-train-text-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!CHECK(mkdtemp(folder) != NULL)) return check_report();
    if (CHECK_OK(brume_dataset_open("shapes-text", &options, &data)) && CHECK_OK(brume_device_open("cpu", NULL, &d))) {
        test_joint(d, data);
        test_refusals(d, data);
    }
    brume_device_close(d);
    brume_dataset_free(data);
    char command[500];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(system(command), 0);
    return check_report();
}
