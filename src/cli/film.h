/* SPDX-License-Identifier: MIT
 * The film of a denoising: at every step the states of some images beside their estimates of x0. */
#ifndef BRUME_CLI_FILM_H
#define BRUME_CLI_FILM_H

#include "brume/sampler.h"
#include "view.h"

struct film {
    brume_film *gif;       /* NULL: no film is wanted */
    const struct view *view;
    int64_t images;
    int centiseconds;
    float *cells;          /* images states, then images estimates */
};

/* The first `images` of a batch, each shown for ms milliseconds. */
brume_status film_begin(struct film *f, const char *path, const struct view *v, int64_t images, int ms);
brume_status film_observe(struct film *f, const brume_sampler_event *e);
/* Writes the file; the last picture stays for two seconds. */
brume_status film_end(struct film *f);
void film_free(struct film *f);

#endif
