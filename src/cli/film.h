/* SPDX-License-Identifier: MIT
 * The film of a denoising: at every step the states of some images beside their estimates of x0. */
#ifndef BRUME_CLI_FILM_H
#define BRUME_CLI_FILM_H

#include "brume/image.h"
#include "brume/sampler.h"

struct film {
    brume_film *gif;       /* NULL: no film is wanted */
    int64_t images, h, w, c;
    int centiseconds;
    float *cells;          /* images states, then images estimates */
};

/* The first `images` of a batch, each shown for ms milliseconds. */
brume_status film_begin(struct film *f, const char *path, int64_t images, int64_t h, int64_t w, int64_t c, int ms);
brume_status film_observe(struct film *f, const brume_sampler_event *e);
/* Writes the file; the last picture stays for two seconds. */
brume_status film_end(struct film *f);
void film_free(struct film *f);

#endif
