/* SPDX-License-Identifier: MIT
 * Training that starts from a model: equal parameters before the first step, losses that go on, and what is new where classes,
 * channels, conditions or the variance differ. */
#include "brume/model.h"
#include "check_text.h"
#include "train/trainer.h"

static brume_device *d;
static char note[1024];

static void small_config(brume_train_config *c)
{
    brume_train_config_default(c);
    c->unet.levels = 2;
    for (int i = 0; i < 2; i++) {
        c->unet.block_out_channels[i] = i ? 16 : 8;
        c->unet.down_block_types[i] = c->unet.up_block_types[i] = BRUME_BLOCK_RESNET;
    }
    c->unet.layers_per_block = 1;
    c->unet.norm_num_groups = 4;
    c->unet.in_channels = c->unet.out_channels = 3;
    c->unet.sample_size[0] = c->unet.sample_size[1] = 8;
    c->unet.class_embed_type = BRUME_CLASS_TABLE;
    c->unet.num_class_embeds = 7;
    c->batch = 4;
    c->warmup = 0;
    c->lr = 3e-3;
    c->seed = 3;
}

/* A model whose values are nothing that fresh ones could be. */
static brume_model *model_of(const brume_unet2d_config *u)
{
    brume_model *m = NULL;
    if (!CHECK_OK(brume_model_new(u, NULL, 99, &m))) return NULL;
    for (int64_t i = 0; i < m->n_params; i++) m->params[i] = 0.001f * (float)(1 + i % 997);
    return m;
}

static float *params_of(brume_trainer *t, int ema)
{
    float *p = malloc((size_t)brume_trainer_param_count(t) * sizeof *p);
    if (CHECK(p)) CHECK_OK(brume_trainer_get_params(t, ema, p));
    return p;
}

static const brume_param_info *info_of(const brume_trainer *t, const char *name)
{
    for (int i = 0; i < brume_param_count(t->graph, t->params); i++)
        if (!strcmp(brume_param_at(t->graph, t->params, i)->name, name)) return brume_param_at(t->graph, t->params, i);
    return NULL;
}

/* Starts a trainer of config c from m; says is the whole note. Parameters that are named in fresh must be those of a trainer
 * without m, all others those of m. */
static void check_start(const brume_train_config *c, const brume_model *m, const char *says, const char *const *fresh)
{
    brume_trainer *t = NULL, *without = NULL;
    brume_graph *g = brume_graph_new();
    brume_tensor slab;
    if (!CHECK_OK(brume_trainer_new(d, c, NULL, &t)) || !CHECK_OK(brume_trainer_new(d, c, NULL, &without)) ||
        !CHECK_OK(brume_trainer_init(t, m, note)) || !CHECK_OK(brume_unet2d_on_paper(g, &m->unet, &slab)))
        return;
    CHECK_STR(note, says);
    float *p = params_of(t, 0), *ema = params_of(t, 1), *other = params_of(without, 0);
    CHECK(!memcmp(p, ema, (size_t)brume_trainer_param_count(t) * sizeof *p));
    for (int i = 0; i < brume_param_count(t->graph, t->params); i++) {
        const brume_param_info *to = brume_param_at(t->graph, t->params, i), *from = NULL;
        int is_fresh = 0;
        for (const char *const *f = fresh; *f; f++) is_fresh |= !strcmp(to->name, *f);
        for (int k = 0; k < brume_param_count(g, slab); k++)
            if (!strcmp(brume_param_at(g, slab, k)->name, to->name)) from = brume_param_at(g, slab, k);
        const float *want = is_fresh ? other + to->offset : from ? m->params + from->offset : NULL;
        if (!CHECK(want && !memcmp(p + to->offset, want, (size_t)brume_shape_numel(to->shape) * sizeof *p)))
            fprintf(stderr, "    %s\n", to->name);
    }
    brume_train_result r;
    CHECK_OK(brume_trainer_step(t, &r));
    free(p);
    free(ema);
    free(other);
    brume_graph_free(g);
    brume_trainer_free(t);
    brume_trainer_free(without);
}

