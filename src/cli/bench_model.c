/* SPDX-License-Identifier: MIT
 * Subjects of brume bench that are whole models: a training step, an evaluation of the network. */
#include <stdlib.h>

#include "bench.h"
#include "brume/model.h"
#include "brume/params.h"

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
    const size_t bytes = (size_t)brume_shape_numel(shape) * sizeof(float);
    int32_t *labels = calloc((size_t)c->batch, sizeof *labels);
    float *zeros = calloc(1, bytes);
    const brume_unet2d_denoiser_options o = { .labels = u->class_embed_type == BRUME_CLASS_TABLE ? labels : NULL, .guidance.scale = 1, .storage = c->storage };
    brume_status st = labels && zeros ? brume_model_new(u, NULL, c->seed, &s->model) : BRUME_E_MEMORY;
    if (st == BRUME_OK) st = brume_unet2d_denoiser_new(s->device, u, s->model->params, shape, &o, &s->denoiser);
    if (s->model) brume_model_drop_params(s->model);
    if (st == BRUME_OK) st = brume_buffer_new(s->device, bytes, &s->x);
    if (st == BRUME_OK) st = brume_buffer_new(s->device, bytes / (size_t)u->in_channels * (size_t)u->out_channels, &s->out);
    if (st == BRUME_OK) st = brume_buffer_write(s->x, 0, zeros, bytes);
    free(labels);
    free(zeros);
    return st;
}

brume_status bench_model(brume_device *d, int mode, const brume_train_config *c, struct bench_subject *s)
{
    *s = (struct bench_subject){ .device = d, .step = mode == BENCH_TRAIN ? train_step : infer_step };
    brume_status st;
    if (mode == BENCH_TRAIN) {
        if ((st = brume_trainer_new(d, c, NULL, &s->trainer)) == BRUME_OK) s->plan = brume_trainer_plan(s->trainer);
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
    brume_model_free(s->model);
    brume_trainer_free(s->trainer);
}
