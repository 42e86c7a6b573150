/* SPDX-License-Identifier: MIT
 * A small canvas for plots: discs, lines and text, written as SVG, or painted into a picture (without text) for PNG and films. */
#ifndef BRUME_CLI_CANVAS_H
#define BRUME_CLI_CANVAS_H

#include "brume/image.h"

struct canvas {
    int32_t width, height;
    brume_image *image;  /* painted on, or NULL */
    char *svg;           /* text so far, or NULL */
    size_t used, room;
    int failed;          /* out of memory */
};

struct colour { uint8_t r, g, b; float alpha; };

/* vector 1: SVG, else a picture. White ground. */
brume_status canvas_begin(struct canvas *c, int32_t width, int32_t height, int vector);
void canvas_disc(struct canvas *c, double x, double y, double radius, struct colour colour);
void canvas_line(struct canvas *c, double x0, double y0, double x1, double y1, double width, struct colour colour);
/* A line with a head at (x1, y1). */
void canvas_arrow(struct canvas *c, double x0, double y0, double x1, double y1, double width, struct colour colour);
/* SVG only: pictures have no letters. */
void canvas_text(struct canvas *c, double x, double y, double size, const char *text);
/* A rectangle's outline. */
void canvas_frame(struct canvas *c, double x, double y, double width, double height, struct colour colour);
/* Writes the file, whole or not at all; ".svg" must have been begun as vector. */
brume_status canvas_write(struct canvas *c, const char *path);
void canvas_free(struct canvas *c);
/* 1 for a path that ends in ".svg". */
int canvas_is_vector(const char *path);

#endif
