/* SPDX-License-Identifier: MIT
 * Training: the same bits for any number of threads and across a stop, a loss that falls, checkpoints that are refused where they
 * do not fit, and a checkpoint that is a model. */
#include <unistd.h>

#include "base/lock.h"
#include "brume/model.h"
#include "brume/params.h"
#include "brume/rng.h"
#include "brume/safetensors.h"
#include "brume/train.h"
#include "check.h"
#include "train_steps.h"
#include "plan/tuner.h"
#include "train/trainer.h"

static char folder[256];

/* A model of a few thousand parameters with every part: attention, classes, dropout. */
static void small_config(brume_train_config *c)
{
    brume_train_config_default(c);
    c->unet.levels = 2;
    c->unet.block_out_channels[0] = 8;
    c->unet.block_out_channels[1] = 16;
    c->unet.down_block_types[1] = c->unet.up_block_types[0] = BRUME_BLOCK_ATTENTION;
    c->unet.layers_per_block = 1;
    c->unet.norm_num_groups = 4;
    c->unet.dropout = 0.1f;
    c->batch = 4;
    c->steps = 6;
    c->warmup = 3;
    c->seed = 5;
}

static brume_dataset *shapes(void)
{
    brume_dataset *ds = NULL;
    const brume_dataset_options o = { .size = 8, .channels = 1, .count = 64 };
    CHECK_OK(brume_dataset_open("shapes", &o, &ds));
    return ds;
}

static void test_same_bits(const brume_dataset *data)
{
    brume_train_config c;
    small_config(&c);
    if (!CHECK_OK(brume_train_config_fit(&c, data, 1))) return;
    const size_t n = (size_t)brume_unet2d_param_count(&c.unet), bytes = n * sizeof(float);
    float *one = malloc(bytes), *other = malloc(bytes);
    CHECK_OK(train_steps(&c, data, 1, folder, 0, 6, 0, one, NULL));
    const int threads[] = { 2, 3, 8 };
    for (int i = 0; i < 3; i++) {
        CHECK_OK(train_steps(&c, data, threads[i], folder, 0, 6, 0, other, NULL));
        CHECK(!memcmp(one, other, bytes));
    }
    CHECK_OK(train_steps(&c, data, 2, folder, 0, 4, 1, NULL, NULL));
    CHECK_OK(train_steps(&c, data, 2, folder, 1, 2, 0, other, NULL));
    CHECK(!memcmp(one, other, bytes)); /* 4 + 2 steps are 6 */
    c.seed = 6;
    CHECK_OK(train_steps(&c, data, 2, folder, 0, 6, 0, other, NULL));
    CHECK(memcmp(one, other, bytes)); /* another seed, another run */
    free(one);
    free(other);
}

/* Micro-batches: the same examples, times, noise and dropout; only sums over the batch have another order. */
static void test_micro_batch(const brume_dataset *data)
{
    enum { N = 4 };
    brume_train_config c;
    small_config(&c);
    c.optimizer = BRUME_SGD; /* Adam divides by sizes of gradients: where one is nothing but roundings, its sign would count */
    c.lr = 0.02;
    if (!CHECK_OK(brume_train_config_fit(&c, data, 1))) return;
    const size_t n = (size_t)brume_unet2d_param_count(&c.unet);
    float *whole = malloc(n * sizeof *whole), *parts = malloc(n * sizeof *parts);
    double whole_loss[N], part_loss[N];
    CHECK_OK(train_steps(&c, data, 2, folder, 0, N, 0, whole, whole_loss));
    for (c.micro_batch = 1; c.micro_batch <= 4; c.micro_batch *= 2) {
        CHECK_OK(train_steps(&c, data, 2, folder, 0, N, 0, parts, part_loss));
        for (int i = 0; i < N; i++) CHECK(fabs(part_loss[i] - whole_loss[i]) <= 1e-5 * whole_loss[i]);
        double worst = 0;
        for (size_t i = 0; i < n; i++) worst = fmax(worst, fabs((double)parts[i] - whole[i])); /* all are below 1.1 in size */
        if (!CHECK(worst <= 1e-6)) fprintf(stderr, "    micro-batch %d: parameters differ by %g\n", c.micro_batch, worst);
        CHECK(c.micro_batch == 4 ? worst == 0 : worst > 0); /* the whole batch is no micro-batch */
    }
    c.micro_batch = 2;
    c.optimizer = BRUME_ADAMW;
    CHECK_OK(train_steps(&c, data, 1, folder, 0, 4, 0, whole, NULL));
    CHECK_OK(train_steps(&c, data, 3, folder, 0, 4, 0, parts, NULL));
    CHECK(!memcmp(whole, parts, n * sizeof *parts)); /* threads */
    CHECK_OK(train_steps(&c, data, 2, folder, 0, 3, 1, NULL, NULL));
    CHECK_OK(train_steps(&c, data, 2, folder, 1, 1, 0, parts, NULL));
    CHECK(!memcmp(whole, parts, n * sizeof *parts)); /* a stop between */
    c.micro_batch = 3;
    CHECK_FAILS(train_steps(&c, data, 1, folder, 0, 1, 0, NULL, NULL), BRUME_E_ARG, "must divide the batch of 4, got 3");
    free(whole);
    free(parts);
}

