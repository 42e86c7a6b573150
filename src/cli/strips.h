/* SPDX-License-Identifier: MIT
 * Pictures of the two processes: the way of some images from noise to picture, and the forward process. */
#ifndef BRUME_CLI_STRIPS_H
#define BRUME_CLI_STRIPS_H

#include <stdint.h>

#include "brume/device.h"
#include "brume/schedule.h"

/* States of the first images of a batch at moments spread over the run; row = image, column = moment. */
struct strip {
    int wanted;
    int64_t rows, columns, h, w, c;
    float *cells; /* (rows, columns, h, w, c) */
};

brume_status strip_begin(struct strip *s, int64_t rows, int64_t columns, int64_t h, int64_t w, int64_t c);
/* Keeps the state if step i of n is one of the moments. */
brume_status strip_observe(struct strip *s, int32_t i, int32_t n, brume_buffer *x);
brume_status strip_write(const struct strip *s, const char *path);
void strip_free(struct strip *s);

/* x_t = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps of n images (h, w, c) at `columns` times from none to T - 1, the same eps in a row. */
brume_status strip_forward(const brume_schedule *schedule, const float *x0, const int64_t *seeds, int64_t n, int64_t h, int64_t w, int64_t c,
                           int64_t columns, const char *path);

#endif
