/* SPDX-License-Identifier: MIT
 * The loss on images that training does not see. */
#ifndef BRUME_TRAIN_VALIDATION_H
#define BRUME_TRAIN_VALIDATION_H

#include "brume/train.h"

enum { BRUME_VALIDATION_BINS = 10 };

/* loss: mean over all images, by the training's weighting, times spread evenly; by_time: over each tenth of the way from clean to
 * noise, NaN: no image there. */
struct brume_validation_result { double loss, by_time[BRUME_VALIDATION_BINS]; int64_t images; };
struct brume_validation;

/* For at most `images` of data, which must be like those of training and outlive it. */
brume_status brume_validation_new(struct brume_trainer *t, const brume_dataset *data, int64_t images,
                                  struct brume_validation **out);
void brume_validation_free(struct brume_validation *v);
brume_status brume_validation_run(struct brume_validation *v, struct brume_validation_result *r);

#endif