/* Activations computed again: the same bits, in less memory; in micro-batches, too. */
static void test_recompute(const brume_dataset *data)
{
    brume_train_config c;
    brume_device *d = NULL;
    CHECK_OK(brume_device_open("cpu", NULL, &d));
    for (int i = 0; i < 4; i++) {
        small_config(&c);
        c.micro_batch = i == 1 ? 2 : 0;
        if (i == 2) c.unet.resnet_time_scale_shift = BRUME_TIME_SCALE_SHIFT;
        if (i == 3) c.unet.downsample_type = c.unet.upsample_type = BRUME_RESAMPLE_RESNET;
        if (!CHECK_OK(brume_train_config_fit(&c, data, 1))) break;
        const size_t n = (size_t)brume_unet2d_param_count(&c.unet), bytes = n * sizeof(float);
        float *kept = malloc(bytes), *again = malloc(bytes);
        brume_plan_stats before, after;
        CHECK_OK(train_steps(&c, data, 2, folder, 0, 3, 0, kept, NULL));
        CHECK_OK(brume_train_estimate(d, &c, &before));
        c.recompute = 1;
        CHECK_OK(train_steps(&c, data, 2, folder, 0, 3, 0, again, NULL));
        CHECK_OK(brume_train_estimate(d, &c, &after));
        CHECK(!memcmp(kept, again, bytes));
        CHECK(after.flops > before.flops && after.flops < 1.4 * before.flops);
        /* Two levels with a block each: what goes into blocks is about a third of the activations. */
        const double gradient = c.micro_batch ? 0 : (double)bytes; /* else it lies in the arena, and stays */
        if (!CHECK((double)after.arena_bytes - gradient < 0.75 * ((double)before.arena_bytes - gradient)))
            fprintf(stderr, "    case %d: arena %.0f -> %.0f\n", i, (double)before.arena_bytes, (double)after.arena_bytes);
        free(kept);
        free(again);
    }
    brume_device_close(d);
}

/* Activations that wait in f16: nearly the same losses in less memory, the same bits for any threads, across a stop and with
 * recomputation's copies; a gradient beyond f32 updates nothing and halves the loss scale. */
