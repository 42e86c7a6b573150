/* SPDX-License-Identifier: MIT
 * Inside of a trainer, shared by step, checkpoint and preview. */
#ifndef BRUME_TRAIN_TRAINER_H
#define BRUME_TRAIN_TRAINER_H

#include "brume/train.h"

struct brume_trainer {
    brume_device *device;
    brume_train_config config;
    const brume_dataset *data;
    brume_loader *loader;
    brume_graph *graph;
    brume_plan *plan;
    /* inputs of a step */
    brume_tensor x0, t, t_index, labels, seeds, step, hyper, max_norm, ema_decay, table;
    /* state */
    brume_tensor params, m, v, ema;
    /* results */
    brume_tensor loss, grad_norm;
    int64_t n_params, done;
    /* host copies of a batch */
    float *images, *times;
    int64_t *classes, *seed_values;
    int32_t *time_index, *label_values;
};

/* The shape of a batch of n images. */
brume_shape brume_trainer_image_shape(const struct brume_trainer *t, int64_t n);
/* preview.c: draws count images of the EMA model (classes in turn) into a PNG. */
brume_status brume_trainer_preview(struct brume_trainer *t, int32_t count, double guidance, const char *path);

#endif
