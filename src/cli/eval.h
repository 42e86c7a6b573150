/* SPDX-License-Identifier: MIT
 * brume eval: what it can be asked for, and the parts that answer. */
#ifndef BRUME_CLI_EVAL_H
#define BRUME_CLI_EVAL_H

#include "brume/data.h"
#include "brume/evaluate.h"
#include "brume/json.h"
#include "device_options.h"
#include "options.h"

enum eval_metric { EVAL_VLB = 1, EVAL_ODE = 2, EVAL_FID = 4, EVAL_KID = 8, EVAL_PRDC = 16, EVAL_CLASSES = 32,
                   EVAL_NEIGHBOURS = 64 };
#define EVAL_LIKELIHOODS (EVAL_VLB | EVAL_ODE)
#define EVAL_OF_FEATURES (EVAL_FID | EVAL_KID | EVAL_PRDC)

struct eval_args {
    struct cli_device device;
    const char *data, *weights;
    double ema;
    unsigned metrics;           /* 0: the likelihood that suits the model */
    int64_t n, batch, steps, seed;
    int train, json, quiet;
    /* likelihoods */
    int64_t probes;
    double tolerance;
    int variance, cdf, probe, conditional;
    /* samples */
    const char *features, *classifier, *samples, *sampler, *classes, *reference, *out;
    int64_t reference_n, kid_subsets, k;
    double guidance;
    int by_features;
};

/* Each returns CLI_DONE or the exit status after a message. folder: the model; of samples also NULL, where they are given. */
int eval_likelihood(const struct eval_args *a, const struct cli_usage *u, const char *folder);
int eval_samples(const struct eval_args *a, const struct cli_usage *u, const char *folder);

/* Is it the folder of a run, which keeps what was found? */
int eval_is_run(const char *folder);
/* Appends an object to the folder's training/evaluation.jsonl where the folder is a run's; json NULL: out of memory. */
brume_status eval_append(const char *folder, const char *json, int quiet);

/* Images (n, h, w, c) and the classes that they were drawn for, or NULL. */
struct eval_images { float *x; int32_t *labels; int64_t n, h, w, c; };

/*
 * The training images that are nearest to the samples, as a picture and numbers that go into w and (json 0) to stdout. f:
 * features to compare, or NULL: pixels.
 */
brume_status eval_neighbours(const struct eval_args *a, const struct eval_images *im, brume_feature_network *f,
                             const char *picture, brume_json_writer *w);

/*
 * How many of the images a classifier takes for what they were drawn as, and how many of as many real images (of ds, or NULL) it
 * gets right: what the former is worth. Figures go into w and (json 0) to stdout. CLI_GO_ON, or the exit status after a message.
 */
int eval_classes(const struct eval_args *a, const struct cli_usage *u, const struct eval_images *im, const brume_dataset *ds,
                 brume_device *device, brume_json_writer *w);

#endif
