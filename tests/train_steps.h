/* SPDX-License-Identifier: MIT
 * Some steps of a training run on the cpu, shared by tests of training. */
#ifndef BRUME_TESTS_TRAIN_STEPS_H
#define BRUME_TESTS_TRAIN_STEPS_H

#include "brume/train.h"

/* n steps with some threads; resumes from and saves to the folder as asked. params: room for the averages, or NULL; losses: for
 * one a step, or NULL. */
static inline brume_status train_steps(const brume_train_config *c, const brume_dataset *data, int threads, const char *folder,
                                       int resume, int n, int save, float *params, double *losses)
{
    brume_device *d = NULL;
    brume_trainer *t = NULL;
    brume_status s = brume_device_open("cpu", &(brume_device_options){ .threads = threads }, &d);
    if (s == BRUME_OK) s = brume_trainer_new(d, c, data, &t);
    if (s == BRUME_OK && resume) s = brume_trainer_resume(t, folder, NULL);
    for (int i = 0; s == BRUME_OK && i < n; i++) {
        brume_train_result r;
        s = brume_trainer_step(t, &r);
        if (losses) losses[i] = r.loss;
    }
    if (s == BRUME_OK && save) s = brume_trainer_save(t, folder, 0);
    if (s == BRUME_OK && params) s = brume_trainer_get_params(t, 1, params);
    brume_trainer_free(t);
    brume_device_close(d);
    return s;
}

#endif
