/* SPDX-License-Identifier: MIT
 * The built-in data set of pictures with captions: one figure, or two and how they lie to each other. Some pairs of colour and
 * shape never occur in the part for training, and the part for tests has no others: it asks whether a model puts together what it
 * saw apart. Item i is drawn from the random numbers of (seed, i). */
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "brume/rng.h"
#include "data/dataset.h"
#include "data/figures.h"

enum { SHAPES = BRUME_RING + 1, PAIRS = SHAPES * BRUME_COLOURS }; /* a star is no star at 5 pixels */
enum { ANY_SIZE, SMALL, LARGE, SIZES };

static const char *const size_words[SIZES] = { "", "small ", "large " };
/* by axis, and whether the first one comes second */
static const char *const relations[2][2] = { { "left of", "right of" }, { "above", "below" } };

static const struct { float lo, hi; } radii[2][SIZES] = { /* of a figure alone, of one of two; in parts of the side */
    { { 0.17f, 0.36f }, { 0.17f, 0.20f }, { 0.30f, 0.36f } },
    { { 0.15f, 0.235f }, { 0.15f, 0.17f }, { 0.21f, 0.235f } },
};

struct scene {
    int figures, axis, swapped;
    int size[2];
    struct brume_figure f[2];
    struct brume_ground ground;
};

struct scenes {
    uint64_t seed;
    int n_pairs;
    uint8_t pairs[PAIRS]; /* shape * BRUME_COLOURS + colour */
};

/* Two colours of each shape: red and blue circles, blue and yellow squares, yellow and pink triangles, pink and cyan crosses,
 * cyan and orange rings. */
static int held_out(int shape, int colour)
{
    const int k = (colour + 3 * shape) % BRUME_COLOURS;
    return k == 0 || k == 5;
}

static float between(brume_rng *r, float lo, float hi) { return lo + (hi - lo) * brume_rng_uniform(r); }

static void place_alone(brume_rng *r, struct brume_figure *f)
{
    f->x = between(r, f->radius, 1 - f->radius);
    f->y = between(r, f->radius, 1 - f->radius);
}

/* Each in its half of the picture, at about the same height (or width). */
static void place_two(brume_rng *r, struct scene *s)
{
    const float line = between(r, 0.35f, 0.65f);
    for (int k = 0; k < 2; k++) {
        struct brume_figure *f = &s->f[k];
        const float half = (k ^ s->swapped) ? 0.5f : 0, along = half + between(r, f->radius, 0.5f - f->radius),
                    across = line + between(r, -0.06f, 0.06f);
        f->x = s->axis ? across : along;
        f->y = s->axis ? along : across;
    }
}

static struct scene describe(const struct scenes *st, int64_t i)
{
    brume_rng r = { .seed = brume_seed_mix(st->seed, (uint64_t)i) };
    struct scene s = { .figures = 1 + (int)brume_rng_below(&r, 2) };
    uint32_t pair[2];
    pair[0] = brume_rng_below(&r, (uint32_t)st->n_pairs);
    pair[1] = (pair[0] + 1 + brume_rng_below(&r, (uint32_t)st->n_pairs - 1)) % (uint32_t)st->n_pairs; /* another one */
    s.axis = (int)brume_rng_below(&r, 2);
    s.swapped = (int)brume_rng_below(&r, 2);
    for (int k = 0; k < 2; k++) {
        s.size[k] = (int)brume_rng_below(&r, SIZES);
        s.f[k] = (struct brume_figure){ .shape = st->pairs[pair[k]] / BRUME_COLOURS,
                                        .colour = st->pairs[pair[k]] % BRUME_COLOURS, .cos = 1 };
        s.f[k].radius = between(&r, radii[s.figures - 1][s.size[k]].lo, radii[s.figures - 1][s.size[k]].hi);
    }
    if (s.figures == 1) place_alone(&r, s.f);
    else place_two(&r, &s);
    const float shade = between(&r, 0.80f, 0.94f), slope = between(&r, -0.03f, 0.03f);
    for (int c = 0; c < 3; c++) {
        const float tint = between(&r, -0.03f, 0.03f);
        s.ground.top[c] = shade + tint - slope;
        s.ground.bottom[c] = shade + tint + slope;
    }
    return s;
}

static brume_status get(const brume_dataset *ds, int64_t i, float *hwc, int32_t *label)
{
    const struct scene s = describe(ds->state, i);
    if (label) *label = s.f[0].shape;
    if (hwc) brume_figures_draw(s.f, s.figures, &s.ground, ds->width, ds->channels, hwc);
    return BRUME_OK;
}

static void name_figure(const struct scene *s, int k, char text[40])
{
    const char *colour = brume_figure_colours[s->f[k].colour].name;
    const int vowel = s->size[k] == ANY_SIZE && colour[0] == 'o'; /* orange */
    snprintf(text, 40, "%s %s%s %s", vowel ? "an" : "a", size_words[s->size[k]], colour, brume_figure_names[s->f[k].shape]);
}

static void caption(const brume_dataset *ds, int64_t i, char *text, size_t bytes)
{
    const struct scene s = describe(ds->state, i);
    char a[40], b[40];
    name_figure(&s, 0, a);
    name_figure(&s, 1, b);
    if (s.figures == 1) snprintf(text, bytes, "%s", a);
    else snprintf(text, bytes, "%s %s %s", a, relations[s.axis][s.swapped], b);
}

static const char *class_name(const brume_dataset *ds, int32_t k)
{
    (void)ds;
    return brume_figure_names[k];
}

static void release(brume_dataset *ds) { free(ds->state); }

static const struct brume_dataset_kind kind = { .name = "shapes-text", .get = get, .caption = caption,
                                                .class_name = class_name, .free = release };

brume_status brume_scenes_open(const brume_dataset_options *o, brume_dataset *ds)
{
    const int32_t size = o->size ? o->size : 32;
    if (size < 16 || size > 1024)
        return brume_fail(BRUME_E_ARG, "data set 'shapes-text': size %d, expected 16 to 1024 pixels", size);
    if (o->channels && o->channels != 3)
        return brume_fail(BRUME_E_ARG, "data set 'shapes-text': %d channels, expected 3: its captions name colours", o->channels);
    struct scenes *st = calloc(1, sizeof *st);
    if (!st) return brume_fail(BRUME_E_MEMORY, "data set 'shapes-text': no memory");
    st->seed = brume_seed_mix(o->seed, o->test ? 1 : 0);
    for (int k = 0; k < PAIRS; k++)
        if (held_out(k / BRUME_COLOURS, k % BRUME_COLOURS) == (o->test != 0)) st->pairs[st->n_pairs++] = (uint8_t)k;
    *ds = (brume_dataset){ .kind = &kind,
                           .count = o->count ? o->count : 32768,
                           .height = size,
                           .width = size,
                           .channels = 3,
                           .classes = SHAPES,
                           .state = st };
    return BRUME_OK;
}
