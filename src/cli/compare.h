/* SPDX-License-Identifier: MIT
 * brume compare: what its files share. */
#ifndef BRUME_CLI_COMPARE_H
#define BRUME_CLI_COMPARE_H

#include "brume/compare.h"
#include "brume/train.h"
#include "options.h"

/* One of the two: "cpu:threads=3", "opencl:0.0:variant=any". */
struct compare_side {
    const char *text;
    char spec[32], words[256];      /* the device; the other parts, cut in place */
    brume_device_options options;
    const char *variant;
    char variant_text[64];
    int no_fusion;
};
/* NULL, or what was expected where. */
const char *compare_side_parse(const char *text, struct compare_side *s);

struct compare_args {
    struct compare_side side[2];
    const char *preset, *html;
    int64_t batch, steps, sample_steps, seed, size, worst;
    int mode, train, storage, json, quiet, cache;
};

/* Runs what was asked for on a device of two (brume_compare_open). what: MODEL, CONFIG.json, or NULL for the preset. */
brume_status compare_model(brume_device *d, const struct compare_args *a, const char *what);
/* n values of a standard normal distribution, allocated; NULL without memory. */
float *compare_noise(uint64_t seed, uint32_t stream, int64_t n);
/* The same for what is an autoencoder or a text encoder alone; *is_part: it was. */
brume_status compare_part(brume_device *d, const struct compare_args *a, const char *what, int *is_part);
/* Every op, forward and backward, on small shapes. */
brume_status compare_ops(brume_device *d, const struct compare_args *a);

#endif
