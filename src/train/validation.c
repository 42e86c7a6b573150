/* SPDX-License-Identifier: MIT
 * The loss on images that training does not see, by the averaged weights: always the same images, noise and times, so that
 * numbers of different steps can be compared. Works in the arena of the training step; training has the same bits with and
 * without. */
#include "train/validation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/rng.h"
#include "train/trainer.h"

struct brume_validation {
    struct brume_trainer *twin;
    uint64_t seed;
    int64_t n;       /* images */
    float *losses;   /* of a part */
};

brume_status brume_validation_new(struct brume_trainer *t, const brume_dataset *data, int64_t images,
                                  struct brume_validation **out)
{
    *out = NULL;
    const int64_t n = images < brume_dataset_count(data) ? images : brume_dataset_count(data);
    if (n < 1) return brume_fail(BRUME_E_ARG, "validation: there are no images");
    if (t->data && (brume_dataset_height(data) != brume_dataset_height(t->data) ||
                    brume_dataset_width(data) != brume_dataset_width(t->data) ||
                    brume_dataset_channels(data) != brume_dataset_channels(t->data) ||
                    brume_dataset_classes(data) != brume_dataset_classes(t->data)))
        return brume_fail(BRUME_E_SHAPE, "validation: its images are %dx%dx%d of %d classes, those of training %dx%dx%d of %d",
                          brume_dataset_width(data), brume_dataset_height(data), brume_dataset_channels(data),
                          brume_dataset_classes(data), brume_dataset_width(t->data), brume_dataset_height(t->data),
                          brume_dataset_channels(t->data), brume_dataset_classes(t->data));
    brume_status s = t->config.text.tokenizer ? brume_dataset_check_captions(data) : BRUME_OK;
    if (s != BRUME_OK) return brume_fail_in(s, "validation");
    struct brume_validation *v = calloc(1, sizeof *v);
    const int32_t part = n < t->part ? (int32_t)n : t->part;
    if (v) v->losses = malloc((size_t)part * sizeof *v->losses);
    if (!v || !v->losses) {
        free(v);
        return brume_fail(BRUME_E_MEMORY, "validation: out of memory");
    }
    v->n = n;
    v->seed = brume_seed_mix(t->config.seed, UINT64_MAX); /* no example of training has that number */
    if ((s = brume_trainer_twin(t, data, part, &v->twin)) == BRUME_OK) *out = v;
    else brume_validation_free(v);
    return s == BRUME_OK ? s : brume_fail_in(s, "validation");
}

void brume_validation_free(struct brume_validation *v)
{
    if (!v) return;
    brume_trainer_twin_free(v->twin);
    free(v->losses);
    free(v);
}

/* Cross-entropy of each image, from the logits. */
static brume_status classifier_losses(struct brume_validation *v)
{
    struct brume_trainer *x = v->twin;
    const int32_t classes = x->config.unet.out_channels;
    const brume_status s =
        brume_plan_read(x->plan, x->logits, x->logit_values, (size_t)x->part * (size_t)classes * sizeof *x->logit_values);
    for (int32_t i = 0; s == BRUME_OK && i < x->part; i++) {
        const float *logit = x->logit_values + (int64_t)i * classes;
        double most = (double)logit[0], sum = 0;
        for (int32_t k = 1; k < classes; k++) most = fmax(most, (double)logit[k]);
        for (int32_t k = 0; k < classes; k++) sum += exp((double)logit[k] - most);
        v->losses[i] = (float)(log(sum) + most - (double)logit[x->label_values[i]]);
    }
    return s;
}

/* Losses of images `first` and on; image i has a time of its own in stretch i of n. */
static brume_status run_part(struct brume_validation *v, int64_t first, double *part_of_way)
{
    struct brume_trainer *x = v->twin;
    brume_status s = brume_trainer_read_images(x, first);
    for (int32_t i = 0; s == BRUME_OK && i < x->part; i++) {
        const uint64_t seed = brume_seed_mix(v->seed, (uint64_t)(first + i));
        brume_rng r = { .seed = seed, .stream = BRUME_STREAM_TRAIN_TIME };
        part_of_way[i] = ((double)((first + i) % v->n) + ((double)brume_rng_u32(&r) + 0.5) * 0x1p-32) / (double)v->n;
        s = brume_trainer_set_example(x, i, seed, brume_time_sampler_at(x->time_sampler, part_of_way[i]), 1, false);
    }
    if (s == BRUME_OK) s = brume_trainer_write_inputs(x, 0);
    if (s == BRUME_OK) s = brume_plan_run(x->plan);
    if (s != BRUME_OK) return s;
    return brume_trainer_classifies(&x->config)
               ? classifier_losses(v)
               : brume_plan_read(x->plan, x->loss.weighted, v->losses, (size_t)x->part * sizeof *v->losses);
}

brume_status brume_validation_run(struct brume_validation *v, struct brume_validation_result *r)
{
    const int32_t part = v->twin->part;
    int64_t seen[BRUME_VALIDATION_BINS] = { 0 };
    double *way = malloc((size_t)part * sizeof *way);
    brume_status s = way ? BRUME_OK : brume_fail(BRUME_E_MEMORY, "validation: out of memory");
    *r = (struct brume_validation_result){ .images = v->n };
    for (int64_t first = 0; s == BRUME_OK && first < v->n; first += part) {
        if ((s = run_part(v, first, way)) != BRUME_OK) break;
        for (int64_t i = 0; i < part && first + i < v->n; i++) {
            const int bin = (int)fmin(way[i] * BRUME_VALIDATION_BINS, BRUME_VALIDATION_BINS - 1);
            r->loss += (double)v->losses[i];
            r->by_time[bin] += (double)v->losses[i];
            seen[bin]++;
        }
    }
    r->loss /= (double)v->n;
    for (int k = 0; k < BRUME_VALIDATION_BINS; k++) r->by_time[k] = seen[k] ? r->by_time[k] / (double)seen[k] : NAN;
    free(way);
    return s;
}
