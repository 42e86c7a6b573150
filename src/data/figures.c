/* SPDX-License-Identifier: MIT
 * Drawing of the built-in data sets: anti-aliased figures on a shaded ground. Only + - * / and sqrt are used, so that pixels are
 * the same on every machine. */
#include "data/figures.h"

#include <math.h>

const char *const brume_figure_names[BRUME_FIGURES] = { "circle", "square", "triangle", "cross", "ring", "star" };

const struct brume_figure_colour brume_figure_colours[BRUME_COLOURS] = {
    { "red", { 0.86f, 0.14f, 0.14f } },  { "orange", { 0.98f, 0.55f, 0.08f } }, { "yellow", { 0.97f, 0.88f, 0.16f } },
    { "green", { 0.13f, 0.63f, 0.22f } }, { "cyan", { 0.15f, 0.80f, 0.85f } }, { "blue", { 0.13f, 0.27f, 0.85f } },
    { "purple", { 0.50f, 0.16f, 0.65f } }, { "pink", { 0.98f, 0.55f, 0.75f } },
};

enum { MAX_CORNERS = 12 };

/* Corners within the unit circle, y downwards; the star's inner radius is sin 18 / sin 126 = 0.381966. */
static const struct {
    int n;
    float xy[MAX_CORNERS][2];
} polygons[BRUME_FIGURES] = {
    [BRUME_SQUARE] = { 4, { { -0.80f, -0.80f }, { 0.80f, -0.80f }, { 0.80f, 0.80f }, { -0.80f, 0.80f } } },
    [BRUME_TRIANGLE] = { 3, { { 0, -1 }, { 0.866025f, 0.5f }, { -0.866025f, 0.5f } } },
    [BRUME_CROSS] = { 12, { { -0.3f, -0.95f }, { 0.3f, -0.95f }, { 0.3f, -0.3f }, { 0.95f, -0.3f }, { 0.95f, 0.3f },
                            { 0.3f, 0.3f }, { 0.3f, 0.95f },
                      { -0.3f, 0.95f }, { -0.3f, 0.3f }, { -0.95f, 0.3f }, { -0.95f, -0.3f }, { -0.3f, -0.3f } } },
    [BRUME_STAR] = { 10, { { 0, -1 }, { 0.224514f, -0.309017f }, { 0.951057f, -0.309017f }, { 0.363271f, 0.118034f },
                           { 0.587785f, 0.809017f },
                     { 0, 0.381966f }, { -0.587785f, 0.809017f }, { -0.363271f, 0.118034f }, { -0.951057f, -0.309017f },
                     { -0.224514f, -0.309017f } } },
};

/* Signed distance of (x, y) from a polygon, negative inside (even-odd rule). */
static float polygon_distance(const float (*v)[2], int n, float x, float y)
{
    float best = 1e30f;
    int inside = 0;
    for (int i = 0, j = n - 1; i < n; j = i++) {
        const float ex = v[j][0] - v[i][0], ey = v[j][1] - v[i][1], px = x - v[i][0], py = y - v[i][1];
        const float t = fminf(fmaxf((px * ex + py * ey) / (ex * ex + ey * ey), 0), 1), dx = px - t * ex, dy = py - t * ey;
        best = fminf(best, dx * dx + dy * dy);
        if ((v[i][1] > y) != (v[j][1] > y) && px < ex * py / ey) inside = !inside;
    }
    return inside ? -sqrtf(best) : sqrtf(best);
}

/* Distance in units of the shape's radius, negative inside. */
static float distance(int shape, float x, float y)
{
    if (shape == BRUME_CIRCLE) return sqrtf(x * x + y * y) - 1;
    if (shape == BRUME_RING) return fabsf(sqrtf(x * x + y * y) - 0.78f) - 0.22f;
    return polygon_distance(polygons[shape].xy, polygons[shape].n, x, y);
}

/* How much of a pixel, whose centre is (x, y), the figure covers. */
static float cover(const struct brume_figure *f, float side, float x, float y)
{
    const float radius = f->radius * side, dx = (x - f->x * side) / radius, dy = (y - f->y * side) / radius;
    if (!(fabsf(dx) * radius < radius + 1 && fabsf(dy) * radius < radius + 1)) return 0;
    const float d = distance(f->shape, f->cos * dx + f->sin * dy, f->cos * dy - f->sin * dx) * radius; /* in pixels */
    return fminf(fmaxf(0.5f - d, 0), 1);
}

float brume_luma(const float rgb[3]) { return 0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2]; }

void brume_figures_draw(const struct brume_figure *figures, int n, const struct brume_ground *ground, int32_t size,
                        int32_t channels, float *hwc)
{
    const float side = (float)size;
    for (int32_t row = 0; row < size; row++)
        for (int32_t col = 0; col < size; col++, hwc += channels) {
            const float part = ((float)row + 0.5f) / side;
            float rgb[3];
            for (int c = 0; c < 3; c++) rgb[c] = ground->top[c] + (ground->bottom[c] - ground->top[c]) * part;
            for (int k = 0; k < n; k++) {
                const float f = cover(&figures[k], side, (float)col + 0.5f, (float)row + 0.5f),
                            *colour = brume_figure_colours[figures[k].colour].rgb;
                for (int c = 0; c < 3; c++) rgb[c] += (colour[c] - rgb[c]) * f;
            }
            for (int c = 0; c < 3; c++) rgb[c] = 2 * rgb[c] - 1;
            if (channels == 1) hwc[0] = brume_luma(rgb);
            else for (int c = 0; c < 3; c++) hwc[c] = rgb[c];
        }
}
