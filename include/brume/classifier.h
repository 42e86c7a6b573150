/* SPDX-License-Identifier: MIT
 * Classifiers of noisy images: what class an image probably has, and how it would have to change to have it (Dhariwal & Nichol
 * 2021). They are model folders whose config.json has the class "BrumeNoisyClassifier" (brume train --task classifier). */
#ifndef BRUME_CLASSIFIER_H
#define BRUME_CLASSIFIER_H

#include "brume/api.h"
#include "brume/model.h"

BRUME_API_BEGIN

/** A classifier planned for a batch on a device. */
typedef struct brume_classifier brume_classifier;

/**
 * Plans the classifier m for images (N, H, W, C) on device d, which must outlive it; m may be freed. BRUME_E_ARG: m is no
 * classifier. labels: N classes y of the gradient, or NULL for 0; copied.
 */
brume_status brume_classifier_new(brume_device *d, const brume_model *m, brume_shape images, const int32_t *labels,
                                  brume_classifier **out);
void brume_classifier_free(brume_classifier *c);
int32_t brume_classifier_classes(const brume_classifier *c);
/** Other classes for the gradient. BRUME_E_ARG names one that does not exist. */
brume_status brume_classifier_set_labels(brume_classifier *c, const int32_t *labels);

/**
 * ln p(k | x) of N images x = a x0 + s eps at a level, for all classes k: (N, classes) into log_p. The level may be that of
 * another process than the classifier was trained with: it sees x scaled to the signal that its own process has at this s / a. a
 * = 1, s = 0: clean images.
 */
brume_status brume_classifier_log_p(brume_classifier *c, brume_buffer *x, const brume_level *level, float *log_p);
/** What the last layer reads, of N images at a level likewise: (N, brume_classifier_width()) into features. */
brume_status brume_classifier_features(brume_classifier *c, brume_buffer *x, const brume_level *level, float *features);
int64_t brume_classifier_width(const brume_classifier *c);
/** d ln p(y | x) / dx, at levels likewise, for brume_sampler_input; scale 1. Owned by c. */
const brume_classifier_gradient *brume_classifier_get_gradient(const brume_classifier *c);

BRUME_API_END

#endif