static void test_storage(const brume_dataset *data)
{
    enum { N = 6 };
    brume_train_config c;
    brume_device *d = NULL;
    brume_trainer *t = NULL;
    brume_train_result r;
    small_config(&c);
    c.batch = 16; /* values of 4096 and more: 8 channels of 8x8 */
    c.steps = N;
    if (!CHECK_OK(brume_device_open("cpu", &(brume_device_options){ .threads = 2 }, &d)) ||
        !CHECK_OK(brume_train_config_fit(&c, data, 1)))
        return;
    const size_t n = (size_t)brume_unet2d_param_count(&c.unet), bytes = n * sizeof(float);
    float *wide = malloc(bytes), *half = malloc(bytes), *other = malloc(bytes);
    double wide_loss[N], half_loss[N];
    brume_plan_stats before, after;
    CHECK_OK(train_steps(&c, data, 2, folder, 0, N, 0, wide, wide_loss));
    CHECK_OK(brume_train_estimate(d, &c, &before));
    c.storage = BRUME_STORAGE_F16;
    CHECK_OK(train_steps(&c, data, 2, folder, 0, N, 0, half, half_loss));
    CHECK_OK(brume_train_estimate(d, &c, &after));
    CHECK((double)after.arena_bytes < 0.8 * (double)(before.arena_bytes - bytes)); /* the gradient lies elsewhere now */
    /* roundings of 2^-11 and what Adam makes of them */
    for (int i = 0; i < N; i++) CHECK(fabs(half_loss[i] - wide_loss[i]) <= 2e-3 * wide_loss[i]);
    CHECK(memcmp(wide, half, bytes));
    CHECK_OK(train_steps(&c, data, 3, folder, 0, N, 0, other, NULL));
    CHECK(!memcmp(half, other, bytes));
    CHECK_OK(train_steps(&c, data, 2, folder, 0, 4, 1, NULL, NULL));
    CHECK_OK(train_steps(&c, data, 2, folder, 1, N - 4, 0, other, NULL));
    CHECK(!memcmp(half, other, bytes));

    if (CHECK_OK(brume_trainer_new(d, &c, data, &t))) {
        CHECK_OK(brume_trainer_get_params(t, 0, wide));
        t->update.loss_scale = 0x1p126;
        t->update.good_steps = 7;
        CHECK_OK(brume_trainer_step(t, &r));
        CHECK_OK(brume_trainer_get_params(t, 0, half));
        CHECK(r.skipped && isfinite(r.loss) && !isfinite(r.grad_norm) && t->update.loss_scale == 0x1p125 &&
              t->update.good_steps == 0);
        CHECK(!memcmp(wide, half, bytes)); /* nothing was updated */
        t->update.loss_scale = 1024;
        t->update.good_steps = BRUME_LOSS_SCALE_STEPS - 1;
        CHECK_OK(brume_trainer_step(t, &r));
        CHECK_OK(brume_trainer_get_params(t, 0, half));
        CHECK(!r.skipped && isfinite(r.grad_norm) && t->update.loss_scale == 2048 && t->update.good_steps == 0);
        CHECK(memcmp(wide, half, bytes));
        CHECK_INT(t->update.skipped, 1);
        CHECK_OK(brume_trainer_save(t, folder, 0));
        t->update.loss_scale = 4;
        t->update.skipped = 0;
        CHECK_OK(brume_trainer_resume(t, folder, NULL));
        CHECK(t->update.loss_scale == 2048 && t->update.skipped == 1);
        t->update.loss_scale = 0.5; /* halved below 1: the run gives up */
        CHECK_FAILS(brume_trainer_step(t, &r), BRUME_E_NUMERIC, "--storage f32");
    }
    brume_trainer_free(t);
    brume_device_close(d);
    free(wide);
    free(half);
    free(other);
}

