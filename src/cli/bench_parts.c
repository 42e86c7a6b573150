/* SPDX-License-Identifier: MIT
 * Subjects of brume bench that stand beside the U-Net in a pipeline: the text encoder, and the autoencoder's way from latents to
 * images. */
#include <stdlib.h>

#include "bench.h"
#include "brume/params.h"
#include "brume/rng.h"

static brume_status encode_step(struct bench_subject *s)
{
    const brume_status st = brume_plan_run(s->plan);
    return st == BRUME_OK ? brume_device_finish(s->device) : st;
}

brume_status bench_text_encoder(brume_device *d, const brume_text_encoder_config *c, int64_t batch, uint64_t seed,
                                struct bench_subject *s)
{
    *s = (struct bench_subject){ .device = d, .step = encode_step, .graph = brume_graph_new() };
    if (!s->graph) return BRUME_E_MEMORY;
    brume_text_model *m = NULL;
    const int64_t tokens = c->max_position_embeddings;
    const brume_tensor slab = brume_slab(s->graph, "params"),
                       ids = brume_input(s->graph, "ids", BRUME_I32, BRUME_SHAPE(batch, tokens));
    brume_output(s->graph, brume_text_encoder(s->graph, c, slab, "", ids), "context");
    int32_t *words = calloc((size_t)(batch * tokens), sizeof *words);
    for (int64_t i = 0; words && i < batch * tokens; i++) words[i] = (int32_t)(i * 997 % c->vocab_size);
    const brume_plan_options o = { .drop_packed = 1 };
    brume_status st = words ? brume_plan_new(d, s->graph, &o, &s->plan) : BRUME_E_MEMORY;
    if (st == BRUME_OK) st = brume_text_model_new(c, seed, &m);
    if (st == BRUME_OK)
        st = brume_plan_write(s->plan, slab, m->params, (size_t)brume_params_numel(s->graph, slab) * sizeof *m->params);
    if (st == BRUME_OK) st = brume_plan_write(s->plan, ids, words, (size_t)(batch * tokens) * sizeof *words);
    if (st == BRUME_OK) brume_plan_get_stats(s->plan, &s->stats);
    brume_text_model_free(m);
    free(words);
    return st;
}

static brume_status decode_step(struct bench_subject *s)
{
    return brume_latent_coder_decode(s->coder, s->latents, s->images, s->pictures);
}

brume_status bench_decoder(brume_device *d, const brume_autoencoder_config *c, int64_t batch, int64_t size, uint64_t limit,
                           uint64_t seed, struct bench_subject *s)
{
    *s = (struct bench_subject){ .device = d, .step = decode_step, .images = batch };
    brume_autoencoder *a = NULL;
    const int64_t f = brume_autoencoder_factor(c), n = batch * size * size * c->latent_channels;
    s->latents = malloc((size_t)n * sizeof *s->latents);
    s->pictures = malloc((size_t)(batch * size * f * size * f * c->out_channels) * sizeof *s->pictures);
    if (!s->latents || !s->pictures) return BRUME_E_MEMORY;
    brume_fill_normal(seed, 0, 0, 0, n, s->latents);
    brume_status st = brume_autoencoder_new(c, seed, &a);
    const brume_latent_options o = { .memory_limit = limit };
    if (st == BRUME_OK) st = brume_latent_coder_new(d, a, size, size, &o, &s->coder);
    brume_autoencoder_free(a);
    return st == BRUME_OK ? brume_latent_coder_get_stats(s->coder, &s->stats) : st;
}
