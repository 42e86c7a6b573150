/* SPDX-License-Identifier: MIT
 * Training of an autoencoder: it learns, twice to the same bits, also when it stops between; from given parameters; its latents
 * get unit variance. */
#include <time.h>

#include "brume/autoencoder_train.h"
#include "brume/image.h"
#include "check.h"

static brume_device *cpu;
static brume_dataset *data;

static brume_autoencoder_config tiny(void)
{
    brume_autoencoder_config c;
    brume_autoencoder_config_default(&c);
    c.levels = 2;
    c.block_out_channels[0] = 8;
    c.block_out_channels[1] = 16;
    c.norm_num_groups = 4;
    return c;
}

static void settings(brume_train_config *c, int64_t steps)
{
    brume_train_config_default(c);
    c->batch = 4;
    c->steps = steps;
    c->lr = 4e-3;
    c->warmup = 5;
    c->seed = 3;
}

/* Means over the first and the last ten steps. */
struct losses { double reconstruction[2], kl[2]; };

static brume_autoencoder *train(int64_t steps, const brume_autoencoder_objective *o, const brume_autoencoder *init,
                                struct losses *mean)
{
    const brume_autoencoder_config ac = tiny();
    brume_train_config c;
    brume_autoencoder_trainer *t = NULL;
    brume_autoencoder *a = NULL;
    brume_train_result r = { 0 };
    settings(&c, steps);
    *mean = (struct losses){ 0 };
    if (!CHECK_OK(brume_autoencoder_trainer_new(cpu, &c, &ac, o, data, init, &t))) return NULL;
    for (int64_t k = 0; k < steps; k++) {
        struct timespec begun, ended;
        clock_gettime(CLOCK_MONOTONIC, &begun);
        if (!CHECK_OK(brume_autoencoder_trainer_step(t, &r))) break;
        clock_gettime(CLOCK_MONOTONIC, &ended);
        CHECK(r.data_wait >= 0 &&
              r.data_wait <= (double)(ended.tv_sec - begun.tv_sec) + 1e-9 * (double)(ended.tv_nsec - begun.tv_nsec));
        CHECK(r.sum_wait == 0);
        for (int last = 0; last < 2; last++) {
            if (last ? k < steps - 10 : k >= 10) continue;
            mean->reconstruction[last] += r.reconstruction / 10;
            mean->kl[last] += r.kl / 10;
        }
    }
    CHECK_NEAR(r.loss, r.reconstruction + o->kl_weight * r.kl / (16 * 16 * 3), 1e-5 * r.loss);
    CHECK_OK(brume_autoencoder_trainer_get(t, 1, &a));
    brume_autoencoder_trainer_free(t);
    return a;
}

/* Mean |x - decode(mean of encode(x))| over images that training never saw. */
static double unseen(const brume_autoencoder *a)
{
    brume_dataset *test = NULL;
    brume_latent_coder *coder = NULL;
    static float x[16 * 16 * 3], y[16 * 16 * 3], z[8 * 8 * 4];
    double sum = 0;
    if (CHECK_OK(brume_dataset_open("shapes", &(brume_dataset_options){ .size = 16, .count = 16, .test = 1 }, &test)) &&
        CHECK_OK(brume_latent_coder_new(cpu, a, 8, 8, NULL, &coder)))
        for (int64_t i = 0; i < 16; i++) {
            CHECK_OK(brume_dataset_get(test, i, x, NULL));
            CHECK_OK(brume_latent_coder_encode(coder, x, 1, NULL, z));
            CHECK_OK(brume_latent_coder_decode(coder, z, 1, y));
            for (int k = 0; k < 16 * 16 * 3; k++) sum += fabs((double)x[k] - (double)y[k]) / (16 * 16 * 16 * 3);
        }
    brume_latent_coder_free(coder);
    brume_dataset_free(test);
    return sum;
}

