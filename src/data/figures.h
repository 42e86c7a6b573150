/* SPDX-License-Identifier: MIT
 * Figures of the built-in data sets: shapes, colours, and how they are drawn. */
#ifndef BRUME_DATA_FIGURES_H
#define BRUME_DATA_FIGURES_H

#include <stdint.h>

enum { BRUME_CIRCLE, BRUME_SQUARE, BRUME_TRIANGLE, BRUME_CROSS, BRUME_RING, BRUME_STAR, BRUME_FIGURES };
enum { BRUME_COLOURS = 8 };

extern const char *const brume_figure_names[BRUME_FIGURES];

struct brume_figure_colour {
    const char *name;
    float rgb[3]; /* 0 .. 1 */
};
extern const struct brume_figure_colour brume_figure_colours[BRUME_COLOURS];

struct brume_figure {
    int shape, colour;
    float x, y, radius; /* of the circle around it; in parts of the picture's side, y downwards */
    float cos, sin;     /* rotation */
};

/* Shaded from top to bottom. */
struct brume_ground { float top[3], bottom[3]; };

float brume_luma(const float rgb[3]);
/* Draws n figures, each over those before, into hwc: (size, size, channels), in [-1, 1]; channels 1 or 3. */
void brume_figures_draw(const struct brume_figure *figures, int n, const struct brume_ground *ground, int32_t size,
                        int32_t channels, float *hwc);

#endif
