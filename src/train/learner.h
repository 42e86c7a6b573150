/* SPDX-License-Identifier: MIT
 * What a run asks of the thing that it trains. */
#ifndef BRUME_TRAIN_LEARNER_H
#define BRUME_TRAIN_LEARNER_H

#include <stdbool.h>
#include <stdio.h>

#include "brume/train.h"
#include "train/validation.h"

struct brume_learner {
    void *self;
    const brume_train_config *config; /* steps and batch are asked for */
    const int64_t *done;              /* steps so far */
    brume_status (*step)(void *self, brume_train_result *r);
    brume_status (*save)(void *self, const char *folder, int64_t note);
    brume_status (*model)(void *self, const char *folder);            /* writes the model alone, as save does beside the state */
    brume_status (*resume)(void *self, const char *folder, int64_t *note);
    brume_status (*resume_file)(void *self, const char *path);                          /* NULL: cannot begin at a state */
    /* after resume: writes the model again if that was cut short */
    brume_status (*finish)(void *self, const char *folder, bool *was_unfinished);
    const char *(*warning)(void *self); /* after resume: what is to be told, or NULL */
    brume_status (*picture)(void *self, const brume_run_options *o, const char *path); /* of how good it is by now */
    void (*words)(void *self, char *text, size_t size);                    /* instead of that; or NULL */
    brume_status (*validate)(void *self, struct brume_validation_result *r); /* NULL: not asked for */
    brume_status (*keep)(void *self, const char *path);                    /* the state before a step that failed; NULL: it is
                                                                              lost */
    brume_status (*find)(void *self, char what[320]);                      /* the first tensor of that step that is not finite */
    void (*log)(void *self, const brume_train_result *r, FILE *log);       /* more keys of a line of the log; or NULL */
};

/* keep.c: removes what a killed run left half done in FOLDER/steps. */
brume_status brume_keep_clean(const char *folder);
/* keep.c: writes the model to FOLDER/steps/000500, say, at once; path: that folder. One of the same step is replaced. */
brume_status brume_keep_model(const struct brume_learner *l, const char *folder, char path[4096]);
brume_status brume_learner_run(const struct brume_learner *learner, const brume_run_options *o);

#endif
