/* SPDX-License-Identifier: MIT
 * Points of the plane drawn: samples, their way from noise, and the score field of the model. */
#ifndef BRUME_CLI_PLANE_H
#define BRUME_CLI_PLANE_H

#include "brume/image.h"
#include "brume/sampler.h"
#include "drawing.h"

/* 1 if the model's "images" are points: 1 x 1 pixel with 2 channels. */
int plane_is(const struct drawing *d);

/* All drawn points, coloured by class, as SVG or PNG by the name of the file. */
brume_status plane_scatter(const struct drawing *d, const char *path);

/* What a run is watched for. */
struct plane_watch {
    int64_t points, columns, filled, paths, moments, room;
    float *panels;       /* (columns, points, 2): states at moments of the run, with unit variance at the noisy end */
    float *tracks;       /* (moments, paths, 2): every state of the first points */
    brume_film *film;
    int centiseconds;
    const char *strip, *trajectories;
};
brume_status plane_watch_begin(struct plane_watch *w, const struct drawing *d);
brume_status plane_watch_observe(struct plane_watch *w, const struct drawing *d, const brume_sampler_event *e);
/* Writes what was asked for. */
brume_status plane_watch_end(struct plane_watch *w, const struct drawing *d);
void plane_watch_free(struct plane_watch *w);

/* Arrows of the model's score (over samples) at `columns` levels from noise to data. */
brume_status plane_field(const struct drawing *d, const char *path, int64_t columns);

#endif
