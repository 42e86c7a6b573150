/* SPDX-License-Identifier: MIT
 * The built-in data set: one figure on a shaded background. Item i is drawn from the random numbers of (seed, i). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "brume/rng.h"
#include "data/dataset.h"
#include "data/figures.h"

enum { SIZES = 3 };

static const struct {
    const char *name;
    float radius; /* of the circle around the shape, in parts of the picture's side */
} sizes[SIZES] = { { "small", 0.15f }, { "medium-sized", 0.22f }, { "large", 0.31f } };

static const char *const places[3][3] = {
    { "at the top left", "at the top", "at the top right" },
    { "at the left", "in the centre", "at the right" },
    { "at the bottom left", "at the bottom", "at the bottom right" },
};

struct picture {
    int size, row, column;
    struct brume_figure f;
    struct brume_ground ground;
};

struct shapes {
    uint64_t seed;
};

static float between(brume_rng *r, float lo, float hi) { return lo + (hi - lo) * brume_rng_uniform(r); }

static struct picture describe(const struct shapes *st, int64_t i)
{
    brume_rng r = { .seed = brume_seed_mix(st->seed, (uint64_t)i) };
    struct picture p = { .f.shape = (int)(i % BRUME_FIGURES) }; /* balanced */
    p.f.colour = (int)brume_rng_below(&r, BRUME_COLOURS);
    p.size = (int)brume_rng_below(&r, SIZES);
    p.row = (int)brume_rng_below(&r, 3);
    p.column = (int)brume_rng_below(&r, 3);
    p.f.radius = sizes[p.size].radius * between(&r, 0.92f, 1.08f);
    /* The shape stays inside: its centre moves within what is left of the picture, near a third of it. */
    const float room = 1 - 2 * p.f.radius;
    p.f.x = p.f.radius + room * (0.44f * (float)p.column + between(&r, 0, 0.12f));
    p.f.y = p.f.radius + room * (0.44f * (float)p.row + between(&r, 0, 0.12f));
    const float t = between(&r, -0.11f, 0.11f); /* tangent of half the angle: up to 12 degrees to either side */
    p.f.cos = (1 - t * t) / (1 + t * t);
    p.f.sin = 2 * t / (1 + t * t);
    const float level = brume_luma(brume_figure_colours[p.f.colour].rgb);
    float shade = brume_rng_below(&r, 2) ? between(&r, 0.74f, 0.94f) : between(&r, 0.04f, 0.22f);
    if (fabsf(shade - level) < 0.30f) shade = level > 0.5f ? 0.10f : 0.86f; /* shape and ground must differ in grey as well */
    const float slope = between(&r, -0.06f, 0.06f);
    for (int c = 0; c < 3; c++) {
        const float tint = between(&r, -0.05f, 0.05f);
        p.ground.top[c] = fminf(fmaxf(shade + tint - slope, 0), 1);
        p.ground.bottom[c] = fminf(fmaxf(shade + tint + slope, 0), 1);
    }
    return p;
}

static brume_status get(const brume_dataset *ds, int64_t i, float *hwc, int32_t *label)
{
    const struct picture p = describe(ds->state, i);
    if (label) *label = p.f.shape;
    if (hwc) brume_figures_draw(&p.f, 1, &p.ground, ds->width, ds->channels, hwc);
    return BRUME_OK;
}

static void caption(const brume_dataset *ds, int64_t i, char *text, size_t bytes)
{
    const struct picture p = describe(ds->state, i);
    const int grey = ds->channels == 1;
    snprintf(text, bytes, "a %s %s%s%s %s", sizes[p.size].name, grey ? "" : brume_figure_colours[p.f.colour].name,
             grey ? "" : " ", brume_figure_names[p.f.shape], places[p.row][p.column]);
}

static const char *class_name(const brume_dataset *ds, int32_t k)
{
    (void)ds;
    return brume_figure_names[k];
}

static void release(brume_dataset *ds) { free(ds->state); }

static const struct brume_dataset_kind kind = { .name = "shapes", .get = get, .caption = caption,
                                                .class_name = class_name, .free = release };

brume_status brume_shapes_open(const brume_dataset_options *o, brume_dataset *ds)
{
    const int32_t size = o->size ? o->size : 32, channels = o->channels ? o->channels : 3;
    if (size < 8 || size > 1024) return brume_fail(BRUME_E_ARG, "data set 'shapes': size %d, expected 8 to 1024 pixels", size);
    if (channels != 1 && channels != 3)
        return brume_fail(BRUME_E_ARG, "data set 'shapes': %d channels, expected 1 or 3", channels);
    struct shapes *st = malloc(sizeof *st);
    if (!st) return brume_fail(BRUME_E_MEMORY, "data set 'shapes': no memory");
    st->seed = brume_seed_mix(o->seed, o->test ? 1 : 0);
    *ds = (brume_dataset){ .kind = &kind,
                           .count = o->count ? o->count : 8192,
                           .height = size,
                           .width = size,
                           .channels = channels,
                           .classes = BRUME_FIGURES,
                           .state = st };
    return BRUME_OK;
}