/* A run that goes on with other kernels than it was saved with must say so, and no other run. */
static void test_resume_tuned(const brume_dataset *data)
{
    brume_train_config c;
    brume_device *d = NULL;
    brume_trainer *t = NULL;
    brume_tuner *tuner = NULL;
    struct brume_tuned e = { .choice = "" };
    small_config(&c);
    if (!CHECK_OK(brume_device_open("cpu", &(brume_device_options){ .threads = 2 }, &d)) ||
        !CHECK_OK(brume_train_config_fit(&c, data, 1)))
        return;
    CHECK_OK(brume_tuner_new(d, &tuner));
    CHECK_OK(brume_trainer_new(d, &c, data, &t));
    CHECK_OK(brume_trainer_save(t, folder, 0));
    CHECK_OK(brume_trainer_resume(t, folder, NULL));
    CHECK(brume_trainer_resume_warning(t) == NULL);
    brume_trainer_free(t);
    d->tuner = NULL;
    for (int i = 0; !*e.choice && i < tuner->n; i++) /* any step that another kernel computes, too */
        for (const struct brume_variant *v = tuner->noted[i].node->op->kernels; v->name; v++)
            if (v != tuner->noted[i].rule.variant && brume_variant_runs(v, tuner->noted[i].node, &d->caps)) {
                e.key = tuner->noted[i].key;
                snprintf(e.choice, sizeof e.choice, "%s", v->name);
            }
    CHECK(*e.choice);
    CHECK_OK(brume_tuning_put(d->tuning, &e));
    CHECK_OK(brume_trainer_new(d, &c, data, &t));
    CHECK_OK(brume_trainer_resume(t, folder, NULL));
    CHECK(brume_trainer_resume_warning(t) && strstr(brume_trainer_resume_warning(t), "tuned"));
    CHECK_OK(brume_trainer_save(t, folder, 0));
    CHECK_OK(brume_trainer_resume(t, folder, NULL));
    CHECK(brume_trainer_resume_warning(t) == NULL);
    brume_trainer_free(t);
    brume_tuner_free(tuner);
    brume_device_close(d);
}

static uint64_t takes(brume_device *d, brume_train_config c, int32_t micro_batch, int recompute)
{
    brume_plan_stats s = { 0 };
    c.micro_batch = micro_batch;
    c.recompute = recompute;
    CHECK_OK(brume_train_estimate(d, &c, &s));
    return s.arena_bytes + s.persistent_bytes + s.input_bytes + s.packed_bytes;
}

/* A run beyond the limit is refused before it starts, with what would fit; one byte less changes the answer. */
static void test_memory_limit(const brume_dataset *data)
{
    brume_train_config c;
    brume_device *d = NULL;
    brume_trainer *t = NULL;
    small_config(&c);
    c.batch = 12; /* parts of 6, 4, 3, 2, 1 */
    if (!CHECK_OK(brume_device_open("cpu", NULL, &d)) || !CHECK_OK(brume_train_config_fit(&c, data, 1))) return;
    const uint64_t whole = takes(d, c, 0, 0), third = takes(d, c, 4, 0), both = takes(d, c, 4, 1), least = takes(d, c, 1, 1);
    CHECK(both < third && third < whole && least < both);
    c.memory_limit = whole;
    CHECK_OK(brume_train_check_memory(d, &c));
    c.memory_limit = whole - 1;
    CHECK_FAILS(brume_train_check_memory(d, &c), BRUME_E_MEMORY, "; --recompute takes");
    CHECK_FAILS(brume_trainer_new(d, &c, data, &t), BRUME_E_MEMORY, "the limit given is");
    CHECK(t == NULL);
    c.memory_limit = third;
    CHECK_FAILS(brume_train_check_memory(d, &c), BRUME_E_MEMORY, "; --micro-batch 4 takes");
    c.memory_limit = third - 1;
    CHECK_FAILS(brume_train_check_memory(d, &c), BRUME_E_MEMORY, "; --micro-batch 3 takes");
    c.memory_limit = both;
    CHECK_FAILS(brume_train_check_memory(d, &c), BRUME_E_MEMORY, "; --recompute --micro-batch 4 takes");
    c.memory_limit = least - 1;
    CHECK_FAILS(brume_train_check_memory(d, &c), BRUME_E_MEMORY, "not even --recompute --micro-batch 1 fits");
    c.memory_limit = least;
    c.micro_batch = 1;
    c.recompute = 1;
    CHECK_OK(brume_trainer_new(d, &c, data, &t));
    brume_trainer_free(t);
    brume_device_close(d);
}

