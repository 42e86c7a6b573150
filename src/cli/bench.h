/* SPDX-License-Identifier: MIT
 * What brume bench measures, and with which clock: shared by "bench" and "bench ops". */
#ifndef BRUME_CLI_BENCH_H
#define BRUME_CLI_BENCH_H

#include <stdint.h>

#include "brume/graph.h"
#include "brume/model.h"
#include "brume/plan.h"
#include "brume/train.h"
#include "report.h"

/* Milliseconds, in the order of measuring until bench_sort(). */
struct bench_times { double *ms; int n, cap; };

double bench_now_ms(void);
brume_status bench_add(struct bench_times *t, double ms);
void bench_sort(struct bench_times *t);
/* Of sorted times: the middle one. */
double bench_median(const struct bench_times *t);

enum { BENCH_INFER, BENCH_TRAIN };

/* What is run: a training step, one evaluation of a network, or one operator. */
struct bench_subject {
    brume_device *device;
    brume_plan *plan;            /* NULL: several */
    brume_plan_stats stats;
    brume_status (*step)(struct bench_subject *s); /* runs it once and waits */
    brume_trainer *trainer;
    brume_unet2d_denoiser *denoiser;
    brume_graph *graph;          /* of one operator, or a text encoder */
    brume_buffer *x, *out;
    brume_latent_coder *coder;   /* decodes that many */
    int64_t images;
    float *latents, *pictures;
};

/* A training step (batch and seed from c) or an evaluation of a network with fresh weights. Free it also after an error. */
brume_status bench_model(brume_device *d, int mode, const brume_train_config *c, struct bench_subject *s);

/* Parts of a pipeline with fresh weights, to be freed likewise. limit: bytes of activations that decoding may take; 0: none. */
brume_status bench_text_encoder(brume_device *d, const brume_text_encoder_config *c, int64_t batch, uint64_t seed,
                                struct bench_subject *s);
brume_status bench_decoder(brume_device *d, const brume_autoencoder_config *c, int64_t batch, int64_t size, uint64_t limit,
                           uint64_t seed, struct bench_subject *s);

/* One operator: forward with weights that are packed once (infer), or forward and gradients by all inputs (train). */
struct bench_op { const char *name, *shapes; int64_t stride, groups, heads; };
brume_status bench_op(brume_device *d, int mode, const struct bench_op *o, struct bench_subject *s);
/* NULL if name and shapes are right, else what was expected. bench_op() needs them right. */
const char *bench_op_expected(const struct bench_op *o);
/* Names of the operators and what their shapes are, for the help: "conv2d N,H,W,I:kh,kw,I,O". NULL past the end. */
const char *bench_op_usage(int i);

void bench_subject_free(struct bench_subject *s);

#endif
