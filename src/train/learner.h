/* SPDX-License-Identifier: MIT
 * What a run asks of the thing that it trains. */
#ifndef BRUME_TRAIN_LEARNER_H
#define BRUME_TRAIN_LEARNER_H

#include <stdio.h>

#include "brume/train.h"

struct brume_learner {
    void *self;
    const brume_train_config *config; /* steps and batch are asked for */
    const int64_t *done;              /* steps so far */
    brume_status (*step)(void *self, brume_train_result *r);
    brume_status (*save)(void *self, const char *folder, int64_t note);
    brume_status (*resume)(void *self, const char *folder, int64_t *note);
    const char *(*warning)(void *self); /* after resume: what is to be told, or NULL */
    brume_status (*picture)(void *self, const brume_run_options *o, const char *path); /* of how good it is by now */
    void (*words)(void *self, char *text, size_t size);                    /* instead of that; or NULL */
    void (*log)(void *self, const brume_train_result *r, FILE *log);       /* more keys of a line of the log; or NULL */
};

brume_status brume_learner_run(const struct brume_learner *learner, const brume_run_options *o);

#endif