static void test_learns(void)
{
    const brume_autoencoder_objective l1 = { BRUME_RECONSTRUCTION_L1, 1e-6 }, l2 = { BRUME_RECONSTRUCTION_L2, 1.0 };
    struct losses free_kl, again, held, later;
    const brume_autoencoder_config ac = tiny();
    brume_autoencoder *a = train(60, &l1, NULL, &free_kl), *b = train(60, &l1, NULL, &again),
    *c = train(60, &l2, NULL, &held), *fresh = NULL;
    if (CHECK(a && b && c) && CHECK_OK(brume_autoencoder_new(&ac, 3, &fresh))) {
        CHECK(free_kl.reconstruction[1] < 0.5 * free_kl.reconstruction[0]);
        CHECK(unseen(a) < 0.7 * unseen(fresh));
        CHECK(!memcmp(a->params, b->params, (size_t)a->n_params * 4));
        CHECK(held.kl[1] < 0.5 * held.kl[0]);      /* a weight of 1 draws latents to unit normal ones */
        CHECK(free_kl.kl[1] > 2 * free_kl.kl[0]);  /* one of 1e-6 lets them carry what the decoder needs */
        const brume_autoencoder *start = a;
        brume_autoencoder *d = train(10, &l1, start, &later);
        CHECK(later.reconstruction[0] < 0.6 * free_kl.reconstruction[0]); /* goes on from where a is */
        brume_autoencoder_free(d);

        if (CHECK_OK(brume_autoencoder_estimate_scaling(cpu, a, data, 32, 5))) {
            brume_latent_coder *coder = NULL;
            static float x[16 * 16 * 3], z[8 * 8 * 4];
            double sum = 0, squares = 0;
            CHECK_OK(brume_latent_coder_new(cpu, a, 8, 8, NULL, &coder));
            for (int64_t i = 0; i < 32; i++) {
                CHECK_OK(brume_dataset_get(data, i, x, NULL));
                CHECK_OK(brume_latent_coder_encode(coder, x, 1, &(uint64_t){ 1000 + (uint64_t)i }, z));
                for (int k = 0; k < 256; k++) sum += (double)z[k], squares += (double)z[k] * (double)z[k];
            }
            const double n = 32 * 256;
            CHECK_NEAR(squares / n - sum / n * (sum / n), 1, 0.05); /* other noise, the same images */
            brume_latent_coder_free(coder);
        }
    }
    brume_autoencoder_free(fresh);
    brume_autoencoder_free(a);
    brume_autoencoder_free(b);
    brume_autoencoder_free(c);
}

/* To step `last`, from the folder's checkpoint if resume. */
static brume_autoencoder *run(int64_t last, const char *folder, int resume)
{
    const brume_autoencoder_objective o = { BRUME_RECONSTRUCTION_L2, 1e-3 };
    const brume_autoencoder_config ac = tiny();
    brume_train_config c;
    brume_autoencoder_trainer *t = NULL;
    brume_autoencoder *a = NULL;
    settings(&c, last);
    if (!CHECK_OK(brume_autoencoder_trainer_new(cpu, &c, &ac, &o, data, NULL, &t))) return NULL;
    CHECK_OK(brume_autoencoder_run(t, &(brume_run_options){
                                          .folder = folder, .resume = resume, .sample_every = 2, .sample_count = 12 }));
    CHECK_INT(brume_autoencoder_trainer_steps_done(t), last);
    CHECK_OK(brume_autoencoder_trainer_get(t, 0, &a));
    brume_autoencoder_trainer_free(t);
    return a;
}