static void test_refusals(const brume_dataset *data)
{
    brume_train_config c;
    small_config(&c);
    CHECK_OK(brume_train_config_fit(&c, data, 1));
    CHECK_OK(train_steps(&c, data, 1, folder, 0, 1, 1, NULL, NULL));
    c.seed = 9;
    CHECK_FAILS(train_steps(&c, data, 1, folder, 1, 1, 0, NULL, NULL), BRUME_E_ARG, "seed 5");
    c.seed = 5;
    c.batch = 5;
    CHECK_FAILS(train_steps(&c, data, 1, folder, 1, 1, 0, NULL, NULL), BRUME_E_ARG, "batch 4");
    c.batch = 4;
    c.optimizer = BRUME_SGD;
    CHECK_FAILS(train_steps(&c, data, 1, folder, 1, 1, 0, NULL, NULL), BRUME_E_ARG, "optimizer adamw");
    c.optimizer = BRUME_ADAMW;
    c.scheduler.prediction_type = BRUME_PREDICT_V;
    CHECK_FAILS(train_steps(&c, data, 1, folder, 1, 1, 0, NULL, NULL), BRUME_E_ARG, "predicting eps");
    c.scheduler.prediction_type = BRUME_PREDICT_EPS;
    c.scheduler.beta_end = 0.03;
    CHECK_FAILS(train_steps(&c, data, 1, folder, 1, 1, 0, NULL, NULL), BRUME_E_ARG, "0.0001 .. 0.02");
    c.scheduler.beta_end = 0.02;
    c.unet.layers_per_block = 2;
    CHECK_FAILS(train_steps(&c, data, 1, folder, 1, 1, 0, NULL, NULL), BRUME_E_SHAPE, "another model");
    c.unet.levels = 5;
    CHECK_FAILS(brume_train_config_fit(&c, data, 1), BRUME_E_SHAPE, "multiples of 16");
    small_config(&c);
    c.unet.time_embedding_type = BRUME_TIME_LEARNED;
    c.unet.num_train_timesteps = 999;
    CHECK_OK(brume_train_config_fit(&c, data, 1));
    CHECK_FAILS(train_steps(&c, data, 1, folder, 0, 1, 0, NULL, NULL), BRUME_E_ARG, "999 rows");
    char path[512];
    small_config(&c);
    CHECK_OK(brume_train_config_fit(&c, data, 1));
    snprintf(path, sizeof path, "%s/training/state.safetensors", folder);
    CHECK_INT(truncate(path, 1000), 0);
    CHECK_OK(train_steps(&c, data, 1, folder, 1, 1, 0, NULL, NULL)); /* from the one before it */
    snprintf(path, sizeof path, "%s/training/state.previous.safetensors", folder);
    CHECK_INT(truncate(path, 1000), 0);
    CHECK_FAILS(train_steps(&c, data, 1, folder, 1, 1, 0, NULL, NULL), BRUME_E_FORMAT, "state.safetensors");
}

static void test_learns(const brume_dataset *data)
{
    enum { N = 150 };
    double losses[N], first = 0, last = 0;
    for (int optimizer = 0; optimizer < 3; optimizer++)
        for (int target = 0; target < 3; target++) {
            brume_train_config c;
            small_config(&c);
            c.unet.dropout = 0;
            c.optimizer = (brume_optimizer)optimizer;
            c.scheduler.prediction_type = (brume_prediction)target;
            c.lr = optimizer == BRUME_SGD ? 0.02 : 2e-3;
            if (optimizer == BRUME_SGD && target) continue; /* one is enough for plain descent */
            CHECK_OK(brume_train_config_fit(&c, data, 0));
            CHECK_OK(train_steps(&c, data, 2, folder, 0, N, 0, NULL, losses));
            first = last = 0;
            for (int i = 0; i < 10; i++) {
                first += losses[i] / 10;
                last += losses[N - 1 - i] / 10;
            }
            if (!CHECK(last < 0.7 * first))
                fprintf(stderr, "    optimizer %d, target %d: loss %g -> %g\n", optimizer, target, first, last);
        }
}