static void test_differences(void)
{
    static const char *const none[] = { NULL }, *const table[] = { "class_embedding.weight", NULL },
                      *const ends[] = { "conv_in.weight", "conv_out.weight", "conv_out.bias", NULL };
    brume_train_config c, base;
    small_config(&base);
    brume_model *m = model_of(&base.unet);
    if (!m) return;
    check_start(&base, m, "", none);
    c = base;
    c.unet.num_class_embeds = 4;
    check_start(&c, m, "new: class_embedding.weight (4x32, the model's is 7x32)", table);
    c = base;
    c.unet.class_embed_type = BRUME_CLASS_NONE;
    c.unet.num_class_embeds = 0;
    check_start(&c, m, "left out: class_embedding.weight", none);
    brume_model *unconditional = model_of(&c.unet);
    if (unconditional) check_start(&base, unconditional, "new: class_embedding.weight (7x32)", table);
    brume_model_free(unconditional);
    c = base;
    c.unet.in_channels = c.unet.out_channels = 1;
    check_start(&c, m,
                "new: conv_in.weight (8x1x3x3, the model's is 8x3x3x3), conv_out.weight (1x8x3x3, the model's is 3x8x3x3), "
                "conv_out.bias (1, the model's is 3)",
                ends);
    brume_model_free(m);

    /* Another network altogether. */
    brume_trainer *t = NULL;
    if (!CHECK_OK(brume_train_config_load(NULL, "points", 0, &c, NULL))) return;
    m = model_of(&c.unet);
    if (m && CHECK_OK(brume_trainer_new(d, &base, NULL, &t)))
        CHECK_FAILS(brume_trainer_init(t, m, note), BRUME_E_ARG, "no parameter");
    brume_trainer_free(t);
    brume_model_free(m);
}

/* Outputs of the mean are kept where those of the variance come or go. */
static void test_variance(void)
{
    brume_train_config fixed, learned;
    small_config(&fixed);
    learned = fixed;
    learned.unet.out_channels = 6;
    learned.scheduler.variance_type = BRUME_VARIANCE_LEARNED_RANGE;
    learned.objective.bound = BRUME_BOUND_HYBRID;
    for (int back = 0; back < 2; back++) {
        const brume_train_config *from = back ? &learned : &fixed, *to = back ? &fixed : &learned;
        brume_model *m = model_of(&from->unet);
        brume_trainer *t = NULL, *same = NULL;
        if (!m || !CHECK_OK(brume_trainer_new(d, to, NULL, &t)) || !CHECK_OK(brume_trainer_init(t, m, note)) ||
            !CHECK_OK(brume_trainer_new(d, from, NULL, &same)))
            return;
        CHECK_STR(note, back ? ""
                             : "new: conv_out.weight (6x8x3x3, in part: the model's is 3x8x3x3), conv_out.bias (6, in part: the "
                               "model's is 3)");
        float *p = params_of(t, 0);
        const int wide = back ? 3 : 6, own = back ? 6 : 3;
        const brume_param_info *weight = info_of(t, "conv_out.weight"), *bias = info_of(t, "conv_out.bias"),
                               *w0 = info_of(same, "conv_out.weight"), *b0 = info_of(same, "conv_out.bias");
        for (int r = 0; r < 3 * 3 * 8; r++)
            CHECK(!memcmp(p + weight->offset + r * wide, m->params + w0->offset + r * own, 3 * sizeof *p));
        CHECK(!memcmp(p + bias->offset, m->params + b0->offset, 3 * sizeof *p));
        free(p);
        brume_trainer_free(t);
        brume_trainer_free(same);
        brume_model_free(m);
    }
}

