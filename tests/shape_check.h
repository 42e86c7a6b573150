/* SPDX-License-Identifier: MIT
 * What a picture in the manner of shapes-text shows: its figures are found, measured and compared with a prompt. Knows nothing of
 * the generator but the names, colours and outlines that belong to the words. */
#ifndef TESTS_SHAPE_CHECK_H
#define TESTS_SHAPE_CHECK_H

#include <stdint.h>

enum { SHAPE_CHECK_MOST = 8 };

struct seen_figure {
    const char *colour, *shape;
    double x, y, radius; /* in parts of the side */
};

/* Figures of a picture (size, size, 3) in [-1, 1], the largest first; returns their number. At most 64 x 64 pixels. */
int shape_check_see(const float *hwc, int size, struct seen_figure *out);

struct wanted { int figures, axis, swapped; char colour[2][16], shape[2][16]; };

/* Takes "a small red circle left of a blue square" apart; 0 if it is no such text. */
int shape_check_parse(const char *prompt, struct wanted *w);

/* Bits of an answer: as many figures, each of a wanted colour and shape; and where the prompt says. */
enum { SHAPE_CHECK_FIGURES = 1, SHAPE_CHECK_PLACES = 2 };
int shape_check_judge(const struct wanted *w, const struct seen_figure *seen, int n);

#endif
