/* SPDX-License-Identifier: MIT
 * A sampler's inside: what is kept between runs. */
#ifndef BRUME_DIFFUSION_SAMPLER_H
#define BRUME_DIFFUSION_SAMPLER_H

#include "diffusion/job.h"
#include "diffusion/sampling.h"

struct brume_sampler {
    brume_device *device;
    const brume_sampler_kind *kind;
    brume_sampler_options options;                 /* its own copy; config and sections are the sampler's */
    brume_scheduler_config config;
    brume_process *process;
    struct brume_grid grid;
    int32_t *sections;
    int32_t first;                                 /* first step of a run from a given image */
    brume_shape shape;
    int64_t count, images;                         /* elements in all; N */
    struct brume_job combine[BRUME_SAMPLING_TERMS + 1]; /* by number of terms */
    struct brume_job clamped[3];                   /* x0 of 1 or 2 terms */
    struct brume_job start_noise, step_noise, norms, merge, ratio, learned[2][2];
    brume_buffer *spare, *m, *variance, *x0, *z, *scaled, *gradient, *norm;
    brume_buffer *reg[BRUME_SAMPLING_REGISTERS];
    float *host;                                   /* 2 x count values, for thresholding */
    brume_sampler_stats stats;                     /* of the last run */
};

/* brume_sampler_new() for a kind that need not be a row: whatever else goes along a grid asking the network */
brume_status brume_sampler_new_kind(brume_device *d, const brume_sampler_kind *kind, const brume_sampler_options *o,
                                    brume_shape shape, brume_sampler **out);
/* BRUME_E_SHAPE unless these are images (N, ...): none empty, and no more values than a graph's tensors may have */
brume_status brume_sampler_check_shape(brume_shape shape);
/* out = a buffer of a sampler's images, made at first use */
brume_status brume_sampler_buffer(struct brume_sampler *s, brume_buffer **b);
/* unit normal noise of every image into out */
brume_status brume_sampler_noise(struct brume_sampler *s, struct brume_job *j, const int64_t *seeds, int32_t step,
                                 uint32_t stream, brume_buffer *out);

#endif
