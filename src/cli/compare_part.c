/* SPDX-License-Identifier: MIT
 * What brume compare runs of a part of a pipeline that stands alone: an autoencoder, a text encoder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brume/autoencoder_train.h"
#include "brume/json.h"
#include "brume/rng.h"
#include "brume/text_encoder.h"
#include "compare.h"
#include "paths.h"

float *compare_noise(uint64_t seed, uint32_t stream, int64_t n)
{
    float *x = malloc((size_t)(n > 0 ? n : 1) * sizeof *x);
    if (x) brume_fill_normal(seed, stream, 0, 0, n, x);
    return x;
}

static brume_status run_autoencoder(brume_device *d, const struct compare_args *a, const brume_autoencoder *ae)
{
    const brume_autoencoder_config *c = &ae->config;
    const int64_t f = brume_autoencoder_factor(c), n = a->batch;
    int64_t side = a->size ? a->size : c->sample_size > 64 ? 64 : c->sample_size;
    side = side < f ? f : side / f * f;
    float *pictures = compare_noise((uint64_t)a->seed, 1, n * side * side * c->in_channels),
          *latents = malloc((size_t)(n * side / f * side / f * c->latent_channels) * sizeof *latents);
    brume_latent_coder *coder = NULL;
    uint64_t *seeds = calloc((size_t)n, sizeof *seeds);
    brume_status st =
        pictures && latents && seeds ? brume_latent_coder_new(d, ae, side / f, side / f, NULL, &coder) : BRUME_E_MEMORY;
    brume_compare_phase(d, "encoding");
    if (st == BRUME_OK) st = brume_latent_coder_encode(coder, pictures, n, seeds, latents);
    brume_compare_phase(d, "decoding");
    if (st == BRUME_OK && c->in_channels == c->out_channels) st = brume_latent_coder_decode(coder, latents, n, pictures);
    brume_latent_coder_free(coder);
    free(pictures);
    free(latents);
    free(seeds);
    if (st != BRUME_OK || !a->train) return st;
    brume_train_config config;
    brume_train_config_default(&config);
    brume_dataset *data = NULL;
    brume_autoencoder_trainer *t = NULL;
    const brume_dataset_options o = { .size = (int32_t)(side < 8 ? 8 : side), .channels = c->in_channels,
                                      .threads = -1, .count = 64 };
    const brume_autoencoder_objective objective = { BRUME_RECONSTRUCTION_L1, 1e-6 };
    config.batch = (int32_t)n;
    config.steps = a->steps;
    config.seed = (uint64_t)a->seed;
    config.warmup = 0;
    st = brume_dataset_open("shapes", &o, &data);
    if (st == BRUME_OK) st = brume_autoencoder_trainer_new(d, &config, c, &objective, data, ae, &t);
    for (int64_t i = 0; st == BRUME_OK && i < a->steps; i++) {
        brume_train_result r;
        brume_compare_phase(d, "training step %lld", (long long)i + 1);
        st = brume_autoencoder_trainer_step(t, &r);
    }
    brume_autoencoder_trainer_free(t);
    brume_scheduler_config_clear(&config.scheduler);
    brume_dataset_free(data);
    return st;
}

static brume_status open_autoencoder(const char *what, bool file, uint64_t seed, brume_autoencoder **ae)
{
    brume_autoencoder_config c;
    if (!file) return brume_autoencoder_load(what, NULL, ae, NULL);
    const brume_status st = brume_autoencoder_config_read(what, &c, NULL);
    return st == BRUME_OK ? brume_autoencoder_new(&c, seed, ae) : st;
}

/* The longest text, of ids all over the vocabulary: which words they stand for does not matter. */
static brume_status run_text(brume_device *d, const struct compare_args *a, const brume_text_model *m)
{
    const brume_text_encoder_config *c = &m->config;
    const int32_t n = c->max_position_embeddings;
    brume_text_run *r = NULL;
    if (a->train)
        fprintf(stderr, "brume: a text encoder alone has no training step; only its forward pass is compared "
                        "(its pipeline has both)\n");
    int32_t *ids = malloc((size_t)n * sizeof *ids);
    float *hidden = malloc((size_t)n * (size_t)c->hidden_size * sizeof *hidden);
    brume_status st = ids && hidden ? brume_text_run_new(d, c, m->params, n, &r) : BRUME_E_MEMORY;
    brume_compare_phase(d, "text encoder");
    for (int64_t text = 0; st == BRUME_OK && text < a->batch; text++) {
        for (int32_t i = 0; i < n; i++) ids[i] = (int32_t)((a->seed + text + (int64_t)i * 7919) % c->vocab_size);
        st = brume_text_run_encode(r, ids, hidden);
    }
    brume_text_run_free(r);
    free(ids);
    free(hidden);
    return st;
}

static brume_status open_text(const char *what, bool file, uint64_t seed, brume_text_model **m)
{
    brume_text_encoder_config c;
    if (!file) return brume_text_model_load(what, NULL, m, NULL);
    const brume_status st = brume_text_encoder_config_read(what, &c, NULL);
    return st == BRUME_OK ? brume_text_model_new(&c, seed, m) : st;
}

/* diffusers' "_class_name", or the first of transformers' "architectures"; "" if there is neither. */
static void class_of(const char *what, bool file, char name[64])
{
    char path[4096];
    brume_json *j = NULL;
    name[0] = 0;
    snprintf(path, sizeof path, "%s/config.json", what);
    if (brume_json_load(file ? what : path, &j) != BRUME_OK) return;
    const char *plain = brume_json_string(brume_json_at(brume_json_find(j, "architectures"), 0), "");
    snprintf(name, 64, "%s", brume_json_string(brume_json_find(j, "_class_name"), plain));
    brume_json_free(j);
}

brume_status compare_part(brume_device *d, const struct compare_args *a, const char *what, int *is_part)
{
    char class[64];
    brume_autoencoder *ae = NULL;
    brume_text_model *text = NULL;
    brume_status st = BRUME_OK;
    const bool file = cli_is_file(what);
    class_of(what, file, class);
    *is_part = 1;
    if (!strcmp(class, "AutoencoderKL")) {
        st = open_autoencoder(what, file, (uint64_t)a->seed, &ae);
        if (st == BRUME_OK) st = run_autoencoder(d, a, ae);
    } else if (!strncmp(class, "CLIPTextModel", strlen("CLIPTextModel"))) {
        st = open_text(what, file, (uint64_t)a->seed, &text);
        if (st == BRUME_OK) st = run_text(d, a, text);
    } else {
        *is_part = 0;
    }
    brume_autoencoder_free(ae);
    brume_text_model_free(text);
    return st;
}
