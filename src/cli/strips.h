/* SPDX-License-Identifier: MIT
 * Pictures of the two processes: the way of some images from noise to picture, and the forward process. */
#ifndef BRUME_CLI_STRIPS_H
#define BRUME_CLI_STRIPS_H

#include <stdint.h>

#include "brume/device.h"
#include "brume/image.h"
#include "brume/sampler.h"

/* States of the first images of a batch at moments spread over the run; row = image, column = moment. */
struct strip {
    int wanted;
    int64_t rows, columns, h, w, c, filled;
    float *cells; /* (rows, columns, h, w, c) */
};

brume_status strip_begin(struct strip *s, int64_t rows, int64_t columns, int64_t h, int64_t w, int64_t c);
/* Keeps the state of a complete step, or the estimate of x0, in the columns whose moment has come. */
brume_status strip_observe(struct strip *s, const brume_sampler_event *e, int x0);
brume_status strip_picture(const struct strip *s, brume_image **out);
void strip_free(struct strip *s);

/* x = a x0 + s eps of n images (h, w, c) at `columns` levels from the image itself to the prior, the same eps in a row; shown with unit variance. */
brume_status strip_forward(const brume_process *process, const float *x0, const int64_t *seeds, int64_t n, int64_t h, int64_t w, int64_t c,
                           int64_t columns, brume_image **out);

#endif
