/* SPDX-License-Identifier: MIT
 * The built-in data set: one anti-aliased shape on a shaded background. Item i is drawn from the random numbers of (seed, i); only
 * + - * / and sqrt are used, so that its pixels are the same on every machine. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "brume/rng.h"
#include "data/dataset.h"

enum { CIRCLE, SQUARE, TRIANGLE, CROSS, RING, STAR, CLASSES };
enum { COLOURS = 8, SIZES = 3, MAX_CORNERS = 12 };

static const char *const class_names[CLASSES] = { "circle", "square", "triangle", "cross", "ring", "star" };

static const struct {
    const char *name;
    float rgb[3];
} colours[COLOURS] = {
    { "red", { 0.86f, 0.14f, 0.14f } },  { "orange", { 0.98f, 0.55f, 0.08f } }, { "yellow", { 0.97f, 0.88f, 0.16f } }, { "green", { 0.13f, 0.63f, 0.22f } },
    { "cyan", { 0.15f, 0.80f, 0.85f } }, { "blue", { 0.13f, 0.27f, 0.85f } },   { "purple", { 0.50f, 0.16f, 0.65f } }, { "pink", { 0.98f, 0.55f, 0.75f } },
};

static const struct {
    const char *name;
    float radius; /* of the circle around the shape, in parts of the picture's side */
} sizes[SIZES] = { { "small", 0.15f }, { "medium-sized", 0.22f }, { "large", 0.31f } };

static const char *const places[3][3] = {
    { "at the top left", "at the top", "at the top right" },
    { "at the left", "in the centre", "at the right" },
    { "at the bottom left", "at the bottom", "at the bottom right" },
};

/* Corners within the unit circle, y downwards; the star's inner radius is sin 18 / sin 126 = 0.381966. */
static const struct {
    int n;
    float xy[MAX_CORNERS][2];
} polygons[CLASSES] = {
    [SQUARE] = { 4, { { -0.80f, -0.80f }, { 0.80f, -0.80f }, { 0.80f, 0.80f }, { -0.80f, 0.80f } } },
    [TRIANGLE] = { 3, { { 0, -1 }, { 0.866025f, 0.5f }, { -0.866025f, 0.5f } } },
    [CROSS] = { 12, { { -0.3f, -0.95f }, { 0.3f, -0.95f }, { 0.3f, -0.3f }, { 0.95f, -0.3f }, { 0.95f, 0.3f }, { 0.3f, 0.3f }, { 0.3f, 0.95f },
                      { -0.3f, 0.95f }, { -0.3f, 0.3f }, { -0.95f, 0.3f }, { -0.95f, -0.3f }, { -0.3f, -0.3f } } },
    [STAR] = { 10, { { 0, -1 }, { 0.224514f, -0.309017f }, { 0.951057f, -0.309017f }, { 0.363271f, 0.118034f }, { 0.587785f, 0.809017f },
                     { 0, 0.381966f }, { -0.587785f, 0.809017f }, { -0.363271f, 0.118034f }, { -0.951057f, -0.309017f }, { -0.224514f, -0.309017f } } },
};

struct picture {
    int shape, colour, size, row, column;
    float x, y, radius, cos, sin; /* in parts of the side; rotation */
    float top[3], bottom[3];      /* background, shaded from top to bottom */
};

struct shapes {
    uint64_t seed;
};

static float luma(const float rgb[3]) { return 0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2]; }

static float between(brume_rng *r, float lo, float hi) { return lo + (hi - lo) * brume_rng_uniform(r); }

