/* SPDX-License-Identifier: MIT
 * Subjects of brume bench that are whole models: a training step, an evaluation of the network. */
#include <stdlib.h>

#include "bench.h"
#include "brume/model.h"
#include "brume/params.h"
#include "brume/rng.h"

#define TOKENS 77 /* of a context: what CLIP makes */

static brume_status train_step(struct bench_subject *s)
{
    brume_train_result r;
    return brume_trainer_step(s->trainer, &r);
}

static brume_status infer_step(struct bench_subject *s)
{
    const brume_denoiser *n = brume_unet2d_denoiser_get(s->denoiser);
    const brume_status st = n->predict(n->self, s->x, &(brume_level){ .t = 500, .a = 0.7, .s = 0.7 }, s->out, NULL);
    return st == BRUME_OK ? brume_device_finish(s->device) : st;
}

static brume_status open_denoiser(const brume_train_config *c, struct bench_subject *s)
{
    const brume_unet2d_config *u = &c->unet;
    const brume_shape shape = BRUME_SHAPE(c->batch, u->sample_size[0], u->sample_size[1], u->in_channels);
    const int64_t pixels = brume_shape_numel(shape), wide = brume_unet2d_context_dim(u), context = c->batch * TOKENS * wide;
    const size_t bytes = (size_t)pixels * sizeof(float);
    uint64_t seed = c->seed;
    int32_t *labels = calloc((size_t)c->batch, sizeof *labels);
    /* of the image, then of the context */
    float *values = malloc((size_t)(pixels > context ? pixels : context) * sizeof *values);
    brume_status st = labels && values ? BRUME_OK : BRUME_E_MEMORY;
    if (st == BRUME_OK) st = brume_buffer_new(s->device, bytes, &s->x);
    if (st == BRUME_OK) st = brume_buffer_new(s->device, bytes / (size_t)u->in_channels * (size_t)u->out_channels, &s->out);
    if (st == BRUME_OK) brume_fill_normal(seed, 0, 0, 0, pixels, values);
    if (st == BRUME_OK) st = brume_buffer_write(s->x, 0, values, bytes);
    if (st == BRUME_OK) brume_fill_normal(seed, 1, 0, 0, context, values);
    const brume_unet2d_denoiser_options o = {
        .labels = u->class_embed_type == BRUME_CLASS_TABLE ? labels : NULL, .guidance.scale = 1, .storage = c->storage,
        .context = wide ? values : NULL, .tokens = wide ? TOKENS : 0, .source = { &seed, brume_params_fresh } };
    if (st == BRUME_OK) st = brume_unet2d_denoiser_new(s->device, u, NULL, shape, &o, &s->denoiser);
    if (st == BRUME_OK) brume_unet2d_denoiser_get_stats(s->denoiser, &s->stats);
    free(labels);
    free(values);
    return st;
}

brume_status bench_model(brume_device *d, int mode, const brume_train_config *c, struct bench_subject *s)
{
    *s = (struct bench_subject){ .device = d, .step = mode == BENCH_TRAIN ? train_step : infer_step };
    brume_status st;
    if (mode == BENCH_TRAIN) {
        if ((st = brume_trainer_new(d, c, NULL, &s->trainer)) == BRUME_OK) s->plan = brume_trainer_plan(s->trainer);
        if (st == BRUME_OK) brume_trainer_get_stats(s->trainer, &s->stats);
    } else if ((st = open_denoiser(c, s)) == BRUME_OK) {
        s->plan = brume_unet2d_denoiser_plan(s->denoiser);
    }
    return st;
}

void bench_subject_free(struct bench_subject *s)
{
    if (s->graph) brume_plan_free(s->plan); /* the others own theirs */
    brume_graph_free(s->graph);
    brume_buffer_free(s->x);
    brume_buffer_free(s->out);
    brume_unet2d_denoiser_free(s->denoiser);
    brume_trainer_free(s->trainer);
    brume_latent_coder_free(s->coder);
    free(s->latents);
    free(s->pictures);
    *s = (struct bench_subject){ 0 };
}