/* What a run has learned goes on: the loss of the next step is that of the run, not of fresh weights. */
static void test_losses(const char *folder)
{
    brume_train_config c;
    brume_dataset *data = NULL;
    brume_trainer *run = NULL, *next = NULL, *fresh = NULL;
    brume_model *m = NULL;
    const brume_dataset_options options = { .size = 8, .count = 64 };
    double on = 0, anew = 0;
    small_config(&c);
    c.ema_decay = 0; /* the folder holds the last weights */
    if (!CHECK_OK(brume_dataset_open("shapes", &options, &data)) || !CHECK_OK(brume_train_config_fit(&c, data, 1)) ||
        !CHECK_OK(brume_trainer_new(d, &c, data, &run)))
        return;
    brume_train_result r;
    for (int i = 0; i < 60; i++) CHECK_OK(brume_trainer_step(run, &r));
    CHECK_OK(brume_trainer_save(run, folder, 0));
    if (CHECK_OK(brume_model_load(folder, NULL, &m)) && CHECK_OK(brume_trainer_new(d, &c, data, &next)) &&
        CHECK_OK(brume_trainer_new(d, &c, data, &fresh)) && CHECK_OK(brume_trainer_init(next, m, note))) {
        float *a = params_of(run, 0), *b = params_of(next, 0);
        CHECK(!memcmp(a, b, (size_t)brume_trainer_param_count(run) * sizeof *a));
        free(a);
        free(b);
        for (int i = 0; i < 8; i++) {
            CHECK_OK(brume_trainer_step(next, &r));
            on += r.loss / 8;
            CHECK_OK(brume_trainer_step(fresh, &r)); /* the same images, noise and levels */
            anew += r.loss / 8;
        }
        /* about 0.4 */
        if (!CHECK(on < 0.7 * anew)) fprintf(stderr, "    losses %g from the model, %g from fresh weights\n", on, anew);
    }
    brume_model_free(m);
    brume_trainer_free(run);
    brume_trainer_free(next);
    brume_trainer_free(fresh);
    brume_dataset_free(data);
}

/* A text encoder that learned along is part of what goes on; without one in the model it is new. */
static void test_text(const char *folder)
{
    brume_train_config c;
    brume_dataset *data = NULL;
    brume_tokenizer *words = NULL;
    brume_trainer *run = NULL, *next = NULL;
    brume_model *m = NULL;
    const brume_dataset_options options = { .size = 16, .count = 32 };
    if (!check_has_text()) return;
    brume_train_config_default(&c);
    brume_unet2d_condition_config_default(&c.unet);
    c.unet.levels = 1;
    c.unet.block_out_channels[0] = 8;
    c.unet.down_block_types[0] = c.unet.up_block_types[0] = BRUME_BLOCK_CROSS_ATTENTION;
    c.unet.layers_per_block = 1;
    c.unet.norm_num_groups = 4;
    c.unet.attention_head_dim = 2;
    c.unet.cross_attention_dim = 16;
    c.batch = 2;
    c.ema_decay = 0;
    if (!CHECK_OK(brume_dataset_open("shapes-text", &options, &data)) || !CHECK_OK(brume_train_config_fit(&c, data, 0)) ||
        !CHECK_OK(brume_train_config_text(&c, data, &words)) || !CHECK_OK(brume_trainer_new(d, &c, data, &run))) return;
    brume_train_result r;
    for (int i = 0; i < 2; i++) CHECK_OK(brume_trainer_step(run, &r));
    CHECK_OK(brume_trainer_save(run, folder, 0));
    c.seed = 5;
    if (CHECK_OK(brume_model_load(folder, NULL, &m)) && CHECK_OK(brume_trainer_new(d, &c, data, &next)) &&
        CHECK_OK(brume_trainer_init(next, m, note))) {
        CHECK_STR(note, "");
        float *a = params_of(run, 0), *b = params_of(next, 0);
        CHECK(!memcmp(a, b, (size_t)brume_trainer_param_count(run) * sizeof *a));
        brume_text_model *own = m->text_encoder;
        m->text_encoder = NULL;
        CHECK_OK(brume_trainer_init(next, m, note));
        CHECK(!strncmp(note, "new: text_encoder.text_model.", 29) && strstr(note, " more"));
        m->text_encoder = own;
        free(a);
        free(b);
    }
    brume_model_free(m);
    brume_trainer_free(run);
    brume_trainer_free(next);
    brume_tokenizer_free(words);
    brume_dataset_free(data);
}

int main(void)
{
    char folder[400], command[500];
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/brume-train-init-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!CHECK(mkdtemp(folder) != NULL) || !CHECK_OK(brume_device_open("cpu", NULL, &d))) return check_report();
    test_differences();
    test_variance();
    test_losses(folder);
    strcat(folder, "/text");
    test_text(folder);
    folder[strlen(folder) - strlen("/text")] = 0;
    brume_device_close(d);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(system(command), 0);
    return check_report();
}