/* What is written loads as a model with the EMA weights and the schedule. */
static void test_checkpoint_is_a_model(const brume_dataset *data)
{
    brume_train_config c;
    brume_model *m = NULL;
    small_config(&c);
    snprintf(c.scheduler.beta_schedule, sizeof c.scheduler.beta_schedule, "squaredcos_cap_v2");
    c.scheduler.num_train_timesteps = 400;
    CHECK_OK(brume_train_config_fit(&c, data, 1));
    float *ema = malloc((size_t)brume_unet2d_param_count(&c.unet) * sizeof *ema);
    CHECK_OK(train_steps(&c, data, 2, folder, 0, 3, 1, ema, NULL));
    if (CHECK_OK(brume_model_load(folder, NULL, &m))) {
        CHECK_INT(m->n_params, brume_unet2d_param_count(&c.unet));
        CHECK(!memcmp(m->params, ema, (size_t)m->n_params * sizeof *ema));
        CHECK_INT(m->scheduler.num_train_timesteps, 400);
        CHECK_STR(m->scheduler.beta_schedule, "squaredcos_cap_v2");
        CHECK_INT(m->unet.num_class_embeds, 7); /* six shapes and "no class" */
    }
    brume_model_free(m);
    free(ema);
}

/* Values by hand: 4 steps of warm-up, 11 after them, so that the last one ends a schedule. */
static void test_learning_rates(void)
{
    static const struct { const char *name; double third, fifth, tenth, last; } rows[] = {
        { "constant", 0.75, 1, 1, 1 }, { "linear", 0.75, 1, 0.55, 0.1 }, { "cosine", 0.75, 1, 0.55, 0.1 },
        { "inverse-sqrt", 0.75, 0.894427190999916, 0.632455532033676, 0.516397779494322 },
    };
    brume_train_config c;
    brume_train_config_default(&c);
    c.lr = 1;
    c.lr_end = 0.1;
    c.warmup = 4;
    c.steps = 15;
    CHECK(brume_learning_rate(&c, 14) == 1); /* none given: constant */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct {
            int64_t step;
            double want;
        } at[] = { { 2, rows[i].third }, { 4, rows[i].fifth }, { 9, rows[i].tenth }, { 14, rows[i].last } };
        c.lr_schedule = brume_lr_schedule_find(rows[i].name);
        if (!CHECK(c.lr_schedule != NULL)) continue;
        for (int k = 0; k < 4; k++) CHECK(fabs(brume_learning_rate(&c, at[k].step) - at[k].want) < 1e-12);
        double before = INFINITY;
        /* never rises after the warm-up, never falls below its end, not beyond the last step either */
        for (int64_t step = 3; step < 30; step++) {
            const double lr = brume_learning_rate(&c, step);
            CHECK(lr <= before && lr >= c.lr_end);
            before = lr;
        }
    }
    CHECK(!brume_lr_schedule_find("step") && !brume_lr_schedule_find(NULL));
}

/* One run to a folder: a second is refused, whoever holds it, and served once the first has ended. */
static void test_lock(void)
{
    char path[300];
    int first, second;
    snprintf(path, sizeof path, "%s/lock", folder);
    CHECK_OK(brume_lock_take(path, "runs/x", &first));
    CHECK_FAILS(brume_lock_take(path, "runs/x", &second), BRUME_E_IO, "runs/x is in use by process");
    brume_lock_drop(second);
    brume_lock_drop(first);
    CHECK_OK(brume_lock_take(path, "runs/x", &second));
    brume_lock_drop(second);
    CHECK_FAILS(brume_lock_take("/no/such/folder/lock", "x", &second), BRUME_E_IO, "cannot make the lock");
}

int main(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/brume-train-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!CHECK(mkdtemp(folder) != NULL)) return check_report();
    brume_dataset *data = shapes();
    test_same_bits(data);
    test_micro_batch(data);
    test_recompute(data);
    test_storage(data);
    test_resume_tuned(data);
    test_memory_limit(data);
    test_refusals(data);
    test_learning_rates();
    test_lock();
    test_learns(data);
    test_checkpoint_is_a_model(data);
    brume_dataset_free(data);
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(system(command), 0);
    return check_report();
}