static void test_run(const char *folder)
{
    char path[500];
    snprintf(path, sizeof path, "%s/whole", folder);
    brume_autoencoder *whole = run(5, path, 0), *saved = NULL;
    snprintf(path, sizeof path, "%s/parts", folder);
    brume_autoencoder_free(run(3, path, 0));
    brume_autoencoder *parts = run(5, path, 1);
    CHECK(whole && parts && !memcmp(whole->params, parts->params, (size_t)whole->n_params * 4));
    if (CHECK_OK(brume_autoencoder_load(path, NULL, &saved, NULL))) {
        CHECK_INT(saved->config.sample_size, 16);
        CHECK(saved->config.scaling_factor != 0.18215); /* estimated */
    }
    const brume_autoencoder_objective other = { BRUME_RECONSTRUCTION_L1, 1e-3 };
    const brume_autoencoder_config ac = tiny();
    brume_autoencoder_trainer *t = NULL;
    brume_train_config c;
    settings(&c, 9);
    if (CHECK_OK(brume_autoencoder_trainer_new(cpu, &c, &ac, &other, data, NULL, &t))) {
        CHECK_FAILS(brume_autoencoder_trainer_resume(t, path, NULL), BRUME_E_ARG, "you asked for autoencoder, l1");
        CHECK_FAILS(brume_autoencoder_run(t, &(brume_run_options){ .folder = path }), BRUME_E_ARG, "already holds a run");
    }
    brume_autoencoder_trainer_free(t);

    /* The picture: 10 originals, below them what is made of their means. */
    brume_image *grid = NULL;
    brume_latent_coder *coder = NULL;
    static float x[16 * 16 * 3], y[16 * 16 * 3], z[8 * 8 * 4];
    strcat(path, "/training/samples/step-00000005.png");
    if (saved && CHECK_OK(brume_png_read(path, &grid)) && CHECK_OK(brume_latent_coder_new(cpu, saved, 8, 8, NULL, &coder))) {
        const int scale = ((grid->width - 2) / 10 - 2) / 16, step = 16 * scale + 2; /* 2 white pixels around each */
        CHECK_INT(grid->width, 10 * step + 2);
        CHECK_INT(grid->height, 2 * step + 2);
        int wrong = 0;
        for (int i = 0; i < 10; i++) {
            CHECK_OK(brume_dataset_get(data, i, x, NULL));
            CHECK_OK(brume_latent_coder_encode(coder, x, 1, NULL, z));
            CHECK_OK(brume_latent_coder_decode(coder, z, 1, y));
            for (int p = 0; p < 16 * 16 * 3; p++) {
                const int row = 2 + p / 48 * scale, column = 2 + i * step + p / 3 % 16 * scale;
                const uint8_t *above = grid->pixels + (row * grid->width + column) * 3 + p % 3,
                              *below = above + (int64_t)step * grid->width * 3;
                wrong += *above != brume_to_byte(x[p]);
                wrong += abs((int)*below - (int)brume_to_byte(y[p])) > 1; /* another scaling factor: roundings */
            }
        }
        CHECK_INT(wrong, 0);
    }
    brume_latent_coder_free(coder);
    brume_image_free(grid);
    brume_autoencoder_free(whole);
    brume_autoencoder_free(parts);
    brume_autoencoder_free(saved);
}

static void test_refusals(void)
{
    brume_train_config c;
    brume_autoencoder_config ac = tiny();
    const brume_autoencoder_objective good = { BRUME_RECONSTRUCTION_L1, 1e-6 }, bad = { BRUME_RECONSTRUCTION_L1, NAN };
    brume_autoencoder_trainer *t = NULL;
    brume_train_config_default(&c);
    CHECK_FAILS(brume_autoencoder_trainer_new(cpu, &c, &ac, &bad, data, NULL, &t), BRUME_E_ARG, "weight of KL");
    ac.in_channels = 1;
    CHECK_FAILS(brume_autoencoder_trainer_new(cpu, &c, &ac, &good, data, NULL, &t), BRUME_E_ARG, "3 channels");
    ac = tiny();
    ac.levels = 6;
    for (int i = 2; i < 6; i++) ac.block_out_channels[i] = 16;
    CHECK_FAILS(brume_autoencoder_trainer_new(cpu, &c, &ac, &good, data, NULL, &t), BRUME_E_ARG, "multiples of 32");
    CHECK(t == NULL);
}

int main(void)
{
    const brume_dataset_options options = { .size = 16, .count = 256 };
    if (!CHECK_OK(brume_device_open("cpu", NULL, &cpu)) || !CHECK_OK(brume_dataset_open("shapes", &options, &data)))
        return check_report();
    const char *tmp = getenv("TMPDIR");
    char folder[400], command[500];
    snprintf(folder, sizeof folder, "%s/brume-autoencoder-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    test_learns();
    if (CHECK(mkdtemp(folder) != NULL)) {
        test_run(folder);
        snprintf(command, sizeof command, "rm -rf '%s'", folder);
        CHECK_INT(system(command), 0);
    }
    test_refusals();
    brume_dataset_free(data);
    brume_device_close(cpu);
    return check_report();
}
