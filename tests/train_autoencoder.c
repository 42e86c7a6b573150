/* SPDX-License-Identifier: MIT
 * Training of an autoencoder: it learns, twice to the same bits, from given parameters, and its latents get unit variance. */
#include "brume/autoencoder_train.h"
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

/* Trains; returns the autoencoder, and what the first and the last ten steps lost. */
static brume_autoencoder *train(int64_t steps, const brume_autoencoder_objective *o, const brume_autoencoder *init, double mean[2], double *kl)
{
    const brume_autoencoder_config ac = tiny();
    brume_train_config c;
    brume_autoencoder_trainer *t = NULL;
    brume_autoencoder *a = NULL;
    brume_autoencoder_result r = { 0 };
    brume_train_config_default(&c);
    c.batch = 4;
    c.steps = steps;
    c.lr = 4e-3;
    c.warmup = 5;
    c.seed = 3;
    mean[0] = mean[1] = 0;
    if (!CHECK_OK(brume_autoencoder_trainer_new(cpu, &c, &ac, o, data, init, &t))) return NULL;
    for (int64_t k = 0; k < steps; k++) {
        if (!CHECK_OK(brume_autoencoder_trainer_step(t, &r))) break;
        if (k < 10) mean[0] += r.reconstruction / 10;
        if (k >= steps - 10) mean[1] += r.reconstruction / 10;
    }
    CHECK_NEAR(r.loss, r.reconstruction + o->kl_weight * r.kl / (16 * 16 * 3), 1e-5 * r.loss);
    *kl = r.kl;
    CHECK_OK(brume_autoencoder_trainer_get(t, 1, &a));
    brume_autoencoder_trainer_free(t);
    return a;
}

static void test_learns(void)
{
    const brume_autoencoder_objective l1 = { BRUME_RECONSTRUCTION_L1, 1e-6 }, l2 = { BRUME_RECONSTRUCTION_L2, 1.0 };
    double mean[2], again[2], held[2], kl, kl_again, kl_held;
    brume_autoencoder *a = train(60, &l1, NULL, mean, &kl), *b = train(60, &l1, NULL, again, &kl_again), *c = train(60, &l2, NULL, held, &kl_held);
    if (CHECK(a && b && c)) {
        CHECK(mean[1] < 0.5 * mean[0]);
        CHECK(!memcmp(a->params, b->params, (size_t)a->n_params * 4));
        CHECK(kl_held < 0.5 * kl); /* a weight of 1 instead of 1e-6 holds the latents */
        const brume_autoencoder *start = a;
        brume_autoencoder *d = train(10, &l1, start, again, &kl_again);
        CHECK(again[0] < 0.6 * mean[0]); /* goes on from where a is */
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
    brume_autoencoder_free(a);
    brume_autoencoder_free(b);
    brume_autoencoder_free(c);
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
    if (!CHECK_OK(brume_device_open("cpu", NULL, &cpu)) || !CHECK_OK(brume_dataset_open("shapes", &options, &data))) return check_report();
    test_learns();
    test_refusals();
    brume_dataset_free(data);
    brume_device_close(cpu);
    return check_report();
}
