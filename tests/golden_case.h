/* SPDX-License-Identifier: MIT
 * A case of the sampler goldens as a brume sampler: which row, with which options and scheduler's config. */
#ifndef BRUME_TESTS_GOLDEN_CASE_H
#define BRUME_TESTS_GOLDEN_CASE_H

#include "brume/sampler.h"

struct golden_case {
    brume_sampler_options options;   /* options.scheduler points at config */
    brume_scheduler_config config;
    brume_prediction prediction;     /* of the model */
    int own;                         /* kind "own": no sampler of diffusers */
    int target;                      /* class whose classifier guides through the sampler; -1: none */
    int32_t sections[16];
    char name[64], predictor[32], corrector[32];
};

/* g holds memory on success only: golden_case_clear(), harmless otherwise. */
brume_status golden_case_read(const brume_json *c, struct golden_case *g);
void golden_case_clear(struct golden_case *g);

#endif