static struct picture describe(const struct shapes *st, int64_t i)
{
    brume_rng r = { .seed = brume_seed_mix(st->seed, (uint64_t)i) };
    struct picture p = { .shape = (int)(i % CLASSES) }; /* balanced */
    p.colour = (int)brume_rng_below(&r, COLOURS);
    p.size = (int)brume_rng_below(&r, SIZES);
    p.row = (int)brume_rng_below(&r, 3);
    p.column = (int)brume_rng_below(&r, 3);
    p.radius = sizes[p.size].radius * between(&r, 0.92f, 1.08f);
    /* The shape stays inside: its centre moves within what is left of the picture, near a third of it. */
    const float room = 1 - 2 * p.radius;
    p.x = p.radius + room * (0.44f * (float)p.column + between(&r, 0, 0.12f));
    p.y = p.radius + room * (0.44f * (float)p.row + between(&r, 0, 0.12f));
    const float t = between(&r, -0.11f, 0.11f); /* tangent of half the angle: up to 12 degrees to either side */
    p.cos = (1 - t * t) / (1 + t * t);
    p.sin = 2 * t / (1 + t * t);
    const float level = luma(colours[p.colour].rgb);
    float shade = brume_rng_below(&r, 2) ? between(&r, 0.74f, 0.94f) : between(&r, 0.04f, 0.22f);
    if (fabsf(shade - level) < 0.30f) shade = level > 0.5f ? 0.10f : 0.86f; /* shape and ground must differ in grey as well */
    const float slope = between(&r, -0.06f, 0.06f);
    for (int c = 0; c < 3; c++) {
        const float tint = between(&r, -0.05f, 0.05f);
        p.top[c] = fminf(fmaxf(shade + tint - slope, 0), 1);
        p.bottom[c] = fminf(fmaxf(shade + tint + slope, 0), 1);
    }
    return p;
}

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
    if (shape == CIRCLE) return sqrtf(x * x + y * y) - 1;
    if (shape == RING) return fabsf(sqrtf(x * x + y * y) - 0.78f) - 0.22f;
    return polygon_distance(polygons[shape].xy, polygons[shape].n, x, y);
}

static brume_status get(const brume_dataset *ds, int64_t i, float *hwc, int32_t *label)
{
    const struct picture p = describe(ds->state, i);
    if (label) *label = p.shape;
    if (!hwc) return BRUME_OK;
    const float side = (float)ds->width, radius = p.radius * side;
    for (int32_t row = 0; row < ds->height; row++)
        for (int32_t col = 0; col < ds->width; col++, hwc += ds->channels) {
            const float dx = ((float)col + 0.5f - p.x * side) / radius, dy = ((float)row + 0.5f - p.y * side) / radius;
            float cover = 0;
            if (fabsf(dx) * radius < radius + 1 && fabsf(dy) * radius < radius + 1) {
                const float d = distance(p.shape, p.cos * dx + p.sin * dy, p.cos * dy - p.sin * dx) * radius; /* in pixels */
                cover = fminf(fmaxf(0.5f - d, 0), 1);
            }
            const float f = ((float)row + 0.5f) / side;
            float rgb[3];
            for (int c = 0; c < 3; c++) {
                const float ground = p.top[c] + (p.bottom[c] - p.top[c]) * f;
                rgb[c] = 2 * (ground + (colours[p.colour].rgb[c] - ground) * cover) - 1;
            }
            if (ds->channels == 1) hwc[0] = luma(rgb);
            else for (int c = 0; c < 3; c++) hwc[c] = rgb[c];
        }
    return BRUME_OK;
}

static void caption(const brume_dataset *ds, int64_t i, char *text, size_t bytes)
{
    const struct picture p = describe(ds->state, i);
    const int grey = ds->channels == 1;
    snprintf(text, bytes, "a %s %s%s%s %s", sizes[p.size].name, grey ? "" : colours[p.colour].name, grey ? "" : " ", class_names[p.shape],
             places[p.row][p.column]);
}

static const char *class_name(const brume_dataset *ds, int32_t k)
{
    (void)ds;
    return class_names[k];
}

static void release(brume_dataset *ds) { free(ds->state); }

static const struct brume_dataset_kind kind = { "shapes", get, caption, class_name, release };

brume_status brume_shapes_open(const brume_dataset_options *o, brume_dataset *ds)
{
    const int32_t size = o->size ? o->size : 32, channels = o->channels ? o->channels : 3;
    if (size < 8 || size > 1024) return brume_fail(BRUME_E_ARG, "data set 'shapes': size %d, expected 8 to 1024 pixels", size);
    if (channels != 1 && channels != 3) return brume_fail(BRUME_E_ARG, "data set 'shapes': %d channels, expected 1 or 3", channels);
    struct shapes *st = malloc(sizeof *st);
    if (!st) return brume_fail(BRUME_E_MEMORY, "data set 'shapes': no memory");
    st->seed = brume_seed_mix(o->seed, o->test ? 1 : 0);
    *ds = (brume_dataset){ &kind, o->count ? o->count : 8192, size, size, channels, CLASSES, st };
    return BRUME_OK;
}
