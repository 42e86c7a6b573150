/* SPDX-License-Identifier: MIT
 * Pictures of the two processes: the way of some images from noise to picture, and the forward process. */
#ifndef BRUME_CLI_STRIPS_H
#define BRUME_CLI_STRIPS_H

#include <stdint.h>

#include "brume/device.h"
#include "brume/sampler.h"
#include "view.h"

/* States of the first images of a batch at moments spread over the run; row = image, column = moment. */
struct strip {
    const struct view *view; /* NULL: none is wanted */
    int64_t rows, columns, filled;
    float *cells; /* (rows, columns, h, w, c): states */
};

brume_status strip_begin(struct strip *s, const struct view *v, int64_t rows, int64_t columns);
/* Keeps the state of a complete step, or the estimate of x0, in the columns whose moment has come. */
brume_status strip_observe(struct strip *s, const brume_sampler_event *e, int x0);
brume_status strip_picture(const struct strip *s, brume_image **out);
void strip_free(struct strip *s);

/* x = a x0 + s eps of n states at `columns` levels from the image itself to the prior, the same eps in a row; shown with unit
 * variance. */
brume_status strip_forward(const brume_process *process, const struct view *v, const float *x0, const int64_t *seeds, int64_t n,
                           int64_t columns, brume_image **out);

#endif
