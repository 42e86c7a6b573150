/* SPDX-License-Identifier: MIT
 * Points of the plane: the toy distributions on which diffusion is learnt and checked. A point is an image of 1 x 1 pixel with
 * the two channels (x, y), scaled so that about all points lie in [-1, 1]. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "brume/rng.h"
#include "data/dataset.h"

enum { STREAM = 0x300, DEFAULT_COUNT = 16384 };

/* Draws a point and says of which part it is. */
struct planar { const char *name; int32_t classes; int32_t (*draw)(brume_rng *r, float xy[2]); };

static const float tau = 6.28318530718f;

static float uniform(brume_rng *r) { return brume_rng_uniform(r); }

static void add_noise(brume_rng *r, float sd, float xy[2])
{
    xy[0] += sd * brume_rng_normal(r);
    xy[1] += sd * brume_rng_normal(r);
}

static int32_t moons(brume_rng *r, float xy[2])
{
    const int32_t k = uniform(r) < 0.5f;
    const float a = tau / 2 * uniform(r);
    xy[0] = 0.52f * ((k ? 1 - cosf(a) : cosf(a)) - 0.5f);
    xy[1] = 0.52f * ((k ? 0.5f - sinf(a) : sinf(a)) - 0.25f);
    add_noise(r, 0.03f, xy);
    return k;
}

static int32_t swiss_roll(brume_rng *r, float xy[2])
{
    const float t = sqrtf(uniform(r)), a = 3 * tau / 4 * (1 + 2 * t);
    xy[0] = 0.85f * a / (9 * tau / 4) * cosf(a);
    xy[1] = 0.85f * a / (9 * tau / 4) * sinf(a);
    add_noise(r, 0.02f, xy);
    return 0;
}

static int32_t gaussians(brume_rng *r, float xy[2])
{
    const int32_t k = (int32_t)brume_rng_below(r, 8);
    xy[0] = 0.75f * cosf(tau * (float)k / 8);
    xy[1] = 0.75f * sinf(tau * (float)k / 8);
    add_noise(r, 0.06f, xy);
    return k;
}

static int32_t circles(brume_rng *r, float xy[2])
{
    const int32_t k = uniform(r) < 0.5f;
    const float a = tau * uniform(r), radius = k ? 0.4f : 0.8f;
    xy[0] = radius * cosf(a);
    xy[1] = radius * sinf(a);
    add_noise(r, 0.03f, xy);
    return k;
}

static int32_t checkerboard(brume_rng *r, float xy[2])
{
    const uint32_t field = brume_rng_below(r, 8), row = field / 2, column = 2 * (field % 2) + row % 2;
    xy[0] = -0.9f + 0.45f * ((float)column + uniform(r));
    xy[1] = -0.9f + 0.45f * ((float)row + uniform(r));
    return (int32_t)field;
}

static int32_t pinwheel(brume_rng *r, float xy[2])
{
    const int32_t k = (int32_t)brume_rng_below(r, 5);
    const float x = 0.45f + 0.13f * brume_rng_normal(r), y = 0.035f * brume_rng_normal(r),
                turn = tau * (float)k / 5 + 1.6f * (x - 0.45f) / 0.45f;
    xy[0] = 1.15f * (x * cosf(turn) - y * sinf(turn));
    xy[1] = 1.15f * (x * sinf(turn) + y * cosf(turn));
    return k;
}

static const struct planar sets[] = {
    { "moons", 2, moons }, { "swiss-roll", 1, swiss_roll }, { "gaussians", 8, gaussians }, { "circles", 2, circles },
    { "checkerboard", 8, checkerboard }, { "pinwheel", 5, pinwheel },
};
enum { SETS = sizeof sets / sizeof *sets };

static const char *const class_names[] = { "part 0", "part 1", "part 2", "part 3", "part 4", "part 5", "part 6", "part 7" };

struct state { const struct planar *set; uint64_t seed; struct brume_dataset_kind kind; };

static brume_status get(const brume_dataset *ds, int64_t i, float *hwc, int32_t *label)
{
    const struct state *st = ds->state;
    brume_rng r = { .seed = brume_seed_mix(st->seed, (uint64_t)i), .stream = STREAM };
    float xy[2];
    const int32_t k = st->set->draw(&r, xy);
    if (label) *label = k;
    if (hwc) memcpy(hwc, xy, sizeof xy);
    return BRUME_OK;
}

static void caption(const brume_dataset *ds, int64_t i, char *text, size_t bytes)
{
    (void)i;
    if (!bytes) return;
    strncpy(text, ((const struct state *)ds->state)->set->name, bytes - 1);
    text[bytes - 1] = 0;
}

static const char *class_name(const brume_dataset *ds, int32_t k)
{
    (void)ds;
    return class_names[k];
}

static void release(brume_dataset *ds) { free(ds->state); }

const char *brume_planar_name(int i) { return i >= 0 && i < SETS ? sets[i].name : NULL; }

brume_status brume_planar_open(const char *name, const brume_dataset_options *o, brume_dataset *ds, int *found)
{
    *found = 0;
    for (int i = 0; i < SETS && !*found; i++) {
        if (strcmp(sets[i].name, name)) continue;
        struct state *st = malloc(sizeof *st);
        if (!st) return brume_fail(BRUME_E_MEMORY, "data set '%s': no memory", name);
        *st =
            (struct state){ &sets[i],
                            brume_seed_mix(o->seed, o->test ? 1 : 0),
                            { .name = sets[i].name, .get = get, .caption = caption, .class_name = class_name, .free = release } };
        *ds = (brume_dataset){ .kind = &st->kind,
                               .count = o->count ? o->count : DEFAULT_COUNT,
                               .height = 1,
                               .width = 1,
                               .channels = 2,
                               .classes = sets[i].classes,
                               .state = st };
        *found = 1;
    }
    return BRUME_OK;
}
